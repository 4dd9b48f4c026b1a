"""Index: what linear indices of activities are made of, for one activity as for any other."""

from __future__ import annotations

import torch
from torch import Tensor

from ..envs.observer import History, Space
from ..envs.skills import mean_over_skills

_PLAIN = 12


def kinds(space: Space) -> tuple[str, ...]:
    """Return the kinds of activity that a catalogue has."""
    return tuple(sorted(set(space.kinds)))


def width(space: Space) -> int:
    """Return D, the number of columns."""
    n = 4 + _told(space)
    return _PLAIN + _told(space) + n * (n + 1) // 2 - 1 + len(kinds(space))


def columns(space: Space, features: Tensor, history: History | None) -> Tensor:
    """Return (B, A, D), each about -1 to 1.

    Of each activity: its share of goal skills, the believed gap of goals, believed mastery and its square (so that an
    index can peak anywhere), rank in mastery and in waiting time among all activities, how often and how well it was
    done, how many times in a row, whether it is new, readiness of its prerequisites, and its minutes; what the tracer
    tells of its skills; its kind.
    """
    mastery, goal, belief, progress = features.split_with_sizes([w for _, w in space.groups], 1)[:4]
    k = mastery.shape[1]
    known, wanted = mean_over_skills(mastery, space.skills), mean_over_skills(goal, space.skills)
    gap = mean_over_skills((1.0 - mastery) * goal, space.skills)
    if history is None:
        attempts = right = streak = since = torch.zeros_like(known)
    else:
        attempts, right, streak = history.attempts.float(), history.right.float(), history.streak.float()
        since = history.since
    ready = known if space.needs is None else mean_over_skills(mastery, space.needs)
    own = [
        *(wanted, gap, known, known.square(), _rank(known), _rank(since), (attempts == 0).float()),
        *(attempts.log1p() / 2.0, right / attempts.clamp_min(1.0), streak.log1p() / 2.0, ready),
        (space.minutes.log1p() / 4.0).expand_as(known),
    ]
    told = [mean_over_skills(belief[:, i * k : (i + 1) * k], space.skills) / 4.0 for i in range(_told(space))]
    part = torch.stack([progress[:, 1:2].expand_as(known), known, own[7], own[5], *told], 2)
    i, j = torch.triu_indices(part.shape[2], part.shape[2])[:, 1:]
    own += [*told, *(part[..., i] * part[..., j]).unbind(2)]
    kind = torch.tensor([[a == b for b in kinds(space)] for a in space.kinds], dtype=known.dtype, device=known.device)
    return torch.cat([torch.stack(own, 2), kind.expand(len(known), *kind.shape)], 2)


def _told(space: Space) -> int:
    """Return how many numbers the tracer tells of each skill beside mastery."""
    widths = dict(space.groups)
    per_skill, left = divmod(widths["belief"], widths["mastery"])
    return 0 if left else per_skill


def _rank(values: Tensor) -> Tensor:
    """Return (B, A) in [0, 1], the share of the others in a row that are less."""
    return torch.searchsorted(values.sort(1).values, values.contiguous()) / max(1, values.shape[1] - 1)
