"""Ridge regressions side by side, one per activity: the statistics that linear bandits share."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Evidence(NamedTuple):
    """What A regressions with D inputs have seen, without the prior."""

    gram: Tensor  # (A, D, D) float64, sums of outer products
    moment: Tensor  # (A, D) float64, sums of inputs times reward

    @staticmethod
    def none(a: int, d: int) -> Evidence:
        """Return the evidence of those that have seen nothing."""
        return Evidence(torch.zeros(a, d, d, dtype=torch.float64), torch.zeros(a, d, dtype=torch.float64))

    def add(self, x: Tensor, action: Tensor, reward: Tensor, discount: float = 1.0) -> Evidence:
        """Return the evidence after N samples `x` (N, D), one outer product for each; old evidence times `discount`."""
        wide = x.double()
        a, d = self.moment.shape
        outer = (wide[:, :, None] * wide[:, None, :]).view(len(x), d * d)
        if len(x) < a * 4:
            gram = torch.zeros(a, d * d, dtype=torch.float64).index_add_(0, action, outer)
        else:  # rows of one activity together: sums of runs, several times faster than scattered adds
            which = torch.nn.functional.one_hot(action, a).double()
            gram = which.t() @ outer
        moment = torch.zeros_like(self.moment).index_add_(0, action, wide * reward.double()[:, None])
        return Evidence(discount * self.gram + gram.view(a, d, d), discount * self.moment + moment)

    def solve(self, ridge: float) -> Solution:
        """Return the posterior under a prior of precision `ridge`."""
        d = self.moment.shape[1]
        factor = torch.linalg.cholesky(self.gram + ridge * torch.eye(d, dtype=torch.float64))
        inverse = torch.cholesky_inverse(factor)
        theta = torch.einsum("ade,ae->ad", inverse, self.moment)
        return Solution(theta, inverse)


class Solution(NamedTuple):
    """Posterior means and unit covariances of A regressions, in float64: float32 loses roots in long logs."""

    theta: Tensor  # (A, D)
    inverse: Tensor  # (A, D, D)


def means(x: Tensor, theta: Tensor) -> Tensor:
    """Return (B, A), the predicted rewards of contexts (B, D), or (B, A, D) where each activity has its own."""
    return x @ theta.t() if x.dim() == 2 else torch.einsum("bad,ad->ba", x, theta)


def widths(x: Tensor, inverse: Tensor) -> Tensor:
    """Return (B, A), the standard deviation of each prediction in units of the noise; contexts as in `means`."""
    if x.dim() == 2:  # one product of all outer products with all inverses
        square = (x[:, :, None] * x[:, None, :]).flatten(1) @ inverse.flatten(1).t()
    else:
        by_arm = x.transpose(0, 1)
        square = ((by_arm @ inverse) * by_arm).sum(-1).t()
    return square.clamp_min(0.0).sqrt()


def sampled(solution: Solution, noise: float, draws: int, generator: torch.Generator) -> Tensor:
    """Return (M, A, D) float32, models drawn from normal posteriors whose noise has the standard deviation `noise`."""
    factor = torch.linalg.cholesky(solution.inverse)
    normal = torch.randn(draws, *solution.theta.shape, generator=generator, dtype=torch.float64)
    return (solution.theta + noise * torch.einsum("ade,mae->mad", factor, normal)).float()


def scores(x: Tensor, theta: Tensor) -> Tensor:
    """Return (B, M, A), the rewards that M drawn models (M, A, D) predict; contexts as in `means`."""
    if x.dim() == 2:
        return (x @ theta.flatten(0, 1).t()).view(x.shape[0], *theta.shape[:2])
    return torch.einsum("bad,mad->bma", x, theta)


def shares(scores: Tensor, mask: Tensor) -> Tensor:
    """Return (B, A), in which share of M scores (B, M, A) each allowed activity has the highest."""
    best = (scores + torch.where(mask, 0.0, -torch.inf)[:, None]).max(2).indices
    count = torch.zeros_like(mask, dtype=torch.float32)
    return count.scatter_add_(1, best, torch.ones_like(best, dtype=torch.float32)) / scores.shape[1]
