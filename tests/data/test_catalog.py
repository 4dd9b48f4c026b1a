import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.errors import DataError

ids = st.text(st.characters(blacklist_characters="|", blacklist_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1)
ids = ids.filter(lambda name: name.isprintable() and name == name.strip())
minutes = st.floats(0, 1e6)


def some(names: list[str], at_least: int = 0) -> st.SearchStrategy[tuple[str, ...]]:
    if not names:
        return st.just(())
    return st.lists(st.sampled_from(names), unique=True, min_size=at_least, max_size=3).map(tuple)


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    skill_ids = draw(st.lists(ids, min_size=1, max_size=6, unique=True))
    activity_ids = draw(st.lists(ids, min_size=1, max_size=6, unique=True))
    roles = draw(st.lists(ids, max_size=3, unique=True))
    skills = tuple(
        Skill(name, draw(ids), draw(some(skill_ids[:i])), draw(some(roles))) for i, name in enumerate(skill_ids)
    )
    fallback = draw(st.integers(-1, len(activity_ids) - 1))
    activities = tuple(
        Activity(
            id=name,
            title=draw(ids),
            kind=draw(ids),
            skills=draw(some(skill_ids, at_least=1)),
            minutes=draw(minutes),
            roles=draw(some(roles)),
            prerequisites=draw(some(activity_ids[:i])),
            fallback=i == fallback,
            mandatory=draw(st.booleans()),
        )
        for i, name in enumerate(activity_ids)
    )
    return Catalog(skills, activities)


def write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({key: "|".join(cell) if isinstance(cell, list) else cell for key, cell in row.items()})


def tables(folder: Path, activities: str, skills: str | None = None) -> Path:
    (folder / "activities.csv").write_text(activities, encoding="utf-8")
    if skills is not None:
        (folder / "skills.csv").write_text(skills, encoding="utf-8")
    return folder


@settings(max_examples=40)
@given(catalog=catalogs())
def test_round_trip(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("catalog")
    catalog.save(folder / "catalog.json")
    data = catalog.to_dict()
    assert data == json.loads(json.dumps(data))
    write_csv(folder / "activities.csv", data["activities"])
    write_csv(folder / "skills.csv", data["skills"])
    (folder / "parquet").mkdir()
    for name in ("activities", "skills"):
        pq.write_table(pa.Table.from_pylist(data[name]), folder / "parquet" / f"{name}.parquet")
    for loaded in (
        Catalog.from_dict(data),
        Catalog.load(folder / "catalog.json"),
        Catalog.load(folder),
        Catalog.load(folder / "activities.csv"),
        Catalog.load(folder / "parquet"),
    ):
        assert loaded == catalog
        assert loaded.digest() == catalog.digest()
    assert [path.name for path in folder.iterdir() if "part" in path.suffix] == []


@settings(max_examples=40)
@given(catalog=catalogs())
def test_arrays_say_what_the_rows_say(catalog: Catalog) -> None:
    q, offered, goals = catalog.q_matrix(), catalog.offered(), catalog.goals()
    assert q.shape == (len(catalog.activities), len(catalog.skills))
    assert offered.shape == (len(catalog.roles), len(catalog.activities))
    assert goals.shape == (len(catalog.roles), len(catalog.skills))
    before, after = catalog.activity_prerequisites(), catalog.skill_prerequisites()
    for a, activity in enumerate(catalog.activities):
        assert {catalog.skill_ids[k] for k in np.flatnonzero(q[a])} == set(activity.skills)
        assert {catalog.activity_ids[b] for b in np.flatnonzero(before[a])} == set(activity.prerequisites)
        assert {catalog.roles[r] for r in np.flatnonzero(offered[:, a])} == set(activity.roles or catalog.roles)
        assert catalog.minutes()[a] == np.float32(activity.minutes)
        assert catalog.activity_index[activity.id] == a
    for k, skill in enumerate(catalog.skills):
        assert {catalog.skill_ids[p] for p in np.flatnonzero(after[k])} == set(skill.prerequisites)
        assert {catalog.roles[r] for r in np.flatnonzero(goals[:, k])} == set(skill.roles or catalog.roles)
        assert catalog.skill_index[skill.id] == k


def test_dtypes_and_roles_without_any() -> None:
    catalog = Catalog((Skill("s"),), (Activity("a", "", "quiz", ("s",), 5),))
    assert catalog.roles == ("learner",)
    assert catalog.activities[0].title == "a"
    dtypes = [catalog.q_matrix().dtype, catalog.minutes().dtype, catalog.offered().dtype, catalog.goals().dtype]
    assert dtypes == [np.bool_, np.float32, np.bool_, np.bool_]


def test_plain_activities_csv_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv.gz"
    text = "\ufeffid;skills;minutes\r\nb;y|x;2\r\n\r\na;x;1.5\r\n"
    path.write_bytes(gzip.compress(text.encode()))
    catalog = Catalog.load(path)
    assert catalog.skill_ids == ("y", "x")
    assert catalog.activities == (
        Activity("b", "b", "practice", ("y", "x"), 2.0),
        Activity("a", "a", "practice", ("x",), 1.5),
    )
    assert not catalog.skill_prerequisites().any()


def test_truth_values_and_optional_columns(tmp_path: Path) -> None:
    rows = "a,x,1,Yes,0\nb,x,1,,TRUE\nc,x,1,no,\n"
    catalog = Catalog.load(tables(tmp_path, "id,skills,minutes,fallback,mandatory\n" + rows))
    assert [activity.fallback for activity in catalog.activities] == [True, False, False]
    assert [activity.mandatory for activity in catalog.activities] == [False, True, False]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("a,base,,\nb,late,a,true\n", "b"),
        ("a,late,,\nb,base,,\n", "b"),
        ("a,base,b,\nb,base,,\n", "b"),
        ("a,late,b,\nb,late,,\n", "b"),
    ],
    ids=["marked", "skill without prerequisites", "activity without prerequisites", "nothing better"],
)
def test_fallback(tmp_path: Path, rows: str, expected: str) -> None:
    text = "id,skills,prerequisites,fallback,minutes\n" + rows.replace("\n", ",1\n")
    catalog = Catalog.load(tables(tmp_path, text, "id,prerequisites\nbase,\nlate,base\n"))
    assert catalog.activity_ids[catalog.fallback] == expected


