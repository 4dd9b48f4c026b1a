"""Store: learners, keys and one append-only, hash-chained ledger, in SQLite or PostgreSQL."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import to_json

from .tables import PRAGMAS, TABLES

SCHEMA = 1
GENESIS = "0" * 64


class StoreError(ValueError):
    """A store that cannot be used: the message says which and why."""


class Entry(NamedTuple):
    """One line of the ledger."""

    seq: int
    tenant: str
    learner: str | None
    kind: str
    request: str
    time: float
    body: dict[str, Any]
    hash: str


class Line(NamedTuple):
    """A line that is to be written."""

    tenant: str
    learner: str | None
    kind: str
    request: str
    time: float
    body: dict[str, Any]


class Learner(NamedTuple):
    """One learner as stored."""

    id: str
    bundle: str  # the digest of the bundle whose record this is
    record: bytes
    seen: float  # seconds since 1970, of the latest event
    state: dict[str, Any]
    attention: str | None  # why a person should look, None = nothing


def sealed(
    before: str, seq: int, tenant: str, learner: str | None, kind: str, request: str, time: float, body: str
) -> str:
    """Return the hash of a line: of what it says and of the line before it (hex SHA-256)."""
    who = "-" if learner is None else f"+{learner}"  # no name holds a line break
    content = "\n".join((before, str(seq), tenant, who, kind, request, repr(time), body))
    return hashlib.sha256(content.encode()).hexdigest()


@dataclass(eq=False)
class Store:
    """A connection; one writer at a time. Everything inside `with store.transaction()` is written whole or not at all.

    What was committed is on disk: a killed process, or a machine that lost its power, loses nothing acknowledged.
    """

    connection: Any
    mark: str  # the placeholder of this database's parameters
    grouped: bool = False  # whoever uses it calls `commit` before acknowledging anything
    _head: tuple[int, str] | None = field(init=False, default=None)  # number and hash of the last line, while open
    _depth: int = field(init=False, default=0)

    @staticmethod
    def open(url: str) -> Store:
        """Open or create the store at `url`: a path of an SQLite file, or postgresql://...

        StoreError when it belongs to a newer version, is none, cannot be reached, or a driver is missing.
        """
        told = url
        if url.startswith(("postgresql://", "postgres://")):
            told = "the PostgreSQL store"  # its address may hold a password
            try:
                import psycopg
            except ImportError as error:
                raise StoreError("PostgreSQL needs the driver: pip install 'psycopg[binary]'") from error
            try:
                store = Store(psycopg.connect(url, autocommit=True), "%s")
            except psycopg.Error as error:
                raise StoreError(f"no PostgreSQL answers at the store's address: {error}") from error
            faults: tuple[type[Exception], ...] = (psycopg.Error,)
            tables = TABLES.format(bytes="BYTEA", number="BIGINT")
        else:
            path, faults = Path(url.removeprefix("sqlite:///")), (sqlite3.Error,)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=20.0)
            except (OSError, sqlite3.Error) as error:
                raise StoreError(f"{path}: cannot be opened as a store ({error})") from error
            store = Store(connection, "?")
            tables = TABLES.format(bytes="BLOB", number="INTEGER")  # so named, it is the row's own number
        try:
            found = store._prepared(tables)
        except faults as error:
            with suppress(Exception):
                store.connection.close()
            raise StoreError(f"{told}: is no store of trailmark ({error}); name another") from error
        if found != str(SCHEMA):
            store.close()
            raise StoreError(f"{told}: schema {found}, this version reads {SCHEMA}; upgrade trailmark")
        return store

    def _prepared(self, tables: str) -> str:
        """Make what is missing and return the schema."""
        if self.mark == "?":
            for pragma in PRAGMAS.split():
                self.connection.execute(f"PRAGMA {pragma}")
        self._begin()
        for statement in filter(str.strip, tables.split(";")):
            self.connection.execute(statement)
        self.connection.execute("COMMIT")
        with self.transaction():
            self.run("INSERT INTO head VALUES (1, 0, ?) ON CONFLICT DO NOTHING", [GENESIS])
            self.run("INSERT INTO meta VALUES ('schema', ?) ON CONFLICT DO NOTHING", [str(SCHEMA)])
            return str(self.rows("SELECT value FROM meta WHERE name = 'schema'")[0][0])

    def run(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Execute one statement; its parameters are written as `?`."""
        self._hold()
        self.connection.execute(statement.replace("?", self.mark), values)

    def run_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute one statement for each row of parameters, which are written as `?`."""
        self._hold()
        cursor = self.connection.cursor()
        cursor.executemany(statement.replace("?", self.mark), rows)
        cursor.close()

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of one query; its parameters are written as `?`."""
        return list(self.connection.execute(statement.replace("?", self.mark), values))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the one writer's place; all is written at the end, or nothing after an exception.

        With `grouped`, it is on disk only after `commit`, which many transactions may share.
        """
        first = self._head is None  # then there is nothing before it that a fault must spare
        if first:
            self._begin()
            try:
                self._head = self._last()
            except BaseException:
                self._undo("ROLLBACK")
                raise
        else:
            self._hold()
            self.connection.execute("SAVEPOINT work")
        before, self._depth = self._head, self._depth + 1
        try:
            yield
            if self._head is not None and self._head != before:
                self.run("UPDATE head SET seq = ?, hash = ? WHERE id = 1", self._head)
            if not first:
                self.connection.execute("RELEASE SAVEPOINT work")
        except BaseException:
            self._head = None if first else before
            self._undo(*(["ROLLBACK"] if first else ["ROLLBACK TO SAVEPOINT work", "RELEASE SAVEPOINT work"]))
            raise
        finally:
            self._depth -= 1
            if not self.grouped and not self._depth:
                self.commit()

    def commit(self) -> None:
        """Bring all that transactions wrote to disk; after an exception nothing of it was written."""
        if self._head is not None:
            self._head = None
            try:
                self.connection.execute("COMMIT")
            except BaseException:
                self._undo("ROLLBACK")
                raise

    def append(
        self, tenant: str, learner: str | None, kind: str, request: str, time: float, body: dict[str, Any]
    ) -> None:
        """Write one line at the end of the ledger; inside a transaction."""
        self.extend([Line(tenant, learner, kind, request, time, body)])

    def extend(self, lines: Iterable[Line]) -> None:
        """Write lines at the end of the ledger, in order; inside a transaction."""
        assert self._head is not None
        (seq, seal), rows = self._head, []
        for tenant, learner, kind, request, time, body in lines:
            text = to_json(body).decode()
            seq, seal = seq + 1, sealed(seal, seq + 1, tenant, learner, kind, request, time, text)
            rows.append((seq, tenant, learner, kind, request, time, text, seal))
        self.run_many("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self._head = (seq, seal)

    def _begin(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE" if self.mark == "?" else "BEGIN")
        if self.mark != "?":
            try:
                self.connection.execute("SELECT pg_advisory_xact_lock(7364)")
            except BaseException:
                self._undo("ROLLBACK")
                raise

    def _hold(self) -> None:
        """Raise StoreError where SQLite took a whole transaction back by itself, as it does when the disk is full."""
        if self._head is not None and self.mark == "?" and not self.connection.in_transaction:
            raise StoreError("the database took back all that was to be written together; is its disk full?")

    def _undo(self, *statements: str) -> None:
        with suppress(Exception):  # the first fault is the one to tell
            for statement in statements:
                self.connection.execute(statement)

    def _last(self) -> tuple[int, str]:
        found = self.rows("SELECT seq, hash FROM head WHERE id = 1")
        return (int(found[0][0]), str(found[0][1])) if found else (0, GENESIS)

    def request(self, tenant: str, request: str) -> Entry | None:
        """Return the line that a request left, if it came before."""
        return next(iter(self.requests(tenant, [request])), None)

    def requests(self, tenant: str, requests: Sequence[str]) -> list[Entry]:
        """Return the lines that those of `requests` left that came before."""
        out: list[Entry] = []
        for at in range(0, len(requests), 500):
            part = list(requests[at : at + 500])
            marks = ", ".join("?" * len(part))
            found = self.rows(f"SELECT * FROM ledger WHERE tenant = ? AND request IN ({marks})", [tenant, *part])
            out += [_entry(row) for row in found]
        return out

    def ledger(self, tenant: str, learner: str | None = None, after: int = 0, limit: int = 1000) -> list[Entry]:
        """Return lines of a tenant, or of one learner, in order."""
        which, values = ("AND learner = ?", [tenant, after, learner]) if learner is not None else ("", [tenant, after])
        found = self.rows(
            f"SELECT * FROM ledger WHERE tenant = ? AND seq > ? {which} ORDER BY seq LIMIT {int(limit)}", values
        )
        return [_entry(row) for row in found]

    def every(self, tenant: str, kinds: Sequence[str] = ()) -> Iterator[Entry]:
        """Yield all lines of a tenant in order, a thousand at a time."""
        after = 0
        while lines := self.ledger(tenant, None, after):
            after = lines[-1].seq
            yield from (line for line in lines if not kinds or line.kind in kinds)

    def head(self) -> tuple[int, str]:
        """Return the number of lines and the last one's digest; kept elsewhere, it is an anchor for `verify`."""
        return self._last()

    def verify(self, anchor: str | None = None) -> str | None:
        """Return what is wrong with the ledger, None when every line is as it was written.

        Whoever can write to the store can cut the newest lines off and set its head back: only an `anchor` tells, a
        head that was written down elsewhere and must still be a line's digest.
        """
        before, expected, after = GENESIS, 1, 0
        while lines := self.rows("SELECT * FROM ledger WHERE seq > ? ORDER BY seq LIMIT 1000", [after]):
            for seq, tenant, learner, kind, request, time, body, seal in lines:
                if seq != expected:
                    return f"line {expected} is missing"
                if sealed(before, seq, tenant, learner, kind, request, time, body) != seal:
                    return f"line {seq} was changed after it was written"
                before, expected, after = seal, seq + 1, seq
        seq, last = self._last()
        if (seq, last) != (after, before):
            return f"the ledger ends at line {after}, not at line {seq}"
        if anchor not in (None, GENESIS) and not self.rows("SELECT 1 FROM ledger WHERE hash = ?", [anchor]):
            return f"no line has the anchored digest {anchor}: lines were cut off or written anew"
        return None

    def learner(self, tenant: str, id: str) -> Learner | None:
        """Return one learner, None when the tenant has none of that name."""
        return next(iter(self.learners(tenant, [id])), None)

    def learners(self, tenant: str, ids: Sequence[str]) -> list[Learner]:
        """Return those of `ids` that the tenant has."""
        out: list[Learner] = []
        for at in range(0, len(ids), 500):
            part = list(ids[at : at + 500])
            marks = ", ".join("?" * len(part))
            found = self.rows(
                f"SELECT id, bundle, record, seen, state, attention FROM learners WHERE tenant = ? AND id IN ({marks})",
                [tenant, *part],
            )
            out += [_learner(row) for row in found]
        return out

    def roster(self, tenant: str, limit: int = 200, after: str = "") -> list[Learner]:
        """Return learners by name, those after `after`."""
        found = self.rows(
            "SELECT id, bundle, record, seen, state, attention FROM learners "
            f"WHERE tenant = ? AND id > ? ORDER BY id LIMIT {int(limit)}",
            [tenant, after],
        )
        return [_learner(row) for row in found]

    def waiting(self, tenant: str, before: float) -> list[Learner]:
        """Return the learners whom a person should look at, or who were last seen before the time `before`."""
        found = self.rows(
            "SELECT id, bundle, record, seen, state, attention FROM learners "
            "WHERE tenant = ? AND (attention IS NOT NULL OR seen < ?) ORDER BY seen",
            [tenant, before],
        )
        return [_learner(row) for row in found]

    def put(self, tenant: str, learner: Learner) -> None:
        """Write one learner, new or changed."""
        self.put_many([(tenant, learner)])

    def put_many(self, learners: Sequence[tuple[str, Learner]]) -> None:
        """Write learners, new or changed, each with its tenant."""
        self.run_many(
            "INSERT INTO learners VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, id) DO UPDATE SET "
            "bundle = excluded.bundle, record = excluded.record, seen = excluded.seen, state = excluded.state, "
            "attention = excluded.attention",
            [(tenant, *one[:4], json.dumps(one.state), one.attention) for tenant, one in learners],
        )

    def close(self) -> None:
        """Commit what is open and let go of the database."""
        self.commit()
        self.connection.close()


def _entry(row: tuple[Any, ...]) -> Entry:
    seq, tenant, learner, kind, request, time, body, seal = row
    return Entry(seq, tenant, learner, kind, request, time, json.loads(body), seal)


def _learner(row: tuple[Any, ...]) -> Learner:
    id, bundle, record, seen, state, attention = row
    return Learner(id, bundle, bytes(record), seen, json.loads(state), attention)
