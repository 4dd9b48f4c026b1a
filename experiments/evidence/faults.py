"""Faults: what goes wrong with decision logs, planted on purpose, to see whether the diagnostics notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor

from ...agents.agent import Policy
from ...agents.baselines import RandomLegal, WeakestAllowed
from ...agents.mixed import Mixed
from ...data.decisions import Decisions
from ...envs.classroom import World
from ...envs.observer import Observation
from .assess import assess
from .assessment import Assessment, Settings
from .finding import Finding, Verdict
from .gather import gather_log
from .replay import replay

Frame = pd.DataFrame
Plant = Callable[[Frame, np.random.Generator], Frame]


@dataclass(frozen=True, eq=False)
class Without(Policy):
    """`policy`, but never `activity` as long as there is another."""

    policy: Policy
    activity: int

    def __call__(self, observation: Observation) -> Tensor:
        p = self.policy(observation).clone()
        alone = p[:, self.activity] > 0.999
        p[~alone, self.activity] = 0.0
        return p / p.sum(1, keepdim=True)


def scaled_propensities(frame: Frame, rng: np.random.Generator) -> Frame:
    """Propensities a fifth too small, and no list of all of them."""
    return frame.assign(propensity=frame["propensity"] * 0.8).drop(columns="probabilities")


def missing_rows(frame: Frame, rng: np.random.Generator) -> Frame:
    """Three in a hundred decisions were lost."""
    return frame[rng.random(len(frame)) > 0.03]


def repeated_rows(frame: Frame, rng: np.random.Generator) -> Frame:
    """Two in a hundred decisions were written twice."""
    return pd.concat([frame, frame[rng.random(len(frame)) < 0.02]])


def drifting_rewards(frame: Frame, rng: np.random.Generator) -> Frame:
    """Half-way through, rewards were counted half again as high."""
    late = frame["time"] > frame["time"].median()
    return frame.assign(reward=frame["reward"] * np.where(late, 1.5, 1.0) + 0.02 * late)


def wrong_policy(frame: Frame, rng: np.random.Generator) -> Frame:
    """The propensities are those of an even choice, which is not what chose."""
    number = frame["allowed"].map(len)
    even = pd.Series([np.full(n, 1.0 / n) for n in number], index=frame.index, dtype=object)
    forced = frame["override"]
    return frame.assign(propensity=np.where(forced, 1.0, 1.0 / number), probabilities=even)


def nameless(frame: Frame, rng: np.random.Generator) -> Frame:
    """One in ten learners has no name but `unknown`."""
    learners = frame["learner"].unique()
    lost = rng.choice(learners, len(learners) // 10, replace=False)
    return frame.assign(learner=frame["learner"].where(~frame["learner"].isin(lost), "unknown"))


def rewards_cut(frame: Frame, rng: np.random.Generator) -> Frame:
    """The rewards of the latest tenth had not arrived yet and count as 0."""
    begun = frame.groupby("learner")["time"].transform("min")
    return frame.assign(reward=frame["reward"].where(begun < begun.quantile(0.9), 0.0))


def people_as_policy(frame: Frame, rng: np.random.Generator) -> Frame:
    """A person chose in one of five decisions, and the log kept the policy's propensity for it."""
    hand = (rng.random(len(frame)) < 0.2) & (frame["allowed"].map(len) > 1)
    choice = [a[int(u * len(a))] for a, u in zip(frame["allowed"], rng.random(len(frame)), strict=True)]
    listed = [
        float(np.asarray(q)[list(a).index(c)])
        for a, q, c in zip(frame["allowed"], frame["probabilities"], choice, strict=True)
    ]
    p = np.maximum(listed, 1e-3)
    return frame.assign(
        override=frame["override"] | hand,
        activity=np.where(hand, choice, frame["activity"]),
        propensity=np.where(hand, p, frame["propensity"]),
    )


def people_unmarked(frame: Frame, rng: np.random.Generator) -> Frame:
    """As before, and the log does not even say that a person chose."""
    return people_as_policy(frame, rng).assign(override=False)


