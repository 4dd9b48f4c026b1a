"""Checks of the gate that fit again: parameter recovery, prediction against simple models, answers made by chance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ...data.catalog import Catalog
from ...data.log import Log
from ..replay import predictions
from ..rng import Rng
from ..student import Student
from ..students.sampled import SampledStudent
from ..tracer import Tracer
from ..tracers.bkt import BKT
from ..tracers.calibrated import error, luck
from ..tracers.neural import auc
from ..tracers.pfa import PFA
from ..tracers.rasch import Rasch
from .effect import Check, Value
from .null import null_auc
from .own_items import own_catalog, probes
from .ruling import Ruling

RECOVERED, BEHIND, MISCALIBRATED, NULL = 0.03, 0.005, 0.03, 0.01  # the bars
REFERENCES: dict[str, Tracer] = {"IRT": Rasch(), "PFA": PFA(), "BKT": BKT()}


def simulated(student: Student, activities: torch.Tensor, n: int, seed: int) -> Log:
    """Return what n simulated learners answer to `activities` (T,) or (T, n), one after the other, without times."""
    catalog = own_catalog(student)
    rng = Rng.enrol(seed, 0, n)
    state, answers = student.enrol(rng), []
    given = activities[:, None].expand(-1, n) if activities.dim() == 1 else activities
    for t, activity in enumerate(given):
        state, response = student.answer(state, activity.contiguous(), rng.at(t))
        answers.append(response.correct)
    frame = pd.DataFrame(
        {
            "learner": np.repeat([f"l{i}" for i in range(n)], len(given)),
            "activity": np.array(catalog.activity_ids)[given.t().reshape(-1).numpy()],
            "correct": torch.stack(answers, 1).reshape(-1).double().numpy(),
        }
    )
    return Log.from_frame(frame, catalog, "simulated", drop_repeats=False)


def recovery(student: SampledStudent, seed: int = 0, n: int = 500, steps: int = 20) -> Ruling:
    """Fit the model again to its own learners, 500 with 20 answers to each of five skills: it must find itself.

    What is compared are the predictions along further learners, since several sets of parameters may say the same.
    """
    catalog = own_catalog(student)
    tests, _ = probes(catalog, 5)
    if not tests:
        return Ruling("recovery", missing="no activity has a skill of its own")
    turns = torch.tensor(tests).repeat(steps)
    again = student.tracer.fit(simulated(student, turns, n, seed), catalog)
    fresh = simulated(student, turns, 100, seed + 1)
    p, q = predictions(student.tracer, fresh, catalog), predictions(again, fresh, catalog)
    gap = torch.from_numpy(np.abs(p - q)).view(100, -1).mean(1)
    words = f"fitted to its own learners the model predicts otherwise by {float(gap.mean()):.3f} on average"
    check = Check("mean change of predictions after fitting again", Value.mean(gap), 0.0, RECOVERED)
    return Ruling("recovery", check, words)


def scores(tracer: Tracer, test: Log, catalog: Catalog) -> tuple[dict[str, float], NDArray[Any], NDArray[Any]]:
    """Return AUC, log loss, calibration error and what of it is luck, and the predictions and labels (N,)."""
    p = predictions(tracer, test, catalog).astype(np.float64)
    y = (test.sequences(catalog).correct >= 0.5).astype(np.float64)
    edge = p.clip(1e-7, 1 - 1e-7)
    loss = float(-(y * np.log(edge) + (1 - y) * np.log1p(-edge)).mean())
    return {"auc": auc(y > 0.5, p), "log_loss": loss, "ece": error(p, y), "luck": luck(p)}, p, y


def predictive(own: dict[str, float], others: dict[str, dict[str, float]]) -> tuple[Ruling, Ruling]:
    """Return the rulings on a model's `scores`: not behind all simple models, and calibrated."""
    weakest = min(others, key=lambda name: others[name]["auc"])
    behind = own["auc"] - others[weakest]["auc"]
    return (
        Ruling(
            "predictive",
            Check("AUC less that of the weakest simple model", Value.exactly(behind), -BEHIND, 1.0),
            f"held-out AUC {own['auc']:.3f}, and {weakest}, the weakest simple model, has {others[weakest]['auc']:.3f}",
        ),
        Ruling(
            "calibrated",
            Check("calibration error beyond luck", Value.exactly(own["ece"] - own["luck"]), -1.0, MISCALIBRATED),
            f"chances are off by {own['ece']:.3f}, by luck alone {own['luck']:.3f}; wrap the tracer in `calibrated`",
        ),
    )


def by_chance(tracer: Tracer, log: Log, catalog: Catalog, seed: int = 0) -> Ruling:
    """Fit to answers made by chance; the AUC must be that of a coin, within .01 or three standard errors."""
    found = null_auc(tracer, log, catalog, seed)
    n = max(2, len(log.split(seed, valid=0.0).test))
    room = max(NULL, 3 * math.sqrt((n + 1) / (12 * (n / 2) ** 2)))
    words = f"on answers made by chance the AUC is {found:.3f}: the rows give answers away"
    return Ruling("null", Check("AUC on answers made by chance", Value.exactly(found), 0.5 - room, 0.5 + room), words)
