"""IQL: offline learning that never asks what an untried activity is worth."""

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
class IQL(Agent):
    """Implicit Q-learning for discrete actions (Kostrikov et al. 2022, equations 5-7).

    V is the `expectile` of Q over what the log did, Q is learnt from V of the next row, and the actor clones the log's
    choices weighted by exp(`beta` * advantage), the advantage in units of its own spread in the batch and the weight
    at most `most`. `decide` takes the actor's most probable allowed activity.
    """

    space: Space
    seed: int = 0
    hidden: tuple[int, ...] = (128, 128)
    rate: float = 5e-4
    discount: float = 1.0
    n_steps: int = 5
    expectile: float = 0.8
    beta: float = 3.0
    most: float = 20.0
    batch: int = 256
    track: float = 0.01
    chunk: int = 0
    offline: ClassVar[bool] = True
    _q: nn.Sequential = field(init=False)
    _slow: nn.Sequential = field(init=False)
    _v: nn.Sequential = field(init=False)
    _actor: nn.Sequential = field(init=False)
    _adam: torch.optim.Adam = field(init=False)
    _updates: int = field(init=False, default=0)
    _spread: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(derive(self.seed, "iql", "weights"))
        n, a = self.space.n_features, self.space.n_activities
        self._q, self._v, self._actor = (value_net(n, self.hidden, out, generator) for out in (a, 1, a))
        self._slow = copy.deepcopy(self._q).requires_grad_(False)
        self._adam = torch.optim.Adam(
            [p for net in (self._q, self._v, self._actor) for p in net.parameters()], self.rate
        )

    def behave(self) -> Policy:
        return self.decide()

    def decide(self) -> Policy:
        return EpsilonGreedy(Scores.of(self._actor), 0.0)

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        rows = transitions(steps, self.discount, self.n_steps)
        if not len(rows.action):
            return {}
        self._spread = spread(self._spread, steps, self._updates == 0)
        generator, scale = torch.Generator().manual_seed(derive(seed, "iql", self._updates)), unit(self._spread)
        sums, n = torch.zeros(3), 0
        for part in shuffled(rows, self.batch, generator):
            sums += self._improve(part, scale)
            n += 1
        self._updates += 1
        q_loss, v_loss, policy_loss = (sums / n).tolist()
        return {"value_loss": q_loss, "expectile_loss": v_loss, "policy_loss": policy_loss}

    def _improve(self, rows: Transitions, scale: float) -> Tensor:
        chosen = rows.action[:, None]
        with torch.no_grad():
            kept = self._slow(rows.features).gather(1, chosen)[:, 0]
            target = rows.reward / scale + rows.discount * self._v(rows.next_features)[:, 0]
        v = self._v(rows.features)[:, 0]
        advantage = kept - v
        tilt = torch.where(advantage > 0, self.expectile, 1.0 - self.expectile)
        v_loss = (tilt * advantage.square()).mean()
        q_loss = nn.functional.huber_loss(self._q(rows.features).gather(1, chosen)[:, 0], target)
        worth = advantage.detach() / (advantage.detach().std(correction=0) + 1e-8)
        weight = (self.beta * worth).exp().clamp_max(self.most)
        logits = self._actor(rows.features).masked_fill(~rows.mask, -torch.inf)
        policy_loss = (weight * nn.functional.cross_entropy(logits, rows.action, reduction="none")).mean()
        self._adam.zero_grad()
        (v_loss + q_loss + policy_loss).backward()
        self._adam.step()
        with torch.no_grad():
            for slowly, now in zip(self._slow.parameters(), self._q.parameters(), strict=True):
                slowly.lerp_(now, self.track)
        return torch.stack([q_loss, v_loss, policy_loss]).detach()

    def state(self) -> State:
        saved = keep(self._nets(), {"adam": self._adam})
        saved["updates"] = torch.tensor(self._updates)
        saved["spread"] = torch.tensor(self._spread, dtype=torch.float64)
        return saved

    def restore(self, state: State) -> None:
        bring_back(state, self._nets(), {"adam": self._adam})
        self._updates, self._spread = int(state["updates"]), float(state["spread"])

    def _nets(self) -> dict[str, nn.Module]:
        return {"q": self._q, "slow": self._slow, "v": self._v, "actor": self._actor}
