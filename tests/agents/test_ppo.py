"""PPO: the clipped loss against an independent one in float64, and what its parts must not do."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from trailmark.agents import ppo
from trailmark.agents.loop import gather
from trailmark.agents.nets import MLP, pieces, run
from trailmark.agents.ppo import PPO
from trailmark.agents.surrogate import Surrogate
from trailmark.envs.classroom import Classroom, World
from trailmark.envs.observer import Observation, Space
from trailmark.envs.skills import Padded

Imagine = Callable[..., Observation]


@pytest.fixture
def small() -> Space:
    """Return the smallest space there is: two skills, three activities, seven features."""
    skills = Padded(torch.tensor([[0], [1], [1]]), torch.ones(3, 1, dtype=torch.bool))
    return Space((("mastery", 2), ("goal", 2), ("belief", 0), ("progress", 3)), 3, skills, torch.ones(3), 4)


@pytest.fixture
def rows(small: Space, imagine: Imagine) -> dict[str, Tensor]:
    """Return 24 rows to improve on; ratios of 1/4 to 4, advantages of both signs, the last activity never allowed."""
    seen = imagine(small, 24, 0, 0.8)
    mask = seen.mask.clone()
    mask[:, 2], mask[:, 0] = False, True
    action = torch.where(mask[:, 1], torch.arange(24) % 2, 0)
    chance = torch.Generator().manual_seed(1)
    with torch.no_grad():
        p = agent_of(small).behave()(seen._replace(mask=mask)).gather(1, action[:, None])[:, 0]
    propensity = p * 4.0 ** (2.0 * torch.rand(24, generator=chance) - 1.0)
    return {
        "features": seen.features,
        "mask": mask,
        "action": action,
        "propensity": propensity,
        "advantage": torch.randn(24, generator=chance),
        "target": torch.randn(24, generator=chance),
    }


def agent_of(space: Space, shared: bool = False, tanh: bool = True) -> PPO:
    agent = PPO(space, 3, (4,), shared, tanh, half=False, entropy=0.3, max_norm=1e9)
    with torch.no_grad():  # an actor that has an opinion
        agent._net.nets[0].layers()[-1][0][:3].mul_(100.0)
    return agent


def outputs(nets: list[list[np.ndarray]], tanh: bool, x: np.ndarray) -> np.ndarray:
    """Return the logits and the value of one learner in float64."""
    found = []
    for first, last, bias, offset in nets:  # the order of parameters: all weights, then all biases
        hidden = first @ x + bias
        found.append(last @ (np.tanh(hidden) if tanh else np.maximum(hidden, 0.0)) + offset)
    return np.concatenate(found)


def parts(nets: list[list[np.ndarray]], tanh: bool, rows: dict[str, Tensor]) -> tuple[float, ...]:
    """Return policy loss, value loss, entropy and share clipped in plain loops, from equation 7 of the paper."""
    x, mask, action, old, advantage, target = (
        rows[name].numpy().astype(np.float64)
        for name in ("features", "mask", "action", "propensity", "advantage", "target")
    )
    gains, losses, entropies, clipped = [], [], [], []
    for i in range(len(x)):
        *logits, value = outputs(nets, tanh, x[i])
        allowed = [a for a in range(len(logits)) if mask[i, a]]
        total = sum(np.exp(logits[a]) for a in allowed)
        p = {a: np.exp(logits[a]) / total for a in allowed}
        ratio = p[int(action[i])] / old[i]
        within = min(max(ratio, 0.8), 1.2)
        gains.append(min(ratio * advantage[i], within * advantage[i]))
        entropies.append(-sum(q * np.log(q) for q in p.values()))
        losses.append(0.5 * (value - target[i]) ** 2)
        clipped.append(abs(ratio - 1.0) > 0.2)
    return -float(np.mean(gains)), float(np.mean(losses)), float(np.mean(entropies)), float(np.mean(clipped))


def doubles(agent: PPO) -> list[list[np.ndarray]]:
    return [
        [p.double().numpy().copy() for part in split(net.flat.detach(), net) for p in part] for net in agent._net.nets
    ]


def split(flat: Tensor, net: MLP) -> tuple[list[Tensor], list[Tensor]]:
    """Return what `flat`, weights or gradients, holds for each layer of `net`."""
    return pieces(flat, net.shapes)


@pytest.mark.parametrize(("shared", "tanh"), [(False, True), (True, False), (True, True)])
def test_loss_and_gradient_equal_an_independent_loss_and_its_differences(
    small: Space, rows: dict[str, Tensor], shared: bool, tanh: bool
) -> None:
    agent = agent_of(small, shared, tanh)
    nets = doubles(agent)
    assert len(nets) == (1 if shared else 2)
    found = agent._improve(**rows).tolist()
    expected = parts(nets, tanh, rows)
    assert found == pytest.approx(expected, abs=1e-5)
    assert 0.2 < expected[3] < 0.9, "the case holds clipped and unclipped rows"

    def loss() -> float:
        policy_loss, value_loss, entropy, _ = parts(nets, tanh, rows)
        return policy_loss + value_loss - 0.3 * entropy

    step = 1e-6
    grads = [grad for net in agent._net.nets for part in split(net.flat.grad, net) for grad in part]
    for weights, grad in zip([w for net in nets for w in net], grads, strict=True):
        flat, slopes = weights.reshape(-1), np.empty(weights.size)
        for i, kept in enumerate(flat.copy()):
            flat[i] = kept + step
            above = loss()
            flat[i] = kept - step
            slopes[i] = (above - loss()) / (2 * step)
            flat[i] = kept
        np.testing.assert_allclose(grad.numpy().reshape(-1), slopes, rtol=0, atol=2e-5)


def test_masked_logits_change_nothing_however_large_they_are(rows: dict[str, Tensor]) -> None:
    chance = torch.Generator().manual_seed(2)
    out = torch.randn(24, 4, generator=chance)
    wild = out.clone()
    wild[:, :3] = torch.where(rows["mask"], out[:, :3], 1e4)
    said = []
    for logits in (out, wild):
        leaf = logits.clone().requires_grad_()
        batch = (rows[name] for name in ("mask", "action", "propensity", "advantage", "target"))
        loss, metrics = Surrogate.apply(leaf, *batch, 0.2, 0.3)
        loss.backward()
        assert leaf.grad is not None
        assert bool((leaf.grad[:, :3][~rows["mask"]] == 0).all())
        said.append((loss.detach(), metrics, leaf.grad))
    assert all(torch.equal(a, b) for a, b in zip(*said, strict=True))


def test_half_precision_learns_nearly_the_same(small: Space, rows: dict[str, Tensor]) -> None:
    """Whether this machine is fast at it or not: bfloat16 keeps eight bits, so gradients agree to a few per cent."""
    slopes = []
    for features in (rows["features"], rows["features"].to(torch.bfloat16)):
        agent = agent_of(small, shared=True, tanh=False)
        agent._improve(**(rows | {"features": features}))
        slopes.append(torch.cat([p.grad.flatten() for p in agent._net.parameters() if p.grad is not None]))
    assert slopes[1].dtype == torch.float32
    assert not torch.equal(*slopes)
    assert float((slopes[0] - slopes[1]).norm() / slopes[0].norm()) < 0.05


def test_what_is_masked_gets_no_gradient(small: Space, rows: dict[str, Tensor]) -> None:
    agent = agent_of(small)
    actor = agent._net.nets[0]
    weight, _ = actor.layers()[-1]
    before = weight.detach().clone()
    agent._improve(**rows)
    slopes, offsets = (part[-1] for part in split(actor.flat.grad, actor))
    assert bool((slopes[2] == 0).all())
    assert float(offsets[2]) == 0.0
    assert bool((slopes[:2] != 0).any(1).all())
    assert torch.equal(weight.detach()[2], before[2])
    assert not torch.equal(weight.detach()[:2], before[:2])


def test_gradients_are_cut_to_the_largest_norm(small: Space, rows: dict[str, Tensor]) -> None:
    agent = agent_of(small)
    agent.max_norm = 0.01
    agent._improve(**rows)
    norm = torch.stack([p.grad.square().sum() for p in agent._net.parameters() if p.grad is not None]).sum().sqrt()
    assert float(norm) == pytest.approx(0.01, rel=1e-3)


def test_the_first_minibatch_is_on_policy_row_by_row(onboarding: World, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = PPO(onboarding.observer.space, half=False, minibatches=4, epochs=2)
    for parameter in agent._net.parameters():
        parameter.data.mul_(3.0)  # far from uniform, so that a row out of place is seen
    steps = gather(Classroom(onboarding, 0, 0, 16), agent.behave(), 40)
    seen: list[tuple[Tensor, ...]] = []

    def watch(*batch: Tensor) -> Tensor:
        seen.append(batch)
        return torch.zeros(4)

    monkeypatch.setattr(agent, "_improve", watch)
    agent.learn(steps, 5)
    assert len(seen) == 8
    for features, mask, action, propensity, _, _ in seen:  # nothing is learnt here, so every one is on policy
        p = agent.behave()(Observation(features, mask, mask[:, 0]))
        ratio = p.gather(1, action[:, None])[:, 0] / propensity
        torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=0, atol=1e-5)
    n = int(steps.alive.sum())
    assert n < steps.alive.numel()
    for epoch in (seen[:4], seen[4:]):
        advantage = torch.cat([batch[4] for batch in epoch])
        assert len(advantage) == n, "every live row once an epoch"
        assert float(advantage.mean()) == pytest.approx(0.0, abs=1e-5)
        assert float(advantage.square().mean()) == pytest.approx(1.0, abs=1e-4)
        assert sorted(torch.cat([batch[3] for batch in epoch]).tolist()) == sorted(
            steps.propensity[steps.alive].tolist()
        )
    assert not torch.equal(seen[0][0], seen[4][0]), "each epoch has its own order"


def test_targets_are_rewards_plus_discounted_values(probe: Callable[..., World]) -> None:
    world = probe([[2.0]], horizon=2)
    agent = PPO(world.observer.space, half=False, discount=0.5, lambda_=1.0, minibatches=1, epochs=1)
    steps = gather(Classroom(world, 0, 0, 4), agent.behave(), 2)
    seen: list[tuple[Tensor, ...]] = []

    def watch(*batch: Tensor) -> Tensor:
        seen.append(batch)
        return torch.zeros(4)

    agent._improve = watch  # type: ignore[method-assign]
    agent.learn(steps, 0)
    # The sessions return 4, which is the unit: each step pays a half, and the first is worth 1/2 + 1/2 * 1/2.
    features, target = seen[0][0], seen[0][5]
    at_end = world.observer.space.of(Observation(features, seen[0][1], seen[0][1][:, 0]), "progress")[:, 1] > 0
    torch.testing.assert_close(target, torch.where(at_end, 0.5, 0.75))


def test_a_reward_in_other_units_teaches_the_same(onboarding: World) -> None:
    one, other = PPO(onboarding.observer.space), PPO(onboarding.observer.space)
    for seed in range(2):
        steps = gather(Classroom(onboarding, seed, 0, 16), one.behave(), 40)
        first, second = one.learn(steps, seed), other.learn(steps._replace(reward=steps.reward * 1024.0), seed)
        assert first == second
    a, b = one.state(), other.state()
    assert all(torch.equal(a[key], b[key]) for key in a if key != "spread")


def test_chunks_that_stop_in_mid_life_count_what_follows(probe: Callable[..., World]) -> None:
    world = probe([[1.0]], horizon=2)
    agent = PPO(world.observer.space, discount=0.5, minibatches=1, epochs=1, chunk=1)
    with torch.no_grad():  # a critic that says 8, whatever it sees
        weight, bias = agent._net.nets[0].layers()[-1]
        weight[-1].zero_()
        bias[-1] = 8.0
    targets = []
    agent._improve = lambda *batch: (targets.append(batch[5]), torch.zeros(4))[1]  # type: ignore[method-assign]
    room = Classroom(world, 0, 0, 4)
    for _ in range(2):
        agent.learn(gather(room, agent.behave(), 1), 0)
    torch.testing.assert_close(targets[0], torch.full((4,), 1.0 + 0.5 * 8.0))
    torch.testing.assert_close(targets[1], torch.full((4,), 1.0))


def test_the_rate_falls_to_a_tenth(onboarding: World) -> None:
    agent = PPO(onboarding.observer.space, rate=0.01, anneal=2, epochs=1, minibatches=1)
    steps = gather(Classroom(onboarding, 0, 0, 4), agent.behave(), 40)
    rates = []
    for seed in range(4):
        agent.learn(steps, seed)
        rates.append(agent._adam.param_groups[0]["lr"])
    assert rates == pytest.approx([0.01, 0.0055, 0.001, 0.001])


def test_metrics_are_means_however_many_minibatches_there_are(onboarding: World) -> None:
    agent = PPO(onboarding.observer.space, half=False, epochs=1, minibatches=8, rate=0.0)
    whole = copy.deepcopy(agent)
    whole.minibatches = 1
    steps = gather(Classroom(onboarding, 0, 0, 1), agent.behave(), 10)
    assert steps.alive.sum() == 10  # eight minibatches of two rows at most: there are five
    assert agent.learn(steps, 0) == pytest.approx(whole.learn(steps, 0), abs=1e-5)


def test_a_policy_is_the_network_it_was_made_of(small: Space, imagine: Imagine) -> None:
    agent = agent_of(small)
    seen = imagine(small, 9, 2)
    with torch.no_grad():
        logits = agent._net(seen.features)[:, :3].masked_fill(~seen.mask, -torch.inf)
    torch.testing.assert_close(agent.behave()(seen), torch.softmax(logits, 1))
    assert not torch.equal(PPO(small, seed=4).behave()(seen), PPO(small, seed=5).behave()(seen))


@pytest.mark.parametrize("tanh", [False, True])
def test_the_written_out_gradient_of_the_layers_is_autograds(tanh: bool) -> None:
    chance = torch.Generator().manual_seed(0)
    net = MLP(5, (4, 3), ((2, 1.0),), tanh, chance).double()
    rows, weights = (torch.randn(7, n, generator=chance, dtype=torch.float64) for n in (5, 2))
    found = []
    for forward in (net, lambda x: run(net.layers(), x, tanh)):
        x = rows.clone().requires_grad_()
        found.append(torch.autograd.grad((forward(x) * weights).sum(), [x, *net.parameters()]))
    for mine, expected in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected)


def test_it_acts_in_half_precision_as_it_decides(onboarding: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ppo, "fast_half", lambda: True)
    room = Classroom(onboarding, 0, 0, 64)
    agent = PPO(onboarding.observer.space, standardise=True, rate=0.03)
    for seed in range(3):
        agent.learn(gather(room, agent.behave(), 10), seed)
    seen = room.observation
    acts, decides = agent.behave()(seen), agent.decide()(seen)
    assert float(decides.amax(1).mean()) > 0.2, "it has opinions"
    assert not torch.equal(acts, decides)
    torch.testing.assert_close(acts, decides, atol=0.02, rtol=0.0)
    assert bool((acts[~seen.mask] == 0).all())


def test_standardised_features_have_mean_0_and_deviation_1_and_the_policy_knows(onboarding: World) -> None:
    room, space = Classroom(onboarding, 0, 0, 64), onboarding.observer.space
    agent = PPO(space, standardise=True, half=False, epochs=1)
    steps = gather(room, agent.behave(), 12)
    agent.learn(steps, 0)
    rows = steps.features[:, :-1][steps.alive]
    std, mean = torch.std_mean(rows, 0, correction=0)
    moved = rows * agent._width + agent._shift
    assert bool((std > 0.1).any())
    assert bool((std < 0.1).any())
    torch.testing.assert_close(moved.mean(0), torch.zeros_like(mean), atol=1e-4, rtol=0.0)
    torch.testing.assert_close(moved.std(0, correction=0), (std / 0.1).clamp_max(1.0), atol=1e-4, rtol=0.0)
    width = agent._width.clone()
    agent.learn(steps._replace(features=2.0 * steps.features), 1)
    assert torch.equal(agent._width, width), "what the network has learnt to read does not change its meaning"
    seen = room.observation
    with torch.no_grad():
        logits = agent._net(seen.features * agent._width + agent._shift)[:, :-1].masked_fill(~seen.mask, -torch.inf)
    torch.testing.assert_close(agent.decide()(seen), torch.softmax(logits, 1))
    again = PPO(space, seed=1, standardise=True, half=False)
    again.restore(agent.state())
    assert torch.equal(again.decide()(seen), agent.decide()(seen))
