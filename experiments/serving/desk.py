"""Desk: what happens at the counter - enrol, event, decision, a person's word - each one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from .engine import NOBODY, Engine, Happening, Record, Sight, choose
from .handover import HandOver
from .relive import relived, spoken
from .store import Learner, Store

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
    def _once(self, tenant: str, kind: str, request: str, learner: str | None) -> Iterator[dict[str, Any]]:
        """Hold a transaction; the yielded dict holds `said` where this request was already answered."""
        with self.store.transaction():
            found: dict[str, Any] = {}
            before = self.store.request(tenant, request)
            if before is not None:
                if (before.kind, before.learner) != (kind, learner):
                    raise ClashError(f"request {request!r} was already used for another {before.kind}; use a new id")
                found["said"] = before.body["answer"]
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
        return max(0.0, (time - learner.seen) / DAY) if days is None else days

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
        with self._once(tenant, "enrol", request, name) as once:
            if "said" in once:
                return dict(once["said"])
            if self.store.learner(tenant, name) is not None:
                raise ClashError(f"there is a learner {name!r} already")
            now = self.clock() if time is None else time
            role = next(iter(self.engine.about["roles"])) if role is None else role
            record = self.engine.enrol(role, minutes, past)
            answer = {"learner": name, "role": role}
            body = {"role": role, "minutes": minutes, "past": [list(pair) for pair in past], "answer": answer}
            self.store.append(tenant, name, "enrol", request, now, body | {"bundle": self.engine.digest})
            state = {"role": role, "paused": False, "wrong": 0, "declined": 0}
            self.store.put(tenant, Learner(name, self.engine.digest, self.engine.pack(record), now, state, None))
            return answer

    def event(self, tenant: str, request: str, name: str, said: dict[str, Any]) -> dict[str, Any]:
        """Take in what happened and return at once what it changed.

        `said` holds activity (None where only a word was given), correct, minutes, accepted, days, time, confidence,
        note and decision.
        """
        with self._once(tenant, "event", request, name) as once:
            if "said" in once:
                return dict(once["said"])
            answer, learner, body = self._lived(tenant, name, said)
            self.store.append(tenant, name, "event", request, learner.seen, body | {"answer": answer})
            self.store.put(tenant, learner)
            return answer

    def _lived(self, tenant: str, name: str, said: dict[str, Any]) -> tuple[dict[str, Any], Learner, dict[str, Any]]:
        learner, record = self.known(tenant, name)
        now = self.clock() if said.get("time") is None else said["time"]
        days = self.days_since(learner, said.get("days"), now)
        place = NOBODY if said.get("activity") is None else self.engine.activity(said["activity"])
        happening = Happening(days, place, said["correct"], said["minutes"], said["accepted"])
        _, before = self.engine.step(record, [Happening(days)])
        after, sight = self.engine.step(record, [happening])
        state = dict(learner.state)
        if place != NOBODY:
            state["declined"] = 0 if happening.accepted else state.get("declined", 0) + 1
            if happening.accepted:
                state["wrong"] = 0 if happening.correct >= 0.5 else state.get("wrong", 0) + 1
            if state.get("override", {}).get("activity") == said["activity"]:
                state.pop("override")
        if said.get("confidence") is not None:
            state["confidence"] = said["confidence"]
        attention = self.attention(state, after, sight, 0.0) or learner.attention
        fresh = Learner(name, self.engine.digest, self.engine.pack(after), max(now, learner.seen), state, attention)
        answer: dict[str, Any] = {"learner": name, "attention": attention}
        if place != NOBODY:
            answer |= self.engine.changed(after, before, sight, happening)
        kept = ("activity", "correct", "minutes", "accepted", "confidence", "note", "decision")
        return answer, fresh, {key: said.get(key) for key in kept} | {"days": days, "bundle": self.engine.digest}

    def attention(self, state: dict[str, Any], record: Record, sight: Sight, days: float) -> str | None:
        """Return why a person should look at a learner, None when nobody need."""
        if bool(sight.handover[0]):
            return "nothing is allowed for this learner now"
        tried = record["record.history.attempts"][0]
        attempts = np.zeros(len(self.engine.about["skills"]))
        for activity in np.flatnonzero(tried):
            attempts[self.engine.skills_of[activity]] += tried[activity]
        return self.rule.reason(state, attempts, sight.mastery[0], self.engine.titles, days)

    def decide(
        self, tenant: str, request: str, name: str, k: int, days: float | None, time: float | None
    ) -> dict[str, Any]:
        """Return the next activity, up to `k` suggestions, and why; the same request is answered the same again."""
        return self.decide_many(tenant, [(request, name, k, days, time)])[0]

    def decide_many(
        self, tenant: str, asked: Sequence[tuple[str, str, int, float | None, float | None]]
    ) -> list[dict[str, Any]]:
        """Return the decisions of many learners, (request, learner, k, days, time) each, in one transaction."""
        with self.store.transaction():
            said: dict[int, dict[str, Any]] = {}
            fresh: list[tuple[int, Learner, Record, float, float]] = []
            seen: set[str] = set()
            for i, (request, name, _, days, time) in enumerate(asked):
                before = self.store.request(tenant, request)
                if before is not None:
                    if (before.kind, before.learner) != ("decision", name):
                        raise ClashError(
                            f"request {request!r} was already used for another {before.kind}; use a new id"
                        )
                    said[i] = before.body["answer"]
                    continue
                if request in seen:
                    raise ClashError(f"request {request!r} stands twice in one batch; use a new id for each")
                seen.add(request)
                now = self.clock() if time is None else time
                learner, record = self.known(tenant, name)
                fresh.append((i, learner, record, now, self.days_since(learner, days, now)))
            if fresh:
                columns = {name: np.concatenate([f[2][name] for f in fresh]) for name in fresh[0][2]}
                whole, sights = self.engine.step(columns, [Happening(f[4]) for f in fresh])
                plain = self._unpinned(whole)
                stopped = self.stopped(tenant)
                for j, (i, learner, _, now, days) in enumerate(fresh):
                    free = None if plain is None else plain.row(j)
                    record = {name: value[j : j + 1] for name, value in whole.items()}
                    said[i] = self._decided(tenant, asked[i], learner, record, sights.row(j), free, now, days, stopped)
            return [said[i] for i in range(len(asked))]

    def _unpinned(self, record: Record) -> Sight | None:
        """Return what the policy itself would have said where a person chose; None when nobody did."""
        if not (record["record.override"] >= 0).any():
            return None
        free = record | {"record.override": np.full_like(record["record.override"], NOBODY)}
        return self.engine.step(free, [Happening()] * len(record["record.override"]))[1]

    def _decided(
        self,
        tenant: str,
        asked: tuple[str, str, int, float | None, float | None],
        learner: Learner,
        record: Record,
        sight: Sight,
        free: Sight | None,
        now: float,
        days: float,
        stopped: bool,
    ) -> dict[str, Any]:
        request, name, k, _, _ = asked
        names = self.engine.names
        pinned = int(record["record.override"][0]) >= 0
        vetoed = record["record.veto"][0]
        paused = (stopped or bool(learner.state.get("paused"))) and not pinned
        nothing = bool(sight.handover[0]) and bool(vetoed[self.engine.about["fallback"]])
        allowed = np.flatnonzero(sight.mask[0])
        attention = self.attention(learner.state, record, sight, days) or learner.attention
        answer: dict[str, Any] = {"learner": name, "request": request, "activity": None, "propensity": None}
        answer |= {"suggestions": [], "paused": paused, "attention": attention, "bundle": self.engine.digest}
        if not paused and not nothing:
            place, p = choose(sight.probabilities[0], f"{self.seed}:{tenant}", request)
            order = allowed[np.argsort(-sight.probabilities[0, allowed], kind="stable")].tolist()
            shown = [place, *(i for i in order if i != place)][:k]
            answer |= {"activity": names[place], "propensity": p}
            answer["suggestions"] = [
                {
                    "activity": names[i],
                    "title": self.engine.activities[i]["title"],
                    "probability": float(sight.probabilities[0, i]),
                    "reasons": list(self.engine.why(record, sight, i)),
                }
                for i in shown
            ]
        body: dict[str, Any] = {
            "answer": answer,
            "days": days,
            "step": int(record["record.step"][0]),
            "role": learner.state["role"],
            "allowed": [names[i] for i in allowed.tolist()],
            "probabilities": sight.probabilities[0, allowed].tolist(),
            "override": pinned,
            "handover": bool(sight.handover[0]),
            "bundle": self.engine.digest,
        }
        budget = float(record["record.minutes_budget"][0])
        body["minutes_budget"] = budget if np.isfinite(budget) else None
        if pinned and free is not None:
            place, p = choose(free.probabilities[0], f"{self.seed}:{tenant}", request)
            body |= {"recommended": names[place], "recommended_propensity": p, "who": learner.state.get("override")}
        else:
            body |= {"recommended": answer["activity"], "recommended_propensity": answer["propensity"]}
        self.store.append(tenant, name, "decision", request, now, body)
        if attention != learner.attention:
            self.store.put(tenant, learner._replace(attention=attention))
        return answer

    def say(
        self, tenant: str, request: str, name: str, who: str, kind: str, activity: str | None, on: bool, why: str
    ) -> dict[str, Any]:
        """Take in a person's word about a learner: `override`, `veto`, `pause` or `seen` (attention is settled).

        It binds the next decision. ValueError when an override or a veto names no activity of the catalogue.
        """
        with self._once(tenant, kind, request, name) as once:
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
            if int(record["record.override"][0]) == NOBODY:
                state.pop("override", None)
            answer = {"learner": name, "kind": kind, "activity": activity, "on": on}
            body = {"activity": activity, "on": on, "by": who, "why": why, "answer": answer}
            self.store.append(tenant, name, kind, request, self.clock(), body | {"bundle": self.engine.digest})
            blob = self.engine.pack(record)
            self.store.put(tenant, Learner(name, self.engine.digest, blob, learner.seen, state, attention))
            return answer

    def stop(self, tenant: str, request: str, who: str, on: bool, why: str) -> dict[str, Any]:
        """Pause or resume all automation of a tenant, effective with the next decision."""
        with self._once(tenant, "stop", request, None) as once:
            if "said" in once:
                return dict(once["said"])
            answer = {"stopped": on}
            self.store.append(
                tenant, None, "stop", request, self.clock(), {"on": on, "by": who, "why": why, "answer": answer}
            )
            self.store.run(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [f"stop:{tenant}", "1" if on else "0"],
            )
            return answer

    def stopped(self, tenant: str) -> bool:
        """Return whether all automation of the tenant is paused."""
        found = self.store.rows("SELECT value FROM meta WHERE name = ?", [f"stop:{tenant}"])
        return bool(found) and found[0][0] == "1"
