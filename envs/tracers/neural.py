"""Training a network on a log: batches of like length, Adam, early stopping, going on after a kill."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional as F

from ...data.catalog import Catalog
from ...data.log import Log, Sequences
from ..pack import load, save
from ..rng import derive
from ..rows import map_tensors

W = TypeVar("W")  # a frozen dataclass of tensors; those of floats are trained
_CLIP = 5.0  # largest norm of a gradient


class Batch(NamedTuple):
    """Some pieces of sequences, shorter ones filled up at the end."""

    row: Tensor  # (B, T) int64, the row of the log; 0 in filled places
    activity: Tensor  # (B, T) int64
    correct: Tensor  # (B, T) float32 in [0, 1]
    real: Tensor  # (B, T) bool, False in filled places
    scored: Tensor  # (B, T) bool, False too where a piece begins in mid-life


class Network(ABC, Generic[W]):
    """What the loop trains: `untrained` weights, and a `forward` pass over a batch."""

    @abstractmethod
    def untrained(self, catalog: Catalog, generator: torch.Generator) -> W:
        """Return weights to begin with."""

    @abstractmethod
    def forward(self, weights: W, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return (B, T) logits, each from the answers before it in the batch, and a penalty () to add to the loss."""


@dataclass(frozen=True)
class Plan:
    """How a network is trained."""

    seed: int
    valid: float  # share of learners by whom the epoch is chosen, unless the log names its own
    epochs: int  # at most
    patience: int  # epochs without a better validation AUC; each of them halves the rate
    rate: float  # of Adam
    tokens: int  # answers in a batch
    length: int  # answers in a piece of a sequence: longer ones are cut
    checkpoint: str | None = None  # a folder


@dataclass(frozen=True, eq=False)
class Noise:
    """Dropout with its own generator, so that a run can be repeated; `share` 0 leaves everything as it is."""

    share: float
    generator: torch.Generator | None = None

    def drop(self, x: Tensor) -> Tensor:
        """Return `x` with a share of its values at 0 and the others scaled up."""
        if self.generator is None or not self.share:
            return x
        kept = torch.rand(x.shape, generator=self.generator) >= self.share
        return x * kept / (1.0 - self.share)


SILENT = Noise(0.0)


