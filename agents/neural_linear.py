"""Neural-linear Thompson sampling: a network makes the context, a Bayesian linear model on top says how sure it is."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..envs.observer import Observation, Space
from ..envs.rng import derive
from .agent import Agent, Policy, State, Steps
from .arms import rate
from .ridge import Evidence, sampled, scores, shares
from .spread import Spread


@dataclass(frozen=True, eq=False)
class NeuralLinearPolicy(Policy):
    """Linear Thompson sampling on a frozen hidden layer."""

    space: Space
    weight: Tensor  # (H, F)
    bias: Tensor  # (H,)
    theta: Tensor  # (M, A, H + 1)
    per_minute: bool

    def __call__(self, observation: Observation) -> Tensor:
        x = _hidden(observation.features, self.weight, self.bias)
        return shares(rate(scores(x, self.theta), self.space, self.per_minute), observation.mask)


@dataclass(eq=False)
class NeuralLinear(Agent):
    """Neural-linear (Riquelme, Tucker and Snoek 2018, section 4), in batches.

    A network with one tanh layer of `hidden` units is trained by Adam to predict the reward of what was done, over a
    memory of the latest `memory` steps, `updates` minibatches of `minibatch` steps after every chunk. Its hidden layer
    and a 1 are the context of one ridge regression per activity, computed anew from that memory; `alpha`, `draws` and
    `ridge` as in LinearThompson. The memory is also what forgets, in worlds that drift.
    """

    space: Space
    seed: int = 0
    hidden: int = 32
    rate: float = 3e-3
    memory: int = 8192
    updates: int = 8
    minibatch: int = 512
    alpha: float = 1.0
    draws: int = 32
    ridge: float = 1.0
    per_minute: bool = True
    chunk: int = 8
    _net: nn.Sequential = field(init=False)
    _adam: torch.optim.Adam = field(init=False)
    _seen: Tensor = field(init=False)  # (N, F), the memory: features,
    _done: Tensor = field(init=False)  # (N,) int64, activities,
    _earned: Tensor = field(init=False)  # (N,), rewards
    _spread: Spread = field(init=False, default=Spread())
    _chunks: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(derive(self.seed, "neural linear", "weights"))
        layers = [_linear(self.space.n_features, self.hidden, generator), nn.Tanh()]
        self._net = nn.Sequential(*layers, _linear(self.hidden, self.space.n_activities, generator))
        self._adam = torch.optim.Adam(self._net.parameters(), self.rate)
        self._seen = torch.zeros(0, self.space.n_features)
        self._done, self._earned = torch.zeros(0, dtype=torch.int64), torch.zeros(0)

    def _policy(self, theta: Tensor) -> Policy:
        weight, bias = list(self._net.parameters())[:2]
        return NeuralLinearPolicy(self.space, weight.detach().clone(), bias.detach().clone(), theta, self.per_minute)

    def _evidence(self) -> Evidence:
        weight, bias = list(self._net.parameters())[:2]
        x = _hidden(self._seen, weight.detach(), bias.detach())
        return Evidence.none(self.space.n_activities, self.hidden + 1).add(x, self._done, self._earned)

    def behave(self) -> Policy:
        generator = torch.Generator().manual_seed(derive(self.seed, "neural linear", self._chunks))
        solution = self._evidence().solve(self.ridge)
        return self._policy(sampled(solution, self.alpha * self._spread.sd, self.draws, generator))

    def decide(self) -> Policy:
        return self._policy(self._evidence().solve(self.ridge).theta.float()[None])

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        seen, action, reward = steps.samples()
        if not len(action):
            return {}
        self._spread = self._spread.add(reward)
        self._seen = torch.cat([self._seen, seen.features])[-self.memory :]
        self._done = torch.cat([self._done, action])[-self.memory :]
        self._earned = torch.cat([self._earned, reward])[-self.memory :]
        generator = torch.Generator().manual_seed(derive(seed, "neural linear", self._chunks))
        loss = 0.0
        for _ in range(self.updates):
            rows = torch.randint(len(self._done), (min(self.minibatch, len(self._done)),), generator=generator)
            loss += self._improve(rows)
        self._chunks += 1
        return {"reward": float(reward.mean()), "loss": loss / max(self.updates, 1)}

    def _improve(self, rows: Tensor) -> float:
        predicted = self._net(self._seen[rows]).gather(1, self._done[rows, None])[:, 0]
        loss = (predicted - (self._earned[rows] - self._spread.mean) / self._spread.sd).square().mean()
        self._adam.zero_grad()
        loss.backward()
        self._adam.step()
        return float(loss.detach())

    def state(self) -> State:
        saved: State = {f"net.{k}": v.clone() for k, v in self._net.state_dict().items()}
        for i, parameter in enumerate(self._net.parameters()):
            for name, value in self._adam.state.get(parameter, {}).items():
                saved[f"adam.{i}.{name}"] = value.clone()
        saved |= {"seen": self._seen.clone(), "done": self._done.clone(), "earned": self._earned.clone()}
        return saved | {"spread": self._spread.tensor(), "chunks": torch.tensor(self._chunks)}

    def restore(self, state: State) -> None:
        self._net.load_state_dict({k.removeprefix("net."): v for k, v in state.items() if k.startswith("net.")})
        self._adam.state.clear()
        for i, parameter in enumerate(self._net.parameters()):
            kept = {k.split(".")[2]: v.clone() for k, v in state.items() if k.startswith(f"adam.{i}.")}
            if kept:
                self._adam.state[parameter] = kept
        self._seen, self._done, self._earned = (state[k].clone() for k in ("seen", "done", "earned"))
        self._spread, self._chunks = Spread.of(state["spread"]), int(state["chunks"])


def _hidden(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return (B, H + 1), the hidden layer and a 1."""
    hidden = torch.tanh(nn.functional.linear(features, weight, bias))
    return torch.cat([hidden, torch.ones_like(hidden[:, :1])], 1)


def _linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    linear: nn.Linear = nn.utils.skip_init(nn.Linear, n_in, n_out)
    nn.init.orthogonal_(linear.weight, generator=generator)
    nn.init.zeros_(linear.bias)
    return linear
