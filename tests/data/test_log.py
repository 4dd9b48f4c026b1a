import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.errors import DataError
from trailmark.data.log import Log

CATALOG = Catalog(
    (Skill("s"), Skill("t")),
    (
        Activity("a", "", "quiz", ("s",), 5, roles=("sales",)),
        Activity("b", "", "quiz", ("t",), 5, roles=("support",)),
        Activity("NA", "", "quiz", ("s", "t"), 5),
    ),
)
ids = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=4)
learner_ids = st.sampled_from(["NA", "null", "007", "7", "1.0", "nan", "ä|b,c", '"q"', "None"]) | ids.filter(
    lambda name: name == name.strip() and name.isprintable()
)
numbers = st.floats(-1e9, 1e9)


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    learners = draw(st.lists(learner_ids, min_size=1, max_size=4, unique=True))
    part = {name: draw(st.sampled_from(["train", "valid", "test"])) for name in learners}
    rows = [
        {
            "learner": (learner := draw(st.sampled_from(learners))),
            "activity": draw(st.sampled_from(CATALOG.activity_ids)),
            "correct": draw(st.floats(0, 1)),
            "timestamp": draw(st.just(0.0) | numbers),
            "minutes": draw(st.just(np.nan) | st.floats(0, 1e6)),
            "propensity": draw(st.just(np.nan) | st.floats(1e-9, 1)),
            "role": draw(st.sampled_from(CATALOG.roles)),
            "split": part[learner],
        }
        for _ in range(draw(st.integers(1, 12)))
    ]
    frame = pd.DataFrame(rows)
    return frame.drop(columns=draw(st.lists(st.sampled_from(["role", "split", "minutes", "timestamp"]), unique=True)))


@settings(max_examples=40)
@given(frame=frames())
def test_round_trip(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = Log.from_frame(frame, CATALOG)
    log.save(folder / "log.parquet")
    frame.to_csv(folder / "log.csv", index=False)
    frame.to_csv(folder / "log.csv.gz", index=False)
    frame.to_csv(folder / "log.tsv", index=False, sep="\t", encoding="utf-8-sig", lineterminator="\r\n")
    for name in ("log.parquet", "log.csv", "log.csv.gz", "log.tsv"):
        loaded = Log.load(folder / name, CATALOG)
        pd.testing.assert_frame_equal(loaded.frame, log.frame, check_exact=True)
        assert loaded.digest() == log.digest()
    assert sorted(path.name for path in folder.iterdir()) == ["log.csv", "log.csv.gz", "log.parquet", "log.tsv"]


@settings(max_examples=40)
@given(frame=frames())
def test_sorted_by_learner_then_time_and_stable(frame: pd.DataFrame) -> None:
    log = Log.from_frame(frame, CATALOG, drop_repeats=False)
    assert log.learners == tuple(dict.fromkeys(frame["learner"]))
    times = frame["timestamp"] if "timestamp" in frame else pd.Series(0.0, index=frame.index)
    expected = [
        int(i)
        for learner in log.learners
        for i in sorted(np.flatnonzero(frame["learner"] == learner), key=lambda i: times[i])
    ]
    assert log.frame["correct"].tolist() == frame["correct"].iloc[expected].tolist()
    assert log.frame["activity"].tolist() == frame["activity"].iloc[expected].tolist()


@settings(max_examples=40)
@given(frame=frames())
def test_sequences_are_the_frame(frame: pd.DataFrame) -> None:
    log = Log.from_frame(frame, CATALOG)
    sequences = log.sequences(CATALOG)
    assert tuple(sequences.learners) == log.learners
    assert sequences.start[0] == 0
    assert sequences.start[-1] == len(log)
    assert sequences.timed == (log.frame["timestamp"].nunique() > 1)
    for i, learner in enumerate(log.learners):
        rows = slice(sequences.start[i], sequences.start[i + 1])
        own = log.frame[log.frame["learner"] == learner]
        assert [CATALOG.activity_ids[a] for a in sequences.activity[rows]] == own["activity"].tolist()
        assert sequences.correct[rows].tolist() == own["correct"].astype("float32").tolist()
        np.testing.assert_array_equal(
            sequences.days[rows], (own["timestamp"].to_numpy() - own["timestamp"].iloc[0]) / 86400
        )
    dtypes = {field.name: getattr(sequences, field.name) for field in dataclasses.fields(sequences)}
    assert dtypes["activity"].dtype == dtypes["start"].dtype == np.int64
    assert dtypes["correct"].dtype == np.float32
    assert dtypes["days"].dtype == np.float64


def simple(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"learner": ["u", "v", "u"], "activity": ["a", "b", "a"], "correct": [1, 0, 0.5]} | columns)


