"""Cast: who plays in a rehearsal - a run's own policy, one of its baselines by name, or an exported bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ..agents.agent import Policy
    from ..envs.classroom import World
    from .runs import Run


def cast(name: str | None, run: Run, cfg: DictConfig, world: World) -> Policy:
    """Return the policy `name` means in `run`, the run's own for None; ConfigError lists the baselines otherwise."""
    from ..agents.bundle import PolicyBundle
    from ..data.errors import did_you_mean
    from .build import ConfigError, deployable, make_baselines

    if name is None:
        return PolicyBundle.load(run.bundle, cfg.allow).policy
    baselines = make_baselines(cfg, world.observer.space, world.observer)
    if name in baselines:
        return deployable(baselines[name][1], name)
    if not Path(name).is_dir():
        near = did_you_mean(name, baselines)
        raise ConfigError(f"{name}: no baseline and no bundle's folder. {near}There are: {', '.join(baselines)}")
    bundle = PolicyBundle.load(Path(name), cfg.allow)
    if bundle.observer.catalog.activity_ids != world.observer.catalog.activity_ids:
        raise ConfigError(f"{name}: this bundle recommends from another catalogue than run {run.id}")
    return bundle.policy
