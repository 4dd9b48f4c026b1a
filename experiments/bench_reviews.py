"""Bench reviews: memory models on one person's flash cards, fitted to the earlier reviews and judged on later days."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .tracing_anchors import REVIEWS

if TYPE_CHECKING:
    from .grid import Grid

SHARE = 0.8  # of the reviews, the earliest, are fitted to
HEADER = (
    "model",
    "fitted to",
    "judged on",
    "AUC\n[95%]",
    "log loss\n[95%]",
    "others'\nAUC",
    "others'\nlog loss",
    "CPU s",
)


def reviews(folder: Path, tracers: list[str] | None = None) -> Grid:
    """Return the table of one person's reviews on another day than the one before, intervals over cards.

    The default weights are judged on all such reviews, as published; fitted models on those of the last fifth.
    """
    import time

    import numpy as np
    import torch

    from ..data.log import Log
    from ..data.sources.anki import Anki
    from ..envs.cards import Cards, whole_days
    from ..envs.replay import predictions
    from ..envs.tracers.fsrs import FSRS
    from ..envs.tracers.hlr import HLR
    from . import prediction_metrics as pm
    from .grid import between, of
    from .statistics import learner_interval

    log, catalog = Anki(str(folder / "review_logs.csv.gz")).load()
    sequences = log.sequences(catalog)
    cards = Cards.of(sequences, catalog)
    another_day = np.zeros(len(log), dtype=np.bool_)
    another_day[cards.row[cards.later & (whole_days(torch.from_numpy(cards.gap)) >= 1).numpy()]] = True
    cut = int(SHARE * len(log))
    earlier = Log(log.frame.iloc[:cut], log.name)
    late = another_day & (np.arange(len(log)) >= cut)
    right = (sequences.correct >= 0.5).astype(np.float64)
    edge = 1e-6

    def row(name: str, fitted_to: str, rows: np.ndarray, p: np.ndarray, spent: float | None, key: str) -> list[str]:
        y, q, card = right[rows], np.clip(p[rows].astype(np.float64), edge, 1 - edge), sequences.activity[rows]
        area = pm.auc_interval(y, q, card)
        loss = learner_interval(-(y * np.log(q) + (1 - y) * np.log1p(-q)), card, 500)
        others = REVIEWS.get(key)
        return [
            name,
            fitted_to,
            f"{int(rows.sum()):,} reviews",
            between(area.value, area.low, area.high),
            between(loss.value, loss.low, loss.high),
            f"{others[0]:.4f}\n{key}" if others else "",
            f"{others[1]:.4f}" if others else "",
            "" if spent is None else f"{spent:.1f}",
        ]

    lines = []
    if tracers is None or "fsrs" in tracers:
        p = predictions(FSRS().of(catalog), log, catalog)
        lines.append(row("fsrs, default weights", "nothing", another_day, p, None, "py-fsrs 6.3.2"))
        base = np.full(len(log), right[another_day].mean())
        lines.append(row("floor: constant", "the same rows", another_day, base, None, "constant"))
        lines.append(row("fsrs, default weights", "nothing", late, p, None, ""))
    made = {
        "fsrs curve_alone": ("fsrs", FSRS(curve_alone=True)),
        "fsrs": ("fsrs", FSRS()),
        "hlr curve_alone": ("hlr", HLR(curve_alone=True)),
        "hlr": ("hlr", HLR()),
    }
    for name, (choice, model) in made.items():
        if tracers is None or choice in tracers:
            started = time.process_time()
            fitted = model.fit(earlier, catalog)
            spent = time.process_time() - started
            lines.append(row(name, "the first 80%", late, predictions(fitted, log, catalog), spent, ""))
    base = np.full(len(log), right[:cut][another_day[:cut]].mean())
    lines.append(row("floor: constant", "the first 80%", late, base, None, ""))
    return of(
        "One person's flash cards: reviews on another day than the one before, intervals over cards", HEADER, lines
    )
