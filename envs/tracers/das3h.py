"""DAS3H: a logistic model of right and wrong answers within windows of time, so that spacing and forgetting show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log, Sequences
from ..rng import Purpose, Rng
from ..skills import Padded, skills_of
from ..tracer import Evidence, Tracer
from .logistic import (
    Block,
    Floats,
    Integers,
    Past,
    learner_of,
    maximum_a_posteriori,
    mean_by_skill,
    ones,
    practised,
    sigmoid,
    single,
    sum_over_skills,
)

WINDOWS = (1.0 / 24.0, 1.0, 7.0, 30.0)  # days; the fifth window is all time
# Days reach a belief as float32, which over 30 days adds up to 0.15 s: events that near to an edge are on it, outside.
_EDGE = 0.25 / 86400.0


class DAS3HBelief(NamedTuple):
    """Answers per skill and window, and the latest R answers, by which the counts are kept as time goes on.

    Time runs in months of 30 days from the start; `when` is minus infinity where nothing has happened yet.
    """

    right: Tensor  # (B, K, 5), right answers by window, all time last
    tries: Tensor  # (B, K, 5), answers of any kind
    ability: Tensor  # (B,) in logits
    now: Tensor  # (B,) float64
    seen: Tensor  # (B,) int64, answers so far; the next is kept in place seen % R
    when: Tensor  # (B, R) float64
    what: Tensor  # (B, R) int32, the activity
    score: Tensor  # (B, R)


@dataclass(frozen=True, eq=False)
class DAS3HParameters:
    """Fitted weights in logits; those of counts weigh log(1 + count)."""

    easiness: Tensor  # (A,) of the activity, the population's mean included
    skill_easiness: Tensor  # (K,)
    right: Tensor  # (K, 5)
    tries: Tensor  # (K, 5)
    average: Tensor  # (K,), the mean easiness of the activities of each skill
    skills: Padded  # (A, M)
    memory: int  # R


@dataclass(frozen=True, eq=False)
class DAS3H(Tracer):
    """Difficulty, ability, and skill and student skill practice history (Choffin et al. 2019, equations 4 and 5).

    logit P(correct) = ability + easiness of the activity + sum over its skills of [easiness + sum over windows w of
    right_w log(1 + right answers) + tries_w log(1 + answers)], for the last hour, day, 7 days, 30 days and all time. An
    answer as old as the window is outside.

    With `monotone`, right_w >= 0, so a right answer in place of a wrong one lowers no prediction; and tries_w >= 0 but
    for all time, so that no prediction rises by waiting. `ridge` is the L2 penalty on the weights, `spread` the sd of
    ability among simulated learners; ability is 0 for learners of whom nothing is known, as in the fit.

    A belief keeps the latest answers, `memory` of them or as many as a learner of the log gave in 30 days if that is
    more. The counts are exact while no 30 days hold more; beyond, the oldest answer leaves its windows early.
    A log without times teaches the fifth window alone.
    """

    monotone: bool = True
    ridge: float = 1.0
    spread: float = 0.5
    memory: int = 256
    parameters: DAS3HParameters | None = None

    def fit(self, log: Log, catalog: Catalog) -> Self:
        """Return a copy fitted by penalised maximum likelihood."""
        sequences, skills, k = log.sequences(catalog), skills_of(catalog), len(catalog.skill_ids)
        blocks = _design(self, sequences, skills, k)
        answers = sequences.correct.astype(np.float64)
        mean, own, by_skill, *counts = maximum_a_posteriori(blocks, answers)
        missing = [np.zeros(k)] * (2 * len(WINDOWS) + 2 - len(counts))
        by_window = np.stack([*missing, *counts], 1)
        easiness = mean + own
        parameters = DAS3HParameters(
            easiness=single(easiness),
            skill_easiness=single(by_skill),
            right=single(by_window[:, ::2]),
            tries=single(by_window[:, 1::2]),
            average=single(mean_by_skill(easiness, skills, k, otherwise=float(mean[0]))),
            skills=skills,
            memory=max(self.memory, _busiest(sequences)) if sequences.timed else 1,
        )
        return replace(self, parameters=parameters)

    def fitted(self) -> DAS3HParameters:
        """Return the parameters; RuntimeError when there are none."""
        if self.parameters is None:
            raise RuntimeError("this DAS3H has no parameters yet: call fit(log, catalog) or load a fitted one")
        return self.parameters

    def start(self, n: int) -> DAS3HBelief:
        p = self.fitted()
        counts, zero = p.right.new_zeros(n, *p.right.shape), p.right.new_zeros(n)
        kept = p.right.new_zeros(n, p.memory)
        never = torch.full_like(kept, -torch.inf, dtype=torch.float64)
        return DAS3HBelief(counts, counts, zero, zero.double(), zero.long(), never, kept.int(), kept)

    def draw(self, rng: Rng) -> DAS3HBelief:
        start = self.start(len(rng))
        return start._replace(ability=self.spread * rng.normal(Purpose.TRAITS)[:, 0].to(start.ability.device))

    def _by_skill(self, belief: DAS3HBelief) -> Tensor:
        p = self.fitted()
        history = p.right * torch.log1p(belief.right) + p.tries * torch.log1p(belief.tries)
        return p.skill_easiness + history.sum(2)

    def predict(self, belief: DAS3HBelief) -> Tensor:
        p = self.fitted()
        return sigmoid(belief.ability[:, None] + p.easiness + sum_over_skills(self._by_skill(belief), p.skills))

    def predict_at(self, belief: DAS3HBelief, activity: Tensor) -> Tensor:
        p = self.fitted()
        index, real = p.skills.index[activity], p.skills.real[activity].to(belief.right.dtype)
        row = torch.arange(len(activity), device=activity.device)[:, None]
        right, tries = torch.log1p(belief.right[row, index]), torch.log1p(belief.tries[row, index])  # (B, M, 5)
        by_skill = p.skill_easiness[index] + (p.right[index] * right + p.tries[index] * tries).sum(2)
        return sigmoid(belief.ability + p.easiness[activity] + (by_skill * real).sum(1))

    def update(self, belief: DAS3HBelief, evidence: Evidence) -> DAS3HBelief:
        memory = self.fitted().memory
        row = torch.arange(belief.now.shape[0], device=belief.now.device)
        place = belief.seen % memory
        score = evidence.correct.to(belief.score.dtype)
        full = belief.when.gather(1, place[:, None]) > belief.now[:, None] - _months(belief.now)  # (B, 4)
        counts = self._lose(belief, row, place, full)
        every = torch.ones_like(belief.right[:, 0])
        counts = self._add(counts, row[:, None], evidence.activity, every, score)
        at = place[:, None]
        return belief._replace(
            right=counts[0],
            tries=counts[1],
            seen=belief.seen + 1,
            when=belief.when.scatter(1, at, belief.now[:, None]),
            what=belief.what.scatter(1, at, evidence.activity[:, None].int()),
            score=belief.score.scatter(1, at, score[:, None]),
        )

    def elapse(self, belief: DAS3HBelief, days: Tensor) -> DAS3HBelief:
        now = belief.now + days.to(belief.now.dtype) / WINDOWS[-1]
        months = _months(now)
        before, after = belief.now[:, None] - months, now[:, None] - months  # (B, 4), where the windows begin
        when = belief.when[:, :, None]
        leaves = (when > before[:, None]) & (when <= after[:, None])  # (B, R, 4)
        if torch.compiler.is_exporting():  # a graph has no lists of what leaves: it goes through all that is kept
            right, tries = self._lose_all(belief, leaves)
            return belief._replace(right=right, tries=tries, now=now)
        row, place, window = torch.nonzero(leaves, as_tuple=True)
        gone = torch.eye(len(WINDOWS), dtype=torch.bool, device=window.device)[window]
        right, tries = self._lose(belief, row, place, gone)
        return belief._replace(right=right, tries=tries, now=now)

    def _lose(self, belief: DAS3HBelief, row: Tensor, place: Tensor, gone: Tensor) -> tuple[Tensor, Tensor]:
        """Return the counts without the kept answers (row, place), each (E,), in the windows `gone` (E, 4)."""
        weight = -torch.nn.functional.pad(gone, (0, 1)).to(belief.right.dtype)
        counts = (belief.right, belief.tries)
        return self._add(counts, row[:, None], belief.what[row, place].long(), weight, belief.score[row, place])

    def _lose_all(self, belief: DAS3HBelief, leaves: Tensor) -> tuple[Tensor, Tensor]:
        """Return the counts without every kept answer in the windows that it `leaves` (B, R, 4)."""
        skills = self.fitted().skills
        weight = -torch.nn.functional.pad(leaves.to(belief.right.dtype), (0, 1))
        index, real = skills.index[belief.what.long()], skills.real[belief.what.long()].to(weight.dtype)  # (B, R, M)
        more = real[..., None] * weight[:, :, None]
        where = index.flatten(1)[:, :, None].expand(-1, -1, weight.shape[2])
        right = belief.right.scatter_add(1, where, (more * belief.score[:, :, None, None]).flatten(1, 2))
        return right, belief.tries.scatter_add(1, where, more.flatten(1, 2))

    def _add(
        self, counts: tuple[Tensor, Tensor], row: Tensor, activity: Tensor, weight: Tensor, score: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the counts with (E,) answers more, `weight` (E, 5) times in each window."""
        skills = self.fitted().skills
        index, real = skills.index[activity], skills.real[activity].to(weight.dtype)  # (E, M)
        more = real[:, :, None] * weight[:, None]
        where = (row.expand_as(index), index)
        right = counts[0].index_put(where, more * score[:, None, None], accumulate=True)
        return right, counts[1].index_put(where, more, accumulate=True)

    def mastery(self, belief: DAS3HBelief) -> Tensor:
        """Return (B, K), P(correct) on an average activity of each skill alone."""
        return sigmoid(belief.ability[:, None] + self.fitted().average + self._by_skill(belief))

    def features(self, belief: DAS3HBelief) -> Tensor:
        """Return (B, 0): mastery is all that agents see of this belief."""
        return belief.ability[:, None][:, :0]


