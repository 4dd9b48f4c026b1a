"""Pilots and the gate: published boundaries and sample sizes, few false alarms however often one looks."""

import numpy as np
import pytest

from trailmark.experiments.evidence.boundaries import crossing, obrien_fleming, pocock, power
from trailmark.experiments.evidence.finding import Verdict
from trailmark.experiments.evidence.gate import Case, Gain, Rules, best_of, false_promotions, rule
from trailmark.experiments.evidence.monitor import Units, by_group, due, false_alarms, look
from trailmark.experiments.evidence.null_candidates import promotions_from_logs
from trailmark.experiments.evidence.pilot import Plan, design_effect, detectable, needed, size_at


@pytest.mark.parametrize(("looks", "flat", "falling"), [(5, 2.413, 2.040), (20, 2.672, 2.126)])
def test_published_boundaries(looks: int, flat: float, falling: float) -> None:
    assert pocock(looks) == pytest.approx(np.full(looks, flat), abs=3e-3)
    bounds = obrien_fleming(looks)
    assert bounds[-1] == pytest.approx(falling, abs=3e-3)
    assert bounds[0] == pytest.approx(falling * np.sqrt(looks), abs=0.02)
    assert crossing(bounds).sum() == pytest.approx(0.05, abs=1e-5)


def test_one_look_is_the_plain_test() -> None:
    assert pocock(1)[0] == pytest.approx(1.959964, abs=1e-5)
    assert power(pocock(1), 2.8016)[0] == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize(("icc", "schools"), [(0.20, 82), (0.05, 24)])
def test_published_sample_sizes(icc: float, schools: int) -> None:
    """Spybrook, Shi and Kelcey (2016): 500 pupils per school, R2 .5, effect .2, power .8."""
    assert abs(needed(Plan(0.2, size=500, icc=icc, explained=0.5)) - schools) <= 2
    assert design_effect(Plan(0.2, size=25, icc=0.2)) == pytest.approx(5.8)


def test_looking_costs_units() -> None:
    once, often, always = (
        needed(Plan(0.2, looks=looks, schedule=schedule))
        for looks, schedule in ((1, "obrien-fleming"), (10, "obrien-fleming"), (10, "anytime"))
    )
    assert once < often < always
    assert detectable(Plan(0.2), once) <= 0.2 < detectable(Plan(0.2), once - 2)


def test_peeking_at_twenty_looks_raises_no_false_alarm() -> None:
    runs = 1500
    most = 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)
    found = false_alarms(Plan(0.1, looks=20, size=25, icc=0.2), 80, runs)
    assert max(found["obrien-fleming"], found["pocock"], found["anytime"]) <= most
    assert found["peeking"] > 0.2
    assert found["peeking, learners as units"] > 0.9


def test_gate_promotes_none_of_twenty_equal_candidates() -> None:
    runs = 300
    found = false_promotions(20, 60, 10, 1.0, runs)
    assert found["gate"] <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)
    assert found["naive"] > 0.99
    assert found["learners"] > 0.4


def test_gate_promotes_none_of_twenty_equal_candidates_judged_from_logs() -> None:
    """Doubly robust gains from one log a run, clustered: what `trailmark ope` hands to the gate."""
    runs = 100
    found = promotions_from_logs(20, 100, 10, 1.0, runs)
    assert found["gate"] <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)
    assert found["naive"] > 0.9
    assert found["decisions"] >= found["learners"] > 0.2


def some(gain: float, n: int = 400, seed: int = 0) -> Gain:
    x = np.random.default_rng(seed).normal(0, 1, n)
    return Gain.of(gain + 0.2 * (x - x.mean()) / x.std(ddof=1))


def test_gate_says_why() -> None:
    good = Case(some(0.1), Verdict.TRUST, {"sales": some(0.1, 50)}, "", "A. Person")
    assert rule(good, 20).answer == "promote"
    assert rule(Case(some(0.1), Verdict.TRUST), 20).reasons == ("nobody has approved it",)
    bad = rule(Case(some(0.1), Verdict.DO_NOT, flagged="wins at home only", approver="A. Person"), 1)
    assert bad.answer == "reject"
    assert "other kinds: wins at home only" in " ".join(bad.reasons)
    alone = rule(Case(some(0.1), Verdict.TRUST, flagged=None, approver="A. Person"), 1)
    assert (alone.answer, alone.enough) == ("not enough evidence", "`trailmark robustness`")
    worse = rule(Case(some(0.1), Verdict.TRUST, pilot="roll back", approver="A. Person"), 1)
    assert (worse.answer, worse.reasons) == ("reject", ("its pilot ended with: roll back",))
    open_ = rule(Case(some(0.1), Verdict.TRUST, pilot="insufficient evidence", approver="A. Person"), 1)
    assert (open_.answer, open_.enough) == ("not enough evidence", "a pilot that finds it better")
    assert rule(Case(some(0.1), Verdict.TRUST, pilot="stop: better", approver="A. Person"), 1).answer == "promote"
    short = rule(Case(some(0.02), Verdict.TRUST, approver="A. Person"), 20)
    assert short.answer == "not enough evidence"
    learners = int(short.enough.split()[1].replace(",", ""))
    assert rule(Case(some(0.02, learners), Verdict.TRUST, approver="A. Person"), 20).answer == "promote"
    few = rule(Case(some(0.1), Verdict.TRUST, {"support": some(0.1, 5)}, approver="A. Person"), 1)
    assert few.answer == "not enough evidence"
    loses = rule(Case(some(0.1), Verdict.TRUST, {"support": some(-0.2, 90)}, approver="A. Person"), 1)
    assert loses.answer == "reject"
    assert best_of([Case(some(0.0), Verdict.TRUST), good])[0] == 1


