"""Validate: the validity card of some learners, on screen and as a page: what they show, and how far to trust them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from .console import Console


def main(words: list[str]) -> None:
    """Run `trailmark validate`."""
    parser = argparse.ArgumentParser("trailmark validate", description=__doc__)
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="train's keys, such as student=ssr, or tracer=dkt source=sample",
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of participants, such as .2")
    parser.add_argument("--quick", action="store_true", help="leave out what fits or trains again")
    parser.add_argument(
        "--to", type=Path, help="folder for card.json and card.html; runs/validity/NAME where not given"
    )
    args = parser.parse_args(words)
    if not 0 < args.share <= 10:
        parser.error("--share lies above 0, and at most at 10")

    import shlex
    import time

    import torch
    from omegaconf import OmegaConf

    from ..data.errors import DataError
    from .build import ConfigError, check, facts, fit_student
    from .card import Card
    from .card_page import card_page
    from .card_verdict import level, reasons, sentence
    from .compose import complain
    from .console import Console
    from .page import write
    from .runs import commit, now, write_json

    torch.set_num_threads(1)
    console = Console()
    try:
        cfg = _config(args.overrides)
        check(OmegaConf.to_container(cfg.student, resolve=True), cfg.allow)
        known = facts(cfg)
        for note in known.summary.get("notes", []):
            console.say(f"note: {note}")
        with console.step("fit the learners"):
            student = fit_student(cfg.student, known, cfg.allow)
            student.enrol(_few(cfg.seed))
        catalog = student.catalog or known.catalog
        if known.catalog is not None and student.catalog is not None and student.catalog != known.catalog:
            raise ConfigError("these learners bring a catalogue of their own: leave the source away")
        if catalog is None:
            raise ConfigError("no catalogue: choose a source, or a student that brings its own")
    except (ConfigError, DataError) as error:
        complain(error)
    except (ValueError, RuntimeError) as error:
        complain(ConfigError(str(error)))
    started = time.process_time()
    card = Card(student, catalog, known.split, cfg.seed, args.share, not args.quick)
    with console.progress("validate", card.parts) as advance:
        for part in card.measure():
            advance(part)
    tracer = getattr(student, "tracer", None)
    name = type(student).__name__ + (f"({type(tracer).__name__})" if tracer is not None else "")
    found: dict[str, Any] = {
        "schema": 1,
        "student": name,
        "about": (type(student).__doc__ or "").strip().split("\n\n")[0].replace("\n", " "),
        "experiment": "validity",
        "run_id": name,
        "seed": cfg.seed,
        "share": args.share,
        "created": now(),
        "commit": commit(),
        "command": shlex.join(["trailmark", "validate", *words]),
        "config": OmegaConf.to_yaml(cfg.student, resolve=True),
        "data": known.summary,
        **card.found,
    }
    found["verdict"] = {"level": level(found), "sentence": sentence(found), "reasons": reasons(found)}
    _show(console, found)
    own = name.replace("(", "-").rstrip(")") + ("-quick" if args.quick else "")
    folder = args.to or Path(cfg.output) / "validity" / own
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "card.json", found)
        write(card_page(found), folder / "card.html")
    except OSError as error:
        complain(OSError(f"{folder} cannot be written: {error.strerror}"))
    console.say(f"card: {folder / 'card.html'}    {time.process_time() - started:.0f} CPU seconds")


def _config(words: list[str]) -> DictConfig:
    """Return the composed config; learners made by hand need no log, unless one is named."""
    from omegaconf import OmegaConf

    from .build import ConfigError
    from .compose import check as composed
    from .compose import on_a_log

    cfg = composed(on_a_log(words))
    if cfg is None:
        raise ConfigError("say KEY=VALUE, such as student=ssr")
    named = any(word.split("=")[0] in ("source", "experiment") for word in words)
    if not named and OmegaConf.select(cfg, "student.tracer") is None:
        cfg = composed(on_a_log([*words, "source=none"]))
        assert cfg is not None
    return cfg


def _few(seed: int) -> Any:
    from ..envs.rng import Rng

    return Rng.enrol(seed, 0, 2)


def _show(console: Console, found: dict[str, Any]) -> None:
    """Print the card."""
    from rich.table import Table

    from .card_verdict import band, ours

    if found["prediction"]:
        grid = Table(title=f"Prediction of held-out learners ({found['data']['name']})")
        for column in ("model", "AUC", "log loss", "ECE"):
            grid.add_column(column, justify="left" if column == "model" else "right")
        for row in found["prediction"]:
            numbers = [f"{row[key]:.4f}" for key in ("auc", "log_loss", "ece")]
            grid.add_row(row["name"], *numbers, style="bold" if row["own"] else "")
        console.show(grid)
    grid = Table(title=f"Validity gate and sanity: {found['student']}")
    for column in ("check", "number", "ours [95%]", "bar", ""):
        grid.add_column(column, justify="right" if column in ("ours [95%]", "bar") else "left")
    for ruling in found["gate"]:
        if ruling["missing"]:
            grid.add_row(ruling["name"], "", "", "", f"not tried: {ruling['missing']}", style="dim")
        else:
            c = ruling["check"]
            grid.add_row(ruling["name"], c["what"], ours(c), band(c), _word(ruling["passed"]))
    for c in found["sanity"]:
        grid.add_row("sanity", c["what"], ours(c), band(c), _word(c["passed"]))
    telling = found["classifier"]
    if not telling["missing"]:
        a = telling["auc"]
        text = f"{a['value']:.3f} [{a['low']:.3f}, {a['high']:.3f}]"
        grid.add_row(
            "real or simulated", "classifier AUC", text, "aim 0.65", f"most telling: {telling['telling']['name']}"
        )
    console.show(grid)
    tried = [e for e in found["effects"] if not e["missing"]]
    grid = Table(title=f"Published effects: {found['student']}")
    for column in ("", "published", "number", "ours [95%]", "band", ""):
        grid.add_column(column, justify="right" if column in ("ours [95%]", "band") else "left")
    for e in tried:
        wrong = [c for c in e["checks"] if not c["passed"]]
        c = (wrong or e["checks"])[0]
        of = f"{len(e['checks']) - len(wrong)}/{len(e['checks'])}"
        grid.add_row(e["name"], e["published"], c["what"], ours(c), band(c), f"{_word(e['passed'])} {of}")
    if tried:
        console.show(grid)
    for reason in dict.fromkeys(e["missing"] for e in found["effects"] if e["missing"]):
        console.say(
            f"not applicable ({reason}): {', '.join(e['name'] for e in found['effects'] if e['missing'] == reason)}"
        )
    console.say(f"\n{found['verdict']['sentence']}.")
    for reason in found["verdict"]["reasons"]:
        console.say(f"- {reason}")


def _word(passed: bool) -> str:
    return "pass" if passed else "FAIL"