def _months(like: Tensor) -> Tensor:
    """Return (4,), the lengths of the windows in months of 30 days."""
    return torch.tensor([(window - _EDGE) / WINDOWS[-1] for window in WINDOWS], dtype=like.dtype, device=like.device)


def _busiest(sequences: Sequences) -> int:
    """Return the greatest number of answers that a learner gave within the longest window."""
    past = Past(learner_of(sequences))
    return int(past.sums(np.ones(len(sequences.days)), past.since(sequences.days, WINDOWS[-1])).max()) + 1


def _design(model: DAS3H, sequences: Sequences, skills: Padded, k: int) -> list[Block]:
    """Return the blocks of the design: population, activity, skill, then right answers and tries of each window."""
    n, score = len(sequences.activity), sequences.correct.astype(np.float64)
    row, skill = practised(sequences, skills)
    days, past = sequences.days[row], Past(learner_of(sequences)[row] * k + skill)

    def counts(begin: Integers | None, low: tuple[float, float]) -> list[Block]:
        values: tuple[Floats, Floats] = (score[row], np.ones(len(row)))
        logs = [np.log1p(past.sums(value, begin)) for value in values]
        return [Block(row, skill, log, k, model.ridge, bound) for log, bound in zip(logs, low, strict=True)]

    zero = 0.0 if model.monotone else -np.inf
    blocks = [
        ones(np.zeros(n, np.int64), 1, 0.0),
        ones(sequences.activity, len(skills.index), model.ridge),
        Block(row, skill, np.ones(len(row)), k, model.ridge),
    ]
    for window in WINDOWS if sequences.timed else ():
        blocks += counts(past.since(days, window - _EDGE), (zero, zero))
    return blocks + counts(None, (zero, -np.inf))
