"""Event logs with one JSON object a line, or one JSON list: read, sifted, and turned into a log of answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ..catalog import Catalog
from ..errors import DataError
from ..files import existing, read_text, stem
from ..log import Log
from .answers import natural
from .minimal import minimal_catalog
from .times import seconds


class Answer(NamedTuple):
    """One answer found in an event."""

    learner: str
    activity: str
    skills: tuple[str, ...]  # the activity itself where the event names none
    correct: float
    timestamp: str  # ISO 8601
    minutes: float  # NaN = unknown
    title: str


Read = Callable[[dict[str, Any]], Answer | None]


def load(where: str, what: str, read: Read) -> tuple[Log, Catalog]:
    """Return the answers that `read` finds in a file, or in every .json, .jsonl, .log file of a folder (or .gz).

    Events that are no answers are counted in the log's notes. Raises: DataError naming file and line.
    """
    path = existing(where, f"{what}: a file with one JSON object a line, or a folder of them")
    files = [path]
    if path.is_dir():
        kinds = ("*.json", "*.jsonl", "*.log", "*.json.gz", "*.jsonl.gz", "*.log.gz")
        files = sorted(file for kind in kinds for file in path.glob(kind))
        if not files:
            raise DataError("holds no events", str(path), fix="Put .json, .jsonl or .log files there.")
    found: list[Answer] = []
    other = 0
    for file in files:
        for line, event in _events(file):
            try:
                answer = read(event)
            except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
                raise DataError(f"an event of {what} cannot be read ({error!r})", file.name, line) from error
            if answer is None:
                other += 1
            else:
                found.append(answer)
    if not found:
        raise DataError(f"none of its {other:,} events is an answer", str(path), fix=f"Is it {what}?")
    return _log(found, path, other)


def _log(found: list[Answer], path: Path, other: int) -> tuple[Log, Catalog]:
    frame = pd.DataFrame(found)
    frame["timestamp"] = seconds(frame["timestamp"], path.name, "timestamp")
    skills_of: dict[str, tuple[str, ...]] = {}
    for answer in found:
        skills_of.setdefault(answer.activity, answer.skills or (answer.activity,))
    median = frame.groupby("activity")["minutes"].median().dropna()
    spent = {str(name): float(minutes) for name, minutes in median.items() if minutes > 0}
    catalog = minimal_catalog({name: skills_of[name] for name in natural(skills_of)}, minutes=spent)
    titles = {answer.activity: answer.title for answer in found if answer.title}
    named = tuple(replace(one, title=titles.get(one.id, one.title)) for one in catalog.activities)
    catalog = replace(catalog, activities=named)
    notes = (f"{other:,} events that are no answers were left out",) if other else ()
    columns = ["learner", "activity", "correct", "timestamp", "minutes"]
    return Log.from_frame(frame[columns], catalog, stem(path), notes), catalog


def _events(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    text, _ = read_text(file)
    if text.lstrip().startswith("["):
        try:
            whole = json.loads(text)
        except ValueError as error:
            raise DataError(f"is no JSON ({error})", file.name) from error
        lines = list(enumerate(whole, 1))
    else:
        lines = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    lines.append((number, json.loads(line)))
                except ValueError as error:
                    raise DataError(f"is no JSON ({error})", file.name, number, fix="Mend or drop the line.") from error
    for number, event in lines:
        if not isinstance(event, dict):
            raise DataError("is no JSON object", file.name, number)
        yield number, event


def scaled(value: float, least: float, most: float) -> float:
    """Return a score as a share of what could be reached, within [0, 1]; ValueError when nothing could."""
    if not most > least:
        raise ValueError(f"a score between {least:g} and {most:g}")
    return min(1.0, max(0.0, (float(value) - least) / (most - least)))


def minutes_of(duration: str | None) -> float:
    """Return the minutes of an ISO 8601 duration such as PT1H2M3.5S or P1DT2H; NaN where there is none."""
    if not duration:
        return float("nan")
    try:
        return float(pd.Timedelta(duration).total_seconds()) / 60.0
    except ValueError:
        return float("nan")
