"""The log that an offline agent learns from: found, replayed, its doubts said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..agents.logged import Logged
from ..agents.replayed import replayed
from .build import ConfigError, resolve

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ..envs.classroom import World
    from .build import Facts
    from .console import Console


def demand(cfg: DictConfig) -> None:
    """ConfigError when the agent learns from a log only and none is named, or none is there."""
    log, agent = cfg.offline.log, resolve(str(cfg.agent._target_), "agent", cfg.allow)
    if log is None and getattr(agent, "offline", False):
        raise ConfigError(
            f"{cfg.agent_name} learns from a log: say offline.log=FOLDER (`trailmark gather` writes one), "
            "or offline.log=source for the answers of the experiment's own log"
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
    else:
        found = Logged.load(Path(o.log), world.observer)
    for note in found.about["notes"]:
        console.say(f"  note: {note}")
    return found