def test_fallback_prefers_what_everybody_is_offered() -> None:
    offers = [Activity("a", "", "quiz", ("s",), 5, roles=("r",)), Activity("b", "", "quiz", ("s",), 5)]
    assert Catalog((Skill("s"),), tuple(offers)).fallback == 1


def test_digest_knows_every_field() -> None:
    skill, activity = Skill("s", "t"), Activity("a", "t", "quiz", ("s",), 5.0)
    digests = {
        Catalog((one,), (two,)).digest()
        for one, two in [
            (skill, activity),
            (Skill("s", "u"), activity),
            (Skill("s", "t", (), ("r",)), activity),
            (skill, Activity("a", "t", "video", ("s",), 5.0)),
            (skill, Activity("a", "t", "quiz", ("s",), 5.5)),
            (skill, Activity("a", "t", "quiz", ("s",), 5.0, mandatory=True)),
        ]
    }
    assert len(digests) == 6


HEAD = "id,skills,minutes,prerequisites,fallback\n"
BAD_TABLES = {
    "unknown skill": (
        HEAD + "a,talk,1,,\nb,negotiaton,1,,\n",
        "id\ntalk\nnegotiation\n",
        "activities.csv, row 3, column 'skills': unknown skill 'negotiaton'. Did you mean 'negotiation'? "
        "Add it to the skills table or correct the row.",
    ),
    "unknown prerequisite of an activity": (
        HEAD + "intro,s,1,,\nb,s,1,intr,\n",
        None,
        "activities.csv, row 3, column 'prerequisites': unknown prerequisite 'intr'. Did you mean 'intro'?",
    ),
    "unknown prerequisite of a skill": (
        HEAD + "a,s,1,,\n",
        "id,prerequisites\ns,zzz\n",
        "skills.csv, row 2, column 'prerequisites': unknown prerequisite 'zzz'. Add it",
    ),
    "cycle of skills": (
        HEAD + "a,s,1,,\n",
        "id,prerequisites\nr,\ns,t\nt,s\n",
        "column 'prerequisites': cyclic prerequisites: ",
    ),
    "self-loop of an activity": (
        HEAD + "a,s,1,,\nb,s,1,b,\n",
        None,
        "activities.csv, row 3, column 'prerequisites': cyclic prerequisites: b -> b. Remove one",
    ),
    "missing column": (
        "id,skills,minuts\na,s,1\n",
        None,
        "activities.csv, column 'minutes': missing column. Did you mean 'minuts'? Found: id, skills, minuts.",
    ),
    "misspelt optional column": (
        "id,skills,minutes,prerequisite\na,s,1,\n",
        None,
        "activities.csv, column 'prerequisite': unknown column. Did you mean 'prerequisites'? Rename or remove it.",
    ),
    "empty id": (
        HEAD + "a,s,1,,\n ,s,1,,\n",
        None,
        "activities.csv, row 3, column 'id': empty id. Give every row",
    ),
    "duplicate id": (
        HEAD + "a,s,1,,\n\na,s,2,,\n",
        None,
        "activities.csv, row 4, column 'id': duplicate id 'a'.",
    ),
    "unusable id": (HEAD + "a|b,s,1,,\n", None, "activities.csv, row 2, column 'id': unusable id 'a|b'. Use printable"),
    "negative minutes": (
        HEAD + "a,s,-3,,\n",
        None,
        "row 2, column 'minutes': -3 minutes is negative. Write",
    ),
    "NaN minutes": (
        HEAD + "a,s,nan,,\n",
        None,
        "row 2, column 'minutes': 'nan' is not a number of minutes.",
    ),
    "infinite minutes": (
        HEAD + "a,s,inf,,\n",
        None,
        "row 2, column 'minutes': inf minutes is not a finite number.",
    ),
    "non-numeric minutes": (
        HEAD + "a,s,1,,\nb,s,ten,,\n",
        None,
        "activities.csv, row 3, column 'minutes': 'ten' is not a number of minutes. Write a number such as 12.5.",
    ),
    "no minutes": (HEAD + "a,s,,,\n", None, "row 2, column 'minutes': '' is not a number of minutes."),
    "no skill": (
        HEAD + "a, ,1,,\n",
        None,
        "activities.csv, row 2, column 'skills': activity with no skill. Name",
    ),
    "no activity": (HEAD, None, "activities.csv: holds no activity. Add at least one row"),
    "two fallbacks": (
        HEAD + "a,s,1,,yes\nb,s,1,,yes\n",
        None,
        "activities.csv, row 3, column 'fallback': more than one fallback: 2 activities ('a', 'b'). Mark exactly one",
    ),
    "bad truth value": (
        HEAD + "a,s,1,,maybe\n",
        None,
        "activities.csv, row 2, column 'fallback': 'maybe' is not a truth value. Write true or false",
    ),
    "too many cells": (
        HEAD + "a,s,1,,,,9\n",
        None,
        "activities.csv, row 2: has 7 cells, the header has 5.",
    ),
    "open quotes": (
        HEAD + 'a,s,1,,\nb,"s,1,,\n',
        None,
        "activities.csv, row 3: is not a table (unexpected end",
    ),
    "empty file": ("", None, "activities.csv: is empty. Give a header line"),
}


