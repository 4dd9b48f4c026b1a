"""Estimators that no peer offers, against sums written out: MRDR's fit, tabular Q, its ratios, MIS, MAGIC.

Nothing here calls the code under test to build what it is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest

from trailmark.experiments.evidence import sequential as seq
from trailmark.experiments.evidence import single
from trailmark.experiments.evidence.episodes import Episodes
from trailmark.experiments.evidence.fqe import linear_fqe
from trailmark.experiments.evidence.magic import magic
from trailmark.experiments.evidence.marginal import marginalised_is
from trailmark.experiments.evidence.outcome_models import ridge_rewards

SMALL = 1e-15  # a ridge that changes nothing
STATES, ACTIONS, DISCOUNT = 3, 2, 0.9


def test_mrdr_is_dr_with_a_fit_weighted_by_hand(logged) -> None:
    """OBP 0.5.7 weighs by pi (1 - p) / p^2, too (regression_model.py); the weighted least squares are solved here."""
    n, a, folds = 60, 6, 3
    rng = np.random.default_rng(0)
    table = rng.normal(size=(n, a, 4))
    fold = np.arange(n) % folds
    action, reward, p = logged.action[:n], logged.reward[:n], logged.propensity[:n]
    policy = logged.policy[:n]
    total = 0.0
    for i in range(n):
        left, right = np.zeros((4, 4)), np.zeros(4)
        for j in range(n):
            if fold[j] != fold[i]:
                x = table[j, action[j]]
                w = policy[j, action[j]] * (1 - p[j]) / p[j] ** 2
                left += w * np.outer(x, x)
                right += w * x * reward[j]
        theta = np.linalg.solve(left, right)
        q = table[i] @ theta
        weight = policy[i, action[i]] / p[i]
        total += (sum(policy[i, b] * q[b] for b in range(a)) + weight * (reward[i] - q[action[i]])) / n
    lever = single.mrdr_weight(action, p, policy)
    fitted = ridge_rewards(lambda rows: table[rows], action, reward, policy, fold, lever, penalty=SMALL).q
    found = single.mrdr(single.Rounds.of(action, reward, p, policy, fitted))
    assert found.value == pytest.approx(total, abs=1e-9)


@dataclass(frozen=True)
class Ragged:
    """Sessions of one to four steps over three states and two actions; rows of (session, step, state, action)."""

    start: np.ndarray
    step: np.ndarray
    state: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    logger: np.ndarray  # (3, 2)
    candidate: np.ndarray  # (3, 2)

    @property
    def last(self) -> np.ndarray:
        out = np.zeros(len(self.reward), dtype=bool)
        out[self.start[1:] - 1] = True
        return out

    @property
    def weight(self) -> np.ndarray:
        return (self.candidate / self.logger)[self.state, self.action]


@pytest.fixture(scope="module")
def ragged() -> Ragged:
    rng = np.random.default_rng(4)
    logger, candidate = np.array([[0.5, 0.5], [0.7, 0.3], [0.4, 0.6]]), np.array([[0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    start, rows = [0], []
    for _ in range(400):
        s = int(rng.integers(2))
        for t in range(4):
            a = int(rng.random() < logger[s, 1])
            rows.append((t, s, a, s + 0.5 * a + rng.normal()))
            if rng.random() < 0.2:
                break
            s = int(rng.integers(3)) if a else (s + 1) % 3
        start.append(len(rows))
    t, s, a, r = (np.array(column) for column in zip(*rows, strict=True))
    return Ragged(np.array(start), t, s, a, r.astype(float), logger, candidate)


def tabular(x: Ragged, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (4, S, A) Q by backward induction, and the candidate's over the log's frequencies, from rows `kept`."""
    q, v = np.zeros((4, STATES, ACTIONS)), np.zeros((5, STATES))
    for t in range(3, -1, -1):
        for s in range(STATES):
            for a in range(ACTIONS):
                rows = [i for i in np.flatnonzero(kept) if (x.step[i], x.state[i], x.action[i]) == (t, s, a)]
                aim = [x.reward[i] + (0.0 if x.last[i] else DISCOUNT * v[t + 1, x.state[i + 1]]) for i in rows]
                q[t, s, a] = np.mean(aim) if rows else 0.0
            v[t, s] = sum(x.candidate[s, a] * q[t, s, a] for a in range(ACTIONS))
    share, ratio = np.zeros(STATES), np.zeros((4, STATES, ACTIONS))
    for i in np.flatnonzero(kept & (x.step == 0)):
        share[x.state[i]] += 1.0
    for t in range(4):
        following = np.zeros(STATES)
        for s in range(STATES):
            for a in range(ACTIONS):
                rows = [i for i in np.flatnonzero(kept) if (x.step[i], x.state[i], x.action[i]) == (t, s, a)]
                if not rows:
                    continue
                ratio[t, s, a] = share[s] * x.candidate[s, a] / len(rows)
                for i in rows:
                    if not x.last[i]:
                        following[x.state[i + 1]] += DISCOUNT * ratio[t, s, a]
        share = following
    return q, ratio


