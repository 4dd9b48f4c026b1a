"""Dynamic key-value memory: slots of knowledge that answers write to, and questions read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log
from ..rng import Rng
from ..tracer import Evidence, Tracer
from .dkvmn_cell import written
from .looks import Looks
from .neural import Batch, Epoch, Network, Noise, Plan, trained, uniform
from .rowwise import chance, each_times, rows_times, sigmoid


class DKVMNBelief(NamedTuple):
    """What the slots hold."""

    slots: Tensor  # (B, N, D)


@dataclass(frozen=True, eq=False)
class DKVMNParameters:
    """The weights."""

    looks: Looks
    keys: Tensor  # (D, N) what a slot is about
    start: Tensor  # (N, D) what it holds at first
    erase: Tensor  # (D, D)
    erase_bias: Tensor  # (D,)
    add: Tensor  # (D, D)
    add_bias: Tensor  # (D,)
    mix_read: Tensor  # (D, D)
    mix_question: Tensor  # (D, D)
    mix_bias: Tensor  # (D,)
    out: Tensor  # (D, 1)
    level: Tensor  # (1,)


class DKVMNNetwork(Network[DKVMNParameters]):
    """The network as the training loop sees it."""

    def __init__(self, model: DKVMN) -> None:
        self.model = model

    def untrained(self, catalog: Catalog, generator: torch.Generator) -> DKVMNParameters:
        m = self.model
        d, bound = m.width, math.sqrt(3.0 / m.width)
        return DKVMNParameters(
            looks=Looks.untrained(catalog, d, 1.0, True, m.items, generator),
            keys=uniform(generator, bound, d, m.slots),
            start=uniform(generator, bound, m.slots, d),
            erase=uniform(generator, bound, d, d),
            erase_bias=torch.zeros(d),
            add=uniform(generator, bound, d, d),
            add_bias=torch.zeros(d),
            mix_read=uniform(generator, bound, d, d),
            mix_question=uniform(generator, bound, d, d),
            mix_bias=torch.zeros(d),
            out=uniform(generator, d**-0.5, d, 1),
            level=torch.zeros(1),
        )

    def forward(self, weights: DKVMNParameters, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        p = weights
        activity, correct = batch.activity.t(), batch.correct.t()  # (T, B)
        question, reply = p.looks.question(activity), p.looks.reply(activity, correct)
        read = written(
            torch.softmax(question @ p.keys, -1),
            torch.sigmoid(reply @ p.erase + p.erase_bias),
            torch.tanh(reply @ p.add + p.add_bias),
            p.start,
        )
        mixed = torch.tanh(read @ p.mix_read + question @ p.mix_question + p.mix_bias)
        logits = (noise.drop(mixed) @ p.out + p.level)[..., 0]
        return logits.t(), self.model.ridge * p.looks.penalty(batch.activity[batch.real])


@dataclass(frozen=True, eq=False)
class DKVMN(Tracer):
    """Dynamic key-value memory network (Zhang, Shi, King and Yeung 2017).

    A question's look decides how much each slot matters to it. Its answer erases and adds in that measure. With `items`
    activities have Rasch embeddings (see `Looks`) under an L2 penalty `ridge`. A predictor, but no learner: right
    answers may lower a prediction. See `Plan` for the other settings.
    """

    width: int = 64
    slots: int = 32
    items: bool = False
    ridge: float = 0.01
    dropout: float = 0.2
    rate: float = 0.002
    tokens: int = 2000
    length: int = 200
    epochs: int = 40
    patience: int = 3
    valid: float = 0.1
    seed: int = 0
    checkpoint: str | None = None
    parameters: DKVMNParameters | None = None

    def epochs_of(self, log: Log, catalog: Catalog) -> Iterator[Epoch[DKVMNParameters]]:
        """Train, yielding after every epoch, and going on from `checkpoint` where there is one."""
        plan = Plan(
            self.seed, self.valid, self.epochs, self.patience, self.rate, self.tokens, self.length, self.checkpoint
        )
        key = repr(replace(self, checkpoint=None, parameters=None))
        return trained(DKVMNNetwork(self), plan, self.dropout, key, log, catalog)

    def fit(self, log: Log, catalog: Catalog) -> Self:
        """Return a copy with the weights of the epoch that predicted the validation learners best."""
        *_, last = self.epochs_of(log, catalog)
        return replace(self, checkpoint=None, parameters=last.best)

    def fitted(self) -> DKVMNParameters:
        """Return the parameters; RuntimeError when there are none."""
        if self.parameters is None:
            raise RuntimeError("this DKVMN has no parameters yet: call fit(log, catalog) or load a fitted one")
        return self.parameters

    def start(self, n: int) -> DKVMNBelief:
        return DKVMNBelief(self.fitted().start.repeat(n, 1, 1))

    def draw(self, rng: Rng) -> DKVMNBelief:
        """Return the start: the network knows no traits but those that answers show."""
        return self.start(len(rng))

    def _weights(self, question: Tensor) -> Tensor:
        """Return (..., n, N), how much each slot matters to `question` (..., n, D)."""
        p = self.fitted()
        flat = rows_times(question.flatten(0, -2), p.keys)
        return torch.softmax(flat, -1).view(*question.shape[:-1], -1)

    def _chances(self, belief: DKVMNBelief, question: Tensor) -> Tensor:
        """Return (B, Q), the chances of Q questions (B or 1, Q, D) each."""
        p = self.fitted()
        n = belief.slots.shape[0]
        read = each_times(self._weights(question).expand(n, -1, -1), belief.slots)
        asked = rows_times(question.flatten(0, 1), p.mix_question).view(*question.shape)
        mixed = torch.tanh(rows_times(read.flatten(0, 1), p.mix_read).view(read.shape) + asked + p.mix_bias)
        return chance((rows_times(mixed.flatten(0, 1), p.out) + p.level).view(n, -1))

    def predict(self, belief: DKVMNBelief) -> Tensor:
        looks = self.fitted().looks
        return self._chances(belief, looks.question(looks.everything())[None])

    def predict_at(self, belief: DKVMNBelief, activity: Tensor) -> Tensor:
        return self._chances(belief, self.fitted().looks.question(activity)[:, None])[:, 0]

    def update(self, belief: DKVMNBelief, evidence: Evidence) -> DKVMNBelief:
        p = self.fitted()
        weight = self._weights(p.looks.question(evidence.activity))[..., None]
        reply = p.looks.reply(evidence.activity, evidence.correct)
        erase = sigmoid(rows_times(reply, p.erase) + p.erase_bias)[:, None]
        add = torch.tanh(rows_times(reply, p.add) + p.add_bias)[:, None]
        return DKVMNBelief(belief.slots + weight * (add - erase * belief.slots))

    def elapse(self, belief: DKVMNBelief, days: Tensor) -> DKVMNBelief:
        """Return `belief`: this model knows no time."""
        return belief

    def mastery(self, belief: DKVMNBelief) -> Tensor:
        return self._chances(belief, self.fitted().looks.skill()[None])

    def features(self, belief: DKVMNBelief) -> Tensor:
        """Return (B, 0): mastery is all that agents see of this belief."""
        return belief.slots[:, 0, :0]
