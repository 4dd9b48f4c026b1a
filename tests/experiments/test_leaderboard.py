"""The leaderboard: what it plays, that it goes on where it stopped, and how it ranks scores worked by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import trailmark.configs
from trailmark.experiments import leaderboard_cell
from trailmark.experiments.build import ConfigError
from trailmark.experiments.leaderboard_cell import Row
from trailmark.experiments.leaderboard_page import markdown, ruling, sentence, write_page
from trailmark.experiments.leaderboard_plan import Cell, Logbook, Profile, Task, available, cells, profile, task
from trailmark.experiments.ranking import rank
from trailmark.experiments.verdict import KINDS

FOLDER = Path(trailmark.configs.__file__).parent / "leaderboard"
WORDS = ("leaderboard", "tiny", "--processes", "1")


@pytest.fixture(scope="module")
def played(desks):
    desk = desks()
    done = desk.call(*WORDS)
    assert (done.status, done.err) == (0, "")
    return desk, done


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "leaderboard" / "tiny" / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_agent_and_baseline_plays_with_every_seed(played) -> None:
    desk, done = played
    rows = table(desk.folder)
    names = {"logged", "random_legal", "random", "fixed_order", "mastery_learning", "weakest_allowed", "gap_per_minute"}
    assert {(row["name"], row["seed"]) for row in rows} == {(n, s) for n in names | {"ppo", "bc"} for s in ("0", "1")}
    assert {row["name"]: row["kind"] for row in rows}["ppo"] == "trained"
    steps = {row["name"]: float(row["learner_steps"]) for row in rows}
    assert steps["ppo"] == 2 * 16 * 12
    assert steps["bc"] == 32 * 12, "for an offline agent, the steps of its log"
    assert steps["random_legal"] == 0
    assert "ppo" in done.out
    folder = desk.folder / "leaderboard" / "tiny"
    assert {path.name for path in folder.iterdir()} == {
        *("results.csv", "leaderboard.html", "leaderboard.md", "leaderboard.json", "run_id")
    }
    found = json.loads((folder / "leaderboard.json").read_text())
    (one,) = found["tasks"]
    by_name = {entry["name"]: entry for entry in one["entries"]}
    scores = [float(row["value"]) for row in rows if row["name"] == "ppo"]
    assert by_name["ppo"]["scores"] == scores
    assert 0 < by_name["random"]["legal_rate"] < 1 == by_name["random_legal"]["legal_rate"]


def test_mlflow_holds_one_finished_run_with_the_table(played) -> None:
    desk, _ = played
    ((run, status),) = desk.query("select run_uuid, status from runs")
    assert status == "FINISHED"
    assert run == (desk.folder / "leaderboard" / "tiny" / "run_id").read_text()
    found = {key: value for key, _, value in desk.metrics(run)}
    assert {"tiny/ppo/value", "tiny/random_legal/value"} <= found.keys()


def test_a_second_call_plays_nothing_again(played, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, _ = played
    before = table(desk.folder)

    def never(cell: Cell) -> Row:
        raise AssertionError(f"played again: {cell}")

    monkeypatch.setattr(leaderboard_cell, "run", never)
    done = desk.call(*WORDS)
    assert (done.status, done.err) == (0, "")
    assert "18 cells, 18 of them already" in done.out
    assert table(desk.folder) == before


def test_what_is_missing_is_played_and_gives_the_same_numbers(played) -> None:
    desk, _ = played
    path = desk.folder / "leaderboard" / "tiny" / "results.csv"
    before = table(desk.folder)
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if ",ppo," not in line and ",gap_per_minute," not in line]
    path.write_text("".join(kept))
    done = desk.call(*WORDS)
    assert "18 cells, 14 of them already" in done.out

    def numbers(rows: list[dict[str, str]]) -> set[tuple[str, ...]]:
        return {(r["name"], r["seed"], r["kind"], r["value"], r["legal_rate"], r["learner_steps"]) for r in rows}

    assert numbers(table(desk.folder)) == numbers(before)


def test_asking_for_less_today_forgets_nothing(played) -> None:
    desk, _ = played
    before = {tuple(row.items()) for row in table(desk.folder)}
    done = desk.call(*WORDS, "--agents", "ppo", "--seeds", "1")
    assert "7 cells, 7 of them already" in done.out
    assert done.out.count("│ bc ") == 0
    assert desk.call(*WORDS).out.count("│ bc ") == 1
    assert {tuple(row.items()) for row in table(desk.folder)} == before


def test_another_budget_is_another_cell() -> None:
    words = cells(profile("tiny"), [task("tiny")])[1]
    other = cells(Profile("x", "x", ("tiny",), ("ppo", "bc"), 2, 20, ("training.cohorts=3",)), [task("tiny")])[1]
    assert not {cell.key for cell in words} & {cell.key for cell in other}
    assert len({cell.key for cell in words}) == len(words) == 18


def test_ceilings_and_single_tasks_may_play_less() -> None:
    plan = Profile("x", "x", ("kss_2018_10", "tiny"), ("ppo_cards", "a2c"), 1, 50, 20, only={"tiny": ["a2c"]})
    made = cells(plan, [task("kss_2018_10"), task("tiny")])[1]
    names = {one: {cell.name for cell in made if cell.task == one} for one in plan.tasks}
    assert {"ppo_cards", "a2c", "beam"} <= names["kss_2018_10"]
    assert names["tiny"] & {"ppo_cards", "a2c"} == {"a2c"}
    learners = {(cell.task, cell.name): cell.learners for cell in made}
    assert learners["kss_2018_10", "ppo_cards"] == learners["kss_2018_10", "random_legal"] == 2000, "the task's own"
    assert learners["kss_2018_10", "beam"] == 20
    assert learners["tiny", "a2c"] == 50


def test_one_agent_may_have_a_budget_of_its_own() -> None:
    budgets = {"tiny": ["training.cohorts=3"], "tiny/ppo": ["training.cohorts=5"]}
    plan = Profile("x", "x", ("tiny",), ("ppo", "a2c", "bc"), 1, 20, budgets=budgets)
    by_name = {cell.name: cell for cell in cells(plan, [task("tiny")])[1]}
    assert leaderboard_cell._composed((*by_name["ppo"].words, *by_name["ppo"].extra), 0).training.cohorts == 5
    assert leaderboard_cell._composed((*by_name["a2c"].words, *by_name["a2c"].extra), 0).training.cohorts == 3
    assert by_name["ppo"].words == by_name["a2c"].words, "one world for both"
    other = cells(
        Profile("x", "x", ("tiny",), ("ppo", "a2c", "bc"), 1, 20, budgets={"tiny": budgets["tiny"]}), [task("tiny")]
    )[1]
    changed = {cell.name for cell in other if cell.settings != by_name[cell.name].settings}
    assert changed == {"ppo"}


def test_only_what_learns_from_the_log_depends_on_it() -> None:
    logs = (Logbook(learners=32), Logbook(learners=64))
    first, second = (
        {
            c.name: c.settings
            for c in cells(Profile("x", "x", ("tiny",), ("ppo", "bc"), 1, 20, log=log), [task("tiny")])[1]
        }
        for log in logs
    )
    assert {name for name in first if first[name] != second[name]} == {"bc", "logged"}


def test_an_agent_sees_as_many_interactions_as_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = leaderboard_cell._trained

    def spy(agent: Any, cfg: Any, world: Any, cell: Cell) -> float:
        seen.append(world.observer.window)
        return real(agent, cfg, world, cell)

    monkeypatch.setattr(leaderboard_cell, "_trained", spy)
    plan = Profile("x", "x", ("tiny",), ("ppo_recurrent", "ppo"), 1, 4, ("training.learners=4", "training.cohorts=1"))
    for cell in cells(plan, [task("tiny")])[1]:
        if not cell.baseline:
            leaderboard_cell._run(cell)
    assert seen == [20, 0]


def test_a_broken_cell_is_told_and_the_others_go_on(desk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = leaderboard_cell._run

    def broken(cell: Cell) -> Row:
        if cell.name == "ppo" and cell.seed == 0:
            raise RuntimeError("no luck\ntoday")
        return real(cell)

    monkeypatch.setattr(leaderboard_cell, "_run", broken)
    done = desk.call(*WORDS)
    assert done.status == 1
    assert "failed: tiny ppo seed 0: RuntimeError: no luck today" in done.out
    assert len(table(desk.folder)) == 18
    found = json.loads((desk.folder / "leaderboard" / "tiny" / "leaderboard.json").read_text())
    assert {e["name"]: len(e["scores"]) for e in found["tasks"][0]["entries"]}["ppo"] == 1
    monkeypatch.setattr(leaderboard_cell, "_run", real)
    done = desk.call(*WORDS)
    assert done.status == 0
    assert "18 cells, 17 of them already" in done.out, "only what failed is tried again"


def test_a_damaged_table_is_not_written_over(desk) -> None:
    path = desk.folder / "leaderboard" / "tiny" / "results.csv"
    path.parent.mkdir(parents=True)
    path.write_text("a,b\n1,2\n")
    done = desk.call(*WORDS)
    assert done.status == 2
    assert "results.csv is no table of this version's leaderboard" in done.err
    assert path.read_text() == "a,b\n1,2\n"
    path.write_text(",".join(Row._fields) + "\n" + "tiny,ppo,zero,x,trained,True,gain,True,1,1,1,1,1,\n")
    assert "line 2" in desk.call(*WORDS).err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["quik"], "no leaderboard profile 'quik'; there are full"),
        (["tiny", "--tasks", "kss_2"], "no leaderboard task 'kss_2'; did you mean kss_20"),
        (["tiny", "--agents", "pppo"], "did you mean agent=ppo"),
        (["tiny", "--set", "training.cohort=3"], "did you mean 'training.cohorts'"),
        (["nobody.yaml"], "log.policy=nobody: task tiny has ['random', 'random_legal'"),
    ],
)
def test_wrong_words_stop_before_anything_is_played(desk, words: list[str], said: str) -> None:
    (desk.folder / "nobody.yaml").write_text("title: x\ntasks: [tiny]\nagents: [bc]\nlog: {policy: nobody}\n")
    done = desk.call("leaderboard", *words)
    assert done.status == 2
    assert said in done.err
    assert not (desk.folder / "leaderboard").exists()


@pytest.mark.parametrize("name", sorted(path.stem for path in (FOLDER / "profile").glob("*.yaml")))
def test_every_profile_names_tasks_that_there_are(name: str) -> None:
    found = profile(name)
    assert [task(one).name for one in found.tasks] == list(found.tasks)
    assert found.seeds >= 1


@pytest.mark.parametrize("name", sorted(path.stem for path in (FOLDER / "task").glob("*.yaml")))
def test_every_task_composes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = task(name)
    monkeypatch.setenv("TRAILMARK_DATA", str(tmp_path))
    if one.data:
        assert available(one) is None, "a task without its data is left out"
        (tmp_path / one.data).mkdir(parents=True)
    here = available(one)
    assert here is not None
    (composed,), made = cells(Profile("p", "p", (name,), ("ppo",), 1), [here])
    assert "random_legal" in composed.baselines, "nothing could be normalised"
    assert [cell.name for cell in made] == [*composed.baselines, "ppo"]


def test_a_misspelt_key_of_a_profile_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("title: x\ntasks: [tiny]\nagents: [ppo]\nseed: 3\n")
    with pytest.raises(ConfigError, match="no key 'seed'; did you mean 'seeds'"):
        profile(str(tmp_path / "mine.yaml"))
    for key in ("budgets: {kss: []}", "only: {kss: []}", "only: {tiny: [dqn]}"):
        (tmp_path / "mine.yaml").write_text(f"title: x\ntasks: [tiny]\nagents: [ppo]\n{key}\n")
        with pytest.raises(ConfigError, match=r"no such task among|dqn is none of the agents"):
            profile(str(tmp_path / "mine.yaml"))
    (tmp_path / "mine.yaml").write_text("title: x\n")
    with pytest.raises(ConfigError, match="tasks"):
        profile(str(tmp_path / "mine.yaml"))


def row(
    name: str, kind: str, seed: int, value: float, task: str = "t", higher: bool = True, guarded: bool = True
) -> Row:
    return Row(task, name, seed, "s", kind, guarded, "gain", higher, value, 1.0, 10.0, 2.0, 1.0)


TASK = Task("t", "The task", ())
PLAN = Profile("p", "p", ("t",), ("ppo",), 2)
SCORES = {
    ("random_legal", "floor"): (1.0, 3.0),
    ("gap", "baseline"): (4.0, 4.0),
    ("random", "floor"): (9.0, 9.0),  # ignores the rules: no honest heuristic
    ("beam", "ceiling"): (10.0, 14.0),
    ("ppo", "trained"): (7.0, 3.5),
}


def rows(higher: bool = True, task: str = "t") -> list[Row]:
    sign = 1.0 if higher else -1.0
    return [
        row(name, kind, seed, sign * value, task, higher, name != "random")
        for (name, kind), values in SCORES.items()
        for seed, value in enumerate(values)
    ]


@pytest.mark.parametrize("higher", [True, False])
def test_scores_lie_between_random_legal_and_the_ceiling(higher: bool) -> None:
    (one,) = rank(rows(higher), [TASK], PLAN)["tasks"]
    by_name = {entry["name"]: entry for entry in one["entries"]}
    assert (one["best_heuristic"], one["ceiling"]) == ("gap", "beam")
    assert by_name["random_legal"]["normalised"]["value"] == pytest.approx(0.0)
    assert by_name["beam"]["normalised"]["value"] == pytest.approx(1.0)
    assert by_name["ppo"]["normalised_scores"] == pytest.approx([0.5, 0.15])
    assert by_name["ppo"]["better"]["value"] == pytest.approx(0.5), "one of two seeds beats the best heuristic"
    assert by_name["gap"]["better"] is None
    assert [entry["name"] for entry in one["entries"]] == ["beam", "random", "ppo", "gap", "random_legal"]


def test_without_a_ceiling_nothing_is_normalised() -> None:
    found = rank([r for r in rows() if r.kind != "ceiling"], [TASK], PLAN)
    (one,) = found["tasks"]
    assert one["ceiling"] is None
    assert all(entry["normalised"] is None for entry in one["entries"])
    assert found["overall"] == {"tasks": [], "left_out": ["t"], "entries": []}


@pytest.mark.parametrize("value", [0.1, 3.0])
@pytest.mark.parametrize("higher", [True, False])
def test_a_ceiling_below_chance_or_a_heuristic_is_none(higher: bool, value: float) -> None:
    level = value if higher else -value  # chance has 2, the heuristic 4
    bad = [r._replace(value=level) if r.name == "beam" else r for r in rows(higher)]
    found = rank(bad, [TASK], PLAN)
    (one,) = found["tasks"]
    assert one["ceiling"] is None
    assert all(entry["normalised"] is None for entry in one["entries"])
    assert found["overall"]["left_out"] == ["t"]


def test_over_all_tasks_only_those_who_played_all_count() -> None:
    both = rows() + rows(False, "u") + [row("late", "trained", seed, 7.0) for seed in range(2)]
    overall = rank(both, [TASK, Task("u", "The other", ())], PLAN)["overall"]
    by_name = {entry["name"]: entry["value"]["value"] for entry in overall["entries"]}
    assert overall["tasks"] == ["t", "u"]
    assert "late" not in by_name
    assert "beam" not in by_name
    assert by_name["ppo"] == pytest.approx((0.5 + 0.15) / 2)
    assert by_name["random_legal"] == pytest.approx(0.0)


@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize(
    ("values", "word", "said"),
    [
        ((5.0, 6.0), "ahead", "Learning pays here: ppo"),
        ((1.0, 3.5), "behind", "Learning does not pay here: no trained agent reaches the best without learning, gap"),
        ((3.0, 7.0), "not told apart", "Nobody can tell the best trained agent, ppo"),
    ],
)
def test_the_board_says_in_words_whether_learning_pays(
    tmp_path: Path, higher: bool, values: tuple[float, ...], word: str, said: str
) -> None:
    sign = 1.0 if higher else -1.0
    mine = [r._replace(value=sign * values[r.seed]) if r.name == "ppo" else r for r in rows(higher)]
    found = rank(mine, [TASK], PLAN)
    short, sentence_ = ruling(found["tasks"][0])
    assert short == word
    assert sentence_.startswith(said)
    assert sentence_ in markdown(found)
    assert f"| {word} |" in markdown(found)
    about = {"created": "2026-01-01", "commit": "c", "command": "trailmark leaderboard p", "missing": []}
    assert sentence_ in write_page({**about, **found}, tmp_path / "page.html").read_text()


def test_the_picture_shows_the_best_trained_agent_and_its_rival(tmp_path: Path) -> None:
    about = {"created": "2026-01-01", "commit": "c", "command": "trailmark leaderboard p", "missing": []}
    other = [r._replace(task="u", kind="baseline") if r.name == "beam" else r._replace(task="u") for r in rows()]
    found = rank(rows() + other, [TASK, Task("u", "The other", ())], PLAN)
    text = write_page({**about, **found}, tmp_path / "page.html").read_text()
    glance = text[text.index('id="glance"') : text.index('id="overall"')]
    assert glance.count('class="kind-trained"') == glance.count('class="kind-baseline"') == 1
    assert "ppo 0.33, without learning 0.20" in glance.replace("PPO", "ppo").replace("t PPO", "t ppo")
    assert "No ceiling is known of u." in glance


def test_who_played_fewer_seeds_is_marked() -> None:
    found = rank([r for r in rows() if (r.name, r.seed) != ("ppo", 1)], [TASK], PLAN)
    assert "| ppo | trained, 1 seed only |" in markdown(found)
    assert markdown(found).count("only |") == 1


def test_the_sentence_counts_unfit_learners_apart() -> None:
    strange = [r._replace(task="u", unfit="no learner") for r in rows()]
    found = rank(rows() + strange, [TASK, Task("u", "The other", ())], PLAN)
    assert sentence(found).endswith(
        "On 0 of 1 task the best trained agent is ahead of the best heuristic; on 1 further task the learners are unfit"
    )
    assert found["overall"]["left_out"] == ["u"]


def test_unfit_learners_are_marked(tmp_path: Path) -> None:
    found = rank([r._replace(unfit="DKT is no learner") for r in rows()], [TASK], PLAN)
    about = {"created": "2026-01-01", "commit": "c", "command": "trailmark leaderboard p", "missing": []}
    text = write_page({**about, **found}, tmp_path / "page.html").read_text()
    assert "Unfit learners: believe nothing of this task. DKT is no learner." in text
    assert "**Unfit learners**: DKT is no learner." in markdown(found)
    assert "| The task (unfit learners) |" in markdown(found)
    assert "nfit learners" not in markdown(rank(rows(), [TASK], PLAN))


def test_the_rival_can_be_named() -> None:
    plan = Profile("p", "p", ("t",), ("ppo",), 2, against="random_legal")
    (one,) = rank(rows(), [TASK], plan)["tasks"]
    assert next(e for e in one["entries"] if e["name"] == "ppo")["better"]["value"] == 1.0
    assert one["best_heuristic"] == "gap"


def test_published_numbers_stand_in_their_place(tmp_path: Path) -> None:
    found = rank(rows(), [Task("t", "The task", (), published={"old": 2.5, "SRC": 9.5})], PLAN)
    (one,) = found["tasks"]
    assert [(paper["name"], paper["normalised"]) for paper in one["published"]] == [("SRC", 0.75), ("old", 0.05)]
    lines = markdown(found).partition("## The task")[2].splitlines()
    assert [line.split("|")[1].strip() for line in lines if line.startswith("| ")][2:] == [
        "beam",
        "SRC",
        "random",
        "ppo",
        "gap",
        "old",
        "random_legal",
    ]
    assert "| SRC | published | 9.5 | 0.75 | – | – | – | – |" in markdown(found)
    about = {"created": "2026-01-01", "commit": "c", "command": "trailmark leaderboard p", "missing": []}
    text = write_page({**about, **found}, tmp_path / "page.html").read_text()
    assert "best published" in text
    assert text.count(KINDS["ceiling"]) > 1, "the legend and the table say what its mark is"
    (worse,) = rank(rows(False), [Task("t", "The task", (), published={"a": -9.0, "b": -2.0})], PLAN)["tasks"]
    assert [paper["name"] for paper in worse["published"]] == ["b", "a"][::-1]


def test_page_and_markdown_say_the_same(tmp_path: Path) -> None:
    found = rank(rows(), [TASK], PLAN)
    about = {"created": "2026-01-01", "commit": "c", "command": "trailmark leaderboard p", "missing": ["far"]}
    text = write_page({**about, **found}, tmp_path / "page.html").read_text()
    assert sentence(found) == "On 0 of 1 task the best trained agent is ahead of the best heuristic"
    for needle in (sentence(found), "The task", "trailmark leaderboard p", "far was left out", "<svg", "ceiling"):
        assert needle in text, needle
    lines = markdown(found).splitlines()
    (ppo,) = [line for line in lines if line.startswith("| ppo | trained")]
    assert ppo.endswith("| 100.0 % | 10 | 2.0 |")
    assert len({line.count("|") for line in lines[lines.index("## The task") :] if line.startswith("|")}) == 1
