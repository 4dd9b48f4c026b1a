"""Spacing: when to review, and how fast what is not reviewed is lost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from scipy.optimize import minimize
from torch import Tensor

from ..students.ssr import SSR
from ..students.ssr_kinds import ANSWER, Kind
from ..students.ssr_population import Population
from .effect import Check, Effect, Value, difference, resamples
from .laboratory import UNIFORM, Visit, material, participants

TEST = Kind(1, True, *ANSWER, guess=0.0)  # recall, then the answer is shown
FACTS = Population(start=8.0, knowledge_sd=0.0, rate_sd=0.0, stability=1.2, prior=1.2, age=0.0)
GAPS = (0.003, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 9.0, 11.0, 14.0, 18.0, 23.0, 28.0, 35.0, 49.0, 70.0, 105.0)
DELAYS = (7.0, 35.0, 70.0, 350.0)


def fact_learners(like: SSR, facts: int, population: Population = FACTS, minutes: float = 0.15) -> SSR:
    """Return learners who have just recalled each of `facts` facts for the first time; activity k tests fact k."""
    stuff = replace(UNIFORM, slip=0.0)
    return participants(material(facts, (("test", minutes),)), {"test": TEST}, like, population, stuff)


class Facts(NamedTuple):
    """Facts that some learners have learnt to a first recall."""

    start: Visit
    tests: tuple[int, ...]  # the activity that tests each fact
    skills: tuple[int, ...]  # the fact's place among all skills

    def tested(self, visit: Visit, order: Sequence[int]) -> Visit:
        """Return the visit after one test with feedback of each fact in this order."""
        for i in order:
            visit, _ = visit.give(self.tests[i])
        return visit

    def mean(self, visit: Visit) -> Tensor:
        """Return (B,), the probability to recall a fact now."""
        return visit.mastery()[:, list(self.skills)].mean(1)

    def recalled(self, visit: Visit) -> Tensor:
        """Return (B,), the share of the facts that is recalled in a test that changes nothing."""
        return (visit.draw() < visit.mastery())[:, list(self.skills)].float().mean(1)


def recall_by_gap(facts: Facts, gaps: tuple[float, ...], delays: tuple[float, ...]) -> Tensor:
    """Return (delays, gaps, n), mean recall after two rounds of test with feedback at each gap, then each delay.

    The design of Cepeda et al. (2008).
    """
    table, order = [], range(len(facts.tests))
    for gap in gaps:
        visit = facts.tested(facts.tested(facts.start.wait(gap), order), order)
        table.append(torch.stack([facts.mean(visit.wait(delay)) for delay in delays]))
    return torch.stack(table, 1)


def optimal_gaps(facts: Facts, seed: int = 0) -> tuple[Check, ...]:
    """Return the checks of V1."""
    recall = recall_by_gap(facts, GAPS, DELAYS)
    n = recall.shape[2]
    picks = resamples(n, 200, seed)
    gaps = torch.tensor(GAPS)
    best = gaps[recall.mean(2).argmax(1)]  # (delays,)
    means = torch.stack([recall[:, :, rows].mean(2) for rows in picks])  # (R, delays, gaps)
    drawn = gaps[means.argmax(2)]
    checks = []
    for i, (delay, least, most) in enumerate(zip(DELAYS, (1, 4, 7, 14), (5, 14, 28, 56), strict=True)):
        checks.append(
            Check(f"best gap before {delay:.0f} days", Value.sampled(float(best[i]), drawn[:, i]), least, most)
        )
    for i, (delay, least, most) in enumerate(zip(DELAYS, (3, 20, 30, 50), (40, 100, 180, 250), strict=True)):
        gain = 100 * (recall[i].mean(1).max() / recall[i, 0].mean() - 1)
        draws = 100 * (means[:, i].max(1).values / means[:, i, 0] - 1)
        checks.append(Check(f"gain over no gap at {delay:.0f} days, %", Value.sampled(float(gain), draws), least, most))
    short, long = best[0] / DELAYS[0], best[3] / DELAYS[3]
    ratio = Value.sampled(float(long), drawn[:, 3] / DELAYS[3])
    checks.append(Check("best gap as a share of 350 days", ratio, 0.04, min(0.16, 0.5 * float(short))))
    checks.append(Check("it lies inside the range for each delay", Value.exactly(float(_inside(recall))), 1, 1))
    return tuple(checks)


def _inside(recall: Tensor) -> bool:
    best = recall.mean(2).argmax(1)
    return bool(((best > 0) & (best < recall.shape[1] - 1)).all())


def learnt(like: SSR, facts: int, n: int, seed: int, minutes: float = 0.15) -> Facts:
    """Return n learners who have just recalled each of `facts` facts for the first time."""
    everything = tuple(range(facts))
    return Facts(Visit.of(fact_learners(like, facts, minutes=minutes), n, seed), everything, everything)


def v1(like: SSR, n: int = 400, seed: int = 0, facts: int = 32) -> Effect:
    """The spacing effect (Cepeda, Vul, Rohrer, Wixted and Pashler 2008)."""
    return best_gap(learnt(like, facts, n, seed), seed)


def best_gap(facts: Facts, seed: int) -> Effect:
    """Return V1 of learners of `facts`."""
    return Effect(
        "V1",
        "The best gap grows with the delay, as a falling share of it",
        "20-40 % of a delay of a week, 5-10 % of a year; gains 10, 59, 111, 77 %",
        optimal_gaps(facts, seed),
    )


def v5(like: SSR, n: int = 400, seed: int = 0) -> Effect:
    """Spaced against massed retrieval, expanding against uniform (Latimier, Peyre and Ramus 2021).

    Twenty facts, half a minute a test: three tests of a fact in a row, or three rounds through the list, ten minutes
    apart, and a week of delay. Then tests after 1, 4 and 12 days or after 4, 8 and 12, and two weeks of delay.
    """
    return spaced_retrieval([learnt(like, 20, n, seed + i, minutes=0.5) for i in range(4)])


def spaced_retrieval(groups: Sequence[Facts]) -> Effect:
    """Return V5 of four groups of learners."""
    a, b, c, d = groups
    facts = range(len(a.tests))
    massed = a.tested(a.start, [k for k in facts for _ in range(3)])
    spaced = b.tested(b.start, [k for _ in range(3) for k in facts])
    expanding, even = c.start, d.start
    for gap in (1.0, 3.0, 8.0):
        expanding = c.tested(expanding.wait(gap), facts)
    for _ in range(3):
        even = d.tested(even.wait(4.0), facts)
    week = difference(b.recalled(spaced.wait(7.0)), a.recalled(massed.wait(7.0)))
    schedule = difference(c.recalled(expanding.wait(14.0)), d.recalled(even.wait(14.0)))
    return Effect(
        "V5",
        "Spaced retrieval beats massed; expanding gaps are no better than even ones",
        "g = .74; g = .034",
        (
            Check("spaced less massed, g", week, 0.4, 1.4),
            Check("expanding less even, g", schedule, -0.25, 0.25),
        ),
    )


def v6(like: SSR, n: int = 4000, seed: int = 0) -> Effect:
    """Skill decay at work (Tatel and Ackerman 2025; Arthur et al. 1998)."""
    population = replace(FACTS, stability=20.0, prior=20.0)
    visit = Visit.of(fact_learners(like, 4, population), n, seed)
    kept = visit.wait(195.0).mastery().mean(1) / visit.mastery().mean(1)
    return Effect(
        "V6",
        "Half of the gain of an unused skill is gone after six and a half months",
        "half after 6.5 months",
        (Check("kept after 195 days", Value.mean(kept), 0.42, 0.58),),
        "the stability of a new skill, 20 days, was chosen for this",
    )


def v18(like: SSR, n: int = 400, seed: int = 0) -> Effect:
    """The pooled forgetting curve is a power of time (Wixted and Carpenter 2007)."""
    return forgetting(learnt(like, 5, n, seed))


LAGS = tuple(10.0 ** (-2.0 + i * (math.log10(60.0) + 2.0) / 9) for i in range(10))  # days


def pooled_recall(facts: Facts) -> Tensor:
    """Return (10,) float64, the share recalled after each of `LAGS`."""
    return torch.stack(
        [facts.recalled(replace(facts.start.wait(lag), step=i)).double().mean() for i, lag in enumerate(LAGS)]
    )


def forgetting(facts: Facts) -> Effect:
    """Return V18 of learners of `facts`."""
    lags, hits = torch.tensor(LAGS, dtype=torch.float64), pooled_recall(facts)
    tests = len(facts.tests) * len(facts.start.rng)

    def loss(curve: Tensor) -> float:
        p = curve.clamp(1e-6, 1 - 1e-6)
        return float(-(hits * p.log() + (1 - hits) * (1 - p).log()).sum()) * tests

    def fit(shape: str) -> float:
        def at(x: list[float]) -> float:
            scale, rate = 1 / (1 + math.exp(-x[0])), math.exp(x[1])
            return loss(scale * (torch.exp(-rate * lags) if shape == "exponential" else (1 + lags) ** -rate))

        return float(min(minimize(at, [3.0, x], method="Nelder-Mead").fun for x in (-3.0, -1.0)))

    better = fit("exponential") - fit("power")
    return Effect(
        "V18",
        "Pooled forgetting follows a power of time rather than an exponential",
        "power fits better",
        (Check("log-likelihood of power less exponential", Value.exactly(better), 2.0, math.inf),),
    )
