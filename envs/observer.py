"""Observer: all that a recommender may know of a learner, and all that it may do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..data.catalog import Catalog
from .guards import Guard
from .rows import pick, to_device
from .skills import Padded, depths_of, leads_of, skills_of
from .student import Context
from .tracer import Evidence, Tracer

NOBODY = -1  # the value of `override` and `last` when there is none
WEEK = 7.0
BREAK = 1.0 / 24.0  # days after which a session is over
DAY = 1440.0  # minutes


class History(NamedTuple):
    """What B learners did: counts for each activity, and the latest interactions in order."""

    attempts: Tensor  # (B, A) int32, how often each activity was taken up
    right: Tensor  # (B, A) int32, how often it was answered right (a score of at least one half)
    streak: Tensor  # (B, A) int32, right answers in a row up to now
    since: Tensor  # (B, A) float32, days since it was last taken up; inf = never
    recent: Tensor  # (B, W) int32, the latest activities taken up, oldest first; -1 = none yet
    recent_correct: Tensor  # (B, W) float32, their answers


class Record(NamedTuple):
    """What is known of B learners; everything a recommendation depends on."""

    belief: Any
    role: Tensor  # (B,) int64
    goal: Tensor  # (B, K) float32
    history: History
    last: Tensor  # (B,) int64, the latest activity taken up, -1 none
    last_correct: Tensor  # (B,) float32, its answer; 0.5 when there is none
    step: Tensor  # (B,) int64, activities given so far
    minutes_used: Tensor  # (B,) float32
    minutes_budget: Tensor  # (B,) float32, inf = no limit
    override: Tensor  # (B,) int64, the activity a person chose, -1 none
    veto: Tensor  # (B, A) bool, what a person forbade
    day: Tensor  # (B,) float32, days since enrolment
    away: Tensor  # (B,) float32, days between the latest two sessions; 0 in the first
    sitting: Tensor  # (B,) float32, minutes of this session
    week: Tensor  # (B,) float32, minutes of this week
    taken: Tensor  # (B,) float32, 1 where the latest activity was taken up, or there is none


class Observation(NamedTuple):
    """What an agent sees."""

    features: Tensor  # (B, F) float32
    mask: Tensor  # (B, A) bool, True = may be chosen; never an empty row
    handover: Tensor  # (B,) bool, True where nothing was allowed and a person should take over
    history: History | None = None  # for schedulers and recurrent policies; learning from steps may go without
    record: Record | None = None  # for policies that plan with the observer's own belief; likewise


@dataclass(frozen=True, eq=False)
class Space:
    """The shape of observations: where each group of features lies, and the catalogue in numbers."""

    groups: tuple[tuple[str, int], ...]  # (name, width) in order
    n_activities: int
    skills: Padded  # (A, M)
    minutes: Tensor  # (A,)
    horizon: int
    kinds: tuple[str, ...] = ()  # of each activity
    needs: Padded | None = None  # (A, .) the prerequisite skills of each activity, without those it teaches
    leads: Padded | None = None  # (A, .) the skills that build on its skills, at any remove
    depth: Tensor | None = None  # (A,) the longest chain of prerequisites below its skills

    @property
    def n_features(self) -> int:
        return sum(width for _, width in self.groups)

    @cached_property
    def averages(self) -> tuple[Tensor, Tensor, Tensor]:
        """(K, A) each: the mean over an activity's skills and over its prerequisites, the sum over what it leads to."""
        if self.needs is None or self.leads is None:
            raise ValueError("this space does not say how activities hang together: take it from an Observer")
        k = dict(self.groups)["mastery"]
        skills, needs, leads = (lists.matrix(k) for lists in (self.skills, self.needs, self.leads))
        means = (m / m.sum(0).clamp_min(1.0) for m in (skills, needs))
        return next(means), next(means), leads

    def of(self, observation: Observation, name: str) -> Tensor:
        """Return the columns of `features` that the group `name` owns; KeyError names the groups there are."""
        start = 0
        for group, width in self.groups:
            if group == name:
                return observation.features[:, start : start + width]
            start += width
        raise KeyError(f"no feature group {name!r}; there are {[group for group, _ in self.groups]}")


