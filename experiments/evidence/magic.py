"""MAGIC: a blend of model and importance weights that trusts weights only as far as they carry."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from .episodes import Episodes
from .estimate import Array, Estimate, ratios
from .intervals import Clusters
from .sequential import weighted_doubly_robust

MOST = 24  # blended returns; beyond that, evenly spaced ones


def magic(episodes: Episodes, clusters: Clusters | None = None) -> Estimate:
    """Return the blend of j-step returns, j = -1 (the model alone) .. T - 1 (WDR), of least estimated squared error.

    Thomas and Brunskill (2016), section 8: the variance is that of the returns' influence values, the bias of a return
    its distance from the middle half of WDR's distribution. The interval takes the blend as given.
    """
    full = weighted_doubly_robust(episodes)
    if full.top is None or full.bottom is None or not np.isfinite(full.value):
        return Estimate("MAGIC", full.plain, full.top, full.bottom)
    share = ratios(full.top.mean(0), full.bottom.mean(0))
    steps = np.unique(np.linspace(-1, len(share) - 1, min(MOST, len(share) + 1)).round().astype(np.int64))
    values = full.plain.mean() + np.concatenate([[0.0], np.cumsum(share)])[steps + 1]
    # Where weights stop the model takes over, and with it the error of its fit.
    none = np.zeros((len(full), 1))
    psi = np.concatenate([none, np.cumsum((full.top - share * full.bottom) / full.bottom.mean(0), 1)], 1)
    psi += np.concatenate([np.cumsum(episodes.noise[:, ::-1], 1)[:, ::-1], none], 1)
    psi = psi[:, steps + 1] + (full.plain - full.plain.mean())[:, None]
    if clusters is not None:
        psi = np.stack([np.bincount(clusters.index, column, clusters.number) for column in psi.T], 1)
    covariance = psi.T @ psi / len(full) ** 2
    reach = 0.6744897501960817 * np.sqrt(covariance[-1, -1])
    bias = np.sign(values - values[-1]) * np.maximum(np.abs(values - values[-1]) - reach, 0.0)
    mix = blend(covariance + np.outer(bias, bias))
    # The return that stops after step j holds the terms of steps 0..j: a term gets the shares of all that go on to it.
    kept = np.array([mix[steps >= t].sum() for t in range(len(share))])
    return Estimate("MAGIC", full.plain + episodes.noise @ (1.0 - kept), full.top * kept, full.bottom)


def blend(error: Array) -> Array:
    """Return the weights (J,), 0 or more and summing to 1, that minimise x' error x for a (J, J) positive matrix."""
    n = len(error)
    scale = float(np.trace(error)) / n
    if not scale > 0:
        return np.full(n, 1.0 / n)
    matrix = error / scale
    best, least = np.eye(n)[int(np.argmin(np.diag(matrix)))], float(np.diag(matrix).min())
    found = minimize(
        lambda x: float(x @ matrix @ x),
        best,
        jac=lambda x: 2.0 * matrix @ x,
        bounds=[(0.0, 1.0)] * n,
        constraints=[{"type": "eq", "fun": lambda x: x.sum() - 1.0, "jac": lambda x: np.ones(n)}],
        method="SLSQP",
        options={"maxiter": 200, "ftol": 1e-12},
    )
    x = np.clip(found.x, 0.0, None)
    # The search stops near the best point; on the returns that it kept, that point is a linear equation.
    kept = np.flatnonzero(x > 1e-6)
    exact = np.linalg.lstsq(matrix[np.ix_(kept, kept)], np.ones(len(kept)), rcond=None)[0]
    if len(kept) and (exact > 0).all():
        x = np.zeros(n)
        x[kept] = exact
    x = x / x.sum() if x.sum() > 0 else best
    return np.asarray(x if float(x @ matrix @ x) <= least else best)
