"""The pilot's verbs, on one finished run."""

import json

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def planned(finished):
    done = finished.call("pilot", "plan", "--effect", "0.5", "--looks", "3", "--to", "plan.json")
    assert done.status == 0, done.err
    assert "find 0.5 sd with power 0.8 (3 looks, obrien-fleming)" in done.out
    assert json.loads((finished.folder / "plan.json").read_text())["looks"] == 3
    return finished


def test_rehearsal(planned) -> None:
    done = planned.call("pilot", "simulate", "latest", "--plan", "plan.json", "--against", "random_legal")
    assert done.status == 0, done.err
    assert "look 1 of 3" in done.out
    assert "group engineer: insufficient evidence" in done.out  # of 128 learners a third, in two arms
    assert "truth, had every learner lived both" in done.out


def table(planned, n: int, effect: float = 1.0, seed: int = 0, **columns) -> None:
    rng = np.random.default_rng(seed)
    arm = np.arange(n) % 2
    made = pd.DataFrame({"learner": np.arange(n), "arm": arm, "gain": rng.normal(0, 1, n) + effect * arm})
    made["confidence"] = rng.normal(0, 1, n)
    made["time_to_mastery"] = 100 - made["gain"]
    made["role"] = np.where(np.arange(n) < 0.8 * n, "sales", "support")
    made.assign(**columns).to_csv(planned.folder / "pilot.csv", index=False)


MONITOR = ("pilot", "monitor", "pilot.csv", "--plan", "plan.json", "--outcome")


def test_monitor(planned) -> None:
    table(planned, 130)
    done = planned.call(*MONITOR, "gain", "--guardrail", "confidence=0.5", "--to", "all.json")
    assert done.status == 0, done.err
    assert "look 3 of 3" in done.out
    assert "STOP: BETTER" in done.out
    assert "guardrail confidence" in done.out
    table(planned, 90)
    done = planned.call(*MONITOR, "gain", "--group", "role", "--to", "looks.json")
    assert "look 2 of 3" in done.out
    assert "group support: insufficient evidence" in done.out
    groups = json.loads((planned.folder / "looks.json").read_text())["looks"][0]["groups"]
    assert groups["support"] is None
    assert groups["sales"]["low"] > 0
    assert planned.call(*MONITOR, "gain", "--group", "rôle", "--to", "looks.json").status == 2
    done = planned.call(*MONITOR, "gain", "--to", "all.json")
    assert done.status == 2
    assert "holds a look at 130 units already, and here are 90" in done.err


def test_which_look_it_is_follows_from_the_units_and_none_is_taken_twice(planned) -> None:
    """Pure noise that happens to look good: before its units are there, nobody may call it the last look."""
    words = (*MONITOR, "gain", "--to", "once.json")
    file = planned.folder / "once.json"

    def looks() -> list[dict]:
        return json.loads(file.read_text())["looks"]

    table(planned, 30, effect=2.0)
    done = planned.call(*words)
    assert "CONTINUE" in done.out
    assert "no look is due" in done.out
    assert looks() == []
    table(planned, 60, effect=0.0)
    assert "look 1 of 3" in planned.call(*words).out
    (first,) = looks()
    assert planned.call(*words).status == 0  # the same data, the same look
    assert looks() == [first]
    table(planned, 60, effect=0.0, seed=3)
    done = planned.call(*words)
    assert done.status == 2
    assert "look 1 is recorded with other outcomes" in done.err
    assert looks() == [first]
    table(planned, 70, effect=2.0)
    done = planned.call(*words)
    assert "between looks" in done.out
    assert "CONTINUE" in done.out
    assert looks() == [first]
    done = planned.call(*words, "--guardrail", "time_to_mastery=0.1")  # it fell, and less is better
    assert "CONTINUE" in done.out
    table(planned, 70, effect=-3.0)
    done = planned.call(*words, "--guardrail", "time_to_mastery=0.1")
    assert "ROLL BACK: time_to_mastery got worse" in done.out
    assert [one["decision"] for one in looks()] == ["continue", "roll back"]


