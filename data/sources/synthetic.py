"""Made-up learners with known parameters: for tests, tutorials, and to see whether a model finds the truth again."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..catalog import Catalog
from ..errors import DataError
from ..log import DAY, Log
from .source import Source

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SAMPLE_FOLDER = Path(__file__).resolve().parents[1] / "sample"
FIRST_DAY = 1_767_600_000  # 5 January 2026, 08:00 UTC, in Unix seconds
PARAMETERS, LIVES = 0, 1  # what a random stream is for
CLASS_SHIFT, CLASS_WEIGHT = (-1.0, 0.0, 1.0), (0.25, 0.5, 0.25)
GATE = 0.15
ANYTHING = 0.25  # how often the logger chooses among all that is open, also what the learner has done before
RANGES = {
    "prior": (0.05, 0.4),
    "learn": (0.08, 0.35),
    "guess": (0.1, 0.3),
    "slip": (0.05, 0.15),
    "forget_per_day": (0.002, 0.02),
}


@dataclass(frozen=True)
class Synthetic(Source):
    """Learners who know or do not know each skill, taught by a logger who chooses at random among what seems open.

    A learner of class c knows skill k at the start with probability sigmoid(logit(prior_k) + shift_c). An activity is
    answered right with the mean over its skills of 1 - slip (known) or guess (not known): Bayesian knowledge tracing
    (Corbett and Anderson, 1995) with several skills. A practised skill then becomes known with probability
    learn_k * (gate + (1 - gate) * [all its prerequisites known]), and d days without use lose it with probability
    1 - exp(-forget_k * d). The logger opens a skill when one of the last three answers on each prerequisite was right;
    three times in four it then picks evenly among open activities that are new to the learner, else among all open
    ones, so that every open activity has a propensity above 0 and late skills are still reached.

    catalog: the path of any catalogue; None = the 15-skill onboarding programme of the sample.
    """

    learners: int = 500
    steps: int = 40
    seed: int = 0
    catalog: str | None = None

    def __post_init__(self) -> None:
        if min(self.learners, self.steps) < 1 or self.seed < 0:
            fix = "Give at least one learner and one step, and a seed of 0 or more."
            raise DataError(f"learners={self.learners}, steps={self.steps}, seed={self.seed} make no log", fix=fix)

    @cached_property
    def _catalog(self) -> Catalog:
        return Catalog.load(SAMPLE_FOLDER / "catalog.json" if self.catalog is None else self.catalog)

    def truth(self) -> dict[str, Floats]:
        """The parameters: prior, learn, guess, slip, forget_per_day (K,); class_shift, class_weight (C,); gate ()."""
        rng = np.random.Generator(np.random.Philox(key=[self.seed, PARAMETERS]))
        skills = len(self._catalog.skills)
        drawn = {name: rng.uniform(low, high, skills).round(4) for name, (low, high) in RANGES.items()}
        return drawn | {
            "class_shift": np.array(CLASS_SHIFT),
            "class_weight": np.array(CLASS_WEIGHT),
            "gate": np.array(GATE),
        }

    def load(self) -> tuple[Log, Catalog]:
        """The log with exact propensities, roles, minutes and times, with its catalogue.

        Raises: DataError when `catalog` is missing or faulty.
        """
        catalog = self._catalog
        return Log.from_frame(_live(self, catalog), catalog, "synthetic"), catalog


def _live(source: Synthetic, catalog: Catalog) -> pd.DataFrame:
    rng = np.random.Generator(np.random.Philox(key=[source.seed, LIVES]))
    truth, n = source.truth(), source.learners
    q, expected_minutes = catalog.q_matrix(), catalog.minutes().astype(np.float64)
    before = catalog.skill_prerequisites()
    role = rng.integers(len(catalog.roles), size=n)
    known = _known_at_start(truth, n, rng)
    calendar = _Calendar(n, rng)
    logger = _Logger(catalog, role)
    steps = []
    for _ in range(source.steps):
        timestamp, days = calendar.next_event()
        known &= rng.random(known.shape) < np.exp(-truth["forget_per_day"] * days[:, None])
        activity, propensity = logger.choose(rng.random((n, 2)))
        practised = q[activity]
        p_skill = np.where(known, 1 - truth["slip"], truth["guess"])
        p_correct = (p_skill * practised).sum(1) / practised.sum(1)
        correct = rng.random(n) < p_correct
        ready = ~(~known @ before.T)
        p_learn = truth["learn"] * np.where(ready, 1.0, truth["gate"])
        known |= practised & (rng.random(known.shape) < p_learn)
        logger.see(activity, practised, correct)
        # Rounding hides the last bit of exp and log, which differs between processors.
        minutes = (expected_minutes[activity] * rng.lognormal(0.0, 0.3, n)).round(1)
        calendar.spend(minutes)
        steps.append((activity, correct, timestamp, minutes, propensity))
    activity, correct, timestamp, minutes, propensity = (
        np.stack(column, axis=1).ravel() for column in zip(*steps, strict=True)
    )
    return pd.DataFrame(
        {
            "learner": np.repeat([f"learner-{i:04d}" for i in range(n)], source.steps),
            "activity": np.array(catalog.activity_ids)[activity],
            "correct": correct.astype(np.float64),
            "timestamp": timestamp,
            "minutes": minutes,
            "propensity": propensity,
            "role": np.repeat(np.array(catalog.roles)[role], source.steps),
        }
    )


def _known_at_start(truth: dict[str, Floats], n: int, rng: np.random.Generator) -> Bools:
    kind = np.searchsorted(np.cumsum(truth["class_weight"])[:-1], rng.random(n), side="right")
    odds = truth["prior"] / (1 - truth["prior"]) * np.exp(truth["class_shift"])[kind, None]
    known: Bools = rng.random(odds.shape) < odds / (1 + odds)
    return known


class _Calendar:
    """When each learner sits down: sessions of five to ten activities, one to five days apart."""

    def __init__(self, n: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.now: Floats = (FIRST_DAY + rng.integers(0, 60, n) * DAY + rng.integers(0, 8 * 3600, n)).astype(np.float64)
        self.last = self.now.copy()
        self.left = rng.integers(5, 11, n)

    def next_event(self) -> tuple[Floats, Floats]:
        """Unix seconds of the next event, and days since the one before."""
        n = len(self.now)
        pause, size = self.rng.integers(int(DAY), int(5 * DAY), n), self.rng.integers(5, 11, n)
        over = self.left == 0
        self.now = self.now + np.where(over, pause, 0)
        self.left = np.where(over, size, self.left) - 1
        days: Floats = (self.now - self.last) / DAY
        self.last = self.now.copy()
        return self.now.copy(), days

    def spend(self, minutes: Floats) -> None:
        """Lets the activity pass, and a break of one to three minutes."""
        self.now = self.now + np.ceil(minutes * 60) + self.rng.integers(60, 181, len(self.now))


class _Logger:
    """The behaviour policy: mostly something new, sometimes anything, evenly among what seems open to the learner."""

    def __init__(self, catalog: Catalog, role: NDArray[np.int64]) -> None:
        n, q = len(role), catalog.q_matrix()
        self.offered = catalog.offered()[role]
        self.fallback = catalog.fallback
        self.needs_skill = (q @ catalog.skill_prerequisites()) & ~q
        self.needs_done = catalog.activity_prerequisites()
        self.last_three = np.zeros((n, q.shape[1]), dtype=np.uint8)
        self.done = np.zeros((n, q.shape[0]), dtype=np.bool_)

    def choose(self, u: Floats) -> tuple[NDArray[np.int64], Floats]:
        """The chosen activities (B,) for uniform numbers u (B, 2), with their propensities (B,)."""
        closed = (self.last_three == 0) @ self.needs_skill.T | ~self.done @ self.needs_done.T
        opened = self.offered & ~closed
        opened[~opened.any(1), self.fallback] = True
        new = opened & ~self.done
        new[~new.any(1)] = opened[~new.any(1)]
        choices = np.where(u[:, :1] < ANYTHING, opened, new)
        count = choices.sum(1)
        rank = np.minimum((u[:, 1] * count).astype(np.int64), count - 1)
        chosen = (choices.cumsum(1) > rank[:, None]).argmax(1)
        is_new = np.take_along_axis(new, chosen[:, None], 1)[:, 0]
        propensity: Floats = ANYTHING / opened.sum(1) + (1 - ANYTHING) * is_new / new.sum(1)
        return chosen, propensity

    def see(self, activity: NDArray[np.int64], practised: Bools, correct: Bools) -> None:
        """Remembers the answers (B,)."""
        shifted = ((self.last_three << 1) | correct[:, None]) & 7
        self.last_three = np.where(practised, shifted, self.last_three).astype(np.uint8)
        self.done[np.arange(len(activity)), activity] = True


SAMPLE = Synthetic(learners=400, steps=40, seed=2026)


def main(arguments: list[str]) -> int:
    """Writes the committed sample, catalog.json and log.parquet, into a folder."""
    if len(arguments) != 1:
        print("usage: python -m trailmark.data.sources.synthetic FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[0]).expanduser()
    log, catalog = SAMPLE.load()
    catalog.save(folder / "catalog.json")
    log.save(folder / "log.parquet")
    print(f"{len(log)} rows of {len(log.learners)} learners, digest {log.digest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
