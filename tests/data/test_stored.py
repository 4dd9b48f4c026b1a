"""Stored logs: the same log as read whole, in any pieces; mapped, not loaded; nothing half-written."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.errors import DataError
from trailmark.data.sources import streamed
from trailmark.data.sources.table import Table
from trailmark.data.stored import StoredLog, Writer
from trailmark.envs.replay import predictions
from trailmark.envs.tracers.dkt import DKT
from trailmark.envs.tracers.neural import batches


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    n = 3000
    frame = pd.DataFrame(
        {
            "learner": rng.integers(0, 120, n),
            "activity": rng.integers(0, 12, n),
            "correct": rng.integers(0, 3, n) / 2,
            "timestamp": rng.permutation(n) * 60 + 1_700_000_000_000 // 1000,
            "minutes": rng.exponential(2.0, n),
        }
    )
    frame["skill"] = [f"s{a % 4}|s{a % 3}" for a in frame["activity"]]
    frame.loc[::50, "skill"] = ""
    frame = pd.concat([frame, frame.iloc[:10]])
    frame.to_csv(tmp_path / "log.csv", index=False)
    frame.to_parquet(tmp_path / "log.parquet", index=False)
    return tmp_path / "log.csv"


def by_learner(log, catalog: Catalog) -> dict[str, list[tuple[str, float, float]]]:
    q = log.sequences(catalog)
    return {
        str(name): [
            (catalog.activity_ids[q.activity[r]], float(q.correct[r]), round(float(q.days[r]), 9))
            for r in range(q.start[i], q.start[i + 1])
        ]
        for i, name in enumerate(q.learners)
    }


@pytest.mark.parametrize(("kind", "granularity"), [("csv", "skill"), ("parquet", "activity")])
def test_a_streamed_table_is_the_table(
    path: Path, tmp_path: Path, kind: str, granularity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "PIECE", 700)
    monkeypatch.setattr(streamed, "GROUP", 500)
    file = str(path.with_suffix(f".{kind}"))
    whole, catalog = Table(file, minutes="minutes", granularity=granularity).load()
    stored, again = Table(file, minutes="minutes", granularity=granularity, store=str(tmp_path / "kept")).load()
    assert [(a.id, a.skills) for a in again.activities] == [(a.id, a.skills) for a in catalog.activities]
    assert by_learner(stored, again) == by_learner(whole, catalog)
    assert len(stored) == len(whole)
    assert set(stored.notes) == set(whole.notes)
    assert any("dropped 61 rows" in note for note in stored.notes)
    split, same = whole.split(3), stored.split(3)
    for part in ("train", "valid", "test"):
        assert set(getattr(split, part).learners) == set(getattr(same, part).learners)
    assert by_learner(same.test, again) == by_learner(split.test, catalog)
    assert not (tmp_path / "kept" / "dealt").exists()


def test_it_is_made_once_and_anew_when_the_file_changes(path: Path, tmp_path: Path, monkeypatch) -> None:
    table = Table(str(path), store=str(tmp_path / "kept"))
    first = table.load()[0].digest()
    with monkeypatch.context() as patch:
        patch.setattr(streamed, "_make", lambda *_: pytest.fail("made again"))
        assert table.load()[0].digest() == first
    path.write_text(path.read_text() + "new,1,0.5,1700000000,1.0,s1\n")
    log, _ = table.load()
    assert log.digest() != first
    assert "new" in log.learners


def test_a_killed_store_is_made_anew(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(str(path), store=str(tmp_path / "kept"))
    with monkeypatch.context() as patch:

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(streamed, "_append", killed)
        with pytest.raises(KeyboardInterrupt):
            table.load()
    with pytest.raises(DataError, match="holds no stored log"):
        StoredLog.open(tmp_path / "kept")
    assert len(table.load()[0]) > 2000
    (tmp_path / "kept" / "days.bin").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"days\.bin has 4 bytes, not"):
        table.load()


def test_faults_are_told_with_their_row(path: Path, tmp_path: Path) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:1500], "u,1,7,1700000000,1,s1", *lines[1500:]]))
    with pytest.raises(DataError, match=r"log\.csv, row 1501, column 'correct': 7 is not a score"):
        Table(str(path), store=str(tmp_path / "kept")).load()
    path.write_text("who,skill,correct\nu,a,1\n")
    with pytest.raises(DataError, match=r"column 'learner': missing column"):
        Table(str(path), store=str(tmp_path / "kept")).load()
    path.write_text("learner,skill,correct\n")
    with pytest.raises(DataError, match=r"holds no row|is empty"):
        Table(str(path), store=str(tmp_path / "kept")).load()


def test_a_network_fits_to_it_and_subsets_go_when_done(path: Path, tmp_path: Path) -> None:
    log, catalog = Table(str(path), store=str(tmp_path / "kept")).load()
    split = log.split(0)
    model = DKT(hidden=4, width=4, epochs=1).fit(split.train, catalog)
    p = predictions(model, split.test, catalog)
    assert len(p) == len(split.test)
    assert ((p > 0) & (p < 1)).all()
    parts = tmp_path / "kept" / "parts"
    assert any(parts.iterdir())
    del split
    import gc

    gc.collect()
    assert not any(parts.iterdir())


def test_batches_take_little_memory(tmp_path: Path) -> None:
    """Two million rows lie in 40 MB of files; walking through all batches takes a small part of that."""
    rng = np.random.default_rng(0)
    catalog = Catalog((Skill("s"),), tuple(Activity(f"a{i}", "", "quiz", ("s",), 1.0) for i in range(50)))
    with Writer(tmp_path, catalog.activity_ids, "big") as writer:
        for block in range(20):
            columns = {
                "activity": rng.integers(0, 50, 100_000),
                "correct": rng.random(100_000).round(),
                "days": np.zeros(100_000),
            }
            names = [f"u{block}-{i}" for i in range(1000)]
            writer.add(names, np.full(1000, 100), columns, [""] * 1000)
    log = StoredLog.open(tmp_path)
    assert len(log) == 2_000_000
    sequences = log.sequences(catalog)
    tracemalloc.start()
    rows = sum(int(batch.real.sum()) for batch in batches(sequences, 6000, 200, 0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 2_000_000
    assert peak < 8e6, f"{peak / 1e6:.1f} MB"
