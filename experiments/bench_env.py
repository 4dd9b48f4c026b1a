"""One BKT learner in plain Python and NumPy: what `trailmark bench agents` gives to others' libraries to step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..envs.pathway import LearnerEnv

if TYPE_CHECKING:
    from ..envs.classroom import World


class PythonBKT(LearnerEnv):
    """The benchmark's learner as most people would write it: the same task and observations, other random numbers.

    Of `world` it takes spaces and parameters only. One skill per activity, one learner class, no forgetting.
    """

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world)
        p = world.observer.tracer.fitted()  # type: ignore[attr-defined]
        self.prior, self.learn, self.guess, self.slip = (x.numpy() for x in (p.prior, p.learn, p.guess, p.slip))
        self.parents = [row[real].numpy() for row, real in zip(p.parents.index, p.parents.real, strict=True)]
        self.k, self.horizon = len(self.prior), world.observer.horizon
        self.gate, self.threshold = 0.15, 0.6
        self.before = np.zeros((self.k, self.k), np.float32)
        for skill, above in enumerate(self.parents):
            self.before[skill, above] = 1.0
        self.chance = np.random.default_rng(seed)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
        if seed is not None:
            self.chance = np.random.default_rng(seed)
        self.known = self.chance.random(self.k) < self.prior
        self.belief = self.prior.astype(np.float32)
        self.t, self.last, self.correct = 0, -1, 0.5
        self.seen = np.ones(2 * self.k + 4, np.float32)
        return self._observe(), {}

    def _observe(self) -> NDArray[np.float32]:
        self.mask = self.before @ (self.belief < self.threshold) == 0
        self.seen[: self.k] = self.belief
        self.seen[-4], self.seen[-3], self.seen[-1] = self.correct, self.t / self.horizon, (self.last + 1) / self.k
        return self.seen.copy()

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        a, u = int(action), self.chance.random(2)
        knew = bool(self.known[a])
        right = u[0] < (1.0 - self.slip[a] if knew else self.guess[a])
        if not knew and u[1] < self.learn[a] * self._open(self.known[self.parents[a]]):
            self.known[a] = True
        b = self.belief[a]
        if_known, if_not = (1.0 - self.slip[a], self.guess[a]) if right else (self.slip[a], 1.0 - self.guess[a])
        b = b * if_known / (b * if_known + (1.0 - b) * if_not)
        self.belief[a] = b + (1.0 - b) * self.learn[a] * self._open(self.belief[self.parents[a]])
        self.t, self.last, self.correct = self.t + 1, a, float(right)
        return self._observe(), (int(self.known[a]) - knew) / self.k, self.t >= self.horizon, False, {}

    def _open(self, above: NDArray[Any]) -> float:
        return self.gate + (1.0 - self.gate) * float(above.prod())

    def action_masks(self) -> NDArray[np.bool_]:
        return self.mask
