"""Deep knowledge tracing: a recurrent network that reads the answers and predicts every skill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from ...data.catalog import Catalog
from ...data.log import Log
from ..rng import Rng
from ..skills import Padded, skills_of
from ..tracer import Evidence, Tracer
from .dkt_cell import unrolled
from .neural import Batch, Epoch, Network, Noise, Plan, trained, uniform
from .rowwise import chance, rows_times, sigmoid

_LIFT = 10.0  # Adam's small steps would need more epochs than there are to reach the level of an easy skill


class DKTBelief(NamedTuple):
    """The state of the network."""

    hidden: Tensor  # (B, H)
    cell: Tensor  # (B, H)


@dataclass(frozen=True, eq=False)
class DKTParameters:
    """The weights; gates lie in the order input, forget, output, candidate."""

    answers: Tensor  # (2, K, E) what a wrong and a right answer to each skill looks like
    reading: Tensor  # (E, 4H)
    bias: Tensor  # (4H,)
    recurrent: Tensor  # (H, 4H)
    readout: Tensor  # (K, H)
    level: Tensor  # (K,) logits at the start, in units of _LIFT
    ease: Tensor  # (A,) logits by which an activity is easier than its skills; (0,) without items
    surprise: Tensor  # (2, E) what a wrong and a right answer looks like besides, per unit of ease
    skills: Padded  # (A, M)

    def levels(self) -> Tensor:
        """Return (K,), the logits of skills at the start."""
        return self.level * _LIFT


class DKTNetwork(Network[DKTParameters]):
    """The network as the training loop sees it."""

    def __init__(self, model: DKT) -> None:
        self.model = model

    def untrained(self, catalog: Catalog, generator: torch.Generator) -> DKTParameters:
        m, k = self.model, len(catalog.skill_ids)
        bound = m.hidden**-0.5
        bias = torch.zeros(4 * m.hidden)
        bias[m.hidden : 2 * m.hidden] = 1.0  # remember at first (Jozefowicz, Zaremba and Sutskever 2015)
        return DKTParameters(
            answers=torch.randn(2, k, m.width, generator=generator),
            reading=uniform(generator, bound, m.width, 4 * m.hidden),
            bias=bias,
            recurrent=uniform(generator, bound, m.hidden, 4 * m.hidden),
            readout=uniform(generator, bound, k, m.hidden),
            level=torch.zeros(k),
            ease=torch.zeros(len(catalog.activity_ids) if m.items else 0),
            surprise=uniform(generator, 1.0, 2, m.width),
            skills=skills_of(catalog),
        )

    def forward(self, weights: DKTParameters, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        m, p = self.model, weights
        activity, correct = batch.activity.t(), batch.correct.t()  # (T, B)
        levels, level = torch.unique(correct, return_inverse=True)
        pair, where = torch.unique(activity * len(levels) + level, return_inverse=True)
        inputs = _looks(p, pair // len(levels), levels[pair % len(levels)]) @ p.reading + p.bias
        hidden = noise.drop(unrolled(F.embedding(where, inputs), p.recurrent))
        before = torch.cat([torch.zeros_like(hidden[:1]), hidden[:-1]])
        penalty = hidden.new_zeros(())
        if m.again or m.jumps or m.leaps:
            real = batch.scored.t()
            penalty = self._waves(p, hidden, activity, correct, real)
        if p.ease.numel():
            penalty = penalty + m.ridge * (p.ease[activity[batch.real.t()]] ** 2).mean()
        return _logits(p, before, activity).t(), penalty

    def _waves(self, p: DKTParameters, hidden: Tensor, activity: Tensor, correct: Tensor, real: Tensor) -> Tensor:
        m = self.model
        again = F.binary_cross_entropy_with_logits(_logits(p, hidden, activity)[real], correct[real])
        chances = torch.sigmoid(hidden @ p.readout.t() + p.levels())
        change = (chances[1:] - chances[:-1])[real[1:] & real[:-1]]
        if not len(change):
            return m.again * again
        return m.again * again + m.jumps * change.abs().mean() + m.leaps * (change**2).mean()


@dataclass(frozen=True, eq=False)
class DKT(Tracer):
    """Deep knowledge tracing (Piech et al. 2015): an LSTM over answers, a logit for every skill after each.

    The input of an answer is the mean over the activity's skills, the logit of an activity that of its skills. A score
    between 0 and 1 lies between a wrong and a right answer. With `items` every activity has an ease of its own, which
    is added to its logit and scales how its answers are read (Rasch embeddings: Ghosh, Heffernan and Lan 2020),
    under an L2 penalty `ridge`. `again`, `jumps` and `leaps` are DKT+ (Yeung and Yeung 2018, equation 10): predict the
    answer just given, and keep all skills from waving, in absolute and squared change; .1, .003 and 3 there, 0 in DKT.

    A good predictor, but no learner: an answer moves skills that it has nothing to do with, and right ones may lower
    their own. `fit` stops `patience` epochs after the best validation AUC; see `Plan` for the other settings.
    """

    hidden: int = 200
    width: int = 200  # of the embedding of an answer
    items: bool = False
    ridge: float = 0.01
    again: float = 0.0
    jumps: float = 0.0
    leaps: float = 0.0
    dropout: float = 0.3
    rate: float = 0.002
    tokens: int = 6000
    length: int = 200
    epochs: int = 40
    patience: int = 3
    valid: float = 0.1
    seed: int = 0
    checkpoint: str | None = None
    parameters: DKTParameters | None = None

    def epochs_of(self, log: Log, catalog: Catalog) -> Iterator[Epoch[DKTParameters]]:
        """Train, yielding after every epoch, and going on from `checkpoint` where there is one."""
        plan = Plan(
            self.seed, self.valid, self.epochs, self.patience, self.rate, self.tokens, self.length, self.checkpoint
        )
        key = repr(replace(self, checkpoint=None, parameters=None))
        return trained(DKTNetwork(self), plan, self.dropout, key, log, catalog)

    def fit(self, log: Log, catalog: Catalog) -> Self:
        """Return a copy with the weights of the epoch that predicted the validation learners best."""
        *_, last = self.epochs_of(log, catalog)
        return replace(self, checkpoint=None, parameters=last.best)

    def fitted(self) -> DKTParameters:
        """Return the parameters; RuntimeError when there are none."""
        if self.parameters is None:
            raise RuntimeError("this DKT has no parameters yet: call fit(log, catalog) or load a fitted one")
        return self.parameters

    def start(self, n: int) -> DKTBelief:
        recurrent = self.fitted().recurrent
        zero = recurrent.new_zeros(n, recurrent.shape[0])
        return DKTBelief(zero, zero.clone())

    def draw(self, rng: Rng) -> DKTBelief:
        """Return the start: the network knows no traits but those that answers show."""
        return self.start(len(rng))

    def predict(self, belief: DKTBelief) -> Tensor:
        p = self.fitted()
        weight = p.skills.real.float()
        logits = (self._levels(belief)[:, p.skills.index] * weight).sum(-1) / weight.sum(-1)
        return chance(logits + p.ease if p.ease.numel() else logits)

    def predict_at(self, belief: DKTBelief, activity: Tensor) -> Tensor:
        return chance(_logits(self.fitted(), belief.hidden, activity))

    def update(self, belief: DKTBelief, evidence: Evidence) -> DKTBelief:
        p = self.fitted()
        look = _looks(p, evidence.activity, evidence.correct)
        gates = rows_times(look, p.reading) + p.bias + rows_times(belief.hidden, p.recurrent)
        i, f, o, g = gates.chunk(4, 1)
        cell = sigmoid(f) * belief.cell + sigmoid(i) * torch.tanh(g)
        return DKTBelief(sigmoid(o) * torch.tanh(cell), cell)

    def elapse(self, belief: DKTBelief, days: Tensor) -> DKTBelief:
        """Return `belief`: this model knows no time."""
        return belief

    def _levels(self, belief: DKTBelief) -> Tensor:
        p = self.fitted()
        return rows_times(belief.hidden, p.readout.t()) + p.levels()

    def mastery(self, belief: DKTBelief) -> Tensor:
        return chance(self._levels(belief))

    def features(self, belief: DKTBelief) -> Tensor:
        """Return (B, 0): mastery is all that agents see of this belief."""
        return belief.hidden[:, :0]


def _looks(p: DKTParameters, activity: Tensor, correct: Tensor) -> Tensor:
    """Return (n, E), how answers `correct` (n,) to `activity` (n,) look to the network."""
    index, real = p.skills.index[activity], p.skills.real[activity].float()[..., None]
    score = correct[:, None]
    wrong, right = F.embedding(index, p.answers[0]), F.embedding(index, p.answers[1])
    look = (1.0 - score) * _mean(wrong, real) + score * _mean(right, real)
    if p.ease.numel():
        look = look + p.ease[activity][:, None] * ((1.0 - score) * p.surprise[0] + score * p.surprise[1])
    return look


def _mean(values: Tensor, real: Tensor) -> Tensor:
    return (values * real).sum(-2) / real.sum(-2)


def _logits(p: DKTParameters, hidden: Tensor, activity: Tensor) -> Tensor:
    """Return (...), the logit of `activity` (...) in the states `hidden` (..., H)."""
    index, real = p.skills.index[activity], p.skills.real[activity].float()
    if p.skills.single:
        logits = (hidden * F.embedding(index[..., 0], p.readout)).sum(-1) + p.levels()[index[..., 0]]
    else:
        mixed = _mean(F.embedding(index, p.readout), real[..., None])
        logits = (hidden * mixed).sum(-1) + (p.levels()[index] * real).sum(-1) / real.sum(-1)
    return logits + p.ease[activity] if p.ease.numel() else logits
