"""A run that is stopped at any moment goes on and ends with the numbers of one that never was."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from trailmark.agents import linucb, loop, ppo
from trailmark.envs import pack
from trailmark.experiments import build, evaluation, experiment, report, runs, track

WORDS = ("training.cohorts=4", "training.checkpoint_every=2")
AGENTS = ("linucb", "ppo")
Trap = Callable[[pytest.MonkeyPatch], None]


def trap(owner: object, name: str, turn: int, blow: int = signal.SIGKILL) -> Trap:
    """Return what makes the `turn`-th call of `owner.name` send `blow` to its own process."""

    def lay(patch: pytest.MonkeyPatch) -> None:
        real, calls = getattr(owner, name), [0]

        def sprung(*args, **fields):
            calls[0] += 1
            if calls[0] == turn:
                os.kill(os.getpid(), blow)
            return real(*args, **fields)

        patch.setattr(owner, name, sprung)

    return lay


def between_renames(patch: pytest.MonkeyPatch) -> None:
    """Kill the second write of a checkpoint when the old one has been moved away and the new one has not come yet."""
    real, calls = pack._swap, [0]

    def sprung(fresh: Path, folder: Path) -> None:
        calls[0] += 1
        if calls[0] == 3:
            os.replace(folder, folder.with_name(f".{folder.name}.old"))
            os.kill(os.getpid(), signal.SIGKILL)
        real(fresh, folder)

    patch.setattr(pack, "_swap", sprung)


# What had been written by then, and how many of the cohorts a resumed run need not train again.
MOMENTS: dict[str, tuple[Trap, set[str], int]] = {
    "before the fit": (trap(build, "fit_student", 1), set(), 0),
    "while the world is written": (trap(pack, "_swap", 1), set(), 0),
    "before any checkpoint": (trap(experiment.ev, "tracing", 1), {"world"}, 0),
    "while the first checkpoint is written": (trap(pack, "_swap", 2), {"world"}, 0),
    "after the first checkpoint": (trap(loop, "derive", 4), {"world", "checkpoint"}, 2),
    "while the second checkpoint is written": (trap(pack, "_swap", 3), {"world", "checkpoint"}, 2),
    "between two renames": (between_renames, {"world", ".checkpoint.old"}, 2),
    "in the evaluation": (trap(evaluation, "table", 1), {"world", "checkpoint"}, 4),
    "before the report": (trap(report, "write_report", 1), {"world", "checkpoint", "bundle", "evaluation.json"}, 4),
}


@pytest.fixture(scope="module")
def whole(desks):
    """Return a desk with a run of each agent that was never stopped."""
    made = desks()
    return made, {agent: made.train(*WORDS, f"agent={agent}") for agent in AGENTS}


def same_as(desk, run: Path, whole, agent: str, numbers) -> None:
    """Assert that `run` ended as the one of `agent` that was never stopped."""
    home, never_stopped = whole[0], whole[1][agent]
    mine, theirs = numbers(run), numbers(never_stopped)
    assert mine["policies"] == theirs["policies"]
    assert mine["learning_curve"] == theirs["learning_curve"]
    assert mine == theirs
    history, arrays = pack.read(run / "checkpoint")
    expected, expected_arrays = pack.read(never_stopped / "checkpoint")
    assert history == expected
    assert arrays.keys() == expected_arrays.keys()
    assert all(arrays[name].equal(expected_arrays[name]) for name in arrays)
    assert desk.status(run) == "FINISHED"
    assert desk.metrics(run) == home.metrics(never_stopped)


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_run_ends_as_if_never_killed(desk, whole, numbers, moment: str) -> None:
    lay, written, cohorts = MOMENTS[moment]
    agent = "ppo" if cohorts == 2 else "linucb"
    done = desk.doomed(lay, "train", *desk.tiny, *WORDS, f"agent={agent}")
    assert done.status == -signal.SIGKILL
    assert desk.status(desk.run) == "RUNNING"
    names = {"world", "checkpoint", ".checkpoint.old", "bundle", "evaluation.json", "report.html"}
    assert names & set(os.listdir(desk.run)) == written
    again = desk.call("train", f"resume={desk.run.name}")
    assert (again.status, again.err) == (0, "")
    assert ("fit the learners' model" in again.out) == ("world" not in written)
    assert f"train: {4 - cohorts} of 4" in again.out or cohorts == 4
    assert (f"resumed after cohort {cohorts} of 4" in again.out) == (cohorts > 0)
    same_as(desk, desk.run, whole, agent, numbers)


def test_killed_in_mid_cohort(desk, whole, numbers) -> None:
    """LinUCB learns after every step, 12 in a cohort: the thirtieth time is in the third."""
    done = desk.doomed(trap(linucb.LinUCB, "learn", 30), "train", *desk.tiny, *WORDS, "agent=linucb")
    assert done.status == -signal.SIGKILL
    history, _ = pack.read(desk.run / "checkpoint")
    assert history["cohort"] == 2
    assert desk.call("train", f"resume={desk.run.name}").status == 0
    same_as(desk, desk.run, whole, "linucb", numbers)


def test_killed_twice(desk, whole, numbers) -> None:
    assert desk.doomed(trap(ppo.PPO, "learn", 2), "train", *desk.tiny, *WORDS, "agent=ppo").status == -signal.SIGKILL
    name = f"resume={desk.run.name}"
    assert desk.doomed(trap(ppo.PPO, "learn", 4), "train", name).status == -signal.SIGKILL
    assert pack.read(desk.run / "checkpoint")[0]["cohort"] == 2
    assert desk.call("train", name).status == 0
    same_as(desk, desk.run, whole, "ppo", numbers)


def test_killed_between_last_file_and_last_word(desk, whole, numbers) -> None:
    lay = trap(experiment.Experiment, "_store", 1)
    assert desk.doomed(lay, "train", *desk.tiny, *WORDS, "agent=linucb").status == -signal.SIGKILL
    assert (desk.run / "report.html").exists()
    assert desk.status(desk.run) == "RUNNING"
    assert desk.call("train", f"resume={desk.run.name}").status == 0
    assert (desk.folder / "mlartifacts" / desk.run.name / "artifacts" / "report.html").exists()
    history, _ = pack.read(desk.run / "checkpoint")
    assert history["cohort"] == 4
    assert desk.status(desk.run) == "FINISHED"
    assert numbers(desk.run) == numbers(whole[1]["linucb"])


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM])
def test_stopped_run_is_marked_and_whole(desk, whole, numbers, blow: int) -> None:
    done = desk.doomed(trap(ppo.PPO, "learn", 4, blow), "train", *desk.tiny, *WORDS, "agent=ppo")
    assert done.status == 130
    assert f"go on with: trailmark train resume={desk.run.name}" in done.out
    assert "Traceback" not in done.err
    assert desk.status(desk.run) == "KILLED"
    history, state = pack.read(desk.run / "checkpoint")
    assert history["cohort"] == 2
    assert int(state["updates"]) == 2
    assert desk.call("train", f"resume={desk.run.name}").status == 0
    same_as(desk, desk.run, whole, "ppo", numbers)


@pytest.mark.parametrize(
    "moment", [trap(track.Track, "again", 1, signal.SIGINT), trap(experiment, "now", 1, signal.SIGINT)]
)
def test_ctrl_c_before_and_after_training_marks_too(desk, moment: Trap) -> None:
    done = desk.doomed(moment, "train", *desk.tiny, "agent=linucb")
    assert done.status == 130
    assert [s for (s,) in desk.query("select status from runs")] == ["KILLED"]


def test_ctrl_c_in_the_real_program(desk) -> None:
    """Once with the console script, so that signals, exit status and output are those that a person meets."""
    words = [*desk.tiny, "training.cohorts=100000", "training.checkpoint_every=1", "agent=linucb"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    program = subprocess.Popen(
        [desk.script, "train", *words],
        cwd=desk.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells ignore it in background jobs
    )
    assert program.stdout is not None
    while b"check the tracer" not in program.stdout.readline():
        assert program.poll() is None
    while not (desk.run / "checkpoint").exists():
        assert program.poll() is None
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=60)
    assert program.returncode == 130
    assert f"resume={desk.run.name}" in out.decode()
    assert "Traceback" not in err.decode()
    assert desk.status(desk.run) == "KILLED"
    history, _ = pack.read(desk.run / "checkpoint")
    assert 1 <= history["cohort"] < 100000
    assert len(history["return"]) == history["cohort"]


def test_resuming_a_finished_run_changes_nothing(finished) -> None:
    def everything():
        files = {
            path: (path.read_bytes(), path.stat().st_mtime_ns) for path in finished.run.rglob("*") if path.is_file()
        }
        return files, finished.query("select * from runs"), finished.metrics(finished.run)

    before = everything()
    done = finished.call("train", f"resume={finished.run.name}")
    assert (done.status, done.err) == (0, "")
    assert "had already finished" in done.out
    assert "linucb" in done.out
    assert everything() == before


def test_the_start_of_an_id_is_enough(finished) -> None:
    done = finished.call("train", f"resume={finished.run.name[:6]}")
    assert done.status == 0, done.err


def test_an_id_of_digits_stays_text(desk, finished) -> None:
    """`resume=0712` and `resume=1e05` must not be read as numbers."""
    for name in ("0712", "1e05"):
        folder = desk.folder / "runs" / f"{name}{'a' * 28}"
        folder.mkdir(parents=True)
        shutil.copy(finished.run / "config.yaml", folder)
        done = desk.call("train", f"resume={name}")
        assert done.status == 2
        assert f"has no run {folder.name}" in done.err


def test_unknown_run(desk, finished) -> None:
    done = finished.call("train", "resume=zzz")
    assert done.status == 2
    assert "no run 'zzz' in runs" in done.err
    assert finished.run.name[:12] in done.err
    assert len(finished.runs()) == 1
    assert "there are: none" in desk.call("train", "resume=zzz").err


def test_a_run_of_another_store(desk, finished) -> None:
    shutil.copytree(finished.run, desk.folder / "runs" / finished.run.name)
    done = desk.call("train", f"resume={finished.run.name}")
    assert done.status == 2
    assert "MLFLOW_TRACKING_URI" in done.err


def test_killed_before_its_config_was_written(desk) -> None:
    done = desk.doomed(trap(experiment, "write_text", 1), "train", *desk.tiny, "agent=linucb")
    assert done.status == -signal.SIGKILL
    (folder,) = (desk.folder / "runs").iterdir()
    told = desk.call("train", f"resume={folder.name}")
    assert told.status == 2
    assert "stopped before its config was written; start it anew" in told.err
    assert "no finished run" in desk.call("evaluate", "latest").err


def test_a_draft_of_the_config_is_no_config(desk) -> None:
    def lay(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(runs.os, "replace", lambda *_: os.kill(os.getpid(), signal.SIGKILL))

    assert desk.doomed(lay, "train", *desk.tiny, "agent=linucb").status == -signal.SIGKILL
    (folder,) = (desk.folder / "runs").iterdir()
    assert "start it anew" in desk.call("train", f"resume={folder.name}").err


def test_a_damaged_config_is_told(desk, finished) -> None:
    for text in ("", "a: [", "a: 1\n"):
        folder = desk.folder / "runs" / "abc"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(text)
        done = desk.call("train", "resume=abc")
        assert done.status == 2
        assert "start the run anew" in done.err


def test_a_run_goes_on_under_its_own_config(finished) -> None:
    """Other words are welcome as long as they say the same; one that would be ignored is refused."""
    name = f"resume={finished.run.name}"
    assert finished.call("train", *finished.tiny, "agent=linucb", name).status == 0
    done = finished.call("train", *finished.tiny, "agent=linucb", name, "training.cohorts=30")
    assert done.status == 2
    assert "training.cohorts is 3, not 30" in done.err


def test_the_parent_of_a_resumed_child_is_kept(desk) -> None:
    """The environment that named the parent is gone when a person resumes a child of a multirun."""
    words = ("train", "-m", *desk.tiny, "agent=linucb", "seed=0,1")
    done = desk.doomed(trap(evaluation, "table", 2), *words)
    assert done.status == -signal.SIGKILL
    (parent,) = [run for (run,) in desk.query("select distinct value from tags where key = 'mlflow.parentRunId'")]
    (stopped,) = [run for run in desk.runs() if not (run / "report.html").exists()]
    assert desk.call("train", f"resume={stopped.name}").status == 0
    assert runs.Run(stopped).read_evaluation()["parent_run_id"] == parent
    assert desk.call("compare", parent, "--to", "both").status == 0
