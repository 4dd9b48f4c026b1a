"""ACTR: flash cards in the memory of ACT-R, every presentation a trace that decays by its own power law."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log
from ..rng import Purpose, Rng
from ..student import Context, Response, Student
from .deck import at, deck, put, reviewed, whole_deck

_DAY = 86400.0


class ACTRState(NamedTuple):
    """What B learners hold of K cards: the last H presentations of each."""

    offset: Tensor  # (B, K), the learner's own activation of each card
    age: Tensor  # (B, K, H), seconds of memory time since each presentation
    decay: Tensor  # (B, K, H), exponent of each trace
    presented: Tensor  # (B, K) int64, presentations so far


@dataclass(frozen=True, eq=False)
class ACTR(Student):
    """Activation with spacing: Pavlik and Anderson (2005, equations 1-4), with the parameters of their experiment.

    m = ln(sum over presentations j of t_j ** -d_j),  d_j = c e^m_j + a with m_j the activation when j came,
    P(recall) = 1 / (1 + e^((threshold - m) / noise)). A card never seen is never recalled. Every review ends with the
    right answer shown, so it counts as a presentation whatever the answer. t is in seconds; a second between sessions
    counts as `between` of one. A review takes `seconds`, during which everything grows older.

    `spread` is the sd of each learner's own activation of each card (0 gives the published average learner). Only the
    latest `traces` presentations of a card are held; older ones are forgotten outright.
    Presentations that come while activation is high decay faster: a spacing effect, though at a year the best gap is as
    large a share of the delay as at a week, which people's is not (Cepeda et al. 2008).
    """

    items: int = 30
    traces: int = 16
    a: float = 0.177
    c: float = 0.217
    threshold: float = -0.704
    noise: float = 0.255
    between: float = 0.025
    seconds: float = 60.0
    spread: float = 0.3
    catalog: Catalog = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "catalog", deck(self.items, "ACTR"))
        if self.traces < 1 or self.seconds <= 0:
            raise ValueError(f"ACTR: {self.traces} traces and {self.seconds} seconds; give 1 or more, and above 0")

    def fit(self, log: Log | None, catalog: Catalog | None) -> Self:
        """Return these learners themselves: they are made by hand and bring their own catalogue."""
        return self

    def enrol(self, rng: Rng) -> ACTRState:
        offset = self.spread * rng.normal(Purpose.TRAITS, self.items).contiguous()
        age = torch.ones(*offset.shape, self.traces, device=offset.device)
        return ACTRState(offset, age, torch.zeros_like(age), torch.zeros_like(offset, dtype=torch.int64))

    def context(self, state: ACTRState) -> Context:
        return whole_deck(state.offset)

    def answer(self, state: ACTRState, activity: Tensor, rng: Rng) -> tuple[ACTRState, Response]:
        age, decay, presented = (at(part, activity) for part in (state.age, state.decay, state.presented))
        activation = self._activation(age, decay, presented)
        response = reviewed(self._recall(activation, at(state.offset, activity)), rng)
        slot = (presented % self.traces)[:, None]
        age = age.scatter(1, slot, 0.0)
        decay = decay.scatter(1, slot, (self.c * torch.exp(activation) + self.a)[:, None])
        after = ACTRState(
            state.offset,
            put(state.age, activity, age) + self.seconds,
            put(state.decay, activity, decay),
            put(state.presented, activity, presented + 1),
        )
        return after, response

    def elapse(self, state: ACTRState, days: Tensor, rng: Rng) -> ACTRState:
        return state._replace(age=state.age + (_DAY * self.between) * days[:, None, None])

    def mastery(self, state: ACTRState) -> Tensor:
        """Return (B, K), the probability of recall now."""
        return self._recall(self._activation(state.age, state.decay, state.presented), state.offset)

    def _activation(self, age: Tensor, decay: Tensor, presented: Tensor) -> Tensor:
        """Return the activation of cards whose traces are the last axis; minus infinity before the first."""
        total = torch.zeros_like(presented, dtype=age.dtype)
        for j in range(self.traces):  # one order of adding, whatever the batch size
            trace = torch.exp(-decay[..., j] * torch.log(age[..., j]))
            total = total + torch.where(presented > j, trace, 0.0)
        return torch.log(total)

    def _recall(self, activation: Tensor, offset: Tensor) -> Tensor:
        return 1.0 / (1.0 + torch.exp((self.threshold - activation - offset) / self.noise))
