"""Promote: the gate between a candidate and all learners; it may answer "not enough evidence"."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .console import Console
    from .evidence.gate import Case
    from .track import Version

IDENTITY = ("digest", "log_digest", "incumbent", "incumbent_explore", "explore")  # of what was judged, and by which log


def main(words: list[str]) -> None:
    """Run `trailmark promote OPE.json`."""
    parser = argparse.ArgumentParser("trailmark promote", description=__doc__)
    parser.add_argument("evidence", help="what `trailmark ope ... to=FILE` wrote, from learners held out of training")
    parser.add_argument(
        "--robustness",
        help="what `trailmark robustness ... --to FILE` wrote; `none` to go without, which the ruling says",
    )
    parser.add_argument("--pilot", help="what `trailmark pilot simulate|monitor ... --to FILE` wrote, if there was one")
    parser.add_argument(
        "--candidates",
        type=int,
        default=1,
        help="how many candidates were compared, this one included; no fewer count than the bundles that rulings on "
        "the same log were about, which the MLflow store (experiment `promotion`) remembers: keep one store for a team",
    )
    parser.add_argument(
        "--margin",
        type=float,
        default=0.0,
        help="by how much it must be better than the incumbent, or than what logged",
    )
    parser.add_argument("--group-floor", type=float, default=0.05, help="how much a learner group may lose")
    parser.add_argument("--alpha", type=float, default=0.05, help="chance of a wrong promotion, over all candidates")
    parser.add_argument("--approver", default="", help="the name of the person who takes responsibility")
    parser.add_argument("--model", help="the registered model whose challenger becomes champion if it is promoted")
    parser.add_argument("--alias", default="challenger", help="the alias of the candidate (default: %(default)s)")
    parser.add_argument("--to", help="a file for the ruling as JSON")
    args = parser.parse_args(words)
    if args.candidates < 1:
        parser.error("--candidates takes 1 or more")

    from dataclasses import asdict, replace

    from .build import ConfigError
    from .compose import complain
    from .console import Console
    from .evidence.gate import Rules, rule
    from .runs import RunError, make_room, now, plain_json
    from .track import earlier, version_at

    console = Console()
    try:
        rules = Rules(args.alpha, args.margin, args.group_floor)
    except ValueError as error:
        parser.error(str(error))
    try:
        if args.to:
            make_room(args.to)
        evidence = _read(args.evidence, "session", "verdict", "clusters", "groups", "gain", "better", *IDENTITY)
        alone = args.robustness == "none"
        matrix = None if alone else _read(args.robustness, "verdict", "candidate", "digest")
        pilot = _read(args.pilot, "plan", "looks", "digest")
        _one_bundle(evidence, args, {"robustness": matrix, "pilot": pilot})
        looks = pilot.get("looks")
        if looks == []:
            raise ConfigError(f"{args.pilot}: nobody has looked at this pilot yet")
        ended = str(looks[-1]["decision"]) if looks else None
        case = replace(_case(evidence, args.approver.strip()), pilot=ended, **_played(matrix))
        chosen = version_at(args.model, args.alias) if args.model else None
        if chosen is not None:
            _same(evidence, args.evidence, chosen)
        before = set(earlier("promotion", {"log_digest": evidence["log_digest"]}, "bundle")) | {evidence["digest"]}
    except (ConfigError, RunError) as error:
        complain(error)
    except (KeyError, TypeError, IndexError, StopIteration, ValueError) as error:
        files = ", ".join(str(name) for name in (args.evidence, args.robustness, args.pilot) if name)
        complain(ConfigError(f"{files}: cannot be ruled on ({type(error).__name__}: {error}); write them anew"))
    candidates = max(args.candidates, len(before))
    notes = list(case.notes)
    if alone:
        notes.append("nobody has seen it among learners of other kinds (--robustness none)")
    if len(before) > 1:
        notes.append(f"{len(before)} bundles have been ruled on with this log, this one included")
    ruling = rule(replace(case, notes=tuple(notes)), candidates, rules)
    console.say(ruling.answer.upper())
    for reason in ruling.reasons:
        console.say(f"  {reason}")
    if ruling.enough:
        console.say(f"  enough would be: {ruling.enough}")
    content = {"schema": 1, "when": now(), "evidence": args.evidence, "robustness": args.robustness}
    content["pilot"] = args.pilot
    content |= {"candidates": candidates, "approver": args.approver.strip(), "rules": asdict(rules)}
    _write(console, plain_json(content | asdict(ruling)), evidence, args.to, chosen)
    if ruling.answer != "promote":
        raise SystemExit(1)


def _read(path: str | None, *keys: str) -> dict[str, Any]:
    from .build import ConfigError

    if path is None:
        return {}
    try:
        content: dict[str, Any] = json.loads(Path(path).read_text())
        missing = [key for key in keys if key not in content]
        if missing:
            raise ValueError(f"it has no {missing[0]!r}")
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: cannot be read as evidence ({error})") from error
    return content


def _same(evidence: dict[str, Any], path: str, chosen: Version) -> None:
    """ConfigError unless the evidence is about the very bundle that would become champion."""
    from .build import ConfigError

    what = f"models:/{chosen.name}/{chosen.number}"
    if evidence.get("explore"):
        raise ConfigError(
            f"{path} judges a policy that leaves {evidence['explore']:.0%} of its decisions to chance, {what} none: "
            "export what you judge (`trailmark export --explore`) and run `trailmark ope` on that folder"
        )
    if not chosen.bundle or evidence.get("digest") != chosen.bundle:
        raise ConfigError(f"{path} is not about {what}: run `trailmark ope` on the folder that was registered")


def _write(
    console: Console, ruling: dict[str, Any], evidence: dict[str, Any], to: str | None, chosen: Version | None
) -> None:
    """Write the ruling to MLflow, then set the alias if it says promote, then the file."""
    import tempfile

    from .runs import write_json
    from .track import Track, crown

    params = {
        "policy": evidence.get("policy", ""),
        "log": evidence.get("log", ""),
        "bundle": evidence["digest"],
        "log_digest": evidence["log_digest"],
    }
    params |= {key: ruling[key] for key in ("evidence", "robustness", "pilot", "candidates", "approver")} | ruling[
        "rules"
    ]
    tags = {"answer": ruling["answer"], "reasons": "; ".join(ruling["reasons"]), "enough": ruling["enough"]}
    tags |= {"model": f"{chosen.name}/{chosen.number}"} if chosen else {}
    track = Track.start("promotion", f"{ruling['answer']}: {evidence.get('policy', '')}", params, tags)
    try:
        track.log(0, {key: ruling[key] for key in ("gain", "lower") if ruling[key] is not None})
        if chosen and ruling["answer"] == "promote":
            before = crown(chosen, ruling["approver"], track.run_id)
            ruling["registry"] = f"models:/{chosen.name}/{chosen.number} is the champion now" + (
                f", in place of version {before} (alias `previous`)" if before else ""
            )
            console.say(f"  {ruling['registry']}")
        ruling["mlflow_run"] = track.run_id
        with tempfile.TemporaryDirectory() as folder:
            write_json(Path(folder) / "ruling.json", ruling)
            track.artifact(Path(folder) / "ruling.json")
    except BaseException:
        track.finish("FAILED")
        raise
    track.finish("FINISHED")
    if to:
        write_json(Path(to), ruling)
        console.say(f"ruling: {to}")


def _one_bundle(evidence: dict[str, Any], args: argparse.Namespace, others: dict[str, dict[str, Any] | None]) -> None:
    """ConfigError unless matrix and pilot are about the very bundle that the evidence is about."""
    from .build import ConfigError

    ways = {
        "robustness": "`trailmark robustness RUN --candidate FOLDER`",
        "pilot": "`trailmark pilot simulate RUN --candidate FOLDER`, or `pilot monitor ... --candidate FOLDER`,",
    }
    for name, content in others.items():
        if content and not (evidence["digest"] and content["digest"] == evidence["digest"]):
            what = "another bundle" if content["digest"] else "no bundle that is known"
            raise ConfigError(
                f"{getattr(args, name)} is about {what}, not about that of {args.evidence}: run {ways[name]} on the "
                "folder that was judged"
            )


def _played(matrix: dict[str, Any] | None) -> dict[str, Any]:
    """What the robustness matrix holds against the candidate, and what it could not exclude; None is no matrix."""
    if matrix is None:  # the person who approves goes without
        return {"flagged": ""}
    if not matrix:
        return {"flagged": None}
    verdict = matrix["verdict"][matrix["candidate"]]
    says = str(verdict["says"])
    return {"flagged": says if verdict["flagged"] else "", "unsure": says if verdict["unsure"] else ""}


def _case(evidence: dict[str, Any], approver: str) -> Case:
    from .build import ConfigError
    from .evidence.finding import Verdict
    from .evidence.gate import Case, Gain

    sign = -1.0 if evidence["better"] == "less" else 1.0

    def gain_of(b: dict[str, Any], clusters: int) -> Gain:
        return Gain(sign * float(b["value"]), float("inf") if b["error"] is None else float(b["error"]), int(clusters))

    found = next(line for line in evidence["session"]["estimates"] if line["name"] == evidence["gain"])
    if found["bounds"]["value"] is None:
        raise ConfigError("the evidence has no value for the candidate: its log does not overlap with what it would do")
    gain = gain_of(found["bounds"], evidence["clusters"])
    groups = {
        group["name"]: None if group["gain"] is None else gain_of(group["gain"], group["clusters"])
        for group in evidence["groups"]
    }
    overlap = next(v for v in Verdict if v.word == evidence["verdict"])
    notes = []
    if not evidence["incumbent"]:
        notes.append(
            "it is compared with what was logged, exploration included, not with an incumbent (ope incumbent=)"
        )
    elif evidence["incumbent_explore"]:
        notes.append(f"the incumbent is taken with {evidence['incumbent_explore']:.0%} of its decisions left to chance")
    if not groups:
        notes.append("no learner groups were looked at: the log names none (ope group=)")
    if evidence["explore"]:
        notes.append(f"judged with {evidence['explore']:.0%} of its decisions left to chance, not the bundle alone")
    return Case(gain, overlap, groups, approver=approver, notes=tuple(notes))
