"""Bayesian knowledge tracing against hand-made numbers, enumerated paths, known parameters and real logs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.log import DAY, Log
from trailmark.data.sources.gervet import Gervet
from trailmark.data.sources.pykt import PyKT
from trailmark.data.sources.source import Source
from trailmark.envs.replay import predictions
from trailmark.envs.rng import Rng
from trailmark.envs.skills import Padded, parents_of, skills_of
from trailmark.envs.tracer import Evidence
from trailmark.envs.tracers import bkt_em
from trailmark.envs.tracers.bkt import BKT, BKTBelief, BKTParameters

# ------------------------------------------------------------------------------------------ models by hand


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def by_hand(
    prior: Tensor,
    learn: Tensor,
    guess: Tensor,
    slip: Tensor,
    forget: float = 0.0,
    decay: float = 0.0,
    shift: tuple[float, ...] = (0.0,),
    weight: tuple[float, ...] = (1.0,),
    skills: Padded | None = None,
    parents: Padded | None = None,
    gate: float = 0.15,
) -> BKT:
    """A model in float64; activity k practises skill k unless `skills` says otherwise."""
    k = len(prior)
    each = Padded.of(np.eye(k, dtype=bool))
    none = Padded.of(np.zeros((k, k), bool))
    full = torch.full_like(prior, 1.0)
    parameters = BKTParameters(
        prior,
        learn,
        guess,
        slip,
        full * forget,
        full * decay,
        doubles(*shift),
        doubles(*weight),
        skills or each,
        parents or none,
    )
    return BKT(classes=len(weight), gate=gate, parameters=parameters)


TEXTBOOK = {"prior": doubles(0.4), "learn": doubles(0.2), "guess": doubles(0.25), "slip": doubles(0.1)}


def after(model: BKT, *answers: float, activity: int = 0) -> BKTBelief:
    belief = model.start(1)
    for answer in answers:
        belief = model.update(belief, Evidence(torch.tensor([activity]), doubles(answer)))
    return belief


def test_golden_textbook_steps() -> None:
    """By hand: right .36 / .51, wrong .04 / .49, then learning of what is left."""
    model = by_hand(**TEXTBOOK)
    assert float(model.predict(model.start(1))) == pytest.approx(0.4 * 0.9 + 0.6 * 0.25, abs=1e-12)
    right, wrong = 0.36 / 0.51, 0.04 / 0.49
    assert float(after(model, 1.0).known) == pytest.approx(right + (1 - right) * 0.2, abs=1e-12)  # .7647
    assert float(after(model, 0.0).known) == pytest.approx(wrong + (1 - wrong) * 0.2, abs=1e-12)  # .2653
    assert float(model.predict(after(model, 1.0))) == pytest.approx(0.7470588235294118, abs=1e-12)
    assert float(model.predict(after(model, 1.0, 0.0))) == pytest.approx(0.25 + 0.65 * 19 / 43, abs=1e-12)


def test_golden_forgetting() -> None:
    right = 0.36 / 0.51
    forgetful = by_hand(**TEXTBOOK, forget=0.05, decay=0.1)
    assert float(after(forgetful, 1.0).known) == pytest.approx(right * 0.95 + (1 - right) * 0.2, abs=1e-12)
    later = forgetful.elapse(forgetful.start(2), doubles(5.0, 0.0))
    assert later.known.flatten().tolist() == pytest.approx([0.4 * math.exp(-0.5), 0.4], abs=1e-12)


def test_golden_partial_score() -> None:
    """A half-right answer is as likely of those who know it as of those who do not here: nothing is inferred."""
    assert float(after(by_hand(**TEXTBOOK), 0.5).known) == pytest.approx(0.4 + 0.6 * 0.2, abs=1e-12)


def test_golden_gate() -> None:
    """Skill 1 needs skill 0, known with probability .5: learning .2 falls to .2 (.15 + .85 / 2)."""
    parents = Padded.of(np.array([[False, False], [True, False]]))
    two = {name: value.repeat(2) for name, value in TEXTBOOK.items()} | {"prior": doubles(0.5, 0.4)}
    model = by_hand(**two, parents=parents)
    right = 0.36 / 0.51
    got = after(model, 1.0, activity=1).known[0, 0]
    assert got.tolist() == pytest.approx([0.5, right + (1 - right) * 0.2 * (0.15 + 0.85 * 0.5)], abs=1e-12)
    gates = model.gates(model.start(2), torch.tensor([0, 1]))
    assert gates.flatten().tolist() == pytest.approx([1.0, 0.575], abs=1e-12)
    assert replace(model, gate=1.0).gates(model.start(1), torch.tensor([1])).item() == 1.0


def test_golden_gate_of_two_parents_is_their_product() -> None:
    parents = Padded.of(np.array([[False] * 3, [False] * 3, [True, True, False]]))
    three = {name: value.repeat(3) for name, value in TEXTBOOK.items()} | {"prior": doubles(0.5, 0.3, 0.4)}
    model = by_hand(**three, parents=parents, gate=0.1)
    assert model.gates(model.start(1), torch.tensor([2])).item() == pytest.approx(0.1 + 0.9 * 0.15, abs=1e-12)


def test_golden_classes() -> None:
    """Two classes of priors .2 and .8: a right answer makes the second three times as likely as the first."""
    logit = math.log(0.8 / 0.2)
    same = TEXTBOOK | {"prior": doubles(0.5), "guess": doubles(0.1)}
    model = by_hand(**same, shift=(-logit, logit), weight=(0.5, 0.5))
    assert model.start(1).known.flatten().tolist() == pytest.approx([0.2, 0.8], abs=1e-12)
    total = (0.2 * 0.9 + 0.8 * 0.1, 0.8 * 0.9 + 0.2 * 0.1)  # .26 and .74
    belief = after(model, 1.0)
    assert belief.weight[0].tolist() == pytest.approx([total[0], total[1]], abs=1e-12)
    assert float(model.mastery(belief)) == pytest.approx(float((belief.known[0, :, 0] * belief.weight[0]).sum()))


def test_golden_two_skills() -> None:
    """An activity of two skills: the mean of their probabilities, and each learns from the answer on its own."""
    skills = Padded.of(np.array([[True, True], [False, True]]))
    two = {name: value.repeat(2) for name, value in TEXTBOOK.items()} | {"prior": doubles(0.4, 0.8)}
    model = by_hand(**two, skills=skills)
    p = [0.4 * 0.9 + 0.6 * 0.25, 0.8 * 0.9 + 0.2 * 0.25]
    assert model.predict(model.start(1))[0].tolist() == pytest.approx([sum(p) / 2, p[1]], abs=1e-12)
    posterior = [0.36 / p[0], 0.72 / p[1]]
    expected = [x + (1 - x) * 0.2 for x in posterior]
    assert after(model, 1.0).known[0, 0].tolist() == pytest.approx(expected, abs=1e-12)
    assert after(model, 1.0, activity=1).known[0, 0].tolist() == pytest.approx([0.4, expected[1]], abs=1e-12)


def test_drawn_learners_are_of_one_class_in_its_share() -> None:
    model = by_hand(**TEXTBOOK, shift=(-2.0, 0.0, 1.0), weight=(0.2, 0.5, 0.3))
    belief = model.draw(Rng.enrol(0, 0, 20_000))
    assert belief.weight.shape == (20_000, 1)
    priors = model.fitted().priors()[:, 0]
    share = (belief.known[:, 0] == priors).double().mean(0)
    assert share.tolist() == pytest.approx([0.2, 0.5, 0.3], abs=0.015)  # sd .0035


# ------------------------------------------------------------------------------ filter against enumeration


def step(known: bool, then: bool, up: float, down: float) -> float:
    """P(known -> then)."""
    if known:
        return 1 - down if then else down
    return up if then else 1 - up


def paths(model: BKT, answers: list[float], gaps: list[float]) -> list[tuple[int, tuple[bool, ...], float]]:
    """Every (class, states, joint probability) of one skill: the state at each answer, and after each practice."""
    p = model.fitted()
    learn, guess, slip, forget, decay = (float(x[0]) for x in (p.learn, p.guess, p.slip, p.forget, p.decay))
    out = []
    for c, (prior, weight) in enumerate(zip(p.priors()[:, 0].tolist(), p.weight.tolist(), strict=True)):
        for states in product((False, True), repeat=2 * len(answers) - 1):
            joint = weight * (prior if states[0] else 1 - prior)
            for t, answer in enumerate(answers):
                right = 1 - slip if states[2 * t] else guess
                joint *= answer * right + (1 - answer) * (1 - right)
                if t + 1 < len(answers):
                    joint *= step(states[2 * t], states[2 * t + 1], learn, forget)
                    joint *= step(states[2 * t + 1], states[2 * t + 2], 0.0, 1 - math.exp(-decay * gaps[t]))
            out.append((c, states, joint))
    return out


CLASSES = {"one class": ((0.0,), (1.0,)), "three classes": ((-1.0, 0.2, 1.3), (0.3, 0.5, 0.2))}


@pytest.mark.parametrize(("shift", "weight"), CLASSES.values(), ids=CLASSES)
@pytest.mark.parametrize(("forget", "decay"), [(0.0, 0.0), (0.07, 0.0), (0.0, 0.3), (0.07, 0.3)])
def test_filter_is_enumeration(
    shift: tuple[float, ...], weight: tuple[float, ...], forget: float, decay: float
) -> None:
    model = by_hand(**TEXTBOOK, forget=forget, decay=decay, shift=shift, weight=weight)
    answers, gaps = [1.0, 0.0, 0.0, 0.6, 1.0], [0.5, 0.0, 2.0, 1.0]
    right = {True: 1 - 0.1, False: 0.25}
    belief = model.start(1)
    for t, answer in enumerate(answers):
        whole = paths(model, [*answers[:t], 1.0], gaps[:t])  # the next answer right
        before = paths(model, [*answers[:t], 0.5], gaps[:t])  # the next answer unknown: half for every state
        expected = sum(j for *_, j in whole) / (2 * sum(j for *_, j in before))
        assert float(model.predict_at(belief, torch.tensor([0]))) == pytest.approx(expected, abs=1e-12)
        known = sum(j for _, states, j in before if states[-1]) / sum(j for *_, j in before)
        assert float(model.mastery(belief)) == pytest.approx(known, abs=1e-12)
        assert expected == pytest.approx(known * right[True] + (1 - known) * right[False], abs=1e-12)
        share = [sum(j for c, _, j in before if c == i) / sum(j for *_, j in before) for i in range(len(weight))]
        assert belief.weight[0].tolist() == pytest.approx(share, abs=1e-12)
        belief = model.update(belief, Evidence(torch.tensor([0]), doubles(answer)))
        if t < len(gaps):
            belief = model.elapse(belief, doubles(gaps[t]))


# ------------------------------------------------------------------------------------------------------ EM


def one_each(*skills: str, prerequisites: dict[str, tuple[str, ...]] | None = None) -> Catalog:
    """Activity `k` practises skill `k`."""
    before = prerequisites or {}
    return Catalog(
        tuple(Skill(k, prerequisites=before.get(k, ())) for k in skills),
        tuple(Activity(k, k, "exercise", (k,), 1.0) for k in skills),
    )


def as_log(catalog: Catalog, rows: list[tuple[str, str, float, float]]) -> Log:
    """From (learner, activity, score, day); day 0 for all = order only."""
    frame = pd.DataFrame(rows, columns=["learner", "activity", "correct", "timestamp"])
    frame["timestamp"] = frame["timestamp"].map(lambda day: day * DAY + 1e9 if day else 0.0)
    return Log.from_frame(frame, catalog, drop_repeats=False)


RAGGED = [
    ("u", "x", 1.0, 1.0),
    ("u", "y", 0.0, 1.5),
    ("u", "x", 0.0, 2.0),
    ("u", "x", 1.0, 4.5),
    ("u", "x", 0.25, 4.75),
    ("v", "y", 1.0, 1.0),
    ("v", "y", 1.0, 9.0),
    ("w", "x", 0.0, 3.0),
    ("w", "y", 0.0, 5.0),
    ("w", "x", 1.0, 5.5),
    ("w", "y", 1.0, 6.0),
    ("w", "y", 0.0, 6.5),
]


@pytest.mark.parametrize(("shift", "weight"), CLASSES.values(), ids=CLASSES)
def test_expectations_are_enumeration(shift: tuple[float, ...], weight: tuple[float, ...]) -> None:
    """Every expected state and transition, on sequences of different lengths, with forgetting of both kinds."""
    catalog = one_each("x", "y")
    sequences = as_log(catalog, RAGGED).sequences(catalog)
    one = {"x": (0.4, 0.2, 0.25, 0.1), "y": (0.7, 0.1, 0.15, 0.2)}
    both = [doubles(*pair) for pair in zip(*one.values(), strict=True)]
    model = by_hand(*both, forget=0.07, decay=0.3, shift=shift, weight=weight)
    layout = bkt_em._lay_out(sequences, skills_of(catalog), 2)
    got = bkt_em._expect(layout, model.fitted(), torch.ones(1, 1, dtype=torch.float64))

    likelihood = np.zeros((3, len(weight)))
    seen = 0
    for learner, name in enumerate("uvw"):
        for skill in "xy":
            rows = [i for i, row in enumerate(RAGGED) if row[0] == name and row[1] == skill]
            if not rows:
                continue
            answers = [RAGGED[i][2] for i in rows]
            gaps = [RAGGED[b][3] - RAGGED[a][3] for a, b in pairwise(rows)]
            alone = by_hand(*map(doubles, one[skill]), forget=0.07, decay=0.3, shift=shift, weight=weight)
            whole = paths(alone, answers, gaps)
            for c in range(len(weight)):
                mine = [(states, joint) for which, states, joint in whole if which == c]
                total = sum(joint for _, joint in mine)
                likelihood[learner, c] += math.log(total / weight[c])

                def share(event: Callable[[tuple[bool, ...]], bool]) -> float:
                    return sum(joint for states, joint in mine if event(states)) / total  # noqa: B023

                for t, i in enumerate(rows):
                    (place,) = torch.nonzero(layout.source == i).flatten().tolist()
                    seen += 1
                    expected = {"known": share(lambda s: s[2 * t])}  # noqa: B023
                    moves = {"learnt": (0, 1, 1), "stayed_unknown": (0, 0, 0), "kept": (1, 1, 1), "dropped": (1, 0, 0)}
                    last = t + 1 == len(rows)
                    for event, (before, later, _) in moves.items():
                        expected[event] = (
                            0.0 if last else share(lambda s: (s[2 * t], s[2 * t + 1]) == (before, later))  # noqa: B023
                        )
                    for event, later in {"survived": True, "lost": False}.items():
                        expected[event] = (
                            0.0 if last else share(lambda s: (s[2 * t + 1], s[2 * t + 2]) == (True, later))  # noqa: B023
                        )
                    for event, value in expected.items():
                        assert float(getattr(got, event)[place, c]) == pytest.approx(value, abs=1e-12), event
    assert seen == len(RAGGED) * len(weight)
    assert np.allclose(got.log_likelihood.numpy(), likelihood, atol=1e-12)


def objective(model: BKT, p: BKTParameters, likelihood: Tensor, timed: bool) -> float:
    """What EM climbs: the log-likelihood plus the log of the weak priors, pseudo-answers written out."""

    def beta(rate: Tensor, mean: float) -> Tensor:
        return (2.0 * mean * torch.log(rate) + 2.0 * (1 - mean) * torch.log1p(-rate)).sum()

    value = torch.logsumexp(torch.log(p.weight) + likelihood, 1).sum()
    value += beta(p.guess, 0.2) + beta(p.slip, 0.1) + beta(p.learn, 0.15) + beta(p.prior, 0.4)
    if model.forgets:
        value += beta(p.forget, 0.02)
    if timed:
        value += (0.02 * torch.log(p.decay) - 2.0 * p.decay).sum()
    if model.classes > 1:
        value += torch.log(p.weight).sum() - 0.5 * (p.shift**2).sum()
    return float(value)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("forgets", [False, True])
@pytest.mark.parametrize("timed", [False, True])
def test_em_climbs(classes: int, forgets: bool, timed: bool) -> None:
    """The objective (some thousand) never falls.

    With several classes it may by a little near the end: centring their shifts keeps the likelihood, not the priors.
    """
    truth = Truth.of(4, decay=0.05 if timed else 0.0)
    log, catalog = truth.log(learners=80, steps=12, seed=3, timed=timed, spread=1.0)
    model = BKT(classes=classes, forgets=forgets)
    sequences = log.sequences(catalog)
    layout = bkt_em._lay_out(sequences, skills_of(catalog), 4)
    p, gate = bkt_em._beginning(model, catalog, timed), torch.ones(1, 1, dtype=torch.float64)
    values = []
    for _ in range(100):
        expected = bkt_em._expect(layout, p, gate)
        values.append(objective(model, p, expected.log_likelihood, timed))
        p = bkt_em._maximise(model, layout, p, gate, expected, timed)
    steps = np.diff(values)
    assert steps.min() > (-1e-9 if classes == 1 else -1e-5)  # rounding; centring
    assert values[-1] - values[0] > 20


# -------------------------------------------------------------- known parameters, made again from made-up logs


@dataclass(frozen=True)
class Truth:
    """Known parameters, one row per skill, and learners who have them."""

    prior: np.ndarray
    learn: np.ndarray
    guess: np.ndarray
    slip: np.ndarray
    decay: np.ndarray

    @staticmethod
    def of(skills: int, decay: float = 0.0) -> Truth:
        def spread(low: float, high: float, shift: int) -> np.ndarray:
            return np.roll(np.linspace(low, high, skills), shift)

        prior, learn = spread(0.2, 0.6, 0), spread(0.1, 0.3, 1)
        return Truth(prior, learn, spread(0.1, 0.25, 2), spread(0.05, 0.15, 3), np.full(skills, decay))

    def log(
        self, learners: int, steps: int, seed: int, timed: bool = False, spread: float = 0.0
    ) -> tuple[Log, Catalog]:
        """`steps` answers of each learner on each skill, one skill after another within a day's sitting."""
        rng = np.random.default_rng(seed)
        k = len(self.prior)
        catalog = one_each(*(f"s{i}" for i in range(k)))
        shift = spread * rng.choice([-1.0, 1.0], (learners, 1), p=[0.3, 0.7])
        odds = self.prior / (1 - self.prior) * np.exp(shift)
        known = rng.random((learners, k)) < odds / (1 + odds)
        day = np.ones(learners)
        rows = []
        for _ in range(steps):
            correct = rng.random((learners, k)) < np.where(known, 1 - self.slip, self.guess)
            rows += [
                (f"u{i}", f"s{j}", float(correct[i, j]), float(day[i] + j / 1000) if timed else 0.0)
                for i in range(learners)
                for j in range(k)
            ]
            known |= rng.random((learners, k)) < self.learn
            gap = rng.integers(1, 15, learners).astype(float)
            day += gap
            known &= rng.random((learners, k)) < np.exp(-self.decay * gap[:, None])
        return as_log(catalog, rows), catalog


