"""Monitor: a running pilot at one look, and what to do: stop, go on, or admit that the evidence does not suffice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from . import asymptotic
from .estimate import Array
from .pilot import SCHEDULES, Plan, detectable, needed, size_at

RATIO_ALARM = 1e-3  # of the sample-ratio check, as in common experiment platforms
LEAST = 30  # units of a learner group in each arm, below which it gets no number


@dataclass(frozen=True)
class Units:
    """One value per randomised unit, in the order in which they were finished."""

    treated: Array  # (n,) 1 = candidate, 0 = incumbent
    value: Array  # (n,)

    @staticmethod
    def of(unit: ArrayLike, arm: ArrayLike, value: ArrayLike) -> Units:
        """Return the mean of each unit (learner or class) from rows (n,).

        ValueError when a unit is in both arms or a value is missing: who has no outcome is seldom left to chance.
        """
        frame = pd.DataFrame(
            {"unit": np.asarray(unit), "arm": np.asarray(arm, dtype=float), "value": np.asarray(value)}
        )
        gone = ~np.isfinite(frame["value"].to_numpy(np.float64)) | frame["unit"].isna().to_numpy()
        if gone.any():
            candidate = int((gone & (frame["arm"] == 1)).sum())
            raise ValueError(
                f"{int(gone.sum())} of {len(frame)} rows have no outcome or no unit, such as that of "
                f"{frame['unit'][gone].iloc[0]!r} ({candidate} of them in the candidate's arm): leave out whoever has "
                "not finished yet, and give those who gave up a value"
            )
        grouped = frame.groupby("unit", sort=False)
        both = grouped["arm"].nunique() > 1
        if both.any():
            raise ValueError(f"{int(both.sum())} units are in both arms, such as {both.index[both][0]!r}")
        return Units(grouped["arm"].first().to_numpy(np.float64), grouped["value"].mean().to_numpy(np.float64))

    def arms(self) -> tuple[asymptotic.Arm, asymptotic.Arm]:
        """Return incumbent and candidate; the spread of an arm whose units are all alike is the other's."""
        values = [self.value[self.treated == which] for which in (0.0, 1.0)]
        spread = [float(x.var(ddof=1)) if len(x) > 1 else 0.0 for x in values]
        control, treated = (
            asymptotic.Arm(len(x), float(x.mean()) if len(x) else 0.0, spread[i] or spread[1 - i])
            for i, x in enumerate(values)
        )
        return control, treated


@dataclass(frozen=True)
class Look:
    """What a pilot says at one look."""

    decision: str
    reason: str
    units: int
    planned: int
    effect: asymptotic.Effect  # candidate minus incumbent, valid at this look among all looks
    z: float
    bound: float
    ratio_p: float
    guardrails: dict[str, asymptotic.Effect] = field(default_factory=dict)
    groups: dict[str, asymptotic.Effect | None] = field(default_factory=dict)  # None = insufficient evidence


def look(
    units: Units,
    plan: Plan,
    number: int,
    guardrails: Mapping[str, tuple[Units, float]] | None = None,
    groups: Mapping[str, Units] | None = None,
) -> Look:
    """Return the decision at look `number` (1 .. plan.looks) of a pilot that follows `plan`; 0 = between looks.

    Look k is due after k / plan.looks of the planned units (`due`): ValueError when they are not there yet. Between
    looks the outcome is not judged, unless the plan is to look at any time.
    The order is fixed: a broken split of the arms stops everything; then harm to a guardrail (an outcome and the margin
    that it may lose) or to a group of learners, judged at any time; then the outcome itself; a pilot at its planned
    size that shows nothing has insufficient evidence, and the reason says what would be enough. Of `groups`, those of
    fewer than 30 units in an arm get no number; the others share plan.alpha (Bonferroni).
    """
    anytime, n = plan.schedule == "anytime", len(units.value)
    if number < 0 or (number > plan.looks and not anytime):
        raise ValueError(f"look {number}: the plan has looks 1 to {plan.looks}")
    if number > 0 and not anytime and n < size_at(plan, number):
        raise ValueError(f"look {number} is due at {size_at(plan, number):,} units, there are {n:,}")
    planned = needed(plan)
    control, treated = units.arms()
    ratio_p = sample_ratio(treated.n, n, plan.share)
    z, bound, effect = _judged(control, treated, plan, number, planned)
    harm = {name: _any_time(*found.arms(), planned, plan.alpha) for name, (found, _) in (guardrails or {}).items()}
    hurt = [name for name, e in harm.items() if e.high < -(guardrails or {})[name][1]]
    found_groups = by_group(groups or {}, plan, planned)
    left = [name for name, e in found_groups.items() if e is not None and e.high < 0]
    if ratio_p < RATIO_ALARM:
        decision, reason = (
            "stop",
            f"the arms hold {treated.n:.0f} of {n} units, not {plan.share:.0%} (p = {ratio_p:.2g}): a broken split",
        )
    elif hurt:
        decision, reason = "roll back", f"{', '.join(hurt)} got worse than agreed"
    elif left:
        decision, reason = "roll back", f"learners of the group {', '.join(left)} are worse off"
    elif effect.low > 0:
        decision, reason = (
            "stop: better",
            f"the candidate is better by {effect.value:+.4f} [{effect.low:+.4f}, {effect.high:+.4f}]",
        )
    elif effect.high < 0:
        decision, reason = (
            "roll back",
            f"the candidate is worse by {effect.value:+.4f} [{effect.low:+.4f}, {effect.high:+.4f}]",
        )
    elif n >= planned and (number or anytime):
        sd = np.sqrt((control.variance + treated.variance) / 2) or 1.0
        least = detectable(plan, max(n, 5)) * np.sqrt(plan.icc + (1 - plan.icc) / plan.size) ** -1 * sd
        decision = "insufficient evidence"
        reason = f"[{effect.low:+.4f}, {effect.high:+.4f}] holds 0; {n} units find effects from {least:.4f} on"
    else:
        said = f"[{effect.low:+.4f}, {effect.high:+.4f}] holds 0"
        if not np.isfinite(effect.low):
            said = "no look is due" if not (number or anytime) else "nothing is known of how units differ"
        decision, reason = "continue", f"{n} of {planned} planned units; {said}"
    return Look(decision, reason, n, planned, effect, z, bound, ratio_p, harm, found_groups)


