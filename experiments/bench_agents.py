"""Bench of agents: our PPO beside Stable-Baselines3's MaskablePPO on one task, in one process, in CPU seconds."""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..envs.classroom import World

SKILLS = 50
SETTINGS = {"rate": 2e-3, "discount": 0.99, "lambda_": 0.8, "entropy": 0.0}  # the same for ours and theirs
Curve = Iterator[tuple[float, float]]  # samples so far, and the mean return of the sessions just ended, in skills


def main(words: list[str]) -> None:
    """Run `trailmark bench agents`."""
    parser = argparse.ArgumentParser("trailmark bench agents", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="CPU seconds for each speed")
    parser.add_argument("--target", type=float, default=8.0, help="mean return to reach, in skills learnt")
    parser.add_argument("--limit", type=float, default=120.0, help="CPU seconds after which a run has not reached it")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each agent")
    args = parser.parse_args(words)

    import torch
    from rich.console import Console
    from rich.table import Table

    from ..agents.baselines import MasteryLearning, RandomLegal, WeakestAllowed
    from ..agents.loop import play
    from .bench_steps import bkt_world

    torch.set_num_threads(1)
    world, out = bkt_world(), Console(highlight=False, soft_wrap=True)
    out.print(
        "BKT, 50 skills and activities, sessions of 100; 4 epochs, 2 x 64; one thread; CPU seconds of this process"
    )
    for policy in (RandomLegal, WeakestAllowed, MasteryLearning):
        played = play(world, policy(world.observer.space), 0, 1000).values["learning_gain"]
        out.print(f"  {policy.__name__}: {float(played.mean()) * SKILLS:.2f} skills learnt")
    grid = Table(title=f"PPO: samples per CPU second, and CPU seconds to a mean return of {args.target:g} skills")
    for column in ("agent", "learners", "samples/s", f"seconds to {args.target:g}", "samples", "seeds"):
        grid.add_column(column, justify="left" if column == "agent" else "right")
    for name, n, make in contestants(world):
        rates, seconds, samples = [], [], []
        for seed in range(args.seeds):
            rate, spent, used = race(make(seed), args.target, args.seconds, args.limit)
            rates.append(rate)
            seconds.append(spent)
            samples.append(used)
        reached = " / ".join(f"{s:.1f}" if s < float("inf") else f"not in {args.limit:g}" for s in seconds)
        middle = statistics.median(samples)
        needed = f"{middle / 1e6:.2f} M" if middle < float("inf") else "-"
        speed = f"{statistics.median(rates):,.0f}"
        grid.add_row(name, f"{n:,}", speed, reached, needed, str(args.seeds))
        out.print(f"  {name}, {n:,} learners: {speed} samples/s; target after {reached} s, {needed} samples")
    out.print(grid)
    if not theirs():
        out.print('Not installed: stable-baselines3, sb3-contrib. pip install "trailmark[bench]"', markup=False)


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


def contestants(world: World) -> Iterator[tuple[str, int, Any]]:
    """Yield (name, learners, curve of a seed)."""
    for n in (512, 2048):
        yield "Trailmark PPO", n, lambda seed, n=n: ours(world, n, seed, half=True)
    yield "Trailmark PPO, float32", 512, lambda seed: ours(world, 512, seed, half=False)
    if theirs():
        yield "SB3 MaskablePPO, our VecEnv", 512, lambda seed: sb3(world, 512, 50, 1600, seed, python=False)
        yield "SB3 MaskablePPO, our VecEnv", 64, lambda seed: sb3(world, 64, 128, 2048, seed, python=False)
        yield "SB3 MaskablePPO, Python environments", 64, lambda seed: sb3(world, 64, 128, 2048, seed, python=True)


def ours(world: World, n: int, seed: int, half: bool) -> Curve:
    """Yield the learning curve of our PPO on cohorts of n learners."""
    from ..agents.loop import train
    from ..agents.ppo import PPO

    # minibatches of about 1,600 rows for 512 learners, as SB3 gets them below
    agent = PPO(world.observer.space, seed=seed, half=half, chunk=50, minibatches=16, **SETTINGS)  # type: ignore[arg-type]
    samples = 0.0
    for metrics in train(world, agent, seed, n, 0, 1_000_000):
        samples += metrics["steps"]
        yield samples, metrics["return"] * SKILLS


def sb3(world: World, n: int, n_steps: int, batch: int, seed: int, python: bool) -> Curve:
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
        learning_rate=SETTINGS["rate"] if n > 64 else 0.5 * SETTINGS["rate"],  # what suits its batch size
        n_steps=n_steps,
        batch_size=batch,
        n_epochs=4,
        gamma=SETTINGS["discount"],
        gae_lambda=SETTINGS["lambda_"],
        ent_coef=SETTINGS["entropy"],
        policy_kwargs={"net_arch": [64, 64]},
        stats_window_size=200,
        seed=seed,
        device="cpu",
    )
    while True:
        model.learn(n * n_steps, reset_num_timesteps=False)
        ended = [session["r"] for session in model.ep_info_buffer or ()]
        yield float(model.num_timesteps), SKILLS * statistics.fmean(ended) if ended else 0.0
