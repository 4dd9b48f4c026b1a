"""Interleaving: problems that look alike, one kind after the other or mixed."""

from __future__ import annotations

import torch
from torch import Tensor

from ...data.catalog import Activity, Catalog, Skill
from ..rng import Purpose
from ..students.ssr import SSR
from ..students.ssr_population import Material
from .effect import Check, Effect, Value, difference
from .laboratory import Visit, participants
from .practice import in_use, kinds_of

SKILLS, TIMES = 4, 6


def look_alikes() -> Catalog:
    """Return four confusable skills with a problem each; activity k practises skill k."""
    names = [f"s{k}" for k in range(SKILLS)]
    problems = [Activity(f"practice {name}", "", "practice", (name,), 2.0) for name in names]
    mixed = Activity("mixed", "", "interleaved", tuple(names), 12.0)
    return Catalog(tuple(Skill(name) for name in names), (*problems, mixed))


def mixed_test(visit: Visit, student: SSR, rounds: int = 5) -> Tensor:
    """Return (B,), the share right of a test whose every item follows one of another skill; it changes nothing."""
    u = visit.rng.at(visit.step).uniform(Purpose.ACT, SKILLS * rounds)
    p = []
    for k in range(SKILLS):
        cold = visit.state._replace(last=torch.full_like(visit.state.last, (k + 1) % SKILLS))
        p.append(student.p_correct(cold, torch.full_like(visit.rng.learner, k)))
    return (u < torch.stack(p * rounds, 1)).float().mean(1)


def v10(like: SSR, n: int = 2000, seed: int = 0) -> Effect:
    """Four skills, six problems each, in blocks or mixed (Brunmair and Richter 2019; Rohrer et al. 2014)."""
    orders = ([k for k in range(SKILLS) for _ in range(TIMES)], [k for _ in range(TIMES) for k in range(SKILLS)])
    gain, practice = {}, {}
    for i, similarity in enumerate((0.0, 0.5, 1.0)):
        alike = Material(similarity=similarity, contrast=like.material.contrast)
        learners = participants(look_alikes(), kinds_of(like), like, in_use(like), alike)
        scores, right = [], []
        for arm, order in enumerate(orders):
            visit, answers = Visit.of(learners, n, seed + 10 * i + arm), []
            for k in order:
                visit, response = visit.give(k)
                answers.append(response.correct)
            scores.append(mixed_test(visit, learners))
            right.append(torch.stack(answers, 1).mean(1))
        gain[similarity] = difference(scores[1], scores[0])
        practice[similarity] = right
    lower = practice[0.5][0] - practice[0.5][1]
    return Effect(
        "V10",
        "Mixing helps in the test and hurts in practice, the more alike the skills",
        "g = .42; 1.05 for very similar ones; below 0 for words",
        (
            Check("mixed less blocked, similarity .5, g", gain[0.5], 0.25, 0.60),
            Check("mixed less blocked, similarity 1, g", gain[1.0], 0.60, 1.20),
            Check("mixed less blocked, similarity 0, g", gain[0.0], -1.0, 0.10),
            Check("right in practice, blocked less mixed", Value.mean(lower), 0.0, 1.0),
        ),
        "the growth of discrimination was set by hand for this",
    )
