"""Several fits of one tracer, each to other learners, that predict as one and can be had one by one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log
from ..rng import Purpose, Rng, derive
from ..tracer import Evidence, Tracer
from .pfa import PFA


class EnsembleBelief(NamedTuple):
    """The beliefs of the members."""

    members: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Ensemble(Tracer):
    """Members fitted to bootstrap samples of the learners (Breiman 1996); their predictions and mastery are averaged.

    So a policy can be trained on `member(0)` and judged on the others: what it gains from one fit's errors alone does
    not last. With `bootstrap` off every member sees every learner once. Members that take a seed get one of their own,
    and those that take a `checkpoint` a folder in it. The learners by whom a member may choose its epoch, a share
    `valid` of all unless the log names them, are in its sample once each, marked. Agents see, besides the mean
    features, by how much the members disagree about each skill.
    """

    tracer: Tracer = field(default_factory=PFA)
    members: int = 3
    bootstrap: bool = True
    valid: float = 0.1
    seed: int = 0
    fits: tuple[Tracer, ...] | None = None

    def __post_init__(self) -> None:
        if self.members < 1:
            raise ValueError(f"members={self.members}: an ensemble needs 1 or more")

    def fit(self, log: Log, catalog: Catalog) -> Self:
        """Return a copy with every member fitted to its own sample of `log`."""
        fits = []
        for i in range(self.members):
            seed = derive(self.seed, "member", i)
            sample = resampled(log, seed, self.valid) if self.bootstrap else log
            fits.append(_own(self.tracer, seed, i).fit(sample, catalog))
        return replace(self, fits=tuple(fits))

    def member(self, i: int) -> Tracer:
        """Return the fitted tracer number `i`, from 0. Raises: RuntimeError before `fit`, IndexError past the last."""
        fits = self._fitted()
        if not 0 <= i < len(fits):
            raise IndexError(f"no member {i}: this ensemble has the members 0 to {len(fits) - 1}")
        return fits[i]

    def _fitted(self) -> tuple[Tracer, ...]:
        if self.fits is None:
            raise RuntimeError("this Ensemble has no members yet: call fit(log, catalog) or load a fitted one")
        return self.fits

    def _pairs(self, belief: EnsembleBelief) -> Iterable[tuple[Tracer, Any]]:
        return zip(self._fitted(), belief.members, strict=True)

    def start(self, n: int) -> EnsembleBelief:
        return EnsembleBelief(tuple(tracer.start(n) for tracer in self._fitted()))

    def draw(self, rng: Rng) -> EnsembleBelief:
        """Return beliefs about the same learners by every member: who is able to one is able to all."""
        return EnsembleBelief(tuple(tracer.draw(rng) for tracer in self._fitted()))

    def settle(
        self, belief: EnsembleBelief, rng: Rng, purpose: Purpose, activity: Tensor | None = None
    ) -> EnsembleBelief:
        return EnsembleBelief(tuple(t.settle(b, rng, purpose, activity) for t, b in self._pairs(belief)))

    def predict(self, belief: EnsembleBelief) -> Tensor:
        return _mean([tracer.predict(b) for tracer, b in self._pairs(belief)])

    def predict_at(self, belief: EnsembleBelief, activity: Tensor) -> Tensor:
        return _mean([tracer.predict_at(b, activity) for tracer, b in self._pairs(belief)])

    def update(self, belief: EnsembleBelief, evidence: Evidence) -> EnsembleBelief:
        return EnsembleBelief(tuple(tracer.update(b, evidence) for tracer, b in self._pairs(belief)))

    def elapse(self, belief: EnsembleBelief, days: Tensor) -> EnsembleBelief:
        return EnsembleBelief(tuple(tracer.elapse(b, days) for tracer, b in self._pairs(belief)))

    def mastery(self, belief: EnsembleBelief) -> Tensor:
        return _mean([tracer.mastery(b) for tracer, b in self._pairs(belief)])

    def features(self, belief: EnsembleBelief) -> Tensor:
        """Return (B, F + K): the members' mean features, and the range of their mastery of each skill."""
        own = _mean([tracer.features(b) for tracer, b in self._pairs(belief)])
        mastery = torch.stack([tracer.mastery(b) for tracer, b in self._pairs(belief)])
        return torch.cat([own, mastery.amax(0) - mastery.amin(0)], 1)


def resampled(log: Log, seed: int, valid: float) -> Log:
    """Return as many learners as `log` has, drawn with replacement; one drawn again comes as another learner.

    A share `valid` of the learners, or those that the log names, come once each, marked for validation: were they
    drawn like the others, a member would choose its epoch by copies of learners it was trained on.
    """
    kept = set(log.split(seed, valid, 0.0).valid.learners)
    codes, learners = pd.factorize(log.frame["learner"])
    rows = np.split(np.arange(len(codes)), np.flatnonzero(np.diff(codes)) + 1) if len(codes) else []
    marked = np.array([learner in kept for learner in learners], dtype=np.bool_)
    if marked.all():
        marked[:] = False
    free = np.flatnonzero(~marked)
    chance = np.random.Generator(np.random.Philox(seed))
    drawn = np.concatenate([np.flatnonzero(marked), np.sort(free[chance.integers(0, max(len(free), 1), len(free))])])
    again = pd.Series(drawn).groupby(drawn).cumcount().to_numpy()
    names = [f"{learners[i]}#{n}" if n else str(learners[i]) for i, n in zip(drawn, again, strict=True)]
    size = [len(rows[i]) for i in drawn]
    sample = log.frame.iloc[np.concatenate([np.zeros(0, np.int64), *(rows[i] for i in drawn)])].reset_index(drop=True)
    sample = sample.assign(learner=np.repeat(np.array(names, dtype=object), size))
    if marked.any():
        sample = sample.assign(split=np.repeat(np.where(marked[drawn], "valid", "train").astype(object), size))
    return Log(sample, log.name, log.notes)


def _own(tracer: Tracer, seed: int, number: int) -> Tracer:
    """Return `tracer` with a seed and a checkpoint of its own, where it takes them."""
    settings: Any = tracer
    names = {f.name for f in fields(settings)}
    if "seed" in names:
        settings = replace(settings, seed=seed)
    if "checkpoint" in names and settings.checkpoint is not None:
        settings = replace(settings, checkpoint=f"{settings.checkpoint}/member{number}")
    return settings  # type: ignore[no-any-return]


def _mean(values: list[Tensor]) -> Tensor:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total / len(values)
