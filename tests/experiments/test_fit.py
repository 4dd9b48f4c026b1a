"""Fit, end to end: one table on the same rows, what MLflow keeps, going on after a kill, the null test, wrong words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from trailmark.data.sources.sample import Sample
from trailmark.envs import pack
from trailmark.envs.replay import predictions
from trailmark.envs.tracers import dkt

DKT = ("tracer=dkt", "tracer.hidden=8", "tracer.width=8", "tracer.epochs=3", "tracer.rate=0.01", "null=false")


def found(desk) -> dict[str, dict]:
    """Return what every model's folder holds, by label."""
    paths = (desk.folder / "runs" / "fit").glob("*/*/found.json")
    return {one["label"]: one for one in (json.loads(path.read_text()) for path in paths)}


@pytest.fixture(scope="module")
def fitted(desks):
    desk = desks()
    done = desk.call("fit", "-m", "tracer=tally,rasch", "--to", "kept")
    assert (done.status, done.err) == (0, "")
    return desk, done.out


def test_one_table_on_the_same_rows_with_floors(fitted) -> None:
    desk, out = fitted
    assert "tally: fitting to" in out
    table = next((desk.folder / "runs" / "fit").glob("*/table.md")).read_text()
    names = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")][2:]
    assert names == ["tally", "rasch", "floor: constant", "floor: skill mean", "floor: activity mean"]
    one = found(desk)
    assert one["tally"]["rows"] == one["rasch"]["rows"] > 1000
    constant = next(line for line in table.splitlines() if "constant" in line)
    assert "0.5000 [0.500, 0.500]" in constant


def test_the_figures_are_those_of_scikit_learn(fitted) -> None:
    desk, _ = fitted
    log, catalog = Sample().load()
    test = log.split(0, valid=0.0).test
    right = test.frame["correct"].to_numpy() >= 0.5
    for label, one in found(desk).items():
        folder = next((desk.folder / "runs" / "fit").glob(f"*/*-{label}"))
        p = predictions(pack.load(folder / "tracer"), test, catalog).astype(float)
        assert one["metrics"]["auc"]["value"] == pytest.approx(roc_auc_score(right, p), abs=1e-9)
        assert one["metrics"]["log_loss"]["value"] == pytest.approx(log_loss(right, p), abs=1e-9)
        assert all(m["low"] <= m["value"] <= m["high"] for m in one["metrics"].values())
        assert set(one["metrics"]) == {"auc", "first_auc", "later_auc", "log_loss", "accuracy", "ece"}
    best = max(found(desk).values(), key=lambda one: one["metrics"]["auc"]["value"])
    assert type(pack.load(desk.folder / "kept")).__name__ == best["tracer"]


def test_mlflow_keeps_parameters_metrics_digest_and_tracer(fitted) -> None:
    desk, _ = fitted
    (place,) = (desk.folder / "runs" / "fit").iterdir()
    story = json.loads((place / "fit.json").read_text())
    digest = Sample().load()[0].digest()
    for label, run in story["runs"].items():
        assert desk.status(run) == "FINISHED"
        assert desk.tags(run)["data"] == digest
        assert desk.tags(run)["mlflow.parentRunId"] == place.name
        params = dict(desk.query("select key, value from params where run_uuid = ?", run))
        assert params["tracer._target_"].rpartition(".")[2].lower() == label
        metrics = {key: value for key, _, value in desk.metrics(run)}
        assert metrics["auc"] == found(desk)[label]["metrics"]["auc"]["value"]
        assert metrics["auc_low"] < metrics["auc"] < metrics["auc_high"]
        assert list((desk.folder / "mlartifacts").glob(f"{run}/artifacts/tracer/object.json"))
    assert desk.status(place) == "FINISHED"
    assert list((desk.folder / "mlartifacts").glob(f"{place.name}/artifacts/table.csv"))


def test_sound_rows_pass_the_null_test_by_default(fitted) -> None:
    for one in found(fitted[0]).values():
        assert one["null"]["sound"]
        assert abs(one["null"]["auc"] - 0.5) < one["null"]["limit"] < 0.04


@pytest.fixture(scope="module")
def whole(desks):
    desk = desks()
    assert desk.call("fit", *DKT).status == 0
    return desk


