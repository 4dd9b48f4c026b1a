"""Verbs as a test calls them: in this process where that is enough, in a fork that dies, or as the console script."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import sqlite3
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from trailmark.experiments import cli

PARENT = "TRAILMARK_PARENT_RUN"
SCRIPT = Path(sys.executable).with_name("trailmark")
# The smallest experiment in which every step still has something to do.
TINY = (
    *("experiment=tiny", "horizon=12", "training.learners=16", "training.cohorts=3", "training.evaluate_every=2"),
    *("training.evaluate_learners=10", "evaluation.learners=20", "evaluation.seeds=1", "evaluation.also=null"),
)


@dataclass(frozen=True)
class Done:
    """How a call of the command line ended; a negative status is a signal."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Desk:
    """A working folder with an MLflow store of its own, and what a test does and looks up there."""

    folder: Path
    tiny = TINY
    script = SCRIPT

    def call(self, *words: str) -> Done:
        """Run the command line in this process."""
        out, err = io.StringIO(), io.StringIO()
        status = _run(self.folder, words, out, err)
        return Done(status, out.getvalue(), err.getvalue())

    def train(self, *words: str) -> Path:
        """Run the smallest experiment to its end and return its run's folder."""
        before = set(self.runs())
        done = self.call("train", *TINY, *words)
        assert done.status == 0, done.err
        (made,) = set(self.runs()) - before
        return made

    def doomed(self, prepare: Callable[[pytest.MonkeyPatch], None], *words: str) -> Done:
        """Run the command line in a fork of this process in which `prepare` has laid a trap, and see how it ends."""
        said, complained = self.folder / "fork.out", self.folder / "fork.err"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads
            child = os.fork()
        if child == 0:
            status = 99
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                with said.open("w", buffering=1) as out, complained.open("w", buffering=1) as err:
                    prepare(pytest.MonkeyPatch())
                    status = _run(self.folder, words, out, err)
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        return Done(os.waitstatus_to_exitcode(ended), said.read_text(), complained.read_text())

    def runs(self) -> list[Path]:
        """Return the folders of runs, finished or not."""
        return [path.parent for path in sorted((self.folder / "runs").glob("*/config.yaml"))]

    @property
    def run(self) -> Path:
        """The one run folder there is."""
        (found,) = self.runs()
        return found

    def query(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        """Return rows of the MLflow store, read with plain SQL: our own code is not asked what it wrote."""
        with contextlib.closing(sqlite3.connect(self.folder / "mlflow.db")) as store:
            return store.execute(statement, values).fetchall()

    def status(self, run: Path | str) -> str:
        """Return the status of a run in the MLflow store."""
        ((found,),) = self.query("select status from runs where run_uuid = ?", Path(run).name)
        return str(found)

    def metrics(self, run: Path | str) -> list[tuple[str, int, float]]:
        """Return every metric of a run: key, step, value; one that was written twice stands there twice."""
        return sorted(self.query("select key, step, value from metrics where run_uuid = ?", Path(run).name))

    def tags(self, run: Path | str) -> dict[str, str]:
        """Return the tags of a run in the MLflow store."""
        return dict(self.query("select key, value from tags where run_uuid = ?", Path(run).name))


def _run(folder: Path, words: tuple[str, ...], out: Any, err: Any) -> int:
    handler = signal.getsignal(signal.SIGTERM)
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(sys, "argv", ["trailmark", *words])
        patch.setenv(PARENT, "")
        patch.setenv("COLUMNS", "200")
        stack.enter_context(contextlib.chdir(folder))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        stack.callback(signal.signal, signal.SIGTERM, handler)
        try:
            cli.main()
        except SystemExit as stop:
            return int(stop.code or 0)
        except Exception:
            traceback.print_exc(file=err)
            return 1
    return 0


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty MLflow store, made once: migrating a fresh sqlite file takes seconds."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    path = shared / "template.db"
    with FileLock(shared / "template.lock"):
        if not path.exists():
            from mlflow import MlflowClient

            MlflowClient(f"sqlite:///{shared / 'draft.db'}").search_experiments()
            os.replace(shared / "draft.db", path)
    return path


@pytest.fixture(scope="session")
def desks(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Desk]:
    """Return a maker of desks with an empty store."""

    def make() -> Desk:
        folder = tmp_path_factory.mktemp("desk")
        shutil.copy(database, folder / "mlflow.db")
        return Desk(folder)

    return make


@pytest.fixture
def desk(desks: Callable[[], Desk]) -> Desk:
    """Return a desk of this test's own."""
    return desks()


@pytest.fixture(scope="session")
def finished(desks: Callable[[], Desk]) -> Desk:
    """Return a desk with one finished run of LinUCB; tests may write beside it but change nothing."""
    made = desks()
    made.train("agent=linucb")
    return made


@pytest.fixture(scope="session")
def numbers() -> Callable[[Path], dict[str, Any]]:
    """Return a reader of what a run found, without what tells two runs of one config apart."""

    def read(run: Path) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((run / "evaluation.json").read_text())
        own = ("run_id", "parent_run_id", "created", "commit")
        return {key: value for key, value in found.items() if key not in own}

    return read
