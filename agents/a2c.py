"""A2C: advantage actor-critic, one step of gradient for each chunk of all learners."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from ..envs.observer import Space
from ..envs.rng import derive
from .agent import Agent, Policy, State, Steps, softmax
from .checkpoint import bring_back, keep
from .returns import generalised_advantages
from .schedule import between, passed
from .transitions import spread, unit
from .values import Scores, Softmax, value_net


@dataclass(eq=False)
class A2C(Agent):
    """Synchronous advantage actor-critic (Mnih et al. 2016, supplement S3) with generalised advantages.

    Actor and critic are separate networks. Every `chunk` steps of all learners (0 = their whole sessions) make one
    gradient step, on what the policy itself has just done. Rewards are divided by the running size of returns. `anneal`
    cohorts bring the learning rate down to a tenth; 0 keeps it.
    """

    space: Space
    seed: int = 0
    hidden: tuple[int, ...] = (64, 64)
    rate: float = 1e-2
    anneal: int = 0
    discount: float = 1.0
    lambda_: float = 0.95
    entropy: float = 0.005
    value_weight: float = 0.5
    max_norm: float = 0.5
    chunk: int = 0
    _actor: nn.Sequential = field(init=False)
    _critic: nn.Sequential = field(init=False)
    _adam: torch.optim.Adam = field(init=False)
    _updates: int = field(init=False, default=0)
    _spread: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(derive(self.seed, "a2c", "weights"))
        n = self.space.n_features
        self._actor = value_net(n, self.hidden, self.space.n_activities, generator)
        self._critic = value_net(n, self.hidden, 1, generator)
        self._adam = torch.optim.Adam([*self._actor.parameters(), *self._critic.parameters()], self.rate, eps=1e-5)

    def behave(self) -> Policy:
        return Softmax(Scores.of(self._actor))

    def decide(self) -> Policy:
        return Softmax(Scores.of(self._actor))

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        live = steps.alive
        if not bool(live.any()):
            return {}
        self._spread = spread(self._spread, steps, self._updates == 0)
        done = passed(self._updates, self.chunk, self.space.horizon, self.anneal)
        self._adam.param_groups[0]["lr"] = self.rate * between(1.0, 0.1, done)
        values = self._critic(steps.features)[..., 0]
        kept = values.detach()
        advantages = generalised_advantages(
            steps.reward / unit(self._spread),
            kept[:, :-1],
            kept[:, 1:],
            steps.ended | ~live,
            self.discount,
            self.lambda_,
        )
        target = (advantages + kept[:, :-1])[live]
        advantage = advantages[live]
        advantage = (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)
        mask = steps.mask[live]
        probabilities = softmax(self._actor(steps.features[:, :-1][live]), mask)
        logs = torch.where(mask, probabilities, 1.0).clamp_min(1e-30).log()
        gain = (logs.gather(1, steps.action[live][:, None])[:, 0] * advantage).mean()
        entropy = -(probabilities * logs).sum(1).mean()
        value_loss = 0.5 * (values[:, :-1][live] - target).square().mean()
        loss = -gain + self.value_weight * value_loss - self.entropy * entropy
        self._adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._adam.param_groups[0]["params"], self.max_norm)
        self._adam.step()
        self._updates += 1
        found = {"policy_loss": -gain, "value_loss": value_loss, "entropy": entropy}
        return {name: float(value.detach()) for name, value in found.items()}

    def state(self) -> State:
        saved = keep({"actor": self._actor, "critic": self._critic}, {"adam": self._adam})
        saved["updates"] = torch.tensor(self._updates)
        saved["spread"] = torch.tensor(self._spread, dtype=torch.float64)
        return saved

    def restore(self, state: State) -> None:
        bring_back(state, {"actor": self._actor, "critic": self._critic}, {"adam": self._adam})
        self._updates, self._spread = int(state["updates"]), float(state["spread"])
