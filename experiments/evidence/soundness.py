"""Soundness: faults of a decision log that no estimator can mend."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from ...data.decisions import Decisions
from .estimate import Array
from .finding import Finding, Verdict, by_p


def log_findings(decisions: Decisions, reward: Array) -> list[Finding]:
    """Return what is wrong with the rows themselves: order, gaps, repeats, times, identities, people's choices."""
    return [
        known_propensities(decisions),
        repeated(decisions),
        gaps(decisions),
        backwards(decisions),
        identities(decisions),
        overrides(decisions),
        loggers(decisions),
        missing_rewards(decisions, reward),
        length(decisions),
    ]


def known_propensities(decisions: Decisions) -> Finding:
    """Return the share of rows without a propensity."""
    share = float(np.isnan(decisions.numbers("propensity")).mean())
    verdict = Verdict.TRUST if share == 0 else Verdict.DO_NOT
    return Finding("unknown propensities", share, verdict, f"{share:.1%} of the rows have none")


def repeated(decisions: Decisions) -> Finding:
    """Return the share of rows that repeat the learner, session and step of another."""
    frame = pd.DataFrame({"session": decisions.session, "step": decisions.frame["step"]})
    share = float(frame.duplicated().mean())
    text = f"{share:.2%} of the rows have the learner and step of another row"
    return Finding("repeated rows", share, _zero(share, 1e-4), text)


def gaps(decisions: Decisions) -> Finding:
    """Return the share of sessions whose steps do not count 0, 1, 2, ... without a hole."""
    step, start = decisions.frame["step"].to_numpy(), decisions.start
    ahead = np.diff(step)
    inside = np.ones(len(step) - 1, dtype=np.bool_)
    inside[start[1:-1] - 1] = False
    holed = np.zeros(len(start) - 1, dtype=np.bool_)
    holed[decisions.session[1:][inside & (ahead > 1)]] = True
    holed |= step[start[:-1]] != 0
    share = float(holed.mean())
    text = f"{share:.1%} of the sessions miss a step: what happened there cannot be known"
    return Finding("missing rows", share, _zero(share, 1e-3), text)


def backwards(decisions: Decisions) -> Finding:
    """Return the share of sessions in which time runs backwards from one step to the next."""
    time = decisions.numbers("time")
    if np.isnan(time).all():
        return Finding("time travel", 0.0, Verdict.TRUST, "the log has no times")
    back = np.diff(time) < -1e-6
    back[decisions.start[1:-1] - 1] = False
    sessions = np.zeros(len(decisions.start) - 1, dtype=np.bool_)
    sessions[decisions.session[1:][back]] = True
    share = float(sessions.mean())
    return Finding("time travel", share, _zero(share, 1e-3), f"{share:.1%} of the sessions go back in time")


def identities(decisions: Decisions) -> Finding:
    """Return the largest share of all rows that one learner has, and whether what is fixed about learners changes."""
    frame = decisions.frame
    counts = frame["learner"].value_counts()
    largest = float(counts.iloc[0] / len(frame))
    placeholder = str(counts.index[0])
    typical = float(counts.median()) / len(frame)
    swapped = 0.0
    fixed = [name for name in ("role", "cohort", "class") if name in frame]
    for name in fixed:
        changes = frame.groupby(decisions.session)[name].nunique()
        swapped = max(swapped, float((changes > 1).mean()))
    if len(counts) > 20 and largest > max(0.02, 20 * typical):
        text = f"'{placeholder}' has {largest:.0%} of all rows: is it a blank in disguise?"
        return Finding("learner identities", largest, Verdict.DO_NOT, text)
    if swapped > 0:
        text = f"{swapped:.1%} of the sessions change their {', '.join(fixed)} on the way: rows of several learners?"
        return Finding("learner identities", swapped, _zero(swapped, 1e-3), text)
    return Finding(
        "learner identities", largest, Verdict.TRUST, f"{len(counts):,} learners, none with many of the rows"
    )


