"""How activities and answers look to a network of attention, and the head that reads its result."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ...data.catalog import Catalog
from ..skills import Padded, skills_of
from .attention import rowwise
from .neural import Noise, uniform


@dataclass(frozen=True, eq=False)
class Looks:
    """Embeddings of skills and answers; an activity with several skills looks like their mean.

    With items an activity's own `ease` moves it along a direction of its skill, and its answers along another
    (Rasch embeddings: Ghosh, Heffernan and Lan 2020, equation 7).
    """

    concept: Tensor  # (K, D)
    answer: Tensor  # (2, K or 1, D) what a wrong and a right answer add, per skill or for all
    ease: Tensor  # (A,) or (0,) without items
    direction: Tensor  # (K, D)
    surprise: Tensor  # (2, D)
    skills: Padded  # (A, M)

    @staticmethod
    def untrained(
        catalog: Catalog, width: int, size: float, per_skill: bool, items: bool, generator: torch.Generator
    ) -> Looks:
        """Return random embeddings of about `size`: small ones let skills begin alike and learn together."""
        k = len(catalog.skill_ids)
        return Looks(
            concept=size * torch.randn(k, width, generator=generator),
            answer=size * torch.randn(2, k if per_skill else 1, width, generator=generator),
            ease=torch.zeros(len(catalog.activity_ids) if items else 0),
            direction=size * torch.randn(k if items else 0, width, generator=generator),
            surprise=size * torch.randn(2, width, generator=generator),
            skills=skills_of(catalog),
        )

    def _mean(self, table: Tensor, activity: Tensor) -> Tensor:
        """Return (..., D), the mean of the rows of `table` (K or 1, D) over the skills of `activity` (...)."""
        if table.shape[0] == 1:
            return table[0].expand(*activity.shape, -1)
        index = self.skills.index[activity]
        if self.skills.single:
            return F.embedding(index[..., 0], table)
        real = self.skills.real[activity].float()[..., None]
        return (F.embedding(index, table) * real).sum(-2) / real.sum(-2)

    def question(self, activity: Tensor) -> Tensor:
        """Return (..., D), how `activity` (...) looks before it is answered."""
        look = self._mean(self.concept, activity)
        if self.ease.numel():
            look = look + self.ease[activity][..., None] * self._mean(self.direction, activity)
        return look

    def reply(self, activity: Tensor, correct: Tensor) -> Tensor:
        """Return (..., D), how the answers `correct` (...) to `activity` look; scores in between lie between."""
        score = correct[..., None]
        add = (1.0 - score) * self._mean(self.answer[0], activity) + score * self._mean(self.answer[1], activity)
        if self.ease.numel():
            surprise = (1.0 - score) * self.surprise[0] + score * self.surprise[1]
            add = add + self.ease[activity][..., None] * surprise
        return self.question(activity) + add

    def everything(self) -> Tensor:
        """Return (A,) int64, every activity."""
        return torch.arange(self.skills.index.shape[0], device=self.concept.device)

    def skill(self) -> Tensor:
        """Return (K, D), how an activity of each skill alone looks."""
        return self.concept

    def penalty(self, activity: Tensor) -> Tensor:
        """Return (), the mean square of the ease of `activity` (N,); 0 without items."""
        return (self.ease[activity] ** 2).mean() if self.ease.numel() else self.concept.new_zeros(())


@dataclass(frozen=True, eq=False)
class Head:
    """Two layers from what attention found, and the question, to a logit."""

    first: Tensor  # (2D, F)
    bias: Tensor  # (F,)
    second: Tensor  # (F, 1)
    level: Tensor  # (1,)

    @staticmethod
    def untrained(width: int, feed: int, generator: torch.Generator) -> Head:
        """Return random weights."""
        bound = math.sqrt(3.0 / (2 * width))
        first = uniform(generator, bound, 2 * width, feed)
        return Head(first, torch.zeros(feed), uniform(generator, feed**-0.5, feed, 1), torch.zeros(1))

    def logits(self, found: Tensor, question: Tensor, noise: Noise) -> Tensor:
        """Return (...) from `found` and `question` (..., D)."""
        mixed = noise.drop(torch.relu(torch.cat([found, question], -1) @ self.first + self.bias))
        return (mixed @ self.second + self.level)[..., 0]

    def logits_now(self, found: Tensor, question: Tensor) -> Tensor:
        """Return (B, Q) from `found` and `question` (B, Q, D), each row the same in any batch."""
        mixed = torch.relu(rowwise(torch.cat([found, question], -1), self.first) + self.bias)
        return (rowwise(mixed, self.second) + self.level)[..., 0]
