"""Belief beam: several steps ahead on the agent's own belief, keeping the most promising plans."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..envs.observer import Observation, Observer, Record, Space
from ..envs.rows import take
from .agent import Policy, greedy
from .belief_world import BeliefWorld

_FUTURES = 20_000  # imagined side by side


@dataclass(frozen=True, eq=False)
class BeliefBeam(Policy):
    """Beam search on the agent's own belief; the first activity of the best plan of `depth` steps.

    Works with any tracer and sees no hidden state; guards are asked at every step. Answers on the way are the expected
    ones: the tracer is told its own chance as a score, so a plan does not branch on answers. Plans are ranked by the
    believed goal mastery `after` days on, the mean over their steps; with `per_minute`, by its gain per minute of the
    plan. `sitting` and `gap_days` as in Lookahead.
    """

    space: Space
    observer: Observer
    depth: int = 4
    width: int = 8
    sitting: int = 8
    gap_days: float = 0.0
    after: float = 0.0  # days
    per_minute: bool = True

    def __post_init__(self) -> None:
        if min(self.depth, self.width) < 1:
            raise ValueError(f"BeliefBeam: depth {self.depth}, width {self.width}; give 1 or more of each")

    def __call__(self, observation: Observation) -> Tensor:
        world = BeliefWorld(self.observer, self.sitting, self.gap_days, self.after)
        record = world.record(observation)
        size = max(1, _FUTURES // (self.width * self.space.n_activities))
        parts = torch.arange(len(observation.mask)).split(size)
        first = torch.cat([self._first(world, take(record, rows), observation.mask[rows]) for rows in parts])
        chosen = torch.nn.functional.one_hot(first, self.space.n_activities).float()
        return greedy(chosen, observation.mask)

    def _first(self, world: BeliefWorld, record: Record, mask: Tensor) -> Tensor:
        """Return (B,) int64, where the best plan begins."""
        n, a = mask.shape
        base = world.worth(record.belief, record.goal)
        total, minutes = torch.zeros(2, n, 1)
        first = torch.zeros(n, 1, dtype=torch.int64)
        w = 1
        for depth in range(self.depth):
            if depth:
                mask = self.observer.observe(record).mask
            place = mask.nonzero()  # plans, each with one more activity
            plan, activity = place[:, 0], place[:, 1]
            before = take(record, plan)
            after = world.answered(before, activity, world.chance(before.belief, activity))
            gain = world.worth(after.belief, after.goal) - base[plan // w]
            where = (plan // w, (plan % w) * a + activity)
            sums = torch.full((n, w * a), -torch.inf).index_put(where, total[plan // w, plan % w] + gain)
            spent = torch.ones(n, w * a).index_put(
                where, minutes[plan // w, plan % w] + self.space.minutes[activity].clamp_min(1e-6)
            )
            start = activity if depth == 0 else first[plan // w, plan % w]
            starts = torch.zeros(n, w * a, dtype=torch.int64).index_put(where, start)
            at = torch.zeros(n, w * a, dtype=torch.int64).index_put(where, torch.arange(len(plan)))
            score = sums / spent if self.per_minute else sums
            keep = score.argsort(dim=1, descending=True, stable=True)[:, : min(self.width, w * a)]
            total, minutes, first = sums.gather(1, keep), spent.gather(1, keep), starts.gather(1, keep)
            record = take(after, at.gather(1, keep).flatten())
            w = keep.shape[1]
        return first[:, 0]
