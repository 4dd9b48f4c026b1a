"""The ledger: nothing acknowledged is lost, nothing is written twice, and tampering is found."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from trailmark.experiments.serving.store import Learner, Store, StoreError


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store.open(url)
    for i in range(5):
        with store.transaction():
            store.append("t", f"l{i % 2}", "event", f"r{i}", float(i), {"value": i})
    yield store
    store.close()


def fails(store: Store, request: str) -> None:
    with store.transaction():
        store.append("t", "l", "event", request, 9.0, {})
        store.put("t", Learner("l", "b", b"x", 0.0, {}, None))
        raise RuntimeError


def test_lines_come_back_in_order(store: Store) -> None:
    assert [line.body["value"] for line in store.every("t")] == [0, 1, 2, 3, 4]
    assert [line.seq for line in store.ledger("t", "l1")] == [2, 4]
    assert store.request("t", "r3").body == {"value": 3}  # type: ignore[union-attr]
    assert store.request("other", "r3") is None
    assert store.verify() is None


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        ("UPDATE ledger SET body = '{\"value\":9}' WHERE seq = 3", "line 3 was changed"),
        ("UPDATE ledger SET learner = 'x' WHERE seq = 1", "line 1 was changed"),
        ("UPDATE ledger SET time = 7.5 WHERE seq = 2", "line 2 was changed"),
        ("DELETE FROM ledger WHERE seq = 3", "line 3 is missing"),
        ("DELETE FROM ledger WHERE seq = 5", "ends at line 4, not at line 5"),
        ("UPDATE ledger SET hash = 'x' WHERE seq = 5", "line 5 was changed"),
    ],
)
def test_tampering_is_found(store: Store, harm: str, fault: str) -> None:
    store.connection.execute(harm)
    assert fault in str(store.verify())


def test_a_transaction_is_whole_or_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError):
        fails(store, "new")
    assert store.request("t", "new") is None
    assert store.learner("t", "l") is None
    assert store.verify() is None


def test_grouped_transactions_reach_the_disk_with_one_commit(store: Store, url: str) -> None:
    store.grouped = True
    for i in range(3):
        with store.transaction():
            store.append("t", "l", "event", f"g{i}", 9.0, {})
    with pytest.raises(RuntimeError):
        fails(store, "lost")
    with store.transaction():  # goes on from the last line that stands
        store.append("t", "l", "event", "g3", 9.0, {})
    other = sqlite3.connect(url) if store.mark == "?" else type(store.connection).connect(url)
    with closing(other):
        assert other.execute("SELECT count(*) FROM ledger").fetchone() == (5,)
        other.rollback()
        store.commit()
        assert other.execute("SELECT count(*) FROM ledger").fetchone() == (9,)
    assert store.verify() is None


@pytest.mark.parametrize("first", [True, False])
def test_a_fault_takes_back_what_was_done_since_its_own_beginning(store: Store, first: bool) -> None:
    store.grouped = True
    if not first:
        with store.transaction():
            store.append("t", "l", "event", "stands", 9.0, {})

    def outer() -> None:
        with store.transaction():
            store.append("t", "l", "event", "outer", 9.0, {})
            with suppress(RuntimeError):
                fails(store, "inner")
            assert [line.request for line in store.ledger("t", "l")][-1] == "outer"
            raise KeyError

    with suppress(KeyError):
        outer()
    with store.transaction():
        store.append("t", "l", "event", "next", 9.0, {})
    store.commit()
    assert [line.request for line in store.ledger("t", "l")] == (["next"] if first else ["stands", "next"])
    assert store.verify() is None


def test_a_request_id_cannot_be_written_twice(store: Store) -> None:
    with pytest.raises(Exception, match=r"(?i)unique"), store.transaction():
        store.append("t", "l", "event", "r1", 9.0, {})
    with store.transaction():
        store.append("other", "l", "event", "r1", 9.0, {})


def test_learners_are_kept_by_tenant(store: Store) -> None:
    ada = Learner("ada", "bundle", b"\x00\x01", 3.5, {"wrong": 1}, "look")
    with store.transaction():
        store.put("t", ada)
        store.put("t", ada._replace(seen=4.5))
    assert store.learner("t", "ada") == ada._replace(seen=4.5)
    assert store.learner("other", "ada") is None
    assert [one.id for one in store.waiting("t", 0.0)] == ["ada"]
    assert store.roster("t", after="ada") == []


def test_a_newer_schema_is_refused(store: Store, url: str) -> None:
    store.connection.execute("UPDATE meta SET value = '99' WHERE name = 'schema'")
    with pytest.raises(StoreError, match="schema 99"):
        Store.open(url)


def test_a_failed_commit_leaves_the_store_usable(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full, once: nothing of it was written, and the next transaction works."""
    store.grouped = True
    with store.transaction():
        store.append("t", "l", "event", "lost", 9.0, {})
    whole = store.connection
    store.connection = FullOnce(whole)
    with pytest.raises(OSError, match="full"):
        store.commit()
    store.connection = whole
    assert store.request("t", "lost") is None
    with store.transaction():
        store.append("t", "l", "event", "next", 9.0, {})
    store.commit()
    assert store.verify() is None


class FullOnce:
    """A connection whose COMMIT fails."""

    def __init__(self, connection: object) -> None:
        self.connection = connection

    def execute(self, statement: str) -> object:
        if statement == "COMMIT":
            raise OSError("disk is full")
        return self.connection.execute(statement)  # type: ignore[attr-defined]


def test_a_full_disk_leaves_nothing_and_the_chain_whole(tmp_path: Path) -> None:
    """SQLite takes back the whole transaction then, and would write what follows each by itself."""
    store = Store.open(str(tmp_path / "s.db"))
    store.grouped = True
    (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
    store.connection.execute(f"PRAGMA max_page_count = {pages + 3}")
    told = 0
    for i in range(40):
        try:
            with store.transaction():
                store.append("t", "l", "event", f"r{i}", 0.0, {"text": "x" * 2000})
        except (StoreError, sqlite3.Error):
            told += 1
    assert told > 30
    with pytest.raises(sqlite3.Error):
        store.commit()
    assert store.verify() is None
    assert store.head()[0] == 0
    store.connection.execute(f"PRAGMA max_page_count = {pages + 1000}")
    with store.transaction():
        store.append("t", "l", "event", "later", 0.0, {})
    store.close()
    assert [line.request for line in Store.open(str(tmp_path / "s.db")).ledger("t")] == ["later"]


def test_a_transaction_that_could_not_begin_is_not_left_open(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Store) -> tuple[int, str]:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_last", broken)
        with pytest.raises(sqlite3.OperationalError, match="disk"), store.transaction():
            raise AssertionError("it has not begun")
    with store.transaction():
        store.append("t", "l", "event", "later", 0.0, {})
    assert store.verify() is None


def test_two_writers_share_one_chain(store: Store, url: str) -> None:
    other = Store.open(url)
    for i, one in enumerate((store, other, other, store)):
        with one.transaction():
            one.append("t", "l", "event", f"both{i}", 9.0, {})
    assert store.verify() is None
    assert [line.request for line in other.ledger("t", "l")] == [f"both{i}" for i in range(4)]
    other.close()
