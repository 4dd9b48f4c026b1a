"""IMS Caliper 1.2 events: graded and assessed items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..catalog import Catalog
from ..log import Log
from .event_lines import Answer, load, minutes_of, scaled
from .source import Source
from .xapi import _end


@dataclass(frozen=True)
class Caliper(Source):
    """Events, one JSON object a line or one JSON list, or envelopes with the events in `data`.

    An answer is a GradeEvent (object: the attempt, generated: the score). The learner is the attempt's assignee, the
    activity what was attempted (`assignable`), its skills the `learningObjectives` of that, else itself.
    """

    path: str

    def load(self) -> tuple[Log, Catalog]:
        """The log with its catalogue. Raises: DataError naming file and line of a faulty event."""
        return load(self.path, "Caliper events", _answer)


def _answer(event: dict[str, Any]) -> Answer | None:
    if event.get("type") != "GradeEvent" or not isinstance(event.get("generated"), dict):
        return None
    attempt, score = event["object"], event["generated"]
    if "scoreGiven" not in score:
        return None
    work = attempt["assignable"]
    about = work if isinstance(work, dict) else {"id": work}
    goals = about.get("learningObjectives", [])
    return Answer(
        learner=_end(_id(attempt["assignee"])),
        activity=_end(about["id"]),
        skills=tuple(dict.fromkeys(_end(_id(goal)) for goal in goals)),
        correct=scaled(score["scoreGiven"], 0.0, float(score.get("maxScore", 1.0))),
        timestamp=str(attempt.get("endedAtTime") or event["eventTime"]),
        minutes=minutes_of(attempt.get("duration")),
        title=str(about.get("name", "")),
    )


def _id(thing: Any) -> str:
    return str(thing["id"] if isinstance(thing, dict) else thing)
