"""Goodhart: the same agent trained on mere activity instead of outcomes, and what becomes of the outcomes.

"When a measure becomes a target, it ceases to be a good measure" (Strathern 1997, after Goodhart 1975). The only place
where Trailmark rewards completions, clicks or satisfaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ..agents.agent import Policy
    from ..agents.loop import Play
    from ..envs.classroom import World

OUTCOME = "outcome"  # the row of the agent that was trained on what counts


def proxies(world: World, plays: list[Play]) -> list[str]:
    """Return the measures of mere activity that these learners show in `plays`; of two that never differ, the first."""
    import torch

    found: list[str] = []
    for name, outcome in world.outcomes.items():
        values = [played.values[name] for played in plays]
        twins = (other for other in found if all(torch.equal(p.values[other], p.values[name]) for p in plays))
        if not outcome.is_outcome and any(bool(v.any()) for v in values) and next(twins, None) is None:
            found.append(name)
    return found


def measure(
    cfg: DictConfig, world: World, names: list[str], seeds: list[int], folder: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Train the agent of `cfg` on the outcome and on each proxy of `names`, with one small budget, and compare them.

    Every row holds each outcome with its interval and its paired difference from the agent trained on the outcome, on
    the same learners. Trained agents are kept in `folder`, so that a run that was stopped does not train them again.
    """
    from ..agents.loop import play
    from . import evaluation as ev
    from . import statistics as st

    budget, plays = cfg.goodhart, {}
    for name in (OUTCOME, *names):
        reward = world.reward if name == OUTCOME else {name: 1.0}
        policy = _trained(cfg, replace(world, reward=reward), folder / name)
        plays[name] = [play(world, policy, seed, budget.evaluate_learners) for seed in seeds]
        say(name)
    rows = []
    for name, played in plays.items():
        values, differences = {}, {}
        for outcome in world.outcomes:
            mine, theirs = ev.learners(played, outcome), ev.learners(plays[OUTCOME], outcome)
            values[outcome] = ev.interval(mine)
            if name != OUTCOME:
                pairs = st.paired_difference(mine, theirs, seed=0)
                differences[outcome] = {"value": pairs.value, "low": pairs.low, "high": pairs.high}
        title = "what counts" if name == OUTCOME else world.outcomes[name].title.lower()
        rows.append({"name": name, "title": f"rewarded: {title}", "values": values, "differences": differences})
    return {"cohorts": budget.cohorts, "learners": budget.learners, "rows": rows}


def _trained(cfg: DictConfig, world: World, folder: Path) -> Policy:
    from omegaconf import OmegaConf

    from ..agents.loop import train
    from ..envs import pack
    from .build import make_agent

    budget = cfg.goodhart
    small = OmegaConf.merge(cfg, {"training": {"cohorts": budget.cohorts, "learners": budget.learners}})
    agent = make_agent(small, world.observer.space, world.observer)  # type: ignore[arg-type]
    if folder.exists():
        agent.restore(pack.read(folder)[1])
        return agent.decide()
    for _ in train(world, agent, cfg.seed, budget.learners, 0, budget.cohorts):
        pass
    pack.write(folder, {"cohorts": budget.cohorts}, agent.state())
    return agent.decide()
