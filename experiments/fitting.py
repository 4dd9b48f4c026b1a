"""Fitting: one tracer fitted in a folder of its own, judged, tracked in MLflow; goes on after a kill."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from . import held_out
from .runs import commit, now, write_json

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ..data.catalog import Catalog
    from ..data.log import Log
    from ..envs.tracer import Tracer
    from .build import Facts
    from .console import Console
    from .statistics import Interval
    from .track import Track

CHEAP = 10.0  # CPU seconds of a fit up to which the null test is made without being asked
ENOUGH = 2_000_000  # rows likewise: the test holds all of them in memory
NULL_LIMIT = 0.01  # how far from .50 an AUC on labels by chance may be; more where chance alone goes further


class Epoch(Protocol):
    """What is known after one epoch of a training."""

    @property
    def number(self) -> int: ...
    @property
    def loss(self) -> float: ...
    @property
    def score(self) -> float: ...
    @property
    def stale(self) -> int: ...


@runtime_checkable
class ByEpochs(Protocol):
    """A tracer that is trained epoch by epoch and can go on from a checkpoint; `fit` goes on there too."""

    @property
    def checkpoint(self) -> str | None: ...

    def epochs_of(self, log: Log, catalog: Catalog) -> Iterator[Epoch]: ...


@dataclass(frozen=True, eq=False)
class Task:
    """What every model of a table shares: whom it is fitted to, whom it is judged on."""

    known: Facts
    catalog: Catalog
    fitted_to: Log  # all learners but those of the test part; `split` says who may choose an epoch
    judged_on: Log
    judged: held_out.Judged
    seed: int

    @staticmethod
    def of(known: Facts, seed: int) -> Task:
        """Return the task of a data set that has a split."""
        assert known.split is not None
        assert known.catalog is not None
        split = known.split
        return Task(
            known,
            known.catalog,
            split.train.joined({"train": split.train, "valid": split.valid}),
            split.test,
            held_out.Judged.of(split.test, known.catalog),
            seed,
        )

    def whole(self) -> Log:
        """Return all learners, with that split."""
        return self.fitted_to.joined({"train": self.fitted_to, "test": self.judged_on})


def fitted(
    task: Task, cfg: DictConfig, label: str, folder: Path, track: Track | None, console: Console, null: str
) -> dict[str, Any]:
    """Fit the tracer of `cfg` and return what was found, which is also written to folder/found.json, and to `track`.

    null: "auto" makes the null test where the fit is cheap, "true" always, "false" never.
    """
    from ..envs import pack
    from .build import make

    done = folder / "found.json"
    if done.exists():
        found: dict[str, Any] = json.loads(done.read_text())
        return found
    folder.mkdir(parents=True, exist_ok=True)
    tracer = make(cfg.tracer, cfg.allow)
    console.say(f"{label}: fitting to {len(task.fitted_to):,} answers of {len(task.fitted_to.learners):,} learners")
    model, spent, epochs = _fit(tracer, task, label, folder, track, console)
    pack.save(model, folder / "tracer")
    metrics = _judge(model, task)
    found = {
        "schema": 1,
        "label": label,
        "tracer": type(model).__name__,
        "rows": len(task.judged.rows),
        "learners": task.judged.learners,
        "metrics": {name: asdict(interval) for name, interval in metrics.items()},
        "fit": {
            "cpu_seconds": spent,
            "rows": len(task.fitted_to),
            "learners": len(task.fitted_to.learners),
            "epochs": epochs,
        },
        "null": None,
        "data": task.known.summary,
        "seed": task.seed,
        "commit": commit(),
        "created": now(),
    }
    if null == "true" or (null == "auto" and spent <= CHEAP and len(task.fitted_to) <= ENOUGH):
        found["null"] = _null(tracer, task, label, console)
    write_json(done, found)
    if track is not None:
        track.log(0, {name: interval.value for name, interval in metrics.items()})
        track.log(0, {f"{name}_{end}": getattr(i, end) for name, i in metrics.items() for end in ("low", "high")})
        track.log(0, {"fit_cpu_seconds": spent} | ({"null_auc": found["null"]["auc"]} if found["null"] else {}))
        track.artifact(folder / "tracer")
        track.artifact(done)
    return found


def _fit(
    tracer: Tracer, task: Task, label: str, folder: Path, track: Track | None, console: Console
) -> tuple[Tracer, float, list[dict[str, float]]]:
    """Return the fitted tracer, the CPU seconds it took over all attempts, and what each epoch showed."""
    clock = folder / "clock.json"
    before: dict[str, Any] = json.loads(clock.read_text()) if clock.exists() else {"cpu_seconds": 0.0, "epochs": []}
    started = time.process_time()
    epochs: list[dict[str, float]] = before["epochs"]
    if isinstance(tracer, ByEpochs):
        kept = tracer.checkpoint or str(folder / "checkpoint")
        plan: Any = tracer
        tracer = plan = replace(plan, checkpoint=kept)
        if epochs and Path(kept).exists():
            console.say(f"{label}: goes on after epoch {len(epochs)}")
        for epoch in plan.epochs_of(task.fitted_to, task.catalog):
            seen = {"number": epoch.number, "loss": epoch.loss, "valid": epoch.score}
            if epoch.number > len(epochs):
                epochs.append(seen)
            spent = before["cpu_seconds"] + time.process_time() - started
            if track is not None:
                track.log(epoch.number, {"epoch_loss": epoch.loss, "epoch_valid": epoch.score})
                track.flush()
            write_json(clock, {"cpu_seconds": spent, "epochs": epochs})
            best = "best so far" if epoch.stale == 0 else f"no better for {epoch.stale}"
            console.say(
                f"{label}: epoch {epoch.number}  loss {epoch.loss:.4f}  validation {epoch.score:.4f}, {best}  "
                f"{spent:.1f} CPU s"
            )
    model = tracer.fit(task.fitted_to, task.catalog)
    return model, before["cpu_seconds"] + time.process_time() - started, epochs


def _judge(model: Tracer, task: Task) -> dict[str, Interval]:
    from ..envs.replay import predictions

    return held_out.scores(task.judged, predictions(model, task.judged_on, task.catalog))


def _null(tracer: Tracer, task: Task, label: str, console: Console) -> dict[str, Any]:
    """Return the AUC on labels by chance, one per answer, and how far from .50 chance alone may bring it."""
    from ..data.leak import answers_of
    from ..envs.validity.null import null_auc

    whole = task.whole()
    answers = answers_of(whole.sequences(task.catalog))
    area = null_auc(tracer, whole, task.catalog, task.seed, answers.number)
    limit = max(NULL_LIMIT, 3.0 / (3.0 * max(1, len(task.judged.rows))) ** 0.5)
    sound = abs(area - 0.5) <= limit
    if not sound:
        console.say(
            f"note: {label} FAILS THE NULL TEST: AUC {area:.3f} on labels made by chance, one per answer, where only "
            f".500 +- {limit:.3f} can be. Some rows give the label of others away; merge rows that are one answer"
        )
    return {"auc": area, "limit": limit, "sound": sound}
