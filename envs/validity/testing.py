"""Testing: retrieving what was learnt, against reading it again."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..students.ssr import SSR
from ..students.ssr_acquisition import Acquisition
from ..students.ssr_kinds import ANSWER, NO_FEEDBACK, Kind, exposure
from ..students.ssr_population import Population
from .effect import Check, Effect, Value, difference
from .laboratory import UNIFORM, Visit, material, participants

IDEAS = 30  # idea units of a prose passage
MINUTE = 1.0 / 1440.0
TEST = Kind(1, True, *NO_FEEDBACK, corrects=False, guess=0.0)
CORRECTED = Kind(1, True, *ANSWER, guess=0.0, study=2.7)  # the idea is read again
# A passage is read as a whole: the first rereading takes recall from .74 to .81, later ones to .84 and .86.
PROSE = Population(start=1.05, knowledge_sd=0.80, stability=0.65, prior=0.65, age=0.0)
READ, TRY, TRY_AND_SEE = 0, IDEAS, 2 * IDEAS  # where the activities of each kind begin


def readers(like: SSR) -> SSR:
    """Return learners who have just read a passage of 30 ideas; reading or testing all of it takes seven minutes."""
    minutes = 7.0 / IDEAS
    catalog = material(IDEAS, (("study", minutes), ("test", minutes), ("corrected", minutes)))
    kinds = {"study": exposure(2.7), "test": TEST, "corrected": CORRECTED}
    return participants(catalog, kinds, like, PROSE, replace(UNIFORM, slip=0.0))


def through(visit: Visit, first: int, rounds: int = 1) -> Visit:
    """Return the visit after `rounds` through the whole passage with the activities that begin at `first`."""
    for _ in range(rounds):
        for k in range(IDEAS):
            visit, _ = visit.give(first + k)
    return visit


def v2(like: SSR, n: int = 400, seed: int = 0) -> Effect:
    """Read again, or test without feedback (Roediger and Karpicke 2006, experiment 1)."""
    learners = readers(like)
    again = through(Visit.of(learners, n, seed).wait(8 * MINUTE), READ)
    tested = through(Visit.of(learners, n, seed + 1).wait(8 * MINUTE), TRY)

    def advantage(days: float) -> Value:
        return difference(tested.wait(days).recalled(), again.wait(days).recalled())

    grid = torch.arange(0.25, 8.0, 0.25)
    ahead = torch.stack(
        [(tested.wait(float(d)).mastery().mean() - again.wait(float(d)).mastery().mean()) for d in grid]
    )
    crossing = float(grid[(ahead > 0).to(torch.int8).argmax()]) if bool((ahead > 0).any()) else float("inf")
    return Effect(
        "V2",
        "Rereading wins after five minutes, testing after a week",
        "81/75, 54/68, 42/56 % after 5 min, 2 d, 7 d (restudy/test)",
        (
            Check("test less restudy after 5 minutes, g", advantage(5 * MINUTE), -2.0, -0.2),
            Check("test less restudy after 7 days, g", advantage(7.0), 0.2, 2.0),
            Check("restudy after 7 days", Value.mean(again.wait(7.0).recalled()), 0.35, 0.50),
            Check("test after 7 days", Value.mean(tested.wait(7.0).recalled()), 0.45, 0.65),
            Check("days until testing is ahead", Value.exactly(crossing), 0.3, 5.0),
        ),
        "fitted to this study; the advantage after two days is smaller than published",
    )


def v3(like: SSR, n: int = 200, seed: int = 0) -> Effect:
    """What may be dropped once it was recalled: study or test (Karpicke and Roediger 2008).

    Word pairs are known or not (Bower 1961): the first study and each later one makes a pair known half of the time.
    """
    pairs, second = 40, 1.0 / 60.0
    catalog = material(pairs, (("study", 5 * second), ("test", 8 * second)))
    kinds = {"study": exposure(1.0), "test": replace(TEST, strength=0.0)}
    population = Population(known=0.5, stability=0.024, prior=0.024, age=0.0)
    whole = replace(like, acquisition=Acquisition(leap=0.5, gate=1.0))
    learners = participants(catalog, kinds, whole, population, replace(UNIFORM, slip=0.0))

    def group(study_all: bool, test_all: bool, seed: int) -> Tensor:
        visit = Visit.of(learners, n, seed)
        known = torch.zeros(n, pairs, dtype=torch.bool)
        for cycle in range(4):
            for k in range(pairs if cycle else 0):
                visit, _ = visit.give(k, None if study_all else ~known[:, k])
            fresh = known.clone()
            for k in range(pairs):
                asked = torch.ones(n, dtype=torch.bool) if test_all else ~known[:, k]
                visit, response = visit.give(pairs + k, asked)
                fresh[:, k] |= asked & (response.correct > 0.5)
            known = fresh
        return visit.wait(7.0).recalled()

    both, tests = group(True, True, seed), group(False, True, seed + 1)
    studies, neither = group(True, False, seed + 2), group(False, False, seed + 3)
    tested, dropped = torch.cat([both, tests]).mean(), torch.cat([studies, neither]).mean()
    gap = Value.mean(both - tests)
    return Effect(
        "V3",
        "Dropping study costs nothing, dropping tests costs much",
        "80, 80, 36, 33 % after a week",
        (
            Check("study kept less study dropped", gap, -0.05, 0.05),
            Check("tested as a multiple of not tested", Value.exactly(float(tested / dropped)), 1.35, 10.0),
        ),
        "the level after a week is lower than published",
    )


def v4(like: SSR, n: int = 400, seed: int = 0) -> Effect:
    """The testing effect with and without feedback (Rowland 2014; Adesope, Trevisan and Sundararajan 2017)."""
    learners = readers(like)
    again = through(Visit.of(learners, n, seed).wait(8 * MINUTE), READ)
    tested = through(Visit.of(learners, n, seed + 1).wait(8 * MINUTE), TRY)
    corrected = through(Visit.of(learners, n, seed + 2).wait(8 * MINUTE), TRY_AND_SEE)

    def against(visit: Visit, days: float) -> Value:
        return difference(visit.wait(days).recalled(), again.wait(days).recalled())

    plain = {days: against(tested, days) for days in (7.0, 14.0)}
    shown = {days: against(corrected, days) for days in (2.0, 7.0, 14.0)}
    more = min(shown[days].at - plain[days].at for days in plain)
    return Effect(
        "V4",
        "Testing beats rereading, more so with feedback",
        "g = .39 without, .73 with feedback",
        (
            *(Check(f"no feedback, {days:.0f} days, g", value, 0.15, 0.70) for days, value in plain.items()),
            *(Check(f"feedback, {days:.0f} days, g", value, 0.35, 1.0) for days, value in shown.items()),
            Check("feedback adds at least, g", Value.exactly(more), 0.0, 2.0),
        ),
    )


def v16(like: SSR, n: int = 400, seed: int = 0) -> Effect:
    """Rereading feels better and lasts less (Roediger and Karpicke 2006, experiment 2)."""
    learners = readers(like)
    again = through(Visit.of(learners, n, seed).wait(8 * MINUTE), READ, 3)
    tested = through(Visit.of(learners, n, seed + 1).wait(8 * MINUTE), TRY, 3)

    def confidence(visit: Visit) -> Tensor:
        return learners.confidence(visit.state, visit.rng.at(visit.step)).mean(1)

    return Effect(
        "V16",
        "Who rereads is surer and remembers less",
        "restudy more confident, remembers less after a week (sign)",
        (
            Check("confidence, restudy less test, g", difference(confidence(again), confidence(tested)), 0.1, 5.0),
            Check(
                "recall after 7 days, restudy less test, g",
                difference(again.wait(7.0).recalled(), tested.wait(7.0).recalled()),
                -5.0,
                -0.1,
            ),
        ),
        "the fluency of rereading is a setting of ours (+.05)",
    )
