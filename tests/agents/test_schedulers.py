"""Schedulers and thresholds: what each rule chooses for histories made by hand."""

from collections.abc import Callable

import pytest
import torch

from trailmark.agents.agent import Policy
from trailmark.agents.schedulers import SM2, DueFirst, Leitner, LeitnerQueues, RepeatTarget
from trailmark.agents.thresholds import Memorize, TargetDifficulty, Threshold
from trailmark.envs.classroom import Classroom, World
from trailmark.envs.observer import History, Observation, Space

See = Callable[..., Observation]
INF = float("inf")
ALL = [1] * 5
NEEDED = [1, 1, 0]  # skills s0 and s1; activities: a0 s0, a1 s1, a2 both, a3 s2, a4 s1


@pytest.fixture(scope="session")
def remember(see: See) -> Callable[..., Observation]:
    """Return a maker of one observation with a history: attempts, right answers in a row, days since, misses."""

    def make(
        space: Space, attempts: list[int], streak: list[int], since: list[float], mask: list[int] = ALL,
        mastery: list[float] | None = None, misses: list[int] | None = None,
    ) -> Observation:  # fmt: skip
        counts = torch.tensor([attempts], dtype=torch.int16)
        wrong = torch.tensor([misses or [0] * 5], dtype=torch.int16)
        none = torch.zeros(1, 0)
        history = History(
            counts, counts - wrong, torch.tensor([streak], dtype=torch.int16), torch.tensor([since]), none.int(), none
        )
        return see(space, [mastery or [0.5] * 3], [NEEDED], [mask])._replace(history=history)

    return make


def choice(policy: Policy, seen: Observation) -> int:
    p = policy(seen)
    assert p.dtype == torch.float32
    assert sorted(p[0].tolist()) == [0, 0, 0, 0, 1]
    return int(p.argmax())


NEW = INF


@pytest.mark.parametrize(
    ("attempts", "streak", "since", "expected"),
    [
        ([1, 1, 1, 1, 1], [0, 1, 2, 3, 4], [1.0, 2.0, 4.0, 8.0, 16.1], 4),  # boxes due after 1, 2, 4, 8, 16 days
        ([1, 1, 1, 1, 1], [0, 1, 2, 3, 9], [1.0, 2.0, 4.0, 8.0, 15.9], 0),  # not due yet; among equals the first
        ([1, 1, 1, 1, 1], [4, 4, 4, 4, 0], [20.0, 20.0, 20.0, 24.0, 1.4], 3),  # 24 / 16 is later than 1.4 / 1
        ([1, 0, 1, 0, 1], [4, 0, 4, 0, 4], [9.0, NEW, 9.0, NEW, 9.0], 1),  # nothing due: the first new one
        ([1, 0, 1, 0, 1], [4, 0, 4, 0, 0], [9.0, NEW, 9.0, NEW, 1.0], 4),  # due before new
        ([1, 1, 1, 1, 1], [4, 4, 4, 4, 4], [9.0, 9.5, 9.0, 9.0, 9.0], 1),  # nothing due, nothing new: the next one
    ],
)
def test_leitner(space: Space, remember, attempts, streak, since, expected) -> None:
    assert choice(Leitner(space), remember(space, attempts, streak, since)) == expected


def test_leitner_settings(space: Space, remember) -> None:
    seen = remember(space, [1, 1, 0, 1, 1], [0, 4, 0, 0, 0], [3.0, 9.0, NEW, 1.0, 1.0])
    assert choice(Leitner(space, first=1.0), seen) == 0
    assert choice(Leitner(space, first=4.0), seen) == 2, "nothing is due after 4 days"
    assert choice(Leitner(space, first=1.0, boxes=2), seen) == 1, "9 days in a box of 2"
    assert choice(Leitner(space, first=1.0, new_first=True), seen) == 2
    masked = seen._replace(mask=torch.tensor([[False, True, False, True, True]]))
    assert choice(Leitner(space), masked) == 3


@pytest.mark.parametrize(
    ("streak", "misses", "days"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (2, 0, 6.0),
        (3, 0, 15.0),
        (4, 0, 37.5),
        (3, 1, 6 * 2.18),
        (4, 2, 6 * 1.86**2),
        (3, 9, 7.8),
    ],
)
def test_sm2_intervals(space: Space, remember, streak: int, misses: int, days: float) -> None:
    """1, 6, 15, 37.5 days with an ease of 2.5; .32 less for every miss, 1.3 at least."""
    for since, due in ((days - 0.01, False), (days + 0.01, True)):
        seen = remember(space, [20, 0, 0, 0, 0], [streak, 0, 0, 0, 0], [since, *[NEW] * 4], misses=[misses, 0, 0, 0, 0])
        assert choice(SM2(space), seen) == (0 if due else 1)


def test_sm2_settings(space: Space, remember) -> None:
    seen = remember(space, [9, 9, 0, 0, 0], [3, 3, 0, 0, 0], [14.0, 15.5, NEW, NEW, NEW], misses=[1, 0, 0, 0, 0])
    assert choice(SM2(space), seen) == 0, "14 / 13.1 is later than 15.5 / 15"
    assert choice(SM2(space, fall=0.0), seen) == 1, "Wozniak's own text: a miss costs no ease"
    assert choice(SM2(space, day=2.0), seen) == 2
    assert choice(SM2(space, new_first=True), seen) == 2


