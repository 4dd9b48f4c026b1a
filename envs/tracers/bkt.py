"""Bayesian knowledge tracing: each skill is known or not, and practice makes it known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log
from ..rng import Purpose, Rng
from ..skills import Padded, mean_over_skills
from ..tracer import Evidence, Tracer


class BKTBelief(NamedTuple):
    """P(known) of each skill under each learner class, and the probability of the class."""

    known: Tensor  # (B, C, K)
    weight: Tensor  # (B, C)


@dataclass(frozen=True, eq=False)
class BKTParameters:
    """Fitted probabilities; `decay` is a rate per day, `shift` moves the logit of every prior of a learner class."""

    prior: Tensor  # (K,)
    learn: Tensor  # (K,)
    guess: Tensor  # (K,)
    slip: Tensor  # (K,)
    forget: Tensor  # (K,) per opportunity
    decay: Tensor  # (K,) per day without practice
    shift: Tensor  # (C,)
    weight: Tensor  # (C,)
    skills: Padded  # (A, M)
    parents: Padded  # (K, P)

    def priors(self) -> Tensor:
        """Return (C, K), P(known at the start) of each class."""
        return torch.sigmoid(torch.logit(self.prior) + self.shift[:, None])


@dataclass(frozen=True, eq=False)
class BKT(Tracer):
    """Bayesian knowledge tracing with forgetting, learner classes as individual priors, and gated learning.

    P(correct) = known (1 - slip) + (1 - known) guess; the posterior after an answer moves to known with probability
    `learn` and away with `forget` (Corbett and Anderson 1995, equations 1-3); `days` without practice keep a known
    skill with probability exp(-decay days). Learners fall into `classes` whose priors differ by a shift in logits
    (individual priors: Pardos and Heffernan 2010; here a mixture, so that the class is inferred from every answer).
    Where the catalogue has prerequisites, learning is scaled by gate + (1 - gate) prod P(prerequisite known).
    An activity with several skills is answered with the mean of their probabilities, and updates each of them.

    `guess_max` and `slip_max` keep fitted skills from degenerating (Baker, Corbett and Aleven 2008).
    """

    classes: int = 3
    forgets: bool = False  # fit a loss per opportunity, as pyBKT's `forgets`
    decays: bool = True  # fit a loss per day where the log has times
    gate: float = 0.15
    guess_max: float = 0.4
    slip_max: float = 0.3
    iterations: int = 60
    tolerance: float = 1e-5  # stop when the mean log-likelihood per answer gains less
    parameters: BKTParameters | None = None

    def fit(self, log: Log, catalog: Catalog) -> Self:
        """Return a copy fitted by expectation maximisation to every answer of `log`."""
        from .bkt_em import expectation_maximisation

        return replace(self, parameters=expectation_maximisation(self, log, catalog))

    def fitted(self) -> BKTParameters:
        """Return the parameters; RuntimeError when there are none."""
        if self.parameters is None:
            raise RuntimeError("this BKT has no parameters yet: call fit(log, catalog) or load a fitted one")
        return self.parameters

    def start(self, n: int) -> BKTBelief:
        p = self.fitted()
        return BKTBelief(p.priors().expand(n, -1, -1).contiguous(), p.weight.expand(n, -1).contiguous())

    def draw(self, rng: Rng) -> BKTBelief:
        p = self.fitted()
        u = rng.uniform(Purpose.TRAITS)
        which = (torch.cumsum(p.weight, 0)[None, :-1] <= u).sum(1)
        weight = torch.nn.functional.one_hot(which, p.weight.shape[0]).to(p.weight.dtype)
        return BKTBelief(p.priors()[which][:, None], torch.ones_like(weight[:, :1]))

    def settle(self, belief: BKTBelief, rng: Rng, purpose: Purpose, activity: Tensor | None = None) -> BKTBelief:
        """Return the belief of one who knows whether each skill is known: `known` is drawn as 0 or 1."""
        if activity is None:
            u = rng.uniform(purpose, belief.known.shape[2])
            return belief._replace(known=(u[:, None] < belief.known).to(belief.known.dtype))
        index = self.fitted().skills.index[activity]
        u = rng.uniform(purpose, index.shape[1])
        drawn = (u[:, None] < _at(belief.known, index)).to(belief.known.dtype)
        place = index[:, None].expand(-1, belief.known.shape[1], -1)
        if index.shape[1] == 1:
            return belief._replace(known=belief.known.scatter(2, place, drawn))
        real = self.fitted().skills.real[activity][:, None]
        change = (drawn - _at(belief.known, index)) * real
        return belief._replace(known=(belief.known.scatter_add(2, place, change) > 0.5).to(belief.known.dtype))

    def predict(self, belief: BKTBelief) -> Tensor:
        p = self.fitted()
        return mean_over_skills(p.guess + self.mastery(belief) * (1.0 - p.slip - p.guess), p.skills)

    def predict_at(self, belief: BKTBelief, activity: Tensor) -> Tensor:
        p = self.fitted()
        index, real = p.skills.index[activity], p.skills.real[activity]
        known = (_at(belief.known, index) * belief.weight[:, :, None]).sum(1)
        p_correct = p.guess[index] + known * (1.0 - p.slip[index] - p.guess[index])
        return (p_correct * real).sum(1) / real.sum(1)

    def update(self, belief: BKTBelief, evidence: Evidence) -> BKTBelief:
        p = self.fitted()
        index, real = p.skills.index[evidence.activity], p.skills.real[evidence.activity]  # (B, M)
        correct = evidence.correct[:, None, None]
        guess, slip = p.guess[index][:, None], p.slip[index][:, None]
        known = _at(belief.known, index)  # (B, C, M)
        if_known, if_not = _likelihoods(correct, guess, slip)
        total = known * if_known + (1.0 - known) * if_not
        posterior = known * if_known / total
        learn = p.learn[index][:, None]
        if not p.parents.empty:
            learn = learn * self._gate(belief.known, p.parents, index)
        after = posterior * (1.0 - p.forget[index][:, None]) + (1.0 - posterior) * learn
        place = index[:, None].expand(-1, known.shape[1], -1)
        if p.skills.index.shape[1] == 1:
            updated = belief.known.scatter(2, place, after)
        else:  # padding must not write: add the change, which is zero there
            updated = belief.known.scatter_add(2, place, (after - known) * real[:, None])
        weight = belief.weight
        if weight.shape[1] > 1:
            likelihood = (total * real[:, None]).sum(2) / real.sum(1, keepdim=True)
            weight = weight * likelihood
            weight = weight / weight.sum(1, keepdim=True)
        return BKTBelief(updated, weight)

    def _gate(self, known: Tensor, parents: Padded, index: Tensor) -> Tensor:
        """Return (B, C, M), how open learning is for the practised skills `index` (B, M)."""
        above, real = parents.index[index], parents.real[index]  # (B, M, P)
        flat = _at(known, above.flatten(1)).unflatten(2, above.shape[1:])
        open_ = torch.where(real[:, None], flat, torch.ones_like(flat)).prod(-1)
        return self.gate + (1.0 - self.gate) * open_

    def gates(self, belief: BKTBelief, activity: Tensor) -> Tensor:
        """Return (B, C, M), the gate of each skill of `activity` (B,); 1 where the catalogue has no prerequisites."""
        p = self.fitted()
        index = p.skills.index[activity]
        if p.parents.empty:
            return torch.ones_like(_at(belief.known, index))
        return self._gate(belief.known, p.parents, index)

    def elapse(self, belief: BKTBelief, days: Tensor) -> BKTBelief:
        return belief._replace(known=belief.known * torch.exp(-self.fitted().decay * days[:, None, None]))

    def mastery(self, belief: BKTBelief) -> Tensor:
        if belief.weight.shape[1] == 1:
            return belief.known[:, 0]
        return torch.einsum("bck,bc->bk", belief.known, belief.weight)

    def features(self, belief: BKTBelief) -> Tensor:
        """Return (B, 0): mastery is all that agents see of this belief."""
        return belief.weight[:, :0]


def _at(known: Tensor, index: Tensor) -> Tensor:
    """Return (B, C, M), `known` (B, C, K) at the skills `index` (B, M)."""
    return known.gather(2, index[:, None].expand(-1, known.shape[1], -1))


def _likelihoods(correct: Tensor, guess: Tensor, slip: Tensor) -> tuple[Tensor, Tensor]:
    """Return the likelihood of a score in [0, 1] if the skill is known, and if it is not."""
    return correct * (1.0 - slip) + (1.0 - correct) * slip, correct * guess + (1.0 - correct) * (1.0 - guess)
