"""DASH: flash cards with a generalised power law of forgetting and a study history in windows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log
from ..memory import hyperbolic
from ..rng import Purpose, Rng
from ..student import Context, Response, Student
from .deck import at, deck, lognormal, put, reviewed, whole_deck


class DASHState(NamedTuple):
    """What B learners hold of K cards, in W windows of their history."""

    difficulty: Tensor  # (B, K), logits
    exponent: Tensor  # (B, K), of the power law
    rate: Tensor  # (B, 1), of the power law, per day
    right: Tensor  # (B, K, W)
    reviews: Tensor  # (B, K, W)
    age: Tensor  # (B, K), days since the last review
    step: Tensor  # (B,) int64, reviews of any card


@dataclass(frozen=True, eq=False)
class DASH(Student):
    """DASH, also called GPL: Reddy, Levine and Dragan (2017), after Mozer and Lindsey (2016).

    P(recall) = m (1 + rate days) ** -exponent,  logit m = ability - difficulty + sum over windows w of
    weight_w [log(1 + right_w) + log(1 + reviews_w)].
    A window is `window` reviews of the session, and counts once it is over: of W windows the w-th weighs
    1 / (W + 1 - w)^2, so later ones weigh more. The published law of the traits: difficulty ~ N(1, 1), ability 0,
    log rate ~ N(0, .01), exponent = exp(-exp(N(1, 1))). Each card was last seen exp(N(0, .01)) days ago (in the
    published code: that long ahead). Published runs: 30 cards, 200 reviews, Pace(1, 5.0).

    Reviews of the current window change nothing but the card's age, so hardly any tutor beats a random one here.
    """

    items: int = 30
    windows: int = 5
    window: int = 40  # reviews
    ability: float = 0.0
    difficulty: float = 1.0
    difficulty_spread: float = 1.0
    exponent_mean: float = 1.0  # of the log of -log exponent
    exponent_spread: float = 1.0
    catalog: Catalog = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "catalog", deck(self.items, "DASH"))
        if self.windows < 1 or self.window < 1:
            raise ValueError(f"DASH: {self.windows} windows of {self.window} reviews; give 1 or more of each")

    def fit(self, log: Log | None, catalog: Catalog | None) -> Self:
        """Return these learners themselves: they are made by hand and bring their own catalogue."""
        return self

    def enrol(self, rng: Rng) -> DASHState:
        normal = rng.normal(Purpose.TRAITS, self.items, 2).contiguous()
        difficulty = self.difficulty + self.difficulty_spread * rng.normal(Purpose.TRAITS, self.items).contiguous()
        exponent = torch.exp(-torch.exp(self.exponent_mean + self.exponent_spread * normal))
        none = torch.zeros(*difficulty.shape, self.windows, device=difficulty.device)
        age = lognormal(rng, self.items, 1.0, 0.01, 1)
        rate = lognormal(rng, 1, 1.0, 0.01, 3)
        return DASHState(difficulty, exponent, rate, none, none, age, torch.zeros_like(rng.learner))

    def context(self, state: DASHState) -> Context:
        return whole_deck(state.age)

    def answer(self, state: DASHState, activity: Tensor, rng: Rng) -> tuple[DASHState, Response]:
        response = reviewed(at(self.mastery(state), activity), rng)
        now = torch.nn.functional.one_hot(self._window(state), self.windows).to(state.right.dtype)
        right = put(state.right, activity, at(state.right, activity) + now * response.correct[:, None])
        reviews = put(state.reviews, activity, at(state.reviews, activity) + now)
        age = put(state.age, activity, torch.zeros_like(response.correct))
        return state._replace(right=right, reviews=reviews, age=age, step=state.step + 1), response

    def elapse(self, state: DASHState, days: Tensor, rng: Rng) -> DASHState:
        return state._replace(age=state.age + days[:, None])

    def mastery(self, state: DASHState) -> Tensor:
        """Return (B, K), the probability of recall now."""
        logit = self.ability - state.difficulty
        current = self._window(state)[:, None]
        for w in range(self.windows - 1):  # one order of adding, whatever the batch size; the last is never over
            practised = torch.log1p(state.right[:, :, w]) + torch.log1p(state.reviews[:, :, w])
            logit = logit + practised * ((w < current) / (self.windows - w) ** 2)
        knows = 1.0 / (1.0 + torch.exp(-logit))
        return knows * hyperbolic(state.age, state.rate, state.exponent)

    def _window(self, state: DASHState) -> Tensor:
        return (state.step // self.window).clamp_max(self.windows - 1)
