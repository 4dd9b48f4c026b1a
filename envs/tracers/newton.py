"""The last steps of a bounded logistic regression: projected Newton with preconditioned conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse, special

Floats = NDArray[np.float64]
_DENSE = 4000  # columns up to which the Hessian of all but the orthogonal ones is factored
_GAP = 1e-6  # of the objective, in nats: where the steps end
_STEPS, _PASSES, _TURNS = 60, 30, 400  # of Newton; in each, solutions; in each, turns of conjugate gradients


@dataclass(frozen=True, eq=False)
class Problem:
    """Minimise `loss`, the penalised negative log-likelihood of logits design @ z + offset, within low <= z <= high."""

    design: sparse.csr_array  # (N, P)
    turned: sparse.csr_array  # (P, N)
    ridge: Floats  # (P,)
    loss: Callable[[Floats], tuple[float, Floats]]  # z to its value and gradient
    offset: Floats | float
    low: Floats  # (P,)
    high: Floats  # (P,)
    orthogonal: NDArray[np.int64]  # columns without bounds that never share a row

    def weights(self, z: Floats) -> Floats:
        """Return (N,), the second derivative of each row's loss by its logit."""
        p = special.expit(self.design @ z + self.offset)
        return np.asarray(p * (1.0 - p))


def finished(problem: Problem, z: Floats) -> Floats:
    """Return the minimum, from a point `z` near it: within 1e-6 nats unless 60 steps do not get there.

    An active-set Newton method: weights at a bound that their slope presses against stay there, the others take a
    Newton step, and those that it would carry over a bound are set on it before the others are solved for again. The
    systems are solved by conjugate gradients; their preconditioner is the Hessian at the first `z`, in which the
    orthogonal columns are eliminated first (a Schur complement of those that are left).
    """
    value, slope = problem.loss(z)
    helper = _Helper.at(problem, z)
    for _ in range(_STEPS):
        step = _step(problem, helper, z, slope)
        expected = -float(slope @ step)
        share, lower, there, after = 1.0, np.inf, z, slope
        while expected > 0.0 and share > 1e-9:
            there = np.clip(z + share * step, problem.low, problem.high)
            lower, after = problem.loss(there)
            if lower <= value - 1e-4 * share * expected:
                break
            share /= 2.0
        if lower >= value:
            return z
        gain, z, value, slope = value - lower, there, lower, after
        if max(expected / 2.0, gain) < _GAP:
            return z
    return z


def _step(problem: Problem, helper: _Helper, z: Floats, slope: Floats) -> Floats:
    """Return a Newton step that stays within the bounds."""
    weights = problem.weights(z)
    free = ~(((z <= problem.low) & (slope > 0)) | ((z >= problem.high) & (slope < 0)))
    fixed = np.zeros_like(z)

    def bent(direction: Floats) -> Floats:
        return np.asarray(problem.turned @ (weights * (problem.design @ direction)) + problem.ridge * direction)

    for _ in range(_PASSES):
        target = np.where(free, slope + bent(fixed), 0.0)
        step = _solved(bent, target, free, helper.solver(free)) + fixed
        over = free & ((z + step < problem.low) | (z + step > problem.high))
        if not over.any():
            return step
        fixed[over] = np.where(z + step < problem.low, problem.low, problem.high)[over] - z[over]
        free &= ~over
    return np.clip(z + step, problem.low, problem.high) - z


def _solved(
    bent: Callable[[Floats], Floats], slope: Floats, free: NDArray[np.bool_], helped: Callable[[Floats], Floats]
) -> Floats:
    """Return the step that solves Hessian @ step = -slope over the free weights, 0 elsewhere."""
    step, rest = np.zeros_like(slope), -slope
    eased = helped(rest)
    direction, size = eased, float(rest @ eased)
    goal = 1e-6 * size
    for _ in range(_TURNS):
        if size <= goal or size == 0.0:
            break
        curved = np.where(free, bent(direction), 0.0)
        far = size / float(direction @ curved)
        step += far * direction
        rest = rest - far * curved
        eased = helped(rest)
        size, before = float(rest @ eased), size
        direction = eased + (size / before) * direction
    return step


@dataclass(frozen=True, eq=False)
class _Helper:
    """The Hessian at one point, the orthogonal columns apart: diagonal `own`, `beside` them, and the `rest`."""

    columns: NDArray[np.int64]  # orthogonal
    others: NDArray[np.int64]
    own: Floats
    beside: sparse.csr_array  # (orthogonal, others)
    rest: Floats  # (others, others) Schur complement; its diagonal alone where there are too many

    @staticmethod
    def at(problem: Problem, z: Floats) -> _Helper:
        weights, columns = problem.weights(z), problem.orthogonal
        others = np.setdiff1d(np.arange(len(z)), columns)
        alone, left = problem.design[:, columns], problem.design[:, others]
        own = (alone**2).T @ weights + problem.ridge[columns] + 1e-9
        weighted = (sparse.diags_array(weights) @ left).tocsr()
        beside = (alone.T @ weighted).tocsr()
        if len(others) > _DENSE:
            own_left = (left**2).T @ weights + problem.ridge[others] + 1e-9
            return _Helper(columns, others, own, sparse.csr_array(beside.shape), own_left)
        rest = (left.T @ weighted).toarray() - (beside.T @ sparse.diags_array(1.0 / own) @ beside).toarray()
        rest[np.diag_indices(len(others))] += problem.ridge[others] + 1e-9
        return _Helper(columns, others, own, beside, rest)

    def solver(self, free: NDArray[np.bool_]) -> Callable[[Floats], Floats]:
        """Return what solves this Hessian among the free weights; 0 for the others."""
        kept = free[self.others]
        index = self.others[kept]
        beside = self.beside[:, np.flatnonzero(kept)]
        factor = linalg.cho_factor(self.rest[np.ix_(kept, kept)]) if self.rest.ndim == 2 else None

        def solve(slope: Floats) -> Floats:
            out = np.zeros_like(slope)
            first = slope[self.columns] / self.own
            left = slope[index] - beside.T @ first
            out[index] = linalg.cho_solve(factor, left) if factor is not None else left / self.rest[kept]
            out[self.columns] = first - (beside @ out[index]) / self.own
            return out

        return solve
