"""Logged: steps that a policy took in simulation, kept in a folder for offline agents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..envs.observer import Observer
from ..envs.pack import PackError, pack, read, unpack, write
from .agent import Policy, Steps


@dataclass(frozen=True, eq=False)
class Logged:
    """Whole sessions of B learners, and the policy that led them where it is known."""

    steps: Steps
    policy: Policy | None
    about: dict[str, Any]  # plain JSON values: who wrote it, with which seed, what to doubt

    def save(self, folder: Path, observer: Observer) -> None:
        """Write steps and policy, all or nothing; histories are left out."""
        tree, arrays = pack({"policy": self.policy, "about": self.about})
        columns = {f"steps.{k}": v.contiguous() for k, v in self.steps._asdict().items() if isinstance(v, Tensor)}
        write(Path(folder), {**tree, **_shape(observer)}, arrays | columns)

    @staticmethod
    def load(folder: Path, observer: Observer) -> Logged:
        """Return the log; PackError when it is damaged, no log, or of another catalogue or belief than `observer`."""
        tree, arrays = read(folder)
        if not isinstance(tree, dict) or "activities" not in tree:
            raise PackError(f"{folder}: holds no logged steps; write some with `trailmark gather --to FOLDER`")
        for key, value in _shape(observer).items():
            if tree[key] != value:
                raise PackError(
                    f"{folder}: written with other {key} than this experiment's; gather under the same config"
                )
        kept = unpack({"policy": tree["policy"], "about": tree["about"]}, arrays)
        steps = Steps(**{k.removeprefix("steps."): v for k, v in arrays.items() if k.startswith("steps.")})  # type: ignore[arg-type]
        return Logged(steps, kept["policy"], kept["about"])


def _shape(observer: Observer) -> dict[str, Any]:
    groups = [[name, width] for name, width in observer.space.groups]
    return {"activities": list(observer.catalog.activity_ids), "features": groups, "horizon": observer.horizon}