def error(fitted: Tensor, truth: np.ndarray) -> float:
    return float(np.abs(fitted.numpy() - truth).mean())


def test_known_parameters_are_found_again() -> None:
    """500 learners with 20 answers per skill: each kind of parameter within .03 on average over the skills."""
    truth = Truth.of(6)
    log, catalog = truth.log(learners=500, steps=20, seed=0)
    p = BKT(classes=1, iterations=200, tolerance=1e-7).fit(log, catalog).fitted()
    for name in ("prior", "learn", "guess", "slip"):
        assert error(getattr(p, name), getattr(truth, name)) < 0.03, name
    assert float(p.decay.abs().max()) == 0.0


def test_known_decay_is_found_again() -> None:
    """A loss of .05 a day within .01, and the rest within .04, on 800 learners with a fortnight's gaps at most."""
    truth = Truth.of(4, decay=0.05)
    log, catalog = truth.log(learners=800, steps=20, seed=1, timed=True)
    p = BKT(classes=1, iterations=200, tolerance=1e-7).fit(log, catalog).fitted()
    assert error(p.decay, truth.decay) < 0.01
    for name in ("prior", "learn", "guess", "slip"):
        assert error(getattr(p, name), getattr(truth, name)) < 0.04, name
    still = BKT(classes=1, decays=False).fit(log, catalog).fitted()
    assert float(still.decay.abs().max()) == 0.0


