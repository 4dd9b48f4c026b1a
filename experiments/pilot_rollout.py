"""Pilot rollout: the plan of a staged rollout, and its rehearsal with a run's learners."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .runs import plain_json

if TYPE_CHECKING:
    from .console import Console
    from .evidence.rollout import Rollout


def rollout_words(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `trailmark pilot rollout`."""
    parser.add_argument("run", nargs="?", help="rehearse it with this run's learners (id, start of one, `latest`)")
    parser.add_argument("--harm", type=float, required=True, help="to be excluded before more follow, in sd")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.05, 0.1, 0.25, 0.5, 1.0], help="the stages")
    parser.add_argument("--alpha", type=float, default=0.05, help="chance to take back one that harms nobody")
    parser.add_argument("--power", type=float, default=0.8, help="chance that such a one advances at a first look")
    parser.add_argument("--looks", type=int, default=2, help="at most so many at each stage")
    parser.add_argument(
        "--guardrail", nargs="*", default=[], metavar="OUTCOME", help="outcomes that must not be harmed"
    )
    parser.add_argument("--candidate", help="a baseline or an exported bundle in place of the run's own policy")
    parser.add_argument("--against", default="random_legal", help="the incumbent: a baseline of the run, or a bundle")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--to", help="a file for the plan or the steps, for `trailmark dossier`")
    parser.add_argument("--allow", nargs="*", default=[], help="packages outside trailmark whose classes may be built")
    parser.add_argument("--output", default="runs", help="folder of local runs")


def roll_out(args: argparse.Namespace, console: Console) -> None:
    """Run `trailmark pilot rollout [RUN] --harm SD`."""
    from .build import ConfigError
    from .evidence.rollout import Rollout, stage_size
    from .runs import make_room, write_json

    if args.to:
        make_room(args.to)
    try:
        names = tuple(args.shares)
        rollout = Rollout(args.harm, names, args.alpha, args.power, args.looks, len(args.guardrail))
        sizes = [stage_size(rollout, stage) for stage in range(len(names))]
    except ValueError as error:
        raise ConfigError(str(error)) from error
    console.say(f"to exclude a harm of {args.harm:g} sd, each judgement at level {rollout.level:.4f}:")
    for share, size in zip(rollout.shares, sizes, strict=True):
        text = f"{size:,} learners, {round(size * share):,} of them on the candidate" if size else "all; no comparison"
        console.say(f"  {share:4.0%}: {text}")
    content: dict[str, Any] = {"schema": 1, "rollout": asdict(rollout), "sizes": sizes}
    if args.run:
        content |= _rehearsed(args, console, rollout, sizes)
    if args.to:
        write_json(Path(args.to), content)
        console.say(f"rollout: {args.to}")


def _rehearsed(args: argparse.Namespace, console: Console, rollout: Rollout, sizes: list[int]) -> dict[str, Any]:
    import numpy as np
    import torch

    from ..agents.loop import play
    from ..data.errors import did_you_mean
    from ..envs import pack
    from ..envs.rng import derive
    from .build import ConfigError
    from .cast import cast
    from .evidence.monitor import Units
    from .evidence.rollout import judge
    from .runs import find, read_config

    torch.set_num_threads(1)
    run = find(args.output, args.run)
    cfg = read_config(run)
    cfg.allow = args.allow  # trust is said anew, never read from a file
    world = pack.load(run.world, cfg.allow)
    for name in args.guardrail:
        if name not in world.outcomes:
            near = did_you_mean(name, world.outcomes)
            raise ConfigError(f"--guardrail {name}: no such outcome. {near}There are: {', '.join(world.outcomes)}")
    players = [cast(name, run, cfg, world) for name in (args.against, args.candidate)]
    chance, first = derive(args.seed, "rollout"), 0
    rng = np.random.Generator(np.random.Philox(seed=[chance, 2]))
    kept = dict.fromkeys([cfg.primary, *args.guardrail])
    stages: dict[str, list[Units]] = {name: [] for name in kept}
    looks: list[dict[str, Any]] = []
    decision = ""
    for stage, size in enumerate(sizes[:-1]):
        batches: dict[str, list[Any]] = {name: [] for name in kept}
        arms: list[Any] = []
        for number in range(1, rollout.looks + 1):
            treated = int(rng.binomial(size, rollout.shares[stage]))
            arms.append(np.repeat([0.0, 1.0], [size - treated, treated]))
            lived = []
            with console.step(f"{rollout.shares[stage]:.0%}: {size:,} learners live a session each"):
                # Learners come in no order: who is in which arm is chance, although the arms live one after the other.
                for player, n in zip(players, (size - treated, treated), strict=True):
                    played = play(player.among(world), player.policy, chance, n, first).values if n else None
                    lived.append(played)
                    first += n
            for name in kept:
                sign = 1.0 if world.outcomes[name].higher_is_better else -1.0
                batches[name] += [sign * one[name].double().numpy() for one in lived if one is not None]
            so_far = {
                name: [*stages[name], Units(np.concatenate(arms), np.concatenate(batches[name]))] for name in kept
            }
            found = judge(so_far, rollout, cfg.primary)
            decision = found.decision
            looks.append({"look": number, **plain_json(asdict(found))})
            e = found.effect
            console.say(
                f"  {found.share:4.0%}, look {number}: {found.units:,} learners, "
                f"{e.value:+.4f} [{e.low:+.4f}, {e.high:+.4f}]: {decision.upper()}: {found.reason}"
            )
            if decision != "hold":
                break
        stages = so_far
        if decision != "advance":
            break
    ended = {
        "advance": "all learners are on the candidate",
        "hold": "held: not enough evidence to go on, and no harm shown",
        "roll back": "rolled back: all learners are on the incumbent",
        "stop": "stopped: the split of the arms is broken",
    }[decision]
    console.say(f"{ended}; {first:,} learners took part")
    return {"looks": looks, "ended": ended, "candidate": args.candidate or run.id, "against": args.against}
