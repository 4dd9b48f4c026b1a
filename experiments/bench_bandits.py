"""Bench of the linear bandits: decisions and updates per CPU-second, beside MABWiser where it is installed."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from ..agents.agent import Agent, Steps
    from ..envs.observer import Space


def main(words: list[str]) -> None:
    """Run `trailmark bench bandits`."""
    parser = argparse.ArgumentParser("trailmark bench bandits", description=__doc__)
    parser.add_argument("--arms", type=int, default=50)
    parser.add_argument("--inputs", type=int, default=32, help="numbers in a context, the constant included; 6 or more")
    parser.add_argument("--learners", type=int, default=1024, help="learners who decide with one state of the model")
    parser.add_argument("--seconds", type=float, default=2.0, help="CPU time of each measurement")
    args = parser.parse_args(words)
    if min(args.arms, args.learners) < 1 or args.inputs < 6 or args.seconds <= 0:
        parser.error("--arms and --learners take 1 or more, --inputs 6 or more, --seconds more than 0")

    import torch

    from ..agents.linear_thompson import LinearThompson
    from ..agents.linucb import LinUCB

    torch.set_num_threads(1)
    space = _space(args.arms, args.inputs)
    print(f"{args.arms} arms, contexts of {args.inputs}, one thread; decisions with their updates per CPU-second")
    for learners in (1, args.learners):
        for name, agent in (
            ("LinUCB", LinUCB(space, wide=True, per_minute=False)),
            ("linear Thompson, 32 draws", LinearThompson(space, wide=True, per_minute=False)),
        ):
            rate = _rate(partial(_round, agent, space, learners), learners, args.seconds)
            print(f"  trailmark {name:28s} {learners:5d} at a time  {rate:12,.0f}", flush=True)
    if find_spec("mabwiser") is None:
        print("  MABWiser is not installed: pip install mabwiser")
        return
    for name, rate in _mabwiser(args.arms, args.inputs, args.seconds).items():
        print(f"  MABWiser  {name:28s}     1 at a time  {rate:12,.0f}", flush=True)


def _space(arms: int, inputs: int) -> Space:
    import numpy as np
    import torch

    from ..envs.observer import Space
    from ..envs.skills import Padded

    groups = (("mastery", inputs - 5), ("goal", 0), ("belief", 0), ("progress", 4))
    return Space(groups, arms, Padded.of(np.eye(arms, inputs - 5, dtype=bool)), torch.ones(arms), 1)


def _rate(once: Callable[[], None], each: int, seconds: float) -> float:
    """Return how many of `each` things a call does are done per CPU-second; the first call does not count."""
    once()
    n, start = 0, time.process_time()
    while (spent := time.process_time() - start) < seconds:
        once()
        n += each
    return n / spent


def _round(agent: Agent, space: Space, learners: int) -> None:
    """Let one batch of learners decide, and learn from them."""
    import torch

    from ..agents.agent import sample
    from ..envs.observer import Observation

    features = torch.rand(learners, space.n_features)
    mask = torch.ones(learners, space.n_activities, dtype=torch.bool)
    none = torch.zeros(learners, dtype=torch.bool)
    probabilities = agent.behave()(Observation(features, mask, none))
    action = sample(probabilities, torch.rand(learners))
    agent.learn(_steps(features, mask, action, torch.rand(learners)), 0)


def _steps(features: Tensor, mask: Tensor, action: Tensor, reward: Tensor) -> Steps:
    import torch

    from ..agents.agent import Steps

    yes = torch.ones(len(action), 1, dtype=torch.bool)
    both = torch.stack([features, features], 1)
    return Steps(both, mask[:, None], action[:, None], yes.float(), reward[:, None], yes, yes)


def _mabwiser(arms: int, inputs: int, seconds: float) -> dict[str, float]:
    """Return the rates of MABWiser's LinUCB and LinTS, predicting and learning one decision at a time."""
    import numpy as np

    mab = import_module("mabwiser.mab")
    chance = np.random.default_rng(0)
    first = chance.random((arms, inputs))
    rates = {}
    for name, policy in (("LinUCB", mab.LearningPolicy.LinUCB(1.0)), ("LinTS", mab.LearningPolicy.LinTS(1.0))):
        bandit = mab.MAB(list(range(arms)), policy)
        bandit.fit(np.arange(arms), chance.random(arms), first)

        def once(bandit: Any = bandit) -> None:
            x = chance.random((1, inputs))
            bandit.partial_fit(np.array([bandit.predict(x)]), chance.random(1), x)

        rates[name] = _rate(once, 1, seconds)
    return rates
