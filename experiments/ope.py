"""Ope: what a log says about a policy that did not make it (off-policy evaluation), and whether to believe it."""

from __future__ import annotations

import argparse
import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .evidence.assessment import Assessment, Settings, Table
    from .evidence.fairness import Group

KEYS = {
    "policy": "a bundle's folder, or a run (its id, the start of one, or `latest`)",
    "incumbent": "the policy it would replace, a bundle or run: gains are then over it, on one log; else over what was "
    "logged, exploration included",
    "incumbent_explore": "share of the incumbent's decisions left to chance",
    "log": "a decision log: Parquet or CSV, columns in data/decisions.py; `trailmark simulate-log` writes one",
    "explore": "share of the policy's decisions left to chance, 0 to 1, as in a careful pilot",
    "reward": "the column that says how good a decision turned out",
    "better": "more or less of it (default: as Trailmark's outcome of that name, else more)",
    "cluster": "the column of who is independent of whom: learner, a class, a cohort",
    "group": "the column of learner groups that must not be overlooked",
    "outcomes": "further columns to judge by learner group, with commas: learning_gain,time_to_mastery",
    "discount": "of later rewards within a session",
    "limits": "the least and most that a session's reward can be, -1,1: a lower bound by betting that assumes no more",
    "confidence": "of every interval",
    "planned": "learners (clusters) at which the intervals that hold at any time are tightest; settle it before the "
    "first look and keep it (default 1000)",
    "replicates": "of the bootstrap",
    "folds": "of cross-fitting; learners are never split",
    "cells": "of the marginalised estimator",
    "model": "of rewards: ridge, or a class of scikit-learn such as sklearn.ensemble.HistGradientBoostingRegressor",
    "tracer": "whose beliefs the models see, fitted anew to the log (pfa, bkt, ...); the policy's own by default",
    "network": "true: the value of whole sessions by a small network instead of a linear model",
    "seed": "of folds and bootstrap",
    "to": "a file for all of it as JSON, for `trailmark promote` and `trailmark dossier`",
    "page": "a file for all of it as a web page that needs nothing else",
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

    from ..agents.bundle import PolicyBundle
    from ..agents.mixed import Mixed
    from ..data.decisions import Decisions
    from ..data.errors import DataError
    from ..envs.pack import PackError
    from .build import ConfigError
    from .cast import bundle_folder, digest
    from .compose import complain
    from .console import Console
    from .direction import sign_of
    from .evidence.assess import assess
    from .evidence.replay import replay
    from .outcome_choice import reward_model, reward_tracer
    from .runs import RunError, commit, make_room, now, write_json

    torch.set_num_threads(1)
    console = Console()

    def loaded(key: str, explore: str) -> tuple[Path, PolicyBundle, float]:
        folder, share = bundle_folder(said[key], said.get("output", "runs")), _share(explore, said.get(explore, "0"))
        bundle = PolicyBundle.load(folder, args.allow)
        return folder, replace(bundle, policy=Mixed(bundle.policy, share)) if share else bundle, share

    try:
        said = _said(args.words)
        settings = _settings(said)
        sign = sign_of(settings.reward, said.get("better"))
        for key in ("to", "page"):
            if key in said:
                make_room(said[key])
        folder, bundle, explore = loaded("policy", "explore")
        rival = loaded("incumbent", "incumbent_explore") if "incumbent" in said else None
        if rival is None and "incumbent_explore" in said:
            raise ConfigError("incumbent_explore: say incumbent=... with it")
        with console.step("read the log"):
            decisions = Decisions.load(said["log"], bundle.observer.catalog)
        if "group" in said:
            decisions.column(settings.group, "learner groups (group)")
        for note in decisions.notes:
            console.say(f"  note: {note}")
        with console.step(f"replay {len(decisions):,} decisions through the policy's observer"):
            seen = replay(bundle.observer, bundle.policy, decisions)
        others = None
        if rival is not None:
            with console.step("and through the incumbent's"):
                others = replay(rival[1].observer, rival[1].policy, decisions)
        with console.step("estimate"):
            models = reward_model(settings), reward_tracer(settings)
            found = assess(decisions, seen, bundle.observer, settings, *models, others)
    except (ConfigError, RunError, DataError, PackError) as error:
        complain(error)
    console.say(f"log {said['log']}: {len(decisions.start) - 1:,} sessions; reward `{settings.reward}`")
    _show(console, found, settings)
    about = {
        "digest": digest(folder),
        "run": str(bundle.card.get("run_id", "")),
        "experiment": str(bundle.card.get("experiment", "")),
        "explore": explore,
        "incumbent": None if rival is None else {"policy": said["incumbent"], "digest": digest(rival[0])},
        "incumbent_explore": None if rival is None else rival[2],
        "log_digest": hashlib.sha256(Path(said["log"]).read_bytes()).hexdigest(),
        "better": "more" if sign > 0 else "less",
        "created": now(),
        "commit": commit(),
        "command": shlex.join(["trailmark", "ope", *words]),
    }
    content = as_json(found, settings, said) | about
    if "to" in said:
        write_json(Path(said["to"]), content)
        console.say(f"all of it: {said['to']}")
    if "page" in said:
        from .evidence_page import evidence_page
        from .page import write

        console.say(f"as a page: {write(evidence_page(content), Path(said['page']))}")


def _share(key: str, word: str) -> float:
    from .build import ConfigError

    try:
        share = float(word)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise ConfigError(f"{key}={word}: say a share, 0 to 1")
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
    from .evidence.assessment import Settings

    least = {"discount": 0.0, "confidence": 0.5, "planned": 1, "replicates": 2, "folds": 2, "cells": 1}
    least |= {"seed": 0}
    most = {"discount": 1.0, "confidence": 0.9999}
    given: dict[str, Any] = {}
    for field in fields(Settings):
        if field.name not in said:
            continue
        word = said[field.name]
        if field.name == "outcomes":
            given[field.name] = tuple(filter(None, word.split(",")))
            continue
        if field.name == "limits":
            try:
                least_reward, most_reward = map(float, word.split(","))
            except ValueError as error:
                raise ConfigError(f"limits={word}: say the least and the most, such as limits=-1,1") from error
            if not least_reward < most_reward:
                raise ConfigError(f"limits={word}: the least comes first")
            given[field.name] = (least_reward, most_reward)
            continue
        if str(field.type) == "bool":
            if word not in ("true", "false"):
                raise ConfigError(f"{field.name}={word}: say true or false")
            given[field.name] = word == "true"
            continue
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
            left = column in ("estimator", "")
            grid.add_column(column, justify="left" if left else "right", no_wrap=bool(column))
        b = table.logged
        grid.add_row("as logged", f"{b.value:.4f}", f"[{b.low:.4f}, {b.high:.4f}]", "", "", "")
        for line in table.lines:
            b, boot = line.bounds, line.boot
            both = [f"[{b.low:.4f}, {b.high:.4f}]", f"[{boot.low:.4f}, {boot.high:.4f}]"]
            anytime = f"[{line.anytime[0]:.4f}, {line.anytime[1]:.4f}]"
            grid.add_row(line.name, f"{b.value:.4f}", *both, anytime, line.note)
        console.show(grid)
        _findings(console, "Can that be trusted?", table.findings)
    _findings(console, "Is the log sound?", found.log)
    for name, groups in {settings.reward: found.groups, **found.outcomes}.items():
        if groups:
            _groups(console, f"{name} by {settings.group}", groups, settings, found.gain.partition(" ")[2])
    if found.betting is not None:
        console.say(
            f"a session is worth at least {found.betting:.4f} with {settings.confidence:.0%} confidence, however often "
            "one looks, if only the propensities are right (betting)"
        )
    console.say(f"verdict on the value of a session: {found.verdict.word.upper()}")


def _groups(console: Any, title: str, groups: Sequence[Group], settings: Settings, gain: str) -> None:
    from rich.table import Table as Grid

    grid = Grid(title=title)
    for column in ("", "sessions", "as logged", "candidate", f"candidate {gain}, {settings.confidence:.0%}"):
        grid.add_column(column, justify="right" if column else "left")
    for g in groups:
        cells = [
            f"{b.value:.4f} [{b.low:.4f}, {b.high:.4f}]" if b else "insufficient evidence" for b in (g.logged, g.value)
        ]
        gain = f"{g.gain.value:+.4f} [{g.gain.low:+.4f}, {g.gain.high:+.4f}]" if g.gain else "insufficient evidence"
        grid.add_row(g.name, f"{g.sessions:,}", *cells, gain)
    console.show(grid)


def _findings(console: Any, title: str, findings: Sequence[Any]) -> None:
    console.say(title)
    for finding in sorted(findings, key=lambda f: -f.verdict):
        console.say(f"  {finding.verdict.word:<13} {finding.name}: {finding.says}")


def as_json(found: Assessment, settings: Settings, said: dict[str, str]) -> dict[str, Any]:
    """Return all of an assessment as plain JSON values; what is not finite is null."""

    from .runs import plain_json

    def table(t: Table) -> dict[str, Any]:
        lines = [asdict(line) for line in t.lines]
        return {
            "verdict": t.verdict.word,
            "logged": asdict(t.logged),
            "estimates": lines,
            "findings": said_of(t.findings),
            "weights": asdict(t.histogram),
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
        "gain": found.gain,
        "betting": found.betting,
        "groups": [asdict(group) for group in found.groups],
        "outcomes": {name: [asdict(group) for group in groups] for name, groups in found.outcomes.items()},
    }
    plain: dict[str, Any] = plain_json(content)
    return plain
