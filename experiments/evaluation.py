"""Evaluation: policies played on fresh learners, beside floors and baselines, with intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..agents.agent import Policy
from ..agents.bundle import reasons_for
from ..agents.loop import Play, live, play
from ..agents.privileged import Privileged
from ..data.catalog import Catalog
from ..data.log import Log
from ..envs.classroom import Classroom, World
from ..envs.replay import predictions
from ..envs.rng import derive
from ..envs.student import Student
from . import held_out
from . import statistics as st
from .verdict import policy_title

if TYPE_CHECKING:
    from ..envs.tracer import Tracer

Contestants = dict[str, tuple[str, Policy | Privileged]]  # name -> (kind, policy)


def populations(seed: int, n: int) -> list[int]:
    """Return the seeds of `n` populations of fresh learners; none is a training population."""
    return [derive(seed, "evaluate", i) for i in range(n)]


def contest(
    world: World, contestants: Contestants, seeds: list[int], learners: int
) -> Iterator[tuple[str, list[Play]]]:
    """Yield each contestant's plays, one per population; all meet the same learners with the same luck."""
    for name, (_, policy) in contestants.items():
        yield name, [play(world, policy, seed, learners) for seed in seeds]


def table(world: World, contestants: Contestants, plays: dict[str, list[Play]], primary: str) -> list[dict[str, Any]]:
    """Return one row per contestant: its outcomes with intervals over learners, its distance to the best heuristic."""
    best = best_heuristic(world, contestants, plays, primary)
    rows = []
    for name, (kind, _) in contestants.items():
        values = {outcome: interval(learners(plays[name], outcome)) for outcome in world.outcomes}
        difference = None
        if kind == "trained" and best is not None:
            pairs = st.paired_difference(learners(plays[name], primary), learners(plays[best], primary), seed=0)
            difference = {"against": best, "value": pairs.value, "low": pairs.low, "high": pairs.high}
        rows.append(
            {
                "name": name,
                "title": policy_title(name),
                "kind": kind,
                "values": values,
                "difference": difference,
                "legal_rate": _ratio(plays[name], "legal"),
                "handover_rate": _ratio(plays[name], "handovers"),
                "minutes": float(np.mean([p.minutes.mean().item() for p in plays[name]])),
                "steps": float(np.mean([p.steps.mean().item() for p in plays[name]])),
                "seed_values": [float(p.values[primary].mean()) for p in plays[name]],
                "mastery_by_step": _mastery(plays[name]),
            }
        )
    return rows


def best_heuristic(world: World, contestants: Contestants, plays: dict[str, list[Play]], primary: str) -> str | None:
    """Return the name of the baseline that does best on `primary`, floors that keep the rules included.

    Ceilings see what no recommender can, so they are no heuristics.
    """
    sign = 1.0 if world.outcomes[primary].higher_is_better else -1.0
    honest = [n for n, (kind, policy) in contestants.items() if kind in ("baseline", "floor") and policy.guarded]
    return max(honest, key=lambda name: sign * learners(plays[name], primary).mean(), default=None)


def heldout(world: World, policy: Policy, seed: int, learners: int, primary: str) -> dict[str, float]:
    """Return the primary outcome of `policy` on held-out learners, with its interval."""
    values = play(world, policy, derive(seed, "heldout"), learners).values[primary].double().numpy()
    return interval(values)


def elsewhere(world: World, student: Student) -> World:
    """Return the same task with learners of another kind; the observer still believes what it was fitted to."""
    return replace(world, student=student)


def who(world: World) -> str:
    """Return the kind of learners of `world`, with the tracer that they answer by, if any."""
    tracer = getattr(world.student, "tracer", None)
    name = type(world.student).__name__
    return f"{name}({type(tracer).__name__})" if tracer is not None else name


def pathway(world: World, name: str, policy: Policy | Privileged, seed: int) -> dict[str, Any]:
    """Return the pathway of the first learner of population `seed`, step by step, with truth and reasons."""
    room = Classroom(world, seed, 0, 1, guarded=policy.guarded)
    catalog, student = world.observer.catalog, world.student
    goal = student.context(room.start).goal[0] > 0
    steps: list[dict[str, Any]] = []
    record, before = room.record, student.mastery(room.state)[0]
    for seen, probabilities, action, moment in live(room, policy):
        index = int(action[0])
        activity = catalog.activities[index]
        after = student.mastery(room.state)[0]
        changed = max(
            (catalog.skill_index[s] for s in activity.skills),
            key=lambda k: (bool(goal[k]), float(after[k] - before[k])),
        )
        steps.append(
            {
                "step": len(steps) + 1,
                "activity": activity.id,
                "title": activity.title,
                "kind": activity.kind,
                "minutes": float(moment.response.minutes[0]),
                "probability": float(probabilities[0, index]),
                "allowed": int(seen.mask[0].sum()),
                "correct": float(moment.response.correct[0]),
                "reason": " ".join(reasons_for(world.observer, record, seen, index)),
                "skill": catalog.skills[changed].title,
                "before": float(before[changed]),
                "after": float(after[changed]),
                "handover": bool(moment.handover[0]),
            }
        )
        record, before = room.record, after
    return {
        "policy": name,
        "learner": 0,
        "role": catalog.roles[int(student.context(room.start).role[0])],
        "goal": [skill.title for skill, wanted in zip(catalog.skills, goal.tolist(), strict=True) if wanted],
        "steps": steps,
    }


def tracing(tracer: Tracer, train: Log, test: Log, catalog: Catalog) -> dict[str, Any]:
    """Return how well `tracer` predicts learners it never saw, beside the floors, all on the same rows."""
    judged = held_out.Judged.of(test, catalog)
    if not judged.mixed:
        return {}  # all answers alike: nothing can be told apart
    found = held_out.scores(judged, predictions(tracer, test, catalog))
    beneath = {name: held_out.scores(judged, p) for name, p in held_out.floors(train, test, catalog).items()}
    return {
        "name": type(tracer).__name__,
        "rows": len(judged.rows),
        "learners": judged.learners,
        "auc": {"value": found["auc"].value, "low": found["auc"].low, "high": found["auc"].high},
        **{name: found[name].value for name in ("log_loss", "accuracy", "ece")},
        "floors": {
            name: {"auc": floor["auc"].value, "log_loss": floor["log_loss"].value} for name, floor in beneath.items()
        },
    }


def learners(plays: list[Play], outcome: str) -> np.ndarray:
    """Return the value of `outcome` of every learner of `plays`, one population after the other."""
    return torch.cat([p.values[outcome] for p in plays]).double().numpy()


def interval(values: np.ndarray) -> dict[str, float]:
    """Return the mean of `values` with its 95 % interval over learners."""
    found = st.learner_interval(values, seed=0)
    return {"value": found.value, "low": found.low, "high": found.high}


def _ratio(plays: list[Play], field: str) -> float:
    part = sum(float(getattr(p, field).sum()) for p in plays)
    return part / max(1.0, sum(float(p.steps.sum()) for p in plays))


def _mastery(plays: list[Play]) -> list[list[float]]:
    longest = max(len(p.mastery) for p in plays)
    padded = [torch.stack(p.mastery + [p.mastery[-1]] * (longest - len(p.mastery))) for p in plays]
    mean: list[list[float]] = torch.stack(padded).mean(0).tolist()
    return mean
