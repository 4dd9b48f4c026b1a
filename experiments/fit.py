"""Fit: one tracer to a log's training learners, judged on learners it never saw, beside the floors."""

from __future__ import annotations

import argparse
from pathlib import Path


def main(words: list[str]) -> None:
    """Run `trailmark fit`."""
    parser = argparse.ArgumentParser("trailmark fit", description=__doc__)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="train's keys, such as tracer=pfa seed=1")
    parser.add_argument("--to", type=Path, help="folder to save the fitted tracer in")
    args = parser.parse_args(words)

    import time

    import torch
    from rich.table import Table

    from ..data.errors import DataError
    from ..envs import pack
    from . import evaluation as ev
    from .build import ConfigError, check, facts, make
    from .compose import check as composed
    from .compose import complain
    from .console import Console

    torch.set_num_threads(1)
    console = Console()
    try:
        cfg = composed(args.overrides)
        if cfg is None or not cfg.source:
            raise ConfigError("there is nothing to fit to: choose a source")
        from omegaconf import OmegaConf

        check(OmegaConf.to_container(cfg.tracer, resolve=True), cfg.allow)
        known = facts(cfg)
    except (ConfigError, DataError) as error:
        complain(error)
    assert known.split is not None
    assert known.catalog is not None
    train, test = known.split.train, known.split.test
    for note in known.summary["notes"]:
        console.say(f"note: {note}")
    started = time.process_time()
    tracer = make(cfg.tracer, cfg.allow).fit(train, known.catalog)
    spent = time.process_time() - started
    found = ev.tracing(tracer, train, test, known.catalog)
    if not found:
        complain(ConfigError("the learners kept for judging answered all alike; change split.test or seed"))
    grid = Table(
        title=f"{known.name}: {found['rows']:,} answers of {found['learners']:,} learners never seen in fitting"
    )
    for column in ("model", "AUC [95%]", "log loss", "accuracy", "ECE"):
        grid.add_column(column, justify="left" if column == "model" else "right")
    area = found["auc"]
    between = f"{area['value']:.4f} [{area['low']:.4f}, {area['high']:.4f}]"
    numbers = [f"{found[key]:.4f}" for key in ("log_loss", "accuracy", "ece")]
    grid.add_row(found["name"], between, *numbers)
    for name, floor in found["floors"].items():
        grid.add_row(f"floor: {name}", f"{floor['auc']:.4f}", f"{floor['log_loss']:.4f}", "", "")
    console.show(grid)
    console.say(f"fitted to {len(train):,} answers of {len(train.learners):,} learners in {spent:.1f} CPU seconds")
    if args.to:
        pack.save(tracer, args.to)
        console.say(f"saved: {args.to}")
