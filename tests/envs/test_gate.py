"""The validity gate: learners pass it, and each of its checks turns away what it is there to turn away."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from trailmark.data.catalog import Catalog
from trailmark.data.log import Log
from trailmark.envs.rng import Rng
from trailmark.envs.students.efc import EFC, EFCState
from trailmark.envs.students.kss import KSS
from trailmark.envs.students.sampled import SampledStudent
from trailmark.envs.students.ssr import SSR
from trailmark.envs.tracer import Evidence
from trailmark.envs.tracers.bkt import BKT
from trailmark.envs.tracers.calibrated import Calibrated, error, platt
from trailmark.envs.tracers.dkt import DKT
from trailmark.envs.tracers.pfa import PFA, PFABelief
from trailmark.envs.tracers.rasch import Rasch
from trailmark.envs.validity.gate import cheap, local, monotone, refusal, sensitive
from trailmark.envs.validity.likeness import features, lag_curve, learning_curve, realistic, shadowed
from trailmark.envs.validity.recovery import by_chance, predictive, recovery, scores
from trailmark.envs.validity.sanity import sanity


@pytest.fixture(scope="module")
def pfa(log: Log, programme: Catalog) -> PFA:
    return PFA().fit(log, programme)


@dataclass(frozen=True, eq=False)
class Contrary(PFA):
    """Takes right answers for wrong ones."""

    def update(self, belief: PFABelief, evidence: Evidence) -> PFABelief:
        return super().update(belief, Evidence(evidence.activity, 1.0 - evidence.correct))


@dataclass(frozen=True, eq=False)
class Waving(PFA):
    """Every answer moves every skill: wrong ones lift them."""

    def update(self, belief: PFABelief, evidence: Evidence) -> PFABelief:
        after = super().update(belief, evidence)
        return after._replace(ability=after.ability + 0.2 * (1.0 - 2.0 * evidence.correct))


@dataclass(frozen=True, eq=False)
class Drilled(PFA):
    """Every skill is as good as the one that was practised most."""

    def mastery(self, belief: PFABelief) -> Tensor:
        most = (belief.right + belief.wrong).amax(1, keepdim=True)
        return (most / (most + 5.0)).expand(-1, belief.right.shape[1])


def of(kind: type[PFA], fitted: PFA, catalog: Catalog) -> SampledStudent:
    return SampledStudent(kind(parameters=fitted.parameters), catalog)


@pytest.mark.parametrize("tracer", [BKT(), PFA()], ids=["BKT", "PFA"])
def test_learners_pass(tracer: BKT | PFA, log: Log, programme: Catalog) -> None:
    student = SampledStudent(tracer).fit(log, programme)
    assert [ruling.name for ruling in cheap(student) if not ruling.passed] == []
    assert refusal(student) == ""


def test_learners_made_by_hand_are_not_asked() -> None:
    assert refusal(KSS()) == ""
    assert sensitive(KSS()).passed


def test_a_right_answer_must_not_lower_its_skill(pfa: PFA, programme: Catalog) -> None:
    assert monotone(pfa, programme).check.ours.at == 0.0
    found = monotone(Contrary(parameters=pfa.parameters), programme)
    assert not found.passed
    assert found.check.ours.at > 0.5
    assert "after a right answer the prediction for the same skill falls 84% of the time" in found.words


def test_an_answer_must_leave_other_skills_alone(pfa: PFA, programme: Catalog) -> None:
    assert local(pfa, programme).check.ours.at == 0.0
    found = local(Waving(parameters=pfa.parameters), programme)
    assert not found.passed
    before, after = (float(x) for x in found.words.rsplit(" from ", 1)[1].split(" to "))
    assert after > before + 0.2
    assert "30 wrong answers to one skill take the mean of the others" in found.words


def test_what_is_linked_may_move(log: Log, pfa: PFA) -> None:
    """In a catalogue where every skill needs the one before, nothing is unrelated, so nothing unrelated moves."""
    from trailmark.data.catalog import Activity, Skill

    names = ["a", "b", "c", "d", "e", "f"]
    skills = tuple(Skill(n, prerequisites=tuple(names[:i][-1:])) for i, n in enumerate(names))
    chain = Catalog(skills, tuple(Activity(n, "", "exercise", (n,), 1.0, (), (), n == "a") for n in names))
    from trailmark.envs.skills import skills_of

    loose = Waving(parameters=replace(pfa.parameters, skills=skills_of(chain)))
    assert local(loose, chain).check.ours.at == 0.0


def test_it_must_matter_what_is_practised(log: Log, pfa: PFA, programme: Catalog) -> None:
    dull = SampledStudent(Rasch()).fit(log, programme)
    found = sensitive(dull)
    assert not found.passed
    assert found.words == "whatever learners are given, they gain the same"
    assert "Rasch predicts answers but is no learner" in refusal(dull)


def test_drilling_one_skill_must_not_win(pfa: PFA, programme: Catalog) -> None:
    good, bad = sensitive(of(PFA, pfa, programme)), sensitive(of(Drilled, pfa, programme))
    assert good.passed
    assert not bad.passed
    assert bad.check.ours.at < -0.05


def test_a_plain_dkt_is_refused_with_its_reason(log: Log, programme: Catalog) -> None:
    student = SampledStudent(DKT(hidden=32, width=32, epochs=6, rate=0.01, dropout=0.0)).fit(log, programme)
    said = refusal(student)
    assert said.startswith("DKT predicts answers but is no learner.")
    assert "an answer moves skills that it has nothing to do with" in said


def test_prediction_is_held_against_simple_models(log: Log, held_out: Log, pfa: PFA, programme: Catalog) -> None:
    good, _, _ = scores(pfa, held_out, programme)
    bad, _, _ = scores(Contrary(parameters=pfa.parameters), held_out, programme)
    assert good["auc"] > bad["auc"]
    assert all(ruling.passed for ruling in predictive(good, {"PFA": good, "other": {**good, "auc": 0.99}}))
    behind, off = predictive({**bad, "ece": 0.2}, {"PFA": good})
    assert (behind.passed, off.passed) == (False, False)


def test_a_model_must_find_itself_again(pfa: PFA, programme: Catalog) -> None:
    assert recovery(of(PFA, pfa, programme), n=300).passed

    @dataclass(frozen=True, eq=False)
    class Shrinking(PFA):
        def fit(self, log: Log, catalog: Catalog) -> Shrinking:
            return replace(super().fit(log, catalog), ridge=1.0, parameters=PFA(ridge=1e4).fit(log, catalog).parameters)

    assert not recovery(of(Shrinking, pfa, programme), n=300).passed


def test_bkt_finds_its_parameters_again(programme: Catalog) -> None:
    """500 learners with 20 answers to each of five skills; every parameter within .03 on average."""
    from trailmark.data.catalog import Activity, Skill
    from trailmark.envs.skills import parents_of, skills_of
    from trailmark.envs.tracers.bkt import BKTParameters
    from trailmark.envs.validity.own_items import probes
    from trailmark.envs.validity.recovery import simulated

    names = tuple("abcde")
    catalog = Catalog(
        tuple(Skill(n) for n in names), tuple(Activity(n, "", "exercise", (n,), 1.0, (), (), n == "a") for n in names)
    )
    known = {
        "prior": torch.tensor([0.2, 0.3, 0.4, 0.5, 0.6]),
        "learn": torch.tensor([0.1, 0.15, 0.2, 0.25, 0.3]),
        "guess": torch.tensor([0.1, 0.15, 0.2, 0.25, 0.2]),
        "slip": torch.tensor([0.05, 0.1, 0.15, 0.1, 0.05]),
    }
    zero = torch.zeros(5)
    truth = BKTParameters(
        **known, forget=zero, decay=zero, shift=torch.zeros(1), weight=torch.ones(1), skills=skills_of(catalog),
        parents=parents_of(catalog),
    )  # fmt: skip
    student = SampledStudent(BKT(classes=1, parameters=truth), catalog)
    tests, _ = probes(catalog, 5)
    again = BKT(classes=1, iterations=200).fit(simulated(student, torch.tensor(tests).repeat(20), 500, 0), catalog)
    for name, values in known.items():
        assert float((getattr(again.parameters, name) - values).abs().mean()) < 0.03, name


def test_answers_by_chance_stay_a_coin(programme: Catalog) -> None:
    activity = np.random.default_rng(0).integers(0, 7, 6000)
    rows = {
        "learner": np.repeat([f"l{i}" for i in range(200)], 30),
        "activity": np.array(programme.activity_ids)[activity],
        "correct": np.ones(6000),
        "timestamp": np.tile(np.arange(1.0, 31.0), 200),
    }
    frame = pd.DataFrame(rows)
    leaky = pd.DataFrame({name: np.repeat(np.asarray(values), 2) for name, values in rows.items()})
    assert by_chance(PFA(), Log.from_frame(frame, programme), programme).passed
    assert not by_chance(PFA(), Log.from_frame(leaky, programme, drop_repeats=False), programme).passed


def test_simulated_curves_lie_near_real_ones(pfa: PFA, held_out: Log, programme: Catalog) -> None:
    good = shadowed(of(PFA, pfa, programme), held_out, programme)
    assert realistic(good).passed
    real, _, count = learning_curve(good)
    sequences = held_out.sequences(programme)
    assert count[0] == len(set(zip(good.learner.tolist(), good.skill.tolist(), strict=True)))
    assert real[0] == pytest.approx(good.real[good.opportunity == 1].mean())
    assert len(good.real) == len(sequences.correct)
    np.testing.assert_array_equal(good.real, sequences.correct)
    easy = replace(pfa.parameters, easiness=pfa.parameters.easiness + 1.0)
    bad = realistic(shadowed(SampledStudent(PFA(parameters=easy), programme), held_out, programme))
    assert not bad.passed
    assert "real learners are right in" in bad.words
    assert lag_curve(good)[2][0] >= 0
    x, who = features(good, good.real)
    assert x.shape == (len(who), 10)
    assert x[0, 0] == pytest.approx(good.real[good.learner == who[0]].mean())


def test_doubles_live_the_same_life_beside_anybody(pfa: PFA, held_out: Log, programme: Catalog) -> None:
    few = shadowed(of(PFA, pfa, programme), held_out, programme, learners=20)
    more = shadowed(of(PFA, pfa, programme), held_out, programme, learners=20, rows=12)
    assert len(more.double) == 240
    for i in range(20):
        np.testing.assert_array_equal(few.double[few.learner == i][:12], more.double[more.learner == i])


def test_calibration_puts_chances_right() -> None:
    g = np.random.default_rng(0)
    z = g.normal(size=20_000)
    y = (g.random(20_000) < 1 / (1 + np.exp(-(0.5 * z - 0.3)))).astype(float)
    p = 1 / (1 + np.exp(-2.0 * z))
    slope, shift = platt(p, y)
    assert (slope, shift) == (pytest.approx(0.25, abs=0.02), pytest.approx(-0.3, abs=0.03))
    assert error(p, y) > 0.1
    assert error(1 / (1 + np.exp(-(slope * 2 * z + shift))), y) < 0.02


def test_only_the_miscalibrated_are_changed(log: Log, held_out: Log, programme: Catalog) -> None:
    @dataclass(frozen=True, eq=False)
    class Sure(PFA):
        def fit(self, log: Log, catalog: Catalog) -> Sure:
            p = super().fit(log, catalog).parameters
            return replace(self, parameters=replace(p, easiness=3.0 * p.easiness, per_right=3.0 * p.per_right))

    plain, sure = Calibrated(PFA()).fit(log, programme), Calibrated(Sure()).fit(log, programme)
    assert (float(plain.scale.slope), float(plain.scale.shift)) == (1.0, 0.0)
    assert float(sure.scale.slope) < 0.7
    before, after = scores(sure.tracer, held_out, programme)[0], scores(sure, held_out, programme)[0]
    assert after["ece"] < 0.5 * before["ece"]
    assert after["auc"] == pytest.approx(before["auc"], abs=1e-6)


@pytest.mark.parametrize("student", [SSR().fit(None, None), KSS(), EFC(8)], ids=["SSR", "KSS", "EFC"])
def test_learners_are_sane(student: SSR | KSS | EFC) -> None:
    assert [check.what for check in sanity(student, n=60) if not check.passed] == []


@dataclass(frozen=True, eq=False)
class Ripening(EFC):
    """Cards that are known better the longer they lie, and fade when they are looked at."""

    def mastery(self, state: EFCState) -> Tensor:
        return 1.5 - super().mastery(state)


@dataclass(frozen=True, eq=False)
class Crowded(EFC):
    """Cards that fade faster the more learners there are."""

    def enrol(self, rng: Rng) -> EFCState:
        state = super().enrol(rng)
        return state._replace(strength=state.strength / len(rng))


def test_insanity_is_seen() -> None:
    assert {check.what.split(",")[0] for check in sanity(Ripening(8), n=60) if not check.passed} >= {
        "mastery outside [0",
        "mean mastery of a skill that rises by waiting",
        "mastery gained by practising a skill",
    }
    assert {check.what for check in sanity(Crowded(8), n=60) if not check.passed} == {
        "learners who live otherwise in another batch"
    }
