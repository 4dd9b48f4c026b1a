"""Spacing: when to review, and how fast what is not reviewed is lost."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from scipy.optimize import minimize
from torch import Tensor

from ..student import Student
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


def recall_by_gap(
    student: Student, items: int, gaps: tuple[float, ...], delays: tuple[float, ...], n: int, seed: int
) -> Tensor:
    """Return (delays, gaps, n), mean recall after two rounds of test with feedback at each gap, then each delay.

    Any learner will do whose activity k tests item k: the design of Cepeda et al. (2008).
    """
    table = []
    start = Visit.of(student, n, seed)
    for gap in gaps:
        visit = start.wait(gap)
        for _ in range(2):
            for k in range(items):
                visit, _ = visit.give(k)
        table.append(torch.stack([visit.wait(delay).mastery().mean(1) for delay in delays]))
    return torch.stack(table, 1)


def optimal_gaps(student: Student, items: int, n: int = 400, seed: int = 0) -> tuple[Check, ...]:
    """Return the checks of V1 for any learner of `items` facts."""
    recall = recall_by_gap(student, items, GAPS, DELAYS, n, seed)
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


def v1(like: SSR, n: int = 400, seed: int = 0) -> Effect:
    """The spacing effect (Cepeda, Vul, Rohrer, Wixted and Pashler 2008)."""
    return Effect(
        "V1",
        "The best gap grows with the delay, as a falling share of it",
        "20-40 % of a delay of a week, 5-10 % of a year; gains 10, 59, 111, 77 %",
        optimal_gaps(fact_learners(like, 32), 32, n, seed),
    )


def _tested(start: Visit, facts: list[int]) -> Visit:
    """Return the visit after one test of each fact in this order."""
    for k in facts:
        start, _ = start.give(k)
    return start


def v5(like: SSR, n: int = 400, seed: int = 0) -> Effect:
    """Spaced against massed retrieval, expanding against uniform (Latimier, Peyre and Ramus 2021).

    Twenty facts, half a minute a test: three tests of a fact in a row, or three rounds through the list, ten minutes
    apart, and a week of delay. Then tests after 1, 4 and 12 days or after 4, 8 and 12, and two weeks of delay.
    """
    facts = list(range(20))
    learners = fact_learners(like, len(facts), minutes=0.5)
    massed = _tested(Visit.of(learners, n, seed), [k for k in facts for _ in range(3)])
    spaced = _tested(Visit.of(learners, n, seed + 1), 3 * facts)
    expanding, even = Visit.of(learners, n, seed + 2), Visit.of(learners, n, seed + 3)
    for gap in (1.0, 3.0, 8.0):
        expanding = _tested(expanding.wait(gap), facts)
    for _ in range(3):
        even = _tested(even.wait(4.0), facts)
    return Effect(
        "V5",
        "Spaced retrieval beats massed; expanding gaps are no better than even ones",
        "g = .74; g = .034",
        (
            Check(
                "spaced less massed, g", difference(spaced.wait(7.0).recalled(), massed.wait(7.0).recalled()), 0.4, 1.4
            ),
            Check(
                "expanding less even, g",
                difference(expanding.wait(14.0).recalled(), even.wait(14.0).recalled()),
                -0.25,
                0.25,
            ),
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
    lags = torch.logspace(math.log10(0.01), math.log10(60.0), 10, dtype=torch.float64)
    start = Visit.of(fact_learners(like, 5), n, seed)
    hits = torch.stack(
        [replace(start.wait(float(lag)), step=i).recalled().double().mean() for i, lag in enumerate(lags)]
    )

    def loss(curve: Tensor) -> float:
        p = curve.clamp(1e-6, 1 - 1e-6)
        return float(-(hits * p.log() + (1 - hits) * (1 - p).log()).sum()) * 5 * n

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
        (Check("log-likelihood of power less exponential", Value.exactly(better), 0.0, math.inf),),
    )
