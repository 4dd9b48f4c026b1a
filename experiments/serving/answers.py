"""Answers: what is said of one learner among those that the graph was run for, and what the ledger keeps of it."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .engine import NOBODY, Engine, Happening, Record, Sight, choose
from .store import Learner

Body = dict[str, Any]
_plain = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


class Decide(NamedTuple):
    """What should the learner do next? `k` suggestions; `days` since the latest event, or `time` now."""

    tenant: str
    request: str
    learner: str
    k: int = 1
    days: float | None = None
    time: float | None = None

    @property
    def kind(self) -> str:
        """The kind of its line in the ledger."""
        return "decision"


class Happen(NamedTuple):
    """What happened: `said` holds activity (None where only a word was given), correct, minutes, accepted, days, time,
    confidence, note and decision."""

    tenant: str
    request: str
    learner: str
    said: Body

    @property
    def kind(self) -> str:
        """The kind of its line in the ledger."""
        return "event"


def digest(asked: Any) -> str:
    """Return a digest of what is asked for, plain JSON values: a request id stands for one ask and no other."""
    text = _plain(asked)
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=12).hexdigest()


def asked_for(ask: Decide | Happen) -> str:
    """Return the digest of an ask, without the request id and the learner, who stand in the ledger themselves."""
    if isinstance(ask, Decide):
        return digest([ask.k, ask.days, ask.time])
    return digest({key: value for key, value in ask.said.items() if key not in ("request", "learner")})


class Seat(NamedTuple):
    """One learner in a lap: the place of the ask, the learner, the time, and what the learner did."""

    place: int
    ask: Decide | Happen
    learner: Learner
    record: bytes
    now: float
    happening: Happening


def lived(
    engine: Engine, seat: Seat, before: Sight, sight: Sight, goal: NDArray[Any], i: int
) -> tuple[Body, Body, Body]:
    """Return (state, answer, line) of an event: what changed from `before` to row `i` of `sight`."""
    assert isinstance(seat.ask, Happen)
    said, happening, state = seat.ask.said, seat.happening, dict(seat.learner.state)
    answer: Body = {"learner": seat.learner.id}
    if happening.activity != NOBODY:
        if state.get("settled", {}).get("away"):  # is back
            state["settled"] = state["settled"] | {"away": False}
        state["declined"] = 0 if happening.accepted else state.get("declined", 0) + 1
        if happening.accepted:
            state["wrong"] = 0 if happening.correct >= 0.5 else state.get("wrong", 0) + 1
        if state.get("override", {}).get("activity") == said["activity"]:
            state.pop("override")
        answer |= engine.changed(goal, before, sight.row(i), happening)
    if said.get("confidence") is not None:
        state["confidence"] = said["confidence"]
    kept = ("activity", "correct", "minutes", "accepted", "confidence", "note", "decision")
    line = {key: said.get(key) for key in kept} | {"days": happening.days, "bundle": engine.digest}
    return state, answer, line


def decided(
    engine: Engine, seat: Seat, record: Record, sight: Sight, i: int, free: int | None, stopped: bool, seed: str
) -> tuple[Body, Body]:
    """Return (answer, line) of a decision about row `i`; row `free` is what the policy had said but for a person."""
    assert isinstance(seat.ask, Decide)
    ask, state, names, p = seat.ask, seat.learner.state, engine.names, sight.probabilities[i]
    pinned, handover = free is not None, bool(sight.handover[i])
    paused = (stopped or bool(state.get("paused"))) and not pinned
    nothing = handover and bool(record["record.veto"][i, engine.about["fallback"]])
    allowed = sight.mask[i].nonzero()[0]
    answer: Body = {"learner": ask.learner, "request": ask.request, "activity": None, "propensity": None}
    answer |= {"suggestions": [], "paused": paused, "attention": None, "bundle": engine.digest}
    if not paused and not nothing:
        place, chance = choose(p, seed, ask.request)
        order = allowed[(-p[allowed]).argsort(kind="stable")][: ask.k].tolist()
        shown = [place, *(j for j in order if j != place)][: ask.k]
        answer |= {"activity": names[place], "propensity": chance}
        answer["suggestions"] = [
            {
                "activity": names[j],
                "title": engine.activities[j]["title"],
                "probability": float(p[j]),
                "reasons": list(engine.why(record, sight, j, i)),
            }
            for j in shown
        ]
    budget = float(record["record.minutes_budget"][i])
    line: Body = {
        "days": seat.happening.days,
        "step": int(record["record.step"][i]),
        "role": state["role"],
        "allowed": engine.named[allowed].tolist(),
        "probabilities": p[allowed].tolist(),
        "override": pinned,
        "handover": handover,
        "bundle": engine.digest,
        "minutes_budget": budget if budget < np.inf else None,
    }
    if free is not None:
        place, chance = choose(sight.probabilities[free], seed, ask.request)
        line |= {"recommended": names[place], "recommended_propensity": chance, "who": state.get("override")}
    else:
        line |= {"recommended": answer["activity"], "recommended_propensity": answer["propensity"]}
    return answer, line
