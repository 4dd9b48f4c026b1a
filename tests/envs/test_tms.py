"""TMS: the published structures, the published means, and the noise of the answers."""

from __future__ import annotations

import math

import pytest
import torch

from trailmark.envs.rng import Purpose, Rng
from trailmark.envs.students.tms import TMS
from trailmark.envs.students.tms_structures import Structure, binary, tree

EPISODES = 100_000


@pytest.mark.parametrize("structure", [binary(), tree()], ids=["binary", "tree"])
def test_structures_are_sound(structure: Structure) -> None:
    n = len(structure.states)
    assert len(set(structure.states)) == n
    for state in structure.states:  # no skill without those before it
        assert all(a in state for a, b in structure.edges if b in state)
    for moves in structure.moves:
        assert len({a for a, _, _ in moves}) == len(moves)
        for a, b, p in moves:
            assert 0 < p < 1
            assert set(structure.states[a]) < set(structure.states[b])
            assert len(structure.states[b]) == len(structure.states[a]) + 1


def test_the_tree_has_31_states_and_7_skills() -> None:
    structure = tree()
    assert (len(structure.states), len(structure.moves)) == (31, 7)
    assert structure.states[28] == (0, 1, 2, 4, 5, 6)
    assert [len(moves) for moves in structure.moves] == [21, 15, 10, 10, 18, 12, 12]
    assert (23, 29, 0.72) in structure.moves[5]
    assert structure.start == (0, 1, 2, 3, 7)


@pytest.mark.parametrize(
    ("structure", "steps", "random", "mean", "interval"),
    [
        (binary(), 2, True, 0.5985, 0.0115),
        (binary(), 2, False, 0.8585, 0.0144),
        (tree(), 6, True, 2.0955, 0.0247),
        (tree(), 6, False, 3.4006, 0.0272),
    ],
)
def test_reference_means(structure: Structure, steps: int, random: bool, mean: float, interval: float) -> None:
    """Skills gained, within the 95 % interval of the reference."""
    tms, rng = TMS(structure), Rng.enrol(0, 0, EPISODES)
    state = tms.enrol(rng)
    before, items = tms.mastery(state).sum(1), len(structure.moves)
    for t in range(steps):
        anything = (items * rng.at(t).uniform(Purpose.ACT)[:, 0]).long()
        state, _ = tms.answer(state, anything if random else torch.full_like(anything, t % items), rng.at(t))
    gain = tms.mastery(state).sum(1) - before
    assert gain.mean().item() == pytest.approx(mean, abs=interval)
    if structure == binary() and not random:
        assert gain.mean().item() == pytest.approx(0.86, abs=4 * gain.std().item() / math.sqrt(EPISODES))


def test_answers_are_noisy_as_drawn() -> None:
    tms, rng = TMS(binary(), (0.1, 0.3)), Rng.enrol(3, 0, EPISODES)
    state = tms.enrol(rng)
    for noise in (state.guess, state.slip):
        assert 0.1 <= noise.min() < 0.101 < 0.299 < noise.max() < 0.3
        assert noise.mean().item() == pytest.approx(0.2, abs=0.001)
    after, response = tms.answer(state, torch.ones_like(state.place), rng)
    known = tms.mastery(after)[:, 1]
    assert response.correct[known > 0].mean().item() == pytest.approx(0.8, abs=0.01)
    assert response.correct[known == 0].mean().item() == pytest.approx(0.2, abs=0.01)
    assert torch.equal(response.finished, after.place == 2)
    assert response.accepted.all()


def test_perfect_answers_tell_the_state() -> None:
    tms, rng = TMS(tree(), (0.0, 0.0)), Rng.enrol(0, 0, 500)
    state = tms.enrol(rng)
    for t in range(10):
        activity = (rng.learner + t) % 7
        state, response = tms.answer(state, activity, rng.at(t))
        assert torch.equal(response.correct, tms.mastery(state).gather(1, activity[:, None])[:, 0])


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="lowest and the highest"):
        TMS(noise=(0.3, 0.1))
