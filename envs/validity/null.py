"""The null test: on labels made by chance no tracer may know more than chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...data.catalog import Catalog
from ...data.log import Log
from ..replay import predictions
from ..rng import derive
from ..tracer import Tracer
from ..tracers.neural import auc


def null_auc(tracer: Tracer, log: Log, catalog: Catalog, seed: int, answers: ArrayLike | None = None) -> float:
    """Return the AUC of `tracer` on held-out learners of `log` when every answer is a fair coin; .50 +- .01 is sound.

    Each answer gets one label. answers: (N,), equal numbers for rows of one learner that are one answer, as when an
    exercise has a row for every skill; None = rows of the same learner and time, or every row where there are no times.
    Where rows of one answer follow each other, a tracer reads the label off the first: on the widely used rows of
    ASSISTments 2009 that gives .64, and makes published figures too high by .07.
    """
    frame = log.frame
    if answers is None:
        moment = frame.groupby(["learner", "timestamp"], sort=False).ngroup()
        answers = np.where(frame["timestamp"] > 0, moment, -1 - np.arange(len(log)))
    _, which = np.unique(
        np.stack([frame.groupby("learner", sort=False).ngroup(), np.asarray(answers)]), axis=1, return_inverse=True
    )
    coins = np.random.Generator(np.random.Philox(derive(seed, "null"))).integers(0, 2, int(which.max(initial=-1)) + 1)
    null = Log(frame.assign(correct=coins[which].astype(np.float64)), f"{log.name}, labels by chance")
    split = null.split(seed, valid=0.0)
    guesses = predictions(tracer.fit(split.train, catalog), split.test, catalog)
    return auc(split.test.frame["correct"].to_numpy() > 0.5, guesses)
