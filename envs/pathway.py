"""PathwayEnv: a classroom seen through Gymnasium, as one learner or as a vector of learners."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from torch import Tensor

from .classroom import Classroom, Moment, World
from .worlds import kss_world, onboarding_world

Info = dict[str, Any]
ONBOARDING = "trailmark/Onboarding-v0"
KSS = "trailmark/KSS-v0"


def _box(world: World) -> spaces.Space[NDArray[np.float32]]:
    return spaces.Box(-np.inf, np.inf, (world.observer.space.n_features,), np.float32)


def _info(room: Classroom, moment: Moment | None) -> Info:
    info: Info = {"action_mask": room.observation.mask.numpy().astype(np.int8)}
    if moment is not None:
        info["legal"] = moment.legal.numpy()
        info["handover"] = moment.handover.numpy()
        info |= {name: value.numpy() for name, value in moment.values.items()}
    return info


class PathwayEnv(VectorEnv[NDArray[np.float32], NDArray[np.int64], NDArray[Any]]):
    """Description: `num_envs` learners of a world, each given one activity a step.

    Actions: the index of an activity. Rules are in `info["action_mask"]` (int8, 1 = allowed); an activity that they
    forbid is given all the same, and `info["legal"]` tells. With `guarded=False` the mask holds only what people said.
    Observations: float32 features; `world.observer.space` names their groups.
    Rewards: the weighted outcomes of `world.reward`; every rewarded outcome is also in `info`.
    Episode end: the session's length, its time budget, or a learner with nothing left to reach: `terminated`.
    Nothing is ever truncated: the session's end is part of the task and the agent sees it coming.
    Reset: SAME_STEP; the last observation of an ended session is `info["final_obs"]`. `reset(seed=s)` enrols learners
    0 .. num_envs - 1 of population s; without a seed the next `num_envs` learners of the same population.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012

    def __init__(self, world: World, num_envs: int = 1, seed: int | None = None, guarded: bool = True) -> None:
        """Prepare `num_envs` learners; call `reset` to enrol them."""
        self.world, self.num_envs, self._seed, self._guarded = world, num_envs, seed, guarded
        self._first = 0
        self._room: Classroom | None = None
        self.single_observation_space = _box(world)
        self.single_action_space = spaces.Discrete(world.observer.space.n_activities)
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[NDArray[np.float32], Info]:
        """Enrol fresh learners."""
        if seed is not None:
            self._seed, self._first = seed, 0
            self._np_random, self._np_random_seed = gymnasium.utils.seeding.np_random(seed)
        if self._seed is None:  # unseeded copies must not live one life
            self._seed = int(self.np_random.integers(2**32))
        self._room = Classroom(self.world, self._seed, self._first, self.num_envs, guarded=self._guarded)
        self._first += self.num_envs
        return self._room.observation.features.numpy(), _info(self._room, None)

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], Info]:
        """Give every learner an activity; learners whose session ends are replaced at once."""
        room = self.room
        moment = room.step(_actions(actions, self.num_envs, self.world.observer.space.n_activities))
        final = moment.observation.features
        if bool(moment.ended.any()):
            room.renew(moment.ended)
        info = _info(room, moment)
        if bool(moment.ended.any()):
            ended = moment.ended.numpy()
            info["final_obs"], info["_final_obs"] = final.numpy(), ended
        nothing = np.zeros(self.num_envs, bool)
        return room.observation.features.numpy(), moment.reward.numpy(), moment.ended.numpy(), nothing, info

    @property
    def room(self) -> Classroom:
        """The classroom now; RuntimeError before the first reset."""
        if self._room is None:
            raise RuntimeError("call reset() before step()")
        return self._room

    def action_masks(self) -> NDArray[np.bool_]:
        """Return (num_envs, A) bool, what is allowed now."""
        mask: NDArray[np.bool_] = self.room.observation.mask.numpy().copy()
        return mask


class LearnerEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """One learner of a world: `PathwayEnv` with `num_envs = 1`, without autoreset."""

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(self, world: World, guarded: bool = True) -> None:
        """Prepare the learner; call `reset` to enrol one."""
        self.world, self._guarded = world, guarded
        self._population: int | None = None
        self._first = 0
        self._room: Classroom | None = None
        self.observation_space = _box(world)
        self.action_space = spaces.Discrete(world.observer.space.n_activities)

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[NDArray[np.float32], Info]:
        """Enrol the first learner of population `seed`, or the next learner of the same population."""
        super().reset(seed=seed)
        if seed is not None:
            self._population, self._first = seed, 0
        if self._population is None:  # unseeded copies must not live one life
            self._population = int(self.np_random.integers(2**32))
        self._room = Classroom(self.world, self._population, self._first, 1, guarded=self._guarded)
        self._first += 1
        return self._room.observation.features[0].numpy(), {"action_mask": self.action_masks().astype(np.int8)}

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, Info]:
        """Give the learner an activity."""
        room = self.room
        moment = room.step(_actions(np.asarray([action]), 1, self.world.observer.space.n_activities))
        info = {name: value[0] for name, value in _info(room, moment).items()}
        return room.observation.features[0].numpy(), float(moment.reward[0]), bool(moment.ended[0]), False, info

    @property
    def room(self) -> Classroom:
        """The classroom of this one learner; RuntimeError before the first reset."""
        if self._room is None:
            raise RuntimeError("call reset() before step()")
        return self._room

    def action_masks(self) -> NDArray[np.bool_]:
        """Return (A,) bool, what is allowed now (the name that sb3-contrib's MaskablePPO looks for)."""
        mask: NDArray[np.bool_] = self.room.observation.mask[0].numpy().copy()
        return mask


def _actions(actions: NDArray[np.int64] | Tensor, n: int, n_activities: int) -> Tensor:
    """Return (n,) int64 on the CPU; ValueError names the first value that is no activity."""
    said = torch.as_tensor(actions).reshape(-1)
    tensor = said.to(torch.int64)
    bad = (tensor < 0) | (tensor >= n_activities) | (tensor != said)
    if len(tensor) != n or bool(bad.any()):
        what = f"{len(tensor)} actions for {n} learners" if len(tensor) != n else f"action {said[bad][0].item()}"
        raise ValueError(f"{what}: give one integer in 0..{n_activities - 1} per learner")
    return tensor


def onboarding(guarded: bool = True) -> LearnerEnv:
    """Return one learner of the onboarding programme: `gymnasium.make("trailmark/Onboarding-v0")`."""
    return LearnerEnv(onboarding_world(), guarded)


def onboarding_vector(num_envs: int = 1, seed: int = 0, guarded: bool = True) -> PathwayEnv:
    """Return learners of the onboarding programme: `gymnasium.make_vec("trailmark/Onboarding-v0", num_envs)`."""
    return PathwayEnv(onboarding_world(), num_envs, seed, guarded)


def kss(guarded: bool = True) -> LearnerEnv:
    """Return one KSS learner: `gymnasium.make("trailmark/KSS-v0")`."""
    return LearnerEnv(kss_world(), guarded)


def kss_vector(num_envs: int = 1, seed: int = 0, guarded: bool = True) -> PathwayEnv:
    """Return KSS learners: `gymnasium.make_vec("trailmark/KSS-v0", num_envs)`."""
    return PathwayEnv(kss_world(), num_envs, seed, guarded)


# Gymnasium 1.x looks for no plugins: import this module first, or make "trailmark.envs.pathway:trailmark/KSS-v0".
gymnasium.register(ONBOARDING, entry_point=f"{__name__}:onboarding", vector_entry_point=f"{__name__}:onboarding_vector")
gymnasium.register(KSS, entry_point=f"{__name__}:kss", vector_entry_point=f"{__name__}:kss_vector")
