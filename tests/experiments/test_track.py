"""The one door to MLflow: batches, fresh stores, artifacts, and no metric twice."""

from __future__ import annotations

import math
import os
import time
import traceback
from pathlib import Path

import pytest
from mlflow import MlflowClient

from trailmark.experiments import track
from trailmark.experiments.runs import RunError
from trailmark.experiments.track import Track


@pytest.fixture
def here(desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(desk.folder)
    return desk


def test_metrics_are_written_in_batches(here, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    real = MlflowClient.log_batch

    def counted(self, run_id, metrics=(), **fields):
        sizes.append(len(metrics))
        return real(self, run_id, metrics=metrics, **fields)

    run = Track.start("e", "r", {}, {})
    monkeypatch.setattr(MlflowClient, "log_batch", counted)
    for step in range(150):
        run.log(step, {"a": step, "b": -step})
    assert sizes == [200]
    assert len(here.metrics(run.run_id)) == 200
    run.flush()
    assert sizes == [200, 100]
    run.flush()
    assert sizes == [200, 100]
    expected = sorted([("a", s, float(s)) for s in range(150)] + [("b", s, float(-s)) for s in range(150)])
    assert here.metrics(run.run_id) == expected


def test_a_thousand_metrics_at_once_are_split(here) -> None:
    run = Track.start("e", "r", {}, {})
    run.log(0, {f"m{i}": i for i in range(1500)})
    assert len(here.metrics(run.run_id)) == 1500


def test_finish_writes_what_was_kept_back(here) -> None:
    run = Track.start("e", "r", {"x": 1}, {"t": "u"})
    assert here.status(run.run_id) == "RUNNING"
    run.log(3, {"a": 0.5})
    run.finish("KILLED")
    assert here.metrics(run.run_id) == [("a", 3, 0.5)]
    assert (here.status(run.run_id), run.status) == ("KILLED", "KILLED")
    assert here.tags(run.run_id)["t"] == "u"


def test_a_run_opened_again_writes_nothing_twice(here) -> None:
    run = Track.start("e", "r", {}, {})
    run.log(1, {"a": 0.1, "b": math.pi})
    run.flush()
    again = Track.resume(run.run_id)
    again.log(1, {"a": 0.1, "b": 3.0})
    again.log(2, {"a": 0.1})
    again.finish("FINISHED")
    # A value that is no longer the same is news; one that is the same is not.
    assert here.metrics(run.run_id) == [("a", 1, 0.1), ("a", 2, 0.1), ("b", 1, 3.0), ("b", 1, math.pi)]


def test_opening_again_changes_nothing_until_it_is_said(here) -> None:
    run = Track.start("e", "r", {}, {})
    run.finish("KILLED")
    before = here.query("select * from runs")
    again = Track.resume(run.run_id)
    assert here.query("select * from runs") == before
    again.again()
    assert here.status(run.run_id) == "RUNNING"


def test_unknown_run(here) -> None:
    with pytest.raises(RunError, match=r"has no run 0123; set MLFLOW_TRACKING_URI"):
        Track.resume("0123")


def test_many_and_long_parameters(here) -> None:
    params = {f"key.{i}": "x" * 7000 if i == 0 else i for i in range(250)}
    run = Track.start("e", "r", params, {})
    found = dict(here.query("select key, value from params where run_uuid = ?", run.run_id))
    assert len(found) == 250
    assert (found["key.0"], found["key.249"]) == ("x" * 6000, "249")


def test_a_start_that_fails_is_marked(here, monkeypatch: pytest.MonkeyPatch) -> None:
    for error, status in ((KeyboardInterrupt, "KILLED"), (OSError, "FAILED")):

        def fall(*_, error=error, **__):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, "log_batch", fall)
            with pytest.raises(error):
                Track.start("e", "r", {"x": 1}, {})
        assert [s for (s,) in here.query("select status from runs")][-1] == status


def test_parents_and_children(here) -> None:
    parent = Track.start("e", "p", {}, {})
    child = Track.start("e", "c", {}, {}, parent.run_id)
    assert (parent.parent, child.parent, Track.resume(child.run_id).parent) == (None, parent.run_id, parent.run_id)
    found = MlflowClient(track.store()).search_runs(
        [e for (e,) in here.query("select cast(experiment_id as text) from experiments where name = 'e'")],
        f"tags.mlflow.parentRunId = '{parent.run_id}'",
    )
    assert [run.info.run_id for run in found] == [child.run_id]


def test_artifacts_lie_beside_the_store(here) -> None:
    (here.folder / "bundle").mkdir()
    (here.folder / "bundle" / "a.json").write_text("1")
    (here.folder / "report.html").write_text("<p>")
    run = Track.start("e", "r", {}, {})
    run.artifact(Path("bundle"))
    run.artifact(Path("report.html"))
    place = here.folder / "mlartifacts" / run.run_id / "artifacts"
    assert sorted(path.relative_to(place).as_posix() for path in place.rglob("*.*")) == ["bundle/a.json", "report.html"]


def test_the_store_is_where_the_environment_says(here, monkeypatch: pytest.MonkeyPatch) -> None:
    assert track.store() == f"sqlite:///{here.folder / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example")
    assert track.store() == "http://tracking.example"


def start_together(folder: Path, i: int) -> None:
    """What each of four processes does: wait for the others, then open a run on a store that does not exist yet."""
    os.chdir(folder)
    (folder / f"ready-{i}").touch()
    while len(list(folder.glob("ready-*"))) < 4:
        time.sleep(0.001)
    run = Track.start("race", f"run-{i}", {"x": 1}, {})
    for step in range(20):
        run.log(step, {"a": step})
    run.finish("FINISHED")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_four_processes_start_on_a_fresh_store(tmp_path: Path) -> None:
    """Without the lock every one of them tries to make the tables, fails, and leaves a store that nobody can use."""
    children = []
    for i in range(4):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                start_together(tmp_path, i)
                status = 0
            except Exception:
                (tmp_path / f"error-{i}").write_text(traceback.format_exc())
            finally:
                os._exit(status)
        children.append(child)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert ends == [0, 0, 0, 0], [path.read_text()[-500:] for path in tmp_path.glob("error-*")]
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert sorted(e.name for e in client.search_experiments()) == ["Default", "race"]
    race = client.get_experiment_by_name("race")
    runs = client.search_runs([race.experiment_id])
    assert sorted(run.info.run_name for run in runs) == [f"run-{i}" for i in range(4)]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert all(len(client.get_metric_history(run.info.run_id, "a")) == 20 for run in runs)
