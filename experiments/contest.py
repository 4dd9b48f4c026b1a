"""Contest: several tracers fitted one after the other to one task; a folder and an MLflow run, a child run for each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from . import held_out
from .console import Console
from .experiment import _flatten as flatten
from .fitting import Task, fitted
from .grid import Grid, between, of
from .runs import commit, write_json, write_text
from .track import Track, store

HEADER = (
    *("model", "AUC\n[95%]", "first try\nAUC", "AUC but\n1st row", "log loss", "accuracy", "ECE", "null", "fit\nCPU s"),
)


@dataclass(frozen=True, eq=False)
class Contest:
    """One call of `trailmark fit`; `run()` goes on where a stopped one ended."""

    task: Task
    jobs: dict[str, DictConfig]  # by what the table calls the model
    null: str
    place: Path
    story: dict[str, Any]  # the command's words, the data's digest, the run of each model
    track: Track
    console: Console

    @staticmethod
    def begin(task: Task, jobs: dict[str, DictConfig], null: str, command: dict[str, Any], console: Console) -> Contest:
        """Open a folder and a run."""
        first, cfg = next(iter(jobs.items()))
        title = first if len(jobs) == 1 else f"{len(jobs)} models"
        track = _open(task, cfg, title, None)
        place = Path(cfg.output) / "fit" / track.run_id
        place.mkdir(parents=True)
        runs = {first: track.run_id} if len(jobs) == 1 else {}
        story = {"schema": 1, **command, "digest": task.known.summary["digest"], "runs": runs}
        write_json(place / "fit.json", story)
        return Contest(task, jobs, null, place, story, track, console)

    @staticmethod
    def again(task: Task, jobs: dict[str, DictConfig], null: str, place: Path, console: Console) -> Contest:
        """Open the folder and the run of a fit that was stopped."""
        track = Track.resume(place.name)
        track.again()
        return Contest(task, jobs, null, place, json.loads((place / "fit.json").read_text()), track, console)

    def folder(self, label: str) -> Path:
        """Return the folder of a model."""
        return self.place / f"{list(self.jobs).index(label)}-{label.split()[0]}"

    def run(self) -> dict[str, dict[str, Any]]:
        """Fit all models, show and write the table, and return what was found of each."""
        self.console.say(f"fit {self.place.name}")
        status = "FAILED"
        try:
            found = {label: self._one(label, cfg) for label, cfg in self.jobs.items()}
            grid = self._grid(found)
            write_text(self.place / "table.md", f"{grid.title}\n\n{grid.markdown()}")
            write_text(self.place / "table.csv", grid.csv())
            for name in ("fit.json", "table.md", "table.csv"):
                self.track.artifact(self.place / name)
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            self.console.say(f"stopped; go on with: trailmark fit resume={self.place.name}")
            raise
        finally:
            self.track.finish(status)
        self.console.show(grid.rich())
        self.console.say(f"{self.place}    mlflow ui --backend-store-uri {store()}")
        return found

    def _one(self, label: str, cfg: DictConfig) -> dict[str, Any]:
        """Fit one model; of several, each has a run of its own under the contest's."""
        if len(self.jobs) == 1:
            return fitted(self.task, cfg, label, self.folder(label), self.track, self.console, self.null)
        if label in self.story["runs"]:
            track = Track.resume(self.story["runs"][label])
            track.again()
        else:
            track = _open(self.task, cfg, label, self.track.run_id)
            self.story["runs"][label] = track.run_id
            write_json(self.place / "fit.json", self.story)
        status = "FAILED"
        try:
            found = fitted(self.task, cfg, label, self.folder(label), track, self.console, self.null)
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            track.finish(status)
        return found

    def _grid(self, found: dict[str, dict[str, Any]]) -> Grid:
        """Return the table of all models and the floors."""
        task, judged = self.task, self.task.judged
        rows = []
        for label, one in found.items():
            null = one["null"]
            said = "-" if null is None else f"{null['auc']:.3f}" + ("" if null["sound"] else " FAILS")
            rows.append([label, *cells(one["metrics"]), said, f"{one['fit']['cpu_seconds']:.1f}"])
        for name, p in held_out.floors(task.fitted_to, task.judged_on, task.catalog).items():
            metrics = {key: asdict(value) for key, value in held_out.scores(judged, p).items()}
            rows.append([f"floor: {name}", *cells(metrics), "", ""])
        title = f"{task.known.name}: {len(judged.rows):,} answers of {judged.learners:,} learners never seen in fitting"
        return of(title, HEADER, rows)


def cells(metrics: dict[str, Any]) -> list[str]:
    """Return every metric of the table with its interval."""
    return [between(**metrics[name]) if name in metrics else "-" for name in held_out.METRICS]


def _open(task: Task, cfg: DictConfig, title: str, parent: str | None) -> Track:
    whole = OmegaConf.to_container(cfg, resolve=True)  # parts refer to others: lived logs to the student
    assert isinstance(whole, dict)
    plain = {key: whole[key] for key in ("tracer", "source", "split", "seed")}
    tags = {"commit": commit(), "data": task.known.summary["digest"], "seed": str(cfg.seed), "verb": "fit"}
    return Track.start("fit", f"{title} on {task.known.name}", flatten(plain), tags, parent)
