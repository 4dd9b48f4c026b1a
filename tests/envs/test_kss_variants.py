"""The other two forms of KSS against their reference figures, and every setting on its own."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from trailmark.envs.rng import Purpose, Rng
from trailmark.envs.students.kss import EDGES, KSS, KSSState, legal, p_correct
from trailmark.envs.students.kss_graph import MENTION, difficulties

OF_2018 = KSS(
    difficulty=(0, 2, 3, 3, 3, 0, 1, 3, 4, 4),
    warm_up_walk=False,
    warm_up_pairs=True,
    warm_up_kept=False,
    chance=True,
    towards=True,
    ends=False,
)
OF_2021 = KSS(highest=-1, targets=(3, 9), repeats=True, habit_ability=0.6, redraw=False)


def choose(kss: KSS, state: KSSState, policy: str, t: int, u: Tensor) -> Tensor:
    if policy == "uniform":
        return (10 * u).long()
    if policy == "cyclic":
        return torch.full_like(state.last, t % 10)
    allowed = state.goal > 0 if policy == "targets" else legal(state.last, state.goal if kss.towards else None)
    pick = (u * allowed.sum(1)).long() + 1
    return (allowed.cumsum(1) >= pick[:, None]).to(torch.uint8).argmax(1)


def promotion(kss: KSS, policy: str, lengths: tuple[int, ...], n: int, seed: int = 0) -> list[Tensor]:
    rng = Rng.enrol(seed, 0, n)
    state = kss.enrol(rng)
    targets, passed = state.goal.sum(1), (kss.mastery(state) * state.goal).sum(1)
    gains = []
    for t in range(max(lengths)):
        state, response = kss.answer(
            state, choose(kss, state, policy, t, rng.at(t).uniform(Purpose.ACT)[:, 0]), rng.at(t)
        )
        assert kss.ends or not response.finished.any()
        if t + 1 in lengths:
            gains.append(((kss.mastery(state) * state.goal).sum(1) - passed) / (targets - passed))
    return gains


@pytest.mark.parametrize(
    ("policy", "means", "intervals"),
    [
        ("uniform", (0.0669, 0.1205, 0.1791), (0.0027, 0.0036, 0.0044)),
        ("targets", (0.0907, 0.1489, 0.2018), (0.0034, 0.0045, 0.0053)),
        ("cyclic", (0.1621, 0.2033, 0.2287), (0.0034, 0.0039, 0.0044)),
        ("legal", (0.1557, 0.3284, 0.4940), (0.0041, 0.0056, 0.0060)),
    ],
)
def test_reference_means_of_2018(policy: str, means: tuple[float, ...], intervals: tuple[float, ...]) -> None:
    """At 10, 20 and 30 moves, within the 95 % interval of the difference of two means.

    The reference has 5,000 episodes of a pool of 4,000 learners, so it varies more than its interval says: the error of
    the pool's own mean is added.
    """
    for gain, mean, interval in zip(promotion(OF_2018, policy, (10, 20, 30), 20_000), means, intervals, strict=True):
        pool = 1.96 * gain.std().item() / math.sqrt(4000)
        own = 1.96 * gain.std().item() / math.sqrt(20_000)
        assert gain.mean().item() == pytest.approx(mean, abs=math.hypot(interval, pool, own))


def test_start_statistics_of_2018() -> None:
    state = OF_2018.enrol(Rng.enrol(0, 0, 10_000))
    targets = state.goal.sum(1)
    measured = {
        "targets": (targets, 6.44, 2.29),
        "passed": ((OF_2018.mastery(state) * state.goal).sum(1) / targets, 0.0252, 0.063),
        "ability": (state.ability.sum(1), -19.50, 3.59),
        "right": (state.past_correct.mean(1), 0.434, 0.123),
    }
    for name, (values, mean, sd) in measured.items():
        assert values.mean().item() == pytest.approx(mean, abs=3 * sd * math.sqrt(1 / 10_000 + 1 / 4_000)), name
        assert values.std().item() == pytest.approx(sd, rel=0.06), name


@pytest.mark.parametrize(("policy", "mean"), [("uniform", 0.1909), ("cyclic", 0.3853), ("legal", 0.4337)])
def test_reference_means_of_2021(policy: str, mean: float) -> None:
    """Over instances with difficulties of their own. The reference has 20, drawn without a seed: within 2.6 errors."""
    means = []
    for seed in range(100):
        gain = promotion(replace(OF_2021, difficulty=difficulties(seed)), policy, (20,), 500, seed)[0]
        means.append(gain.nanmean().item())
    spread = torch.tensor(means).std().item()
    assert torch.tensor(means).mean().item() == pytest.approx(mean, abs=2.6 * spread * math.sqrt(1 / 100 + 1 / 20))
    assert spread > 0.02


def test_difficulties_of_2021() -> None:
    drawn = difficulties(3)
    in_order = [drawn[k] for k in MENTION]
    assert in_order == sorted(in_order)
    assert {d for seed in range(50) for d in difficulties(seed)} == {0, 1, 2, 3, 4}
    assert list(MENTION) == list(dict.fromkeys(k for edge in EDGES for k in edge))


def test_towards_keeps_to_what_leads_to_a_target() -> None:
    goal = torch.zeros(4, 10)
    goal[0, 3], goal[1, 9], goal[2, 0], goal[3, 0] = 1, 1, 1, 1
    allowed = legal(torch.tensor([0, 0, 7, -1]), goal)
    assert allowed[0].nonzero().flatten().tolist() == [0, 1]  # of 0, 1, 2; and 2 does not lead to 3
    assert allowed[1].nonzero().flatten().tolist() == [0, 1, 2]
    assert allowed[2].nonzero().flatten().tolist() == [0]  # of 6, 7, 8 none leads to 0: the target itself
    assert allowed[3].all()
    state = OF_2018.enrol(Rng.enrol(0, 0, 4))._replace(goal=goal, last=torch.tensor([0, 0, 7, 0]))
    _, response = OF_2018.answer(state, torch.tensor([2, 2, 0, 0]), Rng.enrol(0, 0, 4))
    assert response.accepted.tolist() == [False, True, True, True]


def test_chance_draws_the_answer_before_learning() -> None:
    kss, n = replace(KSS(), chance=True), 40_000
    rng = Rng.enrol(0, 0, n)
    state = kss.enrol(Rng.enrol(0, 0, 1))
    ability = torch.full((n, 10), -1.0, dtype=torch.float64)
    ability[:, 0] = 0.05
    state = KSSState(ability, torch.full((n,), -1), torch.ones(n, 10), torch.zeros(n, 0).long(), torch.zeros(n, 0))
    after, response = kss.answer(state, torch.zeros(n, dtype=torch.int64), rng)
    p = p_correct(torch.tensor(0.05), torch.tensor(0.0)).item()
    assert response.correct.mean().item() == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / n))
    assert (after.ability[:, 0] > 2).all()


def test_warm_up_settings() -> None:
    rng = Rng.enrol(0, 0, 300)
    fresh = KSS(warm_up=0).enrol(rng)
    forgotten = replace(KSS(), warm_up_kept=False, redraw=False).enrol(rng)
    assert torch.equal(forgotten.ability.frac() == fresh.ability.frac(), torch.ones(300, 10, dtype=torch.bool))
    assert (forgotten.last >= 0).all()
    free = replace(KSS(), warm_up_walk=False).enrol(rng)
    assert torch.equal(free.last, free.past_activity[:, -1])
    assert (free.ability.sum(1) > KSS().enrol(rng).ability.sum(1)).float().mean() > 0.8
    paired = replace(OF_2018, warm_up_walk=True).enrol(rng)
    assert paired.past_activity.shape == (300, 20)


def test_habit_looks_for_what_is_not_yet_known() -> None:
    """At an ability of .7, .5 for concept 3 and the highest elsewhere: by ability 3 is first, by p_correct 1 (hard)."""
    ability = torch.full((1, 10), 5.0, dtype=torch.float64)
    ability[0, 1], ability[0, 3] = 0.7, 0.5
    nothing, coins = torch.zeros(1, 0), torch.zeros(1, 3)
    for kss, first in ((KSS(), 1), (replace(KSS(), habit_ability=0.6), 3)):
        concept, _ = kss._habit(ability, nothing.long(), nothing.bool(), torch.zeros(1, dtype=torch.bool), coins)
        assert concept.tolist() == [first]


def test_repeated_targets_coincide() -> None:
    goal = OF_2021.enrol(Rng.enrol(0, 0, 20_000)).goal
    drawn = torch.arange(3, 10)
    expected = (10 * (1 - 0.9**drawn)).mean().item()  # of 3..9 draws with replacement from ten
    assert goal.sum(1).mean().item() == pytest.approx(expected, abs=0.04)
    assert (goal.sum(1).min(), goal.max()) == (1, 1)


def test_without_redraw_some_start_with_every_target() -> None:
    easy = KSS(difficulty=(-4, -4, -4, -4, -4, -4, -4, -4, -4, 1), redraw=False)
    state = easy.enrol(Rng.enrol(3, 0, 128))
    assert 10 < easy._finished(state).sum() < 118


@pytest.mark.parametrize("kss", [OF_2018, OF_2021], ids=["2018", "2021"])
def test_a_learner_is_the_same_in_any_batch(kss: KSS) -> None:
    def live(rng: Rng) -> KSSState:
        state = kss.enrol(rng)
        for t in range(15):
            state, _ = kss.answer(state, (3 * rng.learner + t) % 10, rng.at(t))
        return state

    whole = live(Rng.enrol(7, 0, 100))
    for first, n in ((0, 1), (50, 3), (20, 80)):
        part = live(Rng.enrol(7, first, n))
        assert all(torch.equal(a, b[first : first + n]) for a, b in zip(part, whole, strict=True))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lowest": 1}, "lower one first"),
        ({"targets": (0, 4)}, "fewest and the most"),
        ({"targets": (3, 11)}, "from 1 to 10"),
    ],
)
def test_bad_settings_are_named(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(KSS(), **changes)  # type: ignore[arg-type]
