"""Session coverage: how often intervals of whole sessions hold the truth, over logs of simulated learners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...agents.agent import Policy
from ...agents.baselines import WeakestAllowed
from ...agents.loop import play
from ...agents.mixed import Mixed
from ...envs.classroom import World
from .assess import assess
from .assessment import Settings
from .gather import gather_log
from .replay import replay

TRUTH_SEED = 1 << 30  # no log's


@dataclass(frozen=True)
class Covered:
    """Of one estimator over many logs: how often its 95% intervals held the truth, and why not more often."""

    name: str
    held: float  # by influence function
    boot: float
    anytime: float
    bias: float
    spread: float  # sd of the estimates
    error: float  # mean of the standard errors that came with them


def session_coverage(world: World, data_sets: int, learners: int, share: float, truth_learners: int) -> list[Covered]:
    """Return the coverage over `data_sets` logs of `learners` sessions each, gathered and judged as a user would.

    A heuristic that leaves a bit over `share` of its decisions to chance logs; one that leaves a bit less is the
    candidate. Its truth is its mean over `truth_learners` other learners.
    """
    lean = WeakestAllowed(world.observer.space)
    logger, candidate = Mixed(lean, share + 0.05), Mixed(lean, share - 0.05)
    truth = _mean(world, candidate, truth_learners)
    settings = Settings(replicates=200, group="")
    found: dict[str, list[tuple[float, ...]]] = {}
    for seed in range(data_sets):
        log = gather_log(world, logger, seed, learners)
        for line in assess(log, replay(world.observer, candidate, log), world.observer, settings).sessions.lines[:-1]:
            spans = ((line.bounds.low, line.bounds.high), (line.boot.low, line.boot.high), line.anytime)
            held = (float(low <= truth <= high) for low, high in spans)
            found.setdefault(line.name, []).append((*held, line.bounds.value, line.bounds.error))
    out = []
    for name, rows in found.items():
        held, boot, anytime, value, error = np.array(rows).T
        numbers = (held.mean(), boot.mean(), anytime.mean(), value.mean() - truth, value.std(ddof=1), error.mean())
        out.append(Covered(name, *map(float, numbers)))
    return out


def _mean(world: World, policy: Policy, learners: int) -> float:
    lived = play(world, policy, TRUTH_SEED, learners).values
    return sum(weight * float(lived[name].double().mean()) for name, weight in world.reward.items())
