"""EFC: flash cards forgotten exponentially, each review making a card a little stronger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log
from ..memory import exponential
from ..rng import Rng
from ..student import Context, Response, Student
from .deck import at, deck, lognormal, put, reviewed, whole_deck


class EFCState(NamedTuple):
    """What B learners hold of K cards."""

    rate: Tensor  # (B, K), forgetting per day at strength 1
    strength: Tensor  # (B, K), 1 + reviews
    age: Tensor  # (B, K), days since the last review


@dataclass(frozen=True, eq=False)
class EFC(Student):
    """The exponential forgetting curve of Reddy, Levine and Dragan (2017, equation 1), after Reddy et al. (2016).

    P(recall) = exp(-rate days / (1 + reviews)). The rate of every card of every learner is drawn from a lognormal with
    median `rate` and log-sd `spread`; at the start each card was last seen exp(N(0, 1)) days ago. (The published code
    puts that moment into the future, so that recall exceeds 1; here it lies in the past, as in EduSim.)

    There is no spacing effect: what a review adds does not hang on when it comes or on its answer. So a policy cannot
    learn spacing from these learners, only which card is weakest. Published runs have 30 cards and 200 reviews with 5
    units of time after each, here days: Pace(1, 5.0).
    """

    items: int = 30
    rate: float = 0.077
    spread: float = 1.0
    catalog: Catalog = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "catalog", deck(self.items, "EFC"))

    def fit(self, log: Log | None, catalog: Catalog | None) -> Self:
        """Return these learners themselves: they are made by hand and bring their own catalogue."""
        return self

    def enrol(self, rng: Rng) -> EFCState:
        rate = lognormal(rng, self.items, self.rate, self.spread, 0)
        return EFCState(rate, torch.ones_like(rate), lognormal(rng, self.items, 1.0, 1.0, 1))

    def context(self, state: EFCState) -> Context:
        return whole_deck(state.age)

    def answer(self, state: EFCState, activity: Tensor, rng: Rng) -> tuple[EFCState, Response]:
        response = reviewed(at(self.mastery(state), activity), rng)
        strength = put(state.strength, activity, at(state.strength, activity) + 1.0)
        return EFCState(state.rate, strength, put(state.age, activity, torch.zeros_like(response.correct))), response

    def elapse(self, state: EFCState, days: Tensor, rng: Rng) -> EFCState:
        return state._replace(age=state.age + days[:, None])

    def mastery(self, state: EFCState) -> Tensor:
        """Return (B, K), the probability of recall now."""
        return exponential(state.age, state.strength / state.rate)
