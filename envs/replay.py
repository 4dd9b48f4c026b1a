"""Replay: a tracer walked along every learner of a log, in batches, without a loop over learners."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.catalog import Catalog
from ..data.log import Log, Sequences
from .rows import take
from .tracer import Evidence, Tracer


def walk(tracer: Tracer, sequences: Sequences) -> Iterator[tuple[Tensor, Any, Evidence]]:
    """Yield (rows, belief, evidence) step by step: the log rows (n,), the belief before them, and what was answered.

    Learners are sorted by length, so step t holds just those who have a t-th row; times between rows elapse first.
    """
    length = np.diff(sequences.start)
    order = np.argsort(-length, kind="stable")
    start, length = sequences.start[:-1][order], length[order]
    days = sequences.days
    belief = tracer.start(len(order))
    alive = len(order)
    for t in range(int(length.max(initial=0))):
        still = int(np.searchsorted(-length, -t, side="left"))  # learners with more than t rows
        if still < alive:
            belief, alive = take(belief, slice(0, still)), still
        rows = start[:still] + t
        if t and sequences.timed:
            belief = tracer.elapse(belief, torch.from_numpy(days[rows] - days[rows - 1]).float())
        # The columns may be files larger than memory: only the rows at hand are read.
        evidence = Evidence(torch.from_numpy(sequences.activity[rows]), torch.from_numpy(sequences.correct[rows]))
        yield torch.from_numpy(rows), belief, evidence
        belief = tracer.update(belief, evidence)


def predictions(tracer: Tracer, log: Log, catalog: Catalog) -> np.ndarray:
    """Return (N,) float32, P(correct) of every row of `log` from the rows before it of the same learner."""
    sequences = log.sequences(catalog)
    out = torch.empty(len(sequences.activity))
    for rows, belief, evidence in walk(tracer, sequences):
        out[rows] = tracer.predict_at(belief, evidence.activity).float()
    return out.numpy()