def test_number_of_candidates_raises_the_bar() -> None:
    case = Case(some(0.02), Verdict.TRUST, approver="A. Person")
    assert rule(case, 1).answer == "promote"
    assert rule(case, 1).lower > rule(case, 20).lower
    assert rule(case, 1, Rules(margin=0.05)).answer == "not enough evidence"


def pilot(gap: float, n: int = 400, share: float = 0.5, seed: int = 1) -> Units:
    rng = np.random.default_rng(seed)
    arm = (rng.random(n) < share).astype(float)
    return Units.of(np.arange(n), arm, rng.normal(0, 1, n) + gap * arm)


def test_monitor_decides() -> None:
    plan = Plan(0.25, looks=4)
    assert look(pilot(0.0, 200), plan, 1).decision == "continue"
    assert look(pilot(1.0), plan, 2).decision == "stop: better"
    assert look(pilot(-1.0), plan, 2).decision == "roll back"
    end = look(pilot(0.0, 800, seed=4), plan, 4)
    assert end.decision == "insufficient evidence"
    assert look(pilot(0.3, share=0.7), plan, 2).reason.endswith("a broken split")
    hurt = look(pilot(1.0), plan, 2, {"confidence": (pilot(-1.0), 0.1), "minutes": (pilot(0.0), 0.1)})
    assert hurt.decision == "roll back"
    assert hurt.reason == "confidence got worse than agreed"
    anytime = look(pilot(1.0), Plan(0.25, looks=4, schedule="anytime"), 2)
    assert anytime.decision == "stop: better"


def test_units_that_do_not_differ_prove_nothing() -> None:
    found = look(Units.of(range(4), [0, 0, 1, 1], [0.0, 0.0, 1.0, 1.0]), Plan(2.5, looks=1), 0)
    assert (found.decision, found.effect.low) == ("continue", -np.inf)
    for schedule in ("obrien-fleming", "anytime"):
        n = needed(Plan(0.8, schedule=schedule))
        arm = (np.arange(n) % 2).astype(float)
        alike = look(Units(arm, arm), Plan(0.8, schedule=schedule), 1, {"same": (Units(arm, -arm), 0.1)})
        assert alike.decision == "insufficient evidence"
        assert alike.guardrails["same"].high == np.inf
    one = look(Units(arm, np.where(arm > 0, 1.0, np.arange(n) % 4 > 0)), Plan(0.8, schedule="anytime"), 1)
    assert np.isfinite(one.effect.low)  # the spread of the other arm stands in


def test_a_look_needs_its_units_and_values() -> None:
    plan = Plan(0.25, looks=4)
    assert [due(plan, n) for n in (0, size_at(plan, 1) - 1, size_at(plan, 1), size_at(plan, 3), 9999)] == [
        0,
        0,
        1,
        3,
        4,
    ]
    with pytest.raises(ValueError, match="look 4 is due at 517 units, there are 400"):
        look(pilot(0.0), plan, 4)
    between = look(pilot(2.0), plan, 0)
    assert (between.decision, between.bound) == ("continue", np.inf)
    with pytest.raises(ValueError, match=r"1 of 3 rows have no outcome .* of 'b' \(1 of them in the candidate's arm\)"):
        Units.of(["a", "b", "c"], [1, 1, 0], [1.0, np.nan, 2.0])


def test_no_group_of_learners_may_pay_for_the_others() -> None:
    plan = Plan(0.25, looks=4)
    groups = {"sales": pilot(0.6, 300), "support": pilot(0.9, 50), "night": pilot(-0.9, 300, seed=3)}
    found = look(pilot(0.5, 650), plan, 2, groups=groups)
    assert (found.decision, found.reason) == ("roll back", "learners of the group night are worse off")
    assert found.groups["support"] is None  # 50 units: fewer than 30 in an arm
    sales = found.groups["sales"]
    assert sales is not None
    assert 0 < sales.low < sales.value < sales.high
    sold = groups["sales"]
    five, one = (by_group(dict.fromkeys(names, sold), plan, 300 * len(names))["a"] for names in ("abcde", "a"))
    assert five is not None
    assert one is not None
    assert five.high - five.low > 1.1 * (one.high - one.low)  # they share the chance of a false alarm
    kept = look(pilot(0.5, 650), plan, 2, groups={name: groups[name] for name in ("sales", "support")})
    assert kept.decision == "stop: better"


def test_groups_alike_raise_few_alarms() -> None:
    """Five groups, four looks, 60 pilots in which nobody is worse off."""
    plan, alarms = Plan(0.25, looks=4), 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        arm, y, group = (rng.random(600) < 0.5).astype(float), rng.normal(0, 1, 600), np.arange(600) % 5
        worse = False
        for n in (150, 300, 450, 600):
            rows = np.arange(600) < n
            units = {
                str(g): Units.of(np.flatnonzero(rows & (group == g)), *(x[rows & (group == g)] for x in (arm, y)))
                for g in range(5)
            }
            worse |= any(e is not None and e.high < 0 for e in by_group(units, plan, 600).values())
        alarms += worse
    assert alarms <= 60 * 0.05 + 2 * np.sqrt(60 * 0.05 * 0.95)


def test_classes_are_units() -> None:
    units = Units.of(["a", "a", "b", "b"], [1, 1, 0, 0], [1.0, 2.0, 3.0, 5.0])
    assert units.value.tolist() == [1.5, 4.0]
    with pytest.raises(ValueError, match="in both arms, such as 'a'"):
        Units.of(["a", "a"], [1, 0], [1.0, 2.0])


@pytest.mark.parametrize("wrong", [{"schedule": "often"}, {"icc": 1.5}, {"share": 0.0}, {"looks": 0}])
def test_plans_that_make_no_sense(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"schedule|icc|share"):
        Plan(0.2, **wrong)
