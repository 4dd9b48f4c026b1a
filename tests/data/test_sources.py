import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.errors import DataError
from trailmark.data.log import Log
from trailmark.data.sources.akt import AKT
from trailmark.data.sources.anki import Anki
from trailmark.data.sources.dkvmn import DKVMN
from trailmark.data.sources.gervet import Gervet
from trailmark.data.sources.junyi import Junyi
from trailmark.data.sources.pykt import PyKT
from trailmark.data.sources.table import Table

GERVET = "user_id\titem_id\ttimestamp\tcorrect\tskill_id\n"


def rows(log: Log, *columns: str) -> list[tuple[object, ...]]:
    names = list(columns) or ["learner", "activity", "correct"]
    return list(log.frame[names].itertuples(index=False, name=None))


def skills(catalog: Catalog) -> dict[str, tuple[str, ...]]:
    return {activity.id: activity.skills for activity in catalog.activities}


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return folder


@pytest.fixture
def gervet(tmp_path: Path) -> Path:
    sparse.save_npz(tmp_path / "q_mat.npz", sparse.csr_matrix(np.array([[1.0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0]])))
    return write(
        tmp_path,
        train__tsv__gz=GERVET + "5\t0\t0\t1\t10\n5\t2\t0\t0\t9\n5\t2\t0\t0\t9\n",
        test__tsv=GERVET + "3\t2\t0\t1\t9\n",
    )


def test_gervet_by_skill_combination(gervet: Path) -> None:
    log, catalog = Gervet(str(gervet)).load()
    assert rows(log, "learner", "activity", "correct", "split") == [
        ("5", "10", 1.0, "train"),
        ("5", "9", 0.0, "train"),
        ("5", "9", 0.0, "train"),
        ("3", "9", 1.0, "test"),
    ]
    assert skills(catalog) == {"9": ("9",), "10": ("10",)}
    assert catalog.skill_ids == ("9", "10")
    assert log.split(0).test.learners == ("3",)
    assert not log.sequences(catalog).timed


def test_gervet_by_problem(gervet: Path) -> None:
    log, catalog = Gervet(str(gervet), granularity="problem").load()
    assert [activity for _, activity, _ in rows(log)] == ["0", "2", "2", "2"]
    assert skills(catalog) == {"0": ("0", "2"), "2": ("1",)}
    # Skill 3 belongs to an item that nobody met: the K axis does not hang on who is in the log.
    assert catalog.skill_ids == ("0", "1", "2", "3")


def test_gervet_upstream_names_and_one_file_with_test_users(tmp_path: Path) -> None:
    first = "1\t7\t10\t1\t4\n1\t8\t10\t1\t4\n"
    write(
        tmp_path, preprocessed_data_train__csv=GERVET + first, preprocessed_data_test__csv=GERVET + "2\t7\t90\t0\t4\n"
    )
    log, catalog = Gervet(str(tmp_path)).load()
    # Two items of one combination in the same second are two answers, and stay.
    assert rows(log, "learner", "timestamp", "split") == [
        ("1", 10.0, "train"),
        ("1", 10.0, "train"),
        ("2", 90.0, "test"),
    ]
    assert log.sequences(catalog).timed
    one = tmp_path / "one"
    one.mkdir()
    write(one, mine__tsv=GERVET + first + "2\t7\t90\t0\t4\n", test_users__json="[2]")
    log, _ = Gervet(str(one / "mine.tsv")).load()
    assert [split for (split,) in rows(log, "split")] == ["train", "train", "test"]
    (one / "test_users.json").unlink()
    assert "split" not in Gervet(str(one / "mine.tsv")).load()[0].frame


