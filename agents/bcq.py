"""BCQ: Q-learning from a log that never leaves what the log's policy would have done."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..envs.observer import Observation, Space
from ..envs.rng import derive
from .agent import Agent, Policy, State, Steps, greedy, softmax
from .checkpoint import bring_back, keep
from .transitions import Transitions, shuffled, spread, transitions, unit
from .values import Scores, value_net


def usual(logits: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """Return (B, A) bool, allowed activities whose probability is at least `threshold` times the highest one's."""
    p = softmax(logits, mask)
    return mask & (p >= threshold * p.amax(1, keepdim=True))


@dataclass(frozen=True, eq=False)
class UsualGreedy(Policy):
    """The best-scored activity among those that the clone of another policy finds usual."""

    scores: Scores
    clone: Scores
    threshold: float

    def __call__(self, observation: Observation) -> Tensor:
        features = observation.features
        return greedy(self.scores(features), usual(self.clone(features), observation.mask, self.threshold))


@dataclass(eq=False)
class BCQ(Agent):
    """Discrete batch-constrained Q-learning (Fujimoto et al. 2019, equations 3-5), on double DQN.

    A clone of the logged policy says which allowed activities are usual: at least `threshold` times as probable as
    the likeliest one. Only those are bootstrapped on and chosen. `decide` is greedy among them.
    """

    space: Space
    seed: int = 0
    hidden: tuple[int, ...] = (128, 128)
    rate: float = 5e-4
    discount: float = 1.0
    n_steps: int = 5
    threshold: float = 0.3
    batch: int = 256
    track: float = 0.01
    max_norm: float = 10.0
    chunk: int = 0
    offline: ClassVar[bool] = True
    _net: nn.Sequential = field(init=False)
    _slow: nn.Sequential = field(init=False)
    _clone: nn.Sequential = field(init=False)
    _adam: torch.optim.Adam = field(init=False)
    _updates: int = field(init=False, default=0)
    _spread: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(derive(self.seed, "bcq", "weights"))
        n, a = self.space.n_features, self.space.n_activities
        self._net, self._clone = (value_net(n, self.hidden, a, generator) for _ in range(2))
        self._slow = copy.deepcopy(self._net).requires_grad_(False)
        self._adam = torch.optim.Adam([*self._net.parameters(), *self._clone.parameters()], self.rate)

    def behave(self) -> Policy:
        return self.decide()

    def decide(self) -> Policy:
        return UsualGreedy(Scores.of(self._net), Scores.of(self._clone), self.threshold)

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        rows = transitions(steps, self.discount, self.n_steps)
        if not len(rows.action):
            return {}
        self._spread = spread(self._spread, steps, self._updates == 0)
        generator, scale = torch.Generator().manual_seed(derive(seed, "bcq", self._updates)), unit(self._spread)
        sums, n = torch.zeros(3), 0
        for part in shuffled(rows, self.batch, generator):
            sums += self._improve(part, scale)
            n += 1
        self._updates += 1
        loss, log_loss, share = (sums / n).tolist()
        return {"value_loss": loss, "log_loss": log_loss, "usual": share}

    def _improve(self, rows: Transitions, scale: float) -> Tensor:
        with torch.no_grad():
            choice = usual(self._clone(rows.next_features), rows.next_mask, self.threshold)
            best = self._net(rows.next_features).masked_fill(~choice, -torch.inf).argmax(1, keepdim=True)
            target = rows.reward / scale + rows.discount * self._slow(rows.next_features).gather(1, best)[:, 0]
        value = self._net(rows.features).gather(1, rows.action[:, None])[:, 0]
        loss = nn.functional.huber_loss(value, target)
        logits = self._clone(rows.features).masked_fill(~rows.mask, -torch.inf)
        log_loss = nn.functional.cross_entropy(logits, rows.action)
        self._adam.zero_grad()
        (loss + log_loss).backward()
        nn.utils.clip_grad_norm_(self._net.parameters(), self.max_norm)
        self._adam.step()
        with torch.no_grad():
            for slowly, now in zip(self._slow.parameters(), self._net.parameters(), strict=True):
                slowly.lerp_(now, self.track)
        share = (choice.sum(1) / rows.next_mask.sum(1)).mean()
        return torch.stack([loss.detach(), log_loss.detach(), share])

    def state(self) -> State:
        saved = keep(self._nets(), {"adam": self._adam})
        saved["updates"] = torch.tensor(self._updates)
        saved["spread"] = torch.tensor(self._spread, dtype=torch.float64)
        return saved

    def restore(self, state: State) -> None:
        bring_back(state, self._nets(), {"adam": self._adam})
        self._updates, self._spread = int(state["updates"]), float(state["spread"])

    def _nets(self) -> dict[str, nn.Module]:
        return {"net": self._net, "slow": self._slow, "clone": self._clone}
