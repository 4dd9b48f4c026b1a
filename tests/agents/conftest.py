"""What the agents' tests share: hand-made observations, probe worlds, and agents built from their configs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from torch import Tensor

from trailmark.agents.agent import Agent, sample, uniform
from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.log import Log
from trailmark.envs.classroom import Classroom, Pace, World
from trailmark.envs.guards import Guard
from trailmark.envs.observer import History, Observation, Observer, Record, Space
from trailmark.envs.outcomes import Outcome
from trailmark.envs.rng import Purpose, Rng
from trailmark.envs.rows import take
from trailmark.envs.student import Context, Response, Student
from trailmark.envs.tracers.tally import Tally
from trailmark.envs.worlds import kss_world, onboarding_world
from trailmark.experiments.build import make_agent


class ProbeState(NamedTuple):
    kind: Tensor  # (B,) int64
    step: Tensor  # (B,) int64
    first: Tensor  # (B,) int64, the first activity, -1 none yet
    paid: Tensor  # (B,) float32, what the latest activity paid


@dataclass(frozen=True, eq=False)
class Payer(Student):
    """A learner who pays for activities: `pay[kind][activity]`, at once or, for the first one, `delay` steps later.

    A learner's kind is openly known: it is the role, and with several kinds the one goal skill.
    """

    catalog: Catalog
    pay: tuple[tuple[float, ...], ...]
    delay: int

    def fit(self, log: Log | None, catalog: Catalog | None) -> Self:
        return self

    def enrol(self, rng: Rng) -> ProbeState:
        u = rng.uniform(Purpose.ENROL)[:, 0]
        kind = (u * len(self.pay)).long()
        return ProbeState(kind, torch.zeros_like(kind), torch.full_like(kind, -1), torch.zeros_like(u))

    def context(self, state: ProbeState) -> Context:
        n, k = len(state.kind), len(self.catalog.skill_ids)
        goal = torch.nn.functional.one_hot(state.kind, k).float() if len(self.pay) > 1 else torch.ones(n, k)
        none = torch.zeros(n, 0, dtype=torch.int64)
        return Context(state.kind, goal, torch.full((n,), torch.inf), none, none.float())

    def answer(self, state: ProbeState, activity: Tensor, rng: Rng) -> tuple[ProbeState, Response]:
        first = torch.where(state.step == 0, activity, state.first)
        due = first if self.delay else activity
        paid = torch.tensor(self.pay)[state.kind, due]
        if self.delay:
            paid = paid * (state.step == self.delay)
        half = torch.full_like(paid, 0.5)
        yes = torch.ones_like(activity, dtype=torch.bool)
        return ProbeState(state.kind, state.step + 1, first, paid), Response(half, half, yes, ~yes)

    def elapse(self, state: ProbeState, days: Tensor, rng: Rng) -> ProbeState:
        return state

    def mastery(self, state: ProbeState) -> Tensor:
        return torch.zeros(len(state.kind), len(self.catalog.skill_ids))


@dataclass(frozen=True)
class Pay(Outcome):
    title: ClassVar[str] = "Pay"
    unit: ClassVar[str] = "units"

    def __call__(self, student: Student, start: Any, before: Any, response: Response, after: Any) -> Tensor:
        paid: Tensor = after.paid
        return paid


@dataclass(frozen=True)
class Forbid(Guard):
    activity: int

    def __call__(self, observer: Observer, record: Record) -> Tensor:
        allowed = torch.ones_like(record.veto)
        allowed[:, self.activity] = False
        return allowed


@pytest.fixture
def probe() -> Callable[..., World]:
    """Return a maker of probe worlds: activity i trains skill i, and what it pays is written in a table."""

    def make(pay: list[list[float]], horizon: int = 1, delay: int = 0, forbid: int | None = None) -> World:
        names = [f"s{i}" for i in range(len(pay[0]))]
        catalog = Catalog(
            tuple(Skill(name) for name in names),
            tuple(Activity(f"do {name}", "", f"kind of {name}", (name,), 1.0) for name in names),
        )
        guards: dict[str, Guard] = {} if forbid is None else {"forbid": Forbid(forbid)}
        observer = Observer(Tally().of(catalog), catalog, guards, horizon, 20)
        student = Payer(catalog, tuple(map(tuple, pay)), delay)
        return World(student, observer, {"pay": Pay()}, {"pay": 1.0}, Pace())

    return make


@pytest.fixture(scope="session")
def onboarding() -> World:
    """Return the onboarding world, fitted once for all tests; records keep what recurrent agents read."""
    world = onboarding_world()
    return replace(world, observer=replace(world.observer, window=20))


@pytest.fixture(scope="session")
def kss() -> World:
    """Return the world of the ten-concept learner."""
    return kss_world()


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """Return five activities on three skills, one of them on two; only leads need the third skill."""
    skills = (Skill("s0"), Skill("s1"), Skill("s2", "", (), ("lead",)))

    def activity(name: str, skills: tuple[str, ...], minutes: float) -> Activity:
        return Activity(name, f"The {name}", "practice", skills, minutes)

    return Catalog(
        skills,
        (
            activity("a0", ("s0",), 10.0),
            activity("a1", ("s1",), 5.0),
            activity("a2", ("s0", "s1"), 15.0),
            activity("a3", ("s2",), 20.0),
            activity("a4", ("s1",), 10.0),
        ),
    )


@pytest.fixture(scope="session")
def space(catalog: Catalog) -> Space:
    """Return the space of `catalog` under a tally, for sessions of 12 steps."""
    return Observer(Tally().of(catalog), catalog, {}, 12).space


@pytest.fixture(scope="session")
def see() -> Callable[..., Observation]:
    """Return a maker of observations: (B, K) mastery and goals, (B, A) mask, the step, the last activity."""

    def make(space: Space, mastery: Any, goal: Any, mask: Any, step: Any = 0, last: Any = -1) -> Observation:
        mastery, goal = torch.tensor(mastery, dtype=torch.float32), torch.tensor(goal, dtype=torch.float32)
        n = len(mastery)
        belief = torch.zeros(n, dict(space.groups)["belief"])
        steps = torch.as_tensor(step).expand(n) / space.horizon
        latest = (torch.as_tensor(last).expand(n) + 1) / space.n_activities
        progress = torch.stack([torch.full((n,), 0.5), steps, torch.ones(n), latest], 1)
        rows = torch.tensor(mask, dtype=torch.bool)
        return Observation(torch.cat([mastery, goal, belief, progress], 1), rows, torch.zeros(n, dtype=torch.bool))

    return make


@pytest.fixture(scope="session")
def onboarding_records(onboarding: World) -> Record:
    """Return records of 48 learners after six activities that were allowed."""
    room = Classroom(onboarding, 0, 0, 48)
    for _ in range(6):
        room.step(sample(uniform(room.observation.mask), room.act()[:, 0]))
    return room.record


@pytest.fixture(scope="session")
def imagine(onboarding: World, onboarding_records: Record) -> Callable[..., Observation]:
    """Return a maker of random observations of any space; every row of the mask allows something.

    Those of the onboarding world come with records, which have nothing to do with their features and masks.
    """

    def make(space: Space, n: int, seed: int, density: float = 0.3) -> Observation:
        chance = torch.Generator().manual_seed(seed)
        parts = []
        for name, width in space.groups:
            u = torch.rand(n, width, generator=chance)
            parts.append({"goal": (u < 0.5).float(), "belief": 4.0 * u - 2.0}.get(name, u))
        mask = torch.rand(n, space.n_activities, generator=chance) < density
        mask.scatter_(1, torch.randint(space.n_activities, (n, 1), generator=chance), True)
        attempts = torch.randint(0, 6, (n, space.n_activities), generator=chance, dtype=torch.int32)
        right = (attempts * torch.rand(attempts.shape, generator=chance)).round().to(torch.int32)
        streak = torch.minimum(right, torch.randint(0, 4, attempts.shape, generator=chance, dtype=torch.int32))
        since = torch.where(attempts > 0, 9.0 * torch.rand(attempts.shape, generator=chance), torch.inf)
        window = torch.randint(-1, space.n_activities, (n, 20), generator=chance, dtype=torch.int32)
        answers = (torch.rand(n, 20, generator=chance) < 0.5).float()
        history = History(attempts, right, streak, since, window, answers)
        record = None
        if space is onboarding.observer.space:
            record = take(onboarding_records, torch.randint(48, (n,), generator=chance))
        return Observation(torch.cat(parts, 1), mask, torch.zeros(n, dtype=torch.bool), history, record)

    return make


@pytest.fixture(scope="session")
def build(onboarding: World) -> Iterator[Callable[[str, Space], Agent]]:
    """Return a maker of the agent that a yaml of configs/agent describes."""
    configs: dict[str, Any] = {}

    def make(name: str, space: Space) -> Agent:
        if name not in configs:
            with initialize_config_module("trailmark.configs", version_base="1.3"):
                configs[name] = compose("train", [f"agent={name}"])
            GlobalHydra.instance().clear()
        observer = onboarding.observer if space is onboarding.observer.space else None
        return make_agent(configs[name], space, observer)

    yield make
    GlobalHydra.instance().clear()
