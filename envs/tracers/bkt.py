"""Bayesian knowledge tracing: each skill is known or not, and practice makes it known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
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

    @cached_property
    def by_activity(self) -> Tensor:
        """(A, 8, M): of an activity's skills, their likelihoods and moves, so that one lookup finds all of them."""
        knows, guesses = 1.0 - self.slip, 1.0 - self.guess
        rows = [knows, self.guess, self.slip, guesses, self.learn, 1.0 - self.forget, knows - self.guess]
        return torch.stack([*(row[self.skills.index] for row in rows), self.skills.real.to(self.learn.dtype)], 1)

    @cached_property
    def above(self) -> tuple[Tensor, Tensor]:
        """(A, M * P): the prerequisites of an activity's skills, and 1 where there is none."""
        index, real = self.parents.index[self.skills.index], self.parents.real[self.skills.index]
        return index.flatten(1), 1.0 - real.flatten(1).to(self.learn.dtype)


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
            # 1 where u < known, else 0; a comparison and its cast take four times as long
            return belief._replace(known=(belief.known - u[:, None]).clamp_min_(0.0).ceil_())
        skills = self.fitted().skills
        index = skills.index[activity]
        u = rng.uniform(purpose, index.shape[1])
        place = index[:, None].expand(-1, belief.known.shape[1], -1)
        before = belief.known.gather(2, place)
        drawn = (u[:, None] < before).to(belief.known.dtype)
        if index.shape[1] == 1:
            return belief._replace(known=belief.known.scatter(2, place, drawn))
        change = (drawn - before) * skills.real[activity][:, None]
        return belief._replace(known=(belief.known.scatter_add(2, place, change) > 0.5).to(belief.known.dtype))

    def predict(self, belief: BKTBelief) -> Tensor:
        p = self.fitted()
        return mean_over_skills(p.guess + self.mastery(belief) * (1.0 - p.slip - p.guess), p.skills)

    def predict_at(self, belief: BKTBelief, activity: Tensor) -> Tensor:
        p = self.fitted()
        index, found = p.skills.index[activity], p.by_activity[activity]
        known = _at(belief.known, index)
        known = known[:, 0] if known.shape[1] == 1 else (known * belief.weight[:, :, None]).sum(1)
        p_correct = found[:, 1] + known * found[:, 6]
        if p.skills.single:
            return p_correct[:, 0]
        real = found[:, 7]
        return (p_correct * real).sum(1) / real.sum(1)

    def update(self, belief: BKTBelief, evidence: Evidence) -> BKTBelief:
        p = self.fitted()
        index, found = p.skills.index[evidence.activity], p.by_activity[evidence.activity]
        correct = evidence.correct[:, None, None]
        likelihoods = correct * found[:, :2] + (1.0 - correct) * found[:, 2:4]  # if known, if not
        place = index[:, None].expand(-1, belief.known.shape[1], -1)
        known = belief.known.gather(2, place)  # (B, C, M)
        joint = known * likelihoods[:, :1]
        total = joint + (1.0 - known) * likelihoods[:, 1:]
        posterior = joint / total
        learn = found[:, 4:5]
        if not p.parents.empty:
            learn = learn * self._gate(belief.known, evidence.activity)
        after = posterior * found[:, 5:6] + (1.0 - posterior) * learn
        if p.skills.index.shape[1] == 1:
            updated = belief.known.scatter(2, place, after)
        else:  # padding must not write: add the change, which is zero there
            updated = belief.known.scatter_add(2, place, (after - known) * found[:, 7:])
        weight = belief.weight
        if weight.shape[1] > 1:
            real = found[:, 7]
            likelihood = (total * real[:, None]).sum(2) / real.sum(1, keepdim=True)
            weight = weight * likelihood
            weight = weight / weight.sum(1, keepdim=True)
        return BKTBelief(updated, weight)

    def _gate(self, known: Tensor, activity: Tensor) -> Tensor:
        """Return (B, C, M), how open learning is for the skills of `activity` (B,)."""
        p = self.fitted()
        index, none = p.above
        above = torch.maximum(_at(known, index[activity]), none[activity][:, None])
        width = p.parents.index.shape[1]
        open_: Tensor = above.unflatten(2, (-1, width)).prod(-1)
        return self.gate + (1.0 - self.gate) * open_

    def gates(self, belief: BKTBelief, activity: Tensor) -> Tensor:
        """Return (B, C, M), the gate of each skill of `activity` (B,); 1 where the catalogue has no prerequisites."""
        p = self.fitted()
        if p.parents.empty:
            return torch.ones_like(_at(belief.known, p.skills.index[activity]))
        return self._gate(belief.known, activity)

    def elapse(self, belief: BKTBelief, days: Tensor) -> BKTBelief:
        if days.stride(0) == 0:  # one number for all
            days = days[:1]
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
