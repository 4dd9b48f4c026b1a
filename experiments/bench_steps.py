"""Bench steps: how fast this machine steps learners and trains PPO; the README's speeds come from here."""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..envs.classroom import World

SIZES = (1, 64, 4096, 65536)


def main(words: list[str]) -> None:
    """Run `trailmark bench steps`."""
    parser = argparse.ArgumentParser("trailmark bench steps", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="CPU seconds for each figure")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="learners side by side")
    args = parser.parse_args(words)

    import torch
    from rich.console import Console
    from rich.table import Table

    torch.set_num_threads(1)
    out = Console(highlight=False, soft_wrap=True)
    where = f"{platform.machine()}, torch {torch.__version__}, one thread"
    out.print(f"{where}; figures per CPU second of this process", markup=False)
    grid = Table(title="Environment steps per second: random legal agent, full loop, enrolment included")
    for column in ("learners", "activities", "session", *(f"B = {n:,}" for n in args.sizes)):
        grid.add_column(column, justify="left" if column == "learners" else "right")
    for name, make in worlds().items():
        world = make()
        rates = [f"{steps_per_second(world, n, args.seconds):,.0f}" for n in args.sizes]
        grid.add_row(name, str(world.observer.space.n_activities), str(world.observer.horizon), *rates)
    out.print(grid)
    world = worlds()["BKT, 50 skills"]()
    out.print("PPO samples per second, BKT with 50 skills, 4 epochs, actor and critic 2 x 64 each, gathering included:")
    for learners in (64, 512):
        rate = samples_per_second(world, learners, args.seconds)
        out.print(f"  {learners} learners x {world.observer.horizon} steps: {rate:,.0f}")


def worlds() -> dict[str, Callable[[], World]]:
    """Return the benchmark worlds by name."""
    from ..envs.worlds import kss_world

    return {"BKT, 50 skills": bkt_world, "KSS (v1)": kss_world}


def bkt_world() -> World:
    """Return 50 BKT skills in a tree of prerequisites, one activity each, sessions of 100 (rl-throughput's task)."""
    import torch

    from ..data.catalog import Activity, Catalog, Skill
    from ..envs.classroom import World
    from ..envs.guards import Prerequisites
    from ..envs.observer import Observer
    from ..envs.outcomes import LearningGain
    from ..envs.skills import parents_of, skills_of
    from ..envs.students.sampled import SampledStudent
    from ..envs.tracers.bkt import BKT, BKTParameters

    k = 50
    names = [f"skill-{i}" for i in range(k)]
    skills = tuple(Skill(name, name, (names[i // 2],) if i > 1 else (), ()) for i, name in enumerate(names))
    activities = tuple(Activity(name, name, "practice", (name,), 1.0, fallback=i == 0) for i, name in enumerate(names))
    catalog = Catalog(skills, activities)

    def full(value: float) -> torch.Tensor:
        return torch.full((k,), value)

    p = BKTParameters(
        prior=full(0.2),
        learn=full(0.15),
        guess=full(0.2),
        slip=full(0.1),
        forget=full(0.0),
        decay=full(0.0),
        shift=torch.zeros(1),
        weight=torch.ones(1),
        skills=skills_of(catalog),
        parents=parents_of(catalog),
    )
    tracer = BKT(classes=1, parameters=p)
    observer = Observer(tracer, catalog, {"prerequisites": Prerequisites(0.6)}, 100)
    return World(SampledStudent(tracer, catalog), observer, {"learning_gain": LearningGain()}, {"learning_gain": 1.0})


def steps_per_second(world: World, n: int, seconds: float) -> float:
    """Return learner-steps per CPU second of n learners side by side, whole sessions, enrolment included."""
    from ..agents.baselines import RandomLegal
    from ..agents.loop import live
    from ..envs.classroom import Classroom

    policy = RandomLegal(world.observer.space)
    steps, first = 0, 0
    started = time.process_time()
    while True:
        for turn in live(Classroom(world, 0, first, n), policy):
            steps += int(turn.moment.alive.sum())
            spent = time.process_time() - started
            if spent > seconds:
                return steps / spent
        first += n


def samples_per_second(world: World, n: int, seconds: float) -> float:
    """Return samples per CPU second of PPO: play a session of n learners, learn from it, and again."""
    from ..agents.loop import train
    from ..agents.ppo import PPO

    agent = PPO(world.observer.space)
    samples, started = 0.0, time.process_time()
    for metrics in train(world, agent, 0, n, 0, 1_000_000):
        samples += metrics["steps"]
        if time.process_time() - started > seconds:
            break
    return samples / (time.process_time() - started)
