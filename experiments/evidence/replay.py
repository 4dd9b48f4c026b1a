"""Replay: a decision log seen through a candidate's own observer, and what the candidate would have chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...agents.agent import Policy
from ...data.between import Between
from ...data.decisions import Decisions
from ...data.errors import DataError, did_you_mean
from ...envs.observer import NOBODY, Observer, Record
from ...envs.rows import map_tensors, pick, take
from ...envs.skills import mean_over_skills
from ...envs.student import Context
from .estimate import Array, Index


@dataclass(frozen=True, eq=False)
class Seen:
    """What the candidate saw and would have done at each of N logged decisions."""

    features: NDArray[np.float32]  # (N, F)
    mask: NDArray[np.bool_]  # (N, A)
    policy: Array  # (N, A) probabilities
    chance: NDArray[np.float32]  # (N, A) the tracer's P(correct)
    lack: NDArray[np.float32]  # (N, A) 1 - believed mastery, mean over the activity's skills
    goal: NDArray[np.float32]  # (N, A) share of the activity's skills that are goals
    progress: NDArray[np.float32]  # (N,) share of the session's length

    def design(self, rows: slice | Index) -> Array:
        """Return (m, A, D), what is known of every activity at these rows: the inputs of the models of reward."""
        chance, lack, goal = (x[rows].astype(np.float64) for x in (self.chance, self.lack, self.goal))
        one = np.ones_like(chance)
        done = self.progress[rows].astype(np.float64)[:, None] * one
        level = lack.mean(1, keepdims=True) * one  # how much the learner lacks in all
        parts = [one, done, done**2, level, level * done, chance, chance**2, lack, lack * goal, goal]
        parts += [lack * chance, lack * chance * goal, lack * done, lack * goal * done, goal * level]
        m, a = chance.shape
        which = np.broadcast_to(np.eye(a), (m, a, a))
        return np.concatenate([np.stack(parts, 2), which], 2)


def replay(observer: Observer, policy: Policy, decisions: Decisions) -> Seen:
    """Walk every session through `observer`, all sessions side by side, and ask `policy` before each decision.

    What people did binds the candidate too: overrides leave one choice, vetoes forbid. A log that says what happened
    between decisions is followed event by event; days that a decision waited are seen by it alone, as at the desk: the
    next event counts them again. DataError when the log lacks answers that the observer needs, or knows no such role or
    skill.
    """
    if decisions.catalog.activity_ids != observer.catalog.activity_ids:
        raise DataError("the log was read with another catalogue than the policy's", decisions.name)
    start = decisions.start
    length = np.diff(start)
    order = np.argsort(-length, kind="stable")
    first, length = start[:-1][order], length[order]
    correct = decisions.numbers("correct").copy()
    unknown = np.isnan(correct)
    unknown[start[1:] - 1] = False  # nothing is decided after a session's last answer: it may still be awaited
    if unknown.any() and decisions.between is None:
        row = int(np.argmax(unknown))
        fix = "The policy's observer follows learners by their answers: give the column 'correct' (0 to 1) in full."
        raise DataError("no answer", decisions.name, f"decision {row + 1}", "correct", fix)
    answers, minutes, days = (torch.from_numpy(x).float() for x in (correct, *_numbers(decisions, "minutes", "days")))
    accepted = torch.from_numpy(decisions.flags("accepted", True).copy())
    given, forced = torch.from_numpy(decisions.delivered), torch.from_numpy(decisions.override.copy())
    choice, waited = torch.from_numpy(decisions.activity), torch.from_numpy(decisions.numbers("waited").copy()).float()
    between, vetoed = decisions.between, decisions.listed("vetoed")
    view = observer if policy.guarded else observer.unguarded()
    n, a = len(decisions), len(observer.catalog.activity_ids)
    features: NDArray[np.float32] | None = None
    mask, chosen = np.empty((n, a), np.bool_), np.empty((n, a))
    chance, lack, goal = (np.empty((n, a), np.float32) for _ in range(3))
    progress = np.empty(n, np.float32)
    record: Any = _start(observer, decisions, order)
    alive = len(order)
    with torch.no_grad():
        for t in range(int(length.max(initial=0))):
            still = int(np.searchsorted(-length, -t, side="left"))
            if still < alive:
                record, alive = take(record, slice(0, still)), still
            rows = first[:still] + t
            if between is not None:
                record = _followed(observer, record, between, rows)
            kept = record
            if bool((waited[rows] > 0).any()):
                record = observer.elapse(record, waited[rows])
            record = record._replace(override=torch.where(forced[rows], choice[rows], NOBODY))
            if vetoed is not None:
                record = record._replace(veto=torch.from_numpy(vetoed[rows]))
            seen = view.observe(record)
            if features is None:
                features = np.empty((n, seen.features.shape[1]), np.float32)
            features[rows], mask[rows] = seen.features.numpy(), seen.mask.numpy()
            chosen[rows] = policy(seen).double().numpy()
            mastery = observer.tracer.mastery(record.belief)
            chance[rows] = observer.tracer.predict(record.belief).numpy()
            lack[rows] = mean_over_skills(1.0 - mastery, observer.skills).numpy()
            goal[rows] = mean_over_skills(record.goal, observer.skills).numpy()
            progress[rows] = (record.step / observer.horizon).numpy()
            if between is not None:
                record = kept
                continue
            record = observer.update(record, given[rows], answers[rows], minutes[rows], accepted[rows])
            if bool((days[rows] > 0).any()):
                record = observer.elapse(record, days[rows])
    assert features is not None
    chosen /= chosen.sum(1, keepdims=True)
    return Seen(features, mask, chosen, chance, lack, goal, progress)


def _followed(observer: Observer, record: Record, between: Between, rows: Index) -> Record:
    """Return the records after what happened before the decisions `rows`, one each, since the decisions before them."""
    first, count = between.start[rows], np.diff(between.start)[rows]
    for k in range(int(count.max(initial=0))):
        there = np.flatnonzero(count > k)
        activity, correct, minutes, accepted, days = (torch.from_numpy(x[first[there] + k]) for x in between[1:])
        some = torch.from_numpy(there)
        one = observer.elapse(take(record, some), days.float())
        after = observer.update(one, activity.clamp_min(0), correct.float(), minutes.float(), accepted)
        one = pick(activity >= 0, after, one)
        record = map_tensors(lambda old, new, at=some: old.index_copy(0, at, new), record, one)
    return record


def past_answers(observer: Observer, decisions: Decisions) -> tuple[list[list[int]], list[list[float]]]:
    """Return what each session's learner had done before it began: activities and how they were answered."""
    index = observer.catalog.activity_index
    past = [[_at(index, a, decisions, "past") for a in one] for one in decisions.entries("past")]
    scores = [[float(x) for x in one] for one in decisions.entries("past_correct")]
    if any(len(a) != len(b) for a, b in zip(past, scores, strict=True)):
        raise DataError("is not as long as 'past'", decisions.name, key="past_correct", fix="Give one for each.")
    return past, scores


