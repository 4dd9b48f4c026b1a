"""Mastery: how long learners practise when a Bayesian tracer says when to stop."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...data.catalog import Catalog
from ..skills import parents_of, skills_of
from ..students.ssr import SSR
from ..students.ssr_acquisition import Acquisition
from ..students.ssr_kinds import Kind
from ..students.ssr_memory import Memory
from ..students.ssr_population import Population
from ..tracer import Evidence
from ..tracers.bkt import BKT, BKTParameters
from .effect import Check, Effect, Value
from .laboratory import UNIFORM, Visit, material, participants

GUESS, SLIP = 0.2, 0.1


def two_state(catalog: Catalog, like: SSR, known: float, learn: float) -> SSR:
    """Return learners who know a skill or do not: SSR with its strength cut to two values is the BKT learner.

    Learners whom practice does not teach (`rate` 0) do not leap either.
    """
    kinds = {"practice": Kind(guess=GUESS)}
    taught = Acquisition(leap=learn, gate=1.0) if like.acquisition.rate > 0 else like.acquisition
    simple = replace(like, acquisition=taught, memory=Memory(forgets=False))
    return participants(catalog, kinds, simple, Population(known=known), replace(UNIFORM, slip=SLIP))


def tracer_of(catalog: Catalog, known: float, learn: float) -> BKT:
    """Return a Bayesian tracer with these numbers for every skill."""
    ones = torch.ones(len(catalog.skills))
    parameters = BKTParameters(
        prior=known * ones,
        learn=learn * ones,
        guess=GUESS * ones,
        slip=SLIP * ones,
        forget=0 * ones,
        decay=0 * ones,
        shift=torch.zeros(1),
        weight=torch.ones(1),
        skills=skills_of(catalog),
        parents=parents_of(catalog),
    )
    return BKT(classes=1, parameters=parameters)


def until_mastery(student: SSR, tracer: BKT, n: int, seed: int, bar: float = 0.95) -> tuple[Tensor, Tensor]:
    """Return problems done and true mastery of each learner when the tracer first believes in mastery at `bar`."""
    visit, belief = Visit.of(student, n, seed), tracer.start(n)
    done, mastered = torch.zeros(n), torch.zeros(n)
    going = torch.ones(n, dtype=torch.bool)
    zero = torch.zeros(n, dtype=torch.int64)
    while bool(going.any()) and visit.step < 150:
        visit, response = visit.give(0, going)
        belief = tracer.update(belief, Evidence(zero, response.correct))
        done = done + going
        stops = going & (tracer.mastery(belief)[:, 0] >= bar)
        mastered = torch.where(stops, visit.mastery()[:, 0], mastered)
        going = going & ~stops
    return done, mastered


def v20(like: SSR, n: int = 4000, seed: int = 0) -> Effect:
    """Practice until .95 (Corbett and Anderson 1995), also under parameters of others (Doroudi and Brunskill 2019)."""
    catalog = material(1, (("practice", 2.0),))
    everyone, slow, fast = (0.5, 0.15), (0.3, 0.05), (0.7, 0.30)
    checks = []
    for what, truth, believed, problems, share in (
        ("all, own parameters", everyone, everyone, 5.9, 0.974),
        ("slow, own parameters", slow, slow, 17.0, 0.945),
        ("slow, everybody's parameters", slow, everyone, 14.3, 0.881),
        ("fast, own parameters", fast, fast, 3.1, 0.982),
        ("fast, everybody's parameters", fast, everyone, 3.7, 0.992),
    ):
        done, mastered = until_mastery(two_state(catalog, like, *truth), tracer_of(catalog, *believed), n, seed)
        checks.append(Check(f"{what}: problems", Value.mean(done), 0.9 * problems, 1.1 * problems))
        checks.append(Check(f"{what}: truly mastered", Value.mean(mastered), 0.9 * share, min(1.0, 1.1 * share)))
    return Effect(
        "V20",
        "A tracer that is right stops at mastery; one that is wrong stops too early for slow learners",
        "5.9 problems, .974 mastered; slow 17.0/.945, or 14.3/.881 under everybody's parameters",
        tuple(checks),
        "the two-state special case of SSR",
    )
