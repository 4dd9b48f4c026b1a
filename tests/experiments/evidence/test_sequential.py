"""Sequential estimators: against SCOPE-RL 0.2.1, on ragged sessions, and on a world whose value is known."""

from collections.abc import Callable

import numpy as np
import pytest

from trailmark.experiments.evidence import sequential as seq
from trailmark.experiments.evidence.episodes import Episodes
from trailmark.experiments.evidence.estimate import Estimate
from trailmark.experiments.evidence.fqe import linear_fqe, net_fqe
from trailmark.experiments.evidence.intervals import standard_error
from trailmark.experiments.evidence.magic import blend, magic
from trailmark.experiments.evidence.marginal import marginalised_is

# SCOPE-RL 0.2.1, discrete estimators, on the arrays of conftest.py as 30 sessions of 8 steps, discount 0.9
# (22 November 2026). Its self-normalised forms add 1e-10 to every denominator.
SCOPE: dict[str, tuple[Callable[[Episodes], Estimate], float]] = {
    "dm": (seq.dm, 0.5054337890712856),
    "tis": (seq.trajectory_is, 45.23340750301248),
    "pdis": (seq.per_decision_is, 39.56290090038093),
    "dr": (seq.doubly_robust, 35.41520891377067),
    "sntis": (seq.weighted_is, 3.0809655721951565),
    "snpdis": (seq.weighted_per_decision_is, 2.9097850252072957),
    "sndr": (seq.weighted_doubly_robust, 2.9304701087419134),
}
ALL = [f for f, _ in SCOPE.values()]


def episodes_of(x, start, discount: float = 0.9) -> Episodes:
    rows, action = np.arange(start[-1]), x.action[: start[-1]]
    weight = x.policy[rows, action] / x.propensity[rows]
    q, v = x.model[rows, action], (x.policy * x.model).sum(1)[rows]
    return Episodes.of(start, x.reward[rows], weight, q, v, discount)


@pytest.mark.parametrize("name", SCOPE)
def test_equals_scope_rl(name: str, logged) -> None:
    estimator, theirs = SCOPE[name]
    assert estimator(episodes_of(logged, np.arange(0, 241, 8))).value == pytest.approx(theirs, rel=1e-10, abs=1e-9)


def test_written_formulas_on_ragged_sessions(logged) -> None:
    start = np.array([0, 3, 4, 9, 17, 20])
    x = episodes_of(logged, start)
    horizon, n = 8, 5
    rho = np.ones((n, horizon))
    pdis, dr = np.zeros(n), np.zeros(n)
    for i in range(n):
        before = 1.0
        for t in range(horizon):
            row = start[i] + t
            if row < start[i + 1]:
                a = logged.action[row]
                v = (logged.policy[row] * logged.model[row]).sum()
                w = before * logged.policy[row, a] / logged.propensity[row]
                pdis[i] += 0.9**t * w * logged.reward[row]
                dr[i] += 0.9**t * (w * (logged.reward[row] - logged.model[row, a]) + before * v)
                before = w
            rho[i, t] = before  # who left keeps the weight
    assert x.rho == pytest.approx(rho, rel=1e-12)
    assert seq.per_decision_is(x).value == pytest.approx(pdis.mean(), abs=1e-9)
    assert seq.doubly_robust(x).value == pytest.approx(dr.mean(), abs=1e-9)


@pytest.mark.parametrize("estimator", ALL)
def test_ragged_equals_padded_by_hand(estimator: Callable[[Episodes], Estimate], logged) -> None:
    start = np.array([0, 3, 4, 9, 17, 20])
    x = episodes_of(logged, start)
    flat = [getattr(x, f).ravel() for f in ("reward", "weight", "q", "v")]
    padded = Episodes.of(np.arange(0, 41, 8), *flat, discount=0.9)
    assert estimator(padded).value == pytest.approx(estimator(x).value, abs=1e-12)


class Ladder:
    """Six rungs, two moves, up to ten steps; a learner may leave. The value is computed exactly."""

    states, actions, horizon = 6, 2, 10
    up = np.array([[0.8, 0.3], [0.7, 0.35], [0.6, 0.4], [0.5, 0.45], [0.4, 0.5], [0.3, 0.55]])
    leave = np.array([0.15, 0.05, 0.02, 0.02, 0.05, 0.1])
    logger = np.tile([0.5, 0.5], (6, 1))
    candidate = np.array([[0.75, 0.25]] * 3 + [[0.3, 0.7]] * 3)

    def reward(self, state, action):
        return 0.2 * state + 0.3 * action

    def value(self) -> float:
        v = np.zeros(6)
        for _ in range(self.horizon):
            q = np.zeros((6, 2))
            for s in range(6):
                for a in range(2):
                    ahead = self.up[s, a] * v[min(s + 1, 5)] + (1 - self.up[s, a]) * v[max(s - 1, 0)]
                    q[s, a] = self.reward(s, a) + (1 - self.leave[s]) * ahead
            v = (self.candidate * q).sum(1)
        return float(v[0])

    def log(self, n: int, seed: int):
        rng = np.random.default_rng(seed)
        rows, start = [], [0]
        for _ in range(n):
            s = 0
            for t in range(self.horizon):
                a = int(rng.random() < self.logger[s, 1])
                rows.append((t, s, a, self.reward(s, a)))
                if rng.random() < self.leave[s]:
                    break
                s = min(s + 1, 5) if rng.random() < self.up[s, a] else max(s - 1, 0)
            start.append(len(rows))
        t, s, a, r = (np.array(column) for column in zip(*rows, strict=True))
        return np.array(start), t, s, a, r.astype(float)


