"""A small exported bundle, and a desk on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")

from trailmark.agents.bundle import PolicyBundle
from trailmark.agents.ppo import PPO
from trailmark.envs.worlds import onboarding_world
from trailmark.experiments.serving.desk import Desk
from trailmark.experiments.serving.engine import Engine
from trailmark.experiments.serving.handover import HandOver
from trailmark.experiments.serving.store import Store


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> PolicyBundle:
    observer = onboarding_world().observer
    return PolicyBundle(observer, PPO(observer.space, seed=3).decide(), {"name": "for tests"})


@pytest.fixture(scope="session")
def folder(bundle: PolicyBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "bundle"
    bundle.export(path)
    return path


@pytest.fixture(scope="session")
def engine(folder: Path) -> Engine:
    return Engine.load(folder)


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(engine: Engine, tmp_path: Path, clock: Callable[[], float]) -> Iterator[Desk]:
    desk = Desk(engine, Store.open(str(tmp_path / "store.db")), HandOver(), clock)
    yield desk
    desk.store.close()
