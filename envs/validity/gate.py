"""The validity gate: what a fitted model must not do before its guesses may stand for learners.

A model that predicts well may still be no learner (knowledge tracing as simulator: Kim et al. 2021; Yeung and Yeung
2018). The three checks here need no log and take a second; `recovery` and `likeness` have those that need one.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...data.catalog import Catalog
from ..rng import Purpose, Rng
from ..skills import skills_of
from ..student import Student
from ..students.sampled import SampledStudent
from ..tracer import Evidence, Tracer
from .effect import Check, Value
from .laboratory import Visit
from .own_items import own_catalog, probes
from .ruling import Ruling

VIOLATIONS, MOVED, DRILLED = 0.01, 0.01, 0.01  # the bars of monotone, local and action-sensitive
LEARNERS, STEPS, SKILLS = 200, 20, 5
DRILL = 30  # answers to one skill
_SLACK = 1e-5  # below it a change is rounding


def histories(catalog: Catalog, n: int, steps: int, seed: int) -> Tensor:
    """Return (steps, n) int64 activities: every learner works on at most five activities, in any order."""
    rng = Rng.enrol(seed, 0, n)
    few = (rng.uniform(Purpose.ACT, SKILLS) * len(catalog.activities)).long()
    turns = (rng.uniform(Purpose.ACT, steps, block=1) * SKILLS).long()
    return few.gather(1, turns).t().contiguous()


def _answers(tracer: Tracer, activities: Tensor, rng: Rng) -> tuple[Tensor, Tensor]:
    """Return the answers (T, n) that simulated learners give, and how own-skill predictions moved after each."""
    belief, answers, moves = tracer.draw(rng), [], []
    for t, activity in enumerate(activities):
        before = tracer.predict_at(belief, activity)
        correct = (rng.at(t).uniform(Purpose.ANSWER)[:, 0] < before).float()
        belief = tracer.update(belief, Evidence(activity, correct))
        answers.append(correct)
        moves.append(tracer.predict_at(belief, activity) - before)
    return torch.stack(answers), torch.stack(moves)


def _told(tracer: Tracer, belief: Any, activities: Tensor, answers: Tensor) -> Any:
    for activity, correct in zip(activities, answers, strict=True):
        belief = tracer.update(belief, Evidence(activity, correct))
    return belief


def _share(events: Tensor) -> Value:
    return Value.share(float(events.double().mean()), events.numel())


def monotone(tracer: Tracer, catalog: Catalog, seed: int = 0) -> Ruling:
    """Turn one past answer of each made-up learner from wrong to right; predictions of its skill must not fall."""
    n, activities = LEARNERS, histories(catalog, LEARNERS, STEPS, seed)
    rng = Rng.enrol(seed, 0, n)
    answers, moves = _answers(tracer, activities, rng)
    fell = _share((moves < -_SLACK)[answers > 0.5])
    rose = _share((moves > _SLACK)[answers < 0.5])
    start, broken = tracer.draw(rng), []
    for back in (1, 5, 10):  # answers ago
        flipped = activities[-back]
        right, wrong = answers.clone(), answers.clone()
        right[-back], wrong[-back] = 1.0, 0.0
        high = tracer.predict_at(_told(tracer, start, activities, right), flipped)
        low = tracer.predict_at(_told(tracer, start, activities, wrong), flipped)
        broken.append(high < low - _SLACK)
    return Ruling(
        "monotone",
        Check("past answers turned right that lower their skill", _share(torch.cat(broken)), 0.0, VIOLATIONS),
        f"after a right answer the prediction for the same skill falls {fell.at:.0%} of the time, "
        f"after a wrong one it rises {rose.at:.0%} of the time",
    )


def local(tracer: Tracer, catalog: Catalog, seed: int = 0) -> Ruling:
    """Answers to some skills must leave skills alone that the graph does not link to them."""
    activities = histories(catalog, LEARNERS, STEPS, seed)
    rng = Rng.enrol(seed, 0, LEARNERS)
    answers, _ = _answers(tracer, activities, rng)
    apart = ~_linked(catalog)  # (K, K)
    padded = skills_of(catalog)
    belief, moved, count = tracer.draw(rng), torch.zeros(LEARNERS), torch.zeros(LEARNERS)
    mastery = tracer.mastery(belief)
    for activity, correct in zip(activities, answers, strict=True):
        belief = tracer.update(belief, Evidence(activity, correct))
        after = tracer.mastery(belief)
        index, real = padded.index[activity], padded.real[activity]
        foreign = (apart[index] | ~real[..., None]).all(1)  # (n, K), linked to none of the activity's skills
        moved += ((after - mastery).abs() * foreign).sum(1)
        count += foreign.sum(1)
        mastery = after
    mean = moved / count.clamp_min(1.0)
    tests, skills = probes(catalog, 8)
    words = f"an answer moves skills that it has nothing to do with by {float(mean.mean()):.3f} on average"
    if tests:
        start, end = _drilled(tracer, tests, skills, apart)
        words += f"; {DRILL} wrong answers to one skill take the mean of the others from {start:.2f} to {end:.2f}"
    return Ruling("local", Check("mean change of unrelated skills an answer", Value.mean(mean), 0.0, MOVED), words)


def _drilled(tracer: Tracer, tests: tuple[int, ...], skills: tuple[int, ...], apart: Tensor) -> tuple[float, float]:
    """Return the mean mastery of unrelated skills before and after wrong answers, to the skill that lifts them most."""
    n = len(tests)
    start = tracer.draw(Rng.enrol(0, 0, n))
    activities = torch.tensor(tests).expand(DRILL, n)
    before, after = tracer.mastery(start), tracer.mastery(_told(tracer, start, activities, torch.zeros(DRILL, n)))
    others = apart[list(skills)].float()
    means = [(m * others).sum(1) / others.sum(1).clamp_min(1.0) for m in (before, after)]
    worst = int((means[1] - means[0]).argmax())
    return float(means[0][worst]), float(means[1][worst])


def _linked(catalog: Catalog) -> Tensor:
    """Return (K, K) bool: skills that are the same, prerequisites of each other however far, or practised together."""
    q = torch.from_numpy(catalog.q_matrix())
    links = torch.from_numpy(catalog.skill_prerequisites())
    together = (q.float().t() @ q.float()) > 0
    reach = links | torch.eye(len(catalog.skills), dtype=torch.bool)
    for _ in range(max(1, math.ceil(math.log2(max(2, len(catalog.skills)))))):
        reach = reach | ((reach.float() @ reach.float()) > 0)
    return reach | reach.t() | together


def sensitive(student: Student, seed: int = 0) -> Ruling:
    """What learners are given must matter; where all skills are wanted, drilling one must not beat practising all."""
    catalog = own_catalog(student)
    tests, _ = probes(catalog, 8)
    n, steps = LEARNERS, DRILL
    start = Visit.of(student, n, seed)
    wanted = student.context(start.state).goal.clone()
    wanted = torch.where(wanted.sum(1, keepdim=True) > 0, wanted, torch.ones_like(wanted))

    def gain(turns: list[int]) -> Tensor:
        visit = start
        for a in turns:
            visit, _ = visit.give(a)
        change = visit.mastery() - start.mastery()
        return (change * wanted).sum(1) / wanted.sum(1)

    everything, _ = probes(catalog, steps)
    if len(tests) < 2:
        return Ruling("action-sensitive", missing="fewer than two activities have a skill of their own")
    spread = gain([everything[i % len(everything)] for i in range(steps)])
    drills = torch.stack([gain([a] * steps) for a in tests])
    best = drills[int(drills.mean(1).argmax())]
    less = Value.mean(spread - best)
    gains = torch.stack([spread.mean(), *drills.mean(1)])
    if float(gains.max() - gains.min()) < _SLACK:
        less, words = Value(math.nan, less.low, less.high), "whatever learners are given, they gain the same"
    else:
        words = (
            f"{steps} answers to one skill gain {float(best.mean()):+.3f} over all wanted skills, "
            f"spread practice {float(spread.mean()):+.3f}"
        )
    return Ruling("action-sensitive", Check("gain of spread practice less the best drill", less, -DRILLED, 1.0), words)


def cheap(student: SampledStudent, seed: int = 0) -> tuple[Ruling, ...]:
    """Return the rulings on learners made from a fitted tracer that need no log."""
    catalog, tracer = own_catalog(student), student.tracer
    return monotone(tracer, catalog, seed), local(tracer, catalog, seed), sensitive(student, seed)


def refusal(student: Student) -> str:
    """Return why these learners must not be trained on, in words; empty for those who may be.

    Only learners made from a tracer are asked: the others are learners by construction, not by being good guesses.
    """
    if not isinstance(student, SampledStudent):
        return ""
    failed = [ruling for ruling in cheap(student) if not ruling.passed]
    if not failed:
        return ""
    name = type(student.tracer).__name__
    said = "; ".join(f"not {ruling.name}: {ruling.words}" for ruling in failed)
    return f"{name} predicts answers but is no learner. {said}"