def due(plan: Plan, units: int) -> int:
    """Return the look that `units` units are enough for, 0 before the first."""
    return max((k for k in range(1, plan.looks + 1) if units >= size_at(plan, k)), default=0)


def by_group(groups: Mapping[str, Units], plan: Plan, planned: int) -> dict[str, asymptotic.Effect | None]:
    """Return candidate minus incumbent for each group of learners, valid at every look; None where units are few."""
    total = max(1, sum(len(units.value) for units in groups.values()))
    out: dict[str, asymptotic.Effect | None] = {}
    for name, units in groups.items():
        arms = units.arms()
        few = min(arms[0].n, arms[1].n) < LEAST
        best = max(2.0 * LEAST, planned * len(units.value) / total)
        out[name] = None if few else _any_time(*arms, best, plan.alpha / len(groups))
    return out


def _judged(
    control: asymptotic.Arm, treated: asymptotic.Arm, plan: Plan, number: int, planned: int
) -> tuple[float, float, asymptotic.Effect]:
    gap = treated.mean - control.mean
    if min(control.n, treated.n) < 2 or not control.variance + treated.variance > 0:
        return 0.0, float("inf"), asymptotic.Effect(gap, -np.inf, np.inf)
    of_mean = control.variance / control.n + treated.variance / treated.n
    error = float(np.sqrt(of_mean))
    t = gap / error
    if plan.schedule == "anytime":
        effect = _any_time(control, treated, planned, plan.alpha)
        return t, (effect.high - effect.value) / error, effect
    if number == 0:
        return t, float("inf"), asymptotic.Effect(gap, -np.inf, np.inf)
    bound = float(SCHEDULES[plan.schedule](plan.looks, plan.alpha)[number - 1])
    # Few units: a bound on z becomes the bound on Student's t of the same tail (Welch's degrees of freedom).
    parts = (control.variance / control.n) ** 2 / (control.n - 1) + (treated.variance / treated.n) ** 2 / (
        treated.n - 1
    )
    freedom = of_mean**2 / parts
    reach = float(stats.t.isf(stats.norm.sf(bound), freedom))
    return t, reach, asymptotic.Effect(gap, gap - reach * error, gap + reach * error)


def _any_time(control: asymptotic.Arm, treated: asymptotic.Arm, planned: float, alpha: float) -> asymptotic.Effect:
    if min(control.n, treated.n) < 2 or not control.variance + treated.variance > 0:
        return asymptotic.Effect(treated.mean - control.mean, -np.inf, np.inf)
    return asymptotic.effect(control, treated, planned, alpha)


def sample_ratio(treated: float, n: int, share: float) -> float:
    """Return the p-value of the chi-square test that the arms were filled as planned (sample ratio mismatch)."""
    wanted = np.array([share, 1.0 - share]) * n
    if n == 0:
        return 1.0
    return float(stats.chi2.sf((((np.array([treated, n - treated]) - wanted) ** 2) / wanted).sum(), 1))


def false_alarms(plan: Plan, classes: int, runs: int, effect: float = 0.0, seed: int = 0) -> dict[str, float]:
    """Return how often pilots with `classes` units per arm end in a verdict, by schedule, all looks taken.

    A unit is a class of plan.size learners with plan.icc (one learner: size 1); `effect` in a learner's standard
    deviations. `peeking` stops at the first |t| above 1.96; `learners` does so although classes were randomised.
    """
    rng = np.random.Generator(np.random.Philox(seed=[seed, 11]))
    sd = np.sqrt(plan.icc + (1.0 - plan.icc) / plan.size)
    y = rng.normal(0.0, sd, (runs, 2, classes))
    y[:, 1] += effect
    seen = np.unique(np.linspace(0, classes, plan.looks + 1).round().astype(int)[1:])
    n = seen.astype(np.float64)
    mean = np.cumsum(y, 2)[:, :, seen - 1] / n
    var = np.maximum(np.cumsum(y**2, 2)[:, :, seen - 1] / n - mean**2, 1e-12) * n / np.maximum(n - 1, 1)
    gap, of_mean = mean[:, 1] - mean[:, 0], var.sum(1) / n
    freedom = np.maximum(of_mean**2 / ((var / n) ** 2 / np.maximum(n - 1, 1)).sum(1), 1.0)
    t = np.where(n > 1, gap / np.sqrt(of_mean), 0.0)
    out = {"peeking": float((np.abs(t) > 1.959964).any(1).mean())}
    for name, bounds in SCHEDULES.items():
        limit = stats.t.isf(stats.norm.sf(bounds(len(seen), plan.alpha)), freedom)
        out[name] = float((np.abs(t) > limit).any(1).mean())
    rho = asymptotic.tuning(2.0 * classes, plan.alpha)
    reach = asymptotic.half_width(2.0 * n, np.sqrt(of_mean * 2.0 * n), rho, plan.alpha)
    out["anytime"] = float((np.abs(gap) > reach).any(1).mean())
    wrong = of_mean * (1.0 / plan.size) / sd**2  # the variance of a mean, were learners independent
    out["peeking, learners as units"] = float((np.abs(gap) > 1.959964 * np.sqrt(wrong)).any(1).mean())
    return out
