"""Pilot plan: how many learners or classes a trial needs, and the smallest effect that it could show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from . import asymptotic
from .boundaries import needed_drift, obrien_fleming, pocock
from .estimate import Array

SCHEDULES: dict[str, Callable[[int, float], Array]] = {"obrien-fleming": obrien_fleming, "pocock": pocock}


@dataclass(frozen=True)
class Plan:
    """A trial of two arms, as it was settled before it began.

    `unit` is what is randomised, and so what counts: learners, or classes of `size` learners each whose intraclass
    correlation is `icc`. `effect` is in standard deviations of one learner's outcome.
    """

    effect: float
    alpha: float = 0.05
    power: float = 0.8
    share: float = 0.5  # of units that get the candidate
    size: int = 1  # learners per unit; 1 = learners are randomised
    icc: float = 0.0
    explained: float = 0.0  # share of the variance between units that covariates explain
    looks: int = 1
    schedule: str = "obrien-fleming"

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES and self.schedule != "anytime":
            raise ValueError(f"schedule {self.schedule!r}: there are {[*SCHEDULES, 'anytime']}")
        if not (0 < self.share < 1 and 0 < self.alpha < 1 and self.alpha < self.power < 1):
            raise ValueError("share, alpha and power lie between 0 and 1, power above alpha")
        if self.size < 1 or not 0 <= self.icc <= 1 or self.looks < 1 or not 0 < self.effect < float("inf"):
            raise ValueError("size and looks are 1 or more, icc is 0 to 1, effect is above 0")
        if not 0 <= self.explained <= 1:
            raise ValueError("explained is 0 to 1")


def variance(plan: Plan) -> float:
    """Return the variance of the difference times the number of units (Raudenbush 1997; Spybrook et al. 2016)."""
    between = plan.icc * (1.0 - plan.explained)
    within = (1.0 - plan.icc) / plan.size
    return (between + within) / (plan.share * (1.0 - plan.share))


def design_effect(plan: Plan) -> float:
    """Return how many learners in classes count as one alone, 1 + (size - 1) icc (Kish 1965)."""
    return 1.0 + (plan.size - 1) * plan.icc


def detectable(plan: Plan, units: float) -> float:
    """Return the smallest effect found with the plan's power by `units` units: Student's t, one or several looks."""
    spread = np.sqrt(variance(plan) / units)
    freedom = max(units - (3.0 if plan.explained else 2.0), 1.0)
    if plan.schedule == "anytime":
        reach = float(asymptotic.half_width(units, 1.0, asymptotic.tuning(units, plan.alpha), plan.alpha))
        return float((reach * np.sqrt(units) + stats.t.ppf(plan.power, freedom)) * spread)
    fixed = float(stats.t.ppf(1.0 - plan.alpha / 2, freedom) + stats.t.ppf(plan.power, freedom))
    if plan.looks == 1:
        return float(fixed * spread)
    grown = needed_drift(SCHEDULES[plan.schedule](plan.looks, plan.alpha), plan.power)
    plain = float(stats.norm.ppf(1.0 - plan.alpha / 2) + stats.norm.ppf(plan.power))
    return float(fixed * grown / plain * spread)


def needed(plan: Plan) -> int:
    """Return the number of units in both arms together that finds the plan's effect with its power."""
    if detectable(plan, 4.0) <= plan.effect:
        return 4
    if detectable(plan, 1e9) > plan.effect:
        raise ValueError(f"an effect of {plan.effect:g} sd takes more than a billion units")
    found = brentq(lambda units: detectable(plan, units) - plan.effect, 4.0, 1e9, xtol=1e-3)
    return int(np.ceil(found - 1e-6))


def size_at(plan: Plan, look: int) -> int:
    """Return the number of units after which `look` (1 .. plan.looks) is due; looks are equally spaced."""
    return round(needed(plan) * look / plan.looks)
