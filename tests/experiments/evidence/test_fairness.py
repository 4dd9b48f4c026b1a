"""What a candidate means for each group: independent arithmetic, clusters, and silence about small groups."""

import numpy as np
import pytest

from trailmark.experiments.evidence.episodes import Episodes
from trailmark.experiments.evidence.fairness import by_group
from trailmark.experiments.evidence.intervals import Clusters


def episodes(weight: np.ndarray, reward: np.ndarray) -> Episodes:
    return Episodes.of(np.arange(len(weight) + 1), reward, weight)


def test_numbers_of_a_group_are_its_own() -> None:
    rng = np.random.default_rng(0)
    names = np.repeat(["few", "many"], [20, 200])
    weight, reward = rng.uniform(0.5, 1.5, 220), rng.standard_normal(220)
    few, many = by_group(names, episodes(weight, reward), Clusters.single(220))
    assert (few.name, few.sessions, few.logged, few.value, few.gain) == ("few", 20, None, None, None)
    w, r = weight[20:], reward[20:]
    assert many.logged is not None
    assert many.value is not None
    assert many.gain is not None
    assert many.logged.value == pytest.approx(r.mean(), abs=1e-12)
    assert many.value.value == pytest.approx((w * r).sum() / w.sum(), abs=1e-12)
    assert many.gain.value == pytest.approx(many.value.value - r.mean(), abs=1e-12)
    assert many.gain.error < many.value.error  # what both share cancels


def test_who_sits_in_one_class_counts_once() -> None:
    rng = np.random.default_rng(1)
    level = np.repeat(rng.standard_normal(40), 10)
    reward, names = level + 0.1 * rng.standard_normal(400), np.full(400, "all")
    alone = by_group(names, episodes(np.ones(400), reward), Clusters.single(400))[0]
    classes = by_group(names, episodes(np.ones(400), reward), Clusters.of(np.repeat(np.arange(40), 10)))[0]
    assert alone.logged is not None
    assert classes.logged is not None
    assert classes.logged.error > 2.5 * alone.logged.error
    assert by_group(names, episodes(np.ones(400), reward), Clusters.of(np.repeat(np.arange(20), 20)))[0].value is None


def test_few_sessions_with_all_the_weight_are_few() -> None:
    weight = np.full(300, 1e-6)
    weight[:5] = 1.0
    group = by_group(np.full(300, "all"), episodes(weight, np.ones(300)), Clusters.single(300))[0]
    assert group.logged is not None
    assert group.value is None
