"""Ceilings: they see the hidden state, not the coins; they reproduce published searches, and are no heuristics."""

from dataclasses import replace

import pytest
import torch

from trailmark.agents.agent import Policy, sample, uniform
from trailmark.agents.baselines import RandomLegal
from trailmark.agents.beam import BeamSearch
from trailmark.agents.lookahead import Lookahead
from trailmark.agents.loop import live, play
from trailmark.agents.privileged import OneStepGreedy, OracleLookahead, OracleThreshold, Privileged
from trailmark.envs.classroom import Classroom, Pace, World
from trailmark.envs.guards import KSSWalk
from trailmark.envs.observer import Observer
from trailmark.envs.outcomes import NormalisedGain
from trailmark.envs.outcomes_recall import RecallLikelihood
from trailmark.envs.skills import mean_over_skills
from trailmark.envs.students.efc import EFC
from trailmark.envs.students.kss import KSS
from trailmark.envs.students.kss_approach import KSSApproach
from trailmark.envs.tracers.tally import Tally
from trailmark.experiments.evaluation import best_heuristic


@pytest.fixture(scope="module")
def cards() -> World:
    student = EFC(items=5)
    observer = Observer(Tally().of(student.catalog), student.catalog, {}, 12)
    return World(student, observer, {"recall": RecallLikelihood(12)}, {"recall": 1.0}, Pace(1, 5.0))


@pytest.fixture(scope="module")
def kss_2018() -> World:
    student = KSS(
        difficulty=(0, 2, 3, 3, 3, 0, 1, 3, 4, 4),
        warm_up_walk=False, warm_up_pairs=True, warm_up_kept=False, chance=True, towards=True, ends=False,
    )  # fmt: skip
    observer = Observer(Tally().of(student.catalog), student.catalog, {"walk": KSSWalk(towards=True)}, 10)
    return World(student, observer, {"promotion": NormalisedGain()}, {"promotion": 1.0}, Pace(10, 0.0))


def test_they_are_no_policies() -> None:
    """So that no bundle, no export and no agent can take one."""
    assert not any(issubclass(kind, Policy) for kind in (OracleThreshold, OracleLookahead, OneStepGreedy, BeamSearch))


def test_oracle_threshold_is_nearest_true_recall(cards: World) -> None:
    room = Classroom(cards, 0, 0, 30)
    for p in (next(OracleThreshold(z).watch(room)) for z in (0.2, 0.7)):
        assert torch.equal(p.sum(1), torch.ones(30))
    recall = cards.student.mastery(room.state)
    best = next(OracleThreshold(0.4).watch(room)).argmax(1)
    assert torch.equal(best, (recall - 0.4).abs().argmin(1))


def test_oracle_lookahead_wastes_nothing_on_what_is_known(onboarding: World, cards: World) -> None:
    """BKT learners know a skill or do not; who can see it gives only activities that leave something to learn."""
    room = Classroom(onboarding, 0, 0, 60)
    known = onboarding.student.mastery(room.state)
    assert set(known.unique().tolist()) == {0.0, 1.0}
    chosen = next(OracleLookahead(8, 2.0).watch(room)).argmax(1)
    skills = onboarding.observer.skills
    open_goal = (1.0 - known) * room.record.goal
    left = mean_over_skills(open_goal, skills)
    could = ((left > 0) & room.observation.mask).any(1)
    assert bool((left.gather(1, chosen[:, None])[:, 0] > 0)[could].float().mean() > 0.95)
    gain = [
        float(play(onboarding, p, 3, 200).values["learning_gain"].mean())
        for p in (OracleLookahead(8, 2.0), Lookahead(onboarding.observer.space, onboarding.observer, 8, 2.0))
    ]
    assert gain[0] > gain[1], "knowing is worth something"
    with pytest.raises(ValueError, match="not sampled from the model"):
        next(OracleLookahead().watch(Classroom(cards, 0, 0, 2)))


def test_greedy_takes_the_best_next_step(cards: World) -> None:
    """With these cards the reward right after a review is highest for the card that was most forgotten."""
    room = Classroom(cards, 0, 0, 40)
    room.step(torch.zeros(40, dtype=torch.int64))
    recall = cards.student.mastery(room.state)
    chosen = next(OneStepGreedy().watch(room)).argmax(1)
    assert torch.equal(chosen, recall.argmin(1))


