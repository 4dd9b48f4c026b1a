"""FSRS-6 against the reference's numbers, on made-up cards and on one person's reviews."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch import Tensor

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.log import Log
from trailmark.data.sources.anki import Anki
from trailmark.envs.cards import Cards, whole_days
from trailmark.envs.replay import predictions
from trailmark.envs.tracer import Evidence
from trailmark.envs.tracers import fsrs_rules as rules
from trailmark.envs.tracers.fsrs import FSRS, FSRSBelief
from trailmark.envs.tracers.fsrs_fit import recalls
from trailmark.envs.tracers.readiness import Readiness

WEIGHTS = torch.tensor(rules.WEIGHTS)


def deck(n: int) -> Catalog:
    skills = tuple(Skill(f"s{k}") for k in range(n))
    return Catalog(skills, tuple(Activity(f"s{k}", "", "card", (f"s{k}",), 1.0, (), (), k == 0) for k in range(n)))


def grade(*values: int) -> Tensor:
    return torch.tensor(values)


def same_day_and_later_reviews() -> FSRSBelief:
    model = FSRS().of(deck(3))
    belief = model.start(4)
    for t in range(6):
        belief = model.update(belief, Evidence((torch.arange(4) + t) % 2, torch.tensor([1.0, 0.0, 1.0, 1.0])))
        belief = model.elapse(belief, torch.tensor([0.2, 1.0, 3.0, 30.0]))
    return belief


def test_first_review() -> None:
    stability, difficulty = rules.first_review(grade(1, 2, 3, 4), WEIGHTS)
    assert stability.tolist() == pytest.approx([0.212, 1.2931, 2.3065, 8.2956], abs=1e-6)
    assert difficulty.tolist() == pytest.approx([6.4133, 5.1122, 2.1181, 1.0], abs=5e-5)


def test_reference_vector() -> None:
    """Good, then Good or Again after one stability; the digits are those printed."""
    stability, difficulty = rules.first_review(grade(3, 3), WEIGHTS)
    after, _ = rules.review(stability, difficulty, stability, grade(3, 1), WEIGHTS)
    assert after[0].item() == pytest.approx(11.9091, abs=5e-5)
    assert after[1].item() == pytest.approx(0.61716, abs=5e-6)
    assert rules.recall(torch.tensor(10.0), torch.tensor(2.3065), WEIGHTS).item() == pytest.approx(0.774367, abs=5e-7)


def by_hand(s: float, d: float, days: float, g: int) -> tuple[float, float]:
    """One review in plain Python, written from the published formulas."""
    w = rules.WEIGHTS
    factor = 0.9 ** (-1 / w[20]) - 1
    r = (1 + factor * days / s) ** -w[20]
    if days < 1:
        grown = math.exp(w[17] * (g - 3 + w[18])) * s ** -w[19]
        s_after = s * (max(1.0, grown) if g >= 3 else grown)
    elif g == 1:
        lapsed = w[11] * d ** -w[12] * ((s + 1) ** w[13] - 1) * math.exp(w[14] * (1 - r))
        s_after = min(lapsed, s / math.exp(w[17] * w[18]))
    else:
        bonus = (w[15] if g == 2 else 1) * (w[16] if g == 4 else 1)
        s_after = s * (1 + math.exp(w[8]) * (11 - d) * s ** -w[9] * (math.exp((1 - r) * w[10]) - 1) * bonus)
    easy = w[4] - math.exp(w[5] * 3) + 1
    d_after = w[7] * easy + (1 - w[7]) * (d + (10 - d) / 9 * (-w[6] * (g - 3)))
    return max(0.001, s_after), min(10.0, max(1.0, d_after))


@given(s=st.floats(0.001, 3000), d=st.floats(1, 10), days=st.integers(0, 2000), g=st.integers(1, 4))
def test_every_review_is_the_published_formula(s: float, d: float, days: int, g: int) -> None:
    double = torch.float64
    got = rules.review(
        torch.tensor([s], dtype=double),
        torch.tensor([d], dtype=double),
        torch.tensor([float(days)], dtype=double),
        grade(g),
        torch.tensor(rules.WEIGHTS, dtype=double),
    )
    expected = by_hand(s, d, days, g)
    assert got[0].item() == pytest.approx(min(expected[0], 36500.0), rel=1e-6)
    assert got[1].item() == pytest.approx(expected[1], rel=1e-6)


def test_tracer_follows_the_rules_card_by_card() -> None:
    model = FSRS().of(deck(2))
    belief = model.start(1)
    s, d, age, seen = 0.0, 0.0, 0.0, False
    for score, days in ((1.0, 0.3), (0.4, 2.7), (0.5, 0.9), (1.0, 0.2), (1.0, 8.0), (0.0, 4.0), (1.0, 6.6)):
        belief = model.update(belief, Evidence(torch.tensor([1]), torch.tensor([score])))
        g = 3 if score >= 0.5 else 1
        if seen:
            s, d = by_hand(s, d, math.floor(age + 1e-5), g)
        else:
            s, d = (2.3065, 2.118104) if g == 3 else (0.212, 6.4133)
        belief = model.elapse(belief, torch.tensor([days]))
        age, seen = days, True
        assert belief.stability[0, 1].item() == pytest.approx(s, rel=1e-4)
        assert belief.difficulty[0, 1].item() == pytest.approx(d, rel=1e-4)
    factor = 0.9 ** (-1 / 0.1542) - 1
    assert model.predict(belief)[0, 1].item() == pytest.approx((1 + factor * 6 / s) ** -0.1542, rel=1e-4)
    assert model.predict(belief)[0, 0].item() == 0.5  # never met
    assert belief.seen.tolist() == [[-1, 1]]


def test_whole_days_have_a_second_of_grace() -> None:
    days = torch.tensor([0.99, 0.999995, 1.0, 1.99], dtype=torch.float64)
    assert whole_days(days).tolist() == [0, 1, 1, 1]


def test_intervals() -> None:
    model, belief = FSRS().of(deck(3)), same_day_and_later_reviews()
    days = model.interval_for(belief, 0.9)
    torch.testing.assert_close(days[:, :2], belief.stability[:, :2], rtol=1e-4, atol=0)
    assert days[:, 2].tolist() == [0] * 4  # never met
    assert bool((model.interval_for(belief, 0.8)[:, :2] > days[:, :2]).all())
    with pytest.raises(ValueError, match="between 0 and 1"):
        model.interval_for(belief, 1.0)


@given(first=st.floats(0, 400), second=st.floats(0, 400))
def test_days_add_up_and_never_help(first: float, second: float) -> None:
    model, belief = FSRS().of(deck(3)), same_day_and_later_reviews()
    a, b = torch.full((4,), first, dtype=torch.float64), torch.full((4,), second, dtype=torch.float64)
    twice, once = model.elapse(model.elapse(belief, a), b), model.elapse(belief, a + b)
    torch.testing.assert_close(twice.age, once.age, rtol=1e-12, atol=1e-12)
    assert bool((model.mastery(once) <= model.mastery(model.elapse(belief, a))).all())
    assert bool(((model.recall(once) >= 0) & (model.recall(once) <= 1)).all())


def made_up(n: int, weights: Tensor, seed: int = 0, skills: int = 4) -> tuple[Log, Catalog]:
    """A log of n learners whose cards obey FSRS with `weights`."""
    catalog, generator = deck(skills), np.random.default_rng(seed)
    rows = []
    for learner in range(n):
        for skill in range(skills):
            now, s, d, g = generator.uniform(0, 5), 0.0, 0.0, 3
            for t in range(8):
                days = float(generator.integers(1, 30))
                if t:
                    r = rules.recall(torch.tensor(days), torch.tensor(s), weights).item()
                    g = 3 if generator.random() < r else 1
                    after = rules.review(*(torch.tensor([x]) for x in (s, d, days)), grade(g), weights)
                else:
                    after = rules.first_review(grade(g), weights)
                now, s, d = now + (days if t else 0.0), after[0].item(), after[1].item()
                rows.append((f"l{learner}", f"s{skill}", float(g == 3), 1e9 + now * 86400))
    return Log.from_frame(pd.DataFrame(rows, columns=["learner", "activity", "correct", "timestamp"]), catalog), catalog


def log_loss(p: np.ndarray, truth: np.ndarray) -> float:
    return float(-np.mean(truth * np.log(p) + (1 - truth) * np.log(1 - p)))


@pytest.fixture(scope="module")
def other_weights() -> Tensor:
    """People who forget much faster than the defaults say."""
    weights = WEIGHTS.clone()
    weights[2], weights[8], weights[20] = 0.8, 1.2, 0.4
    return weights


def test_fit_finds_people_who_forget_faster(other_weights: Tensor) -> None:
    log, catalog = made_up(120, other_weights)
    held_out, _ = made_up(60, other_weights, seed=1)
    model = FSRS(curve_alone=True).fit(log, catalog)
    cards = Cards.of(held_out.sequences(catalog), catalog)
    truth, later = cards.correct, cards.later
    loss = {
        name: log_loss(recalls(cards, weights).clamp(1e-4, 0.9999).numpy()[later], truth[later])
        for name, weights in {"default": WEIGHTS, "fitted": model.fitted().weights, "true": other_weights}.items()
    }
    assert loss["fitted"] < loss["default"] - 0.02
    assert loss["fitted"] < loss["true"] + 0.01
    low, high = torch.tensor(rules.LOWEST), torch.tensor(rules.HIGHEST)
    assert bool(((model.fitted().weights >= low) & (model.fitted().weights <= high)).all())


def test_few_reviews_leave_the_defaults(other_weights: Tensor) -> None:
    log, catalog = made_up(4, other_weights)
    assert torch.equal(FSRS().fit(log, catalog).fitted().weights, WEIGHTS)


def test_batched_recalls_are_the_walk(other_weights: Tensor) -> None:
    log, catalog = made_up(15, WEIGHTS)
    model = FSRS().of(catalog)
    cards = Cards.of(log.sequences(catalog), catalog)
    together = recalls(cards, WEIGHTS).clamp(1e-4, 0.9999).numpy()
    alone = predictions(model, log, catalog)[cards.row]
    assert np.allclose(together[cards.later], alone[cards.later], atol=1e-5)
    which = np.array([3, 8])
    some = recalls(cards, WEIGHTS, which=which).numpy()
    mine = np.isin(np.repeat(np.arange(len(cards)), np.diff(cards.start)), which) & cards.later
    assert np.allclose(some[mine], recalls(cards, WEIGHTS).numpy()[mine])
    assert bool((some[~mine] == 1).all())


def test_cards_are_learner_by_skill(programme: Catalog, log: Log) -> None:
    """Activities of several skills: every row once per skill, in time order, gaps from the card's own past."""
    sequences = log.subset(log.learners[:5]).sequences(programme)
    cards = Cards.of(sequences, programme)
    q = programme.q_matrix()
    assert len(cards.row) == q[sequences.activity].sum()
    for i in range(len(cards)):
        rows = cards.row[cards.start[i] : cards.start[i + 1]]
        learner = int(np.searchsorted(sequences.start, rows[0], side="right")) - 1
        mine = np.arange(sequences.start[learner], sequences.start[learner + 1])
        assert rows.tolist() == mine[q[sequences.activity[mine], cards.skill[i]]].tolist()
        gaps = np.diff(sequences.days[rows], prepend=sequences.days[rows[0]])
        assert np.allclose(cards.gap[cards.start[i] : cards.start[i + 1]], gaps)
    assert cards.later.sum() == len(cards.row) - len(cards)