def test_gervet_faults(gervet: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(DataError, match=r"holds no log. Give the path of a folder with train\.tsv and test\.tsv"):
        Gervet(str(empty)).load()
    with pytest.raises(DataError, match=r"no such file or folder. Give the path of a folder with train\.tsv"):
        Gervet(str(empty / "nowhere")).load()
    with pytest.raises(DataError, match=r"unknown granularity 'item'\. Use skill or problem"):
        Gervet(str(gervet), granularity="item").load()
    write(gervet, test__tsv=GERVET + "3\t2\t0\t1\t9\n3\t2\t0\t4\t9\n")
    with pytest.raises(DataError, match=r"test\.tsv, row 3, column 'correct': 4 is not a score"):
        Gervet(str(gervet)).load()
    write(gervet, test__tsv=GERVET + "3\t77\t0\t1\t9\n")
    with pytest.raises(DataError, match=r"q_mat\.npz, column 'item_id': item '77' is no row of the matrix \(0\.\.2\)"):
        Gervet(str(gervet), "problem").load()
    (gervet / "q_mat.npz").write_bytes(b"PK torn")
    with pytest.raises(DataError, match=r"q_mat\.npz: is no CSR matrix"):
        Gervet(str(gervet), "problem").load()
    (gervet / "q_mat.npz").unlink()
    with pytest.raises(DataError, match=r"Put q_mat\.npz there, or use granularity=skill"):
        Gervet(str(gervet), "problem").load()
    write(gervet, test__tsv="user\titem_id\ttimestamp\tcorrect\tskill_id\n1\t1\t0\t1\t1\n")
    with pytest.raises(DataError, match=r"test\.tsv, column 'user_id': missing column\. Did you mean 'user'\?"):
        Gervet(str(gervet)).load()
    write(gervet, test__tsv=GERVET + "5\t2\t0\t1\t9\n")
    with pytest.raises(DataError, match="learner '5' is in 'train' and 'test'"):
        Gervet(str(gervet)).load()


def test_pykt(tmp_path: Path) -> None:
    write(
        tmp_path,
        train_valid__csv='fold,uid,concepts,responses\n0,7,"3,10,-1","1,0,-1"\n2,8,10,1\n',
        test__csv__gz='fold,uid,concepts,responses,cidxs\n-1,9,"3,3","0,1","0,1"\n',
    )
    log, catalog = PyKT(str(tmp_path)).load()
    assert rows(log, "learner", "activity", "correct", "split") == [
        ("7", "3", 1.0, "valid"),
        ("7", "10", 0.0, "valid"),
        ("8", "10", 1.0, "train"),
        ("9", "3", 0.0, "test"),
        ("9", "3", 1.0, "test"),
    ]
    assert set(catalog.skill_ids) == {"3", "10"}
    assert "split" in PyKT(str(tmp_path / "train_valid.csv")).load()[0].frame
    assert "split" not in PyKT(str(tmp_path / "test.csv.gz")).load()[0].frame


def test_pykt_times_and_repeated_concepts(tmp_path: Path) -> None:
    text = (
        "fold,uid,questions,concepts,responses,timestamps,is_repeat\n"
        '1,u,"5,5,6,-1","2,1,2,-1","1,1,0,-1","1000,1000,61000,-1","0,1,0,-1"\n'
    )
    write(tmp_path, mine__csv=text)
    log, catalog = PyKT(str(tmp_path / "mine.csv")).load()
    assert rows(log, "activity", "correct", "timestamp") == [("1+2", 1.0, 1.0), ("2", 0.0, 61.0)]
    assert skills(catalog)["1+2"] == ("1", "2")
    assert log.notes == ("merged 1 rows that repeat an answer under another concept",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'fold,uid,concepts,responses\n0,7,1,1\n0,8,"1,2",1\n',
            r"mine\.csv, row 3, column 'responses': 1 responses beside 2",
        ),
        ('fold,uid,concepts,responses\n0,7,"1,,2","1,1,1"\n', r"mine\.csv, row 2, column 'concepts': blank element"),
        ('fold,uid,concepts,responses\n0,7,"1,2","1,5"\n', r"mine\.csv, row 2, column 'correct': 5 is not a score"),
        ("fold,user,concepts,responses\n0,7,1,1\n", r"mine\.csv, column 'uid': missing column\."),
    ],
)
def test_pykt_faults(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, mine__csv=text)
    with pytest.raises(DataError, match=message):
        PyKT(str(tmp_path / "mine.csv")).load()
    with pytest.raises(DataError, match=r"holds no log. Give the path of a folder with train_valid\.csv"):
        PyKT(str(tmp_path)).load()


