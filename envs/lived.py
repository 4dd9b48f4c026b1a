"""Lived: a log that simulated learners leave behind when nobody thinks: what a belief about them is fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from ..data.catalog import Catalog
from ..data.log import Log
from ..data.programmes import FOLDER
from ..data.sources.source import Source
from .classroom import Classroom, World
from .guards import Offered, TimeBudget
from .observer import Observer
from .student import Student
from .tracers.tally import Tally

SEED = 20_260_105  # of a population that no run trains or evaluates on
FIRST_DAY = 1_767_600_000.0  # 5 January 2026, 08:00 UTC, in Unix seconds
DAY = 86_400.0


@dataclass(frozen=True, eq=False)
class Lived(Source):
    """The log of `learners` of `student`, each given up to `steps` activities at random among those that fit.

    It holds what a learning platform would have recorded: who did what when, for how long, with what result and what
    probability of having been offered it. Nothing hidden is in it. A student who needs a log to exist cannot be used.
    `programme` is the name of a catalogue that comes with Trailmark (`onboarding`, `leadership`) or the path of one;
    None = the learners' own.
    """

    student: Student
    learners: int = 400
    steps: int = 80
    programme: str | None = None

    def _catalog(self) -> Catalog | None:
        if self.programme is None:
            return None
        here = FOLDER / f"{self.programme}.json"
        return Catalog.load(here if here.is_file() else self.programme)

    def load(self) -> tuple[Log, Catalog]:
        """The log with the learners' catalogue."""
        student = self.student.fit(None, self._catalog())
        catalog = student.catalog
        assert catalog is not None
        rules = {"offered": Offered(), "time": TimeBudget()}
        observer = Observer(Tally().of(catalog), catalog, rules, self.steps)
        room = Classroom(World(student, observer, {}, {}), SEED, 0, self.learners)
        role = room.record.role
        columns: list[tuple[torch.Tensor, ...]] = []
        while bool(room.alive.any()):
            mask = room.observation.mask
            n = mask.sum(1)
            nth = (room.act()[:, 0] * n).long().clamp_max(n - 1)
            activity = ((mask.cumsum(1) - 1 == nth[:, None]) & mask).long().argmax(1)
            day = room.record.day
            moment = room.step(activity)
            response = moment.response
            done = moment.alive & response.accepted
            columns.append((done, activity, response.correct, day, response.minutes, 1.0 / n))
        done, *rest = (torch.stack(column, 1) for column in zip(*columns, strict=True))
        kept = done.flatten().numpy()
        activity, correct, day, minutes, propensity = (column.flatten().numpy()[kept] for column in rest)
        learner = np.repeat(np.arange(self.learners), done.shape[1])[kept]
        frame = pd.DataFrame(
            {
                "learner": np.array([f"learner-{i:05d}" for i in range(self.learners)])[learner],
                "activity": np.array(catalog.activity_ids)[activity],
                "correct": correct.astype(np.float64),
                "timestamp": FIRST_DAY + DAY * day.astype(np.float64),
                "minutes": minutes.astype(np.float64),
                "propensity": propensity.astype(np.float64),
                "role": np.array(catalog.roles)[role.numpy()][learner],
            }
        )
        return Log.from_frame(
            frame, catalog, "lived", (f"lived by simulated learners: {type(student).__name__}",)
        ), catalog