def test_known_classes_are_found_again() -> None:
    """Three in ten learners start 1.5 logits below, the rest 1.5 above: two classes say so, and predict better."""
    truth = Truth.of(8)
    log, catalog = truth.log(learners=500, steps=6, seed=2, spread=1.5)
    train, test = log.subset(log.learners[:350]), log.subset(log.learners[350:])
    two, one = (BKT(classes=c, iterations=200, tolerance=1e-7).fit(train, catalog) for c in (2, 1))
    p = two.fitted()
    assert float(p.shift[1] - p.shift[0]) == pytest.approx(3.0, abs=0.6)
    assert p.weight.tolist() == pytest.approx([0.3, 0.7], abs=0.1)

    def loss(model: BKT) -> float:
        p_correct, right = predictions(model, test, catalog), test.frame["correct"].to_numpy()
        return float(-np.mean(right * np.log(p_correct) + (1 - right) * np.log(1 - p_correct)))

    assert loss(two) < loss(one) - 0.005


def gated_log(learners: int, steps: int) -> tuple[Log, Catalog]:
    """Skill b learns with .3, or .15 times that while a is unknown; a is learnt slowly, so the gate matters."""
    rng = np.random.default_rng(4)
    catalog = one_each("a", "b", prerequisites={"b": ("a",)})
    a, b = rng.random(learners) < 0.3, rng.random(learners) < 0.2
    rows = []
    for _ in range(steps):
        for name, known, learn in (("a", a, np.full(learners, 0.03)), ("b", b, np.where(a, 0.3, 0.045))):
            right = rng.random(learners) < np.where(known, 0.92, 0.15)
            rows += [(f"u{i}", name, float(right[i]), 0.0) for i in range(learners)]
            known |= rng.random(learners) < learn
    return as_log(catalog, rows), catalog


