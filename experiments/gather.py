"""Gather: a policy played in simulation, its steps written down for offline agents."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path


def main(words: list[str]) -> None:
    """Run `trailmark gather --to FOLDER [KEY=VALUE ...]`."""
    parser = argparse.ArgumentParser("trailmark gather", description=__doc__)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="as of train: experiment=, agent=, seed=")
    parser.add_argument("--to", required=True, help="folder for the log")
    parser.add_argument("--learners", type=int, default=2000, help="learners, each for one whole session")
    parser.add_argument("--explore", type=float, default=0.0, help="chance of any allowed activity instead")
    parser.add_argument("--cohorts", type=int, default=0, help="cohorts that a learning agent is trained on before")
    args = parser.parse_args(words)
    if args.learners < 1 or args.cohorts < 0 or not 0.0 <= args.explore <= 1.0:
        parser.error("--learners takes 1 or more, --cohorts 0 or more, --explore a number from 0 to 1")

    import torch

    from ..agents.logged import Logged
    from ..agents.loop import train
    from ..agents.mixed import Mixed
    from ..agents.offline import write_down
    from ..data.errors import DataError
    from .build import ConfigError, facts, fit_world, make_agent
    from .compose import check, complain
    from .console import Console
    from .runs import commit, now

    torch.set_num_threads(1)
    console = Console()
    try:
        cfg = check(args.settings)
        if cfg is None:
            raise ConfigError("gather runs one config: leave out --cfg and the like")
        with console.step("fit the learners' model"):
            world = fit_world(cfg, facts(cfg))
        agent = make_agent(cfg, world.observer.space, world.observer)
    except (ConfigError, DataError) as error:
        complain(error)
    with console.progress("train", args.cohorts) as advance:
        for metrics in train(world, agent, cfg.seed, cfg.training.learners, 0, args.cohorts):
            advance(f"return {metrics['return']:.4f}")
    policy = agent.behave() if args.cohorts else agent.decide()
    policy = Mixed(policy, args.explore) if args.explore else policy
    with console.step("gather"):
        steps = write_down(world, policy, cfg.seed, args.learners)
        about = {"command": shlex.join(["trailmark", "gather", *words]), "created": now(), "commit": commit()}
        Logged(steps, policy, {**about, "experiment": cfg.name, "seed": cfg.seed, "notes": []}).save(
            Path(args.to), world.observer
        )
    console.say(
        f"{int(steps.alive.sum()):,} steps of {args.learners:,} learners, return {steps.reward.sum(1).mean():.4f}"
    )
    console.say(f"log: {args.to}    learn from it: trailmark train agent=iql offline.log={args.to}")
