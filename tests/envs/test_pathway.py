"""The worlds behind Gymnasium ids: Gymnasium's own checks, seeds, autoreset, and an outside library that trains."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, VectorEnv

from trailmark.envs.classroom import Classroom, World
from trailmark.envs.pathway import KSS, ONBOARDING, LearnerEnv, PathwayEnv
from trailmark.envs.worlds import kss_world, onboarding_world

IDS = [ONBOARDING, KSS]
# The features have no bounds that hold for every tracer; Gymnasium finds such a box unusual, not wrong.
UNBOUNDED = "ignore:.*A Box observation space (minimum|maximum) value is -?infinity:UserWarning"


@pytest.fixture(params=IDS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def learner(name: str) -> Iterator[LearnerEnv]:
    env = gymnasium.make(name)
    assert isinstance(env.unwrapped, LearnerEnv)
    yield env.unwrapped
    env.close()


def vector(name: str, n: int, **settings: object) -> PathwayEnv:
    env = gymnasium.make_vec(name, num_envs=n, **settings)  # type: ignore[arg-type]
    assert isinstance(env, PathwayEnv)
    return env


def world_of(name: str) -> World:
    return {ONBOARDING: onboarding_world, KSS: kss_world}[name]()


def first_legal(masks: np.ndarray) -> np.ndarray:
    return masks.argmax(-1)


@pytest.mark.filterwarnings(UNBOUNDED)
def test_gymnasiums_own_check_passes(learner: LearnerEnv) -> None:
    check_env(learner)


@pytest.mark.filterwarnings(UNBOUNDED)
def test_the_check_can_fail() -> None:
    class Broken(LearnerEnv):
        def reset(self, **settings: object):  # type: ignore[no-untyped-def,override]
            observation, info = super().reset(**settings)  # type: ignore[arg-type]
            return observation.astype(np.float64), info

    with pytest.raises(AssertionError):
        check_env(Broken(kss_world()))


def test_ids_are_registered_by_an_import_in_the_id() -> None:
    """In a fresh interpreter, warnings as errors: no import of trailmark beforehand."""
    program = (
        "import gymnasium\n"
        f"env = gymnasium.make('trailmark.envs.pathway:{KSS}')\n"
        f"print(env.reset(seed=1)[0].shape, gymnasium.make_vec('{KSS}', num_envs=2).num_envs)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["(54,)", "2"]


def test_worlds_are_made_once_and_as_configured() -> None:
    assert onboarding_world() is onboarding_world()
    onboarding, kss = onboarding_world(), kss_world()
    assert set(onboarding.observer.guards) == {"offered", "prerequisites", "time_budget"}
    assert (onboarding.observer.horizon, onboarding.pace.sitting, onboarding.pace.gap_days) == (40, 8, 2.0)
    assert (onboarding.reward, onboarding.student.minutes) == ({"learning_gain": 1.0}, 360.0)  # type: ignore[attr-defined]
    assert (kss.observer.horizon, kss.pace.gap_days, kss.reward) == (20, 0.0, {"promotion": 1.0})
    assert set(kss.observer.guards) == {"walk"}


# ------------------------------------------------------------------------------------------------ one learner


def test_a_session_of_one(learner: LearnerEnv) -> None:
    observation, info = learner.reset(seed=3)
    world = learner.world
    steps, ended = 0, False
    while not ended:
        assert observation in learner.observation_space
        assert info["action_mask"].dtype == np.int8
        assert info["action_mask"].shape == (world.observer.space.n_activities,)
        assert np.array_equal(info["action_mask"].astype(bool), learner.action_masks())
        assert set(info) >= ({"action_mask", "legal", "handover", *world.reward} if steps else {"action_mask"})
        action = learner.action_space.sample(mask=info["action_mask"])
        observation, reward, ended, truncated, info = learner.step(action)
        steps += 1
        assert isinstance(reward, float)
        assert reward == pytest.approx(sum(w * info[key] for key, w in world.reward.items()))
        assert type(ended) is type(truncated) is bool
        assert not truncated
        assert info["legal"]
    assert steps <= world.observer.horizon


def test_seeds_name_populations_and_resets_go_on_to_the_next_learner(learner: LearnerEnv) -> None:
    first, _ = learner.reset(seed=3)
    second, _ = learner.reset()
    third, _ = learner.reset()
    assert np.array_equal(learner.reset(seed=3)[0], first)
    assert np.array_equal(learner.reset()[0], second)
    other, _ = learner.reset(seed=4)
    lives = []
    for seed in (3, 4, 3):
        learner.reset(seed=seed)
        lives.append([learner.step(np.int64(first_legal(learner.action_masks())))[0] for _ in range(3)])
    assert np.array_equal(lives[0], lives[2])
    assert not np.array_equal(lives[0], lives[1])
    assert len({o.tobytes() for o in (first, second, third, other)}) > 1


@pytest.mark.parametrize("action", [-1, 10_000])
def test_a_bad_action_says_so(learner: LearnerEnv, action: int) -> None:
    learner.reset(seed=0)
    last = learner.world.observer.space.n_activities - 1
    with pytest.raises(ValueError, match=rf"action {action}: give one integer in 0\.\.{last} per learner"):
        learner.step(np.int64(action))


def test_fractional_actions_are_refused(learner: LearnerEnv) -> None:
    learner.reset(seed=0)
    with pytest.raises(ValueError, match="integer"):
        learner.step(np.float64(0.7))  # type: ignore[arg-type]


def test_step_before_reset_says_so() -> None:
    for env, action in ((LearnerEnv(kss_world()), np.int64(0)), (PathwayEnv(kss_world(), 2), np.zeros(2, np.int64))):
        with pytest.raises(RuntimeError, match="call reset"):
            env.step(action)  # type: ignore[arg-type]


def test_what_callers_write_into_changes_nothing(learner: LearnerEnv) -> None:
    observation, info = learner.reset(seed=1)
    masks = learner.action_masks()
    expected = masks.copy()
    masks[:], observation[:], info["action_mask"][:] = False, 0.0, 0
    assert np.array_equal(learner.action_masks(), expected)


# ---------------------------------------------------------------------------------------------------- vectors


def test_make_vec(name: str) -> None:
    env = vector(name, 5)
    assert isinstance(env, VectorEnv)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    observations, info = env.reset(seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert observations in env.observation_space
        assert observations.shape == (5, *env.single_observation_space.shape)  # type: ignore[misc]
    assert info["action_mask"].shape == (5, env.single_action_space.n)
    assert env.action_space.sample() in env.action_space


def test_learner_i_of_a_vector_is_the_ith_learner_alone(name: str) -> None:
    env, alone = vector(name, 6), LearnerEnv(world_of(name))
    observations, info = env.reset(seed=9)
    alone.reset(seed=9)
    lives = []
    for i in range(6):
        if i:
            alone.reset()
        steps = [(alone.room.observation.features[0].numpy(), alone.action_masks(), 0.0, False)]
        while not steps[-1][3]:
            observation, reward, ended, _, _ = alone.step(np.int64(first_legal(alone.action_masks())))
            steps.append((observation, alone.action_masks(), reward, ended))
        lives.append(steps)
    open_ = np.ones(6, bool)
    for t in range(1, max(map(len, lives))):
        for i in np.flatnonzero(open_):
            assert np.array_equal(observations[i], lives[i][t - 1][0])
            assert np.array_equal(info["action_mask"][i].astype(bool), lives[i][t - 1][1])
        observations, rewards, ended, truncated, info = env.step(first_legal(env.action_masks()))
        assert not truncated.any()
        for i in np.flatnonzero(open_):
            final, _, reward, over = lives[i][t]
            assert rewards[i] == np.float32(reward)
            assert ended[i] == over
            if over:
                assert np.array_equal(info["final_obs"][i], final)
        open_ &= ~ended
    assert not open_.any()


def test_same_step_autoreset(name: str) -> None:
    """A learner who ends is replaced at once; the last observation is in `final_obs`; the others go on."""
    env = vector(name, 8)
    before, _ = env.reset(seed=2)
    ends = 0
    for _ in range(45):
        room = env.room
        steps, episodes = room.record.step.clone(), room.rng.episode.clone()
        after, _, ended, _, info = env.step(first_legal(env.action_masks()))
        assert np.array_equal(after, env.room.observation.features.numpy())
        assert np.array_equal(info["action_mask"].astype(bool), env.action_masks())
        assert ("final_obs" in info) == ("_final_obs" in info) == bool(ended.any())
        over = torch.from_numpy(ended)
        assert torch.equal(env.room.rng.episode, episodes + over.long())
        assert torch.equal(env.room.record.step, torch.where(over, 0, steps + 1))
        assert bool(env.room.alive.all())
        if ended.any():
            assert np.array_equal(info["_final_obs"], ended)
            assert info["final_obs"].shape == before.shape
            assert not np.array_equal(info["final_obs"][ended], after[ended])
            assert np.array_equal(info["final_obs"][~ended], after[~ended])
        ends += int(ended.sum())
    assert ends >= 8


def test_vector_seeds_reproduce_and_resets_go_on(name: str) -> None:
    def told(env: PathwayEnv, seed: int | None) -> list[np.ndarray]:
        env.reset(seed=seed)
        return [env.step(first_legal(env.action_masks()))[0] for _ in range(25)]

    a, b = vector(name, 3), vector(name, 3)
    assert np.array_equal(told(a, 5), told(b, 5))
    on = told(a, None)
    assert not np.array_equal(on, told(b, 5))
    assert np.array_equal(told(b, None), on)
    alone = Classroom(world_of(name), 5, 3, 3)
    a.reset(seed=5)
    assert np.array_equal(a.reset()[0], alone.observation.features.numpy())


def test_unguarded_masks_are_open_and_info_tells_what_was_legal(name: str) -> None:
    env, bound = vector(name, 4, guarded=False), vector(name, 4)
    _, info = env.reset(seed=0)
    bound.reset(seed=0)
    assert info["action_mask"].all()
    legal = []
    for t in range(10):
        mask = bound.action_masks()
        actions = np.full(4, env.single_action_space.n - 1 - t)
        info = env.step(actions)[-1]
        bound.step(actions)
        assert np.array_equal(info["legal"], mask[:, actions[0]])
        legal.append(info["legal"])
    assert 0 < np.mean(legal) < 1


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0, 1], "2 actions for 3"),
        ([0, 1, -2], "action -2"),
        ([0, 99, 1], "action 99"),
        ([0.5, 1.0, 1.0], "action 0.5"),
    ],
)
def test_bad_vector_actions_say_so(actions: list[float], message: str) -> None:
    env = vector(KSS, 3)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message) as error:
        env.step(np.array(actions))
    assert "give one integer in 0..9 per learner" in str(error.value)


def test_whole_numbers_as_floats_are_fine() -> None:
    """Some libraries hand over float arrays."""
    env = vector(KSS, 2)
    env.reset(seed=0)
    env.step(np.array([1.0, 2.0]))  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:stable_baselines3")
def test_an_outside_library_trains() -> None:
    ppo = pytest.importorskip("stable_baselines3")
    env = gymnasium.make(ONBOARDING)
    model = ppo.PPO("MlpPolicy", env, n_steps=500, batch_size=125, n_epochs=1, seed=0, device="cpu")
    model.learn(2000)
    returns = [episode["r"] for episode in model.ep_info_buffer]
    assert model.num_timesteps >= 2000
    assert len(returns) >= 40
    assert np.isfinite(np.mean(returns))
    assert all(episode["l"] <= 40 for episode in model.ep_info_buffer)