def test_due_first(space: Space, remember) -> None:
    mastery = [0.8, 0.95, 0.3]  # recall of a0 .8, a1 .95, a2 .875, a3 .3, a4 .95
    some = remember(space, [1, 1, 1, 0, 0], [1] * 5, [1.0] * 3 + [NEW] * 2, mastery=mastery)
    assert choice(DueFirst(space, retention=0.9), some) == 0
    assert choice(DueFirst(space, retention=0.7), some) == 3, "nothing due: the first new one"
    assert choice(DueFirst(space, retention=0.9, new_first=True), some) == 3
    everything = remember(space, [1] * 5, [1] * 5, [1.0] * 5, mastery=mastery)
    assert choice(DueFirst(space, retention=0.1), everything) == 3, "nothing due, nothing new: the lowest"


def test_leitner_queues_are_sampled(space: Space, remember) -> None:
    seen = remember(space, [1, 1, 1, 0, 1], [0, 0, 3, 0, 1], [1.0, 4.0, 2.0, NEW, 9.0], mask=[1, 1, 1, 1, 0])
    p = LeitnerQueues(space, arrival=0.3)(seen)[0]
    total = 1.0 + 4**-0.5  # queues 1 and 4; queue 2 holds only what is masked
    torch.testing.assert_close(p, torch.tensor([0.0, 0.7 / total, 0.7 * 0.5 / total, 0.3, 0.0]))
    old = remember(space, [1] * 5, [0, 0, 3, 0, 1], [1.0, 4.0, 2.0, 1.0, 9.0])
    assert float(LeitnerQueues(space, arrival=1.0)(old)[0].sum()) == pytest.approx(1.0), "nothing new is left"
    fresh = remember(space, [0] * 5, [0] * 5, [NEW] * 5)
    assert LeitnerQueues(space, arrival=0.0)(fresh)[0].tolist() == [1, 0, 0, 0, 0], "there is nothing else"


def test_repeat_target(space: Space, remember) -> None:
    seen = remember(space, [2, 1, 0, 0, 1], [0] * 5, [1.0] * 5)
    assert choice(RepeatTarget(space), seen) == 2
    assert choice(RepeatTarget(space), seen._replace(mask=torch.tensor([[True, True, False, True, True]]))) == 1
    only = seen._replace(mask=torch.tensor([[False, False, False, True, False]]))
    assert choice(RepeatTarget(space), only) == 3, "no goal activity is allowed"


def test_threshold_is_nearest_believed_recall(space: Space, see: See) -> None:
    seen = see(space, [[0.2, 0.6, 0.9]], [NEEDED], [ALL])
    assert [choice(Threshold(space, z), seen) for z in (0.0, 0.41, 0.59, 0.8)] == [0, 2, 1, 3]
    assert choice(Threshold(space, 0.41), seen._replace(mask=torch.tensor([[True, False, False, True, False]]))) == 0


def test_memorize_is_in_proportion_to_what_is_forgotten(space: Space, see: See) -> None:
    seen = see(space, [[0.2, 0.6, 0.1]], [NEEDED], [[1, 1, 0, 1, 1]])
    torch.testing.assert_close(Memorize(space)(seen)[0], torch.tensor([0.5, 0.25, 0.0, 0.0, 0.25]))
    known = see(space, [[1.0, 1.0, 0.1]], [NEEDED], [[1, 1, 0, 1, 0]])
    torch.testing.assert_close(Memorize(space)(known)[0], torch.tensor([1 / 3, 1 / 3, 0.0, 1 / 3, 0.0]))


def test_target_difficulty_asks_the_tracer(onboarding: World) -> None:
    observer = onboarding.observer
    room = Classroom(onboarding, 0, 0, 20)
    for target in (0.3, 0.85):
        found = TargetDifficulty(observer.space, observer, target)(room.observation).argmax(1)
        chance = observer.tracer.predict(room.record.belief)
        goal = (observer.catalog.q_matrix() @ room.record.goal.numpy().T > 0).T
        usable = room.observation.mask & torch.from_numpy(goal)
        for b in range(20):
            if bool(usable[b].any()):
                distance = (chance[b] - target).abs().masked_fill(~usable[b], INF)
                assert float(distance[found[b]]) == float(distance.min())


@pytest.mark.parametrize("policy", [Leitner, SM2, DueFirst, LeitnerQueues, RepeatTarget])
def test_without_a_history_they_say_so(space: Space, see: See, policy: type) -> None:
    with pytest.raises(ValueError, match="history"):
        policy(space)(see(space, [[0.5] * 3], [NEEDED], [ALL]))


def test_target_difficulty_needs_records(space: Space, see: See, onboarding: World) -> None:
    with pytest.raises(ValueError, match="records"):
        TargetDifficulty(space, onboarding.observer)(see(space, [[0.5] * 3], [NEEDED], [ALL]))
