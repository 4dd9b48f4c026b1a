"""Beam search with the hidden state: a lower bound on what any chooser could reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..envs.classroom import Classroom
from ..envs.outcomes import Outcome
from .agent import uniform
from .privileged import Privileged

_FUTURES = 40_000  # imagined side by side


@dataclass(frozen=True)
class BeamSearch(Privileged):
    """Plans ahead on the true learner, keeping the `width` best futures at every depth.

    Futures are ranked by the reward so far, and among those of equal reward by `promise`: an outcome that sees
    progress before the reward does (None: the first found). `depth` is how many steps are planned (0: to the end of the
    session), `follow` how many of them are taken before planning anew (0: all). Plans are made under one draw of imagined
    coins, so where chance decides what is learnt, plan anew often. A planned activity that turns out to be forbidden is
    replaced by any allowed one.
    """

    width: int = 40
    depth: int = 0
    follow: int = 0
    promise: Outcome | None = None

    def __post_init__(self) -> None:
        if self.width < 1 or min(self.depth, self.follow) < 0:
            raise ValueError(f"BeamSearch: width {self.width}, depth {self.depth}, follow {self.follow}; give 1, 0, 0 or more")

    def watch(self, room: Classroom) -> Iterator[Tensor]:
        horizon = room.world.observer.horizon
        while True:
            left = horizon - int(room.record.step[room.alive].min())
            depth = min(self.depth or left, left)
            plan = self.plan(room, depth)
            for t in range(min(self.follow or depth, depth)):
                mask = room.observation.mask
                wanted = torch.zeros_like(mask, dtype=torch.float32).scatter_(1, plan[:, t : t + 1], 1.0)
                yield torch.where((wanted * mask).any(1, keepdim=True), wanted, uniform(mask))

    def plan(self, room: Classroom, depth: int) -> Tensor:
        """Return (B, depth) int64, the activities of the best future found for each learner."""
        n, a = room.observation.mask.shape
        size = max(1, _FUTURES // (self.width * a))
        return torch.cat([self._search(room, rows, depth) for rows in torch.arange(n).split(size)])

    def _search(self, room: Classroom, rows: Tensor, depth: int) -> Tensor:
        n, a = len(rows), room.observation.mask.shape[1]
        beams, w = room.fork(rows), 1
        reward, promise = torch.zeros(2, n, 1, dtype=torch.float64)
        path = torch.zeros(n, 1, 0, dtype=torch.int64)
        for _ in range(depth):
            every = torch.arange(n * w).repeat_interleave(a)
            activity = torch.arange(a).repeat(n * w)
            futures = beams.imagined(every)
            before = futures.state
            moment = futures.step(activity)
            reward = (reward.view(-1, 1) + moment.reward.view(-1, a)).view(n, w * a)
            if self.promise is not None:
                gain = self.promise(room.world.student, futures.start, before, moment.response, futures.state)
                promise = (promise.view(-1, 1) + (gain * moment.alive).view(-1, a)).view(n, w * a)
            else:
                promise = torch.zeros_like(reward)
            # A session that is over has one future: nothing more, written as activity 0.
            open_ = torch.where(beams.alive[:, None], beams.observation.mask, torch.arange(a) == 0).view(n, w * a)
            reward = reward.masked_fill(~open_, -torch.inf)
            keep = _best(reward, promise, min(self.width, w * a))
            path = path.gather(1, (keep // a)[:, :, None].expand(-1, -1, path.shape[2]))
            path = torch.cat([path, (keep % a)[:, :, None]], 2)
            reward, promise = reward.gather(1, keep), promise.gather(1, keep)
            w = keep.shape[1]
            beams = futures.imagined((keep + torch.arange(n)[:, None] * open_.shape[1]).flatten())
        best = _best(reward, promise, 1)
        return path.gather(1, best[:, :, None].expand(-1, -1, depth))[:, 0]


def _best(reward: Tensor, promise: Tensor, n: int) -> Tensor:
    """Return (B, n) int64, the places of the highest rewards (rounded to 1e-6), then promises, then the first."""
    by_promise = promise.argsort(dim=1, descending=True, stable=True)
    ranked = (reward.gather(1, by_promise) * 1e6).round().argsort(dim=1, descending=True, stable=True)
    return by_promise.gather(1, ranked[:, :n])
