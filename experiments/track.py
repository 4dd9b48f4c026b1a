"""Track: the only file that knows MLflow; runs, metrics in batches, artifacts."""

from __future__ import annotations

import contextlib
import os
import re
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock

from .runs import RunError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_EVERY = 200  # metrics kept back before a batch is written
_UNFIT = re.compile(r"[^\w\-. /:]")  # what MLflow refuses in the name of a metric
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

        uri, database = store(), _database()
        if database is None:
            return MlflowClient(uri)
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{database}.lock"):  # the constructor itself makes the tables
            return MlflowClient(uri)


def _database() -> Path | None:
    """Return the sqlite file of the store, if it is one."""
    uri = store()
    return Path(uri.removeprefix("sqlite:///")).resolve() if uri.startswith("sqlite:///") else None


def _experiment(found: MlflowClient, name: str) -> str:
    """Return the id of the experiment `name`, made if need be."""
    database = _database()
    if database is None:
        known = found.get_experiment_by_name(name)
        return str(known.experiment_id if known else found.create_experiment(name))
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
        self._written: set[tuple[str, int, float]] = set()  # what the run held when it was opened again

    @staticmethod
    def start(
        experiment: str, name: str, params: dict[str, Any], tags: dict[str, str], parent: str | None = None
    ) -> Track:
        """Open a new run; `parent` makes it a child in MLflow's pages."""
        from mlflow.entities import Param

        found = client()
        extra = {"mlflow.parentRunId": parent} if parent else {}
        run = found.create_run(_experiment(found, experiment), tags={**tags, **extra}, run_name=name)
        track = Track(found, run.info.run_id)
        kept = [Param(key, str(value)[:_LONGEST]) for key, value in params.items()]
        try:
            for i in range(0, len(kept), 100):
                found.log_batch(track.run_id, params=kept[i : i + 100])
        except BaseException as error:
            track.finish("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            raise
        return track

    @staticmethod
    def resume(run_id: str) -> Track:
        """Open a run again, as it is; RunError when the store has no such run."""
        from mlflow.exceptions import MlflowException

        found = client()
        try:
            run = found.get_run(run_id)
        except MlflowException as error:
            raise RunError(
                f"{store()} has no run {run_id}; set MLFLOW_TRACKING_URI to the store that it was started with"
            ) from error
        track = Track(found, run_id)
        for key in run.data.metrics:
            track._written |= {(m.key, m.step, m.value) for m in found.get_metric_history(run_id, key)}
        return track

    @property
    def status(self) -> str:
        """RUNNING, FINISHED, FAILED or KILLED, as the store has it."""
        return str(self._client.get_run(self.run_id).info.status)

    @property
    def tags(self) -> dict[str, str]:
        """All tags of the run."""
        return dict(self._client.get_run(self.run_id).data.tags)

    @property
    def parent(self) -> str | None:
        """The run of the multirun that this one belongs to."""
        return self.tags.get("mlflow.parentRunId")

    def again(self) -> None:
        """Mark a stopped run as running."""
        self._client.update_run(self.run_id, status="RUNNING")

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Keep `metrics` for the next batch; what the run held already, before it was stopped, is not written twice."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        named = {_UNFIT.sub("_", key): float(value) for key, value in metrics.items()}
        fresh = {key: value for key, value in named.items() if (key, step, value) not in self._written}
        self._pending += [Metric(key, value, now, step) for key, value in fresh.items()]
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
        try:
            self.flush()
        finally:
            self._client.set_terminated(self.run_id, status)


def register(folder: Path, name: str, alias: str | None, run_id: str | None = None) -> int:
    """Register the exported bundle in `folder` as a version of the model `name` and return the version.

    It is logged as a pyfunc with a tensor signature; `alias` ("challenger", "champion") then points to it.
    """
    from importlib import resources
    from importlib.metadata import version

    from .serving.engine import Engine, Happening

    engine = Engine.load(folder)
    feed = engine.feed(engine.blank, [Happening()])
    known = client()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        def specs(arrays: dict[str, Any]) -> Schema:
            return Schema([TensorSpec(value.dtype, (-1, *value.shape[1:]), key) for key, value in arrays.items()])

        answers = dict(zip(engine.outputs, engine.session.run(None, feed), strict=True))
        before = os.environ.get("MLFLOW_TRACKING_URI")  # MLflow would keep ours for the whole process
        mlflow.set_tracking_uri(store())
        try:
            model = mlflow.pyfunc.log_model(
                name="policy",
                python_model=str(resources.files("trailmark.experiments.serving").joinpath("pyfunc_code.py")),
                artifacts={"bundle": str(folder)},
                signature=ModelSignature(specs(feed), specs(answers)),
                pip_requirements=[f"{package}=={version(package)}" for package in ("mlflow", "numpy", "onnxruntime")],
                registered_model_name=name,
                metadata={"bundle": engine.digest, "run": run_id or ""},
            )
        finally:
            mlflow.set_tracking_uri(None)  # type: ignore[arg-type, unused-ignore]
            if before is not None:
                os.environ["MLFLOW_TRACKING_URI"] = before
    number = int(model.registered_model_version)
    known.set_model_version_tag(name, str(number), "trailmark.bundle", engine.digest)
    if alias:
        known.set_registered_model_alias(name, alias, str(number))
    return number


class Version(NamedTuple):
    """One version of a registered model."""

    name: str
    number: int
    bundle: str  # the digest of its bundle, "" where it was not registered by `trailmark export`


def version_at(name: str, alias: str) -> Version:
    """Return the version of the model `name` that `alias` points to; RunError when there is none."""
    from mlflow.exceptions import MlflowException

    try:
        found = client().get_model_version_by_alias(name, alias)
    except MlflowException as error:
        way = f"register one: trailmark export RUN --to FOLDER --register {name} --alias {alias}"
        raise RunError(f"{store()} has no model {name!r} with the alias {alias!r}; {way}") from error
    return Version(name, int(found.version), str(found.tags.get("trailmark.bundle", "")))


def crown(chosen: Version, approver: str, ruling: str) -> int | None:
    """Make a version the champion, on the word of `approver` and the ruling of run `ruling`; return the one before.

    The version before stays at hand under the alias `previous`, to go back to. ValueError without an approver.
    """
    from mlflow.exceptions import MlflowException

    if not approver:
        raise ValueError("nobody has approved it: name the person who takes responsibility")
    known, number = client(), str(chosen.number)
    before: int | None = None
    with contextlib.suppress(MlflowException):  # there may be none yet
        before = int(known.get_model_version_by_alias(chosen.name, "champion").version)
    known.set_model_version_tag(chosen.name, number, "trailmark.approver", approver)
    known.set_model_version_tag(chosen.name, number, "trailmark.ruling", ruling)
    if before is not None and before != chosen.number:
        known.set_registered_model_alias(chosen.name, "previous", str(before))
    known.set_registered_model_alias(chosen.name, "champion", number)
    return before if before != chosen.number else None


def earlier(experiment: str, params: dict[str, str], wanted: str) -> list[str]:
    """Return the parameter `wanted` of every finished run of `experiment` whose parameters are `params`."""
    known = client()
    found = known.get_experiment_by_name(experiment)
    if found is None:
        return []
    out: list[str] = []
    token = None
    while True:
        page = known.search_runs([found.experiment_id], "attributes.status = 'FINISHED'", page_token=token)
        kept = [run.data.params for run in page if wanted in run.data.params]
        out += [str(one[wanted]) for one in kept if all(one.get(key) == value for key, value in params.items())]
        token = page.token
        if not token:
            return out
