"""Evaluate: a finished run's policy played again, on more learners or on learners of another kind."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path


def main(words: list[str]) -> None:
    """Run `trailmark evaluate RUN`."""
    parser = argparse.ArgumentParser("trailmark evaluate", description=__doc__)
    parser.add_argument("run", help="a run's id (or its start, or `latest`)")
    parser.add_argument("--learners", type=int, default=1000, help="fresh learners per population")
    parser.add_argument("--seeds", type=int, default=5, help="populations")
    parser.add_argument("--seed", type=int, default=1, help="of the populations; the training run used its own seed")
    parser.add_argument(
        "--student", help="train's student config for learners of another kind, such as `kss` or a yaml file"
    )
    parser.add_argument("--allow", nargs="*", default=[], help="packages outside trailmark whose classes may be built")
    parser.add_argument("--output", default="runs", help="folder of local runs")
    args = parser.parse_args(words)
    if min(args.learners, args.seeds) < 1 or args.seed < 0:
        parser.error("--learners and --seeds take whole numbers, 1 or more; --seed takes 0 or more")

    import torch
    from omegaconf import OmegaConf

    from ..agents.bundle import PolicyBundle
    from ..data.errors import DataError
    from ..envs import pack
    from ..envs.rng import derive
    from ..envs.validity.gate import refusal
    from . import evaluation as ev
    from .build import ConfigError, check, facts, fit_student, make_baselines
    from .compose import complain
    from .console import Console
    from .runs import RunError, commit, find, now, read_config, write_json

    torch.set_num_threads(1)
    console = Console()
    try:
        run = find(args.output, args.run)
        found = run.read_evaluation()
        cfg = read_config(run)
        cfg.allow = args.allow  # trust is said anew, never read from a file
        check(OmegaConf.to_container(cfg, resolve=True), cfg.allow)
        world, bundle = pack.load(run.world, cfg.allow), PolicyBundle.load(run.bundle, cfg.allow)
        if args.student:
            node = OmegaConf.load(_student(args.student))
            merged = OmegaConf.create({**cfg, "student": node})
            check(OmegaConf.to_container(merged.student, resolve=True), cfg.allow)
            student = fit_student(merged.student, facts(cfg), cfg.allow)
            if student.catalog != world.observer.catalog:
                raise ConfigError("these learners have another catalogue than the run's policy")
            world = ev.elsewhere(world, student)
    except (ConfigError, RunError, DataError, pack.PackError) as error:
        complain(error)
    name = next(p["name"] for p in found["policies"])
    contestants: ev.Contestants = {name: (found["policies"][0]["kind"], bundle.policy)}
    contestants |= make_baselines(cfg, world.observer.space, world.observer)
    plays = {}
    seeds = ev.populations(derive(args.seed, "again"), args.seeds)  # none that the run itself has met
    with console.progress("evaluate", len(contestants)) as advance:
        for contestant, played in ev.contest(world, contestants, seeds, args.learners):
            plays[contestant] = played
            advance(contestant)
    rows = ev.table(world, contestants, plays, found["primary"])
    best = ev.best_heuristic(world, contestants, plays, found["primary"])
    # What the home run alone knows (its training, its other learners, its proxies) is no part of this evaluation.
    of_home = ("learning_curve", "pathway", "other_students", "goodhart", "warnings")
    shown = {key: value for key, value in found.items() if key not in of_home}
    shown |= {"policies": rows, "best_heuristic": best, "eval_learners": args.learners, "eval_seeds": args.seeds}
    shown |= {"student": ev.who(world), "seed": args.seed, "created": now(), "commit": commit()}
    shown["command"] = shlex.join(["trailmark", "evaluate", *words])
    why = refusal(world.student)
    shown["warnings"] = [f"These learners fail the validity gate. {why}."] if why else []
    console.table(shown)
    kind = Path(args.student).stem if args.student else "same"
    path = run.folder / "evaluations" / f"{kind}-seed{args.seed}-{args.seeds}x{args.learners}.json"
    path.parent.mkdir(exist_ok=True)
    write_json(path, shown)
    console.say(f"saved: {path}")


def _student(name: str) -> Path:
    """Return the yaml file that `name` is, or the one that comes with Trailmark under that name."""
    from ..configs import __file__ as here
    from .build import ConfigError

    folder = Path(here).parent / "student"
    path = Path(name) if name.endswith(".yaml") else folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise ConfigError(f"--student {name}: no such config; there are {known}, or name a yaml file")
    return path
