"""Gate: whether a candidate may replace the incumbent; "not enough evidence" is an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from .estimate import Array
from .finding import Verdict


@dataclass(frozen=True)
class Rules:
    """What a candidate must show."""

    alpha: float = 0.05  # chance of promoting one that is no better, over all candidates together
    margin: float = 0.0  # by how much it must be better than the incumbent
    group_floor: float = 0.05  # how much a learner group may lose, at worst
    least_learners: int = 30  # below that a group gives no evidence

    def __post_init__(self) -> None:
        if not (np.isfinite(self.margin) and np.isfinite(self.group_floor) and self.group_floor >= 0):
            raise ValueError("margin is a number, the floor of groups a number of 0 or more")
        if not 0 < self.alpha < 0.5:
            raise ValueError("alpha lies between 0 and .5")


@dataclass(frozen=True)
class Ruling:
    """The gate's answer, with every reason; `lower` is the corrected bound of the gain."""

    answer: str  # promote, reject, not enough evidence
    gain: float
    lower: float
    reasons: tuple[str, ...]
    enough: str = ""  # what would be enough, where evidence is short


@dataclass(frozen=True)
class Gain:
    """Candidate minus incumbent over held-out clusters (learners): the mean, its standard error, how many."""

    value: float
    error: float
    number: int

    @staticmethod
    def of(gains: Array) -> Gain:
        """Return the gain from one value per cluster (G,); ValueError with fewer than two."""
        if len(gains) < 2:
            raise ValueError(f"{len(gains)} gains: two held-out learners are the least")
        return Gain(float(np.mean(gains)), float(np.std(gains, ddof=1) / np.sqrt(len(gains))), len(gains))

    def lower(self, alpha: float) -> float:
        """Return the one-sided lower bound at level `alpha` (Student's t over clusters)."""
        return float(self.value - stats.t.ppf(1.0 - alpha, self.number - 1) * self.error)


@dataclass(frozen=True)
class Case:
    """All that the gate looks at."""

    gain: Gain
    overlap: Verdict
    groups: Mapping[str, Gain | None] = field(default_factory=dict)  # None = too few to tell
    flagged: str | None = ""  # what the robustness matrix holds against it; "" = nothing, None = there is no matrix
    approver: str = ""
    unsure: str = ""  # what the robustness matrix could not exclude
    notes: tuple[str, ...] = ()  # what the person who approves must know; every ruling repeats it
    pilot: str | None = None  # how it ended: "stop: better" speaks for the candidate; None = there was none


def rule(case: Case, candidates: int, rules: Rules = Rules()) -> Ruling:
    """Return the ruling on one of `candidates` candidates that were compared on the same held-out learners.

    Bonferroni over candidates: none may be promoted by luck because many were tried.
    """
    gain, lower = case.gain.value, case.gain.lower(rules.alpha / candidates)
    among = "with one candidate" if candidates == 1 else f"with {candidates} candidates"
    failed: list[str] = []
    short: list[tuple[str, str]] = []  # what is missing, and what would be enough
    if case.overlap is Verdict.DO_NOT:
        failed.append("the log does not support the candidate (overlap)")
    if not lower > rules.margin:
        said = f"the gain is {gain:+.4f}, at least {lower:+.4f} {among}: not above {rules.margin:g}"
        short.append((said, _enough(case.gain, candidates, rules)))
    for name, found in case.groups.items():
        if found is None or found.number < rules.least_learners:
            short.append((f"group {name}: insufficient evidence", f"more learners of group {name}"))
        elif not found.value >= -rules.group_floor:
            failed.append(f"group {name} loses {-found.value:.4f}, more than {rules.group_floor:g}")
        elif not found.lower(rules.alpha) >= -rules.group_floor:
            said = f"group {name} may lose {-found.lower(rules.alpha):.4f}, more than {rules.group_floor:g}"
            short.append((said, f"more learners of group {name}"))
    if case.flagged is None:
        short.append(("it was never played among learners of other kinds", "`trailmark robustness`"))
    elif case.flagged:
        failed.append(f"among learners of other kinds: {case.flagged}")
    elif case.unsure:
        short.append((f"among learners of other kinds: {case.unsure}", "`trailmark robustness` with more --learners"))
    if case.pilot in ("roll back", "stop"):
        failed.append(f"its pilot ended with: {case.pilot}")
    elif case.pilot not in (None, "stop: better"):
        short.append((f"its pilot says: {case.pilot}", "a pilot that finds it better"))
    if failed:
        return Ruling("reject", gain, lower, (*failed, *(said for said, _ in short), *case.notes))
    if not short and not case.approver.strip():
        short.append(("nobody has approved it", "a named person must approve it"))
    if short:
        enough = "; ".join(dict.fromkeys(what for _, what in short))
        return Ruling("not enough evidence", gain, lower, (*(said for said, _ in short), *case.notes), enough)
    why = f"the gain is {gain:+.4f}, at least {lower:+.4f} {among}; approved by {case.approver.strip()}"
    return Ruling("promote", gain, lower, (why, *case.notes))


