"""Target skills drawn at enrolment, and the 2018 rule of the KSS walk."""

from dataclasses import replace

import pytest
import torch

from trailmark.data.catalog import Catalog
from trailmark.data.log import Log
from trailmark.envs.classroom import Classroom, World
from trailmark.envs.guards import KSSWalk
from trailmark.envs.observer import Observer
from trailmark.envs.outcomes import NormalisedGain
from trailmark.envs.rng import Rng
from trailmark.envs.students.kss import KSS
from trailmark.envs.students.sampled import SampledStudent
from trailmark.envs.tracers.bkt import BKT
from trailmark.envs.tracers.tally import Tally


@pytest.fixture(scope="module")
def student(log: Log, programme: Catalog) -> SampledStudent:
    return SampledStudent(BKT(classes=1, iterations=3)).fit(log, programme)


def test_goals_are_drawn_from_what_the_role_needs(student: SampledStudent, programme: Catalog) -> None:
    everything = student.enrol(Rng.enrol(0, 0, 400))
    needed = torch.from_numpy(programme.goals()).float()[everything.role]
    assert torch.equal(everything.goal, needed)
    for n in (1, 2, 99):
        goal = replace(student, goals=n).enrol(Rng.enrol(0, 0, 400)).goal
        assert torch.equal(goal.sum(1), needed.sum(1).clamp_max(n))
        assert bool((goal <= needed).all())
    one = replace(student, goals=1).enrol(Rng.enrol(0, 0, 4000))
    for role in range(len(programme.roles)):
        mine = one.goal[one.role == role]
        share = mine.mean(0)[torch.from_numpy(programme.goals())[role] > 0]
        assert float((share - 1.0 / len(share)).abs().max()) < 0.05, "evenly"


def test_goals_are_a_learners_own_in_any_batch(student: SampledStudent) -> None:
    some = replace(student, goals=2)
    whole = some.enrol(Rng.enrol(3, 0, 40)).goal
    assert torch.equal(some.enrol(Rng.enrol(3, 17, 5)).goal, whole[17:22])
    assert torch.equal(some.context(some.enrol(Rng.enrol(3, 0, 40))).goal, whole)


def test_drawing_goals_changes_nothing_else(student: SampledStudent) -> None:
    a, b = student.enrol(Rng.enrol(3, 0, 40)), replace(student, goals=1).enrol(Rng.enrol(3, 0, 40))
    assert torch.equal(a.belief.known, b.belief.known)
    assert torch.equal(a.role, b.role)


def test_negative_goals_are_refused() -> None:
    with pytest.raises(ValueError, match="goals is -1"):
        SampledStudent(BKT(), goals=-1)


def test_the_walk_towards_targets_is_what_the_learner_accepts() -> None:
    learner = KSS(warm_up_walk=False, warm_up_pairs=True, warm_up_kept=False, chance=True, towards=True, ends=False)
    for towards, accepted in ((True, True), (False, False)):
        observer = Observer(Tally().of(learner.catalog), learner.catalog, {"walk": KSSWalk(towards)}, 8)
        room = Classroom(World(learner, observer, {"p": NormalisedGain()}, {"p": 1.0}), 2, 0, 300)
        taken = []
        for _ in range(8):
            mask = room.observation.mask
            action = (mask * room.rng.uniform(3, 10)).argmax(1)  # type: ignore[arg-type]
            taken.append(room.step(action).response.accepted)
        assert bool(torch.stack(taken).all()) is accepted