BAD_ROWS = {
    "unknown activity": (
        {"activity": ["a", "bb", "a"]},
        "mine.csv, row 3, column 'activity': unknown activity 'bb'. Did you mean 'b'? Add it to the catalogue",
    ),
    "score above one": ({"correct": [1, 0, 1.5]}, "mine.csv, row 4, column 'correct': 1.5 is not a score from 0 to 1."),
    "score below zero": ({"correct": [-1, 0, 1]}, "row 2, column 'correct': -1 is not a score from 0 to 1. Write 0"),
    "score missing": ({"correct": [1, np.nan, 1]}, "mine.csv, row 3, column 'correct': no value. Write 0 for wrong"),
    "score is text": (
        {"correct": ["1", "0", "ok"]},
        "mine.csv, row 4, column 'correct': 'ok' is not a number.",
    ),
    "time missing": ({"timestamp": [1, np.nan, 1]}, "row 3, column 'timestamp': no value. Write seconds"),
    "time infinite": ({"timestamp": [1, np.inf, 1]}, "row 3, column 'timestamp': inf is not a time. Write seconds"),
    "minutes negative": ({"minutes": [1, -2, 1]}, "row 3, column 'minutes': -2 is not 0 or more. Leave it empty"),
    "propensity zero": ({"propensity": [0, 1, 1]}, "row 2, column 'propensity': 0 is not a probability above 0"),
    "propensity above one": ({"propensity": [1, 1.1, 1]}, "row 3, column 'propensity': 1.1 is not a probability"),
    "empty learner": (
        {"learner": ["u", " ", "u"]},
        "mine.csv, row 3, column 'learner': empty learner id. Give",
    ),
    "learner missing": ({"learner": ["u", None, "u"]}, "mine.csv, row 3, column 'learner': empty learner id."),
    "unknown role": (
        {"role": ["sales", "sale", "sales"]},
        "row 3, column 'role': unknown role 'sale'. Did you mean",
    ),
    "unknown part": ({"split": ["train", "dev", "train"]}, "row 3, column 'split': unknown part 'dev'. Write train"),
    "learner in two parts": (
        {"split": ["train", "test", "test"]},
        "mine.csv, row 4, column 'split': learner 'u' is in 'train' and 'test'. Split by learner, never by row.",
    ),
}