def test_looking_ahead_changes_nothing(cards: World, kss_2018: World) -> None:
    for world in (cards, kss_2018):
        room, other = Classroom(world, 0, 0, 16), Classroom(world, 0, 0, 16)
        next(OneStepGreedy(draws=2).watch(room))
        next(BeamSearch(3).watch(room))
        for _ in range(4):
            moments = [r.step(sample(uniform(r.observation.mask), r.act()[:, 0])) for r in (room, other)]
            assert torch.equal(moments[0].reward, moments[1].reward)
            assert torch.equal(moments[0].observation.features, moments[1].observation.features)


def test_imagined_coins_are_not_those_of_the_room(cards: World) -> None:
    room = Classroom(cards, 0, 0, 400)
    zero = torch.zeros(400, dtype=torch.int64)
    rows = torch.arange(400)
    forks = [room.fork(rows), room.fork(rows), room.fork(rows, 1)]
    answers = [r.step(zero).response.correct for r in (*forks, room)]
    assert torch.equal(answers[0], answers[1]), "one draw, the same coins"
    assert not torch.equal(answers[0], answers[2])
    assert not torch.equal(answers[0], answers[3])


@pytest.mark.parametrize(
    "policy", [OracleThreshold(0.3), OneStepGreedy(), BeamSearch(4), BeamSearch(2, depth=3, follow=1)]
)
def test_a_learner_is_chosen_for_alike_in_any_batch(kss_2018: World, policy: Privileged) -> None:
    whole, part = play(kss_2018, policy, 3, 12), play(kss_2018, policy, 3, 5, first=4)
    assert torch.equal(whole.values["promotion"][4:9], part.values["promotion"])
    assert whole.legal_rate == 1.0


def test_a_beam_that_keeps_everything_finds_the_best_of_all_plans(cards: World) -> None:
    room = Classroom(cards, 5, 0, 6)
    plan = BeamSearch(width=125).plan(room, 3)

    def worth(plan: torch.Tensor) -> torch.Tensor:
        again = Classroom(cards, 5, 0, 6).fork(torch.arange(6))
        return sum(again.step(plan[:, t]).reward.double() for t in range(3))  # type: ignore[return-value]

    every = torch.cartesian_prod(*[torch.arange(5)] * 3)
    best = torch.stack([worth(one.expand(6, 3)) for one in every]).max(0).values
    torch.testing.assert_close(worth(plan), best, atol=2e-6, rtol=0)


def test_wider_beams_reach_more_and_all_pass_the_floor(kss_2018: World) -> None:
    promise = KSSApproach()
    policies = (RandomLegal(kss_2018.observer.space), OneStepGreedy(), BeamSearch(1), BeamSearch(20, promise=promise))
    floor, greedy, narrow, wide = (float(play(kss_2018, p, 1, 150).values["promotion"].mean()) for p in policies)
    assert floor < greedy <= narrow + 1e-6 < wide
    assert abs(wide - 0.55) < 0.07, "published search of width 40: .559"


def test_a_promise_helps_and_fits_its_learners(cards: World, kss: World) -> None:
    blind, sighted = (
        play(kss, BeamSearch(10, promise=promise), 1, 60).values["promotion"].mean()
        for promise in (None, KSSApproach())
    )
    assert sighted > blind + 0.05
    with pytest.raises(TypeError, match="KSS"):
        play(cards, BeamSearch(2, promise=KSSApproach()), 0, 2)


def test_plans_are_made_anew_as_told(kss: World) -> None:
    made = []

    class Counting(BeamSearch):
        def plan(self, room: Classroom, depth: int) -> torch.Tensor:
            made.append(depth)
            return super().plan(room, depth)

    long = replace(kss, observer=replace(kss.observer, horizon=7))
    list(live(Classroom(long, 0, 0, 4), Counting(2, depth=3, follow=2)))
    assert made == [3, 3, 3, 1]


def test_ceilings_are_never_the_best_heuristic(kss: World) -> None:
    space = kss.observer.space
    contestants = {
        "beam": ("ceiling", BeamSearch(2)),
        "greedy": ("ceiling", OneStepGreedy()),
        "legal": ("floor", RandomLegal(space)),
    }
    plays = {name: [play(kss, policy, 0, 20)] for name, (_, policy) in contestants.items()}
    assert best_heuristic(kss, contestants, plays, "promotion") == "legal"


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match="width 0"):
        BeamSearch(0)


def test_plans_keep_the_rules(kss: World) -> None:
    """On learners without chance every planned activity is allowed when its turn comes, so none is replaced."""
    for turn in live(Classroom(kss, 0, 0, 20), BeamSearch(4)):
        assert bool((turn.probabilities.max(1).values[turn.moment.alive] == 1.0).all())
