"""Attentive knowledge tracing: attention that fades with distance, over questions and answers read in context."""

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
from .attention import Block, Memory, attend, attend_now, room, rowwise
from .looks import Head, Looks
from .neural import Batch, Epoch, Network, Noise, Plan, trained
from .rowwise import chance


class AKTBelief(NamedTuple):
    """The latest answers as the three blocks see them, and the number of all answers."""

    answers: Memory
    questions: Memory
    states: Memory
    n_answers: Tensor  # (B,) int64


@dataclass(frozen=True, eq=False)
class AKTParameters:
    """The weights."""

    looks: Looks
    answers: Block  # reads answers in the context of those before
    questions: Block  # reads questions in the context of those before; attention alone
    states: Block  # takes from earlier answers what the question calls for
    head: Head


class AKTNetwork(Network[AKTParameters]):
    """The network as the training loop sees it."""

    def __init__(self, model: AKT) -> None:
        self.model = model

    def untrained(self, catalog: Catalog, generator: torch.Generator) -> AKTParameters:
        m = self.model
        return AKTParameters(
            looks=Looks.untrained(catalog, m.width, 0.02, False, m.items, generator),
            answers=Block.untrained(m.width, m.feed, m.heads, True, generator),
            questions=Block.untrained(m.width, 0, m.heads, True, generator),
            states=Block.untrained(m.width, m.feed, m.heads, True, generator),
            head=Head.untrained(m.width, m.feed, generator),
        )

    def forward(self, weights: AKTParameters, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        p, m = weights, self.model
        question = p.looks.question(batch.activity)
        x, y = question, p.looks.reply(batch.activity, batch.correct)
        y = attend(p.answers, m.heads, y, None, y @ p.answers.value, False, noise)
        x = attend(p.questions, m.heads, x, None, x @ p.questions.value, False, noise)
        x = attend(p.states, m.heads, x, None, y @ p.states.value, True, noise)
        return p.head.logits(x, question, noise), m.ridge * p.looks.penalty(batch.activity[batch.real])


@dataclass(frozen=True, eq=False)
class AKT(Tracer):
    """Attentive knowledge tracing (Ghosh, Heffernan and Lan 2020) with one block each for answers and questions.

    Attention fades with the distance in steps, by as much as was attended to what lies between. Keys are made as
    queries are. Beliefs keep the latest `length` - 1 answers of every block; beyond these the window slides. With
    `items` activities have Rasch embeddings (see `Looks`) under an L2 penalty `ridge`. A predictor, but no learner:
    right answers may lower a prediction. See `Plan` for the other settings.
    """

    width: int = 64
    heads: int = 4
    feed: int = 128
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
    parameters: AKTParameters | None = None

    def __post_init__(self) -> None:
        if self.length < 2 or self.width % self.heads:
            raise ValueError(
                f"length={self.length} must be 2 or more, width={self.width} a multiple of heads={self.heads}"
            )

    def epochs_of(self, log: Log, catalog: Catalog) -> Iterator[Epoch[AKTParameters]]:
        """Train, yielding after every epoch, and going on from `checkpoint` where there is one."""
        plan = Plan(
            self.seed, self.valid, self.epochs, self.patience, self.rate, self.tokens, self.length, self.checkpoint
        )
        key = repr(replace(self, checkpoint=None, parameters=None))
        return trained(AKTNetwork(self), plan, self.dropout, key, log, catalog)

    def fit(self, log: Log, catalog: Catalog) -> Self:
        """Return a copy with the weights of the epoch that predicted the validation learners best."""
        *_, last = self.epochs_of(log, catalog)
        return replace(self, checkpoint=None, parameters=last.best)

    def fitted(self) -> AKTParameters:
        """Return the parameters; RuntimeError when there are none."""
        if self.parameters is None:
            raise RuntimeError("this AKT has no parameters yet: call fit(log, catalog) or load a fitted one")
        return self.parameters

    def start(self, n: int) -> AKTBelief:
        p = self.fitted()
        answers, questions, states = (
            Memory.empty(n, self.heads, room(self.length - 1), block.value)
            for block in (p.answers, p.questions, p.states)
        )
        return AKTBelief(answers, questions, states, p.looks.skills.index.new_zeros(n))

    def draw(self, rng: Rng) -> AKTBelief:
        """Return the start: the network knows no traits but those that answers show."""
        return self.start(len(rng))

    def _held(self, belief: AKTBelief) -> Tensor:
        return belief.n_answers.clamp_max(self.length - 1)

    def _read(self, block: Block, memory: Memory, held: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (B, Q, D) each: `x` in the context of the memory and itself, and its own key and value."""
        key, value = block.to_query(x), rowwise(x, block.value)
        return attend_now(block, self.heads, x, memory, held, (key, value)), key, value

    def _logits(self, belief: AKTBelief, question: Tensor) -> Tensor:
        """Return (B, Q) logits of Q questions (B or 1, Q, D) each."""
        p, held = self.fitted(), self._held(belief)
        question = question.expand(held.shape[0], -1, -1)
        x, _, _ = self._read(p.questions, belief.questions, held, question)
        return p.head.logits_now(attend_now(p.states, self.heads, x, belief.states, held), question)

    def predict(self, belief: AKTBelief) -> Tensor:
        looks = self.fitted().looks
        return chance(self._logits(belief, looks.question(looks.everything())[None]))

    def predict_at(self, belief: AKTBelief, activity: Tensor) -> Tensor:
        return chance(self._logits(belief, self.fitted().looks.question(activity)[:, None]))[:, 0]

    def update(self, belief: AKTBelief, evidence: Evidence) -> AKTBelief:
        p, held = self.fitted(), self._held(belief)
        question = p.looks.question(evidence.activity)[:, None]
        reply = p.looks.reply(evidence.activity, evidence.correct)[:, None]
        x, x_key, x_value = self._read(p.questions, belief.questions, held, question)
        y, y_key, y_value = self._read(p.answers, belief.answers, held, reply)
        key, value = p.states.to_query(x), rowwise(y, p.states.value)
        return AKTBelief(
            belief.answers.with_one(y_key[:, 0], y_value[:, 0]),
            belief.questions.with_one(x_key[:, 0], x_value[:, 0]),
            belief.states.with_one(key[:, 0], value[:, 0]),
            belief.n_answers + 1,
        )

    def elapse(self, belief: AKTBelief, days: Tensor) -> AKTBelief:
        """Return `belief`: this model knows no time."""
        return belief

    def mastery(self, belief: AKTBelief) -> Tensor:
        return chance(self._logits(belief, self.fitted().looks.skill()[None]))

    def features(self, belief: AKTBelief) -> Tensor:
        """Return (B, 0): mastery is all that agents see of this belief."""
        return belief.answers.keys[:, 0, 0, :0]
