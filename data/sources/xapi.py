"""xAPI statements (IEEE 9274.1.1), as learning record stores export them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..catalog import Catalog
from ..log import Log
from .event_lines import Answer, load, minutes_of, scaled
from .source import Source


@dataclass(frozen=True)
class XAPI(Source):
    """Statements, one JSON object a line or one JSON list; also what `trailmark decisions --to x.jsonl` writes.

    An answer is a statement with `result.score` (scaled, or raw between min and max) or `result.success`. The learner
    is the actor's account name, else mbox, else openid; the activity the end of the object's id; its skills the
    `category` activities of the context, else the activity itself. Voided and other statements are left out.
    """

    path: str

    def load(self) -> tuple[Log, Catalog]:
        """The log with its catalogue. Raises: DataError naming file and line of a faulty statement."""
        return load(self.path, "xAPI statements", _answer)


def _answer(statement: dict[str, Any]) -> Answer | None:
    result = statement.get("result") or {}
    correct = _score(result)
    if correct is None or "actor" not in statement or "object" not in statement:
        return None
    actor, thing = statement["actor"], statement["object"]
    learner = (actor.get("account") or {}).get("name") or actor.get("mbox") or actor.get("openid")
    if not learner or "id" not in thing:
        return None
    categories = (statement.get("context") or {}).get("contextActivities", {}).get("category", [])
    names = (thing.get("definition") or {}).get("name") or {}
    return Answer(
        learner=str(learner),
        activity=_end(thing["id"]),
        skills=tuple(dict.fromkeys(_end(one["id"]) for one in categories)),
        correct=correct,
        timestamp=str(statement.get("timestamp") or statement.get("stored") or ""),
        minutes=minutes_of(result.get("duration")),
        title=str(next(iter(names.values()), "")),
    )


def _score(result: dict[str, Any]) -> float | None:
    score = result.get("score") or {}
    if "scaled" in score:
        return scaled(score["scaled"], 0.0, 1.0)
    if "raw" in score and "max" in score:
        return scaled(score["raw"], float(score.get("min", 0.0)), float(score["max"]))
    return float(result["success"]) if "success" in result else None


def _end(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2] or name
