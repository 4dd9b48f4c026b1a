"""Expectation maximisation for BKT: every learner's every skill at once, in batched tensors.

The sequences (one per learner and skill) are sorted by length and laid out time-major, so step t touches only the
sequences that are that long: no padding. Formulas: Baum and Welch, scaled forward-backward (Rabiner 1989).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log, Sequences
from ..replay import walk
from ..skills import Padded, parents_of, skills_of
from .bkt import BKTParameters

if TYPE_CHECKING:
    from .bkt import BKT

_FLOOR = 1e-4  # no fitted probability is nearer to 0 or 1 than this
_EVERY = 5  # iterations between two updates of the prerequisite gates


@dataclass(frozen=True, eq=False)
class _Layout:
    """Rows (one per answer and skill) in time-major order; step t owns rows edges[t] .. edges[t+1]-1."""

    edges: list[int]
    skill: Tensor  # (N,) int64
    learner: Tensor  # (N,) int64
    correct: Tensor  # (N,) float64
    gap: Tensor  # (N,) float64, days until the next practice of the same skill; 0 in a last row
    last: Tensor  # (N,) bool, no successor
    source: Tensor  # (N,) int64, row of the log
    place: Tensor  # (N,) int64, which of the activity's skills
    n_skills: int
    n_learners: int


def _lay_out(sequences: Sequences, skills: Padded, n_skills: int) -> _Layout:
    index, real = skills.index.numpy()[sequences.activity], skills.real.numpy()[sequences.activity]
    row, place = np.nonzero(real)
    skill = index[row, place]
    learner = np.repeat(np.arange(len(sequences.learners)), np.diff(sequences.start))[row]
    order = np.lexsort((row, skill, learner))  # by learner, then skill, then time
    row, place, skill, learner = row[order], place[order], skill[order], learner[order]
    first = np.flatnonzero(np.r_[True, (learner[1:] != learner[:-1]) | (skill[1:] != skill[:-1])])
    length = np.diff(np.r_[first, len(row)])
    step = np.arange(len(row)) - np.repeat(first, length)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(-length, kind="stable")] = np.arange(len(first))
    major = np.lexsort((np.repeat(rank, length), step))
    days = sequences.days[row]
    gap = np.r_[np.diff(days), 0.0]
    last = np.zeros(len(row), bool)
    last[np.r_[first[1:] - 1, len(row) - 1]] = True
    gap[last] = 0.0
    edges = np.r_[0, np.cumsum(np.bincount(step))].tolist()

    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values[major]))

    correct = sequences.correct[row].astype(np.float64)
    return _Layout(
        edges,
        tensor(skill),
        tensor(learner),
        tensor(correct),
        tensor(np.maximum(gap, 0.0)),
        tensor(last),
        tensor(row),
        tensor(place),
        n_skills,
        len(sequences.learners),
    )


@dataclass(frozen=True, eq=False)
class _Expected:
    """What the E-step returns, each (N, C): P(known) given all answers, and expected transitions."""

    known: Tensor
    learnt: Tensor
    stayed_unknown: Tensor
    kept: Tensor
    dropped: Tensor
    survived: Tensor
    lost: Tensor
    log_likelihood: Tensor  # (L, C), of each learner under each class


def _expect(layout: _Layout, p: BKTParameters, gate: Tensor) -> _Expected:
    """Return the scaled forward-backward pass over all sequences; `gate` is (N, 1 or C)."""
    k, correct = layout.skill, layout.correct[:, None]
    guess, slip, learn = p.guess[k, None], p.slip[k, None], p.learn[k, None] * gate
    forget = p.forget[k, None]
    fade = 1.0 - torch.exp(-p.decay[k] * layout.gap)[:, None]
    if_known, if_not = correct * (1 - slip) + (1 - correct) * slip, correct * guess + (1 - correct) * (1 - guess)
    n_classes = p.weight.shape[0]
    post, scale = (
        torch.empty(len(k), n_classes, dtype=torch.float64),
        torch.empty(len(k), n_classes, dtype=torch.float64),
    )
    edges, steps = layout.edges, len(layout.edges) - 1
    known = p.priors().T[k[: edges[1]]]
    for t in range(steps):
        here = slice(edges[t], edges[t + 1])
        joint = known[: edges[t + 1] - edges[t]] * if_known[here]
        total = torch.add(joint, (1.0 - known[: edges[t + 1] - edges[t]]) * if_not[here])
        after = joint / total
        post[here], scale[here] = after, total
        known = (after * (1.0 - forget[here]) + (1.0 - after) * learn[here]) * (1.0 - fade[here])
    # backward messages: `up` and `down` are what the future says of known and unknown just before the next answer
    up, down = torch.ones_like(post), torch.ones_like(post)
    beta1, beta0 = torch.ones_like(post), torch.ones_like(post)
    for t in range(steps - 2, -1, -1):
        n = edges[t + 2] - edges[t + 1]
        here, there = slice(edges[t], edges[t] + n), slice(edges[t + 1], edges[t + 2])
        b1 = if_known[there] * beta1[there] / scale[there]
        b0 = if_not[there] * beta0[there] / scale[there]
        d1 = b1 + fade[here] * (b0 - b1)
        up[here], down[here] = b1, b0
        beta1[here] = d1 + forget[here] * (b0 - d1)
        beta0[here] = b0 + learn[here] * (d1 - b0)
    d1 = up + fade * (down - up)
    follows = (~layout.last)[:, None].to(post.dtype)
    unknown = (1.0 - post) * follows
    held = post * follows
    moved = held * (1.0 - forget) + unknown * learn  # known after practice, before the gap
    log_likelihood = torch.zeros(layout.n_learners, n_classes, dtype=torch.float64).index_add_(
        0, layout.learner, torch.log(scale)
    )
    return _Expected(
        known=post * beta1,
        learnt=unknown * learn * d1,
        stayed_unknown=unknown * (1.0 - learn) * down,
        kept=held * (1.0 - forget) * d1,
        dropped=held * forget * down,
        survived=moved * (1.0 - fade) * up,
        lost=moved * fade * down,
        log_likelihood=log_likelihood,
    )


def _priors(p: BKTParameters, mass: Tensor, hits: Tensor) -> tuple[Tensor, Tensor]:
    """Return prior logits (K,) and class shifts (C,) maximising the expected likelihood of the first states, (K, C)."""
    logit, shift = torch.logit(p.prior), p.shift.clone()
    for _ in range(4):  # Newton steps, one coordinate block at a time, with a weak pull of the shifts towards 0
        rate = torch.sigmoid(logit[:, None] + shift)
        slope = (hits - mass * rate).sum(1) + (0.4 - torch.sigmoid(logit)) * 2.0
        bend = (mass * rate * (1 - rate)).sum(1) + 0.5
        logit = (logit + (slope / bend).clamp(-1.0, 1.0)).clamp(-6.0, 6.0)
        if len(shift) > 1:
            rate = torch.sigmoid(logit[:, None] + shift)
            slope = (hits - mass * rate).sum(0) - shift
            shift = shift + (slope / ((mass * rate * (1 - rate)).sum(0) + 1.0)).clamp(-1.0, 1.0)
            centre = (p.weight * shift).sum()
            shift, logit = shift - centre, logit + centre
    return logit, shift


def _maximise(model: BKT, layout: _Layout, p: BKTParameters, gate: Tensor, e: _Expected, timed: bool) -> BKTParameters:
    """Return the parameters that maximise the expected log-likelihood, kept inside the bounds.

    Each rate carries a weak Beta prior (two pseudo-answers), so that skills with few answers stay near the start.
    """
    evidence = torch.log(p.weight) + e.log_likelihood
    member = torch.softmax(evidence, 1)  # (L, C), P(class | all answers)
    r = member[layout.learner]

    def by_skill(values: Tensor) -> Tensor:
        return torch.bincount(layout.skill, weights=(r * values).sum(1), minlength=layout.n_skills)

    def rate(hits: Tensor, total: Tensor, prior: float, low: float, high: float) -> Tensor:
        return ((hits + 2.0 * prior) / (total + 2.0)).clamp(low, high)

    correct = layout.correct[:, None]
    known, unknown = by_skill(e.known), by_skill(1.0 - e.known)
    guess = rate(by_skill((1.0 - e.known) * correct), unknown, 0.2, _FLOOR, model.guess_max)
    slip = rate(by_skill(e.known * (1.0 - correct)), known, 0.1, _FLOOR, model.slip_max)
    base = p.learn[layout.skill, None]
    tried = e.stayed_unknown * gate * (1.0 - base) / (1.0 - base * gate)  # the gate was open, yet nothing was learnt
    learnt = by_skill(e.learnt)
    learn = rate(learnt, learnt + by_skill(tried), 0.15, _FLOOR, 1.0 - _FLOOR)
    forget, decay = p.forget, p.decay
    if model.forgets:
        forget = rate(by_skill(e.dropped), by_skill(e.dropped + e.kept), 0.02, _FLOOR, 0.5)
    if timed:  # exponential time to loss, known only to lie inside the gap or beyond it
        speed, gap = p.decay[layout.skill], layout.gap
        until = 1.0 / speed - gap / torch.expm1((speed * gap).clamp(1e-9, 500.0))
        lost = by_skill(e.lost)
        exposure = by_skill(e.lost * until[:, None] + e.survived * gap[:, None])
        decay = ((lost + 0.02) / (exposure + 2.0)).clamp(1e-6, 5.0)
    first = slice(0, layout.edges[1])
    classes, skill = p.weight.shape[0], layout.skill[first]
    cells = (layout.n_skills, classes)
    mass = torch.zeros(cells, dtype=torch.float64).index_add_(0, skill, r[first])
    hits = torch.zeros(cells, dtype=torch.float64).index_add_(0, skill, r[first] * e.known[first])
    logit, shift = _priors(p, mass, hits)
    weight = (member.sum(0) + 1.0) / (member.sum() + classes)
    return replace(
        p,
        prior=torch.sigmoid(logit),
        learn=learn,
        guess=guess,
        slip=slip,
        forget=forget,
        decay=decay,
        shift=shift,
        weight=weight,
    )


def _gates(model: BKT, p: BKTParameters, layout: _Layout, sequences: Sequences) -> Tensor:
    """Return (N, C), the gate of every row, from the beliefs that the current parameters hold along each life."""
    if p.parents.empty:
        return torch.ones(1, 1, dtype=torch.float64)
    model = replace(model, parameters=p)
    n, width = len(sequences.activity), p.skills.index.shape[1]
    gates = torch.ones(n, p.weight.shape[0], width, dtype=torch.float64)
    for rows, belief, evidence in walk(model, sequences):
        gates[rows] = model.gates(belief, evidence.activity)
    return gates[layout.source, :, layout.place]


def _beginning(model: BKT, catalog: Catalog, timed: bool) -> BKTParameters:
    k = len(catalog.skill_ids)

    def full(value: float) -> Tensor:
        return torch.full((k,), value, dtype=torch.float64)

    shift = (
        torch.linspace(-1.5, 1.5, model.classes, dtype=torch.float64) if model.classes > 1 else torch.zeros(1).double()
    )
    return BKTParameters(
        prior=full(0.4),
        learn=full(0.15),
        guess=full(min(0.2, model.guess_max)),
        slip=full(min(0.1, model.slip_max)),
        forget=full(0.02 if model.forgets else 0.0),
        decay=full(0.01 if timed else 0.0),
        shift=shift,
        weight=torch.full((model.classes,), 1.0 / model.classes, dtype=torch.float64),
        skills=skills_of(catalog),
        parents=parents_of(catalog),
    )


def expectation_maximisation(model: BKT, log: Log, catalog: Catalog) -> BKTParameters:
    """Return float32 parameters fitted to `log`; stops when an iteration gains less than `model.tolerance`."""
    sequences = log.sequences(catalog)
    timed = model.decays and sequences.timed
    p = _beginning(model, catalog, timed)
    layout = _lay_out(sequences, p.skills, len(catalog.skill_ids))
    best = -np.inf
    gate = _gates(model, p, layout, sequences)
    for iteration in range(model.iterations):
        if iteration % _EVERY == 0 and iteration:
            gate = _gates(model, p, layout, sequences)
        expected = _expect(layout, p, gate)
        mean = float(torch.logsumexp(torch.log(p.weight) + expected.log_likelihood, 1).sum()) / len(layout.skill)
        p = _maximise(model, layout, p, gate, expected, timed)
        if abs(mean - best) < model.tolerance:
            break
        best = mean
    single = {
        name: getattr(p, name).float()
        for name in ("prior", "learn", "guess", "slip", "forget", "decay", "shift", "weight")
    }
    return replace(p, **single)
