"""Asks: the bodies of requests, checked at the border."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


def _shown(name: str) -> str:
    if "/" in name or name in (".", ".."):
        raise ValueError("a learner's name stands in addresses: it holds no '/' and is not '.' or '..'")
    return name


Learner = Annotated[Name, AfterValidator(_shown)]
Score = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Minutes = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]
Days = Annotated[float, Field(ge=0.0, le=36500.0, allow_inf_nan=False)]
Time = Annotated[float, Field(ge=0.0, le=4102444800.0, allow_inf_nan=False)]  # up to the year 2100
Words = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")]


class Ask(BaseModel):
    """What every body has in common: unknown keys are refused, so that a misspelt one is noticed."""

    model_config = ConfigDict(extra="forbid")


class Enrolment(Ask):
    """A new learner; `past` is what was done before, oldest first, as pairs of activity and score."""

    request: Name
    learner: Learner
    role: Name | None = None
    minutes: Minutes | None = None
    past: Annotated[list[tuple[Name, Score]], Field(max_length=10_000)] = []
    time: Time | None = None


class EventAsk(Ask):
    """What happened: the answer, the minutes, how sure the learner feels, a coach's word; days since the last event.

    Without `days` they follow from the times of events.
    """

    request: Name
    learner: Name
    activity: Name | None = None
    correct: Score = 0.0
    minutes: Minutes = 0.0
    accepted: bool = True
    days: Days | None = None
    time: Time | None = None
    confidence: Score | None = None
    note: Words | None = None
    decision: Name | None = None


class DecisionAsk(Ask):
    """What should the learner do next? `k` suggestions; the first is drawn by the policy, with its propensity."""

    request: Name
    learner: Name
    k: Annotated[int, Field(ge=1, le=100)] = 1
    days: Days | None = None
    time: Time | None = None


class Events(Ask):
    """Many events; each is its own transaction, in order."""

    events: Annotated[list[EventAsk], Field(max_length=10_000)]


class Decisions(Ask):
    """Many learners at once."""

    decisions: Annotated[list[DecisionAsk], Field(max_length=10_000)]


class Word(Ask):
    """A person's word about one learner, and why."""

    request: Name
    why: Words
    activity: Name | None = None
    on: bool = True


class Stop(Ask):
    """Pause (or resume) all automation of the tenant, and why."""

    request: Name
    why: Words
    on: bool = True


class NewKey(Ask):
    """A key for another caller of the same tenant."""

    role: Name
    name: Name


class OldKey(Ask):
    """A key that is taken back: its name, or its id as the ledger says it."""

    key: Name