def test_dkvmn(tmp_path: Path) -> None:
    write(
        tmp_path,
        x_train2__csv="2\n4,10\n1,0\n1\n4\n1\n",
        x_valid2__csv="1\n9\n0\n",
        x_test__csv__gz="3\n4,4,9,\n1,1,0,\n\n",
        x_skill_mapping__txt="4\tMean\n9\t Median \n",
    )
    log, catalog = DKVMN(str(tmp_path), fold=2).load()
    assert rows(log, "learner", "activity", "correct", "split") == [
        ("train-0", "4", 1.0, "train"),
        ("train-0", "10", 0.0, "train"),
        ("train-1", "4", 1.0, "train"),
        ("valid-0", "9", 0.0, "valid"),
        ("test-0", "4", 1.0, "test"),
        ("test-0", "4", 1.0, "test"),
        ("test-0", "9", 0.0, "test"),
    ]
    assert [(skill.id, skill.title) for skill in catalog.skills] == [("4", "Mean"), ("9", "Median"), ("10", "10")]
    log, _ = DKVMN(str(tmp_path / "x_valid2.csv")).load()
    assert rows(log) == [("x_valid2-0", "9", 0.0)]
    assert "split" not in log.frame
    with pytest.raises(DataError, match=r"holds no train file of fold 1. Looked for \*_train1\.csv or \.gz"):
        DKVMN(str(tmp_path)).load()
    write(tmp_path, y_valid2__csv="1\n9\n0\n")
    with pytest.raises(DataError, match=r"holds several valid files of fold 2: x_valid2\.csv, y_valid2\.csv"):
        DKVMN(str(tmp_path), 2).load()
    write(tmp_path, y_valid2__csv="1\n9\n0\n2\n9,4\n")
    with pytest.raises(DataError, match=r"y_valid2\.csv, row 6: 5 lines are no whole number of blocks of 3"):
        DKVMN(str(tmp_path / "y_valid2.csv")).load()
    write(tmp_path, y_valid2__csv="1\n9\n0\n2\n9,4\n1\n")
    with pytest.raises(DataError, match=r"y_valid2\.csv, row 5, column 'responses': 1 responses beside 2 skills"):
        DKVMN(str(tmp_path / "y_valid2.csv")).load()


AKT_LINES = "0,alice\n7,7,7,8,7,7\n10,9,9,9,9,10\n1,1,1,0,0,0\n"


def test_akt_merges_repeated_answers(tmp_path: Path) -> None:
    write(tmp_path, mine__csv=AKT_LINES + "1,bob\n7\n9\n1\n", skill__json='{"Mean": 9, "Median": 10}')
    log, catalog = AKT(str(tmp_path / "mine.csv")).load()
    # 7 under 10 then 9 is one answer; 7 under 9 again is a second one; bob's 7 is his own.
    assert rows(log) == [
        ("alice", "9+10", 1.0),
        ("alice", "9", 1.0),
        ("alice", "9", 0.0),
        ("alice", "9+10", 0.0),
        ("bob", "9", 1.0),
    ]
    assert skills(catalog) == {"9": ("9",), "9+10": ("9", "10")}
    assert [activity.title for activity in catalog.activities] == ["Mean", "Mean + Median"]
    assert log.notes[0] == "merged 2 rows that repeat an answer under another skill"
    log, catalog = AKT(str(tmp_path / "mine.csv"), granularity="problem").load()
    assert [activity for _, activity, _ in rows(log)] == ["7", "7", "8", "7", "7"]
    assert skills(catalog) == {"7": ("9", "10"), "8": ("9",)}


def test_akt_fold(tmp_path: Path) -> None:
    parts = {"train": "1,b\n7\n9\n1\n", "valid": "2,c\n7\n9\n1\n", "test": "3,a\n7\n9\n1\n"}
    write(tmp_path, **{f"x_{part}3__csv": text for part, text in parts.items()})
    log, _ = AKT(str(tmp_path), fold=3).load()
    assert rows(log, "learner", "split") == [("b", "train"), ("c", "valid"), ("a", "test")]
    write(tmp_path, x_test3__csv="3,a\n7\n9\n1\n4,b\n7\n9\n1\n")
    with pytest.raises(DataError, match="learner 'b' is in 'train' and 'test'"):
        AKT(str(tmp_path), fold=3).load()
    with pytest.raises(DataError, match="unknown granularity"):
        AKT(str(tmp_path), granularity="item").load()


ANKI = "card_id,review_rating,review_time,review_duration\n"


