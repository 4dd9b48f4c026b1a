"""LinUCB: a linear contextual bandit that tries what may yet be better."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from ..envs.observer import Observation, Space
from .agent import Agent, Policy, State, Steps, greedy
from .contexts import WIDTH, contexts, whole
from .ridge import Evidence, means, widths
from .spread import Spread


@dataclass(frozen=True, eq=False)
class LinUCBPolicy(Policy):
    """The allowed activity with the highest upper confidence bound of its reward (per minute, if so set)."""

    space: Space
    theta: Tensor  # (A, D)
    inverse: Tensor  # (A, D, D)
    alpha: float  # in units of reward
    per_minute: bool
    wide: bool = False

    def __call__(self, observation: Observation) -> Tensor:
        x = whole(observation) if self.wide else contexts(self.space, observation)
        score = means(x, self.theta)
        if self.alpha:
            score = score + self.alpha * widths(x, self.inverse)
        return greedy(score / self.space.minutes.clamp_min(1e-6) if self.per_minute else score, observation.mask)


@dataclass(eq=False)
class LinUCB(Agent):
    """LinUCB with disjoint linear models (Li, Chu, Langford and Schapire 2010, algorithm 1), in batches.

    All learners of a batch decide with the same statistics; then their outer products are added at once, which is the
    exact ridge solution for the batch. `alpha` is the width of the bound in units of the rewards' running standard
    deviation, so one value serves every world; `ridge` is the prior precision; `discount` < 1 forgets old evidence with
    every batch, for worlds that drift. The context is five numbers about learner and activity (`contexts`); `wide`
    takes all features of the learner instead, the same for all activities.
    """

    space: Space
    alpha: float = 1.0
    ridge: float = 1.0
    discount: float = 1.0
    per_minute: bool = True
    wide: bool = False
    chunk: int = 1
    _evidence: Evidence = field(init=False)
    _spread: Spread = field(init=False, default=Spread())

    def __post_init__(self) -> None:
        self._evidence = Evidence.none(self.space.n_activities, 1 + self.space.n_features if self.wide else WIDTH)

    def _policy(self, alpha: float) -> Policy:
        theta, inverse = self._evidence.solve(self.ridge)
        return LinUCBPolicy(
            self.space, theta.float(), inverse.float(), alpha * self._spread.sd, self.per_minute, self.wide
        )

    def behave(self) -> Policy:
        return self._policy(self.alpha)

    def decide(self) -> Policy:
        return self._policy(0.0)

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
        return {"reward": float(reward.mean())}

    def state(self) -> State:
        gram, moment = self._evidence
        return {"gram": gram.clone(), "moment": moment.clone(), "spread": self._spread.tensor()}

    def restore(self, state: State) -> None:
        self._evidence = Evidence(state["gram"].clone(), state["moment"].clone())
        self._spread = Spread.of(state["spread"])
