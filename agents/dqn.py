"""DQN: deep Q-learning from a replay memory, masked in acting and in every bootstrap."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..envs.observer import Space
from ..envs.rng import derive
from .agent import Agent, Policy, State, Steps
from .checkpoint import bring_back, keep
from .schedule import between, passed
from .transitions import Memory, Transitions, spread, transitions, unit
from .values import EpsilonGreedy, Scores, duel, value_net


@dataclass(eq=False)
class DQN(Agent):
    """Double dueling DQN with n-step targets (Mnih et al. 2015; van Hasselt et al. 2016; Wang et al. 2016).

    The best next activity is sought among the allowed ones only. `priority` > 0 draws rows by their last error and
    corrects for it with the power `correction` (Schaul et al. 2016). Every new transition is replayed `replay` times on
    average. `epsilon` falls from `explore_first` to `explore_last` within the share `explore` of `anneal` cohorts, over
    which the learning rate falls to a tenth; with `anneal` 0 the rate stays, and epsilon is `explore_last` from the
    start. Rewards are divided by the running size of returns. `decide` is greedy.
    """

    space: Space
    seed: int = 0
    hidden: tuple[int, ...] = (128, 128)
    rate: float = 1e-3
    anneal: int = 0
    discount: float = 1.0
    n_steps: int = 5
    double: bool = True
    dueling: bool = True
    priority: float = 0.0
    correction: float = 0.5
    capacity: int = 50_000
    batch: int = 256
    replay: float = 2.0
    track: float = 0.01
    explore_first: float = 1.0
    explore_last: float = 0.05
    explore: float = 0.5
    max_norm: float = 10.0
    chunk: int = 0
    _net: nn.Sequential = field(init=False)
    _slow: nn.Sequential = field(init=False)  # the target network: it tracks the other by `track` a step
    _adam: torch.optim.Adam = field(init=False)
    _memory: Memory = field(init=False)
    _updates: int = field(init=False, default=0)
    _spread: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(derive(self.seed, "dqn", "weights"))
        n, a = self.space.n_features, self.space.n_activities
        self._net = value_net(n, self.hidden, a + self.dueling, generator)
        self._slow = copy.deepcopy(self._net).requires_grad_(False)
        self._adam = torch.optim.Adam(self._net.parameters(), self.rate)
        self._memory = Memory(n, a, self.capacity, self.priority)

    def _passed(self) -> float:
        return passed(self._updates, self.chunk, self.space.horizon, self.anneal)

    def _epsilon(self) -> float:
        share = self._passed() / self.explore if self.anneal and self.explore else 1.0
        return between(self.explore_first, self.explore_last, share)

    def behave(self) -> Policy:
        return EpsilonGreedy(Scores.of(self._net, self.dueling), self._epsilon())

    def decide(self) -> Policy:
        return EpsilonGreedy(Scores.of(self._net, self.dueling), 0.0)

    def _values(self, net: nn.Sequential, features: Tensor) -> Tensor:
        out: Tensor = net(features)
        return duel(out) if self.dueling else out

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        fresh = transitions(steps, self.discount, self.n_steps)
        if not len(fresh.action):
            return {}
        self._spread = spread(self._spread, steps, self._updates == 0)
        self._memory.add(fresh)
        self._adam.param_groups[0]["lr"] = self.rate * between(1.0, 0.1, self._passed())
        generator = torch.Generator().manual_seed(derive(seed, "dqn", self._updates))
        epsilon, scale = self._epsilon(), unit(self._spread)
        sums, n = torch.zeros(2), math.ceil(self.replay * len(fresh.action) / self.batch)
        for _ in range(n):
            place, rows, odds = self._memory.draw(self.batch, generator)
            error, metrics = self._improve(rows, odds, scale)
            self._memory.judge(place, error.abs() + 1e-3)
            sums += metrics
        self._updates += 1
        loss, value = (sums / n).tolist()
        return {"value_loss": loss, "value": value * scale, "epsilon": epsilon}

    def _improve(self, rows: Transitions, odds: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            slow = self._values(self._slow, rows.next_features)
            ranked = self._values(self._net, rows.next_features) if self.double else slow
            best = ranked.masked_fill(~rows.next_mask, -torch.inf).argmax(1, keepdim=True)
            target = rows.reward / scale + rows.discount * slow.gather(1, best)[:, 0]
        value = self._values(self._net, rows.features).gather(1, rows.action[:, None])[:, 0]
        error = value - target
        weight = odds**-self.correction
        weight = weight / weight.max()
        loss = (weight * nn.functional.huber_loss(value, target, reduction="none")).mean()
        self._adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._net.parameters(), self.max_norm)
        self._adam.step()
        with torch.no_grad():
            for slowly, now in zip(self._slow.parameters(), self._net.parameters(), strict=True):
                slowly.lerp_(now, self.track)
        return error.detach(), torch.stack([loss.detach(), value.detach().mean()])

    def state(self) -> State:
        saved = keep({"net": self._net, "slow": self._slow}, {"adam": self._adam}) | self._memory.state()
        saved["updates"] = torch.tensor(self._updates)
        saved["spread"] = torch.tensor(self._spread, dtype=torch.float64)
        return saved

    def restore(self, state: State) -> None:
        bring_back(state, {"net": self._net, "slow": self._slow}, {"adam": self._adam})
        self._memory.restore(state)
        self._updates, self._spread = int(state["updates"]), float(state["spread"])
