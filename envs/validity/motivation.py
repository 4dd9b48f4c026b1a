"""Motivation: who stays, who leaves, and what confidence follows from."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from ..rows import pick
from ..students.ssr import SSR
from ..students.ssr_motivation import WEEK
from ..students.ssr_population import Material
from .effect import Check, Effect, Value
from .laboratory import Visit, material, participants
from .practice import in_use, kinds_of, nearest

WEEKS = 8


def _course(like: SSR, skills: int, items: int, stuff: Material, mandatory: bool) -> SSR:
    """Return learners of an online course of problems, who come and go as they like."""
    catalog = material(skills, (("practice", 2.0),), items)
    spare = replace(in_use(like), weekly=16.0, onboarding=16.0, weeks=float(WEEKS))  # a quarter of an hour a week
    learners = participants(catalog, kinds_of(like), like, spare, stuff)
    return replace(learners, motivation=replace(like.motivation, mandatory=mandatory))


def _attend(student: SSR, n: int, seed: int, preset: float | None) -> tuple[Visit, Tensor, Tensor, Tensor]:
    """Return the learners after the course, problems done, logits gained, and the day when each left (inf = never).

    Each problem is the first of the catalogue's, in turn; with `preset` the one whose success is nearest to it.
    """
    visit = Visit.of(student, n, seed)
    n_items = len(student.catalog.activities) if student.catalog else 0
    start, done, left = visit.state.strength, torch.zeros(n), torch.full((n,), math.inf)
    while bool((on := ~visit.state.left & (visit.state.now < WEEK * WEEKS)).any()) and visit.step < 2000:
        if preset is None:
            activity = torch.full((n,), (visit.step // 2) % n_items)
        else:
            activity = nearest(visit, student, preset)
        before = visit.state
        visit, response = visit.give(activity, on)
        days = response.days if response.days is not None else torch.zeros(n)
        state = student.elapse(visit.state, days, visit.rng.at(visit.step))
        visit = replace(visit, state=pick(on, state, visit.state), step=visit.step + 1)
        done = done + on
        left = torch.where(visit.state.left & ~before.left, visit.state.now.clamp_max(WEEK * WEEKS), left)
    return visit, done, (visit.state.strength - start).mean(1), left


def v13(like: SSR, n: int = 1000, seed: int = 0) -> Effect:
    """Preset success rates (Jansen et al. 2013): easier problems are done more often, and more is learnt."""
    stuff = replace(Material(), difficulty_sd=0.0, rate_mean=0.0, rate_sd=0.0, item_sd=2.5, slope_sd=0.0)
    learners = _course(like, 1, 40, stuff, mandatory=False)
    runs = [_attend(learners, n, seed, preset) for preset in (0.60, 0.75, 0.90)]
    done, gained = [r[1] for r in runs], [r[2] for r in runs]
    stayed = [(~r[0].state.left).float() for r in runs]
    checks = []
    for what, values, least in (
        ("problems done", done, 0.5),
        ("logits gained", gained, 0.05),
        ("completed", stayed, 0.01),
    ):
        for i, names in enumerate((".75 less .60", ".90 less .75")):
            checks.append(Check(f"{what}, {names}", Value.mean(values[i + 1] - values[i]), least, math.inf))
    levels = ", ".join(
        f"{float(d.mean()):.0f} / {float(g.mean()):.2f} / {float(s.mean()):.2f}"
        for d, g, s in zip(done, gained, stayed, strict=True)
    )
    return Effect(
        "V13",
        "Who succeeds more does more and gains more",
        "volume and gain rise with preset success",
        tuple(checks),
        f"problems / logits / completed: {levels}",
    )


def survival(like: SSR, mandatory: bool, n: int, seed: int) -> Tensor:
    """Return (9,), the share of learners who are still there after week 0 .. 8 of a course; the last have finished."""
    _, _, _, left = _attend(_course(like, 10, 1, Material(), mandatory), n, seed, None)
    weeks = [(left > WEEK * w) for w in range(WEEKS + 1)]
    weeks[-1] = left == math.inf
    return torch.stack(weeks).float().mean(1)


def v14(like: SSR, n: int = 2000, seed: int = 0) -> Effect:
    """Completion of voluntary and mandatory courses of eight weeks (Wintermute et al. 2021; Jordan 2015)."""
    free, forced = survival(like, False, n, seed), survival(like, True, n, seed + 1)
    hazard = [1 - float(b) / max(float(a), 1.0 / n) for a, b in pairwise(free)]
    return Effect(
        "V14",
        "Few complete a voluntary course, most a mandatory one; most leave at once",
        ".05-.21 voluntary, about .95 mandatory; hazard highest in the first week",
        (
            Check("voluntary completed", Value.share(float(free[-1]), n), 0.10, 0.30),
            Check("mandatory completed", Value.share(float(forced[-1]), n), 0.90, 0.99),
            Check(
                "hazard of week 1 less that of the worst later week",
                Value.exactly(hazard[0] - max(hazard[1:])),
                0.0,
                1.0,
            ),
        ),
        "the scale and the mandatory term were set for this",
    )


def _within(x: Tensor, y: Tensor) -> Tensor:
    """Return the correlation of panels (n, T) after each person's mean is taken off."""
    x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    return (x * y).sum() / torch.sqrt((x * x).sum() * (y * y).sum())


def _detrended(x: Tensor) -> Tensor:
    """Return panels (n, T) without each person's linear trend."""
    t = torch.arange(x.shape[1], dtype=x.dtype)
    t = t - t.mean()
    x = x - x.mean(1, keepdim=True)
    return x - (x @ t)[:, None] * t / (t @ t)


def v15(like: SSR, n: int = 1000, seed: int = 0) -> Effect:
    """Performance moves self-efficacy more than the reverse (Sitzmann and Yeo 2013): 6 blocks of 10 problems."""
    blocks, size, skills = 6, 10, 1
    learners = participants(material(skills, (("practice", 2.0),)), kinds_of(like), like, in_use(like), Material())
    visit, scores, beliefs = Visit.of(learners, n, seed), [], []
    for _ in range(blocks):
        right = []
        for i in range(size):
            visit, response = visit.give(i % skills)
            right.append(response.correct)
        scores.append(torch.stack(right).mean(0))
        beliefs.append(learners.confidence(visit.state, visit.rng.at(visit.step)).mean(1))
    score, belief = torch.stack(scores, 1).double(), torch.stack(beliefs, 1).double()
    flat, calm = _detrended(score), _detrended(belief)

    def value(x: Tensor, y: Tensor) -> Value:
        draws = torch.stack([_within(x[rows], y[rows]) for rows in rows_of])
        return Value.sampled(float(_within(x, y)), draws)

    rows_of = torch.randint(0, n, (200, n), generator=torch.Generator().manual_seed(seed))
    return Effect(
        "V15",
        "Past performance moves self-efficacy; self-efficacy hardly moves performance",
        ".40 (.30 detrended); .23 (.06 detrended)",
        (
            Check("performance to self-efficacy", value(score, belief), 0.25, 0.60),
            Check("performance to self-efficacy, detrended", value(flat, calm), 0.15, 0.45),
            Check("self-efficacy to performance", value(belief[:, :-1], score[:, 1:]), 0.0, 0.30),
            Check("self-efficacy to performance, detrended", value(calm[:, :-1], flat[:, 1:]), -0.20, 0.20),
        ),
        "within persons; the weight of one answer was set by hand for this",
    )
