"""Relive: a learner's record made again from the ledger, when another bundle is served than the one that wrote it."""

from __future__ import annotations

import numpy as np

from .engine import NOBODY, Engine, Happening, Record
from .store import Entry, Learner, Store


def relived(engine: Engine, store: Store, tenant: str, learner: Learner) -> Record:
    """Return the record under `engine`'s bundle; activities that it lacks leave their time.

    LookupError when the ledger has no enrolment of the learner.
    """
    record: Record | None = None
    after = 0
    while lines := store.ledger(tenant, learner.id, after):
        after = lines[-1].seq
        for line in lines:
            record = _after(engine, record, line)
    if record is None:
        raise LookupError(f"learner {learner.id!r} has no enrolment in the ledger")
    return record


def _after(engine: Engine, record: Record | None, line: Entry) -> Record | None:
    said = line.body
    if line.kind == "enrol":
        past = [(a, c) for a, c in said["past"] if a in engine.index]
        role = said["role"] if said["role"] in engine.about["roles"] else None
        return engine.enrol(role, said["minutes"], past)
    if record is None or line.kind not in ("event", "override", "veto"):
        return record
    place = engine.index.get(said["activity"], NOBODY) if said["activity"] is not None else NOBODY
    if line.kind == "event":
        lived = Happening(said["days"], place, said["correct"], said["minutes"], said["accepted"])
        return engine.step(record, [lived])[0]
    return spoken(record, line.kind, place, said["on"])


def spoken(record: Record, kind: str, place: int, on: bool) -> Record:
    """Return a record after a person's word; a veto takes an older choice of the same activity back."""
    if kind == "override":
        return record | {"record.override": np.array([place if on else NOBODY], np.int64)}
    if kind != "veto" or place == NOBODY:
        return record
    veto = record["record.veto"].copy()
    veto[0, place] = on
    override = record["record.override"].copy()
    if on and override[0] == place:
        override[0] = NOBODY
    return record | {"record.veto": veto, "record.override": override}
