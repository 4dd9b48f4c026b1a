"""Calibration: any tracer whose chances are put right on learners that it was not fitted to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from scipy import optimize
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log
from ..replay import predictions
from ..rng import Purpose, Rng
from ..tracer import Evidence, Tracer
from .pfa import PFA
from .rowwise import chance

_EDGE = 1e-6


@dataclass(frozen=True, eq=False)
class Scale:
    """What calibration found: P = sigmoid(slope logit(p) + shift)."""

    slope: Tensor  # (), above 0
    shift: Tensor  # () logits


@dataclass(frozen=True, eq=False)
class Calibrated(Tracer):
    """A tracer and, on top of its predictions, Platt's scaling (Platt 1999; a shift of 0 is temperature scaling).

    `fit` holds back the validation learners of the log, or a share `valid` of all, fits `tracer` to the others, and
    where the held-back learners find its calibration error `bar` above that of luck or more, turns a prediction p into
    sigmoid(slope logit(p) + shift) with the two numbers that suit them best. Below it nothing is changed. Simulated
    learners of a tracer that is too sure answer too evenly, so calibrate before you simulate. Order among predictions,
    beliefs, mastery and features stay the inner tracer's.
    """

    tracer: Tracer = field(default_factory=PFA)
    valid: float = 0.1
    bar: float = 0.03
    seed: int = 0
    scale: Scale | None = None

    def fit(self, log: Log, catalog: Catalog) -> Self:
        """Return a copy whose tracer is fitted and whose scale is set; ValueError when no learner can be held back."""
        split = log.split(self.seed, valid=self.valid, test=0.0)
        rest = log.subset([*split.train.learners, *split.test.learners])
        if not len(split.valid) or not len(rest):
            raise ValueError(f"{log.name}: too few learners to hold any back for calibration; raise valid")
        inner = self.tracer.fit(rest, catalog)
        p = predictions(inner, split.valid, catalog).astype(np.float64).clip(_EDGE, 1 - _EDGE)
        y = split.valid.sequences(catalog).correct.astype(np.float64)
        slope, shift = platt(p, y) if error(p, y) - luck(p) > self.bar else (1.0, 0.0)
        return replace(self, tracer=inner, scale=Scale(torch.tensor(slope), torch.tensor(shift)))

    def _scale(self) -> Scale:
        if self.scale is None:
            raise RuntimeError("this Calibrated has no scale yet: call fit(log, catalog) or load a fitted one")
        return self.scale

    def _right(self, p: Tensor) -> Tensor:
        p = p.clamp(_EDGE, 1.0 - _EDGE)
        return chance(self._scale().slope * (torch.log(p) - torch.log1p(-p)) + self._scale().shift)

    def start(self, n: int) -> Any:
        self._scale()
        return self.tracer.start(n)

    def draw(self, rng: Rng) -> Any:
        self._scale()
        return self.tracer.draw(rng)

    def settle(self, belief: Any, rng: Rng, purpose: Purpose, activity: Tensor | None = None) -> Any:
        return self.tracer.settle(belief, rng, purpose, activity)

    def predict(self, belief: Any) -> Tensor:
        return self._right(self.tracer.predict(belief))

    def predict_at(self, belief: Any, activity: Tensor) -> Tensor:
        return self._right(self.tracer.predict_at(belief, activity))

    def update(self, belief: Any, evidence: Evidence) -> Any:
        return self.tracer.update(belief, evidence)

    def elapse(self, belief: Any, days: Tensor) -> Any:
        return self.tracer.elapse(belief, days)

    def mastery(self, belief: Any) -> Tensor:
        return self.tracer.mastery(belief)

    def features(self, belief: Any) -> Tensor:
        return self.tracer.features(belief)


def error(p: np.ndarray, y: np.ndarray, bins: int = 20) -> float:
    """Return the calibration error: the gap of mean chance and answer, weighted over `bins` equal bins of p."""
    which = np.minimum((p * bins).astype(np.int64), bins - 1)
    return float(np.abs(np.bincount(which, p - y, bins)).sum() / max(1, len(y)))


def luck(p: np.ndarray, bins: int = 20) -> float:
    """Return the calibration error that chances `p` (N,) have by luck when they are right (normal approximation)."""
    which = np.minimum((p * bins).astype(np.int64), bins - 1)
    return float(np.sqrt(2.0 / np.pi * np.bincount(which, p * (1.0 - p), bins)).sum() / max(1, len(p)))


def platt(p: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return the slope, at least .05, and the shift that predict the scores `y` (N,) best from chances `p` (N,)."""
    x = np.log(p) - np.log1p(-p)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = w[0] * x + w[1]
        e = 1.0 / (1.0 + np.exp(-z)) - y
        return float((np.logaddexp(0.0, z) - y * z).mean()), np.array([(e * x).mean(), e.mean()])

    bounds = [(0.05, 20.0), (-10.0, 10.0)]
    found = optimize.minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds)
    return float(found.x[0]), float(found.x[1])
