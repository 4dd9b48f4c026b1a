"""Recall as an outcome: by hand, and the published means of two tutors on the three memory tasks."""

from __future__ import annotations

import math

import pytest
import torch

from trailmark.envs.classroom import Classroom, Pace, World
from trailmark.envs.observer import Observer
from trailmark.envs.outcomes_recall import RecallLikelihood, RecallLogLikelihood
from trailmark.envs.student import Response, Student
from trailmark.envs.students.dash import DASH
from trailmark.envs.students.efc import EFC, EFCState
from trailmark.envs.students.hlr_cards import HLRCards
from trailmark.envs.tracers.tally import Tally


def test_by_hand() -> None:
    student = EFC(items=2)
    state = EFCState(torch.tensor([[0.1, 0.2]]), torch.tensor([[1.0, 2.0]]), torch.tensor([[5.0, 15.0]]))
    none = torch.zeros(1)
    response = Response(none, none, none > 0, none > 0)
    right_after = (1.0 + math.exp(-0.1 * 10.0)) / 2.0  # five days before, the first card was just seen
    pause_over = (math.exp(-0.5) + math.exp(-0.1 * 15.0)) / 2.0
    for pause, expected in ((5.0, right_after), (0.0, pause_over)):
        found = RecallLikelihood(4, pause)(student, state, state, response, state)
        assert float(found) == pytest.approx(expected / 4)
    logs = RecallLogLikelihood(4, 0.0)(student, state, state, response, state)
    assert float(logs) == pytest.approx((-0.5 - 1.5) / 2 / 4, rel=1e-5)


def test_a_card_that_is_lost_counts_as_published() -> None:
    state = EFCState(torch.tensor([[1.0]]), torch.ones(1, 1), torch.tensor([[1e6]]))
    none = torch.zeros(1)
    response = Response(none, none, none > 0, none > 0)
    assert float(RecallLogLikelihood(1, 0.0)(EFC(items=1), state, state, response, state)) == pytest.approx(
        math.log(1e-9)
    )


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"pause": -1.0}])
@pytest.mark.parametrize("outcome", [RecallLikelihood, RecallLogLikelihood])
def test_settings_out_of_range_are_named(outcome: type, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=outcome.__name__):
        outcome(**wrong)


# Means of Reddy et al.'s own code with recall clipped, over 8 draws of cards; the tolerance is three times the
# standard error of 8 draws (the sd over draws is about .036 for EFC and DASH, .027 for HLR), and of ours.
PUBLISHED = [
    (EFC(), 0.325, 0.386, 0.045),
    (HLRCards(), 0.361, 0.359, 0.035),
    (DASH(), 0.207, 0.212, 0.045),
]


@pytest.mark.parametrize(("student", "random", "in_turn", "tolerance"), PUBLISHED, ids=["EFC", "HLR", "DASH"])
def test_published_means(student: Student, random: float, in_turn: float, tolerance: float) -> None:
    catalog = student.catalog
    assert catalog is not None
    observer = Observer(Tally().of(catalog), catalog, {}, 200)
    outcomes = {"recall": RecallLikelihood(200, 5.0)}
    for published, cyclic in ((random, False), (in_turn, True)):
        room = Classroom(World(student, observer, outcomes, {"recall": 1.0}, Pace(1, 5.0)), 1, 0, 60)
        total = torch.zeros(60)
        for t in range(200):
            action = torch.full((60,), t % 30) if cyclic else (room.act()[:, 0] * 30).long()
            total += room.step(action).reward
        assert float(total.mean()) == pytest.approx(published, abs=tolerance)
