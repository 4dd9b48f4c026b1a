"""SLOPE: how much to clip or shrink, chosen afresh from each data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .estimate import Estimate, Index
from .intervals import half_width
from .single import Rounds, clipped_ips, dros, subgaussian_dr, subgaussian_ips, switch_dr

CAPS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, np.inf)
SHRINKAGES = (0.1, 1.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1000.0, 5000.0, np.inf)
HARMONICS = (1.0, 0.5, 0.3, 0.1, 0.05, 0.01, 0.003, 0.001, 0.0)
TUNED: dict[str, tuple[Callable[[Rounds, float], Estimate], tuple[float, ...]]] = {
    "clipped IPS": (clipped_ips, CAPS),
    "Switch-DR": (switch_dr, CAPS),
    "DRos": (dros, SHRINKAGES),
    "SG-IPS": (subgaussian_ips, HARMONICS),
    "SG-DR": (subgaussian_dr, HARMONICS),
}


def slope(values: Sequence[float], widths: Sequence[float]) -> int:
    """Return the number of the candidate that SLOPE picks (Su, Srinath and Krishnamurthy 2020; Tucker and Lee 2021).

    Candidates are ordered by decreasing half-width; one goes on while every earlier one agrees with it:
    |v_j - v_i| <= width_i + (sqrt(6) - 1) width_j. NaN candidates are passed over. ValueError when all are NaN.
    """
    order = [i for i in np.argsort(-np.asarray(widths), kind="stable") if np.isfinite(values[i] + widths[i])]
    if not order:
        raise ValueError("no candidate has a value")
    factor, last = np.sqrt(6.0) - 1.0, order[0]
    for place, i in enumerate(order):
        if any(abs(values[j] - values[i]) > widths[i] + factor * widths[j] for j in order[:place]):
            break
        last = i
    return int(last)


def tuned(
    rounds: Rounds,
    estimator: Callable[[Rounds, float], Estimate],
    settings: Sequence[float],
    cluster: Index | None = None,
) -> tuple[Estimate, float]:
    """Return the estimate at the setting that SLOPE picks, and the setting.

    Nothing is remembered between two calls: what is chosen depends on these rounds alone.
    """
    values, widths = [], []
    for setting in settings:
        found = estimator(rounds, setting)
        values.append(found.value)
        widths.append(half_width(found, cluster))
    best = settings[slope(values, widths)]
    return estimator(rounds, best), best
