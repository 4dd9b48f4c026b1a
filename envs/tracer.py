"""Tracer: what we believe about a learner's knowledge, from the answers seen so far."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Self

from torch import Tensor

from ..data.catalog import Catalog
from ..data.log import Log
from .rng import Purpose, Rng

Belief = Any  # a NamedTuple of tensors with the learner axis first; each tracer has its own


class Evidence(NamedTuple):
    """What one interaction tells a tracer."""

    activity: Tensor  # (B,) int64
    correct: Tensor  # (B,) float32 in [0, 1]; a score between 0 and 1 counts as partial evidence


class Tracer(ABC):
    """A knowledge-tracing model: `start`, `predict`, `update`, `elapse` are pure functions of beliefs.

    Shapes: B learners, A activities, K skills. A tracer is a frozen dataclass; `fit` returns a fitted copy.
    Using an unfitted tracer raises a RuntimeError that says so.
    """

    @abstractmethod
    def fit(self, log: Log, catalog: Catalog) -> Self:
        """Return a copy of this tracer fitted to every row of `log`."""

    @abstractmethod
    def start(self, n: int) -> Belief:
        """Return the belief about n learners of whom nothing is known."""

    @abstractmethod
    def draw(self, rng: Rng) -> Belief:
        """Return beliefs whose hidden traits are drawn from the population: the start of simulated learners."""

    def settle(self, belief: Belief, rng: Rng, purpose: Purpose, activity: Tensor | None = None) -> Belief:
        """Return `belief` with the hidden truth drawn where it is open: how simulated learners differ from beliefs.

        `activity` (B,) says that only its skills can be open, None that all can. Here nothing is: a tracer whose
        belief is a probability of a hidden state says otherwise.
        """
        return belief

    @abstractmethod
    def predict(self, belief: Belief) -> Tensor:
        """Return (B, A), the probability that each activity would be answered right now."""

    @abstractmethod
    def predict_at(self, belief: Belief, activity: Tensor) -> Tensor:
        """Return (B,), `predict` at one activity (B,) int64 per learner."""

    @abstractmethod
    def update(self, belief: Belief, evidence: Evidence) -> Belief:
        """Return the belief after one answer and the practice that came with it."""

    @abstractmethod
    def elapse(self, belief: Belief, days: Tensor) -> Belief:
        """Return the belief after `days` (B,) without practice; forgetting lives here."""

    @abstractmethod
    def mastery(self, belief: Belief) -> Tensor:
        """Return (B, K) in [0, 1], the believed mastery of each skill."""

    @abstractmethod
    def features(self, belief: Belief) -> Tensor:
        """Return (B, F), what agents see of the belief besides mastery; F may be 0."""