def test_readiness_is_the_share_of_right_answers(programme: Catalog, log: Log) -> None:
    cards = Cards.of(log.sequences(programme), programme)
    ready = Readiness.fit(cards, 6, 0.5)
    first = ~cards.later
    mine = first & (cards.of_skill == 0)
    overall = (cards.correct[first].sum() + 1) / (first.sum() + 2)
    expected = (cards.correct[mine].sum() + 5 * overall) / (mine.sum() + 5)
    assert ready.first[0].item() == pytest.approx(expected, abs=1e-6)
    assert bool((ready.fresh[:5, 1] > ready.fresh[:5, 0]).all())
    assert ready.first[5].item() == pytest.approx(overall, abs=1e-6)  # practised by nothing


@pytest.fixture(scope="module")
def anki(real_data: Path) -> tuple[Log, Catalog, Cards]:
    log, catalog = Anki(str(real_data / "srs_reviews" / "review_logs.csv.gz")).load()
    return log, catalog, Cards.of(log.sequences(catalog), catalog)


def test_one_persons_reviews_at_the_default_weights(anki: tuple[Log, Catalog, Cards]) -> None:
    """The figures that py-fsrs's own weights give on these 5,329 reviews of another day."""
    cards = anki[2]
    later = cards.later & (whole_days(torch.from_numpy(cards.gap)) >= 1).numpy()
    p, truth = recalls(cards, WEIGHTS).numpy()[later].astype(float), cards.correct[later]
    assert later.sum() == 5329
    assert truth.mean() == pytest.approx(0.7921, abs=5e-5)
    assert log_loss(p, truth) == pytest.approx(0.4587, abs=5e-5)
    assert roc_auc_score(truth, p) == pytest.approx(0.7139, abs=5e-5)
    place = np.minimum((20 * p).astype(int), 19)
    gap = [abs(p[place == i].mean() - truth[place == i].mean()) * (place == i).mean() for i in np.unique(place)]
    assert sum(gap) == pytest.approx(0.0419, abs=2e-4)


