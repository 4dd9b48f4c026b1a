"""Track: the only file that knows MLflow; runs, metrics in batches, artifacts."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

if TYPE_CHECKING:
    from mlflow import MlflowClient

_EVERY = 200  # metrics kept back before a batch is written
_LONGEST = 6000  # characters MLflow accepts in a parameter


def store() -> str:
    """Return the tracking URI: MLFLOW_TRACKING_URI, or a sqlite file in the working folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def client() -> MlflowClient:
    """Return a client of the store; the database is made under a lock, since two at once would break it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import logging

        logging.getLogger("alembic").setLevel(logging.ERROR)
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        from mlflow import MlflowClient

        uri = store()
        found = MlflowClient(uri)
        if uri.startswith("sqlite"):
            with FileLock(uri.removeprefix("sqlite:///") + ".lock"):
                found.search_experiments(max_results=1)
        return found


def _experiment(found: MlflowClient, name: str) -> str:
    """Return the id of the experiment `name`, made if need be."""
    uri = store()
    if not uri.startswith("sqlite"):
        known = found.get_experiment_by_name(name)
        return str(known.experiment_id if known else found.create_experiment(name))
    database = Path(uri.removeprefix("sqlite:///"))
    with FileLock(f"{database}.lock"):
        known = found.get_experiment_by_name(name)
        if known:
            return str(known.experiment_id)
        return str(found.create_experiment(name, artifact_location=(database.parent / "mlartifacts").as_uri()))


class Track:
    """One MLflow run: metrics are kept back and written in batches, artifacts at once."""

    def __init__(self, found: MlflowClient, run_id: str) -> None:
        """Write to the run `run_id` of the store of `found`."""
        self._client, self.run_id = found, run_id
        self._pending: list[Any] = []

    @staticmethod
    def start(experiment: str, name: str, params: dict[str, Any], tags: dict[str, str], parent: str | None = None) -> Track:
        """Open a new run; `parent` makes it a child in MLflow's pages."""
        from mlflow.entities import Param

        found = client()
        extra = {"mlflow.parentRunId": parent} if parent else {}
        run = found.create_run(_experiment(found, experiment), tags={**tags, **extra}, run_name=name)
        kept = [Param(key, str(value)[:_LONGEST]) for key, value in params.items()]
        for i in range(0, len(kept), 100):
            found.log_batch(run.info.run_id, params=kept[i : i + 100])
        return Track(found, run.info.run_id)

    @staticmethod
    def resume(run_id: str) -> Track:
        """Open a run again that was stopped."""
        found = client()
        found.update_run(run_id, status="RUNNING")
        return Track(found, run_id)

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Keep `metrics` for the next batch."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._pending += [Metric(key, float(value), now, step) for key, value in metrics.items()]
        if len(self._pending) >= _EVERY:
            self.flush()

    def flush(self) -> None:
        """Write all metrics kept back."""
        while self._pending:
            self._client.log_batch(self.run_id, metrics=self._pending[:1000])
            self._pending = self._pending[1000:]

    def tag(self, key: str, value: str) -> None:
        """Set a tag of the run."""
        self._client.set_tag(self.run_id, key, value)

    def artifact(self, path: Path) -> None:
        """Store a file, or a folder under its own name."""
        if path.is_dir():
            self._client.log_artifacts(self.run_id, str(path), path.name)
        else:
            self._client.log_artifact(self.run_id, str(path))

    def finish(self, status: str) -> None:
        """Close the run as FINISHED, FAILED or KILLED."""
        self.flush()
        self._client.set_terminated(self.run_id, status)
