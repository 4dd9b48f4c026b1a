"""CEM: an index of each activity found by the cross-entropy method, a search over policies without gradients."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..envs.observer import Observation, Space
from ..envs.rng import derive
from .agent import Agent, Policy, State, Steps, greedy
from .index import columns, kinds, told, width


@dataclass(eq=False)
class CEM(Agent):
    """The noisy cross-entropy method (Szita and Lorincz 2006) on index policies.

    A policy is one weight for each column of `index.columns`, shared by all activities; it takes the allowed activity
    with the highest weighted sum. Of each cohort, learner i is led by candidate i modulo `candidates`, drawn from
    independent normals; the `elite` share with the best mean returns moves their means and deviations by `step`.
    `noise`, added to the variances, fades to nothing over `fade` cohorts, so that the search does not close too soon.
    Whole sessions count, so a reward may come as late as it likes. `decide` is the index of the means.
    """

    space: Space
    seed: int = 0
    candidates: int = 32
    elite: float = 0.25
    step: float = 0.6
    spread: float = 1.0
    noise: float = 0.05
    fade: int = 20
    chunk: int = field(init=False, default=0)
    _mean: Tensor = field(init=False)
    _deviation: Tensor = field(init=False)
    _updates: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.candidates < 2 or not 0 < self.elite < 1 or not 0 < self.step <= 1 or self.fade < 1:
            raise ValueError("CEM: give 2 candidates or more, elite and step between 0 and 1, fade of 1 or more")
        self._mean = torch.zeros(width(self.space))
        self._deviation = torch.full_like(self._mean, self.spread)

    def _drawn(self) -> Tensor:
        """Return (M, D), the candidates of this cohort."""
        generator = torch.Generator().manual_seed(derive(self.seed, "cem", self._updates))
        return self._mean + self._deviation * torch.randn(self.candidates, len(self._mean), generator=generator)

    def behave(self) -> Policy:
        return IndexPolicy(self.space, self._drawn(), kinds(self.space))

    def decide(self) -> Policy:
        return IndexPolicy(self.space, self._mean[None].clone(), kinds(self.space))

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        there = steps.alive.any(1)
        if not bool(there.any()):
            return {}
        total = (steps.reward * steps.alive).sum(1).double()
        which = torch.arange(len(total)) % self.candidates
        count = torch.zeros(self.candidates, dtype=torch.float64).index_add_(0, which, there.double())
        value = torch.zeros_like(count).index_add_(0, which, total) / count.clamp_min(1.0)
        tried = count > 0
        n = max(2, round(self.elite * int(tried.sum())))
        best = value.masked_fill(~tried, -torch.inf).argsort(descending=True, stable=True)[:n]
        elite = self._drawn()[best]
        extra = self.noise * max(0.0, 1.0 - self._updates / self.fade)
        deviation = (elite.var(0, correction=0) + extra).sqrt()
        self._mean = torch.lerp(self._mean, elite.mean(0), self.step)
        self._deviation = torch.lerp(self._deviation, deviation, self.step)
        self._updates += 1
        return {"elite": float(value[best].mean()), "spread": float(self._deviation.mean())}

    def state(self) -> State:
        return {
            "mean": self._mean.clone(),
            "deviation": self._deviation.clone(),
            "updates": torch.tensor(self._updates),
        }

    def restore(self, state: State) -> None:
        self._mean, self._deviation = state["mean"].clone(), state["deviation"].clone()
        self._updates = int(state["updates"])


@dataclass(frozen=True, eq=False)
class IndexPolicy(Policy):
    """The allowed activity of the highest index; learner i has the weights i modulo M; among equals the first."""

    space: Space
    weights: Tensor  # (M, D)
    kinds: tuple[str, ...]  # of activity that it was found with

    def __call__(self, observation: Observation) -> Tensor:
        own = columns(self.space, observation.features, observation.history, self.kinds)  # (B, A, D)
        if len(self.weights) == 1:
            return greedy(own @ self.weights[0], observation.mask)
        mine = self.weights[torch.arange(own.shape[0]) % len(self.weights)]
        return greedy((own @ mine[:, :, None])[..., 0], observation.mask)

    def on(self, space: Space) -> IndexPolicy:
        """Return the same policy for the activities of another catalogue.

        ValueError when the tracer there tells less or more of a skill.
        """
        if told(space) != told(self.space):
            raise ValueError(
                f"this policy was found with {told(self.space)} columns of belief per skill, and here there are "
                f"{told(space)}: use the same kind of tracer"
            )
        return replace(self, space=space)
