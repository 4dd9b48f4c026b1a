"""SSR: learners with strength, stability and retrievability, who tire, come back, lose heart and forget."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from ...data.catalog import Catalog
from ...data.log import Log
from ...data.programmes import onboarding
from ..rng import Purpose, Rng
from ..rows import take
from ..student import Context, Response, Student
from .ssr_acquisition import Acquisition
from .ssr_kinds import STANDARD, Kind
from .ssr_lesson import prepare, restored, work
from .ssr_memory import Memory
from .ssr_motivation import WEEK, Motivation
from .ssr_population import Material, Population
from .ssr_state import KnownCatalog, SSRState
from .ssr_trial import KNOWN, Lesson, Mind, Slots, p_check, told_apart
from .ssr_work import p_use, used
from .steady import logistic

DAY = 1440.0  # minutes
BREAK = 1.0 / 24.0  # days after which a session is over
TEMPO = 0.3  # sd of the log of the minutes that an activity takes


@dataclass(frozen=True, eq=False)
class SSR(Student):
    """Strength, stability, retrievability: a learner put together from published parts.

    Description
        P(correct) = guess + (1 - guess - slip) * product over the activity's skills of M R, where M = sigmoid(slope
        (strength - difficulty)) is knowing and R, a power of days / stability, is having it in reach (noisy AND). With
        R = 1 it is item response theory with additive growth (AFM, PFA); with M in {0, 1} Bayesian knowledge tracing;
        with M = 1 the FSRS family. Storage and retrieval strength: Bjork and Bjork (1992).
    Actions
        Any activity of `catalog`; its kind (`kinds`) says what it does. Activities that are not taken up (left the
        programme; desk work on a phone; no coach free) teach nothing.
    Time
        Minutes pass within a session. A session ends when the learner stops or the week's minutes are used up;
        `Response.days` then says when the learner is back. `elapse` is time without learning: memory fades, engagement
        and workload wander, learners may leave.
    Episode end
        `finished` when the learner has left or the programme's weeks are over.
    Parts
        Each part is a frozen dataclass whose fields switch its mechanisms off: `acquisition`, `memory`, `motivation`,
        `population`, `material`. `coach_hours` a learner may have in all, `coach_days` between two times; a calendar
        shared by learners would make their lives depend on the batch, so each has an own one. `deadline`: days by which
        mandatory activities are due at the latest. `job_use`: uses of each known goal skill at work, a week.
    Limits
        Not modelled: friendships, prior courses, mood of the day, guessing strategies, partial answers. Coefficients of
        motivation are ours and only their margins are calibrated; see the validity card.
    """

    catalog: Catalog | None = None
    kinds: dict[str, Kind] = field(default_factory=lambda: dict(STANDARD))
    acquisition: Acquisition = field(default_factory=Acquisition)
    memory: Memory = field(default_factory=Memory)
    motivation: Motivation = field(default_factory=Motivation)
    population: Population = field(default_factory=Population)
    material: Material = field(default_factory=Material)
    coach_hours: float = 5.0
    coach_days: float = 7.0
    deadline: float = 30.0
    job_use: float = 0.0

    def fit(self, log: Log | None, catalog: Catalog | None) -> Self:
        """Return a copy for `catalog`: without one for the own one, and without that for the onboarding programme.

        Nothing is learnt from `log`: the numbers are those of the literature.
        """
        return replace(self, catalog=catalog or self.catalog or onboarding())

    @cached_property
    def _known(self) -> dict[torch.device, KnownCatalog]:
        return {}

    def on(self, device: torch.device) -> KnownCatalog:
        """Return the catalogue as tensors on `device`; RuntimeError when there is none yet."""
        if self.catalog is None:
            raise RuntimeError("these SSR learners have no catalogue yet: call fit(log, catalog) or fit(None, None)")
        if device not in self._known:
            self._known[device] = KnownCatalog.of(self.catalog, self.kinds, self.material, device)
        return self._known[device]

    def enrol(self, rng: Rng) -> SSRState:
        t, n, device = self.on(rng.learner.device), len(rng), rng.learner.device
        k, who = t.goals.shape[1], self.population
        traits = who.traits(rng)
        u = rng.uniform(Purpose.ENROL, 2 + 2 * k)
        spread = torch.exp(who.stability_sd * rng.normal(Purpose.ENROL, k, block=1).contiguous())
        strength = (who.start + traits.knowledge)[:, None] + torch.zeros(n, k, device=device)
        if who.known >= 0.0:
            strength = torch.where(u[:, 2 : 2 + k] < who.known, KNOWN, -KNOWN)
        mastered = logistic(strength - t.traits.difficulty)
        longer = torch.log(torch.tensor(who.prior / who.stability))
        unsure = 0.15 * (traits.group == 4)
        n_roles = t.goals.shape[0]
        zero = torch.zeros(n, device=device)
        return SSRState(
            strength=strength,
            stability=who.stability * torch.exp(mastered * longer) * spread * traits.hold[:, None],
            seen=-who.age * u[:, 2 + k :].contiguous(),
            grown=torch.zeros(n, k, dtype=torch.int8, device=device),
            exposed=torch.zeros(n, k, dtype=torch.int8, device=device),
            belief=(0.10 + 0.85 * mastered - unsure[:, None]).clamp(0.01, 0.99),
            transfer=torch.zeros(n, k, device=device),
            cue=self.material.cue_sd * rng.normal(Purpose.ENROL, len(t.size), block=2).contiguous(),
            todo=torch.ones(n, t.n_mandatory, dtype=torch.bool, device=device),
            rate=traits.rate,
            overconfidence=traits.overconfidence,
            commitment=traits.commitment,
            weekly=traits.weekly,
            onboarding=traits.onboarding,
            group=traits.group,
            role=(u[:, 0] * n_roles).long().clamp_max(n_roles - 1),
            phone=u[:, 1] < who.mobile,
            now=zero,
            success=zero + 0.7,
            engagement=zero,
            workload=rng.normal(Purpose.ENROL, 1, block=3)[:, 0].contiguous(),
            session=zero,
            week=zero,
            coach=zero,
            coached=zero - 1000.0,
            acceptance=zero,
            last=torch.full_like(traits.group, -1),
            left=torch.zeros(n, dtype=torch.bool, device=device),
        )

    def context(self, state: SSRState) -> Context:
        """Return role, goals and, where learners keep to weekly minutes, the minutes of the whole programme."""
        goal = self.on(state.now.device).goals[state.role]
        none = state.role.new_zeros(len(state.role), 0)
        minutes = torch.full_like(state.now, float("inf"))
        if self.motivation.rhythm:
            weeks = self.population.weeks
            minutes = min(weeks, 4.0) * state.onboarding + max(weeks - 4.0, 0.0) * state.weekly
        return Context(state.role, goal, minutes, none, none.float())

    def mastery(self, state: SSRState) -> Tensor:
        """Return (B, K), the probability to know each skill and have it in reach: M R at an average item."""
        difficulty = self.on(state.now.device).traits.difficulty
        reach = self.memory.reach(state.now[:, None] - state.seen, state.stability)
        return logistic(state.strength - difficulty) * reach

    def p_correct(self, state: SSRState, activity: Tensor) -> Tensor:
        """Return (B,), the probability of a right answer to the next item of `activity`, all its skills needed."""
        lesson, slots = self._lesson(state, activity, torch.zeros_like(state.now))
        p = p_check(self.memory, lesson, slots, state.now)
        _, _, apart = told_apart(lesson, self._mind(state), lesson.skill[:, 0])
        guess = lesson.kind.guess
        return guess + (p - guess) * torch.where(lesson.n_skills == 1, apart, torch.ones_like(apart))

    def kept(self, state: SSRState, days: float | Tensor) -> Tensor:
        """Return (B, K), the mastery to be expected after `days` without teaching, used at work or not."""
        away = torch.zeros_like(state.now) + days
        later = state._replace(now=state.now + away)
        if self.job_use <= 0.0:
            return self.mastery(later)
        p = self._p_use(later, away)
        all_used = self._used(later, torch.ones_like(p, dtype=torch.bool))
        return p * self.mastery(all_used) + (1.0 - p) * self.mastery(later)

    def bridged(self, state: SSRState) -> Tensor:
        return state.transfer

    def p_quit(self, state: SSRState) -> Tensor:
        """Return (B,), .02 a month, less for who knows the role, is confident and accepted (Bauer et al. 2007)."""
        goal = self.on(state.now.device).goals[state.role]
        clarity = (self.mastery(state) * goal).sum(1) / goal.sum(1).clamp_min(1.0)
        confidence = (state.belief * goal).sum(1) / goal.sum(1).clamp_min(1.0)
        return self.motivation.p_quit(clarity, confidence, state.acceptance)

    def confidence(self, state: SSRState, rng: Rng) -> Tensor:
        """Return (B, K), what learners would say how sure they are of each skill, in [0, 1]; no tracer sees it."""
        difficulty = self.on(state.now.device).traits.difficulty
        blind = 1.0 - logistic(state.strength - difficulty)
        said = state.belief + state.overconfidence[:, None] * blind
        noise = 0.15 * rng.normal(Purpose.ACT, state.belief.shape[1], block=9).contiguous()
        return (said + noise).clamp(0.0, 1.0)

    def answer(self, state: SSRState, activity: Tensor, rng: Rng) -> tuple[SSRState, Response]:
        t = self.on(activity.device)
        u = rng.uniform(Purpose.MINUTES, 6).t().contiguous()
        pace = torch.sqrt(-2.0 * torch.log1p(-u[0])) * torch.cos(2.0 * torch.pi * u[1])
        minutes = t.minutes[activity] * torch.exp(TEMPO * pace - 0.5 * TEMPO**2)
        lesson, slots = self._lesson(state, activity, minutes)
        taken = self._takes(state, lesson, minutes)
        contrast = self.material.contrast * self.material.similarity
        slots, mind = work(
            self.acquisition, self.memory, self.motivation, contrast, lesson, slots, self._mind(state), taken, rng
        )
        graded = lesson.kind.trials > 0
        checked = (u[4] < p_check(self.memory, lesson, slots, state.now + minutes / DAY)).float()
        share = mind.right / lesson.kind.trials.clamp_min(1)
        correct = torch.where(graded, share, checked) * taken  # who does nothing shows nothing
        slow = torch.where(graded, 1.0 + (lesson.kind.slow - 1.0) * (1.0 - share), torch.ones_like(share))
        minutes = minutes * torch.where(taken, slow, torch.full_like(slow, 1e-3))
        after = self._after(state, activity, lesson, slots, mind, taken, minutes)
        days = self._stops(after, lesson, u)
        over = after.now + days >= WEEK * self.population.weeks
        # What is only watched or read feels easy (Bjork, Dunlosky and Kornell 2013), and what is easy is liked.
        easy = torch.where(graded, share, torch.full_like(share, 0.9))
        liked = self.motivation.liked(easy, after.engagement, lesson.kind.relevance) * taken
        coach = minutes * lesson.kind.coach * taken
        return after, Response(correct, minutes, taken, after.left | over, days, after.left, coach, liked)

    def elapse(self, state: SSRState, days: Tensor, rng: Rng) -> SSRState:
        """Return the states after `days`: reach fades by itself, who was away for an hour begins a new session.

        Mastery after a and then b days is that after a + b; engagement and workload wander once per absence.
        """
        rows = (days > 0).nonzero()[:, 0]
        if not len(rows):
            return state
        if 2 * len(rows) > len(days):  # writing a few learners back is cheaper than carrying all along
            moved = self._away(state, days, rng)
        else:
            some = self._away(take(state, rows), days[rows], take(rng, rows))
            changed = ("now", "workload", "engagement", "session", "week", "last", "left")
            moved = state._replace(**{f: getattr(state, f).index_copy(0, rows, getattr(some, f)) for f in changed})
        return self._at_work(moved, days, rng) if self.job_use > 0.0 else moved

    def _away(self, state: SSRState, days: Tensor, rng: Rng) -> SSRState:
        later, back = state.now + days, days > BREAK
        u = rng.uniform(Purpose.ELAPSE, 5).t().contiguous()
        radius = torch.sqrt(-2.0 * torch.log1p(-u[:2]))
        z = radius * torch.cos(2.0 * torch.pi * u[2:4])
        stays = torch.exp(days / WEEK * float(torch.log(torch.tensor(0.8))))
        workload = stays * state.workload + torch.sqrt((1.0 - stays**2).clamp_min(0.0)) * z[0]
        fresh = self.motivation.refreshed(state.engagement, state.success, z[1])
        same_week = torch.floor(later / WEEK) == torch.floor(state.now / WEEK)
        nothing = torch.zeros_like(state.now)
        return state._replace(
            now=later,
            workload=torch.where(days > 0, workload, state.workload),
            engagement=torch.where(back, fresh, state.engagement),
            session=torch.where(back, nothing, state.session),
            week=torch.where(same_week, state.week, nothing),
            last=torch.where(back, -1, state.last),
            left=state.left | (u[4] < self._p_leave(state, later)),
        )

    def _p_leave(self, state: SSRState, later: Tensor) -> Tensor:
        if not self.motivation.leaves:
            return torch.zeros_like(later)
        goal = self.on(later.device).goals[state.role]
        confidence = (state.belief * goal).sum(1) / goal.sum(1).clamp_min(1.0)
        coached = (state.now - state.coached < 30.0).float()
        x = self.motivation.leaving(
            state.success, confidence, state.engagement, state.workload, state.commitment, coached
        )
        end = WEEK * self.population.weeks
        return self.motivation.p_leave(state.now.clamp_max(end), later.clamp_max(end), x)

    def _at_work(self, state: SSRState, days: Tensor, rng: Rng) -> SSRState:
        """Return the states after goal skills were used at work at most once, just now."""
        u = rng.uniform(Purpose.ELAPSE, state.strength.shape[1], block=1).contiguous()
        return self._used(state, u < self._p_use(state, days))

    def _p_use(self, state: SSRState, days: Tensor) -> Tensor:
        return p_use(self.job_use, self.mastery(state), self.on(days.device).goals[state.role], days)

    def _used(self, state: SSRState, done: Tensor) -> SSRState:
        return used(self.acquisition, self.memory, self.on(done.device).traits.rate, state, done)

    def _lesson(self, state: SSRState, activity: Tensor, minutes: Tensor) -> tuple[Lesson, Slots]:
        t = self.on(activity.device)
        return prepare(t, self.acquisition, self.memory, self.material.slip, state, activity, minutes)

    def _mind(self, state: SSRState) -> Mind:
        return Mind(state.cue, state.last, state.success, torch.zeros_like(state.now))

    def _takes(self, state: SSRState, lesson: Lesson, minutes: Tensor) -> Tensor:
        """Return (B,) bool, whether the activity is taken up."""
        wanted = minutes * lesson.kind.coach
        spent = state.coach + wanted > 60.0 * self.coach_hours
        soon = (lesson.kind.hold > 0) & (state.now - state.coached < self.coach_days)
        no_coach = (wanted > 0) & (spent | soon)
        return ~state.left & ~(state.phone & ~lesson.kind.mobile) & ~no_coach

    def _after(
        self,
        state: SSRState,
        activity: Tensor,
        lesson: Lesson,
        slots: Slots,
        mind: Mind,
        taken: Tensor,
        minutes: Tensor,
    ) -> SSRState:
        """Return the states after an activity of `minutes`, before anybody stops."""
        t, kind = self.on(activity.device), lesson.kind
        learnt = restored(lesson, slots, state)
        place = t.mandatory[activity]
        todo = state.todo
        if t.n_mandatory:
            done = taken & (place >= 0)
            todo = todo & ~((torch.arange(t.n_mandatory, device=place.device) == place[:, None]) & done[:, None])
        coached = (kind.hold > 0) & taken
        bridged = (kind.transfer * taken)[:, None] * lesson.real
        now = state.now + minutes / DAY
        same_week = torch.floor(now / WEEK) == torch.floor(state.now / WEEK)
        return state._replace(
            **learnt,
            transfer=state.transfer.scatter_add(1, lesson.skill, bridged),
            cue=mind.cue,
            todo=todo,
            overconfidence=torch.where(taken & (kind.hold > 0), 0.7 * state.overconfidence, state.overconfidence),
            now=now,
            success=mind.success,
            engagement=state.engagement + kind.lift * taken,
            session=state.session + minutes,
            week=torch.where(same_week, state.week, 0.0) + minutes,
            coach=state.coach + minutes * kind.coach * taken,
            coached=torch.where(coached, state.now, state.coached),
            acceptance=state.acceptance + kind.bond * taken,
            last=mind.last,
        )

    def _stops(self, state: SSRState, lesson: Lesson, u: Tensor) -> Tensor:
        """Return the days (B,) until the learner is back; 0 where the session goes on."""
        if not self.motivation.rhythm:
            return torch.zeros_like(state.now)
        weekly = torch.where(state.now < 4.0 * WEEK, state.onboarding, state.weekly)
        p_stop = self.motivation.p_stop(
            state.success, state.engagement, state.session, weekly / self.motivation.sessions, lesson.kind.relevance
        )
        spent = state.week >= weekly
        due = torch.full_like(state.now, float("inf"))
        if state.todo.shape[1]:
            by = self.on(state.now.device).due.clamp_max(self.deadline)
            ahead = by - state.now[:, None]
            due = torch.where(state.todo & (ahead > 0), ahead, torch.inf).amin(1)
        gap = self.motivation.gap(u[3], state.engagement, state.workload, due).clamp_min(BREAK)
        next_week = WEEK * (torch.floor(state.now / WEEK) + 1.0) - state.now
        gap = torch.where(spent, torch.maximum(gap, next_week), gap)
        return torch.where((u[2] < p_stop) | spent | lesson.kind.idle, gap, torch.zeros_like(gap))
