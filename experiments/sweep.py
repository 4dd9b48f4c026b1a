"""Sweep: the parent run of a multirun, and the comparison that closes it."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]

from . import statistics as st
from .runs import commit, now, write_json
from .track import Track

_AGENTS = ("trained",)
_APART = ("seed", "agent.seed", "resume", "output", "allow", "agent_name")  # keys that do not make another agent
_FAILED = "trailmark.failed."


class TaskError(ValueError):
    """Runs that cannot be compared, since they are of different tasks."""


def begin(experiment: str, words: list[str]) -> str:
    """Open the parent run, in the experiment of its first job, and return its id."""
    command = shlex.join(["trailmark", "train", *words])
    return Track.start(experiment, "sweep", {"command": command}, {"commit": commit()}).run_id


def failed(parent: str, job: int, words: list[str], reason: str) -> None:
    """Leave the reason why a job failed with the parent run, which another process may hold."""
    Track.resume(parent).tag(f"{_FAILED}{job}", f"{' '.join(words)}: {reason}"[:5000])


def finish(parent: str, output: str, status: str, words: list[str]) -> str:
    """Set the children side by side, write the comparison beside their folders, and close the parent.

    Returns the parent's status: FAILED when a job has failed, else `status`.
    """
    track = Track.resume(parent)
    faults = [tag for name, tag in sorted(track.tags.items()) if name.startswith(_FAILED)]
    if faults and status == "FINISHED":
        status = "FAILED"
    try:
        found = children(Path(output), parent)
        if found:
            compared = compare(found, parent, shlex.join(["trailmark", "train", *words]))
            path = report(compared, Path(output) / parent)
            track.artifact(path)
            track.artifact(path.with_suffix(".json"))
            for row in compared["agents"] + compared["baselines"]:
                track.log(0, {metric(f"{row['name']}/{compared['primary']}/iqm"): row["iqm"]["value"]})
            show(compared, path)
    except TaskError as error:
        print(f"trailmark: no comparison: {error}", file=sys.stderr)
    except BaseException:
        track.finish("FAILED")
        raise
    track.finish(status)
    for fault in faults:
        print(f"failed: {fault}", file=sys.stderr)
    return status


def children(folder: Path, parent: str) -> list[dict[str, Any]]:
    """Return the evaluations of the finished runs in `folder` that belong to `parent`."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*/evaluation.json"))]
    return [e for e in found if e.get("parent_run_id") == parent]


def metric(name: str) -> str:
    """Return `name` without the characters that MLflow refuses."""
    return re.sub(r"[^\w\-. :/]", "_", name)


def compare(found: list[dict[str, Any]], parent: str, command: str) -> dict[str, Any]:
    """Return every agent's primary outcome by seed, with interquartile means and bootstrap intervals over seeds.

    Runs of one agent and one seed that differ in a key are told apart by it: `ppo rate 0.01`.
    TaskError when the runs do not share one experiment and one primary outcome.
    """
    tasks = {(e["experiment"], e["primary"]) for e in found}
    if len(tasks) > 1:
        raise TaskError(f"runs of different tasks cannot be compared: {sorted(tasks)}")
    found = sorted(found, key=lambda e: (e["policies"][0]["name"], e["seed"]))
    first = found[0]
    primary = first["primary"]

    def rows(kinds: tuple[str, ...]) -> list[dict[str, Any]]:
        by_name: dict[str, dict[int, tuple[float, str, str]]] = {}
        for e, said in zip(found, differences(found, kinds == _AGENTS), strict=True):
            for policy in e["policies"]:
                if policy["kind"] in kinds:
                    entry = (policy["values"][primary]["value"], e["run_id"], policy["kind"])
                    by_name.setdefault(" ".join([policy["name"], *said]), {})[e["seed"]] = entry
        made = []
        for name, seeds in by_name.items():
            scores = [value for value, _, _ in seeds.values()]
            interval = st.stratified_bootstrap(np.array(scores)[:, None], st.iqm, seed=0)
            iqm = {"value": interval.value, "low": interval.low, "high": interval.high}
            runs, kind = [run for _, run, _ in seeds.values()], next(iter(seeds.values()))[2]
            made.append({"name": name, "kind": kind, "seeds": list(seeds), "runs": runs, "scores": scores, "iqm": iqm})
        return made

    agents, baselines = rows(_AGENTS), rows(("floor", "baseline"))
    sign = 1.0 if next(o for o in first["outcomes"] if o["name"] == primary)["higher_is_better"] else -1.0
    rivals = sorted(baselines, key=lambda row: -sign * row["iqm"]["value"])[:1]
    improvement = []
    for x in agents:
        for y in [other for other in agents if other["name"] > x["name"]] + rivals:
            ours, theirs = (sign * np.array(row["scores"])[:, None] for row in (x, y))
            p = st.probability_of_improvement(ours, theirs, seed=0)
            chance = {"value": p.value, "low": p.low, "high": p.high}
            improvement.append({"x": x["name"], "y": y["name"], "probability": chance})
    return {
        "schema": 1,
        "experiment": first["experiment"],
        "parent_run_id": parent,
        "created": now(),
        "commit": first["commit"],
        "command": command,
        "outcomes": first["outcomes"],
        "primary": primary,
        "agents": agents,
        "baselines": baselines,
        "improvement": improvement,
        "config": first["config"],
    }


def differences(found: list[dict[str, Any]], agents: bool) -> list[list[str]]:
    """Return for each run what tells its policies from those of its rivals: runs with the same agent, or all runs."""
    configs = [_leaves(yaml.safe_load(e["config"])) for e in found]
    said = []
    for mine in configs:
        rivals = [c for c in configs if not agents or c.get("agent._target_") == mine.get("agent._target_")]
        keys = [key for key in mine if key not in _APART and (agents or not key.startswith(("agent.", "training.")))]
        varied = [key for key in keys if any(c.get(key) != mine[key] for c in rivals)]
        said.append([f"{key.rsplit('.', 1)[-1]} {mine[key]}" for key in varied])
    return said


def _leaves(node: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(node, dict):
        return {prefix: node}
    pairs = [_leaves(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in node.items()]
    return {key: value for pair in pairs for key, value in pair.items()}


def report(compared: dict[str, Any], folder: Path) -> Path:
    """Write comparison.json and comparison.html into `folder`; return the page."""
    from .comparison import write_comparison

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "comparison.json", compared)
    return write_comparison(compared, folder / "comparison.html")


def show(compared: dict[str, Any], path: Path) -> None:
    """Print the comparison as one short table."""
    import rich.console
    import rich.table

    title = f"{compared['experiment']}: {compared['primary']}, interquartile mean over seeds [95%]"
    grid = rich.table.Table(title=title)
    for column in ("policy", "kind", "seeds", "iqm"):
        grid.add_column(column, justify="left" if column in ("policy", "kind") else "right")
    primary = next(o for o in compared["outcomes"] if o["name"] == compared["primary"])
    sign = -1.0 if primary["higher_is_better"] else 1.0
    for row in sorted(compared["agents"] + compared["baselines"], key=lambda r: sign * r["iqm"]["value"]):
        v = row["iqm"]
        grid.add_row(
            row["name"], row["kind"], str(len(row["seeds"])), f"{v['value']:.4f} [{v['low']:.4f}, {v['high']:.4f}]"
        )
    out = rich.console.Console(highlight=False, soft_wrap=True)
    out.print(grid)
    out.print(f"comparison: {path}", markup=False)