def test_anki(tmp_path: Path) -> None:
    lines = "12,1,2024-03-29T20:32:32.250000+00:00,30000\n12,3,2024-03-29T20:33:32+00:00,60000\n"
    lines += "9,2,2024-03-29T22:00:00+01:00,\n"
    write(tmp_path, josh__csv__gz=ANKI + lines, kim__csv=ANKI + "9,4,2024-03-30T00:00:00Z,6000\n")
    log, catalog = Anki(str(tmp_path / "josh.csv.gz")).load()
    assert rows(log, "learner", "activity", "correct", "timestamp") == [
        ("josh", "12", 0.0, 1711744352.25),
        ("josh", "12", 1.0, 1711744412.0),
        ("josh", "9", 1.0, 1711746000.0),
    ]
    assert log.frame["minutes"].tolist()[:2] == [0.5, 1.0]
    assert np.isnan(log.frame["minutes"].tolist()[2])
    assert {activity.id: activity.minutes for activity in catalog.activities} == {"9": 1.0, "12": 0.75}
    assert Anki(str(tmp_path)).load()[0].learners == ("josh", "kim")
    write(tmp_path, kim__csv=ANKI + "9,5,2024-03-30T00:00:00Z,6000\n")
    with pytest.raises(DataError, match=r"kim\.csv, row 2, column 'review_rating': '5' is no rating\. Write 1"):
        Anki(str(tmp_path)).load()
    write(tmp_path, kim__csv=ANKI + "9,4,yesterday,6000\n")
    with pytest.raises(DataError, match=r"kim\.csv, row 2, column 'review_time': 'yesterday' is no time\."):
        Anki(str(tmp_path)).load()


JUNYI = "\ufeffname,live,prerequisites,seconds_per_fast_problem,pretty_display_name\n"


def test_junyi(tmp_path: Path) -> None:
    lines = 'a,TRUE,"b,b",6,甲\nb,TRUE,c,12,乙\nc,TRUE,"a,d",6,\nd,TRUE,d,,丁\na,TRUE,b,6,甲\n'
    write(tmp_path, junyi_Exercise_table__csv__gz=JUNYI + lines)
    catalog, notes = Junyi(str(tmp_path)).load_catalog()
    assert [(skill.id, skill.title, skill.prerequisites) for skill in catalog.skills] == [
        ("a", "甲", ("b",)),
        ("b", "乙", ("c",)),
        ("c", "c", ("d",)),
        ("d", "丁", ()),
    ]
    assert [activity.minutes for activity in catalog.activities] == [1.0, 2.0, 1.0, 1.0]
    assert notes == (
        "dropped 1 repeated rows",
        "dropped the prerequisite a of c: it closes a cycle",
        "dropped the prerequisite d of d: self-loop",
    )
    with pytest.raises(DataError, match=r"holds no learner log\. Use its catalogue with"):
        Junyi(str(tmp_path)).load()
    with pytest.raises(DataError, match=r"Put junyi_Exercise_table\.csv there"):
        Junyi(str(tmp_path.parent)).load_catalog()


def test_plain_table_just_works(tmp_path: Path) -> None:
    lines = "ann,v1,talk|listen,1,2026-01-31T09:00:00Z\nbob,q1,talk,0,2026-01-31 10:00\n"
    lines += "ann,q1,talk,0.5,2026-01-31T09:01:00+00:00\n"
    write(tmp_path, log__csv="learner,activity,skill,correct,timestamp\n" + lines)
    log, catalog = Table(str(tmp_path / "log.csv")).load()
    start = 1769850000.0
    assert rows(log, "learner", "activity", "correct", "timestamp") == [
        ("ann", "v1", 1.0, start),
        ("ann", "q1", 0.5, start + 60),
        ("bob", "q1", 0.0, start + 3600),
    ]
    assert skills(catalog) == {"v1": ("talk", "listen"), "q1": ("talk",)}
    assert log.notes == (
        "1 scores lie between 0 and 1: partly right; where only right or wrong will do, half is right",
    )