def overrides(decisions: Decisions) -> Finding:
    """Return the share of people's choices that carry the policy's propensity, as if chance had made them."""
    forced = decisions.override
    if not forced.any():
        return Finding("people's choices", 0.0, Verdict.TRUST, "nobody chose in the policy's place")
    propensity = decisions.numbers("propensity")
    wrong = float((propensity[forced] < 0.999).mean())
    text = f"{forced.mean():.1%} of the choices are people's; {wrong:.1%} of those carry a policy's propensity, not 1"
    return Finding("people's choices", wrong, _zero(wrong, 1e-3), text)


def loggers(decisions: Decisions) -> Finding:
    """Return how many policies logged."""
    names = decisions.frame["policy"].unique().tolist() if "policy" in decisions.frame else [""]
    text = "one policy logged" if len(names) == 1 else f"{len(names)} policies logged: {', '.join(map(str, names[:4]))}"
    return Finding("logging policies", float(len(names)), Verdict.TRUST if len(names) == 1 else Verdict.CAUTION, text)


def missing_rewards(decisions: Decisions, reward: Array) -> Finding:
    """Return the share of rows whose reward has not come, and whether the latest sessions lack more of it."""
    gone = np.isnan(reward)
    share = float(gone.mean())
    if not share:
        return Finding("missing rewards", 0.0, Verdict.TRUST, "every reward is there")
    return Finding("missing rewards", share, _zero(share, 1e-2), f"{share:.1%} of the rewards are missing")


def length(decisions: Decisions) -> Finding:
    """Return whether the latest sessions are cut short: the last twentieth against the others, by rank."""
    steps = np.diff(decisions.start)
    n = len(steps)
    if n < 200:
        return Finding("sessions cut short", 1.0, Verdict.TRUST, "too few sessions to tell")
    order = np.argsort(begun(decisions), kind="stable")
    late, early = steps[order][-(n // 20) :], steps[order][: -(n // 20)]
    p = float(stats.mannwhitneyu(late, early, alternative="less").pvalue)
    text = f"the latest sessions have {late.mean():.1f} decisions, the others {early.mean():.1f} (p = {p:.2g})"
    return Finding("sessions cut short", p, by_p(p), text)


def begun(decisions: Decisions) -> Array:
    """(S,) when each session started; its place in the log where there are no times."""
    time = decisions.numbers("time")[decisions.start[:-1]]
    return np.arange(len(time), dtype=np.float64) if np.isnan(time).any() else time


def replayed(mask: NDArray[np.bool_], decisions: Decisions) -> Finding:
    """Return how often the replayed observer allows other activities than the log says were allowed.

    A few are the candidate's own rules; many mean that the rows are not what the learners lived (swapped learners,
    missing answers), or that the candidate's rules differ from the logger's.
    """
    allowed = decisions.allowed
    if allowed is None:
        return Finding("replay as logged", float("nan"), Verdict.TRUST, "the log does not say what was allowed")
    apart = float((mask != allowed).any(1).mean())
    verdict = Verdict.TRUST if apart < 1e-3 else Verdict.CAUTION if apart < 0.02 else Verdict.DO_NOT
    text = f"at {apart:.1%} of the decisions other activities are allowed in replay than in the log"
    return Finding("replay as logged", apart, verdict, text)


def informative(fitted: Array, reward: Array, clusters: NDArray[np.int64]) -> Finding:
    """Return whether rewards have to do with what was done: the correlation with a cross-fitted model of them.

    Rewards joined to the wrong rows have none.
    """
    x, y = fitted - fitted.mean(), reward - reward.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    r = float(x @ y) / scale if scale > 0 else 0.0
    sums = np.bincount(clusters, x * y)
    z = float(sums.sum() / np.sqrt(np.dot(sums, sums))) if np.any(sums) else 0.0
    verdict = Verdict.TRUST if z > 4 else Verdict.CAUTION
    text = f"a model of rewards, judged on other learners, correlates with them at {r:.2f} (z = {z:.1f})"
    if verdict is Verdict.CAUTION:
        text += ": rewards seem unrelated to what was done; are they joined to the right rows?"
    return Finding("rewards have causes", r, verdict, text)


def _zero(share: float, some: float) -> Verdict:
    return Verdict.TRUST if share == 0 else Verdict.CAUTION if share < some else Verdict.DO_NOT
