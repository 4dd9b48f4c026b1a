"""Bench: the first word chooses, and the table of tracers goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from trailmark.configs import __file__ as configs
from trailmark.experiments import bench_steps, bench_tracing, fitting
from trailmark.experiments.tracing_anchors import ANCHORS, DATA


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a small log in Gervet's format where ASSISTments 2009 would be, and nothing else."""
    folder = tmp_path_factory.mktemp("data")
    place = folder / "assist2009" / "gervet"
    place.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, learners in (("train", range(60)), ("test", range(60, 90))):
        lines = ["user_id\titem_id\ttimestamp\tcorrect\tskill_id"]
        for learner in learners:
            ability = rng.normal()
            for _ in range(20):
                skill = rng.integers(3)
                right = rng.random() < 1 / (1 + np.exp(-ability - skill + 1))
                lines.append(f"{learner}\t{skill}\t0\t{int(right)}\t{skill}")
        (place / f"{part}.tsv").write_text("\n".join(lines) + "\n")
    np.savez(place / "q_mat.npz", indices=np.arange(3), indptr=np.arange(4), shape=np.array([3, 3]), data=np.ones(3))
    return folder


def test_help_names_every_bench(desk) -> None:
    done = desk.call("bench", "--help")
    assert done.status == 0
    assert all(f"\n  {name} " in done.out for name in ("steps", "tracing"))


def test_an_unknown_bench_is_told(desk) -> None:
    done = desk.call("bench", "tracng")
    assert done.status == 2
    assert "no bench 'tracng'; did you mean 'tracing'?" in done.err


def test_without_a_word_it_is_steps(desk, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []
    monkeypatch.setattr(bench_steps, "main", given.append)
    assert desk.call("bench", "--seconds", "0.1").status == 0
    assert desk.call("bench", "steps", "--sizes", "2").status == 0
    assert desk.call("bench").status == 0
    assert given == [["--seconds", "0.1"], ["--sizes", "2"], []]


def test_the_table_is_written_and_rows_are_made_once(desk, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("bench", "tracing", "--data", str(home), "--only", "bkt,rasch")
    done = desk.call(*words)
    assert (done.status, done.err) == (0, "")
    assert "assist2015: left out" in done.out
    table = (desk.folder / "runs" / "bench-tracing" / "table.md").read_text()
    names = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| assist")]
    assert names == [
        *("assist2009 bkt classes=1", "assist2009 bkt"),
        *("assist2009-items rasch online=false", "assist2009-items rasch"),
    ]
    first = next(line for line in table.splitlines() if "classes=1" in line)
    assert "0.7156 pyBKT 1.4.3" in first
    assert "3.1 pyBKT, C++ 435 pyBKT, wheel" in first
    assert ("0.7156 reached" in first) != ("0.7156 SHORT" in first)
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "_fit", lambda *_: pytest.fail("a finished row was made again"))
        assert desk.call(*words).status == 0
    assert (desk.folder / "runs" / "bench-tracing" / "table.md").read_text() == table
    made: list[str] = []

    def counted(*given):
        made.append(given[2])
        return fit(*given)

    fit = fitting._fit
    monkeypatch.setattr(fitting, "_fit", counted)
    assert desk.call(*words, "--again", "--on", "assist2009").status == 0
    assert made == ["bkt classes=1", "bkt"]


def test_a_tracer_without_published_figures_gets_a_row_on_every_set(desk, home: Path) -> None:
    done = desk.call("bench", "tracing", "--data", str(home), "--only", "tally")
    assert done.status == 0
    assert list((desk.folder / "runs" / "bench-tracing").glob("assist2009-tally/found.json"))
    assert list((desk.folder / "runs" / "bench-tracing").glob("assist2009-items-tally/found.json"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--only", "bkkt"), "no tracer 'bkkt'; there are: "),
        (("--on", "assist2019"), "no data set 'assist2019'; there are: assist2009"),
        (("--data", "nowhere"), "no data sets in nowhere; name their folder with --data"),
    ],
)
def test_wrong_words(desk, home: Path, words: tuple[str, ...], said: str) -> None:
    done = desk.call("bench", "tracing", "--data", str(home), *words)
    assert done.status == 2
    assert said in done.err


def test_anchors_name_data_and_settings_that_there_are() -> None:
    for anchor in ANCHORS:
        assert anchor.data in DATA
        assert anchor.on in ("auc", "later_auc")
        path = Path(configs).parent / "tracer" / f"{anchor.tracer}.yaml"
        if path.exists():
            keys = yaml.safe_load(path.read_text())
            assert all(word.partition("=")[0] in keys for word in anchor.words)
    assert {anchor.tracer for anchor in bench_tracing._chosen("assist2009", None)} >= {"bkt", "pfa", "dkt"}


def test_one_persons_reviews(real_data: Path) -> None:
    from trailmark.experiments.bench_reviews import reviews

    grid = reviews(real_data / "srs_reviews", ["none"])
    assert grid.rows[-1][0] == "floor: constant"
    assert grid.rows[-1][2] == "1,337 reviews"


def test_the_python_learner_of_the_agents_bench_lives_as_ours_do() -> None:
    """Random allowed activities: the same mean return, or SB3 and we would not race on one task."""
    from trailmark.agents.baselines import RandomLegal
    from trailmark.agents.loop import play
    from trailmark.experiments.bench_env import PythonBKT, dense_world

    world, chance = dense_world(), np.random.default_rng(0)
    ours = play(world, RandomLegal(world.observer.space), 0, 400).values["learning_gain"].numpy() * 50
    env, returns = PythonBKT(world, 0), []
    for _ in range(150):
        first, _ = env.reset()
        assert first.shape == env.observation_space.shape
        ended, total = False, 0.0
        while not ended:
            _, reward, ended, _, _ = env.step(chance.choice(np.flatnonzero(env.action_masks())))
            total += reward
        returns.append(total)
    error = np.sqrt(np.var(ours) / len(ours) + np.var(returns) / len(returns))
    assert abs(np.mean(returns) - ours.mean()) < 4.0 * error
    assert error < 0.3


def test_the_agents_bench_prints_every_seed_and_a_median(desk) -> None:
    words = ("--only", "float32", "--seeds", "2", "--seconds", "0.1", "--limit", "0.1", "--target", "3")
    done = desk.call("bench", "agents", *words)
    assert done.status == 0
    assert "RandomLegal" in done.out
    assert done.out.count("Trailmark PPO, 512 learners, seed") == 2