def test_fqe_and_drl_are_the_tables_written_out(ragged: Ragged) -> None:
    x, folds = ragged, 2
    owner = np.repeat(np.arange(400), np.diff(x.start))
    fold = owner % folds

    def design(rows):
        step, state = x.step[rows], x.state[rows]
        out = np.zeros((len(step), ACTIONS, 4 * STATES * ACTIONS))
        for b in range(ACTIONS):
            out[np.arange(len(step)), b, (step * STATES + state) * ACTIONS + b] = 1.0
        return out

    q, ratio = linear_fqe(design, x.action, x.reward, x.last, x.candidate[x.state], fold, DISCOUNT, ridge=1e-14)
    tables = [tabular(x, fold != k) for k in range(folds)]
    by_hand = np.array([tables[fold[i]][0][x.step[i], x.state[i]] for i in range(len(q))])
    levers = np.array([tables[fold[i]][1][x.step[i], x.state[i], x.action[i]] for i in range(len(q))])
    assert q == pytest.approx(by_hand, abs=1e-9)
    assert ratio == pytest.approx(levers, abs=1e-9)
    rows = np.arange(len(q))
    v = (x.candidate[x.state] * by_hand).sum(1)
    dm, drl = np.zeros(400), np.zeros(400)
    for i in range(400):
        dm[i] = drl[i] = v[x.start[i]]
        for row in range(x.start[i], x.start[i + 1]):
            ahead = 0.0 if x.last[row] else DISCOUNT * v[row + 1]
            drl[i] += levers[row] * (x.reward[row] + ahead - by_hand[row, x.action[row]])
    mine = Episodes.of(
        x.start, x.reward, x.weight, q[rows, x.action], (x.candidate[x.state] * q).sum(1), DISCOUNT, ratio
    )
    assert seq.dm(mine).value == pytest.approx(dm.mean(), abs=1e-9)
    assert seq.double_reinforcement(mine).value == pytest.approx(drl.mean(), abs=1e-9)


def test_marginalised_weights_are_shares_counted_by_hand(ragged: Ragged) -> None:
    """Xie, Ma and Wang (2019): the candidate's share of each state, step by step; who left counts with reward 0."""
    x = ragged
    n, total = 400, 0.0
    share = np.array([np.mean(x.state[x.start[:-1]] == s) for s in range(STATES)])
    for t in range(4):
        rows = np.flatnonzero(x.step == t)
        count = np.array([(x.state[rows] == s).sum() / n for s in range(STATES)])
        following = np.zeros(STATES)
        for i in rows:
            w = share[x.state[i]] / count[x.state[i]] * x.candidate[x.state[i], x.action[i]]
            w /= x.logger[x.state[i], x.action[i]]
            total += DISCOUNT**t * w * x.reward[i] / n
            if not x.last[i]:
                following[x.state[i + 1]] += w / n
        share = following
    found = marginalised_is(x.start, x.state, x.reward, x.weight, STATES, DISCOUNT)
    assert found.value == pytest.approx(total, abs=1e-9)


def least(error: np.ndarray) -> np.ndarray:
    """The blend of least error by trying every support: on each the optimum is a linear equation."""
    n, best, found = len(error), np.inf, np.zeros(len(error))
    for size in range(1, n + 1):
        for some in combinations(range(n), size):
            part = np.linalg.lstsq(error[np.ix_(some, some)], np.ones(size), rcond=None)[0]
            part = part / part.sum()
            if (part >= 0).all() and part @ error[np.ix_(some, some)] @ part < best:
                best, found = part @ error[np.ix_(some, some)] @ part, np.zeros(n)
                found[list(some)] = part
    return found


def test_magic_is_the_blend_written_out(ragged: Ragged) -> None:
    """Thomas and Brunskill (2016): j-step returns by hand, their error matrix, the best mixture by enumeration."""
    x, n = ragged, 400
    rng = np.random.default_rng(1)
    q = rng.normal(1.0, 0.4, (len(x.reward), ACTIONS))
    v = (x.candidate[x.state] * q).sum(1)
    rho, moved = np.ones((n, 4)), np.zeros((n, 4))
    for i in range(n):
        w = 1.0
        for t in range(4):
            row = x.start[i] + t
            if row < x.start[i + 1]:
                w *= x.candidate[x.state[row], x.action[row]] / x.logger[x.state[row], x.action[row]]
                ahead = 0.0 if x.last[row] else DISCOUNT * v[row + 1]
                moved[i, t] = DISCOUNT**t * (x.reward[row] - q[row, x.action[row]] + ahead)
            rho[i, t] = w
    first = v[x.start[:-1]]
    returns, psi = [first.mean()], [first - first.mean()]
    for t in range(4):
        gain = (rho[:, t] * moved[:, t]).sum() / rho[:, t].sum()
        returns.append(returns[-1] + gain)
        psi.append(psi[-1] + rho[:, t] * (moved[:, t] - gain) / rho[:, t].mean())
    returns, psi = np.array(returns), np.array(psi)
    covariance = psi @ psi.T / n**2
    half = 0.6744897501960817 * np.sqrt(covariance[-1, -1])
    low, high = returns[-1] - half, returns[-1] + half
    bias = np.where(returns > high, returns - high, np.where(returns < low, returns - low, 0.0))
    mix = least(covariance + np.outer(bias, bias))
    mine = Episodes.of(x.start, x.reward, x.weight, q[np.arange(len(q)), x.action], v, DISCOUNT)
    assert 0.01 < mix.max() < 0.99
    assert magic(mine).value == pytest.approx(float(mix @ returns), abs=1e-9)
