"""`trailmark validate` writes a card and says what it means; `train` refuses learners that the gate turns away."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.envs.skills import skills_of
from trailmark.envs.students.sampled import SampledStudent
from trailmark.envs.students.ssr import SSR
from trailmark.envs.tracers.pfa import PFA, PFABelief, PFAParameters
from trailmark.envs.validity.effect import Check, Effect, Value
from trailmark.envs.validity.likeness import Shadow, shadowed
from trailmark.envs.validity.recovery import simulated
from trailmark.experiments.card import check_json, effect_json
from trailmark.experiments.card_page import card_page
from trailmark.experiments.card_verdict import EXPLOITATION, band, level, ours, reasons, sentence
from trailmark.experiments.discriminate import told_apart
from trailmark.experiments.exploitation import Budget, exploitation, jury

SMALL = Budget(horizon=12, cohorts=6, learners=64, judges=200, trainings=2)


def catalogue(skills: int) -> Catalog:
    names = [f"s{k}" for k in range(skills)]
    return Catalog(
        tuple(Skill(n) for n in names),
        tuple(Activity(n, n, "exercise", (n,), 5.0, (), (), n == "s0") for n in names),
    )


def learners(catalog: Catalog, easiness: float = -1.0, kind: type[PFA] = PFA) -> SampledStudent:
    """PFA learners who gain on the first half of the skills only."""
    k = len(catalog.skills)
    per_right = torch.where(torch.arange(k) < k // 2, 1.0, 0.0)
    parameters = PFAParameters(torch.full((k,), easiness), per_right, torch.zeros(k), skills_of(catalog))
    return SampledStudent(kind(parameters=parameters), catalog)


@dataclass(frozen=True, eq=False)
class Loophole(PFA):
    """The last skill, practised once, lifts all: a fault of the simulator that an agent will find."""

    def mastery(self, belief: PFABelief) -> Tensor:
        done = belief.right[:, -1:] + belief.wrong[:, -1:]
        return torch.sigmoid(self._logits(belief) + done)


def test_a_gain_that_is_real_is_kept_and_one_that_is_not_is_lost() -> None:
    catalog = catalogue(6)
    home, other = learners(catalog), learners(catalog, -0.5)
    good = exploitation(home, {"harder": other}, catalog, budget=SMALL)
    assert good.passed
    assert good.check is not None
    assert good.check.ours.at > 0.5
    bad = exploitation(learners(catalog, kind=Loophole), {"harder": other}, catalog, budget=SMALL)
    assert bad.check is not None
    assert not bad.passed
    assert "on learners of another family" in bad.words


def test_where_nothing_can_be_gained_nothing_is_claimed() -> None:
    catalog = catalogue(4)
    still = PFAParameters(torch.zeros(4), torch.zeros(4), torch.zeros(4), skills_of(catalog))
    nobody = SampledStudent(PFA(parameters=still), catalog)
    found = exploitation(nobody, {"same": nobody}, catalog, budget=SMALL)
    assert found.check is None
    assert "gains nothing over random" in found.missing


def test_the_jury_is_of_another_family() -> None:
    catalog = catalogue(3)
    by_pfa = jury(learners(catalog), None, catalog, 0)
    assert list(by_pfa) == ["BKT"]
    assert list(jury(by_pfa["BKT"], None, catalog, 0)) == ["PFA"]
    log = simulated(by_pfa["BKT"], torch.arange(3).repeat(5), 50, 1)
    assert list(jury(SSR(), log, catalog, 0)) == ["BKT", "PFA"]


def test_a_classifier_tells_only_those_apart_who_differ() -> None:
    catalog = catalogue(4)
    student = learners(catalog, 0.0)
    log = simulated(student, torch.arange(4).repeat(10), 200, 1)
    same = told_apart(shadowed(student, log, catalog))
    assert same["auc"]["low"] < 0.5 < same["auc"]["high"] + 0.05
    other = told_apart(shadowed(learners(catalog, 1.0), log, catalog))
    assert other["auc"]["low"] > 0.7
    assert other["telling"]["simulated"] > other["telling"]["real"]


def test_too_few_learners_are_not_told_apart() -> None:
    one = np.zeros(3, np.int64)
    few = Shadow(one, one, one + 1, *(np.ones(3) for _ in range(5)), timed=False)
    assert "fewer than 30" in told_apart(few)["missing"]


def found(**changes: Any) -> dict[str, Any]:
    """A card on which nothing fails."""
    ok = Check("x", Value(1.0, 0.9, 1.1), 0.5, 1.5)
    effects = [effect_json(Effect(f"V{i}", f"title {i}", "1", (ok,))) for i in range(1, 21)]
    return {
        "student": "SSR",
        "gate": [
            {"name": name, "check": check_json(ok), "passed": True, "words": "w", "missing": ""}
            for name in ("local", EXPLOITATION)
        ],
        "sanity": [check_json(ok)],
        "effects": effects,
        "classifier": {"missing": "no log"},
        "missing": {},
        **changes,
    }


def test_the_verdict_follows_the_card() -> None:
    fine = found()
    assert (level(fine), reasons(fine)) == ("comparative", [])
    assert sentence(fine) == (
        "SSR learners are fit to compare policies on, before a pilot with people; "
        "20 of 20 published effects that they could show"
    )
    four = [{**e, "passed": i >= 4} for i, e in enumerate(fine["effects"])]
    assert level(found(effects=four)) == "exploratory"
    bad = {"name": "local", "check": None, "passed": False, "words": "everything moves", "missing": ""}
    assert level(found(gate=[bad])) == "not valid"
    assert reasons(found(gate=[bad]))[0] == "Not local: everything moves."
    kept = check_json(Check("share kept", Value(0.3, 0.2, 0.4), 0.5, 100.0))
    quick = found(gate=fine["gate"][:1])
    assert level(quick) == "training", "nobody tried"
    assert "Not tried" in reasons(quick)[0]
    lost = {"name": EXPLOITATION, "check": kept, "passed": False, "words": "gone", "missing": ""}
    assert level(found(gate=[lost])) == "training"
    assert level(found(gate=[lost], effects=four)) == "exploratory"
    assert level(found(gate=[lost, bad])) == "not valid"
    nothing = {**lost, "check": check_json(Check("share kept", Value(0.3, -0.1, 0.4), 0.5, 100.0))}
    assert level(found(gate=[nothing])) == "not valid"
    insane = {**fine["sanity"][0], "passed": False}
    assert level(found(sanity=[insane])) == "not valid"
    timeless = [{**fine["effects"][0], "missing": "no time", "passed": False}, *fine["effects"][1:]]
    assert reasons(found(effects=timeless)) == ["No policy can learn when to review: no time."]


def test_numbers_as_text() -> None:
    check = check_json(Check("x", Value(1.23456, 0.5, math.inf), 0.0, math.inf))
    assert (ours(check), band(check)) == ("1.23", "from 0")
    assert check["ours"]["high"] is None
    assert ours(check_json(Check("x", Value(0.12345, -0.5, 120.4), 0.0, 1.0))) == "0.123 [-0.5, 120]"


def test_the_card_of_cards_that_know_no_spacing(desk: Any) -> None:
    done = desk.call("validate", "student=efc", "student.items=12", "--share", ".2", "--quick")
    assert (done.status, done.err) == (0, "")
    assert "No spacing effect" in done.out
    assert "not applicable (nothing can be studied): V3" in done.out
    card = json.loads((desk.folder / "runs" / "validity" / "EFC-quick" / "card.json").read_text())
    assert [e["name"] for e in card["effects"]] == [f"V{i}" for i in range(1, 21)]
    assert {e["name"] for e in card["effects"] if not e["missing"] and not e["passed"]} == {"V1", "V5", "V18"}
    assert card["verdict"]["level"] == "exploratory"
    page = (desk.folder / "runs" / "validity" / "EFC-quick" / "card.html").read_text()
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "No spacing effect" in page
    assert page == card_page(card)


def test_the_card_of_learners_from_a_log(desk: Any, tmp_path: Path) -> None:
    words = ("validate", "tracer=pfa", "--share", ".1", "--to", str(tmp_path / "card"))
    done = desk.call(*words)
    assert (done.status, done.err) == (0, ""), done.err
    card = json.loads((tmp_path / "card" / "card.json").read_text())
    names = {r["name"] for r in card["gate"]}
    assert names == {
        *("monotone", "local", "action-sensitive", "predictive", "calibrated", "realistic", "recovery", "null"),
        "not exploitable",
    }
    assert [row["name"] for row in card["prediction"]] == ["PFA", "IRT", "PFA", "BKT"]
    assert card["prediction"][0]["auc"] == pytest.approx(card["prediction"][2]["auc"])
    assert {"weak start", "strong start"} <= {g["name"] for g in card["groups"]}
    assert len(card["curve"]["real"]) == 10
    assert 0.0 < card["classifier"]["auc"]["value"] <= 1.0
    assert "Prediction of held-out learners" in done.out
    again = desk.call(*words)
    assert json.loads((tmp_path / "card" / "card.json").read_text())["gate"] == card["gate"]
    assert again.status == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("student=kss source=sample", "leave the source away"),
        ("source=none", "made from a log"),
        ("student.tracer=dtk", "did you mean student.tracer=dkt"),
        ("studnt=ssr", "did you mean"),
    ],
)
def test_what_cannot_be_validated_is_said_in_one_line(desk: Any, words: str, said: str) -> None:
    done = desk.call("validate", *words.split())
    assert done.status == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert not (desk.folder / "runs").exists()


def test_training_on_what_is_no_learner_stops_before_it_begins(desk: Any) -> None:
    """Rasch learners never learn, whatever they are given: no policy can matter to them."""
    done = desk.call("train", *desk.tiny, "student.tracer=rasch")
    assert done.status == 2
    assert "Rasch predicts answers but is no learner" in done.err
    assert "whatever learners are given, they gain the same" in done.err
    assert "accept_unfit_learners=true" in done.err
    assert not list(desk.folder.glob("runs/*/checkpoint*"))
    assert desk.query("select status from runs") == [("FAILED",)]


def test_training_on_it_all_the_same_is_doubted_in_the_report(desk: Any) -> None:
    done = desk.call("train", *desk.tiny, "agent=linucb", "student.tracer=rasch", "accept_unfit_learners=true")
    assert (done.status, done.err) == (0, "")
    evaluation = json.loads((desk.run / "evaluation.json").read_text())
    assert "fail the validity gate" in evaluation["warnings"][0]
    assert "fail the validity gate" in (desk.run / "report.html").read_text()


def test_an_odd_answer_to_the_question_is_refused(desk: Any) -> None:
    done = desk.call("train", *desk.tiny, "accept_unfit_learners=perhaps")
    assert done.status == 2
    assert "say true or false" in done.err


def test_the_learners_tracer_may_differ_from_the_observers() -> None:
    from trailmark.experiments.compose import check

    cfg = check(["experiment=onboarding_bkt", "tracer=bkt", "student.tracer=pfa"])
    assert cfg is not None
    assert cfg.student.tracer._target_.endswith("PFA")
    assert cfg.tracer._target_.endswith("BKT")
    assert replace(PFA(), ridge=cfg.student.tracer.ridge) == PFA() or cfg.student.tracer.ridge == 1.0