def test_less_of_some_outcomes_is_better(planned) -> None:
    table(planned, 130, effect=-2.0)  # all take longer
    done = planned.call(*MONITOR, "time_to_mastery", "--to", "slow.json")
    assert "ROLL BACK" in done.out
    done = planned.call(*MONITOR, "time_to_mastery", "--better", "more", "--to", "more.json")
    assert "STOP: BETTER" in done.out


def test_missing_outcomes_are_not_passed_over(planned) -> None:
    rng = np.random.default_rng(0)
    table(planned, 130, gain=np.where(np.arange(130) == 7, np.nan, rng.normal(0, 1, 130)))
    done = planned.call(*MONITOR, "confidence", "--guardrail", "gain=0.1", "--to", "gone.json")
    assert done.status == 2
    assert "column 'gain': 1 of 130 rows have no outcome" in done.err
    assert "such as that of '7' (1 of them in the candidate's arm)" in done.err
    assert not (planned.folder / "gone.json").exists()


def test_covariates_that_nobody_adjusts_for_make_no_plan_smaller(planned) -> None:
    plan = json.loads((planned.folder / "plan.json").read_text())
    (planned.folder / "small.json").write_text(json.dumps(plan | {"explained": 0.5}))
    done = planned.call("pilot", "simulate", "latest", "--plan", "small.json")
    assert done.status == 2
    assert "no pilot here adjusts for any" in done.err


def test_plan_of_a_great_effect_in_a_folder_not_there_yet(planned) -> None:
    done = planned.call("pilot", "plan", "--effect", "9", "--to", "new/plan.json")
    assert done.status == 0, done.err
    assert (planned.folder / "new" / "plan.json").exists()
    (planned.folder / "file").write_text("")
    done = planned.call("pilot", "plan", "--effect", "1", "--to", "file/plan.json")
    assert done.status == 2
    assert "cannot be written" in done.err


def test_bundle_is_played_through_its_own_observer(planned) -> None:
    """The bundle's guards forbid all but three activities; the run's do not."""
    from dataclasses import replace

    from trailmark.agents.baselines import RandomLegal
    from trailmark.agents.bundle import PolicyBundle

    run = planned.run
    bundle = PolicyBundle.load(run / "bundle")
    free = replace(bundle.observer, guards={})
    PolicyBundle(free, RandomLegal(free.space), bundle.card).save(planned.folder / "free")
    for name, policy in (("own", "random_legal"), ("other", "free")):
        words = ("simulate-log", "latest", "--learners", "20", "--policy", policy, "--to", f"{name}.parquet")
        assert planned.call(*words).status == 0
    first = {
        name: pd.read_parquet(planned.folder / f"{name}.parquet").query("step == 0")["allowed"].map(len)
        for name in ("own", "other")
    }
    assert first["own"].max() < len(free.catalog.activities)
    assert first["other"].min() == len(free.catalog.activities)
    other = replace(bundle.observer, horizon=bundle.observer.horizon + 1)
    PolicyBundle(other, bundle.policy, bundle.card).save(planned.folder / "longer")
    done = planned.call("pilot", "simulate", "latest", "--plan", "plan.json", "--candidate", "longer")
    assert done.status == 2
    assert "a session has 13 activities there, 12 in run" in done.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("plan", "--effect", "0.5", "--icc", "2"), "icc is 0 to 1"),
        (("monitor", "absent.csv", "--plan", "none.json", "--outcome", "x", "--to", "x.json"), "no plan"),
        (("simulate", "latest", "--plan", "plan.json", "--against", "randm"), "Did you mean 'random'?"),
    ],
)
def test_faults_are_told(planned, words: tuple[str, ...], complaint: str) -> None:
    done = planned.call("pilot", *words)
    assert done.status == 2
    assert complaint in done.err
