"""Rollout: from a few learners to all in stages, with guardrails that can take the candidate back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .asymptotic import Effect
from .estimate import Array
from .monitor import RATIO_ALARM, Units, sample_ratio
from .pilot import Plan, needed

SHARES = (0.01, 0.05, 0.10, 0.25, 0.50, 1.0)


@dataclass(frozen=True)
class Rollout:
    """A staged rollout as it was settled before it began; the last stage has nobody left to compare with.

    `harm`, in standard deviations of one learner's outcome, is what must be excluded before more learners follow.
    Every stage is judged up to `looks` times on the outcome and on `guardrails` others; `alpha` is the chance to take
    back a candidate that harms nobody, over all of it together (Bonferroni).
    """

    harm: float
    shares: tuple[float, ...] = SHARES
    alpha: float = 0.05
    power: float = 0.8
    looks: int = 2
    guardrails: int = 0

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.shares, self.shares[1:], strict=False))
        if not (rising and len(self.shares) > 1 and self.shares[0] > 0 and self.shares[-1] == 1.0):
            raise ValueError("shares rise from above 0 to 1, such as .01 .05 .1 .25 .5 1")
        if not (self.harm > 0 and 0 < self.alpha < 0.5 and self.alpha < self.power < 1 and self.looks >= 1):
            raise ValueError("harm is above 0, alpha below .5, power between alpha and 1, looks 1 or more")

    @property
    def level(self) -> float:
        """The one-sided level of a single judgement."""
        return self.alpha / ((len(self.shares) - 1) * self.looks * (1 + self.guardrails))


def stage_size(rollout: Rollout, stage: int) -> int:
    """Return how many learners, both arms together, stage 0, 1, ... needs to exclude the harm; 0 for the last.

    With the plan's power where the candidate harms nobody.
    """
    share = rollout.shares[stage]
    if share >= 1.0:
        return 0
    return needed(Plan(rollout.harm, 2.0 * rollout.level, rollout.power, share))


@dataclass(frozen=True)
class Step:
    """What a rollout says at one look: advance, hold, roll back or stop."""

    decision: str
    reason: str
    share: float
    units: int  # so far, all stages
    effect: Effect  # candidate minus incumbent, all stages so far
    guardrails: dict[str, Effect]
    ratio_p: float


def judge(stages: Mapping[str, Sequence[Units]], rollout: Rollout, outcome: str) -> Step:
    """Return the decision after these stages; `stages` has the units of each stage by outcome, more is better.

    A broken split stops everything. One outcome that is shown to be worse takes the candidate back; more learners
    follow only when the harm is excluded for every outcome. Arms are compared within stages, so that a change over
    time, or of the shares, is no effect.
    """
    now = stages[outcome][-1]
    share = rollout.shares[len(stages[outcome]) - 1]
    units = sum(len(one.value) for one in stages[outcome])
    ratio_p = sample_ratio(float(now.treated.sum()), len(now.value), share)
    found = {name: pooled(parts, rollout.level) for name, parts in stages.items()}
    scale = {name: rollout.harm * _spread(parts) for name, parts in stages.items()}
    worse = [name for name, e in found.items() if e.high < 0]
    open_ = [name for name, e in found.items() if not e.low > -scale[name]]

    def step(decision: str, reason: str) -> Step:
        others = {name: e for name, e in found.items() if name != outcome}
        return Step(decision, reason, share, units, found[outcome], others, ratio_p)

    if ratio_p < RATIO_ALARM:
        return step("stop", f"the arms are not filled as planned (p = {ratio_p:.2g}): a broken split")
    if worse:
        return step("roll back", f"{', '.join(worse)} got worse: everybody back to the incumbent")
    if open_:
        least = ", ".join(f"{name} may lose {-found[name].low:.4f}, agreed were {scale[name]:.4f}" for name in open_)
        return step("hold", f"harm is not excluded: {least}")
    following = rollout.shares[len(stages[outcome])]
    return step("advance", f"harm is excluded; {following:.0%} of learners next")


def pooled(parts: Sequence[Units], level: float) -> Effect:
    """Return the mean difference of the arms over stages, weighted by precision, with bounds at `level` on each side.

    The variance of one unit is pooled over stages, arm by arm: a stage in which nobody happened to differ is no more
    precise than the others. Student's t with the fewest degrees of freedom that these arms allow; without bounds where
    no unit differs from another, or an arm has one unit.
    """
    arms = [units.arms() for units in parts]
    arms = [(control, treated) for control, treated in arms if min(control.n, treated.n) >= 2]
    if not arms:
        return Effect(0.0, -np.inf, np.inf)
    n = np.array([[arm.n for arm in pair] for pair in arms])  # (stages, 2)
    gaps = np.array([treated.mean - control.mean for control, treated in arms])
    spread = [_within([units.value[units.treated == which] for units in parts]) for which in (0.0, 1.0)]
    common = np.array([one or spread[1 - i] for i, one in enumerate(spread)])
    if not common.any():
        return Effect(float(np.average(gaps, weights=n.min(1))), -np.inf, np.inf)
    weight = 1.0 / (common / n).sum(1)
    value = float(np.dot(weight, gaps) / weight.sum())
    reach = float(stats.t.isf(level, (n.min(1) - 1.0).sum()) / np.sqrt(weight.sum()))
    return Effect(value, value - reach, value + reach)


def _within(batches: Sequence[Array]) -> float:
    """The variance of one unit about the mean of its own batch; 0 where none differ."""
    freedom = sum(len(x) - 1 for x in batches if len(x) > 1)
    return sum(float(((x - x.mean()) ** 2).sum()) for x in batches if len(x) > 1) / max(freedom, 1)


def _spread(parts: Sequence[Units]) -> float:
    """The standard deviation of one unit under the incumbent, within stages."""
    return float(np.sqrt(_within([units.value[units.treated == 0] for units in parts])))