@pytest.fixture(scope="module")
def ladder():
    return Ladder(), Ladder().log(1500, 3)


def fitted(world: Ladder, log, folds: int = 3):
    start, t, s, a, r = log
    last = np.zeros(len(r), dtype=bool)
    last[start[1:] - 1] = True
    fold = np.repeat(np.arange(len(start) - 1) % folds, np.diff(start))

    def design(rows):
        step, state = t[rows], s[rows]
        table = np.zeros((len(step), 2, 10 * 6 * 2))
        for b in range(2):
            table[np.arange(len(step)), b, (step * 6 + state) * 2 + b] = 1.0
        return table

    return linear_fqe(design, a, r, last, world.candidate[s], fold), last, fold


def test_every_estimator_finds_the_known_value(ladder) -> None:
    world, log = ladder
    start, _, s, a, r = log
    (q, ratio), _, _ = fitted(world, log)
    rows, pi = np.arange(len(r)), world.candidate[s]
    weight = pi[rows, a] / world.logger[s, a]
    x = Episodes.of(start, r, weight, q[rows, a], (pi * q).sum(1), ratio=ratio)
    truth = world.value()
    found = [f(x) for f in ALL] + [magic(x), seq.double_reinforcement(x)]
    found.append(marginalised_is(start, s, r, weight, 6))
    for estimate in found:
        assert abs(estimate.value - truth) < 3 * standard_error(estimate), estimate.name
    by = {estimate.name: estimate for estimate in found}
    assert by["WDR"].influence.std() < 0.5 * by["TIS"].influence.std()
    assert by["MIS"].influence.std() < by["PDIS"].influence.std()
    assert by["FQE"].influence.std() < by["DR"].influence.std()


def test_marginalised_errors_are_as_large_as_estimates_spread(ladder) -> None:
    """Its shares of states are estimates, too: without their error the intervals were a quarter too short."""
    world, _ = ladder
    found = []
    for seed in range(80):
        start, _, s, a, r = world.log(150, 50 + seed)
        found.append(marginalised_is(start, s, r, (world.candidate / world.logger)[s, a], 6))
    errors = np.mean([standard_error(estimate) for estimate in found])
    assert errors / np.std([estimate.value for estimate in found], ddof=1) == pytest.approx(1.0, abs=0.2)


def test_a_network_finds_the_known_value_too(ladder) -> None:
    world, log = ladder
    _, t, s, a, r = log
    _, last, fold = fitted(world, log)
    features = np.concatenate([np.eye(6)[s], t[:, None] / 10.0], 1).astype(np.float32)
    q = net_fqe(
        features, a, r, last, world.candidate[s], np.zeros_like(fold), rounds=12, steps=25, hidden=16, rate=1e-2
    )
    first = np.flatnonzero(t == 0)
    v = (world.candidate[s] * q).sum(1)[first].mean()
    assert abs(v / world.value() - 1) < 0.1


def test_cross_fitting_never_judges_a_learner_by_itself(ladder) -> None:
    world, log = ladder
    start, t, s, a, r = log
    (q, _), _, fold = fitted(world, log)
    changed = r.copy()
    changed[: start[1]] += 100.0  # the first learner's own rewards
    (other, _), _, _ = fitted(world, (start, t, s, a, changed))
    assert other[fold == fold[0]] == pytest.approx(q[fold == fold[0]], abs=1e-9)
    assert not np.allclose(other[fold != fold[0]], q[fold != fold[0]])


def test_magic_leans_to_the_better_end(logged) -> None:
    x = episodes_of(logged, np.arange(0, 241, 8))
    assert blend(np.diag([1.0, 1e6])) == pytest.approx([1.0, 0.0], abs=1e-3)
    assert blend(np.array([[2.0, 0.0], [0.0, 2.0]])) == pytest.approx([0.5, 0.5], abs=1e-6)
    full = seq.weighted_doubly_robust(x)
    ends = sorted([seq.dm(x).value, full.value])
    assert np.isfinite(magic(x).value)
    right = Episodes(x.reward, x.weight, x.reward, x.reward * 0.0, x.real)
    assert np.isfinite(magic(right).value)
    assert ends[0] <= ends[1]


def test_empty_sessions_and_wild_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        Episodes.of(np.array([0, 0, 2]), np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match="row 1 has the weight nan"):
        Episodes.of(np.array([0, 2]), np.ones(2), np.array([1.0, np.nan]))


def test_effective_sessions_fall_with_every_step(ladder) -> None:
    world, (start, _, s, a, r) = ladder
    weight = world.candidate[s, a] / world.logger[s, a]
    size = seq.effective_size(Episodes.of(start, r, weight))
    assert size[0] <= 1500
    assert (np.diff(size)[:6] < 0).all()
