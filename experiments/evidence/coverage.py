"""Coverage: how often intervals hold the truth, over simulated logs whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .estimate import Array
from .intervals import Clusters, interval
from .single import Rounds, dr, ips, snips

WAYS = (("IPS", ips), ("SNIPS", snips), ("DR", dr))


@dataclass(frozen=True)
class Covered:
    """Of one estimator: shares of 95% intervals that held the truth, and their mean widths."""

    name: str
    alone: float  # rounds taken as independent
    clustered: float  # whole learners
    width_alone: float
    width_clustered: float


def coverage(
    data_sets: int,
    learners: int,
    decisions: int,
    effect: float,
    seed: int = 0,
    spread: float = 1.0,
    apart: float = 1.0,
) -> list[Covered]:
    """Return the coverage over `data_sets` logs of `learners` x `decisions` rounds with five activities.

    Yes-or-no rewards depend on context, activity and a learner's own level, of standard deviation `effect` logits.
    `spread` stretches what context and activity do, `apart` how far the candidate is from the log: both leave learners
    a smaller share of the variance. The truth is the value over all learners, by quadrature; the model of rewards
    ignores learners.
    """
    rng = np.random.Generator(np.random.Philox(seed=[seed, 9]))
    lean = spread * rng.normal(0, 0.7, 5)
    logged, wanted = apart * rng.normal(0, 0.8, 5), apart * rng.normal(0, 0.8, 5)
    slope = spread * rng.normal(0, 0.5, 5)
    nodes, share = np.polynomial.hermite_e.hermegauss(41)
    share = share / share.sum()

    def chances(x: Array, level: Array) -> Array:
        return np.asarray(1.0 / (1.0 + np.exp(-(lean + np.multiply.outer(x, slope) + level[..., None]))))

    def policy(x: Array, way: Array) -> Array:
        score = np.exp(np.multiply.outer(x, way) + way)
        return np.asarray(score / score.sum(-1, keepdims=True))

    grid = policy(nodes, wanted)
    by_context = np.stack([chances(nodes, np.full(len(nodes), effect * z)) for z in nodes])
    truth = float(np.einsum("z,x,zxa,xa->", share, share, by_context, grid))
    n = learners * decisions
    owner = Clusters(np.repeat(np.arange(learners), decisions), learners)
    held, wide = np.zeros((len(WAYS), 2)), np.zeros((len(WAYS), 2))
    for _ in range(data_sets):
        x = rng.standard_normal(n)
        level = np.repeat(effect * rng.standard_normal(learners), decisions)
        behaviour, candidate = policy(x, logged), policy(x, wanted)
        action = np.minimum((np.cumsum(behaviour, 1) < rng.random(n)[:, None]).sum(1), 4)
        rows = np.arange(n)
        reward = (rng.random(n) < chances(x, level)[rows, action]).astype(np.float64)
        model = chances(x, np.zeros(n))
        rounds = Rounds.of(action, reward, behaviour[rows, action], candidate, model)
        for i, (_, estimator) in enumerate(WAYS):
            found = estimator(rounds)
            for j, clusters in enumerate((None, owner)):
                bounds = interval(found, clusters)
                held[i, j] += bounds.low <= truth <= bounds.high
                wide[i, j] += bounds.high - bounds.low
    held, wide = held / data_sets, wide / data_sets
    return [
        Covered(name, *map(float, (held[i, 0], held[i, 1], wide[i, 0], wide[i, 1]))) for i, (name, _) in enumerate(WAYS)
    ]
