"""Bandits: the probes that bandits can pass, their statistics by hand, and that probabilities are what is sampled."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from trailmark.agents.agent import Agent, Steps, greedy
from trailmark.agents.arms import Arms, even
from trailmark.agents.epsilon_greedy import EpsilonGreedy
from trailmark.agents.linear_thompson import LinearThompson, LinearThompsonPolicy
from trailmark.agents.linucb import LinUCB
from trailmark.agents.loop import gather, play, train
from trailmark.agents.neural_linear import NeuralLinear
from trailmark.agents.ridge import Evidence, Solution, sampled, scores, shares, widths
from trailmark.agents.spread import Spread
from trailmark.agents.thompson import Thompson, ThompsonPolicy
from trailmark.agents.ucb1 import UCB1, UCB1Policy
from trailmark.envs.classroom import Classroom, World
from trailmark.envs.observer import Observation, Space
from trailmark.envs.worlds import onboarding_world

Probe = Callable[..., World]
See = Callable[..., Observation]
Make = Callable[[Space], Agent]


def neural(space: Space) -> Agent:
    return NeuralLinear(space, hidden=8, rate=0.03, chunk=1)


def wide(space: Space) -> Agent:
    return LinUCB(space, wide=True)


plain = [EpsilonGreedy, UCB1, Thompson]
linear = [LinearThompson, neural, wide]
every_bandit = pytest.mark.parametrize("make", [*plain, *linear])


def taught(world: World, make: Make, cohorts: int = 25) -> Agent:
    agent = make(world.observer.space)
    for _ in train(world, agent, 0, 64, 0, cohorts):
        pass
    return agent


def first_choices(world: World, agent: Agent) -> tuple[Tensor, Tensor]:
    room = Classroom(world, 99, 0, 64)
    return room.state.kind, agent.decide()(room.observation)


@every_bandit
@pytest.mark.parametrize("best", [0, 1])
def test_the_better_of_two_is_found(probe: Probe, make: Make, best: int) -> None:
    world = probe([[0.9, 0.1] if best == 0 else [0.1, 0.9]])
    assert float(first_choices(world, taught(world, make))[1][:, best].min()) > 0.9


@pytest.mark.parametrize("make", linear)
def test_the_better_one_depends_on_what_is_seen(probe: Probe, make: Make) -> None:
    world = probe([[1.0, 0.0], [0.0, 1.0]])
    kind, p = first_choices(world, taught(world, make, 60))
    assert set(kind.tolist()) == {0, 1}
    assert float(p.gather(1, kind[:, None]).min()) > 0.9


@every_bandit
def test_when_the_best_is_forbidden_the_best_allowed_is_chosen(probe: Probe, make: Make) -> None:
    world = probe([[1.0, 0.2, 0.6]], forbid=0)
    agent = taught(world, make)
    p = first_choices(world, agent)[1]
    assert bool((p[:, 0] == 0).all())
    assert float(p[:, 2].min()) > 0.9
    assert play(world, agent.decide(), 5, 100).legal_rate == 1.0


@pytest.mark.parametrize("make", plain)
def test_with_levels_an_activity_is_worth_what_it_was_at_that_repetition(probe: Probe, make: type) -> None:
    """The first activity pays at the first step only, so the second is the better one from then on."""
    world = probe([[1.0, 0.4]], horizon=2)
    agent = make(world.observer.space, levels=2)
    room = Classroom(world, 0, 0, 64)
    steps = gather(room, agent.behave(), 2)
    again = steps.action[:, 0] == steps.action[:, 1]
    pays = torch.where(steps.action == 0, torch.tensor([1.0, 1.0]), torch.tensor([0.4, 0.4]))
    pays[:, 1] = torch.where(again & (steps.action[:, 1] == 0), 0.0, pays[:, 1])
    for _ in range(20):
        agent.learn(steps._replace(reward=pays), 0)
    room = Classroom(world, 1, 0, 4)
    assert torch.equal(agent.decide()(room.observation).argmax(1), torch.zeros(4, dtype=torch.int64))
    room.step(torch.zeros(4, dtype=torch.int64))
    assert torch.equal(agent.decide()(room.observation).argmax(1), torch.ones(4, dtype=torch.int64))


@pytest.mark.parametrize("make", plain)
def test_losses_are_compared_as_losses(make: type) -> None:
    """Costs of -1 in a minute and -.5 in two: a minute of the second costs a quarter."""
    world = onboarding_world()
    space = replace(world.observer.space, minutes=torch.tensor([1.0, 2.0]), n_activities=2)
    agent = make(space, levels=1)
    n = 4000
    action = (torch.arange(n) % 2)[:, None]
    reward = torch.where(action == 0, -1.0, -0.5)
    mask = torch.ones(n, 1, 2, dtype=torch.bool)
    features = torch.zeros(n, 2, space.n_features)
    yes = torch.ones(n, 1, dtype=torch.bool)
    agent.learn(Steps(features, mask, action, torch.full((n, 1), 0.5), reward, yes, yes), 0)
    seen = Observation(features[:1, 0], mask[:1, 0], torch.zeros(1, dtype=torch.bool))
    assert agent.decide()(seen)[0].tolist() == [0.0, 1.0]


def test_an_arm_never_tried_is_taken_for_the_usual(space: Space, see: See) -> None:
    agent = EpsilonGreedy(space, epsilon=0.0, levels=1, per_minute=False)
    agent._arms = agent._arms.add(torch.zeros(3).long(), torch.tensor([0, 0, 1]), torch.tensor([-1.0, -1.0, -0.25]))
    seen = see(space, [[0.5] * 3], [[1] * 3], [[1] * 5])
    assert agent.decide()(seen)[0].tolist() == [0.0, 1.0, 0.0, 0.0, 0.0]


def test_levels_need_a_history(space: Space, see: See) -> None:
    seen = see(space, [[0.5] * 3], [[1] * 3], [[1] * 5])
    with pytest.raises(ValueError, match="history"):
        UCB1(space).behave()(seen)
    assert UCB1(space, levels=1).behave()(seen)[0].tolist() == pytest.approx([0.2] * 5)


def test_arms_count_and_forget() -> None:
    arms = Arms.none(2, 3).add(torch.tensor([0, 1, 0]), torch.tensor([2, 2, 2]), torch.tensor([1.0, 5.0, 2.0]))
    assert arms.tries.tolist() == [[0, 0, 2], [0, 0, 1]]
    assert arms.mean.tolist() == [[0, 0, 1.5], [0, 0, 5]]
    later = arms.add(torch.tensor([0]), torch.tensor([2]), torch.tensor([4.0]), discount=0.5)
    assert later.tries.tolist() == [[0, 0, 2], [0, 0, 0.5]]
    assert later.mean[0, 2] == (0.5 * 3.0 + 4.0) / 2.0


def test_epsilon_is_shared_out_evenly(space: Space, see: See) -> None:
    agent = EpsilonGreedy(space, epsilon=0.3, levels=1, per_minute=False)
    seen = see(space, [[0.5] * 3] * 2, [[1] * 3] * 2, [[1, 1, 1, 0, 0]] * 2)
    agent.learn(lived(seen, torch.tensor([0, 1]), torch.tensor([0.2, 0.7])), 0)
    torch.testing.assert_close(agent.behave()(seen)[0], torch.tensor([0.1, 0.8, 0.1, 0.0, 0.0]))
    assert agent.decide()(seen)[0].tolist() == [0, 1, 0, 0, 0]


def lived(seen: Observation, action: Tensor, reward: Tensor) -> Steps:
    features = torch.stack([seen.features, seen.features], 1)
    yes = torch.ones(len(action), 1, dtype=torch.bool)
    return Steps(features, seen.mask[:, None], action[:, None], yes.float(), reward[:, None], yes, yes)


def test_ucb1_bounds_by_hand(space: Space, see: See) -> None:
    agent = UCB1(space, width=2.0, levels=1)
    seen = see(space, [[0.5] * 3] * 5, [[1] * 3] * 5, [[1] * 5] * 5)
    reward = torch.tensor([1.0, 3.0, 2.0, 2.0, 2.0])
    agent.learn(lived(seen, torch.tensor([0, 0, 1, 1, 1]), reward), 0)
    policy = agent.behave()
    assert isinstance(policy, UCB1Policy)
    sd = float(reward.double().std(correction=0))
    expected = [2.0 + 2.0 * sd * (2.0 * np.log(5.0) / n) ** 0.5 for n in (2.0, 3.0)]
    np.testing.assert_allclose(policy.bound[0, :2].numpy(), expected, rtol=1e-6)
    assert bool(torch.isinf(policy.bound[0, 2:]).all())
    assert policy(seen)[0].tolist() == pytest.approx([0, 0, 1 / 3, 1 / 3, 1 / 3]), "the untried share the batch"


def test_thompson_choice_probabilities_are_those_of_the_posterior(space: Space, see: See) -> None:
    agent = Thompson(space, draws=4000, levels=1, per_minute=False)
    seen = see(space, [[0.5] * 3] * 6, [[1] * 3] * 6, [[1, 1, 0, 0, 0]] * 6)
    agent.learn(lived(seen, torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 1.0])), 0)
    policy = agent.behave()
    assert isinstance(policy, ThompsonPolicy)
    chance = np.random.default_rng(0)
    a, b = chance.beta(3, 2, 200_000), chance.beta(2, 3, 200_000)
    assert float(policy(seen)[0, 0]) == pytest.approx(float((a > b).mean()), abs=0.025)
    assert torch.equal(policy(seen).sum(1), torch.ones(6))


def test_thompson_stretches_rewards_of_any_size(space: Space, see: See) -> None:
    seen = see(space, [[0.5] * 3] * 4, [[1] * 3] * 4, [[1] * 5] * 4)
    action, reward = torch.tensor([0, 1, 2, 0]), torch.tensor([0.0, 1.0, 0.5, 0.25])
    found = []
    for scale, shift in ((1.0, 0.0), (250.0, -40.0)):
        agent = Thompson(space, levels=1)
        agent.learn(lived(seen, action, scale * reward + shift), 0)
        found.append(agent.decide()(seen))
    assert torch.equal(*found)


def test_linear_draws_have_the_posterior_mean_and_covariance() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(2, 3, 3, generator=generator, dtype=torch.float64)
    centre = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    solution = Solution(centre, root @ root.transpose(1, 2) + torch.eye(3))
    theta = sampled(solution, 0.5, 40_000, generator).double()
    torch.testing.assert_close(theta.mean(0), solution.theta, atol=0.03, rtol=0)
    for a in range(2):
        torch.testing.assert_close(theta[:, a].t().cov(), 0.25 * solution.inverse[a], atol=0.06, rtol=0.05)


def test_models_can_be_drawn_after_a_very_long_log() -> None:
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64)).Q
    gram = turn @ torch.diag(torch.tensor([1e10, 1e5, 0.0], dtype=torch.float64)) @ turn.t()
    drawn = sampled(
        Evidence(gram[None], gram[None] @ torch.ones(3, dtype=torch.float64)).solve(1.0), 1.0, 20_000, generator
    )
    along = (drawn[:, 0].double() @ turn).std(0)  # on its own axes, whose deviations differ by five powers of ten
    assert float(along[1]) == pytest.approx(1e5**-0.5, rel=0.05)
    assert float(along[2]) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("own", [False, True])
def test_shares_are_counted_over_the_allowed(own: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(6, 4, 3, generator=generator) if own else torch.randn(6, 3, generator=generator)
    theta, mask = torch.randn(10, 4, 3, generator=generator), torch.rand(6, 4, generator=generator) < 0.6
    mask[:, 2] = True
    found = shares(scores(x, theta), mask)
    for b in range(6):
        count = torch.zeros(4)
        for m in range(10):
            each = [float(theta[m, a] @ (x[b, a] if own else x[b])) if mask[b, a] else -np.inf for a in range(4)]
            count[int(np.argmax(each))] += 0.1
        torch.testing.assert_close(found[b], count)


def test_a_linear_policy_of_one_model_is_greedy(space: Space, see: See) -> None:
    seen = see(space, [[0.3, 0.4, 0.5]], [[1, 1, 0]], [[1, 1, 0, 1, 1]])
    theta = torch.randn(1, 5, 5, generator=torch.Generator().manual_seed(2))
    policy = LinearThompsonPolicy(space, theta, per_minute=False)
    from trailmark.agents.contexts import contexts

    assert torch.equal(policy(seen), greedy((contexts(space, seen) * theta[0]).sum(-1), seen.mask))


@pytest.mark.parametrize("n", [3, 500])
def test_evidence_sums_outer_products_in_batches_of_any_size(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    x, reward = torch.randn(n, 4, generator=generator), torch.randn(n, generator=generator)
    action = torch.randint(3, (n,), generator=generator)
    found = Evidence.none(3, 4).add(x, action, reward)
    for a in range(3):
        mine = x[action == a].double()
        torch.testing.assert_close(found.gram[a], mine.t() @ mine)
        torch.testing.assert_close(found.moment[a], mine.t() @ reward[action == a].double())
    solution, a = found.solve(0.5), 1
    torch.testing.assert_close(
        solution.inverse[a], torch.linalg.inv(found.gram[a] + 0.5 * torch.eye(4)), atol=1e-5, rtol=1e-4
    )
    wide, own = (widths(seen, solution.inverse.float()) for seen in (x[:5], x[:5, None].expand(-1, 3, -1)))
    torch.testing.assert_close(wide, own)
    by_hand = float((x[0].double() @ solution.inverse[a] @ x[0].double()).sqrt())
    assert float(wide[0, a]) == pytest.approx(by_hand, rel=1e-4)


def test_spread_merges_batches() -> None:
    values = torch.randn(100, generator=torch.Generator().manual_seed(0)) * 3 + 7
    spread = Spread().add(values[:1]).add(values[1:40]).add(values[40:])
    assert spread.sd == pytest.approx(float(values.double().std(correction=0)))
    assert Spread.of(spread.tensor()) == spread
    assert Spread().sd == 1.0
    assert Spread().add(torch.full((9,), -2.5)).sd == 2.5
    assert Spread().add(torch.zeros(9)).sd == 1.0


def test_even_shares_the_best() -> None:
    mask = torch.tensor([[True, True, False, True]])
    assert even(torch.tensor([[1.0, 2.0, 9.0, 2.0]]), mask).tolist() == [[0, 0.5, 0, 0.5]]


def test_linucb_explores_alike_whatever_the_unit_of_reward(space: Space, see: See) -> None:
    seen = see(space, [[0.3, 0.4, 0.5]] * 20, [[1, 1, 0]] * 20, [[1] * 5] * 20)
    action, reward = torch.arange(20) % 2, torch.linspace(0.2, 1.0, 20)
    found = []
    for unit in (1.0, 1000.0):
        agent = LinUCB(space, per_minute=False)
        agent.learn(lived(seen, action, unit * reward), 0)
        found.append(agent.behave()(seen))
    assert torch.equal(*found)


@pytest.mark.parametrize("make", [Thompson, LinearThompson])
def test_draws_change_with_the_batch_and_the_seed(make: type, space: Space, see: See) -> None:
    seen = see(space, [[0.3, 0.4, 0.5]], [[1, 1, 0]], [[1] * 5])
    options = {"levels": 1} if make is Thompson else {}
    agent, other = make(space, seed=0, draws=1000, **options), make(space, seed=1, draws=1000, **options)
    first = agent.behave()(seen)
    assert torch.equal(first, agent.behave()(seen))
    assert not torch.equal(first, other.behave()(seen))
    agent.learn(lived(seen, torch.tensor([0]), torch.tensor([1.0])), 0)
    agent.learn(lived(seen, torch.tensor([0]), torch.tensor([0.0])), 0)
    assert not torch.equal(first, agent.behave()(seen))


@pytest.mark.parametrize(
    "wrong",
    [lambda s: EpsilonGreedy(s, epsilon=1.5), lambda s: UCB1(s, levels=0), lambda s: Thompson(s, draws=0)],
)
def test_settings_out_of_range_are_named(space: Space, wrong: Callable[[Space], Agent]) -> None:
    with pytest.raises(ValueError, match=r"epsilon|levels|draws"):
        wrong(space)