def test_a_killed_fit_goes_on_to_the_same_numbers(desk, whole) -> None:
    def trap(patch: pytest.MonkeyPatch) -> None:
        trained, turns = dkt.trained, []

        def stopped(*given):
            for epoch in trained(*given):
                if len(turns) == 2:
                    raise KeyboardInterrupt
                turns.append(epoch)
                yield epoch

        patch.setattr(dkt, "trained", stopped)

    done = desk.doomed(trap, "fit", *DKT)
    assert done.status == 130
    (place,) = (desk.folder / "runs" / "fit").iterdir()
    assert f"go on with: trailmark fit resume={place.name}" in done.out
    assert desk.status(place) == "KILLED"
    assert not list(place.glob("*/found.json"))
    again = desk.call("fit", f"resume={place.name[:8]}")
    assert (again.status, again.err) == (0, "")
    assert "goes on after epoch" in again.out
    assert desk.status(place) == "FINISHED"
    (one,), (other,) = found(desk).values(), found(whole).values()
    assert one["metrics"] == other["metrics"]
    assert one["fit"]["epochs"] == other["fit"]["epochs"]
    assert len(one["fit"]["epochs"]) == 3
    epochs = [(key, step) for key, step, _ in desk.metrics(place) if key == "epoch_loss"]
    assert epochs == [("epoch_loss", 1), ("epoch_loss", 2), ("epoch_loss", 3)]
    assert desk.call("fit", f"resume={place.name}").status == 0, "a finished fit only shows its table again"


def leaky(folder: Path, timed: bool) -> Path:
    """A log with a row for every skill of an answer and no column that says which rows are one answer."""
    rng = np.random.default_rng(0)
    lines = ["learner,skill,correct" + (",timestamp" if timed else "")]
    for learner in range(200):
        for step in range(40):
            first, score = 2 * rng.integers(3), int(rng.random() < 0.7)
            for skill in (first, first + 1):
                lines.append(f"{learner},s{skill},{score}" + (f",{1000 + 60 * step}" if timed else ""))
    path = folder / "leaky.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("timed", [True, False], ids=["timed", "untimed"])
def test_a_leak_is_told_and_fails_the_null_test(desk, timed: bool) -> None:
    path = leaky(desk.folder, timed)
    done = desk.call("fit", *DKT[:-1], "null=true", "source=table", f"source.path={path}", "split.test=0.5")
    assert done.status == 0
    assert "note: LEAK: " in done.out
    assert "FAILS THE NULL TEST" in done.out
    (one,) = found(desk).values()
    assert one["null"]["auc"] > 0.6
    # Only the first row of an answer is judged, where the labels are fair coins of .7: nobody can know them.
    assert one["rows"] == pytest.approx(100 * 40, rel=0.25)
    assert one["metrics"]["auc"]["value"] < 0.55


WRONG = {
    "seed=0,1": "names several values; add -m",
    "-m seed=0,1": "the models of one table share data, split and seed",
    "source=none": "there is nothing to fit to",
    "null=maybe": "null=maybe: say one of auto, true, false",
    "tracer=bktt": "there is no tracer=bktt; did you mean tracer=bkt?",
    "-m tracer=bkt,pffa": "there is no tracer=pffa; did you mean tracer=pfa?",
    "tracer.clases=1": "did you mean 'tracer.classes'?",
    "resume=abc": "no fit 'abc' in runs/fit; there are: none",
    "resume=abc seed=1": "a fit goes on under its own config",
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_words_stop_at_once(desks, words: str) -> None:
    desk = desks()
    done = desk.call("fit", *words.split())
    assert done.status == 2
    assert WRONG[words] in done.err
    assert len(done.err.splitlines()) == 1
    assert not (desk.folder / "runs").exists()


def test_changed_data_are_refused(desks, whole, tmp_path: Path) -> None:
    desk = desks()
    path = tmp_path / "log.csv"
    rng = np.random.default_rng(1)
    rows = [f"{i % 40},s{rng.integers(3)},{rng.integers(2)}" for i in range(800)]
    path.write_text("learner,skill,correct\n" + "\n".join(rows) + "\n")
    words = ("fit", "tracer=tally", "source=table", f"source.path={path}")
    assert desk.call(*words).status == 0
    (place,) = (desk.folder / "runs" / "fit").iterdir()
    path.write_text("learner,skill,correct\n" + "\n".join(rows[:-1]) + "\n")
    done = desk.call("fit", f"resume={place.name}")
    assert done.status == 2
    assert "changed since the fit was started" in done.err
    shutil.rmtree(place)


def test_a_belief_is_fitted_to_what_the_experiments_own_learners_leave(desk) -> None:
    words = ("experiment=onboarding", "tracer=tally", "source.learners=40", "source.steps=20", "null=false")
    done = desk.call("fit", *words)
    assert (done.status, done.err) == (0, "")
    assert len(found(desk)) == 1
    ((kept,),) = desk.query("select value from params where key = 'source.student._target_'")
    assert kept.endswith("SSR")
