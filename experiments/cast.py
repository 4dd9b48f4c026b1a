"""Cast: who plays in a rehearsal - a run's own policy, one of its baselines by name, or an exported bundle."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ..agents.agent import Policy
    from ..envs.classroom import World
    from ..envs.observer import Observer
    from .runs import Run


@dataclass(frozen=True, eq=False)
class Player:
    """A policy with the observer through which it sees learners; `digest` is its bundle's, empty for a baseline."""

    policy: Policy
    observer: Observer
    digest: str = ""

    def among(self, world: World) -> World:
        """Return `world` as this player would serve it: its own observer, the world's learners and outcomes."""
        return replace(world, observer=self.observer)


def cast(name: str | None, run: Run, cfg: DictConfig, world: World) -> Player:
    """Return the player `name` means in `run`, the run's own for None; ConfigError lists the baselines otherwise."""
    from ..agents.bundle import PolicyBundle
    from ..data.errors import did_you_mean
    from .build import ConfigError, deployable, make_baselines

    folder = run.bundle
    if name is not None:
        baselines = make_baselines(cfg, world.observer.space, world.observer)
        if name in baselines:
            return Player(deployable(baselines[name][1], name), world.observer)
        folder = Path(name)
        if not folder.is_dir():
            near = did_you_mean(name, baselines)
            raise ConfigError(f"{name}: no baseline and no bundle's folder. {near}There are: {', '.join(baselines)}")
    bundle = PolicyBundle.load(folder, cfg.allow)
    mine, theirs = bundle.observer, world.observer
    if mine.catalog != theirs.catalog:
        raise ConfigError(f"{folder}: this bundle recommends from another catalogue than run {run.id}")
    if mine.horizon != theirs.horizon:
        raise ConfigError(f"{folder}: a session has {mine.horizon} activities there, {theirs.horizon} in run {run.id}")
    return Player(bundle.policy, mine, digest(folder))


def bundle_folder(name: str, output: str) -> Path:
    """Return the folder `name` if it holds a bundle, else that of the run `name`; RunError when there is none."""
    from .runs import RunError, find

    if (Path(name) / "card.json").exists():
        return Path(name)
    folder = find(output, name).bundle
    if not (folder / "checksums.json").exists():
        raise RunError(f"run {name} has no bundle yet: finish it with `trailmark train resume={name}`")
    return folder


def digest(folder: Path) -> str:
    """Return the fingerprint of a whole bundle, the same as the server and the model registry know it by."""
    return hashlib.sha256((folder / "checksums.json").read_bytes()).hexdigest()
