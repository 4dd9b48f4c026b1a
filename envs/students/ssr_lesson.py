"""Lessons: an activity brought to each learner, worked through problem by problem, and written back."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from ..rng import Purpose, Rng
from ..rows import take
from .ssr_acquisition import Acquisition
from .ssr_memory import Memory
from .ssr_motivation import Motivation
from .ssr_state import KnownCatalog, SSRState
from .ssr_trial import Lesson, Mind, Slots, attempt, expose
from .steady import logistic

DAY = 1440.0  # minutes
MANY = 4096  # learners, above which those with one skill and those with several are worth telling apart
R = TypeVar("R", Slots, Mind)
SECOND_LANGUAGE = 3  # its place in the population's equity groups


def prepare(
    t: KnownCatalog,
    acquisition: Acquisition,
    memory: Memory,
    slip: float,
    state: SSRState,
    activity: Tensor,
    minutes: Tensor,
) -> tuple[Lesson, Slots]:
    """Return `activity` (B,) as each learner meets it, and how they stand at its skills."""
    kind, index, real = t.kinds.at(activity), t.skills.index[activity], t.skills.real[activity]
    slots = Slots(*(getattr(state, name).gather(1, index) for name in Slots._fields))
    opened = torch.ones_like(slots.strength)
    if not t.parents.empty:
        above, there = t.parents.index[index], t.parents.real[index]  # (B, M, P)
        flat = above.flatten(1)
        days = state.now[:, None] - state.seen.gather(1, flat)
        reach = memory.reach(days, state.stability.gather(1, flat))
        held = logistic(state.strength.gather(1, flat) - t.traits.difficulty[flat]) * reach
        opened = acquisition.opened(held.view_as(above), there)
    foreign = state.group == SECOND_LANGUAGE
    speed = state.rate * torch.where(kind.wordy & foreign, 0.8, 1.0)
    lesson = Lesson(
        kind=kind,
        skill=index,
        real=real,
        n_skills=t.n_skills[activity],
        difficulty=t.traits.difficulty[index] + t.traits.item[activity][:, None],
        slope=t.traits.slope[activity],
        growth=acquisition.rate * speed[:, None] * t.traits.rate[index] * opened,
        opened=opened,
        slip=slip + 0.05 * foreign,
        start=state.now,
        lasts=minutes / DAY / kind.trials.clamp_min(1),
        group=t.group,
        size=t.size,
    )
    return lesson, slots


def work(
    acquisition: Acquisition,
    memory: Memory,
    motivation: Motivation,
    contrast: float,
    lesson: Lesson,
    slots: Slots,
    mind: Mind,
    taken: Tensor,
    rng: Rng,
) -> tuple[Slots, Mind]:
    """Return what the problems, or the exposure, leave in those who took the activity up (`taken` (B,) bool)."""
    trials = lesson.kind.trials * taken
    if lesson.skill.shape[1] > 1 and len(trials) > MANY:
        single = lesson.n_skills == 1  # most activities: no need to carry the padding of the others along
        groups = [((trials > 0) & single, 1), ((trials > 0) & ~single, lesson.skill.shape[1])]
    else:
        groups = [(trials > 0, lesson.skill.shape[1])]
    for chosen, width in groups:
        rows = chosen.nonzero()[:, 0]
        if len(rows):
            rows = rows[trials[rows].argsort(descending=True, stable=True)]
            few, some, thought = _few(lesson, rows), take(slots, rows), take(mind, rows)
            if width < lesson.skill.shape[1]:
                few, some = _narrow(few, width), Slots(*(column[:, :width].contiguous() for column in some))
            draws = lesson.skill.shape[1] + 2
            some, thought = _problems(
                acquisition, memory, motivation, contrast, few, some, thought, take(rng, rows), draws
            )
            some = Slots(*(column.expand(-1, lesson.skill.shape[1] - width + column.shape[1]) for column in some))
            slots, mind = _put(slots, rows, some), _put(mind, rows, thought)
    rows = (taken & (lesson.kind.trials == 0)).nonzero()[:, 0]
    if len(rows):
        leap = take(rng, rows).uniform(Purpose.LEARN, 1)[:, 0].contiguous()
        slots = _put(slots, rows, expose(acquisition, memory, _few(lesson, rows), take(slots, rows), leap))
    return slots, mind


def _problems(
    acquisition: Acquisition,
    memory: Memory,
    motivation: Motivation,
    contrast: float,
    lesson: Lesson,
    slots: Slots,
    mind: Mind,
    rng: Rng,
    draws: int,
) -> tuple[Slots, Mind]:
    """Return what is left of learners in the order of how many problems they have, most first, after all of them.

    So problem j concerns the first few rows, which are a view; `slots` and `mind` are written over.
    """
    trials = lesson.kind.trials
    counts = [int((trials > j).sum()) for j in range(int(trials[0]))]
    who = torch.cat([torch.arange(n, device=trials.device) for n in counts])
    turn = torch.repeat_interleave(torch.tensor(counts, device=trials.device))
    u = take(rng, who).uniform(Purpose.ANSWER, draws, block=turn).t().contiguous()
    at = 0
    for j, n in enumerate(counts):
        if n < len(lesson.start):
            lesson = _few(lesson, slice(0, n))
        some, thought = take(slots, slice(0, n)), take(mind, slice(0, n))
        some, after = attempt(acquisition, memory, contrast, lesson, some, thought, j, u[:, at : at + n])
        after = after._replace(success=motivation.after(thought.success, after.right - thought.right))
        for old, new in zip((*slots, *mind), (*some, *after), strict=True):
            old[:n] = new
        at += n
    return slots, mind


def restored(lesson: Lesson, slots: Slots, state: SSRState) -> dict[str, Tensor]:
    """Return the (B, K) tensors of `state` with `slots` written back, by name."""
    # Padding points at skill 0 and must not write: let it write the first skill's value once more.
    index = torch.where(lesson.real, lesson.skill, lesson.skill[:, :1])
    written = {}
    for name, values in zip(Slots._fields, slots, strict=True):
        values = torch.where(lesson.real, values, values[:, :1])
        written[name] = getattr(state, name).scatter(1, index, values)
    return written


def _few(lesson: Lesson, rows: Tensor | slice) -> Lesson:
    """Return the lesson of the learners `rows`; what belongs to the catalogue stays whole."""
    few = take(lesson._replace(group=lesson.start, size=lesson.start), rows)
    return few._replace(group=lesson.group, size=lesson.size)


def _narrow(lesson: Lesson, width: int) -> Lesson:
    """Return the lesson without the padding of activities that have more than `width` skills."""
    wide = ("skill", "real", "difficulty", "growth", "opened")
    return lesson._replace(**{name: getattr(lesson, name)[:, :width].contiguous() for name in wide})


def _put(old: R, rows: Tensor, new: R) -> R:
    return type(old)(*(a.index_copy(0, rows, b) for a, b in zip(old, new, strict=True)))
