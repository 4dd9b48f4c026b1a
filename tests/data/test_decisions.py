"""The decision log: what it refuses, and with which words."""

import numpy as np
import pandas as pd
import pytest

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.decisions import Decisions
from trailmark.data.errors import DataError

CATALOG = Catalog(
    (Skill("s", "S", (), ()),),
    tuple(Activity(name, name, "practice", ("s",), 1.0) for name in ("quiz", "film", "talk")),
)


def frame(**changes) -> pd.DataFrame:
    rows = {
        "learner": ["b", "a", "b"],
        "step": [1, 0, 0],
        "activity": ["film", "quiz", "quiz"],
        "propensity": [0.5, 1.0, 0.25],
        "allowed": ["quiz|film", "quiz", "quiz|film|talk"],
        "probabilities": ["0.5|0.5", "1", "0.25|0.25|0.5"],
        "reward": [1.0, 0.5, 0.0],
        "class": ["x", "y", "x"],
    }
    return pd.DataFrame(rows | changes)


def test_sorted_by_session_then_step() -> None:
    log = Decisions.from_frame(frame(), CATALOG)
    assert log.frame["learner"].tolist() == ["b", "b", "a"]
    assert log.start.tolist() == [0, 2, 3]
    assert log.activity.tolist() == [0, 1, 0]
    assert log.probabilities.tolist() == [[0.25, 0.25, 0.5], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]
    assert log.allowed.sum(1).tolist() == [3, 2, 1]
    assert log.frame["class"].tolist() == ["x", "x", "y"]


def test_a_learner_may_have_several_sessions() -> None:
    log = Decisions.from_frame(frame(episode=["2", "1", "1"]), CATALOG)
    assert len(log.start) - 1 == 3


def test_what_is_absent_has_a_meaning() -> None:
    log = Decisions.from_frame(frame()[["learner", "activity", "propensity"]], CATALOG)
    assert log.notes == ("no steps: the order of the rows is taken as time",)
    assert log.frame["step"].tolist() == [0, 1, 0]
    assert log.allowed is None
    assert log.probabilities is None
    assert log.listed("vetoed") is None
    assert not log.override.any()
    assert log.flags("accepted", True).all()
    assert np.isinf(log.numbers("minutes_budget")).all()
    assert log.entries("goal") == [[], []]
    assert log.delivered.tolist() == log.activity.tolist()


def test_delivered_in_place_of_the_choice() -> None:
    log = Decisions.from_frame(frame(delivered=["talk", "", ""]), CATALOG)
    assert log.delivered.tolist() == [0, 2, 0]


def test_lists_say_what_was_known_at_enrolment() -> None:
    log = Decisions.from_frame(frame(past=["quiz|film", "", ""]), CATALOG)
    assert log.entries("past") == [["quiz", "film"], []]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"activity": ["film", "quizz", "quiz"]}, "row 3.*unknown activity 'quizz'.*Did you mean 'quiz'"),
        ({"propensity": [0.5, 0.0, 0.25]}, "row 3.*no probability above 0"),
        ({"propensity": [0.5, 1.0, 1.2]}, "row 4.*no probability above 0"),
        ({"propensity": [0.5, "often", 0.25]}, "row 3.*is not a number"),
        ({"learner": ["b", " ", "b"]}, "row 3.*empty learner id"),
        ({"allowed": ["quiz", "quiz", "quiz|film|talk"]}, "row 2.*not among the allowed"),
        ({"allowed": ["quiz|film", "quiz", "quiz|film|tlak"]}, "row 4.*unknown activity 'tlak'.*'talk'"),
        ({"probabilities": ["0.5", "1", "0.25|0.25|0.5"]}, "row 2.*not as long as 'allowed'"),
        ({"override": ["maybe", "no", "yes"]}, "row 2.*neither true nor false"),
    ],
)
def test_faults_are_told_with_row_and_column(changes: dict, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        Decisions.from_frame(frame(**changes), CATALOG, "log.csv")


def test_missing_columns_are_named() -> None:
    with pytest.raises(DataError, match="propensity"):
        Decisions.from_frame(frame().drop(columns="propensity"), CATALOG)
    with pytest.raises(DataError, match=r"no column 'rewrd' for the reward.*'reward'"):
        Decisions.from_frame(frame(), CATALOG).column("rewrd", "the reward")


def test_time_between_decisions_stands_for_days_where_none_are_told() -> None:
    times = [86400.0 * 3 + 600.0, 0.0, 0.0]  # b's second decision, a's only one, b's first
    log = Decisions.from_frame(frame(time=times, minutes=[5.0, 5.0, 10.0]), CATALOG)
    assert log.numbers("days").tolist() == pytest.approx([3.0, 0.0, 0.0])
    assert "no days: the time between decisions" in log.notes[-1]
    told = Decisions.from_frame(frame(time=times, days=[0.0, 0.0, 2.0]), CATALOG)
    assert told.numbers("days").tolist() == [2.0, 0.0, 0.0]


@pytest.mark.parametrize("blank", ["", None, float("nan")])
def test_a_blank_is_taken_up_and_nobodys_choice(blank: object) -> None:
    log = Decisions.from_frame(frame(accepted=["no", blank, "yes"], override=["yes", blank, "no"]), CATALOG)
    assert log.flags("accepted", True).tolist() == [True, False, True]
    assert log.override.tolist() == [False, True, False]


def test_steps_are_numbered_all_or_not_at_all() -> None:
    with pytest.raises(DataError, match="no step"):
        Decisions.from_frame(frame(step=[1.0, float("nan"), 0.0]), CATALOG)
