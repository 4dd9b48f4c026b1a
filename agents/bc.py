"""Behaviour cloning: the probabilities with which somebody else chose, read off what was chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import nn

from ..envs.observer import Space
from ..envs.rng import derive
from .agent import Agent, Policy, State, Steps
from .checkpoint import bring_back, keep
from .values import Scores, Softmax, value_net


@dataclass(eq=False)
class BC(Agent):
    """Behaviour cloning by masked cross-entropy (Pomerleau 1991): the floor of all offline learning.

    It is also the estimate of a behaviour policy whose propensities nobody wrote down. `decide` draws as the clone
    believes that the logged policy drew.
    """

    space: Space
    seed: int = 0
    hidden: tuple[int, ...] = (64, 64)
    rate: float = 1e-3
    decay: float = 1e-4
    batch: int = 256
    chunk: int = 0
    offline: ClassVar[bool] = True
    _net: nn.Sequential = field(init=False)
    _adam: torch.optim.AdamW = field(init=False)
    _updates: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(derive(self.seed, "bc", "weights"))
        self._net = value_net(self.space.n_features, self.hidden, self.space.n_activities, generator)
        self._adam = torch.optim.AdamW(self._net.parameters(), self.rate, weight_decay=self.decay)

    def behave(self) -> Policy:
        return self.decide()

    def decide(self) -> Policy:
        return Softmax(Scores.of(self._net))

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        live = steps.alive
        if not bool(live.any()):
            return {}
        features, mask, action = steps.features[:, :-1][live], steps.mask[live], steps.action[live]
        generator = torch.Generator().manual_seed(derive(seed, "bc", self._updates))
        total, parts = torch.zeros(()), torch.randperm(len(action), generator=generator).split(self.batch)
        for rows in parts:
            logits = self._net(features[rows]).masked_fill(~mask[rows], -torch.inf)
            loss = nn.functional.cross_entropy(logits, action[rows])
            self._adam.zero_grad()
            loss.backward()
            self._adam.step()
            total += loss.detach()
        self._updates += 1
        return {"log_loss": float(total / len(parts))}

    def state(self) -> State:
        return keep({"net": self._net}, {"adam": self._adam}) | {"updates": torch.tensor(self._updates)}

    def restore(self, state: State) -> None:
        bring_back(state, {"net": self._net}, {"adam": self._adam})
        self._updates = int(state["updates"])
