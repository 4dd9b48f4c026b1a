"""Bench tracing: every tracer on the public data sets beside what others reached; goes on where it was stopped."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .tracing_anchors import ANCHORS, DATA, Anchor

if TYPE_CHECKING:
    from .console import Console
    from .fitting import Task
    from .grid import Grid

HEADER = (
    *("data\nmodel", "AUC\n[95%]", "AUC but\n1st row", "bar", "others", "best\nfloor", "log loss", "ECE", "null"),
    *("fit\nCPU s", "an\nepoch", "others' CPU s"),
)
ASIDE = ("log loss", "ECE", "null")  # columns that only the files have


def main(words: list[str]) -> None:
    """Run `trailmark bench tracing`."""
    parser = argparse.ArgumentParser("trailmark bench tracing", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the data sets; else TRAILMARK_DATA, else ../shared/data")
    parser.add_argument("--only", help="these tracers alone, such as bkt,pfa; one without figures runs on every set")
    parser.add_argument("--on", help=f"these data sets alone, of {','.join([*DATA, 'reviews'])}")
    parser.add_argument("--to", type=Path, default=Path("runs/bench-tracing"), help="folder of rows and tables")
    parser.add_argument("--again", action="store_true", help="make rows anew that are there already")
    parser.add_argument("--null", choices=("auto", "true", "false"), default="auto", help="as in trailmark fit")
    args = parser.parse_args(words)

    from ..data.errors import DataError
    from .build import ConfigError
    from .compose import complain

    try:
        _run(args)
    except (ConfigError, DataError, ValueError) as error:
        complain(error)


def _run(args: argparse.Namespace) -> None:
    import torch

    from .build import ConfigError
    from .console import Console
    from .runs import write_text

    torch.set_num_threads(1)
    home = args.data or Path(os.environ.get("TRAILMARK_DATA") or "../shared/data")
    if not home.is_dir():
        raise ConfigError(f"no data sets in {home}; name their folder with --data")
    tracers = args.only.split(",") if args.only else None
    sets = args.on.split(",") if args.on else [*DATA, "reviews"]
    unknown = [name for name in sets if name not in DATA and name != "reviews"]
    if unknown:
        raise ConfigError(f"no data set {unknown[0]!r}; there are: {', '.join([*DATA, 'reviews'])}")
    console = Console()
    rows: list[list[str]] = []
    for name in (name for name in DATA if name in sets):
        rows += _rows(name, tracers, home, args, console)
    tables = [_grid(rows)] if rows else []
    if "reviews" in sets and (home / "srs_reviews").is_dir():
        from .bench_reviews import reviews

        tables.append(reviews(home / "srs_reviews", tracers))
    args.to.mkdir(parents=True, exist_ok=True)
    for number, grid in enumerate(tables):
        console.show(grid.rich(ASIDE))
        write_text(args.to / f"table{number or ''}.csv", grid.csv())
    write_text(args.to / "table.md", "\n".join(f"{grid.title}\n\n{grid.markdown()}" for grid in tables))
    console.say(f"written: {args.to / 'table.md'}")


def _chosen(data: str, tracers: list[str] | None) -> list[Anchor]:
    """Return the rows of a data set whose tracer has a yaml; a tracer asked for that has no figures gets a row."""
    from ..configs import __file__ as here
    from .build import ConfigError

    there = {path.stem for path in (Path(here).parent / "tracer").glob("*.yaml")}
    for name in tracers or ():
        if name not in there:
            raise ConfigError(f"no tracer {name!r}; there are: {', '.join(sorted(there))}")
    wanted = there if tracers is None else set(tracers)
    known = [anchor for anchor in ANCHORS if anchor.data == data and anchor.tracer in wanted & there]
    spare = [name for name in tracers or () if all(anchor.tracer != name for anchor in ANCHORS)]
    return known + [Anchor(data, name) for name in spare]


def _rows(
    data: str, tracers: list[str] | None, home: Path, args: argparse.Namespace, console: Console
) -> list[list[str]]:
    from .build import facts
    from .compose import check as composed
    from .fitting import Task

    anchors = _chosen(data, tracers)
    words = [word.format(data=home) for word in DATA[data].words]
    paths = [Path(word.partition("=")[2]) for word in words if word.startswith("source.path=")]
    if not anchors or not all(path.exists() for path in paths):
        for path in paths if anchors else ():
            console.say(f"{data}: left out, there is no {path}")
        return []
    cfg = composed(words)
    assert cfg is not None
    task = Task.of(facts(cfg), cfg.seed)
    beneath = _best_floor(task)
    return [_row(anchor, task, words, beneath, args, console) for anchor in anchors]


def _best_floor(task: Task) -> float:
    from . import prediction_metrics as pm
    from .held_out import floors

    rows = task.judged.rows
    beneath = floors(task.fitted_to, task.judged_on, task.catalog)
    return max(pm.auc(task.judged.right, p[rows]) for p in beneath.values())


def _row(
    anchor: Anchor, task: Task, words: list[str], beneath: float, args: argparse.Namespace, console: Console
) -> list[str]:
    import shutil

    from omegaconf import OmegaConf

    from .build import check
    from .compose import check as composed
    from .fitting import fitted

    cfg = composed([*words, f"tracer={anchor.tracer}", *(f"tracer.{word}" for word in anchor.words)])
    assert cfg is not None
    check(OmegaConf.to_container(cfg.tracer, resolve=True), cfg.allow)
    label = " ".join([anchor.tracer, *anchor.words])
    folder = args.to / f"{anchor.data}-{label.replace(' ', '-')}"
    if args.again and folder.exists():
        shutil.rmtree(folder)
    return _cells(anchor, label, fitted(task, cfg, label, folder, None, console, args.null), beneath)


def _cells(anchor: Anchor, label: str, found: dict[str, Any], beneath: float) -> list[str]:
    from .grid import between

    metrics, fit, null = found["metrics"], found["fit"], found["null"]
    reached = metrics[anchor.on]["value"]
    verdict = ""
    if anchor.bar is not None:
        verdict = f"{anchor.bar:.4f}\n" + ("reached" if round(reached, 4) >= anchor.bar else "SHORT")
    epochs = len(fit["epochs"])
    return [
        f"{anchor.data}\n{label}",
        between(**metrics["auc"]),
        between(**metrics["later_auc"]) if "later_auc" in metrics else "-",
        verdict,
        "\n".join(f"{auc:.4f} {whose}" for auc, whose in anchor.reached),
        f"{beneath:.4f}",
        between(**metrics["log_loss"]),
        f"{metrics['ece']['value']:.4f}",
        "-" if null is None else f"{null['auc']:.3f}" + ("" if null["sound"] else " FAILS"),
        f"{fit['cpu_seconds']:.1f}",
        f"{fit['cpu_seconds'] / epochs:.1f}" if epochs else "",
        "\n".join(f"{seconds:g} {what}" for seconds, what in anchor.seconds),
    ]


def _grid(rows: list[list[str]]) -> Grid:
    from .grid import of

    title = "Learners never seen in fitting, the same rows for all models of a data set. * = on other rows or splits"
    return of(title, HEADER, rows)
