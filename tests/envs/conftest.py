"""A small catalogue with every difficulty in it, and a log of made-up learners on it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.log import Log
from trailmark.data.sources.synthetic import Synthetic

torch.set_num_threads(1)


def activity(name: str, *skills: str, minutes: float = 10.0, after: tuple[str, ...] = (), roles: tuple[str, ...] = ()):
    return Activity(name, name, "exercise", skills, minutes, roles, after, name == "read", False)


@pytest.fixture(scope="session")
def programme() -> Catalog:
    """Six skills, the last practised by nothing; prerequisites, roles, activities of one, two and three skills."""
    skills = (
        Skill("a"),
        Skill("b", prerequisites=("a",)),
        Skill("c", prerequisites=("a", "b")),
        Skill("d", roles=("sales",)),
        Skill("e", prerequisites=("d",)),
        Skill("f", roles=("support",)),
    )
    return Catalog(
        skills,
        (
            activity("read", "a", minutes=5.0),
            activity("watch", "b", minutes=8.0),
            activity("both", "a", "b", minutes=12.0),
            activity("project", "b", "c", "d", minutes=30.0, after=("read", "watch")),
            activity("call", "d", roles=("sales",)),
            activity("deal", "e", minutes=20.0),
            activity("drill", "c", minutes=6.0),
        ),
    )


@pytest.fixture(scope="session")
def log(programme: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Log:
    """300 learners with 30 answers each, with times."""
    path = tmp_path_factory.mktemp("programme") / "catalog.json"
    programme.save(path)
    return made_up(path, learners=300, seed=5)


@pytest.fixture(scope="session")
def held_out(programme: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Log:
    """150 learners like those of `log`, and none of them."""
    path = tmp_path_factory.mktemp("held_out") / "catalog.json"
    programme.save(path)
    return made_up(path, learners=150, seed=5, skip=300)


def made_up(path: Path, learners: int, seed: int, skip: int = 0) -> Log:
    log, _ = Synthetic(learners + skip, 30, seed, str(path)).load()
    return log.subset(log.learners[skip:])
