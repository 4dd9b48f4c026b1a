"""Experiments on learners who bring their own items: what can be tried where no material can be made to order."""

from __future__ import annotations

import torch
from torch import Tensor

from ...data.catalog import Catalog
from ..student import Student
from .effect import Effect
from .laboratory import Visit
from .practice import learning_rate
from .spacing import DELAYS, GAPS, Facts, best_gap, forgetting, pooled_recall, recall_by_gap, spaced_retrieval

FACTS, FEWEST, ROUNDS = 12, 3, 6
PRACTICE = frozenset({"practice", "exercise", "problem"})
TIMELESS = "time changes nothing in these learners"
FEW = "fewer than three activities have a skill of their own"


def own_catalog(student: Student) -> Catalog:
    """Return the catalogue of learners; RuntimeError where they have none yet."""
    if student.catalog is None:
        raise RuntimeError("these learners have no catalogue yet: call fit(log, catalog)")
    return student.catalog


def probes(catalog: Catalog, most: int, kinds: frozenset[str] | None = None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return up to `most` activities of one skill each, no skill twice, and their skills; the middle of the catalogue.

    Skills lie spread over the catalogue. `kinds`: of these kinds only.
    """
    first: dict[int, int] = {}
    for a, activity in enumerate(catalog.activities):
        if len(activity.skills) == 1 and (kinds is None or activity.kind in kinds):
            first.setdefault(catalog.skill_index[activity.skills[0]], a)
    skills = sorted(first)
    if len(skills) > most:
        skills = [skills[i * len(skills) // most] for i in range(most)]
    return tuple(first[k] for k in skills), tuple(skills)


def acquainted(student: Student, n: int, seed: int) -> Facts:
    """Return n learners who were tested on each of some items until they knew it once, at most six times."""
    tests, skills = probes(own_catalog(student), FACTS)
    visit = Visit.of(student, n, seed)
    known = torch.zeros(n, len(tests), dtype=torch.bool)
    for _ in range(ROUNDS):
        for i, test in enumerate(tests):
            visit, response = visit.give(test, ~known[:, i])
            known[:, i] |= response.correct > 0.5
        if bool(known.all()):
            break
    return Facts(visit, tests, skills)


def timeless(facts: Facts) -> bool:
    """Return whether a month changes nothing."""
    return torch.equal(facts.start.mastery(), facts.start.wait(30.0).mastery())


def own_v1(student: Student, n: int = 200, seed: int = 0) -> Effect | str:
    """The design of V1 on the learners' own items, or why it cannot be tried."""
    facts = acquainted(student, n, seed)
    return FEW if len(facts.tests) < FEWEST else TIMELESS if timeless(facts) else best_gap(facts, seed)


def own_v5(student: Student, n: int = 200, seed: int = 0) -> Effect | str:
    """The design of V5 on the learners' own items, or why it cannot be tried."""
    groups = [acquainted(student, n, seed + i) for i in range(4)]
    few = len(groups[0].tests) < FEWEST
    return FEW if few else TIMELESS if timeless(groups[0]) else spaced_retrieval(groups)


def own_v18(student: Student, n: int = 200, seed: int = 0) -> Effect | str:
    """The design of V18 on the learners' own items, or why it cannot be tried."""
    facts = acquainted(student, n, seed)
    return FEW if len(facts.tests) < FEWEST else TIMELESS if timeless(facts) else forgetting(facts)


def lag_curve(facts: Facts) -> list[float] | None:
    """Return the share recalled after each of `LAGS` days, of facts known once; None where it cannot be asked."""
    return None if len(facts.tests) < FEWEST or timeless(facts) else pooled_recall(facts).tolist()


def practised(student: Student, n: int, seed: int) -> Tensor | None:
    """Return (n, K, 12), the answers to twelve problems each of up to twenty skills in turn; None without problems."""
    tests, _ = probes(own_catalog(student), 20, PRACTICE)
    if len(tests) < FEWEST:
        return None
    visit, answers = Visit.of(student, n, seed), torch.zeros(n, len(tests), 12, dtype=torch.float64)
    for t in range(12):
        for k, test in enumerate(tests):
            visit, response = visit.give(test)
            answers[:, k, t] = response.correct.double()
    return answers


def own_v7(student: Student, n: int = 400, seed: int = 0) -> Effect | str:
    """The design of V7 on the learners' own problems, or why it cannot be tried."""
    answers = practised(student, n, seed)
    if answers is None:
        return "there are no problems to practise, only cards"
    return learning_rate(answers[None], "on the learners' own problems, one a skill")


def spacing_curves(facts: Facts) -> list[list[float]] | None:
    """Return mean recall by delay of `DELAYS` and gap of `GAPS`, of facts known once; None where it cannot be asked."""
    if len(facts.tests) < FEWEST or timeless(facts):
        return None
    return recall_by_gap(facts, GAPS, DELAYS).mean(2).tolist()
