"""SB3's VecEnv: a classroom for those who train with Stable-Baselines3; import it only where that is installed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from .classroom import World
from .pathway import PathwayEnv

Indices = None | int | Iterable[int]


class PathwayVecEnv(VecEnv):
    """`num_envs` learners of a world as one SB3 environment; sb3-contrib's MaskablePPO finds its `action_masks`.

    A session's end is terminated, never truncated, so SB3 bootstraps nothing there. A learner whose session ends is
    replaced at once; the last observation is `infos[i]["terminal_observation"]`, and `infos[i]["episode"]` holds the
    return `r` and the length `l` of the session, as SB3's own VecMonitor would say. Of the world's outcomes, those
    that are rewarded are in `infos[i]["outcomes"]` at a session's end, summed over it.
    """

    def __init__(self, world: World, num_envs: int, seed: int = 0, guarded: bool = True) -> None:
        """Prepare learners 0 .. num_envs - 1 of population `seed`, and those who follow them."""
        self._env = PathwayEnv(world, num_envs, seed, guarded)
        self._actions: NDArray[np.int64] = np.zeros(num_envs, np.int64)
        self._names = tuple(name for name, weight in world.reward.items() if weight)
        self.render_mode: str | None = None  # SB3 asks for it before it sets it
        self._sums = np.zeros((2 + len(self._names), num_envs))  # return, length, rewarded outcomes
        super().__init__(num_envs, self._env.single_observation_space, self._env.single_action_space)

    def reset(self) -> NDArray[np.float32]:
        self._sums[:] = 0.0
        return self._env.reset()[0].copy()

    def step_async(self, actions: NDArray[np.int64]) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        observation, reward, ended, _, info = self._env.step(self._actions)
        self._sums += np.stack([reward, np.ones_like(reward), *(info[name] for name in self._names)])
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(ended):
            total, length, *outcomes = self._sums[:, i].tolist()
            infos[i]["terminal_observation"] = info["final_obs"][i]
            infos[i]["episode"] = {"r": total, "l": int(length), "t": 0.0}
            infos[i]["outcomes"] = dict(zip(self._names, outcomes, strict=True))
        self._sums[:, ended] = 0.0
        return observation.copy(), reward, ended, infos

    def action_masks(self) -> NDArray[np.bool_]:
        """Return (num_envs, A) bool, what is allowed now."""
        return self._env.action_masks()

    def env_method(self, method_name: str, *args: Any, indices: Indices = None, **kwargs: Any) -> list[Any]:
        """Return `action_masks` of each learner; AttributeError for anything else: learners are no objects here."""
        if method_name != "action_masks":
            raise AttributeError(f"learners are side by side in tensors: none has a method {method_name!r}")
        return list(self.action_masks()[list(self._get_indices(indices))])

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """Return the attribute of the whole environment, once for each learner; AttributeError when there is none."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        raise AttributeError(f"{attr_name!r} cannot be set: make another World")

    def env_is_wrapped(self, wrapper_class: type, indices: Indices = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Take another population of learners from the next reset on."""
        if seed is not None:
            self._env.reset(seed=seed)
            self._env._first = 0
        return [seed] * self.num_envs

    def close(self) -> None:
        """Nothing to close."""
