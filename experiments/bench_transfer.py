"""Bench of transfer: a policy trained on one catalogue, played on catalogues with activities it has never seen."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ..agents.agent import Agent, Policy
    from ..agents.cem import IndexPolicy
    from ..agents.set_net import SetPolicy
    from ..data.catalog import Catalog
    from ..envs.classroom import World


def main(words: list[str]) -> None:
    """Run `trailmark bench transfer`."""
    parser = argparse.ArgumentParser("trailmark bench transfer", description=__doc__)
    parser.add_argument("--agent", choices=["ppo_set", "cem"], default="cem", help="set-aware PPO, or an index by CEM")
    parser.add_argument("--share", type=float, default=0.2, help="share of the activities that is replaced")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="one trained agent each")
    parser.add_argument("--catalogues", type=int, default=3, help="renewed catalogues for each agent")
    parser.add_argument("--cohorts", type=int, default=80, help="cohorts of 256 learners to train on")
    parser.add_argument("--learners", type=int, default=1000, help="fresh learners to evaluate on, per catalogue")
    args = parser.parse_args(words)

    import torch
    from rich.console import Console
    from rich.table import Table

    from ..data.variation import renewed
    from ..envs.worlds import onboarding_world

    torch.set_num_threads(1)
    world, out = onboarding_world(), Console(highlight=False, soft_wrap=True)
    values: dict[str, dict[str, list[float]]] = {}
    for seed in args.seeds:
        policy = taught(world, args.agent, seed, args.cohorts)
        out.print(f"seed {seed}: trained on {args.cohorts * 256:,} learners")
        fresh = [(renewed(world.observer.catalog, args.share, 100 * seed + i)) for i in range(args.catalogues)]
        for i, catalog in enumerate([world.observer.catalog, *fresh]):
            there = moved(world, catalog)
            place = "home" if i == 0 else f"{args.share:.0%} new"
            for name, contestant in contestants(there, args.agent, policy).items():
                gain = mean_gain(there, contestant, 1000 + seed, args.learners)
                values.setdefault(name, {}).setdefault(place, []).append(gain)
    places = ["home", f"{args.share:.0%} new"]
    grid = Table(title="Learning gain on the onboarding catalogue and on renewed ones, mean and 95% interval over runs")
    for column in ("policy", *places):
        grid.add_column(column, justify="left" if column == "policy" else "right")
    for name, found in values.items():
        grid.add_row(name, *(said(found[place]) for place in places))
    out.print(grid)
    names = [name for name in values if name not in (args.agent, "RandomLegal")]
    best = max(names, key=lambda name: sum(values[name]["home"]))
    for floor in ("RandomLegal", best):
        lead = [torch.tensor(values[args.agent][p]) - torch.tensor(values[floor][p]) for p in places]
        home, away = said(lead[0].tolist()), said(lead[1].tolist())
        share = kept(lead[0], lead[1].view(len(args.seeds), -1).mean(1))
        out.print(f"advantage over {floor}: {home} at home, {away} on renewed catalogues: {share} kept", markup=False)


def taught(world: World, name: str, seed: int, cohorts: int) -> SetPolicy | IndexPolicy:
    """Return the policy of an agent trained on the learners of `world`, one that can move to other catalogues."""
    from ..agents.cem import CEM, IndexPolicy
    from ..agents.loop import train
    from ..agents.ppo import PPO
    from ..agents.set_net import SetEncoder, SetPolicy

    space = world.observer.space
    agent: Agent = PPO(space, seed=seed, encoder=SetEncoder(), anneal=cohorts)
    if name == "cem":
        agent = CEM(space, seed=seed)
    for _ in train(world, agent, seed, 256, 0, cohorts):
        pass
    policy = agent.decide()
    assert isinstance(policy, SetPolicy | IndexPolicy)
    return policy


def moved(world: World, catalog: Catalog) -> World:
    """Return `world` with another catalogue on the same skills: its BKT is one of skills, so it stays as fitted."""
    from dataclasses import replace

    from ..envs.observer import Observer
    from ..envs.skills import skills_of
    from ..envs.students.sampled import SampledStudent
    from ..envs.tracers.bkt import BKT

    tracer, student = world.observer.tracer, world.student
    if not isinstance(tracer, BKT) or not isinstance(student, SampledStudent):
        raise TypeError("only a world of BKT learners can be moved to another catalogue without a log")
    there = replace(tracer, parameters=replace(tracer.fitted(), skills=skills_of(catalog)))
    observer = Observer(there, catalog, world.observer.guards, world.observer.horizon, world.observer.window)
    return replace(world, student=replace(student, tracer=there, catalog=catalog), observer=observer)


def contestants(world: World, name: str, policy: SetPolicy | IndexPolicy) -> dict[str, Policy]:
    """Return the policies to compare on `world`."""
    from ..agents.baselines import FixedOrder, GapPerMinute, MasteryLearning, RandomLegal, WeakestAllowed

    space = world.observer.space
    makes = (RandomLegal, FixedOrder, MasteryLearning, WeakestAllowed, GapPerMinute)
    return {name: policy.on(space)} | {make.__name__: make(space) for make in makes}


def mean_gain(world: World, policy: Policy, seed: int, learners: int) -> float:
    """Return the mean learning gain of fresh learners under `policy`."""
    from ..agents.loop import play

    return float(play(world, policy, seed, learners).values["learning_gain"].mean())


def kept(home: Tensor, away: Tensor) -> str:
    """Return the share of the mean lead at home (S,) that is left away (S,), and its 95% bootstrap over seeds."""
    import torch

    rows = torch.randint(len(home), (4000, len(home)), generator=torch.Generator().manual_seed(0))
    low, high = torch.quantile(away[rows].mean(1) / home[rows].mean(1), torch.tensor([0.025, 0.975])).tolist()
    return f"{float(away.mean() / home.mean()):.0%} [{low:.0%}, {high:.0%}]"


def said(values: list[float]) -> str:
    """Return the mean and its 95% interval (normal, over runs) as text."""
    import torch

    numbers = torch.tensor(values)
    half = 1.96 * float(numbers.std()) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{float(numbers.mean()):.4f} +- {half:.4f}"
