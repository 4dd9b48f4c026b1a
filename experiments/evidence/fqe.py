"""Fitted Q evaluation: the value of each activity at each moment, if the candidate chooses from then on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .estimate import Array, Index

Design = Callable[[slice | Index], Array]  # rows -> (m, A, D), what is known of every activity at these rows
CHUNK = 4096


class Fitted(NamedTuple):
    """A cross-fitted model: `q` (N, A) of every row and activity, and how its fit weighs the rows.

    `ratio` (N,) says by how much the model's mean under the candidate moves when the row's target does: the candidate's
    share of such rows over the log's. With it the model's own sampling error can be told; None where the fit has none.
    """

    q: Array
    ratio: Array | None


def linear_fqe(
    design: Design,
    action: Index,
    reward: Array,
    last: NDArray[np.bool_],
    policy: Array,
    fold: Index,
    discount: float = 1.0,
    ridge: float = 1e-3,
) -> Fitted:
    """Return Q of every row and activity, each row's from a fit to the other folds.

    The fixed point of regressing reward + discount * E_pi Q(next) on `design`, in closed form (LSTDQ, Lagoudakis and
    Parr 2003). Rows are in time order within sessions, `last` (N,) marks the final ones; `fold` (N,) keeps learners
    together. `ridge` is relative to the mean diagonal. One-hot designs of state, step and activity are the tabular fit.
    """
    n, a = policy.shape
    width = design(slice(0, 1)).shape[2]
    folds = int(fold.max()) + 1
    left, right, head = np.zeros((folds, width, width)), np.zeros((folds, width)), np.zeros((folds, width))
    opens = np.concatenate([[True], last[:-1]])  # first rows of sessions
    for part in _chunks(n):
        rows = np.arange(part.start, part.stop)
        # One row more than the chunk: a row's successor is the next one, unless the session ends there.
        table = design(slice(part.start, min(part.stop + 1, n)))
        here = table[np.arange(len(rows)), action[rows]]
        mean = np.einsum("na,nad->nd", policy[part.start : part.start + len(table)], table)
        following = mean[1:] if len(mean) > len(rows) else np.concatenate([mean[1:], np.zeros((1, width))])
        gap = here - discount * np.where(last[rows][:, None], 0.0, following)
        for k in range(folds):
            mine = fold[rows] == k
            left[k] += here[mine].T @ gap[mine]
            right[k] += here[mine].T @ reward[rows][mine]
            head[k] += mean[: len(rows)][mine & opens[rows]].sum(0)
    q, ratio = np.empty((n, a)), np.empty(n)
    weights, levers = solved(left, right, head, ridge)
    for part in _chunks(n):
        rows = np.arange(part.start, part.stop)
        table = design(part)
        q[part] = np.einsum("nad,nd->na", table, weights[fold[part]])
        ratio[part] = np.einsum("nd,nd->n", table[np.arange(len(rows)), action[part]], levers[fold[part]])
    return Fitted(q, ratio)


def solved(left: Array, right: Array, head: Array, ridge: float) -> tuple[Array, Array]:
    """Return weights (folds, D) solving left w = right, and levers (folds, D) solving left' l = head, fold left out."""
    folds, width = right.shape
    weights, levers = np.empty((folds, width)), np.empty((folds, width))
    for k in range(folds):
        a, b, c = (x.sum(0) - x[k] if folds > 1 else x[0] for x in (left, right, head))
        matrix = a + ridge * max(float(np.abs(np.diag(a)).mean()), 1e-12) * np.eye(width)
        weights[k] = np.linalg.solve(matrix, b)
        levers[k] = np.linalg.solve(matrix.T, c)
    return weights, levers


def net_fqe(
    features: NDArray[np.float32],
    action: Index,
    reward: Array,
    last: NDArray[np.bool_],
    policy: Array,
    fold: Index,
    discount: float = 1.0,
    rounds: int = 40,
    steps: int = 50,
    hidden: int = 64,
    rate: float = 1e-3,
    seed: int = 0,
) -> Array:
    """Return (N, A), Q of every row and activity by a small network, each row's from a fit to the other folds.

    `rounds` times, a network with two hidden layers is fitted in `steps` batches to reward + discount * E_pi Q(next) of
    the network before (Le, Voloshin and Yue 2019). `features` is (N, F).
    """
    import torch
    from torch import nn

    x = torch.from_numpy((features - features.mean(0)) / (features.std(0) + 1e-6)).float()
    act, pi = torch.from_numpy(action), torch.from_numpy(policy).float()
    scale = float(np.std(reward)) or 1.0
    gain, end = torch.from_numpy(reward / scale).float(), torch.from_numpy(last)
    following = torch.clamp(torch.arange(len(x)) + 1, max=len(x) - 1)
    out = np.empty(policy.shape)
    folds = int(fold.max()) + 1
    for k in range(folds):
        draw = torch.Generator().manual_seed(seed + k)
        mine = torch.from_numpy(np.flatnonzero(fold != k) if folds > 1 else np.arange(len(x)))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + k)
            body = nn.Sequential(nn.Linear(x.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
            head = nn.Linear(hidden, policy.shape[1])
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        net = nn.Sequential(body, head)
        optimizer = torch.optim.Adam(net.parameters(), rate)
        for _ in range(rounds):
            with torch.no_grad():
                ahead = (net(x) * pi).sum(1)[following]
                target = gain + discount * torch.where(end, 0.0, ahead)
            for _ in range(steps):
                batch = mine[torch.randint(len(mine), (min(512, len(mine)),), generator=draw)]
                said = net(x[batch]).gather(1, act[batch][:, None])[:, 0]
                loss = (said - target[batch]).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        with torch.no_grad():
            rows = np.flatnonzero(fold == k)
            out[rows] = scale * net(x[torch.from_numpy(rows)]).double().numpy()
    return out


def _chunks(n: int) -> list[slice]:
    return [slice(i, min(i + CHUNK, n)) for i in range(0, n, CHUNK)]
