"""A small exported bundle, and a desk on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
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


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a PostgreSQL: TRAILMARK_POSTGRES, else a server of our own where one is installed."""
    pytest.importorskip("psycopg")
    if "TRAILMARK_POSTGRES" in os.environ:
        yield os.environ["TRAILMARK_POSTGRES"]
        return
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # PostgreSQL refuses to run as root
    if not shutil.which("initdb") or not shutil.which("pg_ctl") or (root and not shutil.which("runuser")):
        pytest.skip("no PostgreSQL here; TRAILMARK_POSTGRES names one")
    who = ["runuser", "-u", "postgres", "--"] if root else []
    with tempfile.TemporaryDirectory(prefix="trailmark-pg-") as folder:
        if root:
            shutil.chown(folder, "postgres")
        data, sockets = f"{folder}/data", f"{folder}/s"
        make = f"initdb -D {data} -U postgres -A trust >/dev/null && mkdir {sockets}"
        start = f"pg_ctl -D {data} -o '-k {sockets} -c listen_addresses=' -l {folder}/log -w start >/dev/null"
        subprocess.run([*who, "sh", "-c", f"cd {folder} && {make} && {start}"], check=True)
        try:
            yield f"postgresql://postgres@/postgres?host={sockets}"
        finally:
            subprocess.run(
                [*who, "pg_ctl", "-D", data, "-m", "immediate", "stop"], check=True, cwd="/", stdout=subprocess.DEVNULL
            )


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where an empty store is, of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    server, schema = request.getfixturevalue("postgres"), f"t{uuid.uuid4().hex}"
    import psycopg  # the extra may not be installed: then the fixture has skipped

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
    return f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{schema}"


@pytest.fixture
def desk(engine: Engine, tmp_path: Path, clock: Callable[[], float]) -> Iterator[Desk]:
    desk = Desk(engine, Store.open(str(tmp_path / "store.db")), HandOver(), clock)
    yield desk
    desk.store.close()
