"""Agent and Policy: from an observation to the probabilities of activities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..envs.observer import History, Observation

State = dict[str, Tensor]  # all that an agent must remember to go on exactly


class Policy(ABC):
    """A pure function from observations to probabilities; a frozen dataclass, so that a bundle can hold it.

    `guarded` is False for floors that ignore the rules; what people forbid or choose still binds them.
    """

    guarded: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, observation: Observation) -> Tensor:
        """Return (B, A) float32 whose rows sum to 1 and are exactly 0 where masked."""


class Steps(NamedTuple):
    """A chunk of experience: B learners, T steps in a row; `alive` is False where a session was already over."""

    features: Tensor  # (B, T + 1, F), the last one after the chunk
    mask: Tensor  # (B, T, A) bool
    action: Tensor  # (B, T) int64
    propensity: Tensor  # (B, T), the probability with which the action was chosen
    reward: Tensor  # (B, T)
    ended: Tensor  # (B, T) bool, the session ended with this step: nothing follows
    alive: Tensor  # (B, T) bool
    history: tuple[History, ...] = ()  # T + 1 of B learners each: before every step, and after the chunk
    values: Mapping[str, Tensor] = MappingProxyType({})  # each outcome that was rewarded or watched, (B, T)

    def samples(self) -> tuple[Observation, Tensor, Tensor]:
        """Return what was seen, done (N,) and earned (N,) in the N steps that were lived, learner after learner."""
        live = self.alive.flatten()
        features, mask = self.features[:, :-1].flatten(0, 1)[live], self.mask.flatten(0, 1)[live]
        seen = Observation(features, mask, torch.zeros(len(mask), dtype=torch.bool, device=mask.device))
        if self.history:
            seen = seen._replace(history=self._before(live))
        return seen, self.action.flatten()[live], self.reward.flatten()[live]

    def _before(self, live: Tensor) -> History:
        """Return the histories before the steps that `live` (B * T,) marks, in the order of the other columns."""
        columns = zip(*self.history[: self.alive.shape[1]], strict=True)
        return History(*(torch.stack(column, 1).flatten(0, 1)[live] for column in columns))


class Agent(ABC):
    """A chooser that learns from steps; it sees observations and rewards, never a student.

    `chunk` is the number of steps it wants between two calls of `learn`; 0 means whole sessions. `offline` is True for
    agents that learn from what another policy did, and would only repeat themselves on what they do.
    """

    chunk: int
    offline: ClassVar[bool] = False

    @abstractmethod
    def behave(self) -> Policy:
        """Return the policy that gathers experience now."""

    @abstractmethod
    def decide(self) -> Policy:
        """Return the policy to evaluate and to export; later learning does not change it."""

    @abstractmethod
    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        """Learn from `steps` and return metrics; every draw comes from `seed`."""

    def remembers(self) -> bool:
        """Return whether `learn` looks at the histories of its steps; keeping those takes memory and time."""
        return True

    @abstractmethod
    def state(self) -> State:
        """Return a copy of everything that learning changes."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Go on from `state`, exactly."""


@dataclass(eq=False)
class Still(Agent):
    """A policy that never learns, seen as an agent."""

    policy: Policy
    chunk: int = 0

    def behave(self) -> Policy:
        return self.policy

    def decide(self) -> Policy:
        return self.policy

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        return {}

    def state(self) -> State:
        return {}

    def restore(self, state: State) -> None:
        """Nothing to restore."""


def sample(probabilities: Tensor, u: Tensor) -> Tensor:
    """Return (B,) int64 drawn from (B, A) probabilities by inversion of `u` (B,) in [0, 1); never a masked one."""
    cumulative = probabilities.cumsum(1)
    return torch.searchsorted(cumulative, u[:, None] * cumulative[:, -1:], right=True)[:, 0]


def lived(observation: Observation) -> History:
    """Return the history that comes with `observation`; ValueError where it has none."""
    if observation.history is None:
        raise ValueError("this policy needs the learners' history: observe through an Observer")
    return observation.history


def uniform(mask: Tensor) -> Tensor:
    """Return (B, A), equal probabilities over the True entries of `mask`."""
    return mask / mask.sum(1, keepdim=True)


def greedy(scores: Tensor, mask: Tensor) -> Tensor:
    """Return (B, A), all probability on the allowed activity with the highest score; the first of equals."""
    best = scores.masked_fill(~mask, -torch.inf).argmax(1)
    return torch.zeros_like(scores).scatter_(1, best[:, None], 1.0)


def softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """Return (B, A), the softmax over the allowed activities, exactly 0 elsewhere."""
    ceiling = (mask.to(logits.dtype) - 0.5) * torch.inf  # what masked_fill would do, in a fifth of its time
    return torch.softmax(torch.minimum(logits, ceiling), -1)
