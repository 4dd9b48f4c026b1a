"""The verdict of an evaluation in plain words: what the numbers say, what to doubt, and how a number is printed.

Everything here is a pure function of what `evaluate` measured; the pages only lay it out.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .statistics import Interval

Json = Mapping[str, Any]

KINDS = {
    "trained": "trained",
    "baseline": "heuristic baseline",
    "floor": "floor",
    "ceiling": "ceiling, sees the hidden state",
}
# How names that are abbreviations are written; every other name is words.
SPELLINGS = {
    **{
        name.lower(): name
        for name in ("A2C", "BC", "BCQ", "BKT", "CEM", "CQL", "DDQN", "DKT", "DQN", "IQL", "IRT", "KSS", "MLP", "PFA")
    },
    **{name.lower(): name for name in ("LinUCB", "PPO", "PQN", "SAC", "UCB", "ZPDES")},
}
FEW_SEEDS = 5
ENOUGH_SEEDS = 10  # from here on bootstrap intervals of an interquartile mean hold nearly as often as they say


def verdict(evaluation: Json) -> str:
    """One plain sentence: does the best trained policy beat the best heuristic on the primary outcome?"""
    outcome, best = primary_outcome(evaluation), champion(evaluation)
    title = lower_first(outcome["title"])
    reference = named(evaluation["policies"], evaluation["best_heuristic"])
    if best is None:
        return f"No trained policy was measured on {title} in this run"
    gain = gain_over(best, reference, outcome)
    if gain is None:
        reached = estimate(best["values"], outcome["name"])
        assert reached is not None
        return f"{label(best)} reaches {span_text(reached)} on {title}; there is no heuristic to compare it with"
    paired = best.get("difference")
    against = str(paired["against"] if paired else evaluation["best_heuristic"])
    name = label_of(evaluation["policies"], against)
    if reference and reference["name"] == against:
        name = f"the best heuristic ({name})"
    if gain.low > 0:
        return f"{label(best)} beats {name} on {title} by {span_text(gain)}"
    if gain.high < 0:
        return f"{label(best)} does not beat {name} on {title}: it is worse by {span_text(_flip(gain))}"
    return (
        f"{label(best)} does not beat {name} on {title}: the difference is not distinguishable from zero, "
        f"{span_text(gain, signed=True)}"
    )


def doubts(evaluation: Json) -> list[str]:
    """Reasons to distrust the verdict: the run's own warnings, what the numbers show, and what no simulation shows."""
    found = [str(text) for text in evaluation["warnings"]]
    tracer, best = evaluation["tracer"], champion(evaluation)
    auc, floors = read_interval(tracer.get("auc")), [float(f["auc"]) for f in tracer.get("floors", {}).values()]
    if auc and floors and auc.low <= max(floors):
        found.append(
            f"The belief about learners predicts {'worse' if auc.high < max(floors) else 'no better'} than a floor "
            f"(AUC {span_text(auc)} against {max(floors):.3f}): what policies see of a learner may mislead them, and "
            "learners simulated from such a model may not learn as people do."
        )
    if evaluation["eval_seeds"] < FEW_SEEDS:
        found.append(f"Only {count_text(evaluation['eval_seeds'], 'evaluation seed')}: at least {FEW_SEEDS} are usual.")
    if best is not None:
        if best["legal_rate"] < 0.9995:
            found.append(f"{label(best)} chose a forbidden activity in {percent(1 - best['legal_rate'])} of its moves.")
        if best["handover_rate"] > 0:
            found.append(f"{label(best)} handed {percent(best['handover_rate'])} of its moves over to a person.")
        found.append(
            f"One training run (seed {evaluation['seed']}): the intervals cover the choice of learners, not the luck "
            "of training. Compare several seeds before believing a small difference."
        )
    found.append(f"Every learner here is simulated ({evaluation['student']}). A gain on them is not a gain on people.")
    found.append(
        "Policies are measured by the simulator’s own mastery, which no real programme can see; a pilot with real "
        "learners and a test of its own is the next step, not a roll-out."
    )
    return found


def check(given: Json, keys: Sequence[str], name: str) -> None:
    """Raise ValueError, beginning with `name`, when `given` has another schema, lacks a key or says what cannot be."""
    if given.get("schema") != 1:
        raise ValueError(f"{name} has schema {given.get('schema')!r}, this report reads schema 1: measure it again")
    missing = [key for key in keys if key not in given]
    if missing:
        raise ValueError(f"{name} lacks {', '.join(missing)}: lists may be empty, keys may not be left out")
    for policy in [*given.get("policies", ()), *given.get("baselines", ())]:
        if policy["kind"] not in KINDS:
            kinds = ", ".join(KINDS)
            raise ValueError(f"{name}: policy {policy['name']!r} has kind {policy['kind']!r}, which is none of {kinds}")
    if given["primary"] not in [outcome["name"] for outcome in given["outcomes"]]:
        raise ValueError(f"{name}: primary {given['primary']!r} is none of its outcomes")


