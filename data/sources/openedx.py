"""Open edX tracking logs: problems that were checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..catalog import Catalog
from ..log import Log
from .event_lines import Answer, load, scaled
from .source import Source


@dataclass(frozen=True)
class OpenEdX(Source):
    """Lines of `tracking.log`; an answer is a `problem_check` that the server wrote.

    The learner is the user id, the activity the end of the problem's usage key, its skill the same; the score is grade
    over max_grade. The log knows no duration.
    """

    path: str

    def load(self) -> tuple[Log, Catalog]:
        """The log with its catalogue. Raises: DataError naming file and line of a faulty event."""
        return load(self.path, "an Open edX tracking log", _answer)


def _answer(line: dict[str, Any]) -> Answer | None:
    if line.get("event_type") != "problem_check" or line.get("event_source") != "server":
        return None
    event, context = line["event"], line.get("context") or {}
    learner = context.get("user_id") or line.get("username")
    if not learner or not isinstance(event, dict) or not event.get("max_grade"):
        return None
    name = str(event["problem_id"]).rpartition("@")[2].rpartition("/")[2]
    return Answer(
        learner=str(learner),
        activity=name,
        skills=(),
        correct=scaled(event["grade"], 0.0, float(event["max_grade"])),
        timestamp=str(line["time"]),
        minutes=float("nan"),
        title=str((context.get("module") or {}).get("display_name", "")),
    )