def _numbers(decisions: Decisions, *names: str) -> list[Array]:
    return [decisions.numbers(name).copy() for name in names]


def _start(observer: Observer, decisions: Decisions, order: NDArray[np.int64]) -> Any:
    """The records of the sessions `order` at enrolment; sessions with pasts of one length begin together."""
    past, scores = past_answers(observer, decisions)
    depth = np.array([len(past[session]) for session in order])
    places = [np.flatnonzero(depth == d) for d in np.unique(depth)]
    parts = [observer.start(_context(observer, decisions, order[p], past, scores)) for p in places]
    record = parts[0] if len(parts) == 1 else map_tensors(lambda *tensors: torch.cat(tensors), *parts)
    return take(record, torch.from_numpy(np.argsort(np.concatenate(places))))


def _context(
    observer: Observer,
    decisions: Decisions,
    sessions: NDArray[np.int64],
    past: list[list[int]],
    scores: list[list[float]],
) -> Context:
    """What was known of each session's learner at its first decision."""
    catalog, head = observer.catalog, decisions.frame.iloc[decisions.start[:-1][sessions]]
    role = np.zeros(len(sessions), np.int64)
    if "role" in head:
        names = head["role"].where(head["role"] != "", catalog.roles[0])
        unknown = ~names.isin(catalog.roles)
        if unknown.any():
            wrong = names[unknown].iloc[0]
            raise DataError(f"unknown role '{wrong}'", decisions.name, key="role", fix=f"Known: {list(catalog.roles)}.")
        role = np.array([catalog.roles.index(name) for name in names])
    goal = catalog.goals()[role].astype(np.float32)
    wanted = decisions.entries("goal")
    for place, session in enumerate(sessions):
        if wanted[session]:
            goal[place] = 0.0
            goal[place, [_at(catalog.skill_index, skill, decisions, "goal") for skill in wanted[session]]] = 1.0
    before, said = [past[s] for s in sessions], [scores[s] for s in sessions]
    last = None
    if "last" in head:
        last = torch.tensor([catalog.activity_index.get(name, NOBODY) for name in head["last"]])
    budget = decisions.numbers("minutes_budget")[decisions.start[:-1][sessions]]
    return Context(
        torch.from_numpy(role),
        torch.from_numpy(goal),
        torch.from_numpy(budget).float(),
        torch.tensor(before, dtype=torch.int64).reshape(len(sessions), -1),
        torch.tensor(said, dtype=torch.float32).reshape(len(sessions), -1),
        last,
    )


def _at(index: dict[str, int], name: str, decisions: Decisions, key: str) -> int:
    if name not in index:
        raise DataError(f"unknown '{name}'", decisions.name, key=key, fix=did_you_mean(name, index))
    return index[name]