def primary_outcome(given: Json) -> Json:
    """The outcome that the verdict is about."""
    return next(outcome for outcome in given["outcomes"] if outcome["name"] == given["primary"])


def named(policies: Sequence[Json], name: str | None) -> Json | None:
    """The policy of this name, if it is there."""
    return next((p for p in policies if p["name"] == name), None)


def champion(e: Json) -> Json | None:
    """The trained policy that is best on the primary outcome."""
    trained = [p for p in e["policies"] if p["kind"] == "trained" and estimate(p["values"], e["primary"])]
    return best_first(trained, primary_outcome(e))[0] if trained else None


def best_first(policies: Sequence[Json], outcome: Json) -> list[Json]:
    """Best first; policies without a value last."""
    return sorted(policies, key=lambda p: rank(estimate(p["values"], outcome["name"]), outcome))


def ranked(agents: Sequence[Json], outcome: Json) -> list[Json]:
    """Agents with an interquartile mean, best first."""
    return sorted((a for a in agents if estimate(a, "iqm")), key=lambda a: rank(estimate(a, "iqm"), outcome))


def rank(span: Interval | None, outcome: Json) -> float:
    return math.inf if span is None else -span.value if outcome["higher_is_better"] else span.value


def gain_over(policy: Json, reference: Json | None, outcome: Json) -> Interval | None:
    """How much better the policy does, positive is better: the paired difference, else one from separate intervals."""
    paired = read_interval(policy.get("difference"))
    if paired:
        return paired if outcome["higher_is_better"] else _flip(paired)
    mine = estimate(policy["values"], outcome["name"])
    theirs = estimate(reference["values"], outcome["name"]) if reference else None
    return apart(mine, theirs, outcome) if mine and theirs else None


def apart(mine: Interval, theirs: Interval, outcome: Json) -> Interval:
    """Difference of two separate estimates, as wide as both together: wider than a paired one, never narrower."""
    gain = Interval(mine.value - theirs.value, mine.low - theirs.high, mine.high - theirs.low)
    return gain if outcome["higher_is_better"] else _flip(gain)


def _flip(span: Interval) -> Interval:
    return Interval(-span.value, -span.high, -span.low)


def read_interval(given: Any) -> Interval | None:
    """Read {"value", "low", "high"}; None where a number is missing or not finite."""
    if not given or any(given.get(end) is None for end in ("value", "low", "high")):
        return None
    span = Interval(float(given["value"]), float(given["low"]), float(given["high"]))
    return span if all(map(math.isfinite, (span.value, span.low, span.high))) else None


def estimate(values: Json, name: str) -> Interval | None:
    """The interval under `name`, if it is there and finite."""
    return read_interval(values.get(name))


def common_places(spans: Sequence[Interval | None]) -> int:
    """Decimals that show one or two digits of a typical half-width, the same for a whole column."""
    halves = sorted((s.high - s.low) / 2 for s in spans if s and s.high - s.low > 1e-9)
    return min(4, max(0, math.ceil(0.3 - math.log10(halves[len(halves) // 2])))) if halves else 3


def span_text(span: Interval, places: int | None = None, signed: bool = False) -> str:
    """Print an interval as `value [low, high]`; without `places`, with as many decimals as its width asks for."""
    ends = (span.value, span.low, span.high)
    digits = common_places([span]) if places is None else places
    # An end that is not zero must not read as zero: the verdict hangs on it.
    while places is None and digits < 6 and any(end and not round(end, digits) for end in ends):
        digits += 1
    value, low, high = (decimal_text(end, digits, signed) for end in ends)
    return f"{value} [{low}, {high}]"


def span_or_dash(span: Interval | None, places: int) -> str:
    """Print an interval, or a dash for none."""
    return span_text(span, places) if span else "–"


def decimal_text(value: float | None, places: int, signed: bool = False) -> str:
    """Print a number with a true minus sign, or a dash for none."""
    if value is None:
        return "–"
    return f"{float(value):{'+' if signed else ''}.{places}f}".replace("-", "\u2212")


def percent(share: float) -> str:
    """Print a share of 1 in per cent."""
    return f"{100 * share:.1f} %"


def count_text(number: int, noun: str) -> str:
    """Print a number of things: 1 step, 2 steps."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def direction(outcome: Json) -> str:
    """Say which way the outcome is good."""
    return "higher is better" if outcome["higher_is_better"] else "lower is better"


def policy_title(name: str) -> str:
    """Turn a config's name into a title: `weakest_allowed` is Weakest allowed, `linucb` is LinUCB."""
    words = re.sub(r"[^\W_]+", lambda word: SPELLINGS.get(word[0].lower(), word[0]), name.replace("_", " "))
    return words[:1].upper() + words[1:]


def label(policy: Json) -> str:
    """A policy's title where it has one, else the title its name makes."""
    return str(policy.get("title") or policy_title(policy["name"]))


def label_of(policies: Sequence[Json], name: str) -> str:
    """The title of the policy of this name, whether or not it is there."""
    return label(named(policies, name) or {"name": name})


def lower_first(title: str) -> str:
    """A title as it stands within a sentence."""
    return title[:1].lower() + title[1:]
