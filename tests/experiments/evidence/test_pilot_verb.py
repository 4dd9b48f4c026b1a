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


def test_monitor(planned) -> None:
    rng = np.random.default_rng(0)
    arm = np.arange(120) % 2
    table = pd.DataFrame({"learner": np.arange(120), "arm": arm, "gain": rng.normal(0, 1, 120) + arm})
    table["confidence"] = rng.normal(0, 1, 120)
    table.to_csv(planned.folder / "pilot.csv", index=False)
    words = ("pilot", "monitor", "pilot.csv", "--plan", "plan.json", "--outcome", "gain")
    done = planned.call(*words, "--look", "3", "--guardrail", "confidence=0.5")
    assert done.status == 0, done.err
    assert "STOP: BETTER" in done.out
    assert "guardrail confidence" in done.out
    table["role"] = np.where(np.arange(120) < 100, "sales", "support")
    table.to_csv(planned.folder / "pilot.csv", index=False)
    done = planned.call(*words, "--look", "2", "--group", "role", "--to", "looks.json")
    assert "group support: insufficient evidence" in done.out
    groups = json.loads((planned.folder / "looks.json").read_text())["looks"][0]["groups"]
    assert groups["support"] is None
    assert groups["sales"]["low"] > 0
    assert planned.call(*words, "--look", "2", "--group", "rôle").status == 2
    done = planned.call(*words, "--look", "4")
    assert done.status == 2
    assert "the plan has looks 1 to 3" in done.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("plan", "--effect", "0.5", "--icc", "2"), "icc is 0 to 1"),
        (("monitor", "absent.csv", "--plan", "none.json", "--look", "1", "--outcome", "x"), "no plan"),
        (("simulate", "latest", "--plan", "plan.json", "--against", "randm"), "Did you mean 'random'?"),
    ],
)
def test_faults_are_told(planned, words: tuple[str, ...], complaint: str) -> None:
    done = planned.call("pilot", *words)
    assert done.status == 2
    assert complaint in done.err
