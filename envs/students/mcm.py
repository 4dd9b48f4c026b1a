"""MCM: flash cards in the multiscale context model, a cascade of traces from fast to slow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log
from ..rng import Rng
from ..student import Context, Response, Student
from .deck import at, deck, lognormal, put, reviewed, whole_deck


class MCMState(NamedTuple):
    """What B learners hold of K cards in N traces."""

    pace: Tensor  # (B, K), how fast the learner's traces of a card decay, 1 on average
    trace: Tensor  # (B, K, N), as it was at the last review
    age: Tensor  # (B, K), days since the last review


@dataclass(frozen=True, eq=False)
class MCM(Student):
    """The multiscale context model: Pashler, Cepeda, Lindsey, Vul and Mozer (2009).

    Trace i of N decays with time constant tau_i = mu nu^i days and weighs gamma_i, proportional to xi^i. With
    s_i = (sum over j <= i of gamma_j x_j) / (sum over j <= i of gamma_j), P(recall) = min(1, s_N). A review moves each
    trace by what the faster ones up to it lack: x_i += step (1 - s_i), where step is `right` after recall and `wrong`
    else. (Never downwards: where s_i is above 1 already, nothing is added.)

    The defaults of mu, nu and xi give a forgetting curve near .97 (1 + .16 days)^-.62. `spread` is the log-sd of each
    learner's own pace of forgetting each card (0 gives the average learner). A card never seen is never recalled.
    Costs N traces per card: 30 cards of 65,536 learners take 0.8 GB.
    """

    items: int = 30
    traces: int = 100
    mu: float = 2.57  # days
    nu: float = 1.064
    xi: float = 0.981
    right: float = 9.0
    wrong: float = 1.0
    spread: float = 0.3
    catalog: Catalog = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "catalog", deck(self.items, "MCM"))
        if self.traces < 1 or min(self.mu, self.nu, self.xi) <= 0:
            raise ValueError(
                f"MCM: {self.traces} traces, mu {self.mu}, nu {self.nu}, xi {self.xi}; all must be above 0"
            )

    def fit(self, log: Log | None, catalog: Catalog | None) -> Self:
        """Return these learners themselves: they are made by hand and bring their own catalogue."""
        return self

    def enrol(self, rng: Rng) -> MCMState:
        pace = lognormal(rng, self.items, 1.0, self.spread, 0)
        return MCMState(pace, pace.new_zeros(*pace.shape, self.traces), torch.zeros_like(pace))

    def context(self, state: MCMState) -> Context:
        return whole_deck(state.age)

    def answer(self, state: MCMState, activity: Tensor, rng: Rng) -> tuple[MCMState, Response]:
        trace = self._faded(at(state.trace, activity), at(state.age, activity), at(state.pace, activity))
        weight = self._weights(trace)
        share = (trace * weight).cumsum(-1) / weight.cumsum(-1)  # cumsum adds in one order, whatever the batch size
        response = reviewed(share[:, -1].clamp_max(1.0), rng)
        step = torch.where(response.correct > 0, self.right, self.wrong)
        trace = trace + step[:, None] * (1.0 - share).clamp_min(0.0)
        age = put(state.age, activity, torch.zeros_like(response.correct))
        return MCMState(state.pace, put(state.trace, activity, trace), age), response

    def elapse(self, state: MCMState, days: Tensor, rng: Rng) -> MCMState:
        return state._replace(age=state.age + days[:, None])

    def mastery(self, state: MCMState) -> Tensor:
        """Return (B, K), the probability of recall now."""
        trace = self._faded(state.trace, state.age, state.pace)
        weight = self._weights(trace)
        total = (trace.mul_(weight)).cumsum(-1)[..., -1]
        return (total / weight.cumsum(-1)[-1]).clamp_max(1.0)

    def _faded(self, trace: Tensor, age: Tensor, pace: Tensor) -> Tensor:
        """Return the traces (..., N) now, in fresh memory."""
        number = torch.arange(1, self.traces + 1, dtype=trace.dtype, device=trace.device)
        rate = 1.0 / (self.mu * self.nu**number)
        return torch.exp((-age * pace)[..., None] * rate).mul_(trace)

    def _weights(self, trace: Tensor) -> Tensor:
        number = torch.arange(1, self.traces + 1, dtype=trace.dtype, device=trace.device)
        return self.xi**number