def test_learning_behind_a_gate_is_found_again() -> None:
    log, catalog = gated_log(learners=600, steps=20)
    gated, open_ = (BKT(classes=1, gate=gate, iterations=100, tolerance=1e-7).fit(log, catalog) for gate in (0.15, 1.0))
    assert gated.fitted().learn.tolist() == pytest.approx([0.03, 0.3], abs=0.04)
    assert float(open_.fitted().learn[1]) < 0.2
    assert np.array_equal(parents_of(catalog).real.numpy(), gated.fitted().parents.real.numpy())


# ------------------------------------------------------------------- an independent implementation, one skill


def plain_em(sequences: list[list[float]], iterations: int) -> tuple[float, float, float, float]:
    """Baum and Welch for one skill in plain Python; two pseudo-answers for each rate, as the model documents."""
    prior, learn, guess, slip = 0.4, 0.15, 0.2, 0.1
    for _ in range(iterations):
        first = learnt = tried = right_unknown = unknown = wrong_known = known = 0.0
        for answers in sequences:
            n = len(answers)
            emit = [(guess, 1 - slip) if a else (1 - guess, slip) for a in answers]
            forward = [[0.0, 0.0] for _ in range(n)]
            backward = [[1.0, 1.0] for _ in range(n)]
            for t in range(n):
                if t == 0:
                    state = [1 - prior, prior]
                else:
                    state = [forward[t - 1][0] * (1 - learn), forward[t - 1][1] + forward[t - 1][0] * learn]
                joint = [state[i] * emit[t][i] for i in (0, 1)]
                forward[t] = [x / sum(joint) for x in joint]
            for t in range(n - 2, -1, -1):
                ahead = [emit[t + 1][i] * backward[t + 1][i] for i in (0, 1)]
                raw = [(1 - learn) * ahead[0] + learn * ahead[1], ahead[1]]
                backward[t] = [x / sum(raw) for x in raw]
            smooth = []
            for t in range(n):
                both = [forward[t][i] * backward[t][i] for i in (0, 1)]
                smooth.append(both[1] / sum(both))
            first += smooth[0]
            for t, answer in enumerate(answers):
                unknown, known = unknown + 1 - smooth[t], known + smooth[t]
                right_unknown += (1 - smooth[t]) * answer
                wrong_known += smooth[t] * (1 - answer)
                if t + 1 < n:
                    ahead = [emit[t + 1][i] * backward[t + 1][i] for i in (0, 1)]
                    moves = [
                        forward[t][0] * (1 - learn) * ahead[0],
                        forward[t][0] * learn * ahead[1],
                        forward[t][1] * ahead[1],
                    ]
                    learnt += moves[1] / sum(moves)
                    tried += (moves[0] + moves[1]) / sum(moves)
        prior = (first + 2 * 0.4) / (len(sequences) + 2)
        learn = (learnt + 2 * 0.15) / (tried + 2)
        guess = min((right_unknown + 2 * 0.2) / (unknown + 2), 0.4)
        slip = min((wrong_known + 2 * 0.1) / (known + 2), 0.3)
    return prior, learn, guess, slip


