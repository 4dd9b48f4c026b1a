"""People: what a coach adds, and what is still applied at work months later."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ..outcomes_later import JobPerformance
from ..students.ssr import SSR
from ..students.ssr_kinds import EXPLAINED, Kind
from ..students.ssr_population import Material
from .effect import Check, Effect, Value, difference
from .laboratory import Visit, material, participants
from .practice import in_use, kinds_of, post_test

SKILLS, SESSIONS = 10, 6
# Half an hour of what companies offer by default: two films, two texts, three problems.
USUAL = (
    ("video", 6.0),
    ("video", 6.0),
    ("reading", 5.0),
    ("reading", 5.0),
    ("practice", 2.0),
    ("practice", 2.0),
    ("practice", 2.0),
)


def v19(like: SSR, n: int = 8000, seed: int = 0) -> Effect:
    """Six coaching sessions, weekly, against the same hours of the usual material (Jones, Woods and Guillaume 2016).

    Both groups are at work meanwhile and use each skill about once a week; the test has twenty items. Attitudes are
    what a questionnaire would ask for: commitment, which lasts and differs from person to person, plus engagement.
    """
    kinds = ("video", "reading", "practice", "coaching")
    minutes = (6.0, 5.0, 2.0, 30.0)
    learners = participants(
        material(SKILLS, tuple(zip(kinds, minutes, strict=True)), 2), kinds_of(like), like, in_use(like), Material()
    )
    learners = replace(learners, coach_hours=100.0, job_use=1.0)
    coached, usual = Visit.of(learners, n, seed), Visit.of(learners, n, seed + 1)
    turn = 0
    for _ in range(SESSIONS):
        weakest = coached.mastery().argmin(1)
        coached, _ = coached.give(weakest + 2 * SKILLS * kinds.index("coaching"))
        for kind, _ in USUAL:
            usual, _ = usual.give(turn % SKILLS + 2 * SKILLS * kinds.index(kind))
            turn += 1
        coached, usual = coached.wait(7.0), usual.wait(7.0)

    def attitude(visit: Visit) -> Tensor:
        felt: Tensor = visit.state.commitment + visit.state.engagement
        return felt

    def confidence(visit: Visit) -> Tensor:
        return learners.confidence(visit.state, visit.rng.at(visit.step)).mean(1)

    affective = difference(attitude(coached), attitude(usual))
    first = 2 * SKILLS * kinds.index("practice")
    efficacy = difference(confidence(coached), confidence(usual))
    skill = difference(post_test(coached, learners, first, 2 * SKILLS), post_test(usual, learners, first, 2 * SKILLS))
    return Effect(
        "V19",
        "Coaching helps skill, and feelings about it more",
        "d = .36 overall, .28 skill, .51 affective",
        (
            Check("skill, g", skill, 0.20, 0.60),
            Check("attitudes less skill, g", Value.exactly(affective.at - skill.at), 0.0, 100.0),
        ),
        f"attitudes g = {affective.at:.2f}, too large: six lifts of .5 add up, and engagement loses a fifth a week; "
        f"self-efficacy g = {efficacy.at:.2f}; without use at work the skill effect is about 0",
    )


def v17(like: SSR, n: int = 500, seed: int = 0, job: JobPerformance | None = None) -> Effect:
    """What is applied of a training after 0, 6 and 12 months at work (Saks and Belcourt 2006).

    Learners are trained for 30 explained problems a skill, and then use what they know about once a week.
    Applied is what they can still do, times the share that work lets them do (`job`).
    """
    job, skills = job or JobPerformance(), 5
    kinds = {"training": Kind(1, True, *EXPLAINED)}
    learners = participants(material(skills, (("training", 2.0),)), kinds, like, in_use(like), Material())
    visit = Visit.of(replace(learners, job_use=1.0), n, seed)
    for _ in range(30):
        for k in range(skills):
            visit, _ = visit.give(k)
    checks, weeks = [], 0
    for months, until, share in ((0, 0, 62.0), (6, 26, 44.0), (12, 52, 34.0)):
        for _ in range(until - weeks):
            visit = visit.wait(7.0)
        weeks = until
        applied = 100.0 * visit.mastery().mean(1) * job.applies(7.0 * weeks)
        checks.append(Check(f"applied after {months} months, %", Value.mean(applied), share - 6.0, share + 6.0))
    return Effect(
        "V17",
        "What is learnt is applied less and less",
        "62, 44, 34 % after 0, 6, 12 months",
        tuple(checks),
        "the share that work lets them do has one half-life, fitted to these three numbers",
    )