@pytest.mark.parametrize(("activities", "skills", "message"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_bad_tables_are_told_clearly(tmp_path: Path, activities: str, skills: str | None, message: str) -> None:
    with pytest.raises(DataError) as caught:
        Catalog.load(tables(tmp_path, activities, skills))
    assert message in str(caught.value)


@pytest.mark.parametrize("table", ["activities", "skills"])
def test_cycle_is_printed_in_the_order_of_waiting(tmp_path: Path, table: str) -> None:
    rows = "id,prerequisites,skills,minutes\na,c,x,1\nb,a,x,1\nc,b,x,1\n"
    skills = "id,prerequisites\nx,\na,c\nb,a\nc,b\n" if table == "skills" else "id\nx\n"
    activities = rows if table == "activities" else HEAD + "q,x,1,,\n"
    with pytest.raises(DataError, match=f"{table}.csv, row .*cyclic prerequisites") as caught:
        Catalog.load(tables(tmp_path, activities, skills))
    shown = str(caught.value).split("prerequisites: ")[1].split(". ")[0].split(" -> ")
    needs = {"a": "c", "b": "a", "c": "b"}
    assert shown[0] == shown[-1]
    assert [needs[name] for name in shown[:-1]] == shown[1:]


def test_first_five_of_many_are_told(tmp_path: Path) -> None:
    rows = "".join(f"a{i},nowhere{i},1,,\n" for i in range(12))
    with pytest.raises(DataError) as caught:
        Catalog.load(tables(tmp_path, HEAD + rows, "id\ns\n"))
    text = str(caught.value)
    assert text.startswith("12 problems of one kind, the first 5:")
    assert text.count("unknown skill") == 5
    assert "row 6, column 'skills': unknown skill 'nowhere4'" in text
    assert (caught.value.file, caught.value.row, caught.value.key) == ("activities.csv", 2, "skills")


def test_quoted_line_breaks_do_not_shift_rows(tmp_path: Path) -> None:
    text = 'id,title,skills,minutes\na,"two\nlines",s,1\nb,plain,s,-1\n'
    with pytest.raises(DataError, match=r"activities\.csv, row 4, column 'minutes'"):
        Catalog.load(tables(tmp_path, text))
    with pytest.raises(DataError, match=r"activities\.csv, row 2, column 'minutes'"):
        Catalog.load(tables(tmp_path, text.replace("s,1", "s,-1").replace("plain,s,-1", "plain,s,1")))


BAD_JSON = {
    "newer schema": (
        '{"schema": 2, "skills": [], "activities": []}',
        "top level, key 'schema': schema 2 is unknown",
    ),
    "newer schema without skills": ('{"schema": 2, "activities": []}', "Install a newer Trailmark."),
    "syntax": ('{"skills": [],\n "activities": [}', "catalog.json, row 2: is not valid JSON at column 17"),
    "no list": ('{"skills": []}', "catalog.json, column 'activities': holds no list of activities"),
    "no object": ('{"skills": [], "activities": [3]}', "catalog.json, activities[0]: is not an object"),
    "unknown skill": (
        '{"skills": [{"id": "s"}], "activities": [{"id": "a", "skills": ["z"], "minutes": 1}]}',
        "catalog.json, activities[0], key 'skills': unknown skill 'z'",
    ),
    "minutes": (
        '{"skills": [{"id": "s"}], "activities": [{"id": "a", "skills": "s", "minutes": null}]}',
        "catalog.json, activities[0], key 'minutes': '' is not a number",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD_JSON.values(), ids=BAD_JSON)
def test_bad_json_is_told_clearly(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "catalog.json"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        Catalog.load(path)
    assert message in str(caught.value)


def test_bad_parquet_and_bad_paths(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"id": ["a", "b"], "skills": ["s", ""], "minutes": [1.0, 2.0]}), tmp_path / "activities.parquet"
    )
    with pytest.raises(DataError, match=r"activities\.parquet, record 2, key 'skills': activity with no skill"):
        Catalog.load(tmp_path)
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "torn.csv.gz").write_bytes(b"\x1f\x8b no")
    (tmp_path / "empty").mkdir()
    (tmp_path / "log.xlsx").write_bytes(b"x")
    for name, message in {
        "torn.parquet": r"torn\.parquet: cannot be read as Parquet",
        "torn.csv.gz": r"torn\.csv\.gz: cannot be read",
        "empty": r"empty: holds no activities table\. Put activities\.csv",
        "log.xlsx": r"log\.xlsx: unknown file type '\.xlsx'\. Use \.csv",
        "nowhere": r"nowhere: no such file or folder\. Give the path of a catalogue",
    }.items():
        with pytest.raises(DataError, match=message):
            Catalog.load(tmp_path / name)


def test_made_in_python_is_checked_too() -> None:
    with pytest.raises(DataError, match=r"catalogue, activities\[0\], key 'skills': unknown skill 't'"):
        Catalog((Skill("s"),), (Activity("a", "", "quiz", ("t",), 1),))
    with pytest.raises(DataError, match="holds no activity"):
        Catalog((Skill("s"),), ())


def test_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "catalog.json"
    catalog = Catalog((Skill("s"),), (Activity("a", "", "quiz", ("s",), 1),))
    catalog.save(path)
    before = path.read_bytes()

    def torn(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:5])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", torn)
    with pytest.raises(OSError, match="disk full"):
        Catalog((Skill("t"),), (Activity("b", "", "quiz", ("t",), 1),)).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
