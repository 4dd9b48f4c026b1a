"""What happened between decisions: read from lists and from text, and refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trailmark.data.catalog import Catalog
from trailmark.data.decisions import Decisions
from trailmark.data.errors import DataError
from trailmark.envs.worlds import onboarding_world


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return onboarding_world().observer.catalog


def rows(catalog: Catalog) -> pd.DataFrame:
    a, b = catalog.activity_ids[:2]
    return pd.DataFrame(
        {
            "learner": ["x", "x", "y"],
            "activity": [a, b, a],
            "propensity": [0.5, 0.5, 0.25],
            "waited": [0.0, 2.5, 0.0],
            "since": [[], [a, "-", b], ["-"]],
            "since_correct": [[], [1.0, 0.0, 0.5], [0.0]],
            "since_minutes": [[], [3.0, 0.0, 4.0], [0.0]],
            "since_accepted": [[], [1.0, 1.0, 0.0], [1.0]],
            "since_days": [[], [0.0, 1.5, 0.25], [4.0]],
        }
    )


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_events_are_read_in_order(catalog: Catalog, tmp_path: Path, kind: str) -> None:
    frame, path = rows(catalog), tmp_path / f"log.{kind}"
    if kind == "csv":
        lists = [name for name in frame if name.startswith("since")]
        for name in lists:
            frame[name] = frame[name].map(lambda entries: "|".join(map(str, entries)))
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    found = Decisions.load(path, catalog)
    between = found.between
    assert between is not None
    assert between.start.tolist() == [0, 0, 3, 4]
    assert between.activity.tolist() == [0, -1, 1, -1]
    assert between.correct.tolist() == [1.0, 0.0, 0.5, 0.0]
    assert between.minutes.tolist() == [3.0, 0.0, 4.0, 0.0]
    assert between.accepted.tolist() == [True, True, False, True]
    assert between.days.tolist() == [0.0, 1.5, 0.25, 4.0]
    assert np.array_equal(found.numbers("waited"), [0.0, 2.5, 0.0])


def test_a_log_that_does_not_say_has_none(catalog: Catalog) -> None:
    assert Decisions.from_frame(rows(catalog)[["learner", "activity", "propensity"]], catalog).between is None


def test_faults_are_named(catalog: Catalog) -> None:
    frame = rows(catalog)
    with pytest.raises(DataError, match="no column 'since_days'"):
        assert Decisions.from_frame(frame.drop(columns="since_days"), catalog).between
    uneven = frame.assign(since_minutes=[[], [3.0], [0.0]])
    with pytest.raises(DataError, match=r"decision 2.*since_minutes.*not as long as 'since'"):
        assert Decisions.from_frame(uneven, catalog).between
    words = frame.assign(since_correct=[[], ["1", "0", "0"], ["well"]])
    with pytest.raises(DataError, match=r"decision 3.*since_correct.*no number"):
        assert Decisions.from_frame(words, catalog).between
    unknown = frame.assign(since=[[], ["-", "-", "nothing"], ["-"]])
    with pytest.raises(DataError, match="unknown activity 'nothing'"):
        Decisions.from_frame(unknown, catalog)
