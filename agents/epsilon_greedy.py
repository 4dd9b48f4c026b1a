"""Epsilon-greedy: mostly the activity that paid most so far, now and then any."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..envs.observer import Observation, Space
from .agent import Agent, Policy, State, Steps, uniform
from .arms import Arms, at, even, level, rate, trials


@dataclass(frozen=True, eq=False)
class EpsilonGreedyPolicy(Policy):
    """The highest mean with probability 1 - epsilon, equals in equal shares; else any allowed activity."""

    space: Space
    mean: Tensor  # (L, A)
    epsilon: float
    per_minute: bool

    def __call__(self, observation: Observation) -> Tensor:
        mean = at(self.mean, level(observation, len(self.mean)))
        best = even(rate(mean, self.space, self.per_minute), observation.mask)
        return (1.0 - self.epsilon) * best + self.epsilon * uniform(observation.mask)


@dataclass(eq=False)
class EpsilonGreedy(Agent):
    """Epsilon-greedy on mean rewards (Sutton and Barto 2018, section 2.4), in batches.

    All learners of a batch decide with the same statistics. `levels` > 1 keeps them apart by how often the learner did
    the activity before (see `Arms`); `discount` < 1 forgets old evidence with every batch, for worlds that drift.
    """

    space: Space
    epsilon: float = 0.1
    levels: int = 4
    discount: float = 1.0
    per_minute: bool = True
    chunk: int = 1
    _arms: Arms = field(init=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.epsilon <= 1.0:
            raise ValueError(f"EpsilonGreedy: epsilon is {self.epsilon}; give a probability")
        self._arms = Arms.none(self.levels, self.space.n_activities)

    def behave(self) -> Policy:
        return self._policy(self.epsilon)

    def decide(self) -> Policy:
        return self._policy(0.0)

    def _policy(self, epsilon: float) -> Policy:
        arms = self._arms
        usual = arms.total.sum() / arms.tries.sum().clamp_min(1e-9)  # what an arm never tried is taken to be worth
        mean = torch.where(arms.tries > 0, arms.mean, usual)
        return EpsilonGreedyPolicy(self.space, mean, epsilon, self.per_minute)

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        levels, action, reward = trials(steps, self.levels)
        if not len(action):
            return {}
        self._arms = self._arms.add(levels, action, reward, self.discount)
        return {"reward": float(reward.mean())}

    def state(self) -> State:
        return {"count": self._arms.tries.clone(), "total": self._arms.total.clone()}

    def restore(self, state: State) -> None:
        self._arms = Arms(state["count"].clone(), state["total"].clone())
