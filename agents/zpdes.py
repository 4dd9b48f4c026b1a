"""ZPDES: every learner's own bandit on learning progress, in a zone of activities that success opens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..envs.observer import Observation, Space
from .agent import Policy, lived, uniform


@dataclass(frozen=True, eq=False)
class ZPDES(Policy):
    """The Zone of Proximal Development and Empirical Success (Clement, Roy, Oudeyer and Lopes 2015, section 3).

    The reward of an activity is learning progress: mean success in its latest `memory` / 2 answers less that in the
    `memory` / 2 before, not below 0. Each answer moves the activity's weight, w = keep w + (1 - keep) reward, and open
    activities are drawn in proportion to w + `explore` times the sum of w. Activities are grouped by their first skill
    and groups come in the catalogue's order: the first `start` are open; the next opens once the mean recent success
    of the open groups exceeds `opens`, with two answers or more; a group closes once its own recent success exceeds
    `closes`, unless it is the last one open. Where the guards close every open group, any allowed activity.

    All of it follows from the learner's latest answers, so it needs an Observer with a `window`, best one as long as
    the session: what lies before the window is forgotten. Nothing is learnt across learners.
    """

    space: Space
    memory: int = 6  # answers
    keep: float = 0.2
    explore: float = 0.1
    start: int = 1
    opens: float = 0.5
    closes: float = 0.7
    first_weight: float = 0.05

    def __call__(self, observation: Observation) -> Tensor:
        history = lived(observation)
        if history.recent.shape[1] == 0:
            raise ValueError("ZPDES needs the latest answers in order: give the Observer a window, say of the horizon")
        weight, open_ = self._follow(history.recent.long(), history.recent_correct)
        zone = observation.mask & open_[:, self._group]
        weight = (weight + self.explore * (weight * zone).sum(1, keepdim=True)) * zone
        total = weight.sum(1, keepdim=True)
        return torch.where(total > 0, weight / total.clamp_min(1e-30), uniform(observation.mask))

    @cached_property
    def _group(self) -> Tensor:
        """(A,) int64, the group of each activity: its first skill, numbered as the catalogue first names them."""
        skill = self.space.skills.index[:, 0]
        order = list(dict.fromkeys(skill.tolist()))
        return torch.tensor([order.index(k) for k in skill.tolist()], device=skill.device)

    @cached_property
    def _groups(self) -> int:
        return int(self._group.max()) + 1

    def _follow(self, activity: Tensor, correct: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights (B, A) and the open groups (B, G) after answers (B, W), -1 where there was none."""
        group = self._group
        n, a, groups = activity.shape[0], len(group), self._groups
        half = max(1, self.memory // 2)  # of each half, answers not yet given count as wrong: what is new is tried
        weight = torch.full((n, a), self.first_weight, device=activity.device)
        answers = torch.full((n, a, 2 * half), torch.nan, device=activity.device)  # of each activity, oldest first
        recent = torch.full((n, groups, 2 * half), torch.nan, device=activity.device)  # of each group
        place = torch.arange(groups, device=activity.device)
        opened = (place < self.start).expand(n, groups)
        closed = torch.zeros_like(opened)
        for t in range(activity.shape[1]):
            real, at = activity[:, t] >= 0, activity[:, t].clamp_min(0)
            answers = _pushed(answers, at, correct[:, t], real)
            mine = answers[torch.arange(n), at]
            progress = (_mean(mine[:, half:]) - _mean(mine[:, :half])).clamp_min(0.0)
            old = weight.gather(1, at[:, None])
            new = (self.keep * old + (1.0 - self.keep) * progress[:, None]).clamp_min(1e-6)
            weight = weight.scatter(1, at[:, None], torch.where(real[:, None], new, old))
            recent = _pushed(recent, group[at], correct[:, t], real)
            count = (~recent.isnan()).sum(2)
            success, zone = _mean(recent), opened & ~closed
            all_count = (count * zone).sum(1)
            share = (success * count * zone).sum(1) / all_count.clamp_min(1)
            nearer = (all_count >= 2) & (share > self.opens) & real
            opened = opened | (nearer[:, None] & (place == opened.sum(1, keepdim=True)))
            done = (count >= 2 * half) & (success > self.closes) & opened
            last = opened & ~closed & ~done
            closed = torch.where(last.any(1, keepdim=True), closed | done, closed)
        return weight, opened & ~closed


def _pushed(rows: Tensor, at: Tensor, value: Tensor, real: Tensor) -> Tensor:
    """Return `rows` (B, N, D) with `value` (B,) as the newest entry of row `at` (B,), where `real`."""
    index = at[:, None, None].expand(-1, 1, rows.shape[2])
    old = rows.gather(1, index)
    new = torch.cat([old[:, :, 1:], value[:, None, None]], 2)
    return rows.scatter(1, index, torch.where(real[:, None, None], new, old))


def _mean(values: Tensor) -> Tensor:
    """Return the mean over the last axis of what is there, 0 where nothing is."""
    return torch.nan_to_num(values).sum(-1) / (~values.isnan()).sum(-1).clamp_min(1)
