"""Sanity of the mechanism: what must hold for any learner, whatever the theory."""

from __future__ import annotations

import torch
from torch import Tensor

from ..rng import Purpose, Rng
from ..rows import map_tensors
from ..skills import skills_of
from ..student import Student
from .effect import Check, Value
from .laboratory import Visit
from .own_items import own_catalog

_SLACK = 1e-5


def _life(student: Student, n: int, steps: int, seed: int) -> tuple[Visit, list[tuple[Tensor, Tensor, Tensor]]]:
    """Return learners after random activities with a day off after every fifth, and (before, after, right) of each."""
    visit, seen = Visit.of(student, n, seed), []
    a = len(own_catalog(student).activities)
    padded = skills_of(own_catalog(student))
    for t in range(steps):
        activity = (visit.rng.at(t).uniform(Purpose.ACT)[:, 0] * a).long().clamp_max(a - 1)
        index = padded.index[activity][:, :1]
        before = visit.mastery()
        visit, response = visit.give(activity)
        taken = response.accepted
        seen.append(
            (before.gather(1, index)[taken, 0], visit.mastery().gather(1, index)[taken, 0], response.correct[taken])
        )
        if t % 5 == 4:
            visit = visit.wait(1.0)
    return visit, seen


def sanity(student: Student, n: int = 100, steps: int = 30, seed: int = 0) -> tuple[Check, ...]:
    """Return what must hold of mastery, waiting, practice, answers and batches, each as a number with its band."""
    visit, seen = _life(student, n, steps, seed)
    before, after, right = (torch.cat(column) for column in zip(*seen, strict=True))
    mastery = visit.mastery()
    outside = float(torch.maximum(-mastery, mastery - 1.0).max().clamp_min(0.0))
    waits = [visit.wait(days).mastery() for days in (1.0, 10.0, 100.0)]
    lifted = [float((b - a).mean(0).max()) for a, b in zip([mastery, *waits], waits, strict=False)]
    split = visit.wait(3.0).wait(7.0).mastery().mean(1) - visit.wait(10.0).mastery().mean(1)
    shows = before[right > 0.5].mean() - before[right < 0.5].mean()
    return (
        Check("mastery outside [0, 1], by", Value.exactly(outside), 0.0, _SLACK),
        Check("mean mastery of a skill that rises by waiting, at most", Value.exactly(max(lifted)), -1.0, 0.02),
        Check("3 and 7 days less 10 days, mean mastery", Value.mean(split), -0.02, 0.02),
        Check("mastery gained by practising a skill", Value.mean(after - before), 0.0, 1.0),
        Check("mastery of those who answer right less those who do not", Value.exactly(float(shows)), 0.0, 1.0),
        Check("learners who live otherwise in another batch", Value.exactly(_moved(student, seed)), 0.0, 0.0),
    )


def _moved(student: Student, seed: int) -> float:
    """Return the share of learners whose life hangs on who else is there."""
    activities = range(min(8, len(own_catalog(student).activities)))

    def live(rng: Rng) -> Tensor:
        state = student.enrol(rng)
        seen = [student.mastery(state)]
        for t, a in enumerate(activities):
            state, response = student.answer(state, torch.full_like(rng.learner, a), rng.at(t))
            state = student.elapse(state, torch.ones_like(response.minutes), rng.at(t))
            seen += [student.mastery(state), response.correct[:, None], response.minutes[:, None]]
        return torch.cat(seen, 1)

    everyone = Rng.enrol(seed, 0, 37)
    alone = [live(map_tensors(lambda x, i=i: x[i : i + 1], everyone)) for i in (0, 5, 36)]
    together = live(everyone)
    return sum(not torch.equal(a[0], together[i]) for a, i in zip(alone, (0, 5, 36), strict=True)) / 3
