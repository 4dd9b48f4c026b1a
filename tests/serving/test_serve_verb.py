"""The verbs `serve` and `decisions` where something is wrong, and what they do without serving: keys, the chain."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from trailmark.agents.bundle import PolicyBundle
from trailmark.experiments.bench_serve import main as bench
from trailmark.experiments.decisions import main as export
from trailmark.experiments.serve import main as serve
from trailmark.experiments.serving.keys import caller
from trailmark.experiments.serving.store import Store


def refused(verb: object, words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the last line of complaint; status 2 and no traceback."""
    with pytest.raises(SystemExit) as stop:
        verb(words)  # type: ignore[operator]
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said.splitlines()[-1]


def test_what_cannot_be_served_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("these are notes, and no data base; " * 40)
    before = text.read_bytes()
    log = str(tmp_path / "log.parquet")
    assert "notes.txt: is no store of trailmark" in refused(serve, ["nowhere", "--store", str(text)], capsys)
    assert "notes.txt: is no store" in refused(export, ["--store", str(text), "--to", log], capsys)
    assert "cannot be opened" in refused(serve, ["nowhere", "--store", str(text / "x" / "s.db")], capsys)
    assert text.read_bytes() == before
    assert "from 0 to 65535" in refused(serve, ["nowhere", "--port", "99999"], capsys)
    assert "say the folder" in refused(serve, [], capsys)
    assert "a bundle that trailmark exported?" in refused(serve, ["nowhere", "--store", f"{tmp_path}/s.db"], capsys)
    assert not Store.open(f"{tmp_path}/s.db").rows("SELECT 1 FROM keys"), "the first key is still to be shown"
    assert "a bundle that trailmark exported?" in refused(bench, [str(tmp_path / "nowhere")], capsys)


def test_a_taken_port_is_said_before_a_key_is_shown(
    bundle: PolicyBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle.export(tmp_path / "bundle")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = [str(tmp_path / "bundle"), "--store", f"{tmp_path}/s.db", "--port", port]
        assert "choose another with --host or --port" in refused(serve, words, capsys)
    assert not Store.open(f"{tmp_path}/s.db").rows("SELECT 1 FROM keys")


def test_an_unreachable_postgresql_is_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("psycopg")
    url = f"postgresql://me:secret@/nowhere?host={tmp_path}"
    for verb, words in ((serve, ["nowhere"]), (export, ["--to", str(tmp_path / "log.parquet")])):
        with pytest.raises(SystemExit) as stop:
            verb([*words, "--store", url])
        said = capsys.readouterr().err
        assert stop.value.code == 2
        assert "no PostgreSQL answers" in said
        assert "secret" not in said


def test_a_missing_store_is_not_made_to_be_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more in (["--verify"], ["--revoke-key", "app"]):
        assert "there is no such file" in refused(serve, ["--store", f"{tmp_path}/typo.db", *more], capsys)
    assert not list(tmp_path.iterdir())


def test_a_truncated_ledger_is_found_against_an_anchored_head(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"{tmp_path}/s.db"
    store = Store.open(path)
    for i in range(5):
        with store.transaction():
            store.append("t", "l", "event", f"r{i}", float(i), {})

    def verified(*more: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as stop:
            serve(["--store", path, "--verify", *more])
        return int(str(stop.value.code)), capsys.readouterr().out.strip()

    status, said = verified()
    head = said.rpartition(" ")[2]
    assert (status, said) == (0, f"5 lines, each as it was written; head {store.head()[1]}")
    with store.transaction():
        store.append("t", "l", "event", "r5", 5.0, {})
    assert verified("--head", head)[0] == 0
    store.connection.execute("DELETE FROM ledger WHERE seq > 3")
    store.connection.execute("UPDATE head SET seq = 3, hash = (SELECT hash FROM ledger WHERE seq = 3)")
    assert verified()[0] == 0, "nothing inside the store can tell"
    status, said = verified("--head", head)
    assert status == 1
    assert "cut off" in said
    store.close()


def test_keys_are_made_and_taken_back_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = f"{tmp_path}/s.db"
    serve(["--store", path, "--new-key", "coach", "--name", "Grace"])
    key = capsys.readouterr().out.strip()
    store = Store.open(path)
    assert caller(store, key) is not None
    assert "'Grace'" in refused(serve, ["--store", path, "--revoke-key", "Ada"], capsys)
    serve(["--store", path, "--revoke-key", "Grace"])
    assert caller(store, key) is None
    assert [line.kind for line in store.every("main")] == ["key", "revoke"]
    assert store.verify() is None
    store.close()
