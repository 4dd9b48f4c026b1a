"""Outcome models: fitted rewards of every activity, each learner's from a fit to other learners (cross-fitting)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from ...data.errors import DataError
from .estimate import Array, Index
from .fqe import CHUNK, Design, Fitted, solved


class Regressor(Protocol):
    """A scikit-learn regressor that takes sample weights."""

    def fit(self, X: Array, y: Array, sample_weight: Array | None = None) -> Regressor: ...

    def predict(self, X: Array) -> Array: ...


def folds(clusters: Index, number: int = 3, seed: int = 0) -> Index:
    """Return (n,) fold numbers; a cluster (a learner, a class) is never split."""
    count = int(clusters.max()) + 1
    order = np.random.Generator(np.random.Philox(seed=[seed, 6])).permutation(count)
    return np.asarray((order % min(number, count))[clusters])


def ridge_rewards(
    design: Design,
    action: Index,
    reward: Array,
    policy: Array,
    fold: Index,
    weight: Array | None = None,
    penalty: float = 1e-3,
) -> Fitted:
    """Return the fitted reward of every activity by ridge regression in closed form, cross-fitted.

    `policy` (n, A) is the candidate, for which the fit's own error is told; `weight` (n,) are sample weights, such as
    MRDR's; `penalty` is relative to the mean diagonal.
    """
    n, count = len(action), int(fold.max()) + 1
    width = design(slice(0, 1)).shape[2]
    left, right, head = np.zeros((count, width, width)), np.zeros((count, width)), np.zeros((count, width))
    w = np.ones(n) if weight is None else weight / max(float(weight.mean()), 1e-300)
    for part in _chunks(n):
        rows = np.arange(part.start, part.stop)
        table = design(part)
        here = table[np.arange(len(rows)), action[rows]]
        mean = np.einsum("na,nad->nd", policy[part], table)
        for k in range(count):
            mine = fold[rows] == k
            left[k] += (here[mine] * w[rows][mine, None]).T @ here[mine]
            right[k] += here[mine].T @ (w[rows] * reward[rows])[mine]
            head[k] += mean[mine].sum(0)
    theta, levers = solved(left, right, head, penalty)
    q, ratio = np.empty(policy.shape), np.empty(n)
    for part in _chunks(n):
        table = design(part)
        here = table[np.arange(part.stop - part.start), action[part]]
        q[part] = np.einsum("nad,nd->na", table, theta[fold[part]])
        ratio[part] = w[part] * np.einsum("nd,nd->n", here, levers[fold[part]])
    return Fitted(q, ratio)


def fitted_rewards(
    make: Callable[[], Regressor],
    design: Design,
    action: Index,
    reward: Array,
    fold: Index,
    weight: Array | None = None,
) -> Array:
    """Return (n, A), the fitted reward of every activity by any scikit-learn regressor that `make` makes, cross-fitted.

    For yes-or-no rewards hand over a classifier wrapped by `Chance`.
    """
    n = len(action)
    taken = np.concatenate([design(part)[np.arange(part.stop - part.start), action[part]] for part in _chunks(n)])
    out = np.empty((n, design(slice(0, 1)).shape[1]))
    count = int(fold.max()) + 1
    for k in range(count):
        mine = fold != k if count > 1 else np.ones(n, dtype=np.bool_)
        model = make()
        model.fit(taken[mine], reward[mine], None if weight is None else weight[mine])
        rows = np.flatnonzero(fold == k)
        for i in range(0, len(rows), CHUNK):
            some = rows[i : i + CHUNK]
            table = design(some)
            out[some] = model.predict(table.reshape(-1, table.shape[2])).reshape(len(some), -1)
    return out


class Chance:
    """A scikit-learn classifier of yes-or-no rewards, seen as a regressor of their probability."""

    def __init__(self, classifier: object) -> None:
        """Wrap `classifier`, which has fit and predict_proba."""
        self.classifier = classifier
        self.only: float | None = None

    def fit(self, X: Array, y: Array, sample_weight: Array | None = None) -> Chance:
        """Fit to rewards of 0 and 1; DataError when there are others."""
        if not np.isin(y, (0.0, 1.0)).all():
            raise DataError("a classifier needs rewards of 0 and 1", fix="Take a regressor for other rewards.")
        self.only = float(y[0]) if (y == y[0]).all() else None
        if self.only is None:
            self.classifier.fit(X, y.astype(np.int64), sample_weight)  # type: ignore[attr-defined]
        return self

    def predict(self, X: Array) -> Array:
        """Return the probability of 1."""
        if self.only is not None:
            return np.full(len(X), self.only)
        return np.asarray(self.classifier.predict_proba(X)[:, -1])  # type: ignore[attr-defined]


def _chunks(n: int) -> list[slice]:
    return [slice(i, min(i + CHUNK, n)) for i in range(0, n, CHUNK)]
