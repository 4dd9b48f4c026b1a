"""KSS against its published dynamics: golden traces, start statistics, reference means, and invariance to the batch."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trailmark.envs.rng import Purpose, Rng
from trailmark.envs.rows import take
from trailmark.envs.students.kss import EDGES, KSS, NEIGHBOURS, KSSState, legal, p_correct

EPISODES, PATH = 10_000, 20

# As published, written out: what may follow each concept.
FOLLOWS = {
    0: {0, 1, 2},
    1: {0, 1, 2, 3},
    2: {0, 1, 2, 4, 8},
    3: {0, 1, 3, 4},
    4: {0, 1, 2, 3, 4, 5, 8, 9},
    5: {4, 5, 9},
    6: {6, 7},
    7: {6, 7, 8},
    8: {0, 2, 3, 4, 5, 6, 7, 8, 9},
    9: {2, 4, 5, 7, 8, 9},
}

GOLDEN = [
    ([0, 1, 3, 4, 8, 9], [2.0, 0.51451, 0.3, -0.46179, -0.230895, -1.5, -1.6, -1.7, -0.465447, -1.232704], 9),
    (
        [0, 0, 0, 1, 1, 2, 2, 3, 4, 4],
        [4.25, 2.972629, 2.914288, 0.736315, 1.67531, -1.5, -1.6, -1.7, 1.794799, -0.102601],
        4,
    ),
    ([6, 7, 8, 9, 5, 4], [-1, -1.1, -1.2, -1.3, 0.225, 1.75, 1.7, 0.04313, -0.115935, 0.567046], 4),
    ([9, 0, 5], [-1, -1.1, -1.2, -1.3, 0.225, 1.75, -1.6, -1.7, -0.9875, 0.131256], 5),
]


def states(abilities: list[list[float]], last: int = -1) -> KSSState:
    """Learners with these abilities, every concept a target, and no log."""
    n = len(abilities)
    log = torch.zeros(n, 0)
    ability = torch.tensor(abilities, dtype=torch.float64)
    return KSSState(ability, torch.full((n,), last), torch.ones(n, 10), log.to(torch.int64), log)


def same(a: KSSState, b: KSSState) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def practise_by_recursion(ability: list[float], last: int, concept: int) -> tuple[list[float], int]:
    """One step of the dynamics, one learner, as the reference states them: one call per path, cut at every call."""
    if last >= 0 and concept not in FOLLOWS[last]:
        return ability, last
    now = list(ability)

    def promote(k: int, amount: float) -> None:
        now[k] = min(5.0, now[k] + amount)
        for before, after in EDGES:
            if before == k:
                promote(after, amount / 2)

    short = sum(5.0 - ability[before] for before, after in EDGES if after == concept)
    promote(concept, 0.5 * (5.0 - ability[concept]) * math.exp(-short))
    return now, concept


@pytest.mark.parametrize(("path", "ability", "last"), GOLDEN)
def test_golden_traces(path: list[int], ability: list[float], last: int) -> None:
    kss, rng = KSS(), Rng.enrol(0, 0, 1)
    state = states([[-1 - 0.1 * i for i in range(10)]])
    for concept in path:
        state, _ = kss.answer(state, torch.tensor([concept]), rng)
    # The published values are rounded to six places.
    torch.testing.assert_close(state.ability[0], torch.tensor(ability, dtype=torch.float64), rtol=0, atol=1e-6)
    assert state.last.item() == last


def test_answer_model() -> None:
    abilities = torch.tensor([-1, -0.1, -0.0815, -0.08, 0, 0.1, 1], dtype=torch.float64)
    published = torch.tensor([0.250153, 0.474575, 0.500066, 0.502196, 0.625, 0.775425, 0.999847], dtype=torch.float64)
    torch.testing.assert_close(p_correct(abilities, torch.zeros(7)), published, rtol=0, atol=1e-6)


def test_passing_is_a_probability_of_at_least_a_half() -> None:
    kss = KSS()
    difficulty = torch.tensor(kss.difficulty, dtype=torch.float64)
    margins = torch.linspace(-0.2, 0.1, 301, dtype=torch.float64).unsqueeze(1)
    state = states((difficulty + margins).tolist())
    assert torch.equal(kss.mastery(state) == 1, p_correct(state.ability, difficulty) >= 0.5)
    assert kss.mastery(state).mean() not in (0, 1)


def test_graph() -> None:
    assert {k: set(NEIGHBOURS[k].nonzero().flatten().tolist()) for k in range(10)} == FOLLOWS
    assert torch.equal(legal(torch.tensor([-1, 5])), torch.stack([torch.ones(10, dtype=torch.bool), NEIGHBOURS[5]]))
    catalog = KSS().catalog
    assert [s.prerequisites for s in catalog.skills][4] == ("concept 2", "concept 3", "concept 5")
    assert sum(len(s.prerequisites) for s in catalog.skills) == len(EDGES)
    assert [a.skills for a in catalog.activities] == [(s,) for s in catalog.skill_ids]
    assert [a.minutes for a in catalog.activities] == [1.0] * 10
    kss = KSS()
    assert kss.fit(None, None) is kss


ability_rows = st.lists(st.floats(-4, 5), min_size=10, max_size=10)


@settings(max_examples=60, deadline=None)
@given(ability_rows, st.integers(-1, 9), st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_every_step_is_the_recursion(ability: list[float], last: int, path: list[int]) -> None:
    kss, rng = KSS(), Rng.enrol(0, 0, 1)
    state = states([ability], last)
    for concept in path:
        before = state
        state, response = kss.answer(before, torch.tensor([concept]), rng)
        ability, last = practise_by_recursion(ability, last, concept)
        torch.testing.assert_close(state.ability[0], torch.tensor(ability, dtype=torch.float64), rtol=0, atol=1e-9)
        assert state.last.item() == last
        assert (state.ability >= before.ability).all()
        assert (state.ability <= 5).all()
        assert response.accepted.item() == legal(before.last)[0, concept].item()
        if not response.accepted:
            assert same(state, before)
        assert response.correct.item() == kss.mastery(state)[0, concept].item()


def test_the_answer_comes_after_learning_and_the_end_after_the_last_target() -> None:
    kss, rng = KSS(), Rng.enrol(0, 0, 2)
    state = states([[-1.0] * 10, [-1.0] * 10])
    goal = torch.zeros(2, 10)
    goal[0, 0], goal[1, 0], goal[1, 5] = 1, 1, 1
    state, response = kss.answer(state._replace(goal=goal), torch.tensor([0, 0]), rng)
    assert response.correct.tolist() == [1, 1]  # from -1 to 2 at difficulty 0
    assert response.finished.tolist() == [True, False]
    assert response.minutes.tolist() == [1, 1]
    state, response = kss.answer(state, torch.tensor([9, 5]), rng)
    assert response.accepted.tolist() == [False, False]
    assert response.correct.tolist() == [0, 0]
    assert state.last.tolist() == [0, 0]
    assert same(kss.elapse(state, torch.tensor([30.0, 400.0]), rng), state)


def test_learner_is_the_same_in_any_batch() -> None:
    kss = KSS()
    everyone = Rng.enrol(7, 0, 256)
    order = torch.randperm(256, generator=torch.Generator().manual_seed(1))
    batches = [torch.arange(256), order, torch.arange(7), torch.arange(100, 107), *torch.arange(60, 92).split(1)]

    def live(rng: Rng) -> list[KSSState | Tensor]:
        state = kss.enrol(rng)
        log: list[KSSState | Tensor] = [state]
        for t in range(PATH):
            concept = (rng.at(t).uniform(Purpose.ACT)[:, 0] * 10).to(torch.int64)
            state, response = kss.answer(state, concept, rng.at(t))
            log += [state, response.correct, response.accepted, response.finished]
        return log

    whole = live(everyone)
    for index in batches:
        for alone, together in zip(live(take(everyone, index)), whole, strict=True):
            for a, b in zip(
                *((x if isinstance(x, tuple) else (x,)) for x in (alone, take(together, index))), strict=True
            ):
                assert torch.equal(a, b)


def test_redrawn_learners_are_the_same_in_any_batch() -> None:
    easy = KSS(difficulty=(-4, -4, -4, -4, -4, -4, -4, -4, -4, 1))  # only concept 9 is ever missing
    everyone = Rng.enrol(3, 0, 128)
    first = easy._newcomers(everyone, 0)
    state = easy.enrol(everyone)
    drawn_anew = (first.ability != state.ability).any(1)
    assert 10 < drawn_anew.sum() < 118
    assert torch.equal(drawn_anew, easy._finished(first))
    assert not easy._finished(state).any()
    for i in range(128):
        assert same(easy.enrol(take(everyone, torch.tensor([i]))), take(state, torch.tensor([i])))


def test_seed_and_episode_change_the_learner() -> None:
    kss, rng = KSS(), Rng.enrol(0, 0, 64)
    state = kss.enrol(rng)
    other = kss.enrol(Rng.enrol(1, 0, 64))
    later = kss.enrol(Rng(0, rng.learner, rng.episode + 1, rng.step))
    assert not torch.equal(state.past_activity, other.past_activity)
    assert not torch.equal(state.past_activity, later.past_activity)


def test_context_tells_the_targets_and_the_log() -> None:
    kss = KSS()
    state = kss.enrol(Rng.enrol(0, 0, 50))
    context = kss.context(state)
    assert torch.equal(context.goal, state.goal)
    assert torch.equal(context.past_activity, state.past_activity)
    assert torch.equal(context.past_correct, state.past_correct)
    assert context.past_activity.shape == context.past_correct.shape == (50, 20)
    assert context.role.tolist() == [0] * 50
    assert context.minutes.isinf().all()
    assert KSS(warm_up=0).enrol(Rng.enrol(0, 0, 50)).last.tolist() == [-1] * 50


def test_the_log_is_what_was_lived() -> None:
    """Replaying the warm-up from the drawn abilities gives the answers of the log and the abilities at the start."""
    kss, rng = KSS(), Rng.enrol(5, 0, 200)
    state = kss.enrol(rng)
    fresh = KSS(warm_up=0).enrol(rng)
    first_draw = (kss._newcomers(rng, 0).past_activity == state.past_activity).all(1)
    assert first_draw.sum() > 195
    now = fresh
    for t in range(20):
        now, response = kss.answer(now, state.past_activity[:, t], rng)
        assert torch.equal(response.correct[first_draw], state.past_correct[first_draw, t])
    assert torch.equal(now.ability[first_draw], state.ability[first_draw])
    assert torch.equal(now.last[first_draw], state.last[first_draw])


def test_start_statistics() -> None:
    """Within three standard errors of the reference, which itself comes from 5,000 learners."""
    kss = KSS()
    state = kss.enrol(Rng.enrol(0, 0, EPISODES))
    targets = state.goal.sum(1)
    measured = {
        "targets": (targets, 6.49, 2.28),
        "passed": ((kss.mastery(state) * state.goal).sum(1) / targets, 0.1455, 0.1196),
        "ability": (state.ability.sum(1), -7.98, 4.82),
        "right": (state.past_correct.mean(1), 0.067, 0.051),
        "ends at 5": ((state.past_activity[:, -1] == 5).to(torch.float32), 0.69, math.sqrt(0.69 * 0.31)),
        "ends at 6": ((state.past_activity[:, -1] == 6).to(torch.float32), 0.21, math.sqrt(0.21 * 0.79)),
    }
    for name, (values, mean, sd) in measured.items():
        slack = 3 * sd * math.sqrt(1 / EPISODES + 1 / 5_000)
        assert values.mean().item() == pytest.approx(mean, abs=slack), name
        assert values.std().item() == pytest.approx(sd, rel=0.06), name
    assert (targets.min(), targets.max()) == (3, 10)


def uniform(state: KSSState, t: int, u: Tensor) -> Tensor:
    return (10 * u).to(torch.int64)


def cyclic(state: KSSState, t: int, u: Tensor) -> Tensor:
    return torch.full_like(state.last, t % 10)


def uniform_legal(state: KSSState, t: int, u: Tensor) -> Tensor:
    allowed = legal(state.last)
    pick = (u * allowed.sum(1)).to(torch.int64) + 1
    return (allowed.cumsum(1) >= pick.unsqueeze(1)).to(torch.uint8).argmax(1)


@pytest.mark.parametrize(
    ("policy", "promotion", "interval", "share_legal"),
    [(uniform, 0.1213, 0.0029, 0.403), (cyclic, 0.2203, 0.0040, 0.464), (uniform_legal, 0.3426, 0.0043, 1.0)],
)
def test_reference_means(
    policy: Callable[[KSSState, int, Tensor], Tensor], promotion: float, interval: float, share_legal: float
) -> None:
    """Mean promotion at path length 20.

    Over 10,000 episodes, as many as the reference has, within the 95 % interval of the difference of the two means;
    over ten times as many within the interval stated for the reference itself.
    """
    n = 10 * EPISODES
    kss, rng = KSS(), Rng.enrol(0, 0, n)
    state = kss.enrol(rng)
    targets, passed = state.goal.sum(1), (kss.mastery(state) * state.goal).sum(1)
    going = torch.ones(n, dtype=torch.bool)
    taken_up = lived = 0.0
    for t in range(PATH):
        concept = policy(state, t, rng.at(t).uniform(Purpose.ACT)[:, 0])
        state, response = kss.answer(state, concept, rng.at(t))
        taken_up += (response.accepted & going).sum().item()
        lived += going.sum().item()
        going &= ~response.finished
    gain = ((kss.mastery(state) * state.goal).sum(1) - passed) / (targets - passed)
    own = 1.96 * gain.std().item() / math.sqrt(EPISODES)
    assert own == pytest.approx(interval, abs=2e-4)
    assert gain[:EPISODES].mean().item() == pytest.approx(promotion, abs=math.hypot(interval, own))
    assert gain.mean().item() == pytest.approx(promotion, abs=interval)
    assert taken_up / lived == pytest.approx(share_legal, abs=0.005)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: KSS(difficulty=(0, 1)), "2 values"),
        (lambda: KSS(difficulty=(math.nan,) * 10), "not finite"),  # type: ignore[arg-type]
        (lambda: KSS(warm_up=-1), "warm_up is -1"),
        (lambda: KSS(difficulty=(-9,) * 10).enrol(Rng.enrol(0, 0, 3)), "3 of 3 learners"),
    ],
)
def test_bad_settings_are_named(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
