"""The task of `trailmark bench agents`: a world for us, and the same learner in plain Python for others' libraries."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..envs.pathway import LearnerEnv

if TYPE_CHECKING:
    from ..envs.classroom import World

SKILLS = 50
GATE, THRESHOLD = 0.0, 0.6


def dense_world() -> World:
    """Return 50 BKT skills, one activity each, sessions of 100; at every step every known skill may be forgotten.

    Each skill has one or two prerequisites among the eight before it (the first four have none). They gate learning,
    and they close an activity until they are believed known. Parameters differ between skills. The reward is the
    change in the number of skills truly known.
    """
    import torch

    from ..data.catalog import Activity, Catalog, Skill
    from ..envs.classroom import Pace, World
    from ..envs.guards import Prerequisites
    from ..envs.observer import Observer
    from ..envs.outcomes import LearningGain
    from ..envs.skills import parents_of, skills_of
    from ..envs.students.sampled import SampledStudent
    from ..envs.tracers.bkt import BKT, BKTParameters

    chance, k = np.random.default_rng(0), SKILLS
    names = [f"skill-{i}" for i in range(k)]
    above: list[tuple[str, ...]] = [()] * 4
    for i in range(4, k):
        near = range(max(0, i - 8), i)
        above.append(tuple(names[j] for j in sorted(chance.choice(near, int(chance.integers(1, 3)), replace=False))))
    skills = tuple(Skill(name, name, parents, ()) for name, parents in zip(names, above, strict=True))
    activities = tuple(Activity(name, name, "practice", (name,), 1.0, fallback=i == 0) for i, name in enumerate(names))
    catalog = Catalog(skills, activities)

    def drawn(least: float, most: float) -> torch.Tensor:
        return torch.from_numpy(chance.uniform(least, most, k)).float()

    p = BKTParameters(
        prior=drawn(0.05, 0.15),
        learn=drawn(0.1, 0.5),
        guess=drawn(0.1, 0.2),
        slip=drawn(0.05, 0.1),
        forget=torch.zeros(k),
        decay=-torch.log1p(-drawn(0.0005, 0.004)),  # a step takes a day
        shift=torch.zeros(1),
        weight=torch.ones(1),
        skills=skills_of(catalog),
        parents=parents_of(catalog),
    )
    tracer = BKT(classes=1, gate=GATE, parameters=p)
    observer = Observer(tracer, catalog, {"prerequisites": Prerequisites(THRESHOLD)}, 100)
    reward = {"learning_gain": float(k)}
    pace = Pace(sitting=1, gap_days=1.0)
    return World(SampledStudent(tracer, catalog), observer, {"learning_gain": LearningGain()}, reward, pace)


class PythonBKT(LearnerEnv):
    """The benchmark's learner as most people would write it: the same task and observations, other random numbers.

    Of `world`, a `dense_world`, it takes spaces and parameters only.
    """

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world)
        p = world.observer.tracer.fitted()  # type: ignore[attr-defined]
        self.prior, self.learn, self.guess, self.slip = (x.numpy() for x in (p.prior, p.learn, p.guess, p.slip))
        self.kept = np.exp(-p.decay.numpy())
        self.parents = [row[real].numpy() for row, real in zip(p.parents.index, p.parents.real, strict=True)]
        self.k, self.horizon = len(self.prior), world.observer.horizon
        self.before = np.zeros((self.k, self.k), np.float32)
        for skill, above in enumerate(self.parents):
            self.before[skill, above] = 1.0
        self.chance = np.random.default_rng(seed)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
        if seed is not None:
            self.chance = np.random.default_rng(seed)
        self.known = self.chance.random(self.k) < self.prior
        self.n_known = int(self.known.sum())
        self.belief = self.prior.astype(np.float32)
        self.t, self.last, self.correct = 0, -1, 0.5
        self.seen = np.ones(2 * self.k + 4, np.float32)
        return self._observe(), {}

    def _observe(self) -> NDArray[np.float32]:
        self.mask = self.before @ (self.belief < THRESHOLD) == 0
        self.seen[: self.k] = self.belief
        self.seen[-4], self.seen[-3], self.seen[-1] = self.correct, self.t / self.horizon, (self.last + 1) / self.k
        return self.seen.copy()

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        a, u = int(action), self.chance.random(self.k + 2)
        knew, parents = bool(self.known[a]), self.parents[a]
        right = u[0] < (1.0 - self.slip[a] if knew else self.guess[a])
        if not knew and u[1] < self.learn[a] * (GATE + (1.0 - GATE) * self.known[parents].all()):
            self.known[a] = True
        self.known &= u[2:] < self.kept
        b = self.belief[a]
        if_known, if_not = (1.0 - self.slip[a], self.guess[a]) if right else (self.slip[a], 1.0 - self.guess[a])
        b = b * if_known / (b * if_known + (1.0 - b) * if_not)
        gate = GATE + (1.0 - GATE) * math.prod(self.belief[parents].tolist())
        self.belief[a] = b + (1.0 - b) * self.learn[a] * gate
        self.belief *= self.kept
        self.t, self.last, self.correct = self.t + 1, a, float(right)
        n_known = int(self.known.sum())
        reward, self.n_known = float(n_known - self.n_known), n_known
        return self._observe(), reward, self.t >= self.horizon, False, {}

    def action_masks(self) -> NDArray[np.bool_]:
        return self.mask
