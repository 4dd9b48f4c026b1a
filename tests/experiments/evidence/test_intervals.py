"""Intervals: against sums done by hand, and against how often they hold the truth."""

import numpy as np
import pytest

from trailmark.experiments.evidence import intervals as iv
from trailmark.experiments.evidence.coverage import coverage
from trailmark.experiments.evidence.estimate import Estimate


def some(n: int = 60, seed: int = 0) -> tuple[Estimate, Estimate, iv.Clusters]:
    rng = np.random.default_rng(seed)
    w, r = rng.exponential(1.0, n), rng.random(n)
    owner = iv.Clusters.of(rng.integers(0, 9, n))
    ratio = Estimate("ratio", np.zeros(n), (w * r)[:, None], w[:, None])
    return Estimate("plain", w * r), ratio, owner


def test_standard_error_is_the_sum_over_learners_by_hand() -> None:
    plain, ratio, owner = some()
    for estimate in (plain, ratio):
        psi, total = estimate.influence, 0.0
        for g in range(owner.number):
            total += psi[owner.index == g].sum() ** 2
        by_hand = np.sqrt(owner.number / (owner.number - 1) * total) / len(psi)
        assert iv.standard_error(estimate, owner) == pytest.approx(by_hand, rel=1e-12)
    assert iv.standard_error(plain) == pytest.approx(plain.plain.std(ddof=1) / np.sqrt(60), rel=1e-12)
    assert iv.interval(plain, owner).low < iv.lower_bound(plain, owner) < plain.value


def test_one_learner_says_nothing_of_others() -> None:
    plain, _, _ = some()
    assert iv.standard_error(plain, iv.Clusters(np.zeros(60, dtype=np.int64), 1)) == np.inf


def test_bootstrap_is_resampling_of_whole_learners_by_hand() -> None:
    plain, ratio, owner = some()
    drawn = iv.bootstrap([plain, ratio], owner, 50, seed=3)
    rng = np.random.Generator(np.random.Philox(seed=[3, 5]))
    picks = rng.integers(0, owner.number, size=(50, owner.number), dtype=np.uint32)
    for picked, (one, other) in zip(picks, drawn, strict=True):
        rows = np.concatenate([np.flatnonzero(owner.index == g) for g in picked])
        assert one == pytest.approx(plain.plain[rows].mean(), rel=1e-12)
        assert other == pytest.approx(ratio.top[rows].sum() / ratio.bottom[rows].sum(), rel=1e-12)


def test_bootstrap_and_influence_agree() -> None:
    plain, ratio, _ = some(3000)
    owner = iv.Clusters.of(np.arange(3000) // 5)
    drawn = iv.bootstrap([plain, ratio], owner, 1000)
    for estimate, column in zip((plain, ratio), drawn.T, strict=True):
        assert column.std() == pytest.approx(iv.standard_error(estimate, owner), rel=0.1)
        assert iv.percentiles(estimate.value, column).low < estimate.value


def test_numbers_do_not_depend_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, ratio, owner = some()
    whole = iv.bootstrap([plain, ratio], owner, 40)
    monkeypatch.setattr(iv, "BLOCK", 20)
    assert iv.bootstrap([plain, ratio], owner, 40) == pytest.approx(whole, rel=1e-12)


def test_estimates_over_different_units_are_not_resampled_together() -> None:
    with pytest.raises(ValueError, match="cannot be resampled together"):
        iv.bootstrap([Estimate("a", np.ones(3)), Estimate("b", np.ones(4))])


def test_coverage_with_and_without_learners() -> None:
    """A small sister of `trailmark bench ope --coverage 1000`."""
    found = {c.name: c for c in coverage(60, 50, 60, 1.5, seed=1)}
    for name in ("SNIPS", "DR"):
        assert found[name].clustered >= 0.85
        assert found[name].alone <= 0.70
