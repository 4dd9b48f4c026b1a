"""Discriminate: can a classifier tell a log's learners from simulated ones who did the same? At .5 it cannot."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..envs.validity.likeness import FEATURES, Shadow, features
from . import prediction_metrics as pm

AIM = 0.65  # at most, for learners to be hard to tell from real ones
_FEWEST = 30  # learners


def told_apart(shadow: Shadow, seed: int = 0) -> dict[str, Any]:
    """Return the AUC of a boosted-tree classifier on summaries of learners, cross-validated, and what gives them away.

    A real learner and their double are always in the same fold. Where there are too few learners, only `missing`.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import GroupKFold, cross_val_predict

    (real, who), (double, twin) = features(shadow, shadow.real), features(shadow, shadow.double)
    if min(len(who), len(twin)) < _FEWEST:
        return {"missing": f"fewer than {_FEWEST} learners have ten answers"}
    x, y = np.concatenate([real, double]), np.repeat([1.0, 0.0], [len(real), len(double)])
    learners = np.concatenate([who, twin])
    model = HistGradientBoostingClassifier(max_iter=60, min_samples_leaf=10, random_state=seed)
    p = cross_val_predict(model, x, y, groups=learners, cv=GroupKFold(5), method="predict_proba")[:, 1]
    area = pm.auc_interval(y, p, learners, seed=seed)
    single = []
    for column in x.T:
        known = np.isfinite(column)
        single.append(abs(pm.auc(y[known], column[known]) - 0.5) if 0 < y[known].sum() < known.sum() else 0.0)
    most = int(np.argmax(single))
    means = [float(np.nanmean(part[:, most])) for part in (real, double)]
    return {
        "auc": {"value": area.value, "low": area.low, "high": area.high},
        "learners": len(who),
        "telling": {"name": FEATURES[most], "real": means[0], "simulated": means[1]},
        "missing": "",
    }