@pytest.mark.slow
def test_one_persons_reviews_fitted(anki: tuple[Log, Catalog, Cards]) -> None:
    log, catalog, cards = anki
    later = cards.later & (whole_days(torch.from_numpy(cards.gap)) >= 1).numpy()
    model = FSRS(curve_alone=True).fit(log, catalog)
    p = recalls(cards, model.fitted().weights).clamp(1e-4, 0.9999).numpy()[later].astype(float)
    assert log_loss(p, cards.correct[later]) < 0.445


def recall_after(gap: Tensor, delay: float, weights: Tensor) -> Tensor:
    """Expected R `delay` days after a first Good and one review `gap` days later."""
    s, d = torch.full_like(gap, 2.3065), torch.full_like(gap, 2.1181)
    p, total = rules.recall(gap, s, weights), torch.zeros_like(gap)
    for g, chance in ((3, p), (1, 1 - p)):
        after, _ = rules.review(s, d, gap, torch.full_like(gap, g, dtype=torch.int64), weights)
        total += chance * rules.recall(torch.full_like(gap, delay), after, weights)
    return total


def test_spacing_effect() -> None:
    """The best gap lies inside and shrinks as a share of the delay (Cepeda et al. 2008); the gain is too small."""
    weights = WEIGHTS.double()
    gaps = torch.logspace(0, 2.5, 300, dtype=torch.float64)
    best, gain = [], []
    for delay in (7.0, 35.0, 70.0, 350.0):
        recalled = recall_after(gaps, delay, weights)
        massed = recall_after(torch.zeros(1, dtype=torch.float64), delay, weights)
        best.append(gaps[recalled.argmax()].item() / delay)
        gain.append((recalled.max() / massed - 1).item())
    assert best == sorted(best, reverse=True)
    assert 0.4 < best[0] < 0.9
    assert 0.03 < best[-1] < 0.08
    assert gain == sorted(gain)
    assert all(0.08 < g < 0.35 for g in gain)


def test_a_better_past_answer_never_lowered_recall() -> None:
    generator, n = torch.Generator().manual_seed(0), 20_000
    days = torch.randint(0, 20, (5, n), generator=generator).double()
    grades = 1 + 2 * torch.randint(0, 2, (5, n), generator=generator)

    def recalled(second: int) -> Tensor:
        state = rules.first_review(grades[0], WEIGHTS.double())
        for t in range(1, 5):
            state = rules.review(*state, days[t], grades[t] if t != 1 else torch.full((n,), second), WEIGHTS.double())
        return rules.recall(torch.full((n,), 10.0, dtype=torch.float64), state[0], WEIGHTS.double())

    assert bool((recalled(3) >= recalled(1)).all())