@pytest.mark.parametrize("iterations", [1, 2, 12])
def test_em_agrees_with_plain_python(iterations: int) -> None:
    truth = Truth.of(1)
    log, catalog = truth.log(learners=150, steps=7, seed=8)
    lives = log.frame.groupby("learner", sort=False)["correct"].apply(list).tolist()
    lives = [life[: 1 + i % 7] for i, life in enumerate(lives)]  # different lengths
    rows = [(f"u{i}", "s0", answer, 0.0) for i, life in enumerate(lives) for answer in life]
    fitted = BKT(classes=1, iterations=iterations, tolerance=-1.0).fit(as_log(catalog, rows), catalog).fitted()
    got = [float(x) for x in (fitted.prior, fitted.learn, fitted.guess, fitted.slip)]
    assert got == pytest.approx(plain_em(lives, iterations), abs=1e-6)


def test_bounds_hold_where_the_data_push_against_them() -> None:
    """Learners who answer four in five right from the first to the last leave guess and slip open."""
    rng = np.random.default_rng(0)
    catalog = one_each("x")
    rows = [(f"u{i}", "x", float(rng.random() < 0.55), 0.0) for i in range(200) for _ in range(10)]
    p = BKT(guess_max=0.3, slip_max=0.2).fit(as_log(catalog, rows), catalog).fitted()
    assert float(p.guess) <= 0.3 + 1e-6
    assert float(p.slip) == pytest.approx(0.2, abs=1e-6)


