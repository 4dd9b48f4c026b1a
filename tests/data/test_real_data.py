"""The published files give the published counts; skipped where the files are not."""

from pathlib import Path

import numpy as np
import pytest

from trailmark.data.files import read_rows
from trailmark.data.sources.akt import AKT
from trailmark.data.sources.anki import Anki
from trailmark.data.sources.dkvmn import DKVMN
from trailmark.data.sources.gervet import Gervet
from trailmark.data.sources.junyi import Junyi
from trailmark.data.sources.pykt import PyKT


def test_assistments_2009_gervet(real_data: Path) -> None:
    log, catalog = Gervet(str(real_data / "assist2009/gervet")).load()
    split = log.split(seed=0, valid=0.0)
    assert (len(split.train), len(split.train.learners)) == (220_070, 2_491)
    assert (len(split.test), len(split.test.learners)) == (58_266, 623)
    assert (len(catalog.activities), len(catalog.skills)) == (149, 149)
    assert log.frame["correct"].mean() == pytest.approx(0.6586, abs=5e-5)
    assert not log.sequences(catalog).timed
    problems, items = Gervet(str(real_data / "assist2009/gervet"), granularity="problem").load()
    assert (len(items.activities), len(items.skills)) == (17_708, 123)
    assert items.q_matrix().sum(1).mean() == pytest.approx(1.197, abs=5e-4)
    assert len(problems) == 278_336


def test_algebra_2005_with_times(real_data: Path) -> None:
    log, catalog = Gervet(str(real_data / "algebra05_time/interactions.tsv.gz")).load()
    assert (len(log), len(log.learners), len(catalog.activities)) == (129_998, 114, 258)
    test = log.split(seed=0).test
    assert (len(test), len(test.learners)) == (24_796, 23)
    assert log.frame["correct"].mean() == pytest.approx(0.7536, abs=5e-5)
    sequences = log.sequences(catalog)
    assert sequences.timed
    span = sequences.days[sequences.start[1:] - 1]
    assert (np.median(span), span.max()) == (pytest.approx(82.5, abs=0.1), pytest.approx(280, abs=0.5))
    log, catalog = Gervet(str(real_data / "algebra05_time"), "problem").load()
    assert (len(log), len(catalog.activities), len(catalog.skills)) == (129_998, 48_080, 112)


def test_assistments_2015_pykt(real_data: Path) -> None:
    log, catalog = PyKT(str(real_data / "assist2015/pykt")).load()
    split = log.split(seed=0)
    assert (len(split.train) + len(split.valid), len(split.test)) == (544_339, 138_458)
    assert [len(part.learners) for part in (split.train, split.valid, split.test)] == [12_220, 3_055, 3_818]
    assert len(catalog.activities) == 100
    assert split.test.frame["correct"].mean() == pytest.approx(0.731, abs=5e-4)


def test_assistments_2009_akt_without_its_leak(real_data: Path) -> None:
    raw = merged = learners = 0
    for fold in range(1, 6):
        log, _ = AKT(str(real_data / f"assist2009/akt_pid_5fold/assist2009_pid_test{fold}.csv.gz")).load()
        here = int(log.notes[0].split()[1])
        raw, merged, learners = raw + len(log) + here, merged + here, learners + len(log.learners)
        assert "split" not in log.frame
    assert (raw, merged, learners) == (325_589, 51_033, 4_150)
    log, catalog = AKT(str(real_data / "assist2009/akt_pid_5fold"), fold=1, granularity="problem").load()
    assert (len(catalog.activities), len(catalog.skills)) == (16_891, 110)
    split = log.split(0)
    assert [len(part.learners) for part in (split.train, split.valid, split.test)] == [2_491, 830, 830]
    # The same problem twice in a row now means a second attempt, never a second skill with the same label.
    both, _ = AKT(str(real_data / "assist2009/akt_pid_5fold"), fold=1).load()
    same = (log.frame["activity"] == log.frame["activity"].shift()) & (
        log.frame["learner"] == log.frame["learner"].shift()
    )
    assert same.mean() < 0.04
    assert len(both) == len(log)


def test_dkvmn_files(real_data: Path) -> None:
    log, catalog = DKVMN(str(real_data / "assist2009/dkvmn_updated_5fold")).load()
    split = log.split(0)
    assert (len(split.train) + len(split.valid), len(split.test)) == (224_218, 101_419)
    assert (len(log.learners), len(catalog.skills)) == (4_151, 110)
    assert "Circumference" in {skill.title for skill in catalog.skills}
    log, _ = DKVMN(str(real_data / "assist2015/dkvmn_5fold"), fold=5).load()
    assert (len(log), len(log.split(0).test)) == (484_040 + 199_761, 199_761)


def test_anki_reviews(real_data: Path) -> None:
    log, catalog = Anki(str(real_data / "srs_reviews/review_logs.csv.gz")).load()
    assert (len(log), log.learners, len(catalog.activities)) == (12_580, ("review_logs",), 1_205)
    assert log.frame["correct"].sum() == 8_903 + 1


def test_junyi_map(real_data: Path) -> None:
    rows = read_rows(real_data / "junyi_graph/junyi_Exercise_table.csv.gz", "exercises")
    edges = {(row["name"], before) for _, row in rows for before in row["prerequisites"].split(",") if before}
    catalog, notes = Junyi(str(real_data / "junyi_graph")).load_catalog()
    assert (len(rows), len(edges), len(catalog.skills)) == (837, 981, 835)
    assert sum("self-loop" in note for note in notes) == 2
    assert sum("closes a cycle" in note for note in notes) == 1
    assert sum(len(skill.prerequisites) for skill in catalog.skills) == 978
