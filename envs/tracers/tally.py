"""Tally: recent answers counted per skill, nothing more; needs no log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log
from ..rng import Rng
from ..skills import Padded, mean_over_skills, skills_of
from ..tracer import Evidence, Tracer


class TallyBelief(NamedTuple):
    """Right and wrong answers per skill, older ones discounted, and the latest answer (-1 wrong, 0 none, 1 right)."""

    right: Tensor  # (B, K)
    wrong: Tensor  # (B, K)
    latest: Tensor  # (B, K)
    practised: Tensor  # (B, K), 1 for the skills of the activity just done


@dataclass(frozen=True, eq=False)
class Tally(Tracer):
    """Beta-Bernoulli posterior per skill with exponential discounting: a belief for worlds without a log.

    mastery = (a + right) / (a + b + right + wrong); each new answer first multiplies the skill's counts by `keep`.
    """

    keep: float = 0.5
    a: float = 0.5
    b: float = 0.5
    skills: Padded | None = None
    n_skills: int = 0  # K of the catalogue

    def fit(self, log: Log, catalog: Catalog) -> Self:
        """Return a copy that knows the catalogue; the log is not needed."""
        return self.of(catalog)

    def of(self, catalog: Catalog) -> Self:
        """Return a copy that knows the catalogue."""
        return replace(self, skills=skills_of(catalog), n_skills=len(catalog.skill_ids))

    def _skills(self) -> Padded:
        if self.skills is None:
            raise RuntimeError("this Tally knows no catalogue yet: call fit(log, catalog) or of(catalog)")
        return self.skills

    def start(self, n: int) -> TallyBelief:
        zero = torch.zeros(n, self.n_skills, device=self._skills().index.device)
        return TallyBelief(zero, zero, zero, zero)

    def draw(self, rng: Rng) -> TallyBelief:
        return self.start(len(rng))

    def predict(self, belief: TallyBelief) -> Tensor:
        return mean_over_skills(self.mastery(belief), self._skills())

    def predict_at(self, belief: TallyBelief, activity: Tensor) -> Tensor:
        return self.predict(belief).gather(1, activity[:, None])[:, 0]

    def update(self, belief: TallyBelief, evidence: Evidence) -> TallyBelief:
        skills = self._skills()
        index, real = skills.index[evidence.activity], skills.real[evidence.activity].to(belief.right.dtype)
        hit = torch.zeros_like(belief.right).scatter_add(1, index, real)  # 1 where the skill was practised
        score = evidence.correct[:, None].to(belief.right.dtype)
        fade = 1.0 - hit * (1.0 - self.keep)
        return TallyBelief(
            belief.right * fade + hit * score,
            belief.wrong * fade + hit * (1.0 - score),
            torch.where(hit > 0, 2.0 * score - 1.0, belief.latest),
            hit,
        )

    def elapse(self, belief: TallyBelief, days: Tensor) -> TallyBelief:
        """Return `belief`: this model knows no time."""
        return belief

    def mastery(self, belief: TallyBelief) -> Tensor:
        return (self.a + belief.right) / (self.a + self.b + belief.right + belief.wrong)

    def features(self, belief: TallyBelief) -> Tensor:
        """Return (B, 3K): the latest answer, the log count of answers, and the skills of the activity just done."""
        return torch.cat([belief.latest, torch.log1p(belief.right + belief.wrong), belief.practised], 1)
