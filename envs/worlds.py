"""Worlds: the two that stand ready under Gymnasium ids, with the numbers of configs/experiment."""

from __future__ import annotations

from functools import cache

from ..data.sources.sample import Sample
from .classroom import Pace, World
from .guards import KSSWalk, Offered, Prerequisites, TimeBudget
from .observer import Observer
from .outcomes import Completion, LearningGain, NormalisedGain, SkillsMastered, TimeToMastery
from .students.kss import KSS
from .students.sampled import SampledStudent
from .tracers.bkt import BKT
from .tracers.tally import Tally


@cache
def onboarding_world() -> World:
    """Return the onboarding programme of the sample: six hours, up to 40 activities, two days off after every 8.

    As configs/experiment/onboarding_bkt.yaml, but fitted to every learner of the log. The first call fits BKT;
    later ones return the same world, which nothing changes.
    """
    log, catalog = Sample().load()
    tracer = BKT().fit(log, catalog)
    guards = {"offered": Offered(), "prerequisites": Prerequisites(threshold=0.6), "time_budget": TimeBudget()}
    outcomes = {
        "learning_gain": LearningGain(),
        "time_to_mastery": TimeToMastery(threshold=0.95),
        "skills_mastered": SkillsMastered(threshold=0.95),
        "completion": Completion(),
    }
    student = SampledStudent(tracer, catalog, minutes=360.0)
    return World(student, Observer(tracer, catalog, guards, 40), outcomes, {"learning_gain": 1.0}, Pace(8, 2.0))


@cache
def kss_world() -> World:
    """Return the field's ten-concept learner on paths of 20, as configs/experiment/kss.yaml."""
    student = KSS()
    observer = Observer(Tally().of(student.catalog), student.catalog, {"walk": KSSWalk()}, 20)
    outcomes = {"promotion": NormalisedGain(), "completion": Completion()}
    return World(student, observer, outcomes, {"promotion": 1.0}, Pace(20, 0.0))
