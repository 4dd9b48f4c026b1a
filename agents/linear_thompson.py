"""Linear Thompson sampling: linear models of the reward, each activity as often as it may be the best."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..envs.observer import Observation, Space
from ..envs.rng import derive
from .agent import Agent, Policy, State, Steps
from .arms import rate
from .contexts import WIDTH, contexts, whole
from .ridge import Evidence, sampled, scores, shares
from .spread import Spread


@dataclass(frozen=True, eq=False)
class LinearThompsonPolicy(Policy):
    """The share of the drawn models under which an allowed activity pays most; it is sampled by these probabilities."""

    space: Space
    theta: Tensor  # (M, A, D)
    per_minute: bool
    wide: bool = False

    def __call__(self, observation: Observation) -> Tensor:
        x = whole(observation) if self.wide else contexts(self.space, observation)
        return shares(rate(scores(x, self.theta), self.space, self.per_minute), observation.mask)


@dataclass(eq=False)
class LinearThompson(Agent):
    """Thompson sampling for linear payoffs (Agrawal and Goyal 2013, algorithm 1), one model per activity, in batches.

    Models are drawn from N(theta, (alpha sd)^2 A^-1), with theta and A as in LinUCB and sd the running standard
    deviation of rewards. Of each batch `draws` sets of models are drawn, and every learner's probabilities are the
    shares of those sets that favour each activity: exact, and sampled from as they stand. `discount`, `ridge` and
    `wide` as in LinUCB.
    """

    space: Space
    seed: int = 0
    alpha: float = 1.0
    draws: int = 32
    ridge: float = 1.0
    discount: float = 1.0
    per_minute: bool = True
    wide: bool = False
    chunk: int = 1
    _evidence: Evidence = field(init=False)
    _spread: Spread = field(init=False, default=Spread())
    _batches: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"LinearThompson: draws is {self.draws}; give 1 or more")
        self._evidence = Evidence.none(self.space.n_activities, 1 + self.space.n_features if self.wide else WIDTH)

    def behave(self) -> Policy:
        generator = torch.Generator().manual_seed(derive(self.seed, "linear thompson", self._batches))
        theta = sampled(self._evidence.solve(self.ridge), self.alpha * self._spread.sd, self.draws, generator)
        return LinearThompsonPolicy(self.space, theta, self.per_minute, self.wide)

    def decide(self) -> Policy:
        theta = self._evidence.solve(self.ridge).theta.float()
        return LinearThompsonPolicy(self.space, theta[None], self.per_minute, self.wide)

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        seen, action, reward = steps.samples()
        if not len(action):
            return {}
        if self.wide:
            x = whole(seen)
        else:
            x = contexts(self.space, seen).gather(1, action[:, None, None].expand(-1, 1, WIDTH))[:, 0]
        self._evidence = self._evidence.add(x, action, reward, self.discount)
        self._spread = self._spread.add(reward)
        self._batches += 1
        return {"reward": float(reward.mean())}

    def state(self) -> State:
        saved = {"gram": self._evidence.gram.clone(), "moment": self._evidence.moment.clone()}
        return saved | {"spread": self._spread.tensor(), "batches": torch.tensor(self._batches)}

    def restore(self, state: State) -> None:
        self._evidence = Evidence(state["gram"].clone(), state["moment"].clone())
        self._spread, self._batches = Spread.of(state["spread"]), int(state["batches"])