def test_table_without_activities_and_with_other_names(tmp_path: Path) -> None:
    lines = "x;5;b,a;1;2;.5;sales;train\ny;6;a;;1;.5;sales;test\ny;7;;1;1;1;sales;test\nx;9;a,b;0;3;1;sales;train\n"
    write(tmp_path, log__csv="who;when;topic;right;spent;p;job;part\n" + lines)
    table = Table(
        str(tmp_path / "log.csv"),
        learner="who",
        skill="topic",
        correct="right",
        timestamp="when",
        minutes="spent",
        propensity="p",
        split="part",
        timestamp_unit="minutes",
    )
    log, catalog = table.load()
    columns = ("learner", "activity", "correct", "timestamp", "minutes", "propensity", "split")
    assert rows(log, *columns) == [("x", "a+b", 1, 300, 2, 0.5, "train"), ("x", "a+b", 0, 540, 3, 1, "train")]
    assert skills(catalog) == {"a+b": ("a", "b")}
    assert log.notes == (
        "no column 'activity': the skill, or the set of skills, is the activity",
        "dropped 2 rows without correct or skill",
    )


def test_table_merges_rows_that_repeat_an_answer(tmp_path: Path) -> None:
    head = "learner,activity,skill,correct"
    # By time: p on day 1 under two skills, twice; without time: only the next row under another skill.
    timed = ["u,p,a,1,10", "u,p,b,1,10", "u,p,a,0,10", "u,p,b,0,10", "u,q,b,1,20"]
    write(tmp_path, log__csv=f"{head},timestamp\n" + "\n".join(timed))
    log, catalog = Table(str(tmp_path / "log.csv")).load()
    assert rows(log) == [("u", "p", 1.0), ("u", "p", 0.0), ("u", "q", 1.0)]
    assert skills(catalog) == {"p": ("a", "b"), "q": ("b",)}
    assert log.notes == ("merged 2 rows that repeat an answer under another skill",)
    write(tmp_path, log__csv=f"{head}\nu,p,a,1\nu,p,b,1\nu,p,b,0\nv,p,a,0\nu,q,b,1\n")
    log, _ = Table(str(tmp_path / "log.csv")).load()
    assert rows(log) == [("u", "p", 1.0), ("u", "p", 0.0), ("u", "q", 1.0), ("v", "p", 0.0)]
    log, catalog = Table(str(tmp_path / "log.csv"), granularity="skill").load()
    assert rows(log) == [("u", "a+b", 1.0), ("u", "a+b", 0.0), ("u", "b", 1.0), ("v", "a+b", 0.0)]
    assert skills(catalog) == {"b": ("b",), "a+b": ("a", "b")}


def test_table_with_a_catalogue(tmp_path: Path) -> None:
    catalog = Catalog((Skill("s"),), (Activity("v1", "", "video", ("s",), 5, roles=("sales",)),))
    catalog.save(tmp_path / "catalog.json")
    write(
        tmp_path, log__csv="learner,activity,correct,job\nu,v1,1,sales\n", bad__csv="learner,activity,correct\nu,v2,1\n"
    )
    log, loaded = Table(str(tmp_path / "log.csv"), catalog=str(tmp_path / "catalog.json"), role="job").load()
    assert loaded == catalog
    assert rows(log, "activity", "role") == [("v1", "sales")]
    with pytest.raises(DataError, match=r"bad\.csv, row 2, column 'activity': unknown activity 'v2'"):
        Table(str(tmp_path / "bad.csv"), catalog=str(tmp_path / "catalog.json")).load()


@pytest.mark.parametrize(
    ("text", "fields", "message"),
    [
        (
            "user,skill,correct\nu,s,1\n",
            {},
            r"log\.csv, column 'learner': missing column\. .*Found: user, skill, correct\. Else say source\.learner",
        ),
        ("learner,correct\nu,1\n", {}, r"2 problems .*\n.*log\.csv, column 'activity': missing column"),
        ("learner,skill,correct\nu,s,1\n", {"activity": "item"}, r"log\.csv, column 'item': missing column"),
        ("learner,skill,correct\nu,s,1\n", {"timestamp": "when"}, r"log\.csv, column 'when': missing column"),
        (
            "learner,skill,correct,timestamp\nu,s,1,soon\n",
            {},
            r"log\.csv, row 2, column 'timestamp': 'soon' is no",
        ),
        ("learner,skill,correct,timestamp\nu,s,1,5\nu,s,1,\n", {}, r"log\.csv, row 3, column 'timestamp': no value"),
        (
            "learner,skill,correct,timestamp\nu,s,1,1\nu,s,1,1711744352250\n",
            {},
            r"log\.csv, row 2, column 'timestamp': 1 stands among times of up to 1711744352250\. Say timestamp_unit=ms",
        ),
        ("learner,skill,correct\n\nu,,1\nu,s,2\n", {}, r"log\.csv, row 4, column 'correct': 2 is not a score"),
        ("learner,skill,correct\nu,,1\n", {}, r"log\.csv: holds no row with correct and skill\. Fill"),
        ("learner,skill,correct\nu,s,1\n", {"granularity": "item"}, "unknown granularity 'item'"),
        ("learner,skill,correct,timestamp\nu,s,1,1\n", {"timestamp_unit": "year"}, "unknown unit of time 'year'"),
    ],
)
def test_table_faults(tmp_path: Path, text: str, fields: dict[str, str], message: str) -> None:
    write(tmp_path, log__csv=text)
    with pytest.raises(DataError, match=message):
        Table(str(tmp_path / "log.csv"), **fields).load()


