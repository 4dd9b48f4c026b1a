"""Engine: the exported serving step, run by onnxruntime on the records of one or many learners."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...agents.reasons import changes, reasons

SCHEMA = 1
NOBODY = -1
Record = dict[str, NDArray[Any]]  # the inputs of the graph that begin with "record.", the learner axis first


class EngineError(ValueError):
    """A bundle that cannot be served: the message names the file, the reason and the way out."""


class Happening(NamedTuple):
    """What happened to one learner since the record was made."""

    days: float = 0.0  # since then; they pass before the answer
    activity: int = NOBODY  # what was given; -1 = only time passed
    correct: float = 0.0
    minutes: float = 0.0
    accepted: bool = True


class Sight(NamedTuple):
    """What the graph says of n learners."""

    probabilities: NDArray[np.float32]  # (n, A)
    mask: NDArray[np.bool_]  # (n, A)
    handover: NDArray[np.bool_]  # (n,)
    mastery: NDArray[np.float32]  # (n, K)
    p_correct: NDArray[np.float32]  # (n, A)

    def row(self, i: int) -> Sight:
        """Return what it says of learner `i` alone."""
        return Sight._make(column[i : i + 1] for column in self)


@dataclass(frozen=True, eq=False)
class Engine:
    """A loaded bundle: the description, the record of a new learner, and the session that runs the graph."""

    about: dict[str, Any]  # serving.json
    card: dict[str, Any]
    blank: Record
    session: Any  # onnxruntime.InferenceSession
    digest: str  # of the whole bundle
    idle: Any = None  # the same where only time passed; older bundles have none

    @staticmethod
    def load(folder: Path, threads: int = 1) -> Engine:
        """Return the engine of an exported bundle.

        EngineError when a file is missing, changed or of a newer schema, or when the bundle was exported without a
        graph.
        """
        import onnxruntime

        folder = Path(folder)
        sums = _json(folder, "checksums.json")
        for name, value in sums.items():
            if hashlib.sha256(_bytes(folder, name)).hexdigest() != value:
                raise EngineError(f"{folder / name}: changed since it was exported; export the bundle again")
        missing = [name for name in ("policy.onnx", "serving.json", "card.json") if name not in sums]
        if missing:
            raise EngineError(f"{folder}: has no {missing[0]}; export it with `trailmark export` (without --no-onnx)")
        about = _json(folder, "serving.json")
        if about.get("schema") != SCHEMA:
            raise EngineError(f"{folder}: serving schema {about.get('schema')}, this version reads {SCHEMA}; upgrade")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session, idle = (
            onnxruntime.InferenceSession(_bytes(folder, name), options, providers=["CPUExecutionProvider"])
            if name in sums
            else None
            for name in ("policy.onnx", "idle.onnx")
        )
        blank = {
            one["name"]: np.frombuffer(
                base64.b64decode(about["start"][one["name"]]), np.dtype(one["type"]).newbyteorder("<")
            ).reshape(1, *one["shape"][1:])
            for one in about["inputs"]
            if one["name"] in about["start"]
        }
        digest = hashlib.sha256(_bytes(folder, "checksums.json")).hexdigest()
        return Engine(about, _json(folder, "card.json"), blank, session, digest, idle)

    @cached_property
    def activities(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.about["activities"]
        return found

    @cached_property
    def index(self) -> dict[str, int]:
        return {activity["id"]: i for i, activity in enumerate(self.activities)}

    @cached_property
    def names(self) -> list[str]:
        """The ids of the activities."""
        return [activity["id"] for activity in self.activities]

    @cached_property
    def named(self) -> NDArray[Any]:
        """The ids of the activities, to be picked by places."""
        return np.array(self.names, object)

    @cached_property
    def titles(self) -> list[str]:
        """The titles of the skills."""
        return [skill["title"] for skill in self.about["skills"]]

    @cached_property
    def skills_of(self) -> list[list[int]]:
        """The places of each activity's skills."""
        place = {skill["id"]: i for i, skill in enumerate(self.about["skills"])}
        return [[place[skill] for skill in activity["skills"]] for activity in self.activities]

    @cached_property
    def _trains(self) -> NDArray[np.float32]:
        """Which activity trains which skill (A, K)."""
        table = np.zeros((len(self.activities), len(self.about["skills"])), np.float32)
        for activity, skills in enumerate(self.skills_of):
            table[activity, skills] = 1.0
        return table

    def attempts(self, record: Record) -> NDArray[np.float32]:
        """Return how often each learner tried each skill (n, K)."""
        return record["record.history.attempts"].astype(np.float32) @ self._trains

    @cached_property
    def outputs(self) -> list[str]:
        return [output.name for output in self.session.get_outputs()]

    @cached_property
    def _idle_inputs(self) -> list[str]:
        return [given.name for given in self.idle.get_inputs()]

    @cached_property
    def _idle_outputs(self) -> list[str]:
        return [output.name for output in self.idle.get_outputs()]

    @cached_property
    def _columns(self) -> list[str]:
        return list(self.blank)

    def activity(self, name: str) -> int:
        """Return the place of an activity; ValueError when the bundle has none of that name."""
        if name not in self.index:
            raise ValueError(f"no activity {name!r} in this bundle's catalogue")
        return self.index[name]

    def enrol(self, role: str | None, minutes: float | None, past: Sequence[tuple[str, float]] = ()) -> Record:
        """Return the record of a new learner, `past` answers taken in; they cost no time and no step.

        ValueError lists the roles when there is no such role.
        """
        roles = self.about["roles"]
        role = next(iter(roles)) if role is None else role
        if role not in roles:
            raise ValueError(f"no role {role!r}; there are {list(roles)}")
        record = {name: value.copy() for name, value in self.blank.items()}
        record["record.role"][:] = list(roles).index(role)
        record["record.goal"][:] = 0.0
        record["record.goal"][0, roles[role]] = 1.0
        record["record.minutes_budget"][:] = np.inf if minutes is None else minutes
        for name, correct in past:
            record, _ = self.step(record, [Happening(activity=self.activity(name), correct=correct)])
        record["record.step"][:], record["record.minutes_used"][:] = 0, 0.0
        return record

    def step(self, record: Record, happenings: Sequence[Happening]) -> tuple[Record, Sight]:
        """Return the records after what happened to each learner, and what the graph then says of them."""
        feed = self.feed(record, happenings)
        if self.idle is not None and all(one.activity == NOBODY for one in happenings):
            feed = {name: feed[name] for name in self._idle_inputs}
            found = dict(zip(self._idle_outputs, self.idle.run(None, feed), strict=True))
        else:
            found = dict(zip(self.outputs, self.session.run(None, feed), strict=True))
        after = {name: found.get(f"{name}'", record[name]) for name in self._columns}
        sight = Sight(*(found[name] for name in Sight._fields))
        if not np.isfinite(sight.probabilities.sum() + sight.mastery.sum() + sight.p_correct.sum()):
            raise ArithmeticError("the bundle says something that is no number; nothing of it may be drawn or logged")
        return after, sight

    def feed(self, record: Record, happenings: Sequence[Happening]) -> Record:
        """Return what the graph takes."""
        days, activity, correct, minutes, accepted = zip(*happenings, strict=True)
        return record | {
            "event.days": np.asarray(days, np.float32),
            "event.activity": np.asarray(activity, np.int64),
            "event.correct": np.asarray(correct, np.float32),
            "event.minutes": np.asarray(minutes, np.float32),
            "event.accepted": np.asarray(accepted, np.bool_),
        }

    @cached_property
    def _row(self) -> np.dtype[Any]:
        """One learner's record as bytes: its columns one after the other."""
        return np.dtype([(name, like.dtype, like.shape[1:]) for name, like in self.blank.items()])

    def pack(self, record: Record) -> list[bytes]:
        """Return each learner's record as bytes."""
        rows = np.empty(len(record[self._columns[0]]), self._row)
        for name in self._columns:
            rows[name] = record[name]
        whole, size = rows.tobytes(), self._row.itemsize
        return [whole[at : at + size] for at in range(0, len(whole), size)]

    def unpack(self, blobs: Sequence[bytes]) -> Record:
        """Return the records that `pack` made, side by side; ValueError when one is of another bundle."""
        wrong = [len(blob) for blob in blobs if len(blob) != self._row.itemsize]
        if wrong:
            raise ValueError(f"a record has {wrong[0]} bytes; this bundle's have {self._row.itemsize}")
        rows = np.frombuffer(b"".join(blobs), self._row)
        return {name: rows[name].copy() for name in self._columns}

    def why(self, record: Record, sight: Sight, activity: int, i: int = 0) -> tuple[str, ...]:
        """Return in plain words what speaks for `activity` for learner `i`."""
        goal, skills = record["record.goal"][i], self.about["skills"]
        wanted = [(skills[k]["title"], float(sight.mastery[i, k])) for k in self.skills_of[activity] if goal[k] > 0]
        return reasons(
            wanted,
            float(sight.p_correct[i, activity]),
            self.activities[activity]["minutes"],
            int(np.count_nonzero(sight.mask[i])),
            int(record["record.override"][i]) == activity,
            bool(sight.handover[i]),
        )

    def changed(self, goal: NDArray[Any], before: Sight, after: Sight, happening: Happening) -> dict[str, Any]:
        """Return what an answer changed for one learner with the goal skills `goal` (K,): skills, the goal, words."""
        skills, wanted = self.about["skills"], goal.nonzero()[0]
        places = self.skills_of[happening.activity]
        moved = [(skills[k]["title"], float(before.mastery[0, k]), float(after.mastery[0, k])) for k in places]
        way = [float(np.add.reduce(s.mastery[0].take(wanted))) / max(len(wanted), 1) for s in (before, after)]
        return {
            "mastery": [
                {"skill": skills[k]["id"], "before": was, "after": now}
                for k, (_, was, now) in zip(places, moved, strict=True)
            ],
            "goal": {"before": way[0], "after": way[1]},
            "words": list(changes(moved, (way[0], way[1]), happening.correct)),
        }


def choose(probabilities: NDArray[np.float32], seed: str, request: str) -> tuple[int, float]:
    """Return (activity, probability) drawn for one request by inversion; the same request draws the same again."""
    u = int.from_bytes(hashlib.blake2b(f"{seed}:{request}".encode(), digest_size=8).digest(), "big") / 2.0**64
    cumulative = probabilities.cumsum(dtype=np.float64)
    place = int(cumulative.searchsorted(u * cumulative[-1], side="right"))
    return place, float(probabilities[place])


def _bytes(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise EngineError(
            f"{folder / name}: {error.strerror}; is {folder} a bundle that trailmark exported?"
        ) from error


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(_bytes(folder, name))
    except ValueError as error:
        raise EngineError(f"{folder / name}: damaged ({error}); export the bundle again") from error
    return found
