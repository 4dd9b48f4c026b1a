"""Population: who the learners are when they enrol, and how much time they have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..rng import Purpose, Rng

GROUPS = ("no group", "little prior knowledge", "little time", "second language", "little digital confidence")


class Traits(NamedTuple):
    """What B learners bring and keep."""

    knowledge: Tensor  # (B,) logits above or below the average learner
    rate: Tensor  # (B,) multiplies the growth of strength
    hold: Tensor  # (B,) multiplies the stability at the start
    overconfidence: Tensor  # (B,) probability
    commitment: Tensor  # (B,) z-score
    weekly: Tensor  # (B,) minutes a week in the steady state
    onboarding: Tensor  # (B,) minutes a week in the first four weeks
    group: Tensor  # (B,) int64, index into GROUPS


@dataclass(frozen=True)
class Population:
    """Learners as drawn at enrolment; two presets matter: rates spread by .15 (regular) or .45 (heterogeneous).

    The spread of initial knowledge is stable across data sets (Koedinger et al. 2023); that of learning rates is not
    known well (Lee et al. 2026 refit the same data and more than doubled it), so results are reported on both.

    start: mean strength above the difficulty of a skill. stability: days of what is barely known, prior: of what is in
    use already; in between by P(known), geometrically. age: days since prior knowledge was last used, at most.
    known: >= 0 makes skills known with this probability or not at all (BKT). vulnerable: share of each equity group.
    mobile: share of learners who have a phone only. weeks: how long the programme is.
    """

    start: float = 0.65
    knowledge_sd: float = 0.80
    rate_sd: float = 0.15
    hold_sd: float = 0.60
    hold_corr: float = 0.50
    overconfidence: float = 0.10
    overconfidence_sd: float = 0.12
    stability: float = 20.0
    prior: float = 60.0
    stability_sd: float = 0.67  # of the log, over learners and skills
    age: float = 14.0
    known: float = -1.0
    weekly: float = 16.0
    onboarding: float = 480.0
    vulnerable: float = 0.0
    mobile: float = 0.0
    weeks: float = 13.0

    def __post_init__(self) -> None:
        if not (0 <= self.vulnerable <= 0.25 and 0 <= self.mobile <= 1 and min(self.stability, self.prior) > 0):
            raise ValueError(f"{self}: vulnerable lies in [0, .25], mobile in [0, 1], stability and prior above 0")

    def traits(self, rng: Rng) -> Traits:
        """Return the traits of B learners."""
        z = rng.normal(Purpose.TRAITS, 7).t().contiguous()
        u = rng.uniform(Purpose.TRAITS, 1, block=1)[:, 0]
        group = torch.zeros_like(rng.learner)
        for g in range(1, len(GROUPS)):
            group = torch.where((u >= (g - 1) * self.vulnerable) & (u < g * self.vulnerable), g, group)
        little, short = (group == 1).float(), (group == 2).float()
        hold = self.hold_corr * z[0] + float(np.sqrt(1 - self.hold_corr**2)) * z[2]
        weekly = 1.0 - 0.5 * short
        return Traits(
            self.knowledge_sd * z[0] - 0.5 * little,
            torch.exp(self.rate_sd * z[1] - 0.5 * self.rate_sd**2),
            torch.exp(self.hold_sd * hold),
            self.overconfidence + self.overconfidence_sd * z[3],
            z[4],
            weekly * self.weekly * torch.exp(0.6 * z[5]),
            weekly * self.onboarding * torch.exp(0.4 * z[6]),
            group,
        )


class SkillTraits(NamedTuple):
    """What is true of a catalogue's skills (K,) and activities (A,)."""

    difficulty: Tensor  # (K,) logits
    rate: Tensor  # (K,)
    item: Tensor  # (A,) logits above or below the difficulty of its skills
    slope: Tensor  # (A,)


@dataclass(frozen=True)
class Material:
    """How skills and items differ: drawn once per catalogue, from `seed`, not from the learners' numbers."""

    seed: int = 0
    difficulty_sd: float = 0.60
    rate_mean: float = -0.08  # of the log
    rate_sd: float = 0.40
    item_sd: float = 0.50
    slope_sd: float = 0.30
    slip: float = 0.05
    similarity: float = 0.50  # of skills that an interleaved activity puts side by side
    cue_sd: float = 0.60  # of how well learners tell such skills apart at the start
    contrast: float = 0.10  # logits per switch between them, times similarity; 0 = no discrimination

    def draw(self, skills: int, activities: int, device: torch.device) -> SkillTraits:
        """Return the values of a catalogue of this size."""
        g = np.random.Generator(np.random.Philox(key=[self.seed, 0]))
        z, y = g.standard_normal((2, skills)), g.standard_normal((2, activities))
        values = (
            self.difficulty_sd * z[0],
            np.exp(self.rate_mean + self.rate_sd * z[1]),
            self.item_sd * y[0],
            np.exp(self.slope_sd * y[1] - 0.5 * self.slope_sd**2),
        )
        return SkillTraits(*(torch.from_numpy(value).float().to(device) for value in values))
