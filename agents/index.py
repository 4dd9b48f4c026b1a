"""Index: what linear indices of activities are made of, for one activity as for any other."""

from __future__ import annotations

import torch
from torch import Tensor

from ..envs.observer import History, Space
from ..envs.skills import mean_over_skills

_PLAIN = 13
_DENSEST = 4.0  # times the gap that a long activity of the mean length has for each minute; more counts as so much


def kinds(space: Space) -> tuple[str, ...]:
    """Return the kinds of activity that a catalogue has."""
    return tuple(sorted(set(space.kinds)))


def width(space: Space) -> int:
    """Return D, the number of columns with one for each of the catalogue's own kinds."""
    n = 4 + told(space)
    return _PLAIN + told(space) + n * (n + 1) // 2 - 1 + len(kinds(space))


def columns(space: Space, features: Tensor, history: History | None, known_kinds: tuple[str, ...]) -> Tensor:
    """Return (B, A, D), most of them from 0 to 1; an activity of none of `known_kinds` has 0 in all their columns.

    Of each activity: its share of goal skills, the believed gap of goals, believed mastery and its square (so that an
    index can peak anywhere), rank in mastery and in waiting time among all activities, whether it is new, how often and
    how well it was done, how many times in a row, readiness of its prerequisites, its minutes, the gap it can close for
    each of them; what the tracer tells of its skills; products of two of progress, mastery, attempts, waiting and what
    the tracer tells; its kind.
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
    dense = (space.minutes.mean() / space.minutes.clamp_min(1e-6)).clamp_max(_DENSEST)
    ready = known if space.needs is None else mean_over_skills(mastery, space.needs)
    own = [
        *(wanted, gap, known, known.square(), _rank(known), _rank(since), (attempts == 0).float()),
        *(attempts.log1p() / 2.0, right / attempts.clamp_min(1.0), streak.log1p() / 2.0, ready),
        *((space.minutes.log1p() / 4.0).expand_as(known), gap * space.skills.real.sum(1) * dense / 2.0),
    ]
    channels = [mean_over_skills(belief[:, i * k : (i + 1) * k], space.skills) / 4.0 for i in range(told(space))]
    part = torch.stack([progress[:, 1:2].expand_as(known), known, own[7], own[5], *channels], 2)
    i, j = torch.triu_indices(part.shape[2], part.shape[2])[:, 1:]
    own += [*channels, *(part[..., i] * part[..., j]).unbind(2)]
    kind = torch.tensor([[a == b for b in known_kinds] for a in space.kinds], dtype=known.dtype, device=known.device)
    kind = kind.reshape(space.n_activities, len(known_kinds))
    return torch.cat([torch.stack(own, 2), kind.expand(known.shape[0], *kind.shape)], 2)


def told(space: Space) -> int:
    """Return how many numbers the tracer tells of each skill beside mastery."""
    widths = dict(space.groups)
    per_skill, left = divmod(widths["belief"], widths["mastery"])
    return 0 if left else per_skill


def _rank(values: Tensor) -> Tensor:
    """Return (B, A) in [0, 1], the share of the others in a row that are less."""
    most = max(1, values.shape[1] - 1)
    if torch.compiler.is_exporting():  # a graph knows no search
        return (values[:, None, :] < values[:, :, None]).sum(2) / most
    return torch.searchsorted(values.sort(1).values, values.contiguous()) / most
