"""Promote: the gate between a candidate and all learners; it may answer "not enough evidence"."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def main(words: list[str]) -> None:
    """Run `trailmark promote OPE.json`."""
    parser = argparse.ArgumentParser("trailmark promote", description=__doc__)
    parser.add_argument("evidence", help="what `trailmark ope ... to=FILE` wrote, from learners held out of training")
    parser.add_argument("--robustness", help="what `trailmark robustness ... --to FILE` wrote")
    parser.add_argument(
        "--candidates", type=int, default=1, help="how many candidates were compared, this one included"
    )
    parser.add_argument("--margin", type=float, default=0.0, help="by how much it must be better than what logged")
    parser.add_argument("--group-floor", type=float, default=0.05, help="how much a learner group may lose")
    parser.add_argument("--alpha", type=float, default=0.05, help="chance of a wrong promotion, over all candidates")
    parser.add_argument("--approver", default="", help="the name of the person who takes responsibility")
    parser.add_argument("--to", help="a file for the ruling as JSON")
    args = parser.parse_args(words)
    if args.candidates < 1 or not 0 < args.alpha < 0.5:
        parser.error("--candidates takes 1 or more, --alpha lies between 0 and .5")

    from dataclasses import asdict

    from .build import ConfigError
    from .compose import complain
    from .console import Console
    from .evidence.gate import Rules, rule
    from .runs import now, write_json

    console = Console()
    try:
        case = _case(_read(args.evidence, "session"), _read(args.robustness, "verdict"), args.approver)
    except ConfigError as error:
        complain(error)
    rules = Rules(args.alpha, args.margin, args.group_floor)
    ruling = rule(case, args.candidates, rules)
    console.say(ruling.answer.upper())
    for reason in ruling.reasons:
        console.say(f"  {reason}")
    if ruling.enough:
        console.say(f"  enough would be: {ruling.enough}")
    if args.to:
        content = {"schema": 1, "when": now(), "evidence": args.evidence, "robustness": args.robustness}
        content |= {"candidates": args.candidates, "approver": args.approver, "rules": asdict(rules)}
        write_json(Path(args.to), content | asdict(ruling))
        console.say(f"ruling: {args.to}")
    if ruling.answer != "promote":
        raise SystemExit(1)


def _read(path: str | None, key: str) -> dict[str, Any]:
    from .build import ConfigError

    if path is None:
        return {}
    try:
        content: dict[str, Any] = json.loads(Path(path).read_text())
        if key not in content:
            raise ValueError(f"it has no {key!r}")
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: cannot be read as evidence ({error})") from error
    return content


def _case(evidence: dict[str, Any], matrix: dict[str, Any], approver: str) -> Any:
    from .build import ConfigError
    from .evidence.finding import Verdict
    from .evidence.gate import Case, Gain

    found = next(line for line in evidence["session"]["estimates"] if line["name"] == "WDR minus log")
    if found["bounds"]["value"] is None:
        raise ConfigError("the evidence has no value for the candidate: its log does not overlap with what it would do")
    clusters = int(evidence["clusters"])
    gain = Gain(found["bounds"]["value"], found["bounds"]["error"], clusters)
    groups: dict[str, Gain | None] = {}
    for group in evidence["groups"]:
        b = group["gain"]
        groups[group["name"]] = None if b is None else Gain(b["value"], b["error"], group["sessions"])
    elsewhere = {}
    for name, verdict in matrix.get("verdict", {}).items():
        if name == matrix["candidate"] and verdict["flagged"]:
            elsewhere[verdict["says"]] = float(verdict["worst_away"])
    overlap = next(v for v in Verdict if v.word == evidence["verdict"])
    return Case(gain, overlap, groups, elsewhere, approver)
