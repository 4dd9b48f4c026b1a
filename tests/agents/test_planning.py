"""Planning on belief: what is expected is the tracer's own expectation, and more depth finds what one step misses."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

import pytest
import torch
from torch import Tensor

from trailmark.agents.baselines import RandomLegal
from trailmark.agents.belief_beam import BeliefBeam
from trailmark.agents.bundle import PolicyBundle
from trailmark.agents.lookahead import Lookahead
from trailmark.agents.loop import play
from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.log import Log
from trailmark.envs.classroom import Classroom, World
from trailmark.envs.observer import Observation, Observer, Record
from trailmark.envs.rng import Rng
from trailmark.envs.rows import take
from trailmark.envs.student import Context
from trailmark.envs.tracer import Evidence, Tracer


class Stairs(NamedTuple):
    height: Tensor  # (B, 3)


@dataclass(frozen=True, eq=False)
class StairTracer(Tracer):
    """Skill 2 leaps once skill 0 is up; skill 1 rises a little at once, and falls with the days."""

    chance: float = 0.5
    catalog: Catalog | None = field(default=None)

    def fit(self, log: Log, catalog: Catalog) -> Self:
        return self

    def start(self, n: int) -> Stairs:
        return Stairs(torch.zeros(n, 3))

    def draw(self, rng: Rng) -> Stairs:
        return self.start(len(rng))

    def predict(self, belief: Stairs) -> Tensor:
        return torch.full_like(belief.height, self.chance)

    def predict_at(self, belief: Stairs, activity: Tensor) -> Tensor:
        return torch.full(activity.shape, self.chance)

    def update(self, belief: Stairs, evidence: Evidence) -> Stairs:
        rise = torch.tensor([0.0, 0.2, 0.0])[evidence.activity]
        rise = torch.where((evidence.activity == 2) & (belief.height[:, 0] > 0.4), 0.9, rise)
        rise = torch.where(evidence.activity == 0, 0.5 * evidence.correct + 0.25, rise)
        at = evidence.activity[:, None]
        return Stairs((belief.height + torch.zeros_like(belief.height).scatter(1, at, rise[:, None])).clamp(0.0, 1.0))

    def elapse(self, belief: Stairs, days: Tensor) -> Stairs:
        kept = torch.cat([torch.ones(len(days), 1), torch.exp(-days)[:, None], torch.ones(len(days), 1)], 1)
        return Stairs(belief.height * kept)

    def mastery(self, belief: Stairs) -> Tensor:
        return belief.height

    def features(self, belief: Stairs) -> Tensor:
        return belief.height[:, :0]


NAMES = ("s0", "s1", "s2")


@pytest.fixture(scope="module")
def stairs() -> Callable[..., tuple[Observer, Observation]]:
    """Return a maker of an observer and what it sees of two learners, whose goals are skills 1 and 2."""

    def make(chance: float = 0.5, minutes: tuple[float, ...] = (1.0, 1.0, 1.0)) -> tuple[Observer, Observation]:
        skills = tuple(Skill(name) for name in NAMES)
        catalog = Catalog(
            skills, tuple(Activity(f"do {n}", "", "practice", (n,), m) for n, m in zip(NAMES, minutes, strict=True))
        )
        observer = Observer(StairTracer(chance), catalog, {}, 10)
        none = torch.zeros(2, 0, dtype=torch.int64)
        goal = torch.tensor([[0.0, 1.0, 1.0]] * 2)
        record = observer.start(Context(none.new_zeros(2), goal, torch.full((2,), torch.inf), none, none.float()))
        return observer, observer.observe(record)

    return make


def test_one_step_sees_one_step(stairs) -> None:
    observer, seen = stairs()
    assert Lookahead(observer.space, observer)(seen).argmax(1).tolist() == [1, 1]


def test_several_steps_see_the_leap(stairs) -> None:
    observer, seen = stairs(chance=1.0)
    assert BeliefBeam(observer.space, observer, depth=1)(seen).argmax(1).tolist() == [1, 1]
    assert BeliefBeam(observer.space, observer, depth=3)(seen).argmax(1).tolist() == [0, 0]
    assert BeliefBeam(observer.space, observer, depth=3, width=1)(seen).argmax(1).tolist() == [1, 1], "too narrow"


def test_the_beam_is_told_its_own_chance(stairs) -> None:
    """Activity 0 lifts skill 0 by .25 + .5 score; the leap needs more than .4 in one go of two steps."""
    for chance, first in ((0.2, 1), (0.4, 0)):
        observer, seen = stairs(chance=chance)
        assert BeliefBeam(observer.space, observer, depth=2)(seen).argmax(1).tolist() == [first] * 2


def test_days_and_minutes_count(stairs) -> None:
    observer, seen = stairs(minutes=(1.0, 1.0, 1.0))
    up = observer.update(
        seen.record, torch.tensor([0, 0]), torch.ones(2), torch.ones(2), torch.ones(2, dtype=torch.bool)
    )
    now = observer.observe(up)
    assert Lookahead(observer.space, observer)(now).argmax(1).tolist() == [2, 2]
    quick, seen = stairs(minutes=(1.0, 0.1, 1.0))
    record = quick.update(
        seen.record, torch.tensor([0, 0]), torch.ones(2), torch.ones(2), torch.ones(2, dtype=torch.bool)
    )
    assert Lookahead(quick.space, quick)(quick.observe(record)).argmax(1).tolist() == [1, 1], ".2 in .1 minutes"
    assert Lookahead(quick.space, quick, per_minute=False)(quick.observe(record)).argmax(1).tolist() == [2, 2]
    for settings in ({"after": 5.0}, {"sitting": 2, "gap_days": 5.0}):  # what skill 1 gains is soon gone
        policy = Lookahead(quick.space, quick, **settings)
        assert policy(quick.observe(record)).argmax(1).tolist() == [2, 2]
    assert Lookahead(quick.space, quick, sitting=3, gap_days=5.0)(quick.observe(record)).argmax(1).tolist() == [1, 1]


def test_lookahead_expects_what_the_tracer_expects(onboarding: World) -> None:
    observer = onboarding.observer
    room = Classroom(onboarding, 0, 0, 12)
    policy = Lookahead(observer.space, observer, per_minute=False)
    chosen = policy(room.observation).argmax(1)
    for b in range(12):
        one = take(room.record, slice(b, b + 1))
        gains = torch.full((observer.space.n_activities,), -torch.inf)
        for a in room.observation.mask[b].nonzero()[:, 0].tolist():
            p = float(observer.tracer.predict(one.belief)[0, a])
            after = [
                observer.tracer.update(one.belief, Evidence(torch.tensor([a]), torch.tensor([c]))) for c in (0.0, 1.0)
            ]
            worth = [float((observer.tracer.mastery(x) * one.goal).sum() / one.goal.sum()) for x in after]
            gains[a] = (1 - p) * worth[0] + p * worth[1]
        assert float(gains[chosen[b]]) == pytest.approx(float(gains.max()), abs=1e-5)


@pytest.mark.parametrize("kind", ["lookahead", "beam"])
def test_planning_beats_the_floor_where_belief_is_sound(onboarding: World, kind: str) -> None:
    observer = onboarding.observer
    space = observer.space
    policy = Lookahead(space, observer, 8, 2.0) if kind == "lookahead" else BeliefBeam(space, observer, 2, 2, 8, 2.0)
    planned = play(onboarding, policy, 0, 60)
    floor = play(onboarding, RandomLegal(space), 0, 60)
    assert float(planned.values["learning_gain"].mean()) > float(floor.values["learning_gain"].mean()) + 0.08
    assert planned.legal_rate == 1.0


@pytest.mark.parametrize("kind", [Lookahead, BeliefBeam])
def test_planners_can_be_bundled(onboarding: World, kind: type, tmp_path) -> None:
    observer = onboarding.observer
    PolicyBundle(observer, kind(observer.space, observer), {}).save(tmp_path / "bundle")
    again = PolicyBundle.load(tmp_path / "bundle")
    record: Record = again.enrol(minutes=360.0)
    found, expected = (
        again.recommend(record, 1),
        PolicyBundle(observer, kind(observer.space, observer), {}).recommend(record, 1),
    )
    assert found == expected


def test_a_plan_is_the_same_in_any_batch(onboarding: World) -> None:
    observer = onboarding.observer
    seen = Classroom(onboarding, 0, 0, 30).observation
    for policy in (Lookahead(observer.space, observer), BeliefBeam(observer.space, observer, 3, 3)):
        whole = policy(seen)
        assert torch.equal(policy(take(seen, slice(7, 12))), whole[7:12])


def test_records_are_needed(onboarding: World) -> None:
    observer = onboarding.observer
    seen = Classroom(onboarding, 0, 0, 2).observation._replace(record=None)
    for policy in (Lookahead(observer.space, observer), BeliefBeam(observer.space, observer)):
        with pytest.raises(ValueError, match="records"):
            policy(seen)
    with pytest.raises(ValueError, match="depth 0"):
        BeliefBeam(observer.space, observer, depth=0)


def test_guards_are_asked_on_the_way(onboarding: World) -> None:
    """With minutes for one short activity alone, deeper plans find nothing more and still name an allowed one."""
    observer = replace(onboarding.observer)
    record = Classroom(onboarding, 0, 0, 6).record
    short = record._replace(minutes_budget=record.minutes_used + float(observer.minutes.min()) + 0.01)
    seen = observer.observe(short)
    p = BeliefBeam(observer.space, observer, 4, 4)(seen)
    assert bool((p[~seen.mask] == 0).all())
    assert torch.equal(p.sum(1), torch.ones(6))