def swapped_learners(frame: Frame, rng: np.random.Generator) -> Frame:
    """One in ten learners has, from the ninth decision on, the rows of another."""
    learners = frame["learner"].unique()
    pairs = rng.choice(learners, (len(learners) // 20, 2), replace=False)
    other = dict(pairs) | {b: a for a, b in pairs}
    late = frame["step"] >= 8
    return frame.assign(learner=frame["learner"].where(~late, frame["learner"].map(lambda x: other.get(x, x))))


def time_travel(frame: Frame, rng: np.random.Generator) -> Frame:
    """In one of twenty sessions the times are mixed up."""
    mixed = frame["learner"].isin(frame["learner"].unique()[::20])
    time = frame["time"].to_numpy().copy()
    rows = np.flatnonzero(mixed.to_numpy())
    time[rows] = rng.permutation(time[rows])
    return frame.assign(time=time)


def shuffled_rewards(frame: Frame, rng: np.random.Generator) -> Frame:
    """Rewards were joined to the wrong rows."""
    return frame.assign(reward=rng.permutation(frame["reward"].to_numpy()))


PLANTS: dict[str, tuple[Plant, str]] = {
    "propensities a fifth too small": (scaled_propensities, "mean weight"),
    "missing rows": (missing_rows, "missing rows"),
    "rows written twice": (repeated_rows, "repeated rows"),
    "drift": (drifting_rewards, "drift of rewards"),
    "propensities of another policy": (wrong_policy, "activities as often as said"),
    "missing learner ids": (nameless, "learner identities"),
    "delayed rewards cut off": (rewards_cut, "drift of rewards"),
    "people's choices with the policy's propensity": (people_as_policy, "people's choices"),
    "people's choices not marked": (people_unmarked, "mean weight"),
    "swapped learners": (swapped_learners, "replay as logged"),
    "time travel": (time_travel, "time travel"),
    "shuffled rewards": (shuffled_rewards, "rewards have causes"),
}


@dataclass(frozen=True)
class Case:
    """One log, what was done to it, what should have been noticed, and what was."""

    fault: str
    expected: str
    found: Assessment

    @property
    def all(self) -> list[Finding]:
        """Every finding once."""
        return list(
            {
                f.name: f for f in (*self.found.decisions.findings, *self.found.sessions.findings, *self.found.log)
            }.values()
        )

    @property
    def flagged(self) -> Verdict:
        """How strongly the expected finding spoke, in any table."""
        every = (*self.found.decisions.findings, *self.found.sessions.findings, *self.found.log)
        return max((f.verdict for f in every if f.name == self.expected), default=Verdict.TRUST)


def policies(world: World) -> tuple[Policy, Policy]:
    """Return a logging policy and a candidate near enough to be judged by its log."""
    space = world.observer.space
    lean = WeakestAllowed(space)
    return Mixed(lean, 0.8), Mixed(lean, 0.7)


def clean(world: World, learners: int, seed: int) -> Case:
    """Return what is found in a log without faults."""
    logger, candidate = policies(world)
    return _case("none", "", world, candidate, gather_log(world, logger, seed, learners, 0.05))


def planted(world: World, learners: int, seed: int, fault: str) -> Case:
    """Return what is found in a log with one of `faults()`."""
    logger, candidate = policies(world)
    if fault == "log without chance":
        return _case(
            fault,
            "decisions without chance",
            world,
            candidate,
            gather_log(world, WeakestAllowed(world.observer.space), seed, learners),
        )
    if fault == "an activity never tried":
        log = gather_log(world, Without(RandomLegal(world.observer.space), 1), seed, learners)
        return _case(fault, "mass without support", world, candidate, log)
    plant, expected = PLANTS[fault]
    log = gather_log(world, logger, seed, learners, 0.05)
    frame = plant(log.frame.copy(), np.random.Generator(np.random.Philox(seed=[seed, 8])))
    return _case(fault, expected, world, candidate, Decisions.from_frame(frame, log.catalog))


def faults() -> list[str]:
    """Return the names of all faults that can be planted."""
    return ["log without chance", "an activity never tried", *PLANTS]


def _case(fault: str, expected: str, world: World, candidate: Policy, log: Decisions) -> Case:
    seen = replay(world.observer, candidate, log)
    return Case(fault, expected, assess(log, seen, world.observer, Settings(replicates=20, cells=10)))
