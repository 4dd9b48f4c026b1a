"""PQN: Q-learning on parallel learners, without replay memory and without target network."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..envs.observer import Space
from ..envs.rng import derive
from .agent import Agent, Policy, State, Steps
from .checkpoint import bring_back, keep
from .returns import lambda_returns
from .schedule import between, passed
from .transitions import spread, unit
from .values import EpsilonGreedy, Scores, value_net


@dataclass(eq=False)
class PQN(Agent):
    """Parallelised Q-network: layer normalisation and Q(lambda) targets (Gallici et al. 2025, algorithm 1).

    Targets come from the network as it is before the update, on whole sessions by default; the best next activity is
    sought among the allowed ones. `epsilon` falls from `explore_first` to `explore_last` within the share `explore` of
    `anneal` cohorts, over which the learning rate falls to a tenth; with `anneal` 0 the rate stays, and epsilon is
    `explore_last` from the start. Rewards are divided by the running size of returns. `decide` is greedy.
    """

    space: Space
    seed: int = 0
    hidden: tuple[int, ...] = (128, 128)
    rate: float = 1e-3
    anneal: int = 0
    discount: float = 1.0
    lambda_: float = 0.8
    epochs: int = 2
    minibatches: int = 32
    explore_first: float = 1.0
    explore_last: float = 0.05
    explore: float = 0.5
    max_norm: float = 10.0
    chunk: int = 0
    _net: nn.Sequential = field(init=False)
    _adam: torch.optim.RAdam = field(init=False)
    _updates: int = field(init=False, default=0)
    _spread: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(derive(self.seed, "pqn", "weights"))
        self._net = value_net(self.space.n_features, self.hidden, self.space.n_activities, generator)
        self._adam = torch.optim.RAdam(self._net.parameters(), self.rate)

    def _passed(self) -> float:
        return passed(self._updates, self.chunk, self.space.horizon, self.anneal)

    def _epsilon(self) -> float:
        share = self._passed() / self.explore if self.anneal and self.explore else 1.0
        return between(self.explore_first, self.explore_last, share)

    def behave(self) -> Policy:
        return EpsilonGreedy(Scores.of(self._net), self._epsilon())

    def decide(self) -> Policy:
        return EpsilonGreedy(Scores.of(self._net), 0.0)

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        # What is allowed after a chunk is unknown: its last step only lends its value, unless the session ended there.
        learnt = steps.alive.clone()
        learnt[:, -1] &= steps.ended[:, -1]
        if not bool(learnt.any()):
            return {}
        self._spread = spread(self._spread, steps, self._updates == 0)
        scale, epsilon = unit(self._spread), self._epsilon()
        live = learnt.flatten().nonzero()[:, 0]
        target = self._targets(steps, scale).flatten()[live]
        features, action = steps.features[:, :-1].flatten(0, 1)[live], steps.action.flatten()[live]
        self._adam.param_groups[0]["lr"] = self.rate * between(1.0, 0.1, self._passed())
        generator = torch.Generator().manual_seed(derive(seed, "pqn", self._updates))
        size = -(-len(live) // self.minibatches)
        sums, n = torch.zeros(2), 0
        for _ in range(self.epochs):
            for rows in torch.randperm(len(live), generator=generator).split(size):
                sums += self._improve(features[rows], action[rows], target[rows])
                n += 1
        self._updates += 1
        loss, value = (sums / n).tolist()
        return {"value_loss": loss, "value": value * scale, "epsilon": epsilon}

    def _targets(self, steps: Steps, scale: float) -> Tensor:
        """Return (B, T) Q(lambda) targets of the steps."""
        with torch.no_grad():
            best = self._net(steps.features[:, :-1]).masked_fill(~steps.mask, -torch.inf).amax(-1)
        over, reward = steps.ended | ~steps.alive, steps.reward / scale
        last = torch.where(over[:, -1], reward[:, -1], best[:, -1])
        before = lambda_returns(reward[:, :-1], best[:, 1:], over[:, :-1], last, self.discount, self.lambda_)
        return torch.cat([before, last[:, None]], 1)

    def _improve(self, features: Tensor, action: Tensor, target: Tensor) -> Tensor:
        value = self._net(features).gather(1, action[:, None])[:, 0]
        loss = 0.5 * (value - target).square().mean()
        self._adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._net.parameters(), self.max_norm)
        self._adam.step()
        return torch.stack([loss, value.mean()]).detach()

    def state(self) -> State:
        saved = keep({"net": self._net}, {"adam": self._adam})
        saved["updates"] = torch.tensor(self._updates)
        saved["spread"] = torch.tensor(self._spread, dtype=torch.float64)
        return saved

    def restore(self, state: State) -> None:
        bring_back(state, {"net": self._net}, {"adam": self._adam})
        self._updates, self._spread = int(state["updates"]), float(state["spread"])
