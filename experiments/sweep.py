"""Sweep: the parent run of a multirun, and the comparison that closes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from . import statistics as st
from .runs import commit, now, write_json
from .track import Track


def output(words: list[str]) -> Path:
    """Return the folder of local runs that the words of a command line name."""
    named = [word.split("=", 1)[1] for word in words if word.startswith("output=")]
    return Path(named[-1] if named else "runs")


def begin(several: bool, words: list[str]) -> str:
    """Open the parent run and return its id."""
    name = next((w.split("=", 1)[1] for w in words if w.startswith("experiment=")), "onboarding").split(",")[0]
    track = Track.start(name, "sweep", {"command": " ".join(["trailmark train", *words])}, {"commit": commit()})
    return track.run_id


def finish(parent: str, several: bool, status: str, words: list[str]) -> None:
    """Set the children side by side, write the comparison beside their folders, and close the parent."""
    track = Track.resume(parent)
    found = children(output(words), parent)
    if found:
        compared = compare(found, parent, " ".join(["trailmark train", *words]))
        path = report(compared, output(words) / parent)
        track.artifact(path)
        track.artifact(path.with_suffix(".json"))
        for row in compared["agents"] + compared["baselines"]:
            track.log(0, {f"{row['name']}/{compared['primary']}/iqm": row["iqm"]["value"]})
        show(compared, path)
    track.finish(status)


def children(folder: Path, parent: str) -> list[dict[str, Any]]:
    """Return the evaluations of the finished runs in `folder` that belong to `parent`."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*/evaluation.json"))]
    return [e for e in found if e.get("parent_run_id") == parent]


def compare(found: list[dict[str, Any]], parent: str, command: str) -> dict[str, Any]:
    """Return every agent's primary outcome by seed, with interquartile means and bootstrap intervals over seeds.

    ValueError when the runs do not share one experiment and one primary outcome.
    """
    tasks = {(e["experiment"], e["primary"]) for e in found}
    if len(tasks) > 1:
        raise ValueError(f"runs of different tasks cannot be compared: {sorted(tasks)}")
    first = found[0]
    primary = first["primary"]

    def rows(kinds: tuple[str, ...]) -> list[dict[str, Any]]:
        by_name: dict[str, dict[int, tuple[float, str, str]]] = {}
        for e in found:
            for policy in e["policies"]:
                if policy["kind"] in kinds:
                    entry = (policy["values"][primary]["value"], e["run_id"], policy["kind"])
                    by_name.setdefault(policy["name"], {})[e["seed"]] = entry
        made = []
        for name, seeds in by_name.items():
            scores = [value for value, _, _ in seeds.values()]
            interval = st.stratified_bootstrap(np.array(scores)[:, None], st.iqm, seed=0)
            iqm = {"value": interval.value, "low": interval.low, "high": interval.high}
            runs, kind = [run for _, run, _ in seeds.values()], next(iter(seeds.values()))[2]
            made.append({"name": name, "kind": kind, "seeds": list(seeds), "runs": runs, "scores": scores, "iqm": iqm})
        return made

    agents, baselines = rows(("trained",)), rows(("floor", "baseline"))
    sign = 1.0 if next(o for o in first["outcomes"] if o["name"] == primary)["higher_is_better"] else -1.0
    rivals = sorted(baselines, key=lambda row: -sign * row["iqm"]["value"])[:1]
    improvement = []
    for x in agents:
        for y in [other for other in agents if other["name"] > x["name"]] + rivals:
            p = st.probability_of_improvement(sign * np.array(x["scores"])[:, None], sign * np.array(y["scores"])[:, None], seed=0)
            improvement.append({"x": x["name"], "y": y["name"], "probability": {"value": p.value, "low": p.low, "high": p.high}})
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


def report(compared: dict[str, Any], folder: Path) -> Path:
    """Write comparison.json and comparison.html into `folder`; return the page."""
    from .report import write_comparison

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "comparison.json", compared)
    return write_comparison(compared, folder / "comparison.html")


def show(compared: dict[str, Any], path: Path) -> None:
    """Print the comparison as one short table."""
    import rich.console
    import rich.table

    grid = rich.table.Table(title=f"{compared['experiment']}: {compared['primary']}, interquartile mean over seeds [95%]")
    for column in ("policy", "kind", "seeds", "iqm"):
        grid.add_column(column, justify="left" if column in ("policy", "kind") else "right")
    sign = -1.0 if next(o for o in compared["outcomes"] if o["name"] == compared["primary"])["higher_is_better"] else 1.0
    for row in sorted(compared["agents"] + compared["baselines"], key=lambda r: sign * r["iqm"]["value"]):
        v = row["iqm"]
        grid.add_row(row["name"], row["kind"], str(len(row["seeds"])), f"{v['value']:.4f} [{v['low']:.4f}, {v['high']:.4f}]")
    out = rich.console.Console(highlight=False, soft_wrap=True)
    out.print(grid)
    out.print(f"comparison: {path}", markup=False)
