"""LinUCB: the statistics of algorithm 1, twice more in other words, and what the bound does to choices."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from trailmark.agents.agent import Steps
from trailmark.agents.linucb import LinUCB, LinUCBPolicy, contexts
from trailmark.envs.observer import Observation, Space

See = Callable[..., Observation]
Imagine = Callable[..., Observation]


def lived(seen: Observation, action: torch.Tensor, reward: torch.Tensor) -> Steps:
    """Return one step of each learner as experience."""
    features = torch.stack([seen.features, torch.zeros_like(seen.features)], 1)
    yes = torch.ones(len(action), 1, dtype=torch.bool)
    return Steps(features, seen.mask[:, None], action[:, None], yes.float(), reward[:, None], yes, yes)


def experience(space: Space, imagine: Imagine, n: int, seed: int) -> tuple[Steps, np.ndarray, np.ndarray, np.ndarray]:
    """Return steps, and what was seen (n, 5), done (n,) and earned (n,) in float64."""
    seen = imagine(space, n, seed)
    chance = torch.Generator().manual_seed(seed)
    action = torch.randint(space.n_activities, (n,), generator=chance)
    reward = torch.randn(n, generator=chance)
    x = contexts(space, seen)[torch.arange(n), action].double().numpy()
    return lived(seen, action, reward), x, action.numpy(), reward.double().numpy()


def test_contexts_of_an_observation_made_by_hand(space: Space, see: See) -> None:
    seen = see(space, [[0.8, 0.2, 0.5]], [[1, 0, 1]], [[1] * 5], step=3)
    expected = [
        [1.0, 1.0, 0.8, 0.8, 0.75],  # a0 trains s0, a goal
        [1.0, 0.0, 0.0, 0.2, 0.75],  # a1 trains s1, no goal
        [1.0, 0.5, 0.4, 0.5, 0.75],  # a2 trains both
        [1.0, 1.0, 0.5, 0.5, 0.75],  # a3 trains s2, a goal
        [1.0, 0.0, 0.0, 0.2, 0.75],
    ]
    torch.testing.assert_close(contexts(space, seen), torch.tensor([expected]))


def test_batches_give_the_ridge_solution_of_all_samples(space: Space, imagine: Imagine) -> None:
    agent = LinUCB(space, ridge=0.7)
    parts = [experience(space, imagine, n, n) for n in (40, 1, 25)]
    for steps, *_ in parts:
        agent.learn(steps, 0)
    x, action, reward = (np.concatenate([part[i] for part in parts]) for i in (1, 2, 3))
    kept, policy = agent.state(), agent.decide()
    assert isinstance(policy, LinUCBPolicy)
    for a in range(space.n_activities):
        mine = action == a
        gram, moment = x[mine].T @ x[mine] + 0.7 * np.eye(5), x[mine].T @ reward[mine]
        theta = np.linalg.solve(gram, moment)
        found = np.linalg.solve(kept["gram"][a].numpy() + 0.7 * np.eye(5), kept["moment"][a].numpy())
        np.testing.assert_allclose(found, theta, rtol=0, atol=1e-8)
        np.testing.assert_allclose(policy.theta[a].numpy(), theta, rtol=0, atol=1e-5)
        np.testing.assert_allclose(policy.inverse[a].numpy(), np.linalg.inv(gram), rtol=0, atol=1e-5)


def test_batches_equal_updates_sample_by_sample(space: Space, imagine: Imagine) -> None:
    agent = LinUCB(space, ridge=2.0)
    inverse = np.stack([np.eye(5) / 2.0] * space.n_activities)
    moment = np.zeros((space.n_activities, 5))
    for n in (30, 30):
        steps, x, action, reward = experience(space, imagine, n, n + 1)
        agent.learn(steps, 0)
        for one, a, r in zip(x, action, reward, strict=True):  # Sherman and Morrison
            v = inverse[a] @ one
            inverse[a] -= np.outer(v, v) / (1.0 + one @ v)
            moment[a] += r * one
    kept = agent.state()
    found = np.linalg.inv(kept["gram"].numpy() + 2.0 * np.eye(5))
    np.testing.assert_allclose(found, inverse, rtol=0, atol=1e-8)
    np.testing.assert_allclose(kept["moment"].numpy(), moment, rtol=0, atol=1e-8)


def test_discount_forgets_old_batches_but_not_the_prior(space: Space, imagine: Imagine) -> None:
    agent = LinUCB(space, discount=0.5, ridge=1.0)
    (one, x1, a1, r1), (two, x2, a2, r2) = (experience(space, imagine, 20, seed) for seed in (1, 2))
    agent.learn(one, 0)
    agent.learn(two, 0)
    policy = agent.decide()
    assert isinstance(policy, LinUCBPolicy)
    for a in range(space.n_activities):
        gram = 0.5 * x1[a1 == a].T @ x1[a1 == a] + x2[a2 == a].T @ x2[a2 == a] + np.eye(5)
        moment = 0.5 * x1[a1 == a].T @ r1[a1 == a] + x2[a2 == a].T @ r2[a2 == a]
        np.testing.assert_allclose(policy.theta[a].numpy(), np.linalg.solve(gram, moment), rtol=0, atol=1e-5)


def test_the_bound_is_mean_plus_alpha_times_width(space: Space, imagine: Imagine, see: See) -> None:
    teacher = LinUCB(space)
    seen = see(space, [[0.3, 0.4, 0.5]] * 40, [[1, 1, 0]] * 40, [[1] * 5] * 40)
    action = torch.tensor([0] * 30 + [1] * 10)
    teacher.learn(lived(seen, action, torch.where(action == 0, 1.0, 0.9)), 0)
    kept, x = teacher.state(), contexts(space, seen)[0].double()
    mean, width = {}, {}
    for a in (0, 1):
        inverse = torch.linalg.inv(kept["gram"][a] + torch.eye(5))
        mean[a], width[a] = float(x[a] @ inverse @ kept["moment"][a]), float((x[a] @ inverse @ x[a]).sqrt())
    assert mean[0] > mean[1]
    assert width[0] < width[1]
    sd = float(torch.tensor([1.0] * 30 + [0.9] * 10).double().std(correction=0))
    even = (mean[0] - mean[1]) / (width[1] - width[0]) / sd  # the alpha with which both look as good
    one = Observation(seen.features[:1], torch.tensor([[True, True, False, False, False]]), seen.handover[:1])
    for alpha, best in ((0.99 * even, 0), (1.01 * even, 1)):
        agent = LinUCB(space, alpha=alpha, per_minute=False)
        agent.restore(kept)
        assert int(agent.behave()(one).argmax()) == best
        assert int(agent.decide()(one).argmax()) == 0, "decisions are without the bonus"


def test_what_was_never_tried_is_tried(space: Space, see: See) -> None:
    agent = LinUCB(space, alpha=2.0, per_minute=False)
    seen = see(space, [[0.3, 0.4, 0.5]] * 8, [[1, 1, 1]] * 8, [[1] * 5] * 8)
    tried = []
    for _ in range(5):
        best = agent.behave()(seen).argmax(1)
        assert bool((best == best[0]).all()), "all learners of a batch decide with the same statistics"
        tried.append(int(best[0]))
        agent.learn(lived(seen, best, torch.zeros(8)), 0)
    assert sorted(tried) == [0, 1, 2, 3, 4]


def test_per_minute_divides_by_the_typical_minutes(space: Space, see: See) -> None:
    seen = see(space, [[0.3, 0.4, 0.5]] * 40, [[1, 1, 1]] * 40, [[1] * 5] * 40)
    action = torch.tensor([1] * 20 + [3] * 20)
    steps = lived(seen, action, torch.where(action == 1, 0.5, 1.0))  # a1 takes 5 minutes, a3 takes 20
    for per_minute, best in ((False, 3), (True, 1)):
        agent = LinUCB(space, per_minute=per_minute)
        agent.learn(steps, 0)
        one = Observation(seen.features[:1], torch.tensor([[False, True, False, True, False]]), seen.handover[:1])
        assert int(agent.decide()(one).argmax()) == best


@pytest.mark.parametrize("reward", [0.0, 1.0])
def test_activities_that_take_no_time_are_no_trouble(space: Space, see: See, reward: float) -> None:
    quick = replace(space, minutes=torch.tensor([0.0, 5.0, 15.0, 20.0, 10.0]))
    agent = LinUCB(quick, per_minute=True)
    seen = see(quick, [[0.3, 0.4, 0.5]] * 10, [[1, 1, 1]] * 10, [[1] * 5] * 10)
    agent.learn(lived(seen, torch.tensor([0, 1] * 5), torch.tensor([reward, 1.0] * 5)), 0)
    assert int(agent.decide()(seen)[0].argmax()) == (0 if reward else 1)
