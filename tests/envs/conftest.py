"""A small catalogue with every difficulty in it, a log of made-up learners on it, and catalogues at random."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import strategies as st

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.log import Log
from trailmark.data.sources.synthetic import Synthetic
from trailmark.envs.observer import Observer, Record
from trailmark.envs.student import Context
from trailmark.envs.tracer import Evidence

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


@st.composite
def any_catalog(draw: st.DrawFn) -> Catalog:
    """One to five skills and one to seven activities: prerequisites, roles, minutes and a fallback as they come."""
    skills, activities = [f"s{i}" for i in range(draw(st.integers(1, 5)))], draw(st.integers(1, 7))
    roles = st.sampled_from([(), (), ("r",), ("q",), ("q", "r")])

    def some(of: list[str], least: int, most: int) -> tuple[str, ...]:
        if not of:
            return ()
        return tuple(draw(st.lists(st.sampled_from(of), min_size=least, max_size=most, unique=True)))

    fallback = draw(st.integers(-1, activities - 1))
    return Catalog(
        tuple(Skill(name, prerequisites=some(skills[:i], 0, 2), roles=draw(roles)) for i, name in enumerate(skills)),
        tuple(
            Activity(
                f"a{i}",
                f"a{i}",
                "exercise",
                some(skills, 1, 3),
                draw(st.integers(1, 60)) * 1.0,
                draw(roles),
                some([f"a{j}" for j in range(i)], 0, 2),
                i == fallback,
            )
            for i in range(activities)
        ),
    )


@pytest.fixture(scope="session")
def catalogs() -> st.SearchStrategy[Catalog]:
    return any_catalog()


@pytest.fixture(scope="session")
def known() -> Callable[[Observer, int, int], Record]:
    """Returns what makes records of n learners in the middle of anything, people's words included, by a seed."""
    return in_the_middle


def in_the_middle(observer: Observer, n: int, seed: int) -> Record:
    g = torch.Generator().manual_seed(seed)
    catalog = observer.catalog
    a = len(catalog.activity_ids)
    role = torch.randint(0, len(catalog.roles), (n,), generator=g)
    goal = torch.from_numpy(catalog.goals()).float()[role]
    budget = torch.rand(n, generator=g) * 100
    budget[torch.rand(n, generator=g) < 0.3] = float("inf")
    past = torch.randint(0, a, (n, 3), generator=g)
    right = torch.randint(0, 2, (n, 3), generator=g).float()
    record = observer.start(Context(role, goal, budget, past, right))
    for _ in range(4):
        seen = Evidence(torch.randint(0, a, (n,), generator=g), torch.randint(0, 2, (n,), generator=g).float())
        record = record._replace(belief=observer.tracer.update(record.belief, seen))
    return record._replace(
        history=record.history._replace(attempts=torch.randint(0, 2, (n, a), generator=g).to(torch.int32)),
        step=torch.randint(0, observer.horizon, (n,), generator=g),
        minutes_used=torch.rand(n, generator=g) * 60,
        override=torch.where(torch.rand(n, generator=g) < 0.4, torch.randint(0, a, (n,), generator=g), -1),
        veto=torch.rand(n, a, generator=g) < 0.2,
    )
