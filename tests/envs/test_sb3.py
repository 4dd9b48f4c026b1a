"""SB3's VecEnv: the same lives as PathwayEnv, in SB3's own words; skipped where SB3 is not installed."""

import numpy as np
import pytest

from trailmark.envs.pathway import PathwayEnv
from trailmark.envs.worlds import kss_world

pytest.importorskip("stable_baselines3", reason="needs the extra `bench`")
from stable_baselines3 import A2C
from stable_baselines3.common.vec_env import VecMonitor

from trailmark.envs.sb3 import PathwayVecEnv


def allowed(mask: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    return (mask * chance.random(mask.shape)).argmax(1)


def test_learners_live_the_same_lives_as_in_gymnasium() -> None:
    world = kss_world()
    env, plain = PathwayVecEnv(world, 5, seed=3), PathwayEnv(world, 5, seed=3)
    seen, (expected, _) = env.reset(), plain.reset()
    total, length, sessions = np.zeros(5), np.zeros(5), 0
    chance = np.random.default_rng(0)
    for _ in range(60):
        np.testing.assert_array_equal(seen, expected)
        mask = plain.action_masks()
        np.testing.assert_array_equal(np.stack(env.env_method("action_masks")), mask)
        actions = allowed(mask, chance)
        before = seen.copy()
        seen_now, reward, ended, infos = env.step(actions)
        np.testing.assert_array_equal(seen, before, "what was handed out is not written to")
        expected, paid, over, _, info = plain.step(actions)
        np.testing.assert_array_equal(reward, paid)
        np.testing.assert_array_equal(ended, over)
        total, length, seen = total + paid, length + 1, seen_now
        for i in range(5):
            assert ("episode" in infos[i]) == bool(over[i])
            assert "TimeLimit.truncated" not in infos[i]
            if over[i]:
                sessions += 1
                assert infos[i]["episode"]["l"] == length[i]
                assert infos[i]["episode"]["r"] == pytest.approx(total[i], abs=1e-6)
                assert infos[i]["outcomes"]["promotion"] == pytest.approx(total[i], abs=1e-6)
                np.testing.assert_array_equal(infos[i]["terminal_observation"], info["final_obs"][i])
                total[i] = length[i] = 0
    assert sessions >= 10


def test_indices_choose_learners_and_unknown_names_are_refused() -> None:
    env = PathwayVecEnv(kss_world(), 4, seed=1)
    env.reset()
    masks = env.action_masks()
    np.testing.assert_array_equal(env.env_method("action_masks", indices=[2])[0], masks[2])
    assert env.has_attr("action_masks")
    assert not env.has_attr("nothing_of_the_kind")
    with pytest.raises(AttributeError, match="fly"):
        env.env_method("fly")
    with pytest.raises(AttributeError, match="World"):
        env.set_attr("num_envs", 3)


def test_a_seed_chooses_the_population() -> None:
    env, other = PathwayVecEnv(kss_world(), 3, seed=1), PathwayVecEnv(kss_world(), 3, seed=2)
    first = env.reset()
    assert not np.array_equal(first, other.reset())
    other.seed(1)
    np.testing.assert_array_equal(other.reset(), first)
    assert not np.array_equal(other.reset(), first), "the next learners of the same population"


def test_sb3_trains_on_it() -> None:
    env = VecMonitor(PathwayVecEnv(kss_world(), 4, seed=1))
    model = A2C("MlpPolicy", env, n_steps=5, seed=0, policy_kwargs={"net_arch": [8]}, device="cpu").learn(120)
    assert model.num_timesteps == 120
    assert len(model.ep_info_buffer) >= 4


def test_maskable_ppo_never_breaks_a_rule() -> None:
    contrib = pytest.importorskip("sb3_contrib", reason="needs the extra `bench`")
    env = PathwayVecEnv(kss_world(), 8, seed=1)
    model = contrib.MaskablePPO("MlpPolicy", env, n_steps=20, batch_size=80, n_epochs=1, seed=0, device="cpu").learn(
        320
    )
    seen = env.reset()
    for _ in range(10):
        mask = env.action_masks()
        actions, _ = model.predict(seen, action_masks=mask)
        assert bool(mask[np.arange(8), actions].all())
        seen, _, _, _ = env.step(actions)
