"""Simulate-log: let a policy teach simulated learners, and write the decision log that `trailmark ope` reads."""

from __future__ import annotations

import argparse


def main(words: list[str]) -> None:
    """Run `trailmark simulate-log RUN --to FILE`."""
    parser = argparse.ArgumentParser("trailmark simulate-log", description=__doc__)
    parser.add_argument("run", help="a run's id (or its start, or `latest`): its learners, and its policy")
    parser.add_argument("--to", required=True, help="the Parquet file to write")
    parser.add_argument("--policy", help="another policy: a baseline of the run such as `random_legal`, or a bundle")
    parser.add_argument(
        "--explore", type=float, default=0.0, help="share of decisions left to chance, 0 to 1: what makes a log useful"
    )
    parser.add_argument("--learners", type=int, default=2000, help="fresh learners")
    parser.add_argument("--overrides", type=float, default=0.0, help="share of decisions that a person makes, 0 to 1")
    parser.add_argument("--seed", type=int, default=1, help="of the learners and their luck")
    parser.add_argument("--allow", nargs="*", default=[], help="packages outside trailmark whose classes may be built")
    parser.add_argument("--output", default="runs", help="folder of local runs")
    args = parser.parse_args(words)
    if not (0.0 <= args.explore <= 1.0 and 0.0 <= args.overrides <= 1.0):
        parser.error("--explore and --overrides are shares, 0 to 1")
    if args.learners < 1 or args.seed < 0:
        parser.error("--learners takes 1 or more, --seed 0 or more")

    import torch
    from omegaconf import OmegaConf

    from ..agents.mixed import Mixed
    from ..envs import pack
    from ..envs.rng import derive
    from .build import ConfigError, check
    from .cast import cast
    from .compose import complain
    from .console import Console
    from .evidence.gather import gather_log
    from .runs import RunError, find, read_config

    if not args.to.endswith(".parquet"):
        parser.error(f"--to {args.to}: say a name that ends in .parquet")
    torch.set_num_threads(1)
    console = Console()
    try:
        run = find(args.output, args.run)
        cfg = read_config(run)
        cfg.allow = args.allow  # trust is said anew, never read from a file
        check(OmegaConf.to_container(cfg, resolve=True), cfg.allow)
        world = pack.load(run.world, cfg.allow)
        player = cast(args.policy, run, cfg, world)
    except (ConfigError, RunError, pack.PackError) as error:
        complain(error)
    with console.step(f"{args.learners:,} learners live a session each"):
        policy = Mixed(player.policy, args.explore)
        log = gather_log(player.among(world), policy, derive(args.seed, "log"), args.learners, args.overrides)
    log.save(args.to)
    value = log.frame["reward"].sum() / (len(log.start) - 1)
    console.say(f"{args.to}: {len(log):,} decisions; a session's reward averages {value:.4f}")
