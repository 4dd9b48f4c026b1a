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
    width, trials = lesson.skill.shape[1], lesson.kind.trials * taken
    for j in range(int(trials.max()) if len(trials) else 0):
        rows = (trials > j).nonzero()[:, 0]
        few, some, thought = _few(lesson, rows), take(slots, rows), take(mind, rows)
        u = take(rng, rows).uniform(Purpose.ANSWER, width + 2, block=j).t().contiguous()
        some, after = attempt(acquisition, memory, contrast, few, some, thought, j, u)
        after = after._replace(success=motivation.after(thought.success, after.right - thought.right))
        slots, mind = _put(slots, rows, some), _put(mind, rows, after)
    rows = (taken & (lesson.kind.trials == 0)).nonzero()[:, 0]
    if len(rows):
        leap = take(rng, rows).uniform(Purpose.LEARN, 1)[:, 0].contiguous()
        slots = _put(slots, rows, expose(acquisition, memory, _few(lesson, rows), take(slots, rows), leap))
    return slots, mind


def restored(lesson: Lesson, slots: Slots, state: SSRState) -> dict[str, Tensor]:
    """Return the (B, K) tensors of `state` with `slots` written back, by name."""
    if lesson.skill.shape[1] == 1:
        return {name: getattr(state, name).scatter(1, lesson.skill, getattr(slots, name)) for name in Slots._fields}
    # Padding points at skill 0 and must not write: send it to a column that is cut off again.
    spare = state.strength.shape[1]
    index = torch.where(lesson.real, lesson.skill, spare)
    written = {}
    for name in Slots._fields:
        old = getattr(state, name)
        wide = torch.cat([old, old[:, :1]], 1)
        written[name] = wide.scatter_(1, index, getattr(slots, name))[:, :spare].contiguous()
    return written


def _few(lesson: Lesson, rows: Tensor) -> Lesson:
    """Return the lesson of the learners `rows`; what belongs to the catalogue stays whole."""
    few = take(lesson._replace(group=lesson.start, size=lesson.start), rows)
    return few._replace(group=lesson.group, size=lesson.size)


def _put(old: R, rows: Tensor, new: R) -> R:
    return type(old)(*(a.index_copy(0, rows, b) for a, b in zip(old, new, strict=True)))
