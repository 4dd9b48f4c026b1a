"""Desk: what happens at the counter - enrol, event, decision, a person's word - each one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answers import Decide, Happen, Seat, asked_for, decided, digest, lived
from .engine import NOBODY, Engine, Happening, Record, Sight
from .handover import HandOver
from .relive import relived, spoken
from .store import Entry, Learner, Line, Store

DAY = 86400.0


class MissingError(LookupError):
    """There is no such learner in this tenant."""


class ClashError(ValueError):
    """What is asked for contradicts what was done before."""


@dataclass(eq=False)
class Desk:
    """The engine, the store and the rule of handing over, behind every door (HTTP, tests, command line)."""

    engine: Engine
    store: Store
    rule: HandOver
    clock: Callable[[], float]
    seed: str = "trailmark"

    @contextmanager
    def _once(self, tenant: str, kind: str, request: str, learner: str | None, asked: str) -> Iterator[dict[str, Any]]:
        """Hold a transaction; the yielded dict holds `said` where this request was already answered.

        `asked` is the digest of what is asked for.
        """
        with self.store.transaction():
            found: dict[str, Any] = {}
            before = self.store.request(tenant, request)
            if before is not None:
                found["said"] = _again(before, kind, learner, asked)
            yield found

    def known(self, tenant: str, name: str) -> tuple[Learner, Record]:
        """Return one learner and the record under today's bundle; MissingError when the tenant has none such."""
        learner = self.store.learner(tenant, name)
        if learner is None:
            raise MissingError(f"no learner {name!r}; enrol first")
        if learner.bundle != self.engine.digest:
            return learner, relived(self.engine, self.store, tenant, learner)
        return learner, self.engine.unpack([learner.record])

    def days_since(self, learner: Learner, days: float | None, time: float) -> float:
        """Return `days` where they were said, else the days from the learner's latest event to `time`."""
        return max(0.0, (time - min(learner.seen, self.clock())) / DAY) if days is None else days

    def _when(self, time: float | None) -> float:
        """Return when something happened, never after now; ValueError when it is said to be a day ahead or more."""
        now = self.clock()
        if time is not None and time >= now + DAY:
            raise ValueError(f"time {time:g} lies ahead: the server's clock says {now:.0f} (seconds since 1970)")
        return now if time is None else min(time, now)

    def enrol(
        self,
        tenant: str,
        request: str,
        name: str,
        role: str | None,
        minutes: float | None,
        past: Sequence[tuple[str, float]],
        time: float | None,
    ) -> dict[str, Any]:
        """Enrol one learner; ClashError when there is one of that name, ValueError for an unknown role or activity."""
        asked = digest([role, minutes, [list(pair) for pair in past], time])
        with self._once(tenant, "enrol", request, name, asked) as once:
            if "said" in once:
                return dict(once["said"])
            if self.store.learner(tenant, name) is not None:
                raise ClashError(f"there is a learner {name!r} already")
            now = self._when(time)
            role = next(iter(self.engine.about["roles"])) if role is None else role
            record = self.engine.enrol(role, minutes, past)
            answer = {"learner": name, "role": role}
            body = {"role": role, "minutes": minutes, "past": [list(pair) for pair in past], "answer": answer}
            body["asked"] = asked
            self.store.append(tenant, name, "enrol", request, now, body | {"bundle": self.engine.digest})
            state = {"role": role, "paused": False, "wrong": 0, "declined": 0}
            self.store.put(tenant, Learner(name, self.engine.digest, self.engine.pack(record)[0], now, state, None))
            return answer

    def event(self, tenant: str, request: str, name: str, said: dict[str, Any]) -> dict[str, Any]:
        """Take in what happened and return at once what it changed; `said` as in Happen."""
        return _first_fault_told(self.take([Happen(tenant, request, name, said)]))[0]

    def decide(
        self, tenant: str, request: str, name: str, k: int, days: float | None, time: float | None
    ) -> dict[str, Any]:
        """Return the next activity, up to `k` suggestions, and why; the same request is answered the same again."""
        return _first_fault_told(self.take([Decide(tenant, request, name, k, days, time)]))[0]

    def decide_many(
        self, tenant: str, asked: Sequence[tuple[str, str, int, float | None, float | None]]
    ) -> list[dict[str, Any]]:
        """Return the decisions of many learners, (request, learner, k, days, time) each: all of them or none."""
        twice = [request for request, count in Counter(one[0] for one in asked).items() if count > 1]
        if twice:
            raise ClashError(f"request {twice[0]!r} stands twice in one batch; use a new id for each")
        with self.store.transaction():
            return _first_fault_told(self.take([Decide(tenant, *one) for one in asked]))

    def events(self, asked: Sequence[Happen]) -> list[dict[str, Any]]:
        """Take in many events, in order; the first that fails stops the rest, and those before it stand."""
        return _first_fault_told(self.take(asked, halt=True))

    def take(self, asks: Sequence[Decide | Happen], halt: bool = False) -> list[dict[str, Any] | Exception]:
        """Return the answer to each ask, or why it has none, as if they came one after the other.

        They share a transaction and a run of the graph, as far as no learner is asked about twice. With `halt`, nothing
        is done after the first fault, and it is the last of what is returned.
        """
        said: list[dict[str, Any] | Exception] = []
        for lap in _laps(asks):
            said += self._safely(lap, halt)
            if halt and isinstance(said[-1], Exception):
                break
        return said

    def _safely(self, lap: list[Decide | Happen], halt: bool) -> list[dict[str, Any] | Exception]:
        try:
            with self.store.transaction():
                return self._lap(lap, halt)
        except Exception as error:
            if len(lap) == 1:
                return [error]
        said: list[dict[str, Any] | Exception] = []
        for ask in lap:  # what breaks on one must not take its neighbours with it
            said += self._safely([ask], halt)
            if halt and isinstance(said[-1], Exception):
                break
        return said

    def _lap(self, lap: list[Decide | Happen], halt: bool) -> list[dict[str, Any] | Exception]:
        said: dict[int, dict[str, Any] | Exception] = {}
        seats: list[Seat] = []
        tenants = dict.fromkeys(ask.tenant for ask in lap)
        before = {(t, e.request): e for t in tenants for e in self.store.requests(t, [a.request for a in lap])}
        people = {(t, one.id): one for t in tenants for one in self.store.learners(t, [a.learner for a in lap])}
        for place, ask in enumerate(lap):
            try:
                if (entry := before.get((ask.tenant, ask.request))) is not None:
                    said[place] = _again(entry, ask.kind, ask.learner, asked_for(ask))
                else:
                    seats.append(self._seat(place, ask, people.get((ask.tenant, ask.learner))))
            except (LookupError, ValueError) as error:
                said[place] = error
                if halt:
                    break
        if seats:
            self._write(seats, said)
        return [said[place] for place in range(len(said))]

    def _seat(self, place: int, ask: Decide | Happen, learner: Learner | None) -> Seat:
        if learner is None:
            raise MissingError(f"no learner {ask.learner!r}; enrol first")
        own = learner.bundle == self.engine.digest
        record = learner.record if own else self.engine.pack(relived(self.engine, self.store, ask.tenant, learner))[0]
        asked: dict[str, Any] = ask.said if isinstance(ask, Happen) else {"time": ask.time, "days": ask.days}
        now = self._when(asked.get("time"))
        happening = Happening(self.days_since(learner, asked.get("days"), now))
        if "activity" in asked:
            activity = NOBODY if asked["activity"] is None else self.engine.activity(asked["activity"])
            happening = Happening(happening.days, activity, asked["correct"], asked["minutes"], asked["accepted"])
        return Seat(place, ask, learner, record, now, happening)

    def _write(self, seats: list[Seat], said: dict[int, dict[str, Any] | Exception]) -> None:
        """Run the graph once for all seats: as time went by; then again what happened, and what people left open."""
        record = self.engine.unpack([seat.record for seat in seats])
        pinned = (record["record.override"] >= 0).tolist()
        again = [i for i, seat in enumerate(seats) if pinned[i] or isinstance(seat.ask, Happen)]
        row = {i: len(seats) + j for j, i in enumerate(again)}
        happenings = [Happening(seat.happening.days) for seat in seats]
        if again:
            record = {name: np.concatenate([column, column[again]]) for name, column in record.items()}
            free = [row[i] for i in again if not isinstance(seats[i].ask, Happen)]
            record["record.override"][free] = NOBODY
        after, sight = self.engine.step(record, happenings + [seats[i].happening for i in again])
        attempts = self.engine.attempts(after)
        stops = {tenant: self.stopped(tenant) for tenant in dict.fromkeys(seat.ask.tenant for seat in seats)}
        packed = self.engine.pack(after) if any(isinstance(seat.ask, Happen) for seat in seats) else []
        lines, fresh = [], []
        for i, (place, ask, learner, _, now, happening) in enumerate(seats):
            if isinstance(ask, Happen):
                at, now = row[i], max(now, min(learner.seen, self.clock()))
                state, answer, body = lived(self.engine, seats[i], sight.row(i), sight, after["record.goal"][at], at)
                attention = self._attention(state, sight, attempts, at, 0.0) or self.rule.still(learner.attention)
                kept = Learner(ask.learner, self.engine.digest, packed[at], now, state, attention)
            else:
                seed, stopped = f"{self.seed}:{ask.tenant}", stops[ask.tenant]
                answer, body = decided(self.engine, seats[i], after, sight, i, row.get(i), stopped, seed)
                attention = self._attention(learner.state, sight, attempts, i, happening.days) or learner.attention
                kept = learner._replace(attention=attention)
            said[place] = answer | {"attention": attention}
            body |= {"asked": asked_for(ask), "answer": said[place]}
            lines.append(Line(ask.tenant, ask.learner, ask.kind, ask.request, now, body))
            if kept != learner:
                fresh.append((ask.tenant, kept))
        self.store.extend(lines)
        self.store.put_many(fresh)

    def attention(self, state: dict[str, Any], record: Record, sight: Sight, days: float) -> str | None:
        """Return why a person should look at the one learner of `record`, None when nobody need."""
        return self._attention(state, sight, self.engine.attempts(record), 0, days)

    def _attention(
        self, state: dict[str, Any], sight: Sight, attempts: NDArray[Any], i: int, days: float
    ) -> str | None:
        if sight.handover[i]:
            return "nothing is allowed for this learner now"
        return self.rule.reason(state, attempts[i], sight.mastery[i], self.engine.titles, days)

    def _settled(self, learner: Learner, record: Record) -> dict[str, Any]:
        """Return what to remember of a learner whom a person has seen to now."""
        now = self.clock()
        days = self.days_since(learner, None, now)
        _, sight = self.engine.step(record, [Happening(days)])
        attempts, titles = self.engine.attempts(record)[0], self.engine.titles
        return self.rule.settled(learner.attention, attempts, sight.mastery[0], titles, days, now)

    def say(
        self, tenant: str, request: str, name: str, who: str, kind: str, activity: str | None, on: bool, why: str
    ) -> dict[str, Any]:
        """Take in a person's word about a learner: `override`, `veto`, `pause` or `seen` (attention is settled).

        It binds the next decision. ValueError when an override or a veto names no activity of the catalogue.
        """
        asked = digest([activity, on, why])
        with self._once(tenant, kind, request, name, asked) as once:
            if "said" in once:
                return dict(once["said"])
            learner, record = self.known(tenant, name)
            state, attention = dict(learner.state), learner.attention
            place = NOBODY if activity is None else self.engine.activity(activity)
            if kind == "veto" and place == NOBODY:
                raise ValueError("a veto names an activity")
            record = spoken(record, kind, place, on)
            word = {"by": who, "why": why, "activity": activity, "time": self.clock()}
            if kind == "override":
                state.pop("override", None)
                if on and place != NOBODY:
                    state["override"] = word
            elif kind == "pause":
                state["paused"] = on
            elif kind == "seen":
                attention = None
                state |= {"wrong": 0, "declined": 0}
                state.pop("confidence", None)
                state["settled"] = self._settled(learner, record)
            if int(record["record.override"][0]) == NOBODY:
                state.pop("override", None)
            answer = {"learner": name, "kind": kind, "activity": activity, "on": on}
            body = {"activity": activity, "on": on, "by": who, "why": why, "asked": asked, "answer": answer}
            self.store.append(tenant, name, kind, request, self.clock(), body | {"bundle": self.engine.digest})
            blob = self.engine.pack(record)[0]
            self.store.put(tenant, Learner(name, self.engine.digest, blob, learner.seen, state, attention))
            return answer

    def stop(self, tenant: str, request: str, who: str, on: bool, why: str) -> dict[str, Any]:
        """Pause or resume all automation of a tenant, effective with the next decision."""
        asked = digest([on, why])
        with self._once(tenant, "stop", request, None, asked) as once:
            if "said" in once:
                return dict(once["said"])
            answer = {"stopped": on}
            body = {"on": on, "by": who, "why": why, "asked": asked, "answer": answer}
            self.store.append(tenant, None, "stop", request, self.clock(), body)
            self.store.run(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [f"stop:{tenant}", "1" if on else "0"],
            )
            return answer

    def stopped(self, tenant: str) -> bool:
        """Return whether all automation of the tenant is paused."""
        found = self.store.rows("SELECT value FROM meta WHERE name = ?", [f"stop:{tenant}"])
        return bool(found) and found[0][0] == "1"


def _again(entry: Entry, kind: str, learner: str | None, asked: str) -> dict[str, Any]:
    """Return what a request was answered when it came before."""
    before = entry.body.get("asked", asked)  # older lines do not say
    if (entry.kind, entry.learner, before) != (kind, learner, asked) or "answer" not in entry.body:
        raise ClashError(f"request {entry.request!r} was already used for another {entry.kind}; use a new id")
    return dict(entry.body["answer"])


def _laps(asks: Sequence[Decide | Happen]) -> Iterator[list[Decide | Happen]]:
    """Yield the asks in order, in pieces in which no learner and no request stands twice."""
    lap: list[Decide | Happen] = []
    seen: set[tuple[str, str, str]] = set()
    for ask in asks:
        marks = {("learner", ask.tenant, ask.learner), ("request", ask.tenant, ask.request)}
        if lap and marks & seen:
            yield lap
            lap, seen = [], set()
        lap.append(ask)
        seen |= marks
    if lap:
        yield lap


def _first_fault_told(said: list[dict[str, Any] | Exception]) -> list[dict[str, Any]]:
    for one in said:
        if isinstance(one, Exception):
            raise one
    return [one for one in said if not isinstance(one, Exception)]
