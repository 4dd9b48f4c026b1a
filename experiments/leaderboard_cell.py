"""One cell of a leaderboard: an agent trained and played on fresh learners, as one row of numbers."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from .leaderboard_plan import LOGGED, Cell

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ..agents.agent import Agent
    from ..envs.classroom import World


class Row(NamedTuple):
    """What a cell found; the columns of results.csv."""

    task: str
    name: str
    seed: int
    settings: str
    kind: str  # trained, baseline, floor or ceiling
    guarded: bool
    primary: str
    higher_is_better: bool
    value: float  # the primary outcome, mean over fresh learners
    legal_rate: float
    learner_steps: float  # lived for training; for offline agents the log's
    seconds: float  # wall time of training and evaluation
    cpu_seconds: float
    unfit: str = ""  # why the task's learners fail the validity gate; empty = they pass
    error: str = ""

    @property
    def key(self) -> tuple[str, str, int, str]:
        return (self.task, self.name, self.seed, self.settings)


def run(cell: Cell) -> Row:
    """Train and play `cell`; a row with `error` where that failed, so that the others go on."""
    import torch

    torch.set_num_threads(1)
    started, cpu = time.perf_counter(), time.process_time()
    try:
        row = _run(cell)
    except Exception as error:  # one broken agent must not end a night's work
        nothing = float("nan")
        row = Row(
            *(cell.task, cell.name, cell.seed, cell.settings, "", True, "", True, nothing, nothing, 0.0, 0.0, 0.0),
            error=f"{type(error).__name__}: {error}".replace("\n", " ")[:500],
        )
    return row._replace(seconds=time.perf_counter() - started, cpu_seconds=time.process_time() - cpu)


def _run(cell: Cell) -> Row:
    from ..agents.loop import play
    from ..agents.mixed import Mixed
    from .build import deployable, make_agent, make_baselines
    from .evaluation import populations

    cfg, world, unfit = _prepared(cell.words)
    steps = 0.0
    if cell.name == LOGGED or cell.baseline:
        baselines = make_baselines(cfg, world.observer.space, world.observer)
        kind, policy = baselines[cell.log.policy if cell.name == LOGGED else cell.name]
        if cell.name == LOGGED:
            kind, policy = "baseline", Mixed(deployable(policy, cell.log.policy), cell.log.epsilon)
    else:
        cfg = _composed((*cell.words, *cell.extra, f"agent={cell.name}"), cell.seed)
        if cfg.window != world.observer.window:  # agents that read the latest interactions say how many
            world = replace(world, observer=replace(world.observer, window=cfg.window))
        agent = make_agent(cfg, world.observer.space, world.observer)
        kind = "trained" if agent.state() else "baseline"
        if kind == "trained":
            steps = _trained(agent, cfg, world, cell)
        policy = agent.decide()
    outcome = world.outcomes[cfg.primary]
    played = play(world, policy, populations(cell.seed, 1)[0], cell.learners)
    return Row(
        *(cell.task, cell.name, cell.seed, cell.settings, kind, bool(getattr(policy, "guarded", True)), cfg.primary),
        *(outcome.higher_is_better, float(played.values[cfg.primary].mean()), played.legal_rate, steps, 0.0, 0.0),
        unfit=unfit,
    )


def _trained(agent: Agent, cfg: DictConfig, world: World, cell: Cell) -> float:
    """Train `agent`, on its own cohorts or on the log, and return the learner-steps that this took."""
    from ..agents.loop import train
    from ..agents.mixed import Mixed
    from ..agents.offline import study, write_down
    from .build import deployable, make_baselines

    if not agent.offline:
        t = cfg.training
        return sum(m["steps"] for m in train(world, agent, cell.seed, t.learners, 0, t.cohorts))
    log = cell.log
    chosen = make_baselines(cfg, world.observer.space, world.observer)[log.policy][1]
    policy = Mixed(deployable(chosen, log.policy), log.epsilon)
    steps = write_down(world, policy, cell.seed, log.learners)
    for _ in study(steps, agent, cell.seed, log.sessions, 0, log.epochs):
        pass
    return float(steps.alive.sum())


@lru_cache(maxsize=2)
def _prepared(words: tuple[str, ...]) -> tuple[DictConfig, World, str]:
    """Return a task's config, its world, and why its learners are unfit; seeds vary agents and learners, not worlds."""
    from ..envs.validity.gate import refusal
    from .build import facts, fit_world

    cfg = _composed(words, 0)
    world = fit_world(cfg, facts(cfg))
    return cfg, world, refusal(world.student)


def _composed(words: tuple[str, ...], seed: int) -> DictConfig:
    from .compose import check

    cfg: Any = check([*words, f"seed={seed}"])
    return cfg
