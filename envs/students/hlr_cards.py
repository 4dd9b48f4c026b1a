"""HLRCards: flash cards whose memory strength is log-linear in reviews and right answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log
from ..memory import exponential
from ..rng import Purpose, Rng
from ..student import Context, Response, Student
from .deck import at, deck, lognormal, put, reviewed, whole_deck


class HLRState(NamedTuple):
    """What B learners hold of K cards."""

    easiness: Tensor  # (B, K), log of the strength before any review
    right: Tensor  # (B, K)
    wrong: Tensor  # (B, K)
    age: Tensor  # (B, K), days since the last review


@dataclass(frozen=True, eq=False)
class HLRCards(Student):
    """Half-life regression as a learner: Reddy, Levine and Dragan (2017), after Settles and Meeder (2016).

    P(recall) = exp(-days / strength), log strength = per_review reviews + per_right right + per_wrong wrong + easiness,
    with easiness ~ N(0, spread) per learner and card; at the start each card was last seen exp(N(0, 1)) days ago. (The
    published code puts that moment into the future, so that recall exceeds 1; here it lies in the past.)

    There is no spacing effect: what a review adds does not hang on when it comes, and massed reviews, more often right,
    add most. A policy cannot learn spacing from these learners. Published runs: 30 cards, 200 reviews, Pace(1, 5.0).
    """

    items: int = 30
    per_review: float = 1.0
    per_right: float = 1.0
    per_wrong: float = 0.0
    spread: float = 1.0
    catalog: Catalog = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "catalog", deck(self.items, "HLRCards"))

    def fit(self, log: Log | None, catalog: Catalog | None) -> Self:
        """Return these learners themselves: they are made by hand and bring their own catalogue."""
        return self

    def enrol(self, rng: Rng) -> HLRState:
        easiness = self.spread * rng.normal(Purpose.TRAITS, self.items).contiguous()
        none = torch.zeros_like(easiness)
        return HLRState(easiness, none, none, lognormal(rng, self.items, 1.0, 1.0, 1))

    def context(self, state: HLRState) -> Context:
        return whole_deck(state.age)

    def answer(self, state: HLRState, activity: Tensor, rng: Rng) -> tuple[HLRState, Response]:
        response = reviewed(at(self.mastery(state), activity), rng)
        right = put(state.right, activity, at(state.right, activity) + response.correct)
        wrong = put(state.wrong, activity, at(state.wrong, activity) + 1.0 - response.correct)
        age = put(state.age, activity, torch.zeros_like(response.correct))
        return HLRState(state.easiness, right, wrong, age), response

    def elapse(self, state: HLRState, days: Tensor, rng: Rng) -> HLRState:
        return state._replace(age=state.age + days[:, None])

    def mastery(self, state: HLRState) -> Tensor:
        """Return (B, K), the probability of recall now."""
        log_strength = state.easiness + (self.per_review + self.per_right) * state.right
        log_strength = log_strength + (self.per_review + self.per_wrong) * state.wrong
        return exponential(state.age, torch.exp(log_strength))