def best_of(cases: Sequence[Case], rules: Rules = Rules()) -> tuple[int, Ruling]:
    """Return the number of the candidate with the best corrected bound, and its ruling."""
    rulings = [rule(case, len(cases), rules) for case in cases]
    best = max(range(len(cases)), key=lambda i: (rulings[i].answer == "promote", rulings[i].lower))
    return best, rulings[best]


def _enough(gain: Gain, candidates: int, rules: Rules) -> str:
    if gain.value <= rules.margin:
        return "a candidate that is better"
    if not np.isfinite(gain.error):
        return "more held-out learners"
    z = stats.norm.ppf(1.0 - rules.alpha / candidates) + stats.norm.ppf(0.8)
    learners = int(np.ceil(gain.number * (z * gain.error / (gain.value - rules.margin)) ** 2))
    return f"about {max(learners, gain.number):,} held-out learners, if the gain is what it seems"


def false_promotions(
    candidates: int, learners: int, decisions: int, effect: float, runs: int, seed: int = 0
) -> dict[str, float]:
    """Return how often one of `candidates` equal policies is promoted, by rule, over `runs` simulated comparisons.

    Every policy is as good as the incumbent; learners differ by `effect` (of one decision's sd), a part of which meets
    each policy differently. `naive`: the best mean is above 0; `decisions`: the best bound, decisions as independent;
    `learners`: the best bound over learners, candidates not counted; `gate`: this gate; `best`: power of the gate when
    one candidate is better by a quarter of a learner's sd.
    """
    rng = np.random.Generator(np.random.Philox(seed=[seed, 12]))
    counts = dict.fromkeys(("naive", "decisions", "learners", "gate", "power"), 0)
    for _ in range(runs):
        own = effect * rng.standard_normal((candidates, learners))
        noise = rng.standard_normal((candidates, learners, decisions)) if decisions < 2 else None
        mean_noise = (
            rng.standard_normal((candidates, learners)) / np.sqrt(decisions) if noise is None else noise.mean(2)
        )
        gains = own + mean_noise
        means, sd = gains.mean(1), gains.std(1, ddof=1)
        alone = np.sqrt((effect**2 + 1.0) / (learners * decisions))
        counts["naive"] += bool((means > 0).any())
        counts["decisions"] += bool((means - 1.645 * alone > 0).any())
        counts["learners"] += bool((means - stats.t.ppf(0.95, learners - 1) * sd / np.sqrt(learners) > 0).any())
        cases = [Case(Gain.of(g), Verdict.TRUST, approver="a person") for g in gains]
        counts["gate"] += best_of(cases)[1].answer == "promote"
        better = gains[0] + 0.25 * np.hypot(effect, 1.0 / np.sqrt(decisions))
        counts["power"] += (
            rule(Case(Gain.of(better), Verdict.TRUST, approver="a person"), candidates).answer == "promote"
        )
    return {name: count / runs for name, count in counts.items()}
