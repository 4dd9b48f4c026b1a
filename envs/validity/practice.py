"""Practice: what an opportunity teaches, with which feedback, at which difficulty, against watching and examples."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ..rng import Purpose
from ..students.ssr import SSR
from ..students.ssr_kinds import ANSWER, EXPLAINED, NO_FEEDBACK, RESULT, STANDARD, Kind
from ..students.ssr_population import Material, Population
from .effect import Z95, Check, Effect, Value, difference
from .laboratory import Visit, material, participants


def in_use(like: SSR) -> Population:
    """Return a population of course takers with the learning rates of `like`; what they knew before is in reach."""
    return Population(age=0.0, rate_sd=like.population.rate_sd)


def kinds_of(like: SSR) -> dict[str, Kind]:
    """Return what activities do to these learners: their own kinds, and the usual ones where they have none."""
    return {**STANDARD, **like.kinds}


def post_test(visit: Visit, student: SSR, first: int, items: int) -> Tensor:
    """Return (B,), the share right of `items` test items, activities `first` and on; the test changes nothing."""
    u = visit.rng.at(visit.step).uniform(Purpose.ACT, items)
    p = [student.p_correct(visit.state, torch.full_like(visit.rng.learner, first + i)) for i in range(items)]
    return (u < torch.stack(p, 1)).float().mean(1)


def nearest(visit: Visit, student: SSR, level: float) -> Tensor:
    """Return (B,), for each participant the activity whose success is nearest to `level`; all practise one skill.

    The activities must differ in difficulty alone; then success falls along their order, and halving finds the place.
    """
    order = student.on(visit.rng.learner.device).traits.item.argsort()

    def p(place: Tensor) -> Tensor:
        return student.p_correct(visit.state, order[place])

    low, high = torch.zeros_like(visit.rng.learner), torch.full_like(visit.rng.learner, len(order) - 1)
    while bool((high - low > 1).any()):
        middle = (low + high) // 2
        easy = p(middle) >= level
        low, high = torch.where(easy, middle, low), torch.where(easy, high, middle)
    return order[torch.where((p(low) - level).abs() <= (p(high) - level).abs(), low, high)]


def additive_factors(correct: Tensor) -> tuple[Tensor, Tensor, float, float]:
    """Return learner and skill intercepts, the common slope and its standard error of a fitted additive factors model.

    correct: (G, N, K, T), G groups of N learners with K skills of their own. Newton steps on each block in turn;
    learners are shrunk to a normal of sd 0.8.
    """
    g, n, k, times = correct.shape
    learner, skill = torch.zeros(g, n, 1, 1).double(), torch.zeros(g, 1, k, 1).double()
    slope, opportunity = torch.zeros(()).double(), torch.arange(times).double()
    for _ in range(40):
        for block in ("learner", "skill", "slope"):
            p = torch.sigmoid(learner + skill + slope * opportunity)
            error, weight = correct - p, p * (1 - p)
            if block == "learner":
                gradient = error.sum((2, 3), keepdim=True) - learner / 0.64
                learner = learner + gradient / (weight.sum((2, 3), keepdim=True) + 1 / 0.64)
            elif block == "skill":
                skill = skill + error.sum((1, 3), keepdim=True) / weight.sum((1, 3), keepdim=True)
            else:
                information = (weight * opportunity**2).sum()
                slope = slope + (error * opportunity).sum() / information
    return learner, skill, float(slope), float(information**-0.5)


def v7(like: SSR, n: int = 2000, seed: int = 0) -> Effect:
    """Learning rates (Koedinger, Carvalho, Liu and McLaughlin 2023): 12 opportunities at each of 20 skills, AFM fitted.

    Materials of 20 skills for fifty learners each, because 20 learning rates do not have the mean of all.
    Points an opportunity are those of the first seven, the number that learners needed in the published data.
    """
    skills, times, materials = 20, 12, max(1, n // 50)
    answers = torch.zeros(materials, n // materials, skills, times, dtype=torch.float64)
    for i in range(materials):
        catalog = material(skills, (("practice", 2.0),))
        visit = Visit.of(
            participants(catalog, kinds_of(like), like, in_use(like), Material(seed + i)), n // materials, seed + i
        )
        for t in range(times):
            for k in range(skills):
                visit, response = visit.give(k)
                answers[i, :, k, t] = response.correct.double()
    return learning_rate(answers, "the rate was set for this; strength itself grows by .10 logits an opportunity")


def learning_rate(answers: Tensor, note: str) -> Effect:
    """Return V7 of graded `answers` (G, N, K, T) float64: G groups of N learners, K skills each, T opportunities."""
    learner, skill, slope, error = additive_factors(answers)
    ability, by_learner = learner.flatten(), answers.mean(2).flatten(0, 1)  # (G N,), (G N, T)
    first = by_learner[:, 0]
    order = ability.argsort()
    low, high = first[order[: len(order) // 2]], first[order[len(order) // 2 :]]
    points = 100 * (by_learner[:, 6] - first) / 6
    needed = (math.log(4.0) - float(learner.mean() + skill.mean())) / slope if slope else math.inf
    return Effect(
        "V7",
        "Practice teaches about a tenth of a logit each time",
        ".1 logit, 2.5 points, .65 at the start (.55 and .75 in the halves), about 7 opportunities to .80",
        (
            Check("logits an opportunity", Value(slope, slope - Z95 * error, slope + Z95 * error), 0.07, 0.14),
            Check("points an opportunity", Value.mean(points), 1.4, 3.2),
            Check("right at the start", Value.mean(first), 0.60, 0.70),
            Check("right at the start, lower half", Value.mean(low), 0.50, 0.60),
            Check("right at the start, upper half", Value.mean(high), 0.70, 0.80),
            Check("opportunities to .80", Value.exactly(needed), 5.0, 12.0),
        ),
        note,
    )


ITEMS = 20
ONE_SKILL = Material(difficulty_sd=0.0, rate_mean=0.0, rate_sd=0.0)  # of average difficulty and rate; items differ
FEEDBACK = {
    "none": Kind(1, True, *NO_FEEDBACK, corrects=False),
    "KR": Kind(1, True, *RESULT, corrects=False),
    "KCR": Kind(1, True, *ANSWER),
    "EF": Kind(1, True, *EXPLAINED),
}


def v8(like: SSR, n: int = 2000, seed: int = 0) -> Effect:
    """Eight problems with feedback of four sorts, then a test of 20 items (Van der Kleij, Feskens and Eggen 2015)."""
    catalog = material(1, (*((name, 2.0) for name in FEEDBACK), ("test", 1.0)), ITEMS)
    learners = participants(catalog, {**FEEDBACK, "test": FEEDBACK["none"]}, like, in_use(like), ONE_SKILL)
    scores = {}
    for i, name in enumerate(FEEDBACK):
        visit = Visit.of(learners, n, seed + i)
        for j in range(8):
            visit, _ = visit.give(i * ITEMS + j)
        scores[name] = post_test(visit, learners, len(FEEDBACK) * ITEMS, ITEMS)
    gain = {name: difference(scores[name], scores["none"]) for name in ("KR", "KCR", "EF")}
    order = min(gain["KCR"].at - gain["KR"].at, gain["EF"].at - gain["KCR"].at)
    return Effect(
        "V8",
        "The more feedback says, the more it teaches",
        "KR .05, KCR .32, EF .49",
        (
            Check("right or wrong, g", gain["KR"], -0.05, 0.20),
            Check("the right answer, g", gain["KCR"], 0.15, 0.50),
            Check("an explanation, g", gain["EF"], 0.30, 0.70),
            Check("least step in that order, g", Value.exactly(order), 0.0, 1.0),
        ),
        "the growth after each sort of feedback was set by hand for this",
    )


def v9(like: SSR, n: int = 2000, seed: int = 0) -> Effect:
    """Expertise reversal: eight worked examples against eight problems by prior accuracy (Tetzlaff et al. 2025)."""
    catalog = material(1, (("practice", 2.0), ("worked example", 2.5), ("test", 1.0)), ITEMS)
    kinds = {**kinds_of(like), "test": FEEDBACK["none"]}
    accuracy, gain = [], []
    for i, start in enumerate((-1.4, -0.9, -0.3, 0.3, 0.9, 1.6, 2.2)):
        learners = participants(catalog, kinds, like, replace(in_use(like), start=start), ONE_SKILL)
        groups = []
        for arm in (0, 1):
            visit = Visit.of(learners, n, seed + 10 * i + arm)
            if arm == 0:
                accuracy.append(float(post_test(visit, learners, 2 * ITEMS, ITEMS).mean()))
            for j in range(8):
                visit, _ = visit.give(arm * ITEMS + j)
            groups.append(post_test(visit, learners, 2 * ITEMS, ITEMS))
        gain.append(difference(groups[1], groups[0]))

    def at(p: float) -> Value:
        j = min(max(sum(a < p for a in accuracy), 1), len(accuracy) - 1)
        w = (p - accuracy[j - 1]) / (accuracy[j] - accuracy[j - 1])
        a, b = gain[j - 1], gain[j]
        return Value(a.at + w * (b.at - a.at), a.low + w * (b.low - a.low), a.high + w * (b.high - a.high))

    crossing = next((p / 100 for p in range(35, 86) if at(p / 100).at < 0), 1.0)
    return Effect(
        "V9",
        "Examples help novices and hinder experts",
        "+.505 for novices, -.428 for experts",
        (
            Check("examples less problems at .40, g", at(0.40), 0.30, 2.0),
            Check("examples less problems at .75, g", at(0.75), -2.0, -0.20),
            Check("accuracy where they are equal", Value.exactly(crossing), 0.45, 0.65),
        ),
        "the slope of worked examples over knowledge was set by hand for this",
    )


def v11(like: SSR, n: int = 4000, seed: int = 0) -> Effect:
    """Doing against watching (Koedinger, Kim, Jia, McLaughlin and Bier 2015): regression of a test on both amounts.

    Motivation and what learners knew before stand in the regression, as far as the study had them.
    """
    skills, doing, watching = 10, 40.0, 20.0
    learners = participants(
        material(skills, (("practice", 2.0), ("reading", 5.0))), kinds_of(like), like, in_use(like), Material()
    )
    start = visit = Visit.of(learners, n, seed)
    z = visit.rng.normal(Purpose.ACT, 3, block=1)  # motivation moves both amounts; each has a part of its own
    amount = torch.stack(
        [doing * (1 + 0.3 * (0.5 * z[:, 0] + 0.87 * z[:, 1])), watching * (1 + 0.3 * (0.5 * z[:, 0] + 0.87 * z[:, 2]))],
        1,
    )
    amount = amount.round().clamp_min(1)
    left = amount.clone()
    while bool((left > 0).any()):
        u = visit.rng.at(visit.step).uniform(Purpose.ACT, 2)
        read = u[:, 0] < left[:, 1] / left.sum(1).clamp_min(1)
        skill = (u[:, 1] * skills).long()
        visit, _ = visit.give(skill + skills * read, left.sum(1) > 0)
        spent = torch.stack([~read, read], 1) & (left.sum(1) > 0)[:, None]
        left = left - spent.float()
    score = torch.stack([learners.p_correct(visit.state, torch.full((n,), k)) for k in range(skills)], 1).mean(1)
    before = start.mastery().mean(1, keepdim=True)
    x = torch.cat(
        [torch.ones(n, 1), (amount - amount.mean(0)) / amount.std(0), z[:, :1], before, before**2], 1
    ).double()
    y = score.double()
    inverse = torch.linalg.inv(x.T @ x)
    beta = inverse @ x.T @ y
    cov = inverse * float((y - x @ beta).var())
    ratio = float(beta[1] / beta[2])
    spread = ratio * float(
        torch.sqrt(cov[1, 1] / beta[1] ** 2 + cov[2, 2] / beta[2] ** 2 - 2 * cov[1, 2] / beta[1] / beta[2])
    )
    return Effect(
        "V11",
        "Doing teaches several times as much as watching",
        "more than 6 times",
        (
            Check(
                "effect of one SD of doing over that of one SD of reading",
                Value(ratio, ratio - Z95 * spread, ratio + Z95 * spread),
                3,
                12,
            ),
        ),
    )