@dataclass(frozen=True)
class Epoch(Generic[W]):
    """What is known after an epoch; `best` are the weights with the highest validation score so far."""

    number: int  # from 1
    loss: float  # mean over the epoch's answers
    score: float  # validation AUC; less the log loss where the learners know only one answer
    stale: int  # epochs since the best
    best: W


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training between two epochs. Made by `trained` alone."""

    key: str  # of log, catalogue and settings
    weights: Any
    mean: Any  # Adam's first moments, as the weights
    square: Any  # and second
    average: Any  # of the weights over the last updates, about an epoch's
    steps: int
    rate: float
    top: float
    history: tuple[Epoch[Any], ...]  # the last one, with the best weights


def trained(
    network: Network[W], plan: Plan, dropout: float, key: str, log: Log, catalog: Catalog
) -> Iterator[Epoch[W]]:
    """Train, yielding after every epoch; the last one's `best` is the result.

    With `plan.checkpoint` every epoch is saved there, and a fit with the same `key`, log and catalogue goes on from it.
    Raises: ValueError for an empty log, or when the folder holds the training of something else.
    """
    if not len(log):
        raise ValueError(f"{log.name}: no rows, and a network cannot be fitted to nothing; choose another source")
    key = f"{derive(0, key, log.digest(), catalog.digest()):08x}"
    fit, held = _divided(log, plan)
    train, valid = fit.sequences(catalog), held.sequences(catalog)
    generator = torch.Generator().manual_seed(derive(plan.seed, "weights"))
    weights = network.untrained(catalog, generator)
    zeros = map_tensors(torch.zeros_like, weights)
    state = Checkpoint(key, weights, zeros, zeros, weights, 0, plan.rate, -math.inf, ())
    if plan.checkpoint is not None and Path(plan.checkpoint).exists():
        state = load(Path(plan.checkpoint))
        if not isinstance(state, Checkpoint) or state.key != key:
            raise ValueError(
                f"{plan.checkpoint} holds the training of other data or settings; delete it or name another folder"
            )
        yield from state.history
    done = state.history[-1].number if state.history else 0
    for number in range(done + 1, plan.epochs + 1):
        if state.history and state.history[-1].stale >= plan.patience:
            return
        state = _epoch(network, plan, dropout, state, number, train, valid)
        if plan.checkpoint is not None:
            save(state, Path(plan.checkpoint))
        yield from state.history


def _divided(log: Log, plan: Plan) -> tuple[Log, Log]:
    """Return the learners to train on and those to choose the epoch by; a log of few may have the same ones in both."""
    valid = set(log.split(plan.seed, plan.valid, 0.0).valid.learners)
    rest = [learner for learner in log.learners if learner not in valid]
    return (log.subset(rest), log.subset(valid)) if valid and rest else (log, log)


def _epoch(
    network: Network[W],
    plan: Plan,
    dropout: float,
    state: Checkpoint,
    number: int,
    train: Sequences,
    valid: Sequences,
) -> Checkpoint:
    weights = map_tensors(torch.clone, state.weights)
    mean, square = map_tensors(torch.clone, state.mean), map_tensors(torch.clone, state.square)
    average = map_tensors(torch.clone, state.average)
    slots = [s for s in zip(*map(leaves, (weights, mean, square, average)), strict=True) if s[0].is_floating_point()]
    for slot in slots:
        slot[0].requires_grad_(True)
    noise = Noise(dropout, torch.Generator().manual_seed(derive(plan.seed, "dropout", number)))
    steps, total, count = state.steps, 0.0, 0
    parts = list(batches(train, plan.tokens, plan.length, derive(plan.seed, "order", number)))
    for batch in parts:
        logits, penalty = network.forward(weights, batch, noise)
        losses = F.binary_cross_entropy_with_logits(logits, batch.correct, reduction="none")[batch.scored]
        (losses.mean() + penalty).backward()
        steps += 1
        _adam(slots, state.rate, steps)
        with torch.no_grad():
            for weight, *_, mixed in slots:
                mixed.lerp_(weight, max(1.0 / steps, 1.0 / len(parts)))
        total, count = total + float(losses.detach().sum()), count + len(losses)
    for slot in slots:
        slot[0].requires_grad_(False)
        slot[0].grad = None
    score = _score(network, average, plan, valid)
    before = state.history[-1] if state.history else None
    better = before is None or score > state.top
    stale = 0 if better or before is None else before.stale + 1
    best = average if better or before is None else before.best
    epoch = Epoch(number, total / max(count, 1), score, stale, best)
    rate = state.rate if better else state.rate / 2.0
    return replace(
        state,
        weights=weights,
        mean=mean,
        square=square,
        average=average,
        steps=steps,
        rate=rate,
        top=max(score, state.top),
        history=(epoch,),
    )


def _adam(slots: list[tuple[Tensor, ...]], rate: float, step: int) -> None:
    """Change weights and moments in place by one step of Adam (Kingma and Ba 2015, algorithm 1), gradients clipped."""
    with torch.no_grad():
        gradients = [w.grad if w.grad is not None else torch.zeros_like(w) for w, *_ in slots]
        norm = math.sqrt(sum(float((g * g).sum()) for g in gradients))
        scale = min(1.0, _CLIP / max(norm, 1e-12))
        for (weight, mean, square, _), gradient in zip(slots, gradients, strict=True):
            mean.mul_(0.9).add_(gradient, alpha=0.1 * scale)
            square.mul_(0.999).addcmul_(gradient, gradient, value=0.001 * scale**2)
            size = (square / (1.0 - 0.999**step)).sqrt_().add_(1e-8)
            weight.addcdiv_(mean, size, value=-rate / (1.0 - 0.9**step))
            weight.grad = None


def batches(sequences: Sequences, tokens: int, length: int, seed: int | None) -> Iterator[Batch]:
    """Yield pieces of at most `length` rows in batches of about `tokens`, pieces of like length together.

    seed: of the order, in which both the batches and equal lengths within them are mixed; None = by length.
    """
    lives = np.diff(sequences.start)
    pieces = -(-lives // length)
    owner = np.repeat(np.arange(len(lives)), pieces)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    first = sequences.start[:-1][owner] + place * length
    size = np.minimum(length, sequences.start[1:][owner] - first)
    chance = np.random.Generator(np.random.Philox(seed)) if seed is not None else None
    jitter = size * chance.uniform(0.9, 1.1, len(size)) if chance else size
    order = np.argsort(jitter, kind="stable")
    parts = _parts(size[order], tokens)
    for part in chance.permutation(len(parts)) if chance else range(len(parts)):
        which = order[parts[part][0] : parts[part][1]]
        step = np.arange(int(size[which].max()))
        real = step < size[which][:, None]
        row = np.where(real, first[which][:, None] + step, 0)
        scored = real & ((step > 0) | (place[which] == 0)[:, None])
        activity, correct = sequences.activity[row], np.where(real, sequences.correct[row], 0.0).astype(np.float32)
        yield Batch(*(torch.from_numpy(x) for x in (row, np.where(real, activity, 0), correct, real, scored)))


def _parts(size: NDArray[np.int64], tokens: int) -> list[tuple[int, int]]:
    """Return where to cut pieces of these sizes, in their order, so that each part has about `tokens` places."""
    cuts, begin, widest = [], 0, 0
    for i, n in enumerate(size.tolist()):
        if i > begin and max(widest, n) * (i + 1 - begin) > tokens:
            cuts.append((begin, i))
            begin, widest = i, 0
        widest = max(widest, n)
    return [*cuts, (begin, len(size))] if len(size) else []


def predicted(network: Network[W], weights: W, sequences: Sequences, tokens: int, length: int) -> tuple[Tensor, Tensor]:
    """Return (N,) logits of every row by the forward pass, and (N,) bool: False where a piece begins in mid-life."""
    out, scored = torch.zeros(len(sequences.activity)), torch.zeros(len(sequences.activity), dtype=torch.bool)
    with torch.no_grad():
        for batch in batches(sequences, tokens, length, None):
            logits, _ = network.forward(weights, batch, SILENT)
            out[batch.row[batch.real]] = logits[batch.real]
            scored[batch.row[batch.scored]] = True
    return out, scored


def _score(network: Network[W], weights: W, plan: Plan, valid: Sequences) -> float:
    logits, scored = predicted(network, weights, valid, plan.tokens, plan.length)
    correct, logits = torch.from_numpy(valid.correct[scored.numpy()]), logits[scored]
    right = correct.numpy() >= 0.5
    if right.all() or not right.any():
        return -float(F.binary_cross_entropy_with_logits(logits, correct))
    return auc(right, logits.numpy())


def auc(right: NDArray[np.bool_], scores: NDArray[np.floating[Any]]) -> float:
    """Return the chance that a right answer (N,) has a higher score (N,) than a wrong one; ties count half.

    nan where all answers are right, or none.
    """
    ones, zeros = int(right.sum()), int((~right).sum())
    above = float(rankdata(scores)[right].sum()) - ones * (ones + 1) / 2
    return above / (ones * zeros) if ones and zeros else math.nan


def leaves(weights: Any) -> list[Tensor]:
    """Return the tensors of nested dataclasses and tuples, always in the same order."""
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_tensors(note, weights)
    return found


def uniform(generator: torch.Generator, bound: float, *shape: int) -> Tensor:
    """Return weights between -bound and bound."""
    return (torch.rand(*shape, generator=generator) * 2.0 - 1.0) * bound
