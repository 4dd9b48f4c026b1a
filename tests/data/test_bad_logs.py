"""Bad logs and odd ones: each is told clearly, or repaired in a way that is written down and counted."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.errors import DataError
from trailmark.data.leak import answers_of
from trailmark.data.log import Log
from trailmark.data.sources.pykt import PyKT
from trailmark.data.sources.table import Table
from trailmark.envs.replay import predictions
from trailmark.envs.tracers.bkt import BKT
from trailmark.envs.tracers.pfa import PFA
from trailmark.envs.tracers.tally import Tally

HEAD = "learner,activity,skill,correct,timestamp"
PLAIN = ["ann,q1,add,1,100", "bob,q1,add,0,100", "ann,q2,sub,0,160"]
ROWS = [("ann", "q1", 1.0, 100.0), ("ann", "q2", 0.0, 160.0), ("bob", "q1", 0.0, 100.0)]


def table(folder: Path, lines: list[str], head: str = HEAD, encoding: str = "utf-8", **fields) -> tuple[Log, Catalog]:
    path = folder / "log.csv"
    path.write_bytes("\n".join([head, *lines, ""]).encode(encoding))
    return Table(str(path), **fields).load()


def rows(log: Log) -> list[tuple[object, ...]]:
    return list(log.frame[["learner", "activity", "correct", "timestamp"]].itertuples(index=False, name=None))


# Plain tables that must just work.


def test_plain(tmp_path: Path) -> None:
    log, catalog = table(tmp_path, PLAIN)
    assert rows(log) == ROWS
    assert catalog.skill_ids == ("add", "sub")
    assert log.notes == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, ending: str) -> None:
    text = ending.join([HEAD, *PLAIN, "jürgen,q1,add,1,100", ""])
    for name, raw in (("log.csv", text.encode(encoding)), ("log.csv.gz", gzip.compress(text.encode(encoding)))):
        (tmp_path / name).write_bytes(raw)
        log, _ = Table(str(tmp_path / name)).load()
        assert rows(log) == [*ROWS, ("jürgen", "q1", 1.0, 100.0)]
        said = encoding if encoding in ("utf-16", "latin-1") else None
        assert log.notes == ((f"{name} is not UTF-8, read as {said}",) if said else ())


def test_mixed_encodings_are_one_skill(tmp_path: Path) -> None:
    lines = [b"u,q1,Pr\xc3\xbcfung,1,1", b"u,q2,Pr\xfcfung,0,2", b"u,q3,caf\xe9 \xe2\x82\xac,0,3"]
    (tmp_path / "log.csv").write_bytes(b"\n".join([HEAD.encode(), *lines, b""]))
    log, catalog = Table(str(tmp_path / "log.csv")).load()
    assert set(catalog.skill_ids) == {"Prüfung", "café €"}
    assert log.notes == ("log.csv is not UTF-8, read as a mixture of utf-8 and latin-1",)


def test_utf_16_that_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes("\n".join([HEAD, *PLAIN]).encode("utf-16")[:-1])
    with pytest.raises(DataError, match=r"log\.csv: is no whole UTF-16 .*Save it again as UTF-8"):
        Table(str(tmp_path / "log.csv")).load()


def test_quoted_commas_and_lines(tmp_path: Path) -> None:
    log, catalog = table(tmp_path, ['"Doe, Ann","q ""1"", b","add, sub",1,1'])
    assert rows(log) == [("Doe, Ann", 'q "1", b', 1.0, 1.0)]
    assert catalog.activities[0].skills == ("add", "sub")
    with pytest.raises(DataError, match="unusable id 'two"):
        table(tmp_path, ['u,"two\nlines",add,0,2'])


@pytest.mark.parametrize(
    "cell", ["add|sub", '"add,sub"', "add;sub", "\"['add', 'sub']\"", '"[""sub"", ""add""]"', " add | sub |"]
)
def test_cells_of_several_skills(tmp_path: Path, cell: str) -> None:
    _, catalog = table(tmp_path, [f"u,q,{cell},1,1", "u,p,add,1,2"])
    assert {a.id: a.skills for a in catalog.activities} == {"q": ("add", "sub"), "p": ("add",)}


def test_lists_of_skills_in_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "learner": [1, 1, 2],
            "activity": ["q", "p", "q"],
            "skill": [["add", "sub"], ["add"], ["sub", "add"]],
            "correct": [True, False, True],
            "timestamp": pd.to_datetime(["2026-01-31 09:00", "2026-01-31 09:01", "2026-01-31 09:00"]),
        }
    )
    frame.to_parquet(tmp_path / "log.parquet")
    log, catalog = Table(str(tmp_path / "log.parquet")).load()
    assert rows(log) == [
        ("1", "q", 1.0, 1769850000.0),
        ("1", "p", 0.0, 1769850060.0),
        ("2", "q", 1.0, 1769850000.0),
    ]
    assert {a.id: a.skills for a in catalog.activities} == {"q": ("add", "sub"), "p": ("add",)}


TIMES = {
    "seconds": ("1769850000", "1769850060.5", ()),
    "milliseconds": ("1769850000000", "1769850060500", ("'timestamp' is taken for ms of Unix time",)),
    "microseconds": ("1769850000000000", "1769850060500000", ("'timestamp' is taken for us of Unix time",)),
    "nanoseconds": ("1769850000000000000", "1769850060500000000", ("'timestamp' is taken for ns of Unix time",)),
    "ISO": ("2026-01-31T09:00:00", "2026-01-31T09:01:00.500", ()),
    "ISO with zones": ("2026-01-31T10:00:00+01:00", "2026-01-31T09:01:00.5Z", ()),
    "blank between": ("2026-01-31 09:00", "2026-01-31 09:01:00.5", ()),
}


@pytest.mark.parametrize("case", TIMES)
def test_times(tmp_path: Path, case: str) -> None:
    first, second, notes = TIMES[case]
    log, _ = table(tmp_path, [f"u,q1,add,1,{first}", f"u,q2,add,0,{second}"])
    assert log.frame["timestamp"].tolist() == pytest.approx([1769850000.0, 1769850060.5], abs=1e-6)
    assert len(log.notes) == len(notes)
    assert all(said.startswith(note) for said, note in zip(log.notes, notes, strict=True))


def test_small_numbers_are_seconds_of_ones_own_clock(tmp_path: Path) -> None:
    log, _ = table(tmp_path, ["u,q1,add,1,0", "u,q2,add,0,60"])
    assert log.frame["timestamp"].tolist() == [0.0, 60.0]
    assert log.notes == ()


def test_missing_columns_are_made_up_for_and_said(tmp_path: Path) -> None:
    log, _ = table(tmp_path, ["u,q1,add,1", "u,q2,sub,0"], "learner,activity,skill,correct")
    assert log.frame["activity"].tolist() == ["q1", "q2"]
    assert log.notes == ("no timestamps: the order of the rows is taken as time",)
    log, catalog = table(tmp_path, ["u,add,1,1", "u,add|sub,0,2"], "learner,skill,correct,timestamp")
    assert {a.id: a.skills for a in catalog.activities} == {"add": ("add",), "add+sub": ("add", "sub")}
    assert log.notes == ("no column 'activity': the skill, or the set of skills, is the activity",)
    log, catalog = table(tmp_path, ["u,q1,1,1", "u,q2,0,2"], "learner,activity,correct,timestamp")
    assert {a.id: a.skills for a in catalog.activities} == {"q1": ("q1",), "q2": ("q2",)}
    assert log.notes == ("no column 'skill': every activity is a skill of its own",)


def test_fractional_scores_stay_and_are_counted(tmp_path: Path) -> None:
    log, _ = table(tmp_path, ["u,q1,add,0.25,1", "u,q2,add,1.0,2", "u,q3,add,.5,3"])
    assert log.frame["correct"].tolist() == [0.25, 1.0, 0.5]
    assert [note[:38] for note in log.notes] == ["2 scores lie between 0 and 1: partly r"]


@pytest.mark.parametrize(("yes", "no"), [("True", "False"), ("yes", "NO"), ("correct", "incorrect"), ("1.0", "0")])
def test_words_for_right_and_wrong(tmp_path: Path, yes: str, no: str) -> None:
    log, _ = table(tmp_path, [f"u,q1,add,{yes},1", f"u,q2,add,{no},2", "u,q3,add,,3"])
    assert log.frame["correct"].tolist() == [1.0, 0.0]
    assert log.notes == ("dropped 1 rows without correct or skill",)


def test_unsorted_rows_are_sorted_and_counted(tmp_path: Path) -> None:
    log, catalog = table(tmp_path, ["u,q3,add,1,30", "v,q1,add,1,50", "u,q1,add,0,10", "u,q2,add,0,20"])
    assert log.frame["activity"].tolist() == ["q1", "q2", "q3", "q1"]
    said = "sorted by time: 1 times a row stood before an earlier one of the same learner"
    assert log.notes == (said,)
    again = pd.read_csv(tmp_path / "log.csv")[["learner", "activity", "correct", "timestamp"]]
    assert Log.from_frame(again, catalog).notes == (said,)
    assert Log.from_frame(log.frame, catalog).notes == ()


@pytest.mark.parametrize("timed", [True, False], ids=["timed", "untimed"])
def test_a_row_for_every_skill_becomes_one(tmp_path: Path, timed: bool) -> None:
    lines = ["u,q1,add,1", "u,q1,sub,1", "u,q2,add,0", "v,q1,add,0", "v,q1,sub,1"]
    times = [1, 1, 2, 1, 1] if timed else [""] * 5
    log, catalog = table(
        tmp_path,
        [f"{line},{t}" if timed else line for line, t in zip(lines, times, strict=True)],
        HEAD if timed else HEAD.removesuffix(",timestamp"),
    )
    assert [(u, a, c) for u, a, c, _ in rows(log)] == [("u", "q1", 1.0), ("u", "q2", 0.0), ("v", "q1", 0.0)]
    assert {a.id: a.skills for a in catalog.activities} == {"q1": ("add", "sub"), "q2": ("add",)}
    assert log.notes[:2] == (
        "merged 2 rows that repeat an answer under another skill",
        "1 merged rows had another score than the first row of their answer, which counts",
    )


# The battery.


def test_duplicated_rows(tmp_path: Path) -> None:
    log, _ = table(tmp_path, [*PLAIN, PLAIN[0], PLAIN[0], PLAIN[2]])
    assert rows(log) == ROWS
    assert "dropped 3 exact repeats (same learner, activity, timestamp and correct)" in log.notes


def test_nan_scores_are_dropped_by_the_table_and_refused_by_the_log(tmp_path: Path) -> None:
    for cell in ("", "NaN", "null", "NA"):
        log, catalog = table(tmp_path, [*PLAIN, f"ann,q3,add,{cell},200"])
        assert rows(log) == ROWS
        assert "dropped 1 rows without correct or skill" in log.notes
    with pytest.raises(DataError, match="key 'correct': no value"):
        Log.from_frame(pd.DataFrame({"learner": ["u"], "activity": ["q1"], "correct": [np.nan]}), catalog)
    with pytest.raises(DataError, match=r"row 5, column 'correct': inf is not a score"):
        table(tmp_path, [*PLAIN, "ann,q3,add,inf,200"])
    with pytest.raises(DataError, match=r"log\.csv: holds no row with correct and skill"):
        table(tmp_path, ["u,q1,add,,1"])


def test_skills_that_the_catalogue_lacks(tmp_path: Path) -> None:
    Catalog((Skill("add"),), (Activity("q1", "", "quiz", ("add",), 5),)).save(tmp_path / "catalog.json")
    fields = {"catalog": str(tmp_path / "catalog.json")}
    log, catalog = table(tmp_path, ["u,q1,addd,1,1", "u,q1,add,1,2", "u,q1,addd|sub,1,3"], **fields)
    assert catalog.skill_ids == ("add",)
    assert log.notes == (
        "2 rows name skills that the catalogue lacks, such as 'addd'; its own skills of the activity count",
    )
    with pytest.raises(DataError, match="unknown activity 'q9'"):
        table(tmp_path, ["u,q9,add,1,1"], **fields)


def test_huge_and_odd_ids(tmp_path: Path) -> None:
    names = ["90071992547409931", "90071992547409932", "123456789012345678901234567890", "007", "7", "NA", "x" * 5000]
    log, _ = table(tmp_path, [f"{name},{name},add,1,{i}" for i, name in enumerate(names)])
    assert list(log.learners) == names
    assert log.frame["activity"].tolist() == names
    frame = pd.DataFrame({"learner": [2**62 + 1, 2**62 + 2], "skill": [7.0, 8.0], "correct": [1, 0]})
    frame.to_parquet(tmp_path / "log.parquet")
    log, catalog = Table(str(tmp_path / "log.parquet")).load()
    assert log.learners == (str(2**62 + 1), str(2**62 + 2))
    assert catalog.skill_ids == ("7", "8")


def test_empty_sequences(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(
        'fold,uid,concepts,responses\n1,7,"-1,-1","-1,-1"\n1,8,"3,-1","1,-1"\n1,9,"",""\n'
    )
    with pytest.raises(DataError, match=r"row 4, column 'concepts': blank element"):
        PyKT(str(tmp_path / "log.csv")).load()
    (tmp_path / "log.csv").write_text('fold,uid,concepts,responses\n1,7,"-1,-1","-1,-1"\n1,8,"3,-1","1,-1"\n')
    log, _ = PyKT(str(tmp_path / "log.csv")).load()
    assert log.learners == ("8",)
    assert "left out 1 learners without any answer" in log.notes
    with pytest.raises(DataError, match="holds no rows"):
        Log.from_frame(pd.DataFrame({"learner": [], "activity": [], "correct": []}), eight())


@pytest.mark.parametrize("tracer", [Tally(), BKT(), PFA()], ids=lambda tracer: type(tracer).__name__)
def test_learners_of_one_class_and_of_one_answer(tmp_path: Path, tracer) -> None:
    lines = [f"good{i},q{j},add,1,{j}" for i in range(20) for j in range(5)]
    lines += [f"bad{i},q{j},add,0,{j}" for i in range(20) for j in range(5)] + ["once,q1,add,1,0"]
    log, catalog = table(tmp_path, lines)
    p = predictions(tracer.fit(log, catalog), log, catalog)
    assert np.isfinite(p).all()
    assert (p > 0).all()
    assert (p < 1).all()
    only = log.subset([name for name in log.learners if name.startswith("good")])
    p = predictions(tracer.fit(only, catalog), log, catalog)
    assert np.isfinite(p).all(), "a log of right answers alone can be fitted to"
    assert (p[log.frame["learner"].str.startswith("good")] >= 0.5).all()


def test_a_hundred_thousand_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 100_000
    frame = pd.DataFrame(
        {
            "learner": rng.integers(0, 2000, n) + 10**12,
            "activity": rng.integers(0, 300, n),
            "correct": rng.integers(0, 2, n),
            "timestamp": rng.permutation(n) + 1_700_000_000,
        }
    )
    frame["skill"] = frame["activity"] % 40
    frame.to_csv(tmp_path / "log.csv", index=False)
    log, catalog = Table(str(tmp_path / "log.csv")).load()
    assert (len(log), len(log.learners), len(catalog.activities), len(catalog.skills)) == (n, 2000, 300, 40)
    expected = frame.sort_values("timestamp")
    first = expected[expected["learner"] == int(log.learners[0])]
    own = log.frame[log.frame["learner"] == log.learners[0]]
    assert own["timestamp"].tolist() == first["timestamp"].tolist()
    assert own["activity"].tolist() == first["activity"].astype(str).tolist()
    assert log.frame["correct"].sum() == frame["correct"].sum()


# Leaks.


def leaky(repeats: bool, timed: bool) -> Log:
    """300 learners, 30 questions of two skills each, a row per skill; `repeats` = the rows share their label."""
    rng = np.random.default_rng(3)
    n = 300 * 30
    first = 2 * rng.integers(0, 4, n)
    label = rng.random(n) < 0.7
    other = label if repeats else rng.random(n) < 0.7
    frame = pd.DataFrame(
        {
            "learner": np.repeat([f"u{i}" for i in range(300)], 60),
            "activity": [f"s{k}" for pair in zip(first, first + 1, strict=True) for k in pair],
            "correct": np.stack([label, other], 1).ravel().astype(float),
            "timestamp": np.repeat(np.tile(np.arange(1.0, 31.0), 300), 2) * timed,
        }
    )
    return Log.from_frame(frame, eight(), drop_repeats=False)


def eight() -> Catalog:
    return Catalog(
        tuple(Skill(f"s{i}") for i in range(8)), tuple(Activity(f"s{i}", "", "quiz", (f"s{i}",), 1.0) for i in range(8))
    )


@pytest.mark.parametrize("timed", [True, False], ids=["timed", "untimed"])
def test_a_leak_is_found_and_its_answers_told_apart(timed: bool) -> None:
    found = answers_of(leaky(True, timed).sequences(eight()))
    assert found.note.startswith("LEAK: ")
    assert found.number.max() + 1 == found.first.sum() == pytest.approx(9000, rel=0.12 if not timed else 0)
    sound = answers_of(leaky(False, timed).sequences(eight()))
    assert sound.note == ""
    assert sound.first.all()


def test_activities_that_nobody_fails_are_no_leak() -> None:
    log = leaky(True, True)
    videos = Log.from_frame(log.frame.assign(correct=1.0), eight(), drop_repeats=False)
    assert answers_of(videos.sequences(eight())).note == ""


def test_an_empty_log_has_no_leak() -> None:
    assert answers_of(leaky(True, True).subset([]).sequences(eight())).note == ""
