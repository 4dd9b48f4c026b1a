"""Ranking: the scores of a leaderboard between random-legal (0) and the privileged ceiling (1), with intervals.

Intervals resample seeds within each task (Agarwal et al. 2021); they say nothing of other learners.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import statistics as st
from .leaderboard_plan import LOGGED, RANDOM
from .verdict import policy_title

if TYPE_CHECKING:
    from .leaderboard_cell import Row
    from .leaderboard_plan import Profile, Task

CEILING = "ceiling"


def rank(rows: Sequence[Row], tasks: Sequence[Task], plan: Profile) -> dict[str, Any]:
    """Return every task's entries, best first, and over all tasks those who played each with a known range."""
    ranked = [_task(one, [row for row in rows if row.task == one.name], plan) for one in tasks]
    ranked = [one for one in ranked if one["entries"]]
    return {
        "schema": 1,
        "profile": plan.name,
        "title": plan.title,
        "seeds": plan.seeds,
        "learners": plan.learners,
        "cpu_seconds": sum(row.cpu_seconds for row in rows),
        "tasks": ranked,
        "overall": _overall(ranked),
    }


def _task(task: Task, rows: Sequence[Row], plan: Profile) -> dict[str, Any]:
    by_name: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.seed):
        by_name.setdefault(row.name, []).append(row)
    kinds = {name: mine[0].kind for name, mine in by_name.items()}
    primary = rows[0].primary if rows else ""
    sign = 1.0 if not rows or rows[0].higher_is_better else -1.0
    means = {name: float(np.mean([row.value for row in mine])) for name, mine in by_name.items()}
    honest = [
        name for name in by_name if kinds[name] in ("baseline", "floor") and by_name[name][0].guarded and name != LOGGED
    ]
    best = max(honest, key=lambda name: sign * means[name], default=None)
    rival = plan.against if plan.against in by_name else best
    ceilings = [name for name in by_name if kinds[name] == CEILING]
    ceiling = max(ceilings, key=lambda name: sign * means[name], default=None)
    bounds = None
    if ceiling is not None and best is not None and RANDOM in means:
        above_chance, above_best = (sign * (means[ceiling] - means[name]) for name in (RANDOM, best))
        if above_chance > 0 and above_best >= 0:
            bounds = (means[RANDOM], means[ceiling])
    entries = [_entry(name, mine, by_name.get(rival or ""), sign, bounds) for name, mine in by_name.items()]
    return {
        "name": task.name,
        "title": task.title,
        "primary": primary,
        "higher_is_better": sign > 0,
        "best_heuristic": best,
        "against": rival,
        "ceiling": ceiling if bounds else None,  # what chance or a heuristic beats is none
        "unfit": rows[0].unfit if rows else "",
        "published": [
            {
                "name": name,
                "value": value,
                "normalised": (value - bounds[0]) / (bounds[1] - bounds[0]) if bounds else None,
            }
            for name, value in sorted(task.published.items(), key=lambda item: -sign * item[1])
        ],
        "entries": sorted(entries, key=lambda entry: -sign * entry["value"]["value"]),
    }


def _entry(
    name: str, rows: Sequence[Row], rival: Sequence[Row] | None, sign: float, bounds: tuple[float, float] | None
) -> dict[str, Any]:
    scores = np.array([row.value for row in rows])
    normalised = (scores - bounds[0]) / (bounds[1] - bounds[0]) if bounds else None
    better = None
    if rival and rows[0].kind == "trained":
        theirs = np.array([row.value for row in rival])
        better = _plain(st.probability_of_improvement(sign * scores, sign * theirs, seed=0))
    return {
        "name": name,
        "title": policy_title(name),
        "kind": rows[0].kind,
        "guarded": rows[0].guarded,
        "scores": scores.tolist(),
        "value": _plain(st.stratified_bootstrap(scores, st.iqm, seed=0)),
        "normalised": None if normalised is None else _plain(st.stratified_bootstrap(normalised, st.iqm, seed=0)),
        "normalised_scores": None if normalised is None else normalised.tolist(),
        "better": better,
        "legal_rate": float(np.mean([row.legal_rate for row in rows])),
        "learner_steps": float(np.mean([row.learner_steps for row in rows])),
        "seconds": float(np.mean([row.seconds for row in rows])),
        "cpu_seconds": float(np.mean([row.cpu_seconds for row in rows])),
    }


def _overall(tasks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the interquartile mean of normalised scores over the tasks that have a ceiling and fit learners."""
    ranged = [one for one in tasks if one["ceiling"] is not None and not one["unfit"]]
    tables: dict[str, list[list[float]]] = {}
    kinds: dict[str, str] = {}
    for one in ranged:
        for entry in one["entries"]:
            if entry["normalised_scores"] is not None:
                tables.setdefault(entry["name"], []).append(entry["normalised_scores"])
                kinds[entry["name"]] = entry["kind"]
    entries = []
    for name, columns in tables.items():
        runs = min(map(len, columns))
        if len(columns) == len(ranged) and kinds[name] != CEILING:
            scores = np.array([column[:runs] for column in columns]).T
            value = _plain(st.stratified_bootstrap(scores, st.iqm, seed=0))
            entries.append({"name": name, "title": policy_title(name), "kind": kinds[name], "value": value})
    return {
        "tasks": [one["name"] for one in ranged],
        "left_out": [one["name"] for one in tasks if one not in ranged],
        "entries": sorted(entries, key=lambda entry: -entry["value"]["value"]),
    }


def _plain(interval: st.Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}
