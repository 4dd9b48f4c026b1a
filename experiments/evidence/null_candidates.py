"""Null candidates: policies as good as the one that logged, judged from one log, and who promotes the best of them."""

from __future__ import annotations

import numpy as np

from .estimate import difference
from .finding import Verdict
from .gate import Case, Gain, best_of
from .intervals import Clusters, lower_bound, standard_error
from .single import Rounds, dr

ACTIVITIES = 5


def promotions_from_logs(
    candidates: int, learners: int, decisions: int, effect: float, runs: int, seed: int = 0
) -> dict[str, float]:
    """Return how often one of `candidates` is promoted over `runs` simulated logs, by rule; none is any better.

    What is recommended depends on the learner's role. Yes-or-no rewards depend on the role, and on what this learner
    happens to like (`effect` is the sd of logits), of which no policy knows: all have the same value. Gains are doubly
    robust estimates minus the log.
    `naive`: the best gain is above 0; `decisions`: the best lower bound, rounds as independent; `learners`: whole
    learners, candidates not counted; `gate`: this gate.
    """
    rng = np.random.Generator(np.random.Philox(seed=[seed, 13]))
    n = learners * decisions
    owner = Clusters(np.repeat(np.arange(learners), decisions), learners)
    rows = np.arange(n)
    counts = dict.fromkeys(("naive", "decisions", "learners", "gate"), 0)
    for _ in range(runs):
        role = rng.standard_normal(learners)
        behaviour = _policy(role, rng)[owner.index]
        action = np.minimum((np.cumsum(behaviour, 1) < rng.random(n)[:, None]).sum(1), ACTIVITIES - 1)
        chance = 1.0 / (1.0 + np.exp(-(role[:, None] + effect * rng.standard_normal((learners, ACTIVITIES)))))
        reward = (rng.random(n) < chance[owner.index, action]).astype(np.float64)
        model = np.full((n, ACTIVITIES), 0.5)
        found = []
        for _ in range(candidates):
            rounds = Rounds.of(action, reward, behaviour[rows, action], _policy(role, rng)[owner.index], model)
            found.append(difference("gain", dr(rounds), reward))
        counts["naive"] += max(gain.value for gain in found) > 0
        counts["decisions"] += max(lower_bound(gain) for gain in found) > 0
        counts["learners"] += max(lower_bound(gain, owner) for gain in found) > 0
        gains = [Gain(gain.value, standard_error(gain, owner), learners) for gain in found]
        cases = [Case(gain, Verdict.TRUST, approver="a person") for gain in gains]
        counts["gate"] += best_of(cases)[1].answer == "promote"
    return {name: count / runs for name, count in counts.items()}


def _policy(role: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    score = np.exp(np.multiply.outer(role, rng.normal(0, 0.5, ACTIVITIES)) + rng.normal(0, 0.5, ACTIVITIES))
    return np.asarray(score / score.sum(1, keepdims=True))
