"""Performance factors analysis: a logistic model of right and wrong answers so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from scipy import optimize, sparse, special
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log, Sequences
from ..replay import walk
from ..rng import Purpose, Rng
from ..skills import Padded, skills_of
from ..tracer import Evidence, Tracer


class PFABelief(NamedTuple):
    """Counts of right and wrong answers per skill, and the learner's own ability in logits."""

    right: Tensor  # (B, K)
    wrong: Tensor  # (B, K)
    ability: Tensor  # (B,)


@dataclass(frozen=True, eq=False)
class PFAParameters:
    """Fitted weights in logits."""

    easiness: Tensor  # (K,)
    per_right: Tensor  # (K,)
    per_wrong: Tensor  # (K,)
    skills: Padded  # (A, M)


@dataclass(frozen=True, eq=False)
class PFA(Tracer):
    """Performance factors analysis (Pavlik, Cen and Koedinger 2009, equation 3) on log(1 + count).

    logit P(correct) = mean over the activity's skills of
    [easiness + per_right log(1 + right) + per_wrong log(1 + wrong)].
    With `monotone`, per_right >= 0 >= per_wrong: a right answer in the past never lowers a prediction, as a simulator
    needs. `ridge` is the L2 penalty on the weights; `spread` the sd of ability among simulated learners, in logits.
    """

    monotone: bool = True
    ridge: float = 1.0
    spread: float = 0.5
    parameters: PFAParameters | None = None

    def fit(self, log: Log, catalog: Catalog) -> Self:
        """Return a copy fitted by penalised maximum likelihood (L-BFGS-B)."""
        skills, k = skills_of(catalog), len(catalog.skill_ids)
        sequences = log.sequences(catalog)
        design = _design(sequences, skills, k)
        answers = sequences.correct.astype(np.float64)
        free, up, down = (None, None), (0.0, None), (None, 0.0)
        bounds = [free] * k + ([up] * k + [down] * k if self.monotone else [free] * (2 * k))
        found = optimize.minimize(
            _loss,
            np.zeros(3 * k),
            (design, answers, self.ridge),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 300},
        )
        easiness, per_right, per_wrong = torch.from_numpy(found.x).float().reshape(3, k)
        return replace(self, parameters=PFAParameters(easiness, per_right, per_wrong, skills))

    def fitted(self) -> PFAParameters:
        """Return the parameters; RuntimeError when there are none."""
        if self.parameters is None:
            raise RuntimeError("this PFA has no parameters yet: call fit(log, catalog) or load a fitted one")
        return self.parameters

    def start(self, n: int) -> PFABelief:
        easiness = self.fitted().easiness
        zero = easiness.new_zeros(n, easiness.shape[0])
        return PFABelief(zero, zero.clone(), easiness.new_zeros(n))

    def draw(self, rng: Rng) -> PFABelief:
        start = self.start(len(rng))
        return start._replace(ability=self.spread * rng.normal(Purpose.TRAITS)[:, 0].to(start.right.device))

    def _logits(self, belief: PFABelief) -> Tensor:
        p = self.fitted()
        gained = p.per_right * torch.log1p(belief.right) + p.per_wrong * torch.log1p(belief.wrong)
        return belief.ability[:, None] + p.easiness + gained

    def predict(self, belief: PFABelief) -> Tensor:
        p = self.fitted()
        logits = self._logits(belief)
        weight = p.skills.real.float()
        return _sigmoid((logits[:, p.skills.index] * weight).sum(-1) / weight.sum(-1))

    def predict_at(self, belief: PFABelief, activity: Tensor) -> Tensor:
        p = self.fitted()
        index, weight = p.skills.index[activity], p.skills.real[activity].float()
        right, wrong = torch.log1p(belief.right.gather(1, index)), torch.log1p(belief.wrong.gather(1, index))
        logits = p.easiness[index] + p.per_right[index] * right + p.per_wrong[index] * wrong
        return _sigmoid(belief.ability + (logits * weight).sum(1) / weight.sum(1))

    def update(self, belief: PFABelief, evidence: Evidence) -> PFABelief:
        p = self.fitted()
        index, real = p.skills.index[evidence.activity], p.skills.real[evidence.activity].to(belief.right.dtype)
        score = evidence.correct[:, None].to(belief.right.dtype)
        right = belief.right.scatter_add(1, index, score * real)
        return belief._replace(right=right, wrong=belief.wrong.scatter_add(1, index, (1.0 - score) * real))

    def elapse(self, belief: PFABelief, days: Tensor) -> PFABelief:
        """Return `belief`: this model knows no time."""
        return belief

    def mastery(self, belief: PFABelief) -> Tensor:
        return _sigmoid(self._logits(belief))

    def features(self, belief: PFABelief) -> Tensor:
        """Return (B, 0): mastery is all that agents see of this belief."""
        return belief.right[:, :0]


def _sigmoid(logits: Tensor) -> Tensor:
    """Return the logistic function.

    On the CPU the last bit of torch.sigmoid depends on an element's place in memory, and with it on the size of the
    batch; that of torch.exp does not.
    """
    return 1.0 / (1.0 + torch.exp(-logits))


def _loss(
    weights: np.ndarray, design: sparse.csr_matrix, answers: np.ndarray, ridge: float
) -> tuple[float, np.ndarray]:
    """Return the penalised negative log-likelihood of `answers` (N,) in [0, 1], and its gradient (3K,)."""
    logit = design @ weights
    value = np.logaddexp(0.0, logit).sum() - answers @ logit + 0.5 * ridge * (weights @ weights)
    return value, design.T @ (special.expit(logit) - answers) + ridge * weights


def _design(sequences: Sequences, skills: Padded, k: int) -> sparse.csr_matrix:
    """Return the (N, 3K) matrix whose product with the weights is the logit of every row."""
    n, width = len(sequences.activity), skills.index.shape[1]
    counts = np.zeros((2, n, width))
    counter = PFA(parameters=PFAParameters(torch.zeros(k), torch.zeros(k), torch.zeros(k), skills))
    for rows, belief, evidence in walk(counter, sequences):
        index = skills.index[evidence.activity]
        counts[0, rows] = torch.log1p(belief.right.gather(1, index)).numpy()
        counts[1, rows] = torch.log1p(belief.wrong.gather(1, index)).numpy()
    real, column = skills.real.numpy()[sequences.activity], skills.index.numpy()[sequences.activity]
    share = (real / real.sum(1, keepdims=True))[real]
    row, column = np.nonzero(real)[0], column[real]
    values = np.concatenate([share, counts[0][real] * share, counts[1][real] * share])
    columns = np.concatenate([column, column + k, column + 2 * k])
    return sparse.csr_matrix((values, (np.tile(row, 3), columns)), shape=(n, 3 * k))
