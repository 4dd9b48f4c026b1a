"""UCB1: the activity whose mean reward could yet be highest."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..envs.observer import Observation, Space
from .agent import Agent, Policy, State, Steps
from .arms import Arms, at, even, level, rate, trials
from .spread import Spread


@dataclass(frozen=True, eq=False)
class UCB1Policy(Policy):
    """The highest bound, equals in equal shares; what was never tried has none above it."""

    space: Space
    bound: Tensor  # (L, A), inf where never tried
    per_minute: bool

    def __call__(self, observation: Observation) -> Tensor:
        bound = at(self.bound, level(observation, len(self.bound)))
        return even(rate(bound, self.space, self.per_minute), observation.mask)


@dataclass(eq=False)
class UCB1(Agent):
    """UCB1 (Auer, Cesa-Bianchi and Fischer 2002, figure 1), in batches: mean + width * sd * sqrt(2 ln n / n_a).

    The bound is for rewards in [0, 1]; here the running standard deviation of rewards sets the scale. All learners of
    a batch decide with the same bounds, and what has equal bounds is shared out evenly, so a batch tries many untried
    activities at once. `discount` < 1 forgets with every batch (discounted UCB: Garivier and Moulines 2011); `levels`
    as in `Arms`. Decisions are by the mean; what was never tried then counts as the overall mean.
    """

    space: Space
    width: float = 0.5
    levels: int = 4
    discount: float = 1.0
    per_minute: bool = True
    chunk: int = 1
    _arms: Arms = field(init=False)
    _spread: Spread = field(init=False, default=Spread())

    def __post_init__(self) -> None:
        self._arms = Arms.none(self.levels, self.space.n_activities)

    def behave(self) -> Policy:
        n, total = self._arms.tries, self._arms.tries.sum(1, keepdim=True)
        bonus = torch.sqrt(2.0 * torch.log(total.clamp_min(1.0)) / n.clamp_min(1e-9))
        bound = self._arms.mean + self.width * self._spread.sd * bonus
        return UCB1Policy(self.space, torch.where(n > 0, bound, torch.inf), self.per_minute)

    def decide(self) -> Policy:
        mean = torch.where(self._arms.tries > 0, self._arms.mean, self._spread.mean)
        return UCB1Policy(self.space, mean, self.per_minute)

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        levels, action, reward = trials(steps, self.levels)
        if not len(action):
            return {}
        self._arms = self._arms.add(levels, action, reward, self.discount)
        self._spread = self._spread.add(reward)
        return {"reward": float(reward.mean())}

    def state(self) -> State:
        count, total = self._arms
        return {"count": count.clone(), "total": total.clone(), "spread": self._spread.tensor()}

    def restore(self, state: State) -> None:
        self._arms = Arms(state["count"].clone(), state["total"].clone())
        self._spread = Spread.of(state["spread"])
