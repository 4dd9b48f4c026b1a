"""simpleKT: plain attention from each question to the questions before it, whose answers are the values."""

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
from .attention import Block, Memory, attend, attend_now, room
from .looks import Head, Looks
from .neural import Batch, Epoch, Network, Noise, Plan, trained
from .rowwise import chance, rows_times


class SimpleKTBelief(NamedTuple):
    """The latest answers as every block sees them, and the number of all answers."""

    memories: tuple[Memory, ...]
    n_answers: Tensor  # (B,) int64


@dataclass(frozen=True, eq=False)
class SimpleKTParameters:
    """The weights."""

    looks: Looks
    blocks: tuple[Block, ...]
    head: Head


class SimpleKTNetwork(Network[SimpleKTParameters]):
    """The network as the training loop sees it."""

    def __init__(self, model: SimpleKT) -> None:
        self.model = model

    def untrained(self, catalog: Catalog, generator: torch.Generator) -> SimpleKTParameters:
        m = self.model
        return SimpleKTParameters(
            looks=Looks.untrained(catalog, m.width, 1.0, False, m.items, generator),
            blocks=tuple(Block.untrained(m.width, m.feed, 0, True, generator) for _ in range(m.blocks)),
            head=Head.untrained(m.width, m.feed, generator),
        )

    def forward(self, weights: SimpleKTParameters, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        p, m = weights, self.model
        question = p.looks.question(batch.activity)
        place = _wave(torch.arange(question.shape[1]), m.width)
        x = question + place
        reply = p.looks.reply(batch.activity, batch.correct) + place
        for block in p.blocks:
            x = attend(block, m.heads, x, None, reply @ block.value, True, noise)
        return p.head.logits(x, question, noise), m.ridge * p.looks.penalty(batch.activity[batch.real])


@dataclass(frozen=True, eq=False)
class SimpleKT(Tracer):
    """simpleKT (Liu, Liu, Chen, Huang and Luo 2023): ordinary attention, `blocks` deep, and a head of two layers.

    Questions are queries and keys, answers are values, places are waves (Vaswani et al. 2017). Beliefs keep the latest
    `length` - 1 answers of every block; beyond these the window slides. With `items` activities have Rasch embeddings
    (see `Looks`) under an L2 penalty `ridge`. A predictor, but no learner: right answers may lower a prediction.
    See `Plan` for the other settings.
    """

    width: int = 64
    heads: int = 4
    feed: int = 128
    blocks: int = 2
    items: bool = False
    ridge: float = 0.01
    dropout: float = 0.05
    rate: float = 0.002
    tokens: int = 1200
    length: int = 200
    epochs: int = 40
    patience: int = 3
    valid: float = 0.1
    seed: int = 0
    checkpoint: str | None = None
    parameters: SimpleKTParameters | None = None

    def __post_init__(self) -> None:
        if self.length < 2 or self.width % self.heads:
            raise ValueError(
                f"length={self.length} must be 2 or more, width={self.width} a multiple of heads={self.heads}"
            )

    def epochs_of(self, log: Log, catalog: Catalog) -> Iterator[Epoch[SimpleKTParameters]]:
        """Train, yielding after every epoch, and going on from `checkpoint` where there is one."""
        plan = Plan(
            self.seed, self.valid, self.epochs, self.patience, self.rate, self.tokens, self.length, self.checkpoint
        )
        key = repr(replace(self, checkpoint=None, parameters=None))
        return trained(SimpleKTNetwork(self), plan, self.dropout, key, log, catalog)

    def fit(self, log: Log, catalog: Catalog) -> Self:
        """Return a copy with the weights of the epoch that predicted the validation learners best."""
        *_, last = self.epochs_of(log, catalog)
        return replace(self, checkpoint=None, parameters=last.best)

    def fitted(self) -> SimpleKTParameters:
        """Return the parameters; RuntimeError when there are none."""
        if self.parameters is None:
            raise RuntimeError("this SimpleKT has no parameters yet: call fit(log, catalog) or load a fitted one")
        return self.parameters

    def start(self, n: int) -> SimpleKTBelief:
        p = self.fitted()
        memories = tuple(Memory.empty(n, self.heads, room(self.length - 1), block.value) for block in p.blocks)
        return SimpleKTBelief(memories, p.looks.skills.index.new_zeros(n))

    def draw(self, rng: Rng) -> SimpleKTBelief:
        """Return the start: the network knows no traits but those that answers show."""
        return self.start(len(rng))

    def _held(self, belief: SimpleKTBelief) -> Tensor:
        return belief.n_answers.clamp_max(self.length - 1)

    def _logits(self, belief: SimpleKTBelief, question: Tensor) -> Tensor:
        """Return (B, Q) logits of Q questions (B or 1, Q, D) each."""
        p = self.fitted()
        question = question.expand(belief.n_answers.shape[0], -1, -1)
        x = question + _wave(belief.n_answers, self.width)[:, None]
        for block, memory in zip(p.blocks, belief.memories, strict=True):
            x = attend_now(block, self.heads, x, memory, self._held(belief))
        return p.head.logits_now(x, question)

    def predict(self, belief: SimpleKTBelief) -> Tensor:
        looks = self.fitted().looks
        return chance(self._logits(belief, looks.question(looks.everything())[None]))

    def predict_at(self, belief: SimpleKTBelief, activity: Tensor) -> Tensor:
        return chance(self._logits(belief, self.fitted().looks.question(activity)[:, None]))[:, 0]

    def update(self, belief: SimpleKTBelief, evidence: Evidence) -> SimpleKTBelief:
        p, count = self.fitted(), belief.n_answers
        place = _wave(count, self.width)
        x = p.looks.question(evidence.activity) + place
        reply = p.looks.reply(evidence.activity, evidence.correct) + place
        memories = []
        for block, memory in zip(p.blocks, belief.memories, strict=True):
            memories.append(memory.with_one(block.to_query(x[:, None])[:, 0], rows_times(reply, block.value)))
            x = attend_now(block, self.heads, x[:, None], memory, self._held(belief))[:, 0]
        return SimpleKTBelief(tuple(memories), count + 1)

    def elapse(self, belief: SimpleKTBelief, days: Tensor) -> SimpleKTBelief:
        """Return `belief`: this model knows no time."""
        return belief

    def mastery(self, belief: SimpleKTBelief) -> Tensor:
        return chance(self._logits(belief, self.fitted().looks.skill()[None]))

    def features(self, belief: SimpleKTBelief) -> Tensor:
        """Return (B, 0): mastery is all that agents see of this belief."""
        return belief.memories[0].keys[:, 0, 0, :0]


def _wave(place: Tensor, width: int) -> Tensor:
    """Return (n, D), the sines and cosines that tell the places `place` (n,) apart."""
    speed = torch.exp(torch.arange(0, width, 2, device=place.device) * (-math.log(10000.0) / width))
    angle = place[:, None].float() * speed
    return torch.stack([torch.sin(angle), torch.cos(angle)], 2).flatten(1)[:, :width]
