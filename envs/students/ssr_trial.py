"""Trials: one problem, or one exposure, of learners at the skills of an activity; pure and compact."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .ssr_acquisition import Acquisition
from .ssr_kinds import KindTable
from .ssr_memory import SAME_SITTING, Memory
from .steady import halved, logistic

KNOWN = 30.0  # strength, in logits, of a skill that is known for good (two-state learning)
DOUBT = 0.06  # how far one graded answer moves a learner's belief in themselves
FLUENCY = 0.05  # what rereading adds to it


class Slots(NamedTuple):
    """How b learners stand at the M skills of their activities; one row per learner."""

    strength: Tensor  # (b, M) logits
    stability: Tensor  # (b, M) days
    seen: Tensor  # (b, M) day when the skill was last in reach
    grown: Tensor  # (b, M) int8, growth events in the same half day
    exposed: Tensor  # (b, M) int8, exposures without retrieval
    belief: Tensor  # (b, M) the learner's own, in (0, 1)


class Mind(NamedTuple):
    """What changes from trial to trial besides the skills."""

    cue: Tensor  # (b, G) logits, how well the skills of a confusable group are told apart
    last: Tensor  # (b,) int64, skill of the last trial in this session, -1 none
    success: Tensor  # (b,) running mean of graded answers
    right: Tensor  # (b,) number of right answers in this activity


class Lesson(NamedTuple):
    """What stays the same through an activity."""

    kind: KindTable
    skill: Tensor  # (b, M) int64, the skills; padding where `real` is False
    real: Tensor  # (b, M) bool
    n_skills: Tensor  # (b,) int64, how many are real
    difficulty: Tensor  # (b, M) logits
    slope: Tensor  # (b,)
    growth: Tensor  # (b, M) logits for one ideal practice: learner, skill and gate included
    opened: Tensor  # (b, M) the gate alone
    slip: Tensor  # (b,)
    start: Tensor  # (b,) day when the activity began
    lasts: Tensor  # (b,) days that one trial takes
    group: Tensor  # (K,) int64, confusable group of each skill, -1 none
    size: Tensor  # (G,) skills in each group


def knows(lesson: Lesson, slots: Slots) -> Tensor:
    """Return (b, M), the probability that each skill is strong enough for the item."""
    return logistic(lesson.slope[:, None] * (slots.strength - lesson.difficulty))


def every(values: Tensor, chosen: Tensor) -> Tensor:
    """Return (b,), the product of `values` (b, M) where `chosen`; multiplied in one order, whatever the batch."""
    factors = torch.where(chosen, values, torch.ones_like(values))
    product = factors[:, 0]
    for j in range(1, factors.shape[1]):
        product = product * factors[:, j]
    return product


def told_apart(lesson: Lesson, mind: Mind, skill: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return whether `skill` (b,) follows another of its group, the group, and P(right strategy)."""
    group, before = lesson.group[skill], lesson.group[mind.last.clamp_min(0)]
    switched = (group >= 0) & (mind.last >= 0) & (before == group) & (mind.last != skill)
    group = group.clamp_min(0)
    chance = 1.0 / lesson.size[group]
    seen = logistic(mind.cue.gather(1, group[:, None])[:, 0].contiguous())
    return switched, group, torch.where(switched, chance + (1.0 - chance) * seen, torch.ones_like(seen))


