"""Gather: a decision log written by simulated learners, with all that off-policy evaluation needs to know."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from ...agents.agent import Policy, sample
from ...data.catalog import Catalog
from ...data.decisions import Decisions
from ...envs.classroom import Classroom, World
from ...envs.student import Context

DAY = 86400.0
ARRIVALS = 60.0  # seconds between two enrolments


def gather_log(
    world: World, policy: Policy, seed: int, learners: int, override_rate: float = 0.0, cohort_size: int = 25
) -> Decisions:
    """Return the decision log of `learners` fresh learners of `world` under `policy`, a session each.

    `reward` is the world's own; every outcome stands beside it. With `override_rate` a person picks one of the allowed
    activities, evenly, in that share of the decisions: before the policy could, so propensities stay exact. Learners
    arrive a minute apart; `cohort` groups `cohort_size` of them in a row.
    """
    room = Classroom(world, seed, 0, learners, guarded=policy.guarded, measure=True)
    view = world.observer if policy.guarded else world.observer.unguarded()
    catalog, context = world.observer.catalog, world.student.context(room.start)
    number = torch.arange(learners)
    clock = number.double() * ARRIVALS
    parts: list[pd.DataFrame] = []
    while bool(room.alive.any()):
        u = room.act(3)
        forced = (u[:, 1] < override_rate) & ~room.observation.handover
        if bool(forced.any()):
            pick = sample(room.observation.mask / room.observation.mask.sum(1, keepdim=True), u[:, 2])
            room.record = room.record._replace(override=torch.where(forced, pick, room.record.override))
            room.observation = view.observe(room.record)
        seen, alive, step = room.observation, room.alive, room.record.step
        probabilities = policy(seen)
        action = sample(probabilities, u[:, 0])
        moment = room.step(action)
        response = moment.response
        days = torch.zeros(learners) if response.days is None else response.days
        rows = alive.nonzero()[:, 0]
        columns = {
            "learner": number,
            "step": step,
            "time": clock,
            "activity": action,
            "propensity": probabilities.gather(1, action[:, None])[:, 0].double(),
            "override": forced,
            "correct": response.correct,
            "minutes": response.minutes,
            "accepted": response.accepted,
            "days": days,
            "minutes_budget": room.record.minutes_budget,
            "reward": moment.reward.double(),
        }
        columns |= {name: value.double() for name, value in moment.values.items()}
        part = pd.DataFrame({name: value[rows].numpy() for name, value in columns.items()})
        part["allowed"], part["probabilities"] = _listed(catalog, seen.mask[rows], probabilities[rows].double())
        parts.append(part)
        clock = clock + response.minutes.double() * 60.0 + days.double() * DAY
    frame = pd.concat(parts, ignore_index=True)
    return Decisions.from_frame(_named(frame, catalog, context, cohort_size), catalog, "simulated")


def _listed(catalog: Catalog, mask: torch.Tensor, probabilities: torch.Tensor) -> tuple[list, list]:
    rows, columns = mask.nonzero(as_tuple=True)
    ends = np.cumsum(mask.sum(1).numpy())[:-1]
    names = np.asarray(catalog.activity_ids, dtype=object)[columns.numpy()]
    return np.split(names, ends), np.split(probabilities[rows, columns].numpy(), ends)


def _named(frame: pd.DataFrame, catalog: Catalog, context: Context, cohort_size: int) -> pd.DataFrame:
    learner = frame["learner"].to_numpy()
    ids, skills = np.asarray(catalog.activity_ids, dtype=object), np.asarray(catalog.skill_ids, dtype=object)
    goals = np.empty(len(context.role), dtype=object)
    past, scores = np.empty_like(goals), np.empty_like(goals)
    for i, wanted in enumerate(context.goal.numpy() > 0):
        goals[i] = skills[wanted]
        past[i] = ids[context.past_activity[i].numpy()]
        scores[i] = context.past_correct[i].double().numpy()
    frame["activity"] = ids[frame["activity"].to_numpy()]
    frame["role"] = np.asarray(catalog.roles, dtype=object)[context.role.numpy()][learner]
    first = frame["step"].to_numpy() == 0  # known at enrolment, so said once
    blank = np.empty(0, dtype=object)
    for name, values in (("goal", goals), ("past", past), ("past_correct", scores)):
        column = np.empty(len(frame), dtype=object)
        for i in range(len(frame)):
            column[i] = values[learner[i]] if first[i] else (blank if name != "past_correct" else np.empty(0))
        frame[name] = column
    if context.last is not None:
        known = np.append(ids, "")[context.last.numpy()]
        frame["last"] = np.where(first, known[learner], "")
    frame["cohort"] = [f"cohort-{i // cohort_size}" for i in learner]
    frame["learner"] = [f"learner-{i}" for i in learner]
    return frame
