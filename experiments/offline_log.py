"""The log that an offline agent learns from: simulated steps, a server's decisions, or bare answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..agents.agent import Steps
from ..agents.baselines import RandomLegal
from ..agents.logged import Logged
from ..agents.replayed import estimated, replayed
from ..data.decisions import Decisions
from ..data.errors import DataError
from .build import ConfigError, resolve
from .evidence.replay import replay
from .verdict import count_text

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ..envs.classroom import World
    from .build import Facts
    from .console import Console


FEW = 100  # learners; with fewer a log teaches mostly noise


def demand(cfg: DictConfig) -> None:
    """ConfigError when the agent learns from a log only and none is named, or none is there."""
    log, agent = cfg.offline.log, resolve(str(cfg.agent._target_), "agent", cfg.allow)
    if log is None and getattr(agent, "offline", False):
        raise ConfigError(
            f"{cfg.agent_name} learns from a log: say offline.log=FOLDER (`trailmark gather` writes one), offline.log="
            "FILE (`trailmark decisions` exports a server's), or offline.log=source for the experiment's own answers"
        )
    if log == "source" and not cfg.source:
        raise ConfigError("offline.log=source: this experiment has no source; name a folder of `trailmark gather`")


def logged(cfg: DictConfig, world: World, known: Facts, console: Console) -> Logged | None:
    """Return the steps of others that the agent learns from; None where it learns from its own.

    PackError when they are of another experiment.
    """
    o = cfg.offline
    if o.log is None:
        return None
    if o.log == "source" and known.split is not None:
        with console.step("replay the log through the observer"):
            found = replayed(world, known.split.train, cfg.seed, o.learners)
    elif Path(o.log).is_file():
        with console.step("replay the decision log through the observer"):
            found = decided(world, Decisions.load(o.log, world.observer.catalog), o.reward, cfg.seed)
    else:
        found = Logged.load(Path(o.log), world.observer)
    agent, learners, notes = resolve(str(cfg.agent._target_), "agent", cfg.allow), len(found.steps.alive), []
    if not getattr(agent, "offline", False):
        notes.append(f"{cfg.agent_name} is made to learn from its own steps; for logs: bc, bcq, cql, iql")
    if learners < FEW:
        notes.append(f"the log has {count_text(learners, 'learner')}: too few to trust what is learnt from them")
    found = replace(found, about={**found.about, "notes": [*found.about["notes"], *notes]})
    for note in found.about["notes"]:
        console.say(f"  note: {note}")
    return found


def decided(world: World, decisions: Decisions, reward: str, seed: int) -> Logged:
    """Return the steps of a decision log, rewarded by its column `reward`; a person's choices are steps like others.

    Sessions beyond the experiment's horizon are cut there. Propensities that nobody wrote down are estimated by
    behaviour cloning, and so are those of what was given in place of the policy's choice. DataError when the log lacks
    the column, or an answer that the observer needs.
    """
    observer = world.observer
    earned = decisions.column(reward, "the reward (offline.reward)").to_numpy(np.float64)
    if np.isnan(earned).any():
        row = int(np.argmax(np.isnan(earned)))
        raise DataError("no reward", decisions.name, f"decision {row + 1}", reward, "Give every decision its reward.")
    seen = replay(observer, RandomLegal(observer.space), decisions)
    length = np.diff(decisions.start)
    lived = np.minimum(length, observer.horizon)
    time = np.arange(lived.max())
    alive = time < lived[:, None]  # (S, T)
    rows = decisions.start[:-1, None] + np.minimum(time, lived[:, None] - 1)  # the last row again where nobody lives
    action = decisions.delivered[rows]
    mask = seen.mask[rows]
    against = int((alive & ~np.take_along_axis(mask, action[..., None], 2)[..., 0]).sum())
    np.put_along_axis(mask, action[..., None], True, 2)
    after = np.concatenate([rows, rows[:, -1:]], 1)  # what follows a session's last step is never looked at
    replaced = (decisions.delivered != decisions.activity) & ~decisions.override  # the log tells the chance of another
    propensity = np.where(replaced, np.nan, decisions.frame["propensity"].to_numpy(np.float64))[rows]
    steps = Steps(
        torch.from_numpy(seen.features[after]),
        torch.from_numpy(mask),
        torch.from_numpy(action),
        torch.from_numpy(propensity).float(),
        torch.from_numpy(earned[rows] * alive).float(),
        torch.from_numpy(alive & (time == lived[:, None] - 1)),
        torch.from_numpy(alive),
    )
    steps, notes = estimated(steps, observer.space, seed)
    if against:
        notes.append(f"{against} of {int(alive.sum())} decisions were against the guards here: they are let in")
    if (length > lived).any():
        notes.append(f"{int((length - lived).sum())} decisions beyond the horizon of {observer.horizon} are left out")
    notes.append(f"in the log a session's {reward} averages {float(steps.reward.sum(1).mean()):.4f}")
    return Logged(steps, None, {"log": decisions.name, "learners": len(length), "notes": [*decisions.notes, *notes]})
