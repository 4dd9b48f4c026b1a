"""Bench learners: how many steps a second each kind of simulated learner makes; the README's figures come from here."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..envs.student import Student

SIZES = (1024, 65536)


def main(words: list[str]) -> None:
    """Run `trailmark bench learners`."""
    parser = argparse.ArgumentParser("trailmark bench learners", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="learners side by side")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="threads of torch")
    parser.add_argument("--device", help="where the learners live, such as cpu or cuda; all there are when left out")
    parser.add_argument("--students", nargs="+", help="names of student configs; all when left out")
    parser.add_argument(
        "--million", action="store_true", help="also 10^6 SSR learners at once, and the memory they take"
    )
    args = parser.parse_args(words)

    import platform

    import torch
    from rich.console import Console
    from rich.table import Table

    out = Console(highlight=False, soft_wrap=True)
    known = students()
    chosen = args.students or list(known)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        parser.error(f"no student {unknown[0]!r}; there are {', '.join(known)}")
    places = [("cpu", n) for n in args.threads] if args.device in (None, "cpu") else []
    if args.device is None and torch.cuda.is_available():
        places.append(("cuda", 1))
    elif args.device not in (None, "cpu"):
        places.append((args.device, 1))
    out.print(
        f"{platform.machine()}, torch {torch.__version__}; CPU figures are per second of CPU time of one", markup=False
    )
    grid = Table(
        title="Learner-steps per second: answer and elapse, activities at random, fresh learners every 40 steps"
    )
    grid.add_column("student")
    grid.add_column("activities", justify="right")
    heads = [f"{place} x {n}" if place == "cpu" else place for place, n in places]
    for size in args.sizes:
        for head in heads:
            grid.add_column(f"B = {size:,}, {head}", justify="right")
    for name in chosen:
        student = built(known[name])
        cells = [
            f"{rate(student, size, args.seconds, place, threads):,.0f}"
            for size in args.sizes
            for place, threads in places
        ]
        assert student.catalog is not None
        grid.add_row(name, f"{len(student.catalog.activities):,}", *cells)
    torch.set_num_threads(1)
    out.print(grid)
    if args.million:
        out.print(million(), markup=False)


def students() -> dict[str, Any]:
    """Return the config of every student that comes with Trailmark, as train would compose it."""
    from hydra import compose, initialize_config_module

    from ..configs import __file__ as here

    names = sorted(path.stem for path in (Path(here).parent / "student").glob("*.yaml"))
    with initialize_config_module("trailmark.configs", version_base="1.3"):
        return {name: compose("train", ["experiment=onboarding_bkt", f"student={name}"]) for name in names}


def built(cfg: Any) -> Student:
    """Return the student of `cfg`, fitted to the sample where it comes from a log."""
    from .build import ConfigError, Facts, facts, fit_student

    try:
        return fit_student(cfg.student, Facts("none", None, None, {}))
    except ConfigError:
        return fit_student(cfg.student, facts(cfg))


def rate(student: Student, n: int, seconds: float, device: str, threads: int) -> float:
    """Return learner-steps per second of n learners; CPU time of the busiest thread on a CPU, wall time elsewhere."""
    import torch

    from ..envs.rng import Purpose, Rng
    from ..envs.rows import to_device

    torch.set_num_threads(threads)
    student = student if device == "cpu" else to_device(student, device)
    assert student.catalog is not None
    activities = len(student.catalog.activities)

    def now() -> float:
        if device == "cpu":
            return time.process_time() / threads if threads > 1 else time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    steps, first, started = 0, 0, now()
    while True:
        rng = Rng.enrol(0, first, n, device)
        state = student.enrol(rng)
        for t in range(40):
            rng = rng.at(t)
            activity = (rng.uniform(Purpose.ACT)[:, 0] * activities).long()
            state, response = student.answer(state, activity, rng)
            days = torch.full_like(response.minutes, 0.5) if response.days is None else response.days
            state = student.elapse(state, days, rng)
            steps += n
            if t % 5 == 4 and now() - started > seconds:
                return steps / (now() - started)
        first += n


def million(n: int = 1_000_000, steps: int = 5) -> str:
    """Live `steps` steps of n SSR learners at once and say what memory it took."""
    import resource

    import torch

    from ..envs.rng import Purpose, Rng
    from ..envs.students.ssr import SSR

    torch.set_num_threads(1)
    student = SSR().fit(None, None)
    assert student.catalog is not None
    started = time.process_time()
    rng = Rng.enrol(0, 0, n)
    state = student.enrol(rng)
    enrolled = time.process_time() - started
    held = sum(tensor.numel() * tensor.element_size() for tensor in state)
    started = time.process_time()
    for t in range(steps):
        rng = rng.at(t)
        activity = (rng.uniform(Purpose.ACT)[:, 0] * len(student.catalog.activities)).long()
        state, response = student.answer(state, activity, rng)
        assert response.days is not None
        state = student.elapse(state, response.days, rng)
    spent = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return (
        f"{n:,} SSR learners at once: enrolled in {enrolled:.1f} CPU-seconds, {n * steps / spent:,.0f} steps a second "
        f"on one thread; their state takes {held / 2**30:.2f} GiB, the process {peak:.2f} GiB at its peak"
    )