def test_table_reads_parquet_and_milliseconds(tmp_path: Path) -> None:
    frame = pd.DataFrame({"learner": [1, 1], "skill": ["a", "b"], "correct": [True, False], "timestamp": [2000, 1000]})
    frame.to_parquet(tmp_path / "log.parquet")
    log, _ = Table(str(tmp_path / "log.parquet"), timestamp_unit="ms").load()
    assert rows(log, "learner", "activity", "correct", "timestamp") == [("1", "b", 0.0, 1.0), ("1", "a", 1.0, 2.0)]


def test_assistments_2009_as_downloaded(tmp_path: Path) -> None:
    head = "order_id,assignment_id,user_id,assistment_id,problem_id,original,correct,skill_id,skill_name\n"
    lines = [
        "30,1,9,1,500,1,1,1,Box and Whisker",
        "10,1,9,1,501,1,0,280,Prüfung",
        "10,1,9,1,501,1,0,13,Order of Operations +,-",
        "20,1,9,1,502,1,1,,",
        "5,1,8,1,501,1,1,280,Prüfung",
    ]
    text = head + "\n".join(line.replace("+,-", "+").strip() for line in lines) + "\n"
    (tmp_path / "skill_builder.csv").write_bytes(text.encode("latin-1"))
    fields = {"learner": "user_id", "activity": "problem_id", "skill": "skill_id", "order": "order_id"}
    log, catalog = Table(str(tmp_path / "skill_builder.csv"), separators="_,|", granularity="skill", **fields).load()
    assert rows(log, "learner", "activity", "correct", "timestamp") == [
        ("8", "13+280", 1.0, 0.0),
        ("9", "13+280", 0.0, 0.0),
        ("9", "1", 1.0, 0.0),
    ]
    assert skills(catalog) == {"1": ("1",), "13+280": ("13", "280")}
    assert log.notes[:3] == (
        "skill_builder.csv is not UTF-8, read as latin-1",
        "dropped 1 rows without correct or skill",
        "merged 1 rows that repeat an answer under another skill",
    )
    named = Table(str(tmp_path / "skill_builder.csv"), **fields | {"skill": "skill_name"}, separators="")
    assert "Prüfung" in named.load()[1].skill_ids


def test_assistments_2015_as_downloaded(tmp_path: Path) -> None:
    write(
        tmp_path, y2015__csv="user_id,log_id,sequence_id,correct\n50121,167478035,7014,0\n50121,167478003,7014,0.25\n"
    )
    log, catalog = Table(str(tmp_path / "y2015.csv"), learner="user_id", skill="sequence_id", order="log_id").load()
    assert rows(log, "learner", "activity", "correct", "timestamp") == [
        ("50121", "7014", 0.25, 0.0),
        ("50121", "7014", 0.0, 0.0),
    ]
    assert skills(catalog) == {"7014": ("7014",)}


def test_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, log__csv="learner,skill,correct\nu,s,1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(Table("~/log.csv").load()[0]) == 1


def test_every_source_has_its_yaml() -> None:
    from omegaconf import OmegaConf

    folder = Path(__file__).parents[2] / "configs" / "source"
    targets = {json.dumps(OmegaConf.load(path).get("_target_")) for path in folder.glob("*.yaml")}
    for name in (
        "akt.AKT",
        "anki.Anki",
        "dkvmn.DKVMN",
        "gervet.Gervet",
        "junyi.Junyi",
        "pykt.PyKT",
        "sample.Sample",
        "synthetic.Synthetic",
        "table.Table",
    ):
        assert f'"trailmark.data.sources.{name}"' in targets