@pytest.mark.parametrize(("columns", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_bad_rows_are_told_clearly(tmp_path: Path, columns: dict[str, object], message: str) -> None:
    frame = simple(**columns)
    with pytest.raises(DataError) as caught:
        Log.from_frame(frame, CATALOG, "mine.csv")
    assert message in str(caught.value)
    frame.to_csv(tmp_path / "mine.csv", index=False)
    with pytest.raises(DataError) as caught:
        Log.load(tmp_path / "mine.csv", CATALOG)
    assert message in str(caught.value)


def test_missing_column_names_the_nearest() -> None:
    frame = simple().rename(columns={"learner": "learner_id"})
    with pytest.raises(DataError) as caught:
        Log.from_frame(frame, CATALOG, "mine.csv")
    expected = (
        "mine.csv, column 'learner': missing column. Did you mean 'learner_id'? Found: learner_id, activity, correct."
    )
    assert str(caught.value).startswith(expected)


def test_rows_of_parquet_are_records(tmp_path: Path) -> None:
    simple(correct=[1, 7, 0]).to_parquet(tmp_path / "mine.parquet")
    with pytest.raises(DataError, match=r"mine\.parquet, record 2, key 'correct': 7 is not"):
        Log.load(tmp_path / "mine.parquet", CATALOG)


def test_blank_lines_do_not_shift_rows(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("learner,activity,correct\nu,a,1\n\nu,a,2\n\n")
    with pytest.raises(DataError, match=r"mine\.csv, row 4, column 'correct': 2 is not a score"):
        Log.load(tmp_path / "mine.csv", CATALOG)
    (tmp_path / "mine.csv").write_text("learner,activity,correct\nu,a,1\n\nu,a,0\n\n")
    assert len(Log.load(tmp_path / "mine.csv", CATALOG)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"mine\.csv: is empty"),
        ("learner,activity,correct\n", r"mine\.csv: holds no rows"),
        ("learner,activity,correct\nu,a,1,5,6\n", r"mine\.csv: has rows with more cells than the header"),
        ("learner,activity,correct\nu,a,1\nu,a,1,5,6\n", r"mine\.csv: is not a table"),
    ],
    ids=["empty", "no rows", "more cells than columns", "more cells in a later row"],
)
def test_bad_files_are_told_clearly(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        Log.load(tmp_path / "mine.csv", CATALOG)


def test_any_index_will_do() -> None:
    for index in (list("xyz"), pd.MultiIndex.from_tuples([(1, 2), (3, 4), (5, 6)])):
        with pytest.raises(DataError, match=r"record 2, key 'correct': 3 is not"):
            Log.from_frame(simple(correct=[1, 3, 1]).set_index(pd.Index(index)), CATALOG)


def test_exact_repeats_are_dropped_and_counted() -> None:
    rows = [("u", "a", 1, 5), ("u", "a", 1, 5), ("u", "a", 0, 5), ("u", "b", 1, 5), ("v", "a", 1, 5), ("u", "a", 1, 6)]
    frame = pd.DataFrame(rows, columns=["learner", "activity", "correct", "timestamp"])
    log = Log.from_frame(frame, CATALOG)
    assert len(log) == 5
    assert log.notes == ("dropped 1 exact repeats (same learner, activity, timestamp and correct)",)
    assert len(Log.from_frame(frame.assign(timestamp=0), CATALOG)) == 6
    assert len(Log.from_frame(frame, CATALOG, drop_repeats=False)) == 6


def test_notes_on_ignored_columns_and_order() -> None:
    log = Log.from_frame(simple(propensty=[1, 1, 1], mood="good"), CATALOG)
    assert log.notes == (
        "ignored columns: 'propensty' Did you mean 'propensity'?, 'mood'",
        "no timestamps: the order of the rows is taken as time",
        "1 scores lie between 0 and 1: partly right; where only right or wrong will do, half is right",
    )
    assert list(log.frame.columns) == ["learner", "activity", "correct", "timestamp", "minutes", "propensity"]


def test_digest_knows_every_column_and_nothing_else() -> None:
    log = Log.from_frame(simple(timestamp=1.0), CATALOG)
    assert log.digest() == dataclasses.replace(log, name="other", notes=("note",)).digest()
    digests = {log.digest()}
    for columns in (
        {"correct": [1, 0, 0]},
        {"timestamp": 2.0},
        {"minutes": 1.0},
        {"propensity": 0.5},
        {"role": "sales"},
        {"role": "support"},
        {"split": "test"},
        {"learner": ["u", "w", "u"]},
        {"activity": ["a", "a", "a"]},
    ):
        digests.add(Log.from_frame(simple(**{"timestamp": 1.0} | columns), CATALOG).digest())
    assert len(digests) == 10


def many(learners: int) -> Log:
    return Log.from_frame(pd.DataFrame({"learner": np.arange(learners), "activity": "a", "correct": 1}), CATALOG)


def test_split_by_learner() -> None:
    log = Log.from_frame(pd.concat([many(4000).frame, many(4000).frame.assign(activity="b")]), CATALOG)
    split = log.split(seed=3)
    parts = [set(part.learners) for part in (split.train, split.valid, split.test)]
    assert set.union(*parts) == set(log.learners)
    assert sum(map(len, parts)) == 4000
    assert sum(map(len, (split.train, split.valid, split.test))) == 8000
    assert [len(part) / 4000 for part in parts] == pytest.approx([0.7, 0.1, 0.2], abs=0.025)
    assert log.split(seed=3).test.digest() == split.test.digest()
    assert set(log.split(seed=4).test.learners) != parts[2]


def test_shares_are_of_all_learners() -> None:
    split = many(4000).split(seed=0, valid=0.4, test=0.4)
    shares = [len(part.learners) / 4000 for part in (split.train, split.valid, split.test)]
    assert shares == pytest.approx([0.2, 0.4, 0.4], abs=0.025)


def test_killed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.parquet"
    many(3).save(path)
    before = path.read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        many(4).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@settings(max_examples=40)
@given(seed=st.integers(0, 100), kept=st.sets(st.integers(0, 199), min_size=1))
def test_a_learners_part_does_not_hang_on_the_others(seed: int, kept: set[int]) -> None:
    log = many(200)
    small = log.subset([str(i) for i in kept])
    whole, part = log.split(seed), small.split(seed)
    assert set(part.test.learners) == set(whole.test.learners) & set(small.learners)
    assert set(part.valid.learners) == set(whole.valid.learners) & set(small.learners)


def test_published_split_wins() -> None:
    frame = many(1000).frame
    test = Log.from_frame(frame.assign(split=["test" if i < 250 else "train" for i in range(1000)]), CATALOG).split(0)
    assert test.test.learners == tuple(map(str, range(250)))
    assert 50 < len(test.valid.learners) < 150
    thirds = ["train", "valid", "test"]
    all_three = Log.from_frame(frame.assign(split=[thirds[i % 3] for i in range(1000)]), CATALOG).split(0)
    assert all_three.valid.learners == tuple(map(str, range(1, 1000, 3)))
    assert len(all_three.train.learners) == 334
    valid = Log.from_frame(frame.assign(split=[thirds[i % 2] for i in range(1000)]), CATALOG).split(0)
    assert valid.valid.learners == tuple(map(str, range(1, 1000, 2)))
    assert 50 < len(valid.test.learners) < 150


def test_shares_must_leave_training_learners() -> None:
    for valid, test in ((0.5, 0.5), (-0.1, 0.2), (0.1, -0.2)):
        with pytest.raises(ValueError, match="below 1"):
            many(3).split(0, valid, test)


def test_subset_and_foreign_catalogue() -> None:
    log = Log.from_frame(simple(), CATALOG, notes=("kept",))
    assert log.subset(["v"]).frame["activity"].tolist() == ["b"]
    assert log.subset(["v"]).notes == log.notes
    assert log.subset(["v", "u"]).learners == ("u", "v")
    with pytest.raises(DataError, match="unknown learner 'w'"):
        log.subset(["w"])
    with pytest.raises(DataError, match="unknown activity 'b'"):
        log.sequences(Catalog((Skill("s"),), (Activity("a", "", "quiz", ("s",), 5),)))
    empty = log.subset([]).sequences(CATALOG)
    assert (len(empty.learners), empty.start.tolist(), empty.timed) == (0, [0], False)
