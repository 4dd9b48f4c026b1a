"""Thompson sampling on Beta posteriors: each activity as often as it may be the best."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..envs.observer import Observation, Space
from ..envs.rng import derive
from .agent import Agent, Policy, State, Steps
from .arms import Arms, level, rate, trials
from .ridge import shares


@dataclass(frozen=True, eq=False)
class ThompsonPolicy(Policy):
    """The share of the draws in which an allowed activity is worth most; it is sampled by these probabilities."""

    space: Space
    draws: Tensor  # (M, L, A), rewards drawn from the posterior
    per_minute: bool

    def __call__(self, observation: Observation) -> Tensor:
        levels = level(observation, self.draws.shape[1])
        place = levels * levels.shape[1] + torch.arange(levels.shape[1], device=levels.device)
        worth = self.draws.flatten(1).t()[place].transpose(1, 2)  # (B, M, A)
        return shares(rate(worth, self.space, self.per_minute), observation.mask)


@dataclass(eq=False)
class Thompson(Agent):
    """Thompson sampling with Beta posteriors (Thompson 1933; Chapelle and Li 2011, algorithm 2), in batches.

    Rewards are stretched from the range met so far to [0, 1]; a reward between counts as that share of a success, which
    is the mean of the coin that Agrawal and Goyal (2012) would toss. The posterior is drawn `draws` times for a batch;
    every learner's probabilities are the shares of those draws that favour each activity, so they are exact, and two
    learners with the same past have the same. `discount` < 1 forgets with every batch; `levels` as in `Arms`.
    """

    space: Space
    seed: int = 0
    draws: int = 64
    levels: int = 4
    discount: float = 1.0
    per_minute: bool = True
    chunk: int = 1
    _arms: Arms = field(init=False)
    _range: tuple[float, float] = field(init=False, default=(float("inf"), float("-inf")))
    _batches: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"Thompson: draws is {self.draws}; give 1 or more")
        self._arms = Arms.none(self.levels, self.space.n_activities)

    def _scale(self) -> tuple[float, float]:
        """Return the lowest reward met and how far the highest lies above it; 0 and 1 before any."""
        low, high = self._range
        return (low, high - low) if high >= low else (0.0, 1.0)

    def _posterior(self) -> tuple[Tensor, Tensor]:
        """Return (L, A) successes and failures, each with the 1 of an even prior."""
        low, size = self._scale()
        count, total = self._arms
        right = (total - low * count) / size if size > 0 else 0.5 * count
        return 1.0 + right.clamp_min(0.0), 1.0 + (count - right).clamp_min(0.0)

    def behave(self) -> Policy:
        right, wrong = self._posterior()
        chance = np.random.default_rng(derive(self.seed, "thompson", self._batches))
        drawn = chance.beta(right.numpy(), wrong.numpy(), (self.draws, *right.shape))
        low, size = self._scale()
        return ThompsonPolicy(self.space, (low + size * torch.from_numpy(drawn)).float(), self.per_minute)

    def decide(self) -> Policy:
        right, wrong = self._posterior()
        low, size = self._scale()
        return ThompsonPolicy(self.space, (low + size * right / (right + wrong)).float()[None], self.per_minute)

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        levels, action, reward = trials(steps, self.levels)
        if not len(action):
            return {}
        self._arms = self._arms.add(levels, action, reward, self.discount)
        self._range = (min(self._range[0], float(reward.min())), max(self._range[1], float(reward.max())))
        self._batches += 1
        return {"reward": float(reward.mean())}

    def state(self) -> State:
        count, total = self._arms
        extent = torch.tensor(self._range, dtype=torch.float64)
        return {"count": count.clone(), "total": total.clone(), "range": extent, "batches": torch.tensor(self._batches)}

    def restore(self, state: State) -> None:
        self._arms = Arms(state["count"].clone(), state["total"].clone())
        low, high = state["range"].tolist()
        self._range, self._batches = (low, high), int(state["batches"])