@dataclass(frozen=True, eq=False)
class Observer:
    """Builds what a policy sees, in simulation, in replay and in production alike.

    The order in `observe` is fixed: automatic guards are ANDed; a human override leaves one true entry; a human veto is
    then removed; an empty row becomes the catalogue's safe fallback and is reported as a hand-over to a person.

    `context` shows agents one group of features more, all of which a learning platform knows: role (one-hot), days
    since enrolment, days away before this session, minutes of this session and of this week, whether the latest
    activity was taken up, and of the mandatory activities the share that is open and the days to the next deadline.
    """

    tracer: Tracer
    catalog: Catalog
    guards: dict[str, Guard]
    horizon: int  # activities in a session
    window: int = 0  # latest interactions that a record keeps in order, for recurrent policies
    context: bool = False  # agents also see role, time and deadlines
    device: str = "cpu"  # where its tensors lie; `on` moves them

    def on(self, device: torch.device | str) -> Observer:
        """Return the same observer with all its tensors on `device`."""
        return replace(self, tracer=to_device(self.tracer, device), device=str(device))

    @cached_property
    def mandatory(self) -> Tensor:
        """(R, A) bool, what each role has to do."""
        return self.offered & torch.from_numpy(self.catalog.mandatory()).to(self.device)

    @cached_property
    def deadlines(self) -> Tensor:
        """(A,) days after enrolment; inf = never due."""
        return torch.from_numpy(self.catalog.deadlines()).to(self.device)

    @cached_property
    def skills(self) -> Padded:
        return to_device(skills_of(self.catalog), self.device)

    @cached_property
    def minutes(self) -> Tensor:
        return torch.from_numpy(self.catalog.minutes()).float().to(self.device)

    @cached_property
    def offered(self) -> Tensor:
        return torch.from_numpy(self.catalog.offered()).to(self.device)

    @cached_property
    def needs(self) -> Padded:
        """The prerequisite skills of each activity, without those it teaches itself."""
        q, before = self.catalog.q_matrix(), self.catalog.skill_prerequisites()
        return to_device(Padded.of(((q.astype(np.int64) @ before.astype(np.int64)) > 0) & ~q), self.device)

    @cached_property
    def closes(self) -> Tensor:
        """(K, A) float32, 1 where an unmastered skill closes an activity."""
        matrix = torch.zeros(self.needs.index.shape[0], len(self.catalog.skill_ids), device=self.device)
        return matrix.scatter_add_(1, self.needs.index, self.needs.real.float()).t().contiguous()

    @cached_property
    def leads(self) -> Tensor:
        """(A, A) float32, 1 where the second activity teaches a prerequisite, however far back, of the first."""
        q = self.catalog.q_matrix().astype(np.int64)
        before = self.catalog.skill_prerequisites().astype(np.int64)
        needed = q
        for _ in range(len(before)):
            wider = ((needed + needed @ before) > 0).astype(np.int64)
            if (wider == needed).all():
                break
            needed = wider
        first = self.catalog.activity_prerequisites()
        return torch.from_numpy(((needed @ q.T) > 0) | first).float().to(self.device)

    @cached_property
    def after(self) -> Padded:
        """The prerequisite activities of each activity."""
        return to_device(Padded.of(self.catalog.activity_prerequisites()), self.device)

    @cached_property
    def space(self) -> Space:
        k, a = len(self.catalog.skill_ids), len(self.catalog.activity_ids)
        extra = self.tracer.features(self.tracer.start(1)).shape[1]
        groups: tuple[tuple[str, int], ...] = (("mastery", k), ("goal", k), ("belief", extra), ("progress", 4))
        if self.context:
            groups = (*groups, ("context", len(self.catalog.roles) + 7))
        kinds = tuple(activity.kind for activity in self.catalog.activities)
        leads, depth = leads_of(self.catalog), depths_of(self.catalog)
        return Space(groups, a, self.skills, self.minutes, self.horizon, kinds, self.needs, leads, depth)

    def unguarded(self) -> Observer:
        """Return the same observer without automatic guards; what people say still holds."""
        return replace(self, guards={})

    def start(self, context: Context) -> Record:
        """Return the records of learners who just enrolled, their known past already taken in."""
        n, a = context.role.shape[0], len(self.catalog.activity_ids)
        device = context.role.device
        none = torch.full((n,), NOBODY, dtype=torch.int64, device=device)
        zero = torch.zeros(n, device=device)
        record = Record(
            belief=to_device(self.tracer.start(n), device),
            role=context.role,
            goal=context.goal,
            history=History(
                attempts=torch.zeros(n, a, dtype=torch.int32, device=device),
                right=torch.zeros(n, a, dtype=torch.int32, device=device),
                streak=torch.zeros(n, a, dtype=torch.int32, device=device),
                since=torch.full((n, a), torch.inf, device=device),
                recent=torch.full((n, self.window), NOBODY, dtype=torch.int32, device=device),
                recent_correct=torch.zeros(n, self.window, device=device),
            ),
            last=none,
            last_correct=zero + 0.5,
            step=torch.zeros_like(none),
            minutes_used=zero,
            minutes_budget=context.minutes,
            override=none.clone(),
            veto=torch.zeros(n, a, dtype=torch.bool, device=device),
            day=zero,
            away=zero,
            sitting=zero,
            week=zero,
            taken=zero + 1.0,
        )
        yes = torch.ones(n, dtype=torch.bool, device=device)
        for t in range(context.past_activity.shape[1]):
            record = self.update(record, context.past_activity[:, t], context.past_correct[:, t], zero, yes)
        last = record.last if context.last is None else context.last
        return record._replace(step=torch.zeros_like(none), last=last, taken=zero + 1.0)

    def allowed(self, record: Record) -> Tensor:
        """Return (B, A) bool, what the automatic guards allow."""
        mask = torch.ones_like(record.veto)
        for guard in self.guards.values():
            mask = mask & guard(self, record)
        return mask

    def over(self, record: Record) -> Tensor:
        """Return (B,) bool, True where the session has reached its length or a guard ends it."""
        done = record.step >= self.horizon
        for guard in self.guards.values():
            done = done | guard.over(self, record)
        return done

    def observe(self, record: Record) -> Observation:
        """Return features and mask of each learner."""
        mask = self.allowed(record)
        places = torch.arange(mask.shape[1], device=mask.device)
        override = record.override[:, None]
        mask = ((mask & (override < 0)) | (places == override)) & ~record.veto
        handover = mask.sum(1) == 0
        mask = mask | (handover[:, None] & (places == self.catalog.fallback))
        return Observation(self._features(record), mask, handover, record.history, record)

    def _features(self, record: Record) -> Tensor:
        limited = torch.isfinite(record.minutes_budget)
        left = (record.minutes_budget - record.minutes_used) / record.minutes_budget.clamp_min(1e-6)
        left = torch.where(limited, left, torch.ones_like(left))
        last = (record.last + 1) / record.veto.shape[1]  # 0 = none yet
        progress = torch.stack([record.last_correct, record.step / self.horizon, left, last], 1)
        belief = self.tracer.features(record.belief)
        parts = [self.tracer.mastery(record.belief), record.goal, belief, progress]
        return torch.cat([*parts, self._context(record)] if self.context else parts, 1)

    def _context(self, record: Record) -> Tensor:
        role = torch.nn.functional.one_hot(record.role, len(self.catalog.roles)).float()
        owed = self.mandatory[record.role]
        todo = owed & (record.history.attempts == 0)
        ahead = torch.where(todo, self.deadlines - record.day[:, None], torch.inf)
        near = torch.exp(-ahead.amin(1).clamp_min(0.0) / WEEK)  # 1 = due now, 0 = nothing is due
        times = torch.log1p(torch.stack([record.day, record.away, record.sitting / 10.0, record.week / 10.0], 1))
        share = todo.sum(1) / owed.sum(1).clamp_min(1)
        return torch.cat([role, times, torch.stack([record.taken, share, near], 1)], 1)

    def update(self, record: Record, activity: Tensor, correct: Tensor, minutes: Tensor, accepted: Tensor) -> Record:
        """Return the records after each learner was given `activity`; a declined one leaves only its time.

        An override is used up by the activity it chose.
        """
        belief = self.tracer.update(record.belief, Evidence(activity, correct))
        if torch.compiler.is_exporting() or not bool(accepted.all()):  # nothing was answered: nothing is learnt of them
            belief = pick(accepted, belief, record.belief)
        day = record.day + minutes / DAY
        same_week = torch.floor(day / WEEK) == torch.floor(record.day / WEEK)
        return record._replace(
            belief=belief,
            history=self._lived(record.history, activity, correct, accepted, minutes / DAY),
            last=torch.where(accepted, activity, record.last),
            last_correct=torch.where(accepted, correct, record.last_correct),
            step=record.step + 1,
            minutes_used=record.minutes_used + minutes,
            override=torch.where(record.override == activity, NOBODY, record.override),
            day=day,
            sitting=record.sitting + minutes,
            week=torch.where(same_week, record.week, 0.0) + minutes,
            taken=accepted.to(minutes.dtype),
        )

    def elapse(self, record: Record, days: Tensor) -> Record:
        """Return the records after `days` (B,) without an activity."""
        history = record.history._replace(since=record.history.since + days[:, None])
        later, back = record.day + days, days > BREAK
        same_week = torch.floor(later / WEEK) == torch.floor(record.day / WEEK)
        return record._replace(
            belief=self.tracer.elapse(record.belief, days),
            history=history,
            day=later,
            away=torch.where(back, days, record.away),
            sitting=torch.where(back, 0.0, record.sitting),
            week=torch.where(same_week, record.week, 0.0),
        )

    def _lived(self, history: History, activity: Tensor, correct: Tensor, accepted: Tensor, days: Tensor) -> History:
        at, ago = activity[:, None], history.since + days[:, None]
        took = accepted[:, None]
        right = took & (correct >= 0.5)[:, None]
        once, well = took.int(), right.int()
        streak, since = history.streak.gather(1, at), ago.gather(1, at)
        streak = torch.where(took, (streak + 1) * well, streak)
        recent, recent_correct = history.recent, history.recent_correct
        if self.window:
            shifted = torch.cat([recent[:, 1:], at.to(torch.int32)], 1)
            answers = torch.cat([recent_correct[:, 1:], correct[:, None]], 1)
            recent = torch.where(took, shifted, recent)
            recent_correct = torch.where(took, answers, recent_correct)
        return History(
            attempts=history.attempts.scatter_add(1, at, once),
            right=history.right.scatter_add(1, at, well),
            streak=history.streak.scatter(1, at, streak),
            since=ago.scatter(1, at, torch.where(took, 0.0, since)),
            recent=recent,
            recent_correct=recent_correct,
        )
