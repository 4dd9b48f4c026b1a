"""Transitions: every row against a walk by hand; the memory: what it keeps, what gives way, what comes back."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trailmark.agents.agent import Steps
from trailmark.agents.schedule import between, passed
from trailmark.agents.transitions import Memory, Transitions, shuffled, transitions


def lived(lengths: list[int], t: int, whole: list[bool], seed: int = 0) -> Steps:
    """Return `t` steps of learners who live `lengths` of them; where not `whole`, the chunk ends before the session."""
    n, chance = len(lengths), torch.Generator().manual_seed(seed)
    alive = torch.arange(t) < torch.tensor(lengths)[:, None]
    ended = torch.zeros(n, t, dtype=torch.bool)
    for i, (length, is_whole) in enumerate(zip(lengths, whole, strict=True)):
        ended[i, length - 1] = is_whole or length < t
    features = torch.arange(n * (t + 1), dtype=torch.float32).reshape(n, t + 1, 1)  # each state has a number of its own
    mask = torch.rand(n, t, 3, generator=chance) < 0.6
    mask[..., 0] = True
    action = torch.zeros(n, t, dtype=torch.int64)
    reward = torch.randn(n, t, generator=chance) * alive
    return Steps(features, mask, action, torch.ones(n, t), reward, ended, alive)


def by_hand(steps: Steps, discount: float, n: int) -> list[tuple[float, float, float | None, float]]:
    """Return (state, reward, next state or None, weight) of each row, learner after learner, step after step."""
    rows = []
    length = steps.alive.shape[1]
    for i in range(len(steps.alive)):
        for t in range(length):
            if not steps.alive[i, t]:
                continue
            total, ahead, over = 0.0, t, False
            for _ in range(n):
                if over or ahead >= length or (ahead == length - 1 and not steps.ended[i, ahead]):
                    break
                total += discount ** (ahead - t) * float(steps.reward[i, ahead])
                over = bool(steps.ended[i, ahead])
                ahead += 1
            if ahead > t:
                there = None if over else float(steps.features[i, ahead, 0])
                rows.append((float(steps.features[i, t, 0]), total, there, 0.0 if over else discount ** (ahead - t)))
    return rows


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=4), st.integers(1, 8), st.integers(0, 99)
)
def test_every_row_is_what_a_walk_by_hand_finds(learners: list[tuple[int, bool]], n: int, seed: int) -> None:
    steps = lived([length for length, _ in learners], 6, [whole for _, whole in learners], seed)
    rows = transitions(steps, 0.9, n)
    expected = by_hand(steps, 0.9, n)
    assert len(rows.action) == len(expected)
    for i, (state, reward, there, weight) in enumerate(expected):
        assert float(rows.features[i, 0]) == state
        assert float(rows.reward[i]) == pytest.approx(reward, abs=1e-5)
        assert float(rows.discount[i]) == pytest.approx(weight, abs=1e-6)
        if there is not None:
            assert float(rows.next_features[i, 0]) == there
            learner, t = divmod(int(there), 7)
            assert torch.equal(rows.next_mask[i], steps.mask[learner, t]), "the mask is the one of the next state"


def rows_of(numbers: list[int]) -> Transitions:
    x: Tensor = torch.tensor(numbers, dtype=torch.float32)
    mask = torch.ones(len(numbers), 2, dtype=torch.bool)
    return Transitions(x[:, None], mask, x.long() % 2, x, x[:, None] + 1, mask, torch.ones_like(x))


def held(memory: Memory) -> list[int]:
    return sorted(memory.state()["memory/reward"].int().tolist())


def test_the_oldest_rows_give_way() -> None:
    memory = Memory(1, 2, 5)
    memory.add(rows_of([1, 2, 3]))
    assert held(memory) == [1, 2, 3]
    memory.add(rows_of([4, 5, 6, 7]))
    assert held(memory) == [3, 4, 5, 6, 7]
    memory.add(rows_of(list(range(10, 20))))
    assert held(memory) == [15, 16, 17, 18, 19]
    assert len(memory) == 5


@pytest.mark.parametrize("power", [0.0, 0.7])
def test_a_restored_memory_draws_and_forgets_the_same(power: float) -> None:
    one, two = Memory(1, 2, 5, power), Memory(1, 2, 5, power)
    one.add(rows_of([1, 2, 3]))
    one.add(rows_of([4, 5, 6, 7]))  # round the corner: the next place is not the first
    place, _, _ = one.draw(4, torch.Generator().manual_seed(1))
    one.judge(place, torch.tensor([9.0, 8.0, 7.0, 6.0]))
    two.restore(one.state())
    for memory in (one, two):
        memory.add(rows_of([8]))
    draws = [memory.draw(50, torch.Generator().manual_seed(2)) for memory in (one, two)]
    assert torch.equal(draws[0][1].reward, draws[1][1].reward)
    assert torch.equal(draws[0][2], draws[1][2])


def test_rows_are_drawn_in_proportion_to_their_priority() -> None:
    memory = Memory(1, 2, 4, power=0.5)
    memory.add(rows_of([0, 1, 2, 3]))
    memory.judge(torch.arange(4), torch.tensor([1.0, 4.0, 9.0, 16.0]))
    place, rows, odds = memory.draw(40_000, torch.Generator().manual_seed(3))
    share = torch.bincount(place, minlength=4) / 40_000
    torch.testing.assert_close(share, torch.tensor([0.1, 0.2, 0.3, 0.4]), rtol=0, atol=0.01)
    torch.testing.assert_close(odds, torch.tensor([0.4, 0.8, 1.2, 1.6])[place])
    assert torch.equal(rows.reward, place.float())
    memory.add(rows_of([4]))
    assert float(memory.state()["memory/priority"].max()) == 16.0
    assert float(memory.state()["memory/priority"][0]) == 16.0, "new rows come with the highest priority"


def test_shuffled_rows_come_once_each() -> None:
    parts = list(shuffled(rows_of(list(range(10))), 4, torch.Generator().manual_seed(0)))
    assert [len(part.action) for part in parts] == [4, 4, 2]
    reward = torch.cat([part.reward for part in parts])
    assert sorted(reward.int().tolist()) == list(range(10))
    assert reward.int().tolist() != list(range(10))


def test_schedules_count_cohorts_whatever_the_chunk() -> None:
    assert passed(5, 0, 40, 10) == 0.5
    assert passed(40, 5, 40, 10) == 0.5
    assert passed(30, 15, 40, 10) == 1.0  # three calls a session: 15, 15 and 10 steps
    assert passed(99, 0, 40, 10) == 1.0
    assert passed(7, 5, 40, 0) == 0.0
    assert between(1.0, 0.2, 0.25) == pytest.approx(0.8)
    assert between(1.0, 0.2, 7.0) == pytest.approx(0.2)
