"""Bench of agents: our PPO beside Stable-Baselines3's MaskablePPO on one task, in one process, in CPU seconds."""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ..envs.classroom import World

DISCOUNT, LAMBDA = 0.99, 0.95  # the same for ours and theirs, as is no entropy bonus
RATE, ANNEAL = 2e-3, 80
ROWS = 6400  # of a minibatch at most
WIDTH = 200  # characters of the table, also where nobody looks
Curve = Iterator[tuple[float, float]]  # samples so far, and the mean return of the sessions just ended, in skills


class Contestant(NamedTuple):
    """Someone who learns, and how its runs are started."""

    name: str
    learners: int
    settings: str  # what the table says of it
    start: Callable[[int], Curve]  # from a seed


def main(words: list[str]) -> None:
    """Run `trailmark bench agents`."""
    parser = argparse.ArgumentParser("trailmark bench agents", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="CPU seconds that each run lasts at least")
    parser.add_argument("--target", type=float, default=9.0, help="mean return to reach, in skills learnt")
    parser.add_argument("--limit", type=float, default=100.0, help="CPU seconds after which a run has not reached it")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each agent")
    parser.add_argument("--only", default="", help="contestants whose name or settings hold this text")
    args = parser.parse_args(words)

    import torch
    from rich.console import Console
    from rich.table import Table

    from ..agents.baselines import MasteryLearning, RandomLegal, WeakestAllowed
    from ..agents.loop import play
    from .allocator import keep_freed_memory
    from .bench_env import SKILLS, dense_world

    torch.set_num_threads(1)
    keep_freed_memory()
    world, out = dense_world(), Console(highlight=False, soft_wrap=True, width=WIDTH)
    out.print(
        "BKT, 50 skills and activities, a known skill may be forgotten at every step, sessions of 100 (terminated)\n"
        "PPO: 4 epochs, 2 x 64, discount .99, lambda .95, no entropy bonus; one thread; CPU seconds of this process"
    )
    for policy in (RandomLegal, WeakestAllowed, MasteryLearning):
        played = play(world, policy(world.observer.space), 0, 1000).values["learning_gain"]
        out.print(f"  {policy.__name__}: {float(played.mean()) * SKILLS:.2f} skills learnt")
    grid = Table(title=f"PPO: samples per CPU second, and CPU seconds to a mean return of {args.target:g} skills")
    for column in ("agent", "learners", "settings", "samples/s", f"seconds to {args.target:g}", "median", "samples"):
        grid.add_column(column, justify="left" if column in ("agent", "settings") else "right")
    for name, n, settings, start in contestants(world):
        if args.only not in f"{name} {n} {settings}":
            continue
        runs = []
        for seed in range(args.seeds):
            runs.append(race(start(seed), args.target, args.seconds, args.limit))
            out.print(f"  {name}, {n:,} learners, seed {seed}: {runs[-1][0]:,.0f} samples/s; {_said(runs[-1][1])} s")
        rates, seconds, samples = zip(*runs, strict=True)
        needed = statistics.median(samples)
        grid.add_row(
            name,
            f"{n:,}",
            settings,
            f"{statistics.median(rates):,.0f}",
            " / ".join(_said(s) for s in seconds),
            _said(statistics.median(seconds)),
            f"{needed / 1e6:.2f} M" if needed < float("inf") else "-",
        )
    out.print(grid)
    if not theirs():
        out.print('Not installed: stable-baselines3, sb3-contrib. pip install "trailmark[bench]"', markup=False)


def _said(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds < float("inf") else "not reached"


def race(curve: Curve, target: float, seconds: float, limit: float) -> tuple[float, float, float]:
    """Return samples per CPU second over at least `seconds`, and the CPU seconds and samples until `target`; inf = not.

    `target` counts as reached by the first batch of sessions whose mean is there.
    """
    started, reached, used, rate = time.process_time(), float("inf"), float("inf"), 0.0
    for samples, value in curve:
        spent = time.process_time() - started
        rate = samples / spent
        if value >= target and reached == float("inf"):
            reached, used = spent, samples
        if spent > limit or (reached < float("inf") and spent > seconds):
            break
    return rate, reached, used


def theirs() -> bool:
    """Return whether Stable-Baselines3 and its contrib package are installed."""
    return all(importlib.util.find_spec(name) for name in ("stable_baselines3", "sb3_contrib"))


def contestants(world: World) -> Iterator[Contestant]:
    """Yield who races; ours was tuned by hand on this task: rate, its fall, chunk, standardising; SB3's rate too."""
    mine = f"rate {RATE:g} falling to a tenth in {ANNEAL} updates, chunks of 25 steps"

    def our(n: int, half: bool = True) -> Contestant:
        kind, parts = "bfloat16" if half else "float32", max(8, n * 25 // ROWS)
        settings = f"{mine}, {parts} minibatches, standardised, {kind}"
        return Contestant("Trailmark PPO", n, settings, lambda seed: ours(world, n, seed, half, parts))

    def their(n: int, steps: int, batch: int, rate: float, python: bool) -> Contestant:
        what = "Python environments" if python else "our VecEnv"
        settings = f"rate {rate:g}, chunks of {steps} steps, minibatches of {batch:,}, float32"
        return Contestant(
            f"SB3 MaskablePPO, {what}", n, settings, lambda seed: sb3(world, seed, n, steps, batch, rate, python)
        )

    yield our(512)
    if theirs():
        yield their(64, 128, 2048, 1e-3, python=True)
        yield their(64, 128, 2048, 1e-3, python=False)
        yield their(512, 50, 1600, 2e-3, python=False)
        yield their(2048, 25, 6400, 2e-3, python=False)
    yield our(2048)
    yield our(4096)
    yield our(512, half=False)


def ours(world: World, n: int, seed: int, half: bool, minibatches: int) -> Curve:
    """Yield the learning curve of our PPO on cohorts of n learners."""
    from ..agents.loop import train
    from ..agents.ppo import PPO

    agent = PPO(
        world.observer.space,
        seed=seed,
        half=half,
        standardise=True,
        rate=RATE,
        anneal=ANNEAL,
        chunk=25,
        minibatches=minibatches,
        discount=DISCOUNT,
        lambda_=LAMBDA,
        entropy=0.0,
    )
    samples = 0.0
    for metrics in train(world, agent, seed, n, 0, 1_000_000):
        samples += metrics["steps"]
        yield samples, metrics["return"]


def sb3(world: World, seed: int, n: int, n_steps: int, batch: int, rate: float, python: bool) -> Curve:
    """Yield the learning curve of MaskablePPO: after every rollout, the mean of the last 200 sessions."""
    from sb3_contrib import MaskablePPO
    from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

    from ..envs.sb3 import PathwayVecEnv
    from .bench_env import PythonBKT

    env: Any = PathwayVecEnv(world, n, seed)
    if python:
        env = VecMonitor(DummyVecEnv([lambda i=i: PythonBKT(world, seed * n + i) for i in range(n)]))  # type: ignore[misc]
    model = MaskablePPO(
        "MlpPolicy",
        env,
        learning_rate=rate,
        n_steps=n_steps,
        batch_size=batch,
        n_epochs=4,
        gamma=DISCOUNT,
        gae_lambda=LAMBDA,
        ent_coef=0.0,
        policy_kwargs={"net_arch": [64, 64]},
        stats_window_size=200,
        seed=seed,
        device="cpu",
    )
    while True:
        model.learn(n * n_steps, reset_num_timesteps=False)
        ended = [session["r"] for session in model.ep_info_buffer or ()]
        yield float(model.num_timesteps), statistics.fmean(ended) if ended else 0.0
