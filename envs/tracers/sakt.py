"""Self-attentive knowledge tracing: each question attends to the answers before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log
from ..rng import Rng
from ..tracer import Evidence, Tracer
from .attention import Block, Memory, attend, attend_now, room, rowwise, split
from .looks import Looks
from .neural import Batch, Epoch, Network, Noise, Plan, trained, uniform
from .rowwise import chance, rows_times


class SAKTBelief(NamedTuple):
    """The latest answers as keys and values, their places not yet added, and the number of all answers."""

    memory: Memory
    n_answers: Tensor  # (B,) int64


@dataclass(frozen=True, eq=False)
class SAKTParameters:
    """The weights."""

    looks: Looks
    place: Tensor  # (L, D) of the answers, the first one's first
    block: Block
    out: Tensor  # (D, 1)
    level: Tensor  # (1,)


class SAKTNetwork(Network[SAKTParameters]):
    """The network as the training loop sees it."""

    def __init__(self, model: SAKT) -> None:
        self.model = model

    def untrained(self, catalog: Catalog, generator: torch.Generator) -> SAKTParameters:
        m = self.model
        return SAKTParameters(
            looks=Looks.untrained(catalog, m.width, 1.0, False, m.items, generator),
            place=uniform(generator, 0.1, m.length, m.width),
            block=Block.untrained(m.width, m.feed, 0, False, generator),
            out=uniform(generator, m.width**-0.5, m.width, 1),
            level=torch.zeros(1),
        )

    def forward(self, weights: SAKTParameters, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        p, m = weights, self.model
        place = p.place[: batch.activity.shape[1]]
        question = p.looks.question(batch.activity) + place
        reply = p.looks.reply(batch.activity, batch.correct) + place
        x = attend(p.block, m.heads, question, reply @ p.block.key, reply @ p.block.value, True, noise)
        return (x @ p.out + p.level)[..., 0], m.ridge * p.looks.penalty(batch.activity[batch.real])


@dataclass(frozen=True, eq=False)
class SAKT(Tracer):
    """Self-attentive knowledge tracing (Pandey and Karypis 2019): one block of attention with learned places.

    The question is the query, the answers before it are keys and values. Beliefs keep the latest `length` - 1 answers;
    beyond these the window slides, and places are counted within it. With `items` activities have Rasch embeddings
    (see `Looks`) under an L2 penalty `ridge`. A predictor, but no learner: right answers may lower a prediction.
    See `Plan` for the other settings.
    """

    width: int = 64
    heads: int = 4
    feed: int = 128
    items: bool = False
    ridge: float = 0.01
    dropout: float = 0.1
    rate: float = 0.002
    tokens: int = 1200
    length: int = 200
    epochs: int = 40
    patience: int = 3
    valid: float = 0.1
    seed: int = 0
    checkpoint: str | None = None
    parameters: SAKTParameters | None = None

    def __post_init__(self) -> None:
        if self.length < 2 or self.width % self.heads:
            raise ValueError(
                f"length={self.length} must be 2 or more, width={self.width} a multiple of heads={self.heads}"
            )

    def epochs_of(self, log: Log, catalog: Catalog) -> Iterator[Epoch[SAKTParameters]]:
        """Train, yielding after every epoch, and going on from `checkpoint` where there is one."""
        plan = Plan(
            self.seed, self.valid, self.epochs, self.patience, self.rate, self.tokens, self.length, self.checkpoint
        )
        key = repr(replace(self, checkpoint=None, parameters=None))
        return trained(SAKTNetwork(self), plan, self.dropout, key, log, catalog)

    def fit(self, log: Log, catalog: Catalog) -> Self:
        """Return a copy with the weights of the epoch that predicted the validation learners best."""
        *_, last = self.epochs_of(log, catalog)
        return replace(self, checkpoint=None, parameters=last.best)

    def fitted(self) -> SAKTParameters:
        """Return the parameters; RuntimeError when there are none."""
        if self.parameters is None:
            raise RuntimeError("this SAKT has no parameters yet: call fit(log, catalog) or load a fitted one")
        return self.parameters

    def start(self, n: int) -> SAKTBelief:
        p = self.fitted()
        return SAKTBelief(
            Memory.empty(n, self.heads, room(self.length - 1), p.block.key), p.looks.skills.index.new_zeros(n)
        )

    def draw(self, rng: Rng) -> SAKTBelief:
        """Return the start: the network knows no traits but those that answers show."""
        return self.start(len(rng))

    def _logits(self, belief: SAKTBelief, question: Tensor) -> Tensor:
        """Return (B, Q) logits of Q questions (B or 1, Q, D) each."""
        p = self.fitted()
        n = belief.n_answers.clamp_max(self.length - 1)
        there = (n[:, None] - 1 - torch.arange(belief.memory.keys.shape[2], device=n.device)).clamp_min(
            0
        )  # the newest is first
        memory = Memory(
            belief.memory.keys + split(rows_times(p.place, p.block.key)[there], self.heads),
            belief.memory.values + split(rows_times(p.place, p.block.value)[there], self.heads),
        )
        x = question + p.place[n][:, None]
        return (rowwise(attend_now(p.block, self.heads, x, memory, n), p.out) + p.level)[..., 0]

    def predict(self, belief: SAKTBelief) -> Tensor:
        looks = self.fitted().looks
        return chance(self._logits(belief, looks.question(looks.everything())[None]))

    def predict_at(self, belief: SAKTBelief, activity: Tensor) -> Tensor:
        return chance(self._logits(belief, self.fitted().looks.question(activity)[:, None]))[:, 0]

    def update(self, belief: SAKTBelief, evidence: Evidence) -> SAKTBelief:
        p = self.fitted()
        reply = p.looks.reply(evidence.activity, evidence.correct)
        key, value = rows_times(reply, p.block.key), rows_times(reply, p.block.value)
        return SAKTBelief(belief.memory.with_one(key, value), belief.n_answers + 1)

    def elapse(self, belief: SAKTBelief, days: Tensor) -> SAKTBelief:
        """Return `belief`: this model knows no time."""
        return belief

    def mastery(self, belief: SAKTBelief) -> Tensor:
        return chance(self._logits(belief, self.fitted().looks.skill()[None]))

    def features(self, belief: SAKTBelief) -> Tensor:
        """Return (B, 0): mastery is all that agents see of this belief."""
        return belief.memory.keys[:, 0, 0, :0]
