"""CQL: Q-learning from a log that holds down the worth of what the log did not try."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..envs.observer import Space
from ..envs.rng import derive
from .agent import Agent, Policy, State, Steps
from .checkpoint import bring_back, keep
from .transitions import Transitions, shuffled, spread, transitions, unit
from .values import EpsilonGreedy, Scores, value_net


@dataclass(eq=False)
class CQL(Agent):
    """Conservative Q-learning, CQL(H) for discrete actions (Kumar et al. 2020, equation 4), on double DQN.

    `alpha` weighs log-sum-exp over the allowed activities minus the worth of the one taken, in units of the running
    size of returns. Everything is masked: what is forbidden is neither held down nor sought. `decide` is greedy.
    """

    space: Space
    seed: int = 0
    hidden: tuple[int, ...] = (128, 128)
    rate: float = 5e-4
    discount: float = 1.0
    n_steps: int = 5
    alpha: float = 0.3
    batch: int = 256
    track: float = 0.01
    max_norm: float = 10.0
    chunk: int = 0
    offline: ClassVar[bool] = True
    _net: nn.Sequential = field(init=False)
    _slow: nn.Sequential = field(init=False)
    _adam: torch.optim.Adam = field(init=False)
    _updates: int = field(init=False, default=0)
    _spread: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(derive(self.seed, "cql", "weights"))
        self._net = value_net(self.space.n_features, self.hidden, self.space.n_activities, generator)
        self._slow = copy.deepcopy(self._net).requires_grad_(False)
        self._adam = torch.optim.Adam(self._net.parameters(), self.rate)

    def behave(self) -> Policy:
        return self.decide()

    def decide(self) -> Policy:
        return EpsilonGreedy(Scores.of(self._net), 0.0)

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        rows = transitions(steps, self.discount, self.n_steps)
        if not len(rows.action):
            return {}
        self._spread = spread(self._spread, steps, self._updates == 0)
        generator, scale = torch.Generator().manual_seed(derive(seed, "cql", self._updates)), unit(self._spread)
        sums, n = torch.zeros(2), 0
        for part in shuffled(rows, self.batch, generator):
            sums += self._improve(part, scale)
            n += 1
        self._updates += 1
        loss, excess = (sums / n).tolist()
        return {"value_loss": loss, "excess": excess}

    def _improve(self, rows: Transitions, scale: float) -> Tensor:
        with torch.no_grad():
            best = self._net(rows.next_features).masked_fill(~rows.next_mask, -torch.inf).argmax(1, keepdim=True)
            after = self._slow(rows.next_features).gather(1, best)[:, 0]
            target = rows.reward / scale + rows.discount * after
        scores = self._net(rows.features)
        value = scores.gather(1, rows.action[:, None])[:, 0]
        excess = (scores.masked_fill(~rows.mask, -torch.inf).logsumexp(1) - value).mean()
        loss = nn.functional.huber_loss(value, target)
        self._adam.zero_grad()
        (loss + self.alpha * excess).backward()
        nn.utils.clip_grad_norm_(self._net.parameters(), self.max_norm)
        self._adam.step()
        with torch.no_grad():
            for slowly, now in zip(self._slow.parameters(), self._net.parameters(), strict=True):
                slowly.lerp_(now, self.track)
        return torch.stack([loss, excess]).detach()

    def state(self) -> State:
        saved = keep({"net": self._net, "slow": self._slow}, {"adam": self._adam})
        saved["updates"] = torch.tensor(self._updates)
        saved["spread"] = torch.tensor(self._spread, dtype=torch.float64)
        return saved

    def restore(self, state: State) -> None:
        bring_back(state, {"net": self._net, "slow": self._slow}, {"adam": self._adam})
        self._updates, self._spread = int(state["updates"]), float(state["spread"])