def attempt(
    acquisition: Acquisition,
    memory: Memory,
    contrast: float,
    lesson: Lesson,
    slots: Slots,
    mind: Mind,
    j: int,
    u: Tensor,
) -> tuple[Slots, Mind]:
    """Return what problem `j` leaves; uniforms `u` by row: retrieval of each skill, then, last, answer and leap."""
    kind, now = lesson.kind, (lesson.start + j * lesson.lasts)[:, None]
    days = now - slots.seen
    reach = memory.reach(days, slots.stability)
    strong = knows(lesson, slots)
    alone = strong * reach
    place = _place(lesson, alone, j)
    span = 1.0 - kind.guess - lesson.slip
    held = torch.maximum(alone, ((kind.hold - kind.guess) / span)[:, None])  # with hints, where there is a helper
    chosen = (torch.arange(lesson.skill.shape[1], device=u.device) == place[:, None]) & lesson.real
    chosen = torch.where((kind.together & (lesson.n_skills > 1))[:, None], lesson.real, chosen)
    skill = lesson.skill.gather(1, place[:, None])[:, 0]
    switched, group, apart = told_apart(lesson, mind, skill)

    recalled = u[: held.shape[1]].t() < held  # (b, M)
    all_recalled = every(recalled.float(), chosen)
    p = kind.guess + span * every(held, chosen) * apart
    p_now = kind.guess + span * all_recalled * apart
    p = p + kind.worked * (1.0 - p)  # a faded example does part of the work
    correct = (u[-2] < p_now).float()

    practice = kind.strength * acquisition.challenge(p) * acquisition.taught(correct, kind.right, kind.wrong)
    seen_again = kind.study[:, None] * halved(slots.exposed)  # the answer that is shown is an exposure too
    amount = kind.worked[:, None] * acquisition.example(strong) + ((1.0 - kind.worked) * practice)[:, None] + seen_again
    strength = _stronger(acquisition, lesson, slots, amount, chosen, u[-1])

    stale = days > SAME_SITTING
    count = torch.where(stale, torch.zeros_like(slots.grown), slots.grown)
    better = memory.grown(slots.stability, memory.effort(days, reach, kind.recall[:, None]), count, kind.grow[:, None])
    lost = ~recalled & chosen & kind.corrects[:, None]
    won = recalled & chosen
    stability = torch.where(won, better, torch.where(lost, memory.lapsed(slots.stability, reach), slots.stability))
    after = Slots(
        strength,
        stability,
        torch.where(won | lost, now, slots.seen),
        torch.where(won, count + 1, count).clamp_max(100).to(slots.grown.dtype),
        (slots.exposed + (chosen & (kind.study > 0)[:, None])).clamp_max(100).to(slots.exposed.dtype),
        torch.where(chosen, slots.belief + DOUBT * (correct[:, None] - slots.belief), slots.belief),
    )
    cue = mind.cue
    if contrast:
        cue = cue.scatter_add(1, group[:, None], (contrast * switched)[:, None])
    return after, Mind(cue, skill, mind.success, mind.right + correct)


def expose(acquisition: Acquisition, memory: Memory, lesson: Lesson, slots: Slots, leap: Tensor) -> Slots:
    """Return what watching, reading or a worked example leaves; `leap` (b,) uniforms for two-state learning."""
    kind, now = lesson.kind, lesson.start[:, None]
    days = now - slots.seen
    reach = memory.reach(days, slots.stability)
    active = lesson.real & ~kind.idle[:, None]
    fading = halved(slots.exposed)
    amount = kind.study[:, None] * fading + kind.worked[:, None] * acquisition.example(knows(lesson, slots))
    count = torch.where(days > SAME_SITTING, torch.zeros_like(slots.grown), slots.grown)
    effort = memory.effort(days, reach, torch.ones_like(reach))
    return Slots(
        _stronger(acquisition, lesson, slots, amount, active, leap),
        torch.where(active, memory.grown(slots.stability, effort, count, kind.grow[:, None]), slots.stability),
        torch.where(active, now, slots.seen),
        count,
        torch.where(active, slots.exposed + 1, slots.exposed).clamp_max(100).to(slots.exposed.dtype),
        torch.where(active, (slots.belief + FLUENCY).clamp_max(0.99), slots.belief),
    )


def p_check(memory: Memory, lesson: Lesson, slots: Slots, now: Tensor) -> Tensor:
    """Return (b,), the probability of a right answer to one item that needs all skills at `now` (b,)."""
    held = knows(lesson, slots) * memory.reach(now[:, None] - slots.seen, slots.stability)
    return lesson.kind.guess + (1.0 - lesson.kind.guess - lesson.slip) * every(held, lesson.real)


def _place(lesson: Lesson, held: Tensor, j: int) -> Tensor:
    """Return (b,) the slot of problem `j`: the skills in turn, or the weakest one where a helper holds success up."""
    turn = torch.where(lesson.kind.together, torch.zeros_like(lesson.n_skills), j % lesson.n_skills)
    weakest = torch.where(lesson.real, held, torch.full_like(held, 2.0)).argmin(1)
    return torch.where(lesson.kind.hold > 0, weakest, turn)


def _stronger(
    acquisition: Acquisition, lesson: Lesson, slots: Slots, amount: Tensor, chosen: Tensor, leap: Tensor
) -> Tensor:
    if acquisition.leap > 0.0:
        learnt = chosen & (amount > 0) & (leap[:, None] < acquisition.leap * lesson.opened)
        return torch.where(learnt, torch.full_like(slots.strength, KNOWN), slots.strength)
    return torch.where(chosen, slots.strength + lesson.growth * amount, slots.strength)