def test_a_skill_without_answers_stays_at_the_start() -> None:
    catalog = one_each("x", "y")
    p = BKT(classes=1).fit(as_log(catalog, [("u", "x", 1.0, 0.0), ("u", "x", 0.0, 0.0)]), catalog).fitted()
    got = [float(x[1]) for x in (p.prior, p.learn, p.guess, p.slip)]
    assert got == pytest.approx([0.4, 0.15, 0.2, 0.1], abs=1e-3)


# ------------------------------------------------------------------------------------------------ real logs


def held_out_auc(source: Source, classes: int) -> float:
    log, catalog = source.load()
    split = log.split(0, valid=0.0)
    model = BKT(classes=classes).fit(split.train, catalog)
    assert float(model.fitted().guess.max()) < 0.5
    assert float(model.fitted().slip.max()) < 0.5
    return float(roc_auc_score(split.test.frame["correct"].to_numpy(), predictions(model, split.test, catalog)))


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "bar"), [(1, 0.7156), (3, 0.727)])
def test_assistments_2009(real_data: Path, classes: int, bar: float) -> None:
    assert held_out_auc(Gervet(str(real_data / "assist2009" / "gervet")), classes) >= bar


@pytest.mark.slow
def test_assistments_2015(real_data: Path) -> None:
    assert held_out_auc(PyKT(str(real_data / "assist2015" / "pykt")), classes=1) >= 0.6984
