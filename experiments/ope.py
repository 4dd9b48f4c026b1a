"""Ope: what a log says about a policy that did not make it (off-policy evaluation), and whether to believe it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..agents.bundle import PolicyBundle
    from .evidence.assess import Assessment, Settings, Table

KEYS = {
    "policy": "a bundle's folder, or a run (its id, the start of one, or `latest`)",
    "log": "a decision log: Parquet or CSV, columns in data/decisions.py; `trailmark simulate-log` writes one",
    "explore": "share of the policy's decisions left to chance, 0 to 1, as in a careful pilot",
    "reward": "the column that says how good a decision turned out",
    "cluster": "the column of who is independent of whom: learner, a class, a cohort",
    "group": "the column of learner groups that must not be overlooked",
    "discount": "of later rewards within a session",
    "confidence": "of every interval",
    "replicates": "of the bootstrap",
    "folds": "of cross-fitting; learners are never split",
    "cells": "of the marginalised estimator",
    "seed": "of folds and bootstrap",
    "to": "a file for all of it as JSON",
    "output": "folder of local runs",
}


def main(words: list[str]) -> None:
    """Run `trailmark ope policy=RUN_OR_BUNDLE log=PATH`."""
    parser = argparse.ArgumentParser(
        "trailmark ope",
        description=__doc__,
        epilog="keys: " + "; ".join(f"{key}: {what}" for key, what in KEYS.items()),
    )
    parser.add_argument("words", nargs="+", metavar="KEY=VALUE", help="such as policy=latest log=decisions.parquet")
    parser.add_argument("--allow", nargs="*", default=[], help="packages outside trailmark whose classes may be built")
    args = parser.parse_args(words)

    import torch

    from ..data.decisions import Decisions
    from ..data.errors import DataError
    from ..envs.pack import PackError
    from .build import ConfigError
    from .compose import complain
    from .console import Console
    from .evidence.assess import assess
    from .evidence.explore import Exploring
    from .evidence.replay import replay
    from .runs import RunError, write_json

    torch.set_num_threads(1)
    console = Console()
    try:
        said = _said(args.words)
        settings = _settings(said)
        bundle = load_bundle(said["policy"], said.get("output", "runs"), args.allow)
        policy = bundle.policy if "explore" not in said else Exploring(bundle.policy, _share(said["explore"]))
        with console.step("read the log"):
            decisions = Decisions.load(said["log"], bundle.observer.catalog)
        for note in decisions.notes:
            console.say(f"  note: {note}")
        with console.step(f"replay {len(decisions):,} decisions through the policy's observer"):
            seen = replay(bundle.observer, policy, decisions)
        with console.step("estimate"):
            found = assess(decisions, seen, bundle.observer, settings)
    except (ConfigError, RunError, DataError, PackError) as error:
        complain(error)
    console.say(f"log {said['log']}: {len(decisions.start) - 1:,} sessions; reward `{settings.reward}`")
    _show(console, found, settings)
    if "to" in said:
        write_json(Path(said["to"]), as_json(found, settings, said))
        console.say(f"all of it: {said['to']}")


def load_bundle(name: str, output: str, allow: Sequence[str]) -> PolicyBundle:
    """Return the bundle in the folder `name`, or that of the run `name`; RunError or PackError when there is none."""
    from ..agents.bundle import PolicyBundle
    from .runs import find

    folder = Path(name)
    if not (folder / "card.json").exists():
        folder = find(output, name).bundle
    return PolicyBundle.load(folder, allow)


def _share(word: str) -> float:
    from .build import ConfigError

    try:
        share = float(word)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise ConfigError(f"explore={word}: say a share, 0 to 1")
    return share


def _said(words: Sequence[str]) -> dict[str, str]:
    from ..data.errors import did_you_mean
    from .build import ConfigError

    said: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise ConfigError(f"{word!r}: say KEY=VALUE, such as policy=latest log=decisions.parquet")
        if key not in KEYS:
            raise ConfigError(f"there is no key {key!r}. {did_you_mean(key, KEYS)}There are: {', '.join(KEYS)}")
        said[key] = value
    for key in ("policy", "log"):
        if key not in said:
            raise ConfigError(f"say {key}=..., {KEYS[key]}")
    return said


def _settings(said: dict[str, str]) -> Settings:
    from .build import ConfigError
    from .evidence.assess import Settings

    least = {"discount": 0.0, "confidence": 0.5, "replicates": 2, "folds": 2, "cells": 1, "seed": 0}
    most = {"discount": 1.0, "confidence": 0.9999}
    given: dict[str, Any] = {}
    for field in fields(Settings):
        if field.name not in said:
            continue
        word = said[field.name]
        plain: Any = {"str": str, "int": int, "float": float}[str(field.type)]
        try:
            value = plain(word)
        except ValueError as error:
            raise ConfigError(f"{field.name}={word}: say a {'whole ' if plain is int else ''}number") from error
        low, high = least.get(field.name), most.get(field.name, float("inf"))
        if low is not None and not low <= value <= high:
            raise ConfigError(f"{field.name}={word}: say {low:g} or more" + (f", at most {high:g}" if high < 2 else ""))
        given[field.name] = value
    return Settings(**given)


def _show(console: Any, found: Assessment, settings: Settings) -> None:
    from rich.table import Table as Grid

    for table in (found.sessions, found.decisions):
        grid = Grid(title=f"Value of {table.title}: {table.verdict.word}")
        for column in ("estimator", "value", f"{settings.confidence:.0%} interval", "bootstrap", "at any time", ""):
            grid.add_column(column, justify="left" if column in ("estimator", "") else "right", no_wrap=True)
        b = table.logged
        grid.add_row("as logged", f"{b.value:.4f}", f"[{b.low:.4f}, {b.high:.4f}]", "", "", "")
        for line in table.lines:
            b, boot = line.bounds, line.boot
            both = [f"[{b.low:.4f}, {b.high:.4f}]", f"[{boot.low:.4f}, {boot.high:.4f}]"]
            anytime = f"[{line.anytime[0]:.4f}, {line.anytime[1]:.4f}]"
            grid.add_row(line.name, f"{b.value:.4f}", *both, anytime, line.note)
        console.show(grid)
        _findings(console, f"Can the value of {table.title} be trusted?", table.findings)
    _findings(console, "Is the log sound?", found.log)
    for group in found.groups:
        own, text = group.value, "insufficient evidence"
        if own is not None and group.gain is not None:
            text = f"{own.value:.4f} [{own.low:.4f}, {own.high:.4f}], {group.gain.value:+.4f} against the log"
        console.say(f"  {settings.group} {group.name}, {group.sessions:,} sessions: {text}")
    console.say(f"verdict on the value of a session: {found.verdict.word.upper()}")


def _findings(console: Any, title: str, findings: Sequence[Any]) -> None:
    console.say(title)
    for finding in sorted(findings, key=lambda f: -f.verdict):
        console.say(f"  {finding.verdict.word:<13} {finding.name}: {finding.says}")


def as_json(found: Assessment, settings: Settings, said: dict[str, str]) -> dict[str, Any]:
    """Return all of an assessment as plain JSON values; what is not finite is null."""

    def table(t: Table) -> dict[str, Any]:
        lines = [asdict(line) for line in t.lines]
        return {
            "verdict": t.verdict.word,
            "logged": asdict(t.logged),
            "estimates": lines,
            "findings": said_of(t.findings),
        }

    def said_of(findings: Sequence[Any]) -> list[dict[str, Any]]:
        return [{"name": f.name, "value": f.value, "verdict": f.verdict.word, "says": f.says} for f in findings]

    content = {
        "schema": 1,
        "policy": said["policy"],
        "log": said["log"],
        "settings": asdict(settings),
        "verdict": found.verdict.word,
        "session": table(found.sessions),
        "decision": table(found.decisions),
        "soundness": said_of(found.log),
        "clusters": found.clusters,
        "groups": [asdict(group) for group in found.groups],
    }
    plain: dict[str, Any] = _plain(content)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return value
