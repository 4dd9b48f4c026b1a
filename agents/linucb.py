"""LinUCB: a linear contextual bandit that tries what may yet be better."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..envs.observer import Observation, Space
from ..envs.skills import mean_over_skills
from .agent import Agent, Policy, State, Steps, greedy

_D = 5


def contexts(space: Space, observation: Observation) -> Tensor:
    """Return (B, A, 5), what can be said of each activity for each learner.

    Columns: 1; the share of its skills that are goals; believed mastery of those; the mastery of all its skills; the
    share of the session that is left.
    """
    mastery, goal = space.of(observation, "mastery"), space.of(observation, "goal")
    share = mean_over_skills(goal, space.skills)
    wanted = mean_over_skills(mastery * goal, space.skills)
    left = 1.0 - space.of(observation, "progress")[:, 1:2].expand_as(share)
    return torch.stack([torch.ones_like(share), share, wanted, mean_over_skills(mastery, space.skills), left], -1)


@dataclass(frozen=True, eq=False)
class LinUCBPolicy(Policy):
    """The allowed activity with the highest upper confidence bound of its reward (per minute, if so set)."""

    space: Space
    theta: Tensor  # (A, D)
    inverse: Tensor  # (A, D, D)
    alpha: float
    per_minute: bool

    def __call__(self, observation: Observation) -> Tensor:
        x = contexts(self.space, observation)
        mean = torch.einsum("bad,ad->ba", x, self.theta)
        width = torch.einsum("bad,ade,bae->ba", x, self.inverse, x).clamp_min(0.0).sqrt()
        score = mean + self.alpha * width
        return greedy(score / self.space.minutes.clamp_min(1e-6) if self.per_minute else score, observation.mask)


@dataclass(eq=False)
class LinUCB(Agent):
    """LinUCB with disjoint linear models (Li, Chu, Langford and Schapire 2010, algorithm 1), in batches.

    All learners of a batch decide with the same statistics; then their outer products are added at once, which is the
    exact ridge solution for the batch. `alpha` is the width of the bound in units of reward, `ridge` the prior
    precision; `discount` < 1 forgets old evidence with every batch, for worlds that drift.
    """

    space: Space
    alpha: float = 0.1
    ridge: float = 1.0
    discount: float = 1.0
    per_minute: bool = True
    chunk: int = 1
    _gram: Tensor = field(init=False)
    _moment: Tensor = field(init=False)

    def __post_init__(self) -> None:
        a = self.space.n_activities
        self._gram = torch.zeros(a, _D, _D, dtype=torch.float64)
        self._moment = torch.zeros(a, _D, dtype=torch.float64)

    def _policy(self, alpha: float) -> Policy:
        inverse = torch.linalg.inv(self._gram + self.ridge * torch.eye(_D, dtype=torch.float64))
        theta = torch.einsum("ade,ae->ad", inverse, self._moment)
        return LinUCBPolicy(self.space, theta.float(), inverse.float(), alpha, self.per_minute)

    def behave(self) -> Policy:
        return self._policy(self.alpha)

    def decide(self) -> Policy:
        return self._policy(0.0)

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        live = steps.alive.flatten()
        features, mask = steps.features[:, :-1].flatten(0, 1)[live], steps.mask.flatten(0, 1)[live]
        action, reward = steps.action.flatten()[live], steps.reward.flatten()[live].double()
        if not len(action):
            return {}
        rows = contexts(self.space, Observation(features, mask, live[:1]))
        x = rows.gather(1, action[:, None, None].expand(-1, 1, _D))[:, 0].double()
        self._gram = (self.discount * self._gram).index_add(0, action, x[:, :, None] * x[:, None, :])
        self._moment = (self.discount * self._moment).index_add(0, action, x * reward[:, None])
        return {"reward": float(reward.mean())}

    def state(self) -> State:
        return {"gram": self._gram.clone(), "moment": self._moment.clone()}

    def restore(self, state: State) -> None:
        self._gram, self._moment = state["gram"].clone(), state["moment"].clone()
