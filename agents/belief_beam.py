"""Belief beam: several steps ahead on the agent's own belief, keeping the most promising plans."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..envs.observer import Observation, Observer, Record, Space
from ..envs.rows import spread, take
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
        if torch.compiler.is_exporting():
            first = self._first(world, record, observation.mask)
        else:
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
            if torch.compiler.is_exporting():  # a graph has no lists of what is allowed: it imagines everything
                activity = torch.arange(a).expand(mask.shape[0], a).flatten()
                after, gain = self._lived(world, spread(record, a), activity)
                allowed, gain = mask.view(n, w * a), gain.view(n, w * a) - base[:, None]
                sums = torch.where(allowed, total.repeat_interleave(a, 1) + gain, -torch.inf)
                spent = minutes.repeat_interleave(a, 1) + self.space.minutes.clamp_min(1e-6).repeat(w)
                starts = torch.arange(a).expand(n, a) if depth == 0 else first.repeat_interleave(a, 1)
                at = torch.arange(n)[:, None] * (w * a) + torch.arange(w * a)
            else:
                place = mask.nonzero()  # plans, each with one more activity
                plan, activity = place[:, 0], place[:, 1]
                after, gain = self._lived(world, take(record, plan), activity)
                gain = gain - base[plan // w]
                where = (plan // w, (plan % w) * a + activity)
                sums = torch.full((n, w * a), -torch.inf).index_put(where, total[plan // w, plan % w] + gain)
                spent = torch.ones(n, w * a).index_put(
                    where, minutes[plan // w, plan % w] + self.space.minutes[activity].clamp_min(1e-6)
                )
                start = activity if depth == 0 else first[plan // w, plan % w]
                starts = torch.zeros(n, w * a, dtype=torch.int64).index_put(where, start)
                at = torch.zeros(n, w * a, dtype=torch.int64).index_put(where, torch.arange(len(plan)))
            score = sums / spent if self.per_minute else sums
            keep = _best(score, min(self.width, w * a))
            total, minutes, first = sums.gather(1, keep), spent.gather(1, keep), starts.gather(1, keep)
            record = take(after, at.gather(1, keep).flatten())
            w = keep.shape[1]
        return first[:, 0]

    def _lived(self, world: BeliefWorld, record: Record, activity: Tensor) -> tuple[Record, Tensor]:
        """Return the records after each `activity`, and what they are then worth (B,)."""
        after = world.answered(record, activity, world.chance(record.belief, activity))
        return after, world.worth(after.belief, after.goal)


def _best(score: Tensor, n: int) -> Tensor:
    """Return (B, n) int64, the places of the highest scores, the first of equals first."""
    if torch.compiler.is_exporting():  # ONNX cannot sort stably, but its TopK puts the first of equals first
        return score.topk(n, 1).indices
    return score.argsort(dim=1, descending=True, stable=True)[:, :n]
