"""Lived: the log says what happened, in the order of time, and hides what nobody could have recorded."""

from __future__ import annotations

import numpy as np
import pytest

from trailmark.data.errors import DataError
from trailmark.data.log import Log
from trailmark.data.programmes import onboarding
from trailmark.envs.lived import Lived
from trailmark.envs.students.kss import KSS
from trailmark.envs.students.ssr import SSR
from trailmark.envs.students.ssr_motivation import Motivation
from trailmark.envs.students.ssr_population import Population


@pytest.fixture(scope="module")
def source() -> Lived:
    return Lived(
        SSR(motivation=Motivation(mandatory=True), population=Population(onboarding=60.0)), learners=40, steps=12
    )


@pytest.fixture(scope="module")
def log(source: Lived) -> Log:
    found, catalog = source.load()
    assert catalog == onboarding()
    return found


def test_it_is_a_log_of_those_learners(source: Lived, log: Log) -> None:
    assert len(log.learners) == 40
    assert (log.frame.groupby("learner").size() <= 12).all()
    assert set(log.frame["role"]) <= set(onboarding().roles)
    assert source.load()[0].digest() == log.digest()
    assert Lived(source.student, 41, 12).load()[0].digest() != log.digest()


def test_everything_offered_is_equally_likely(log: Log) -> None:
    catalog = onboarding()
    offered, role = catalog.offered(), log.frame["role"].map({r: i for i, r in enumerate(catalog.roles)}).to_numpy()
    place = log.frame["activity"].map(catalog.activity_index).to_numpy()
    assert offered[role, place].all()
    first = log.frame.groupby("learner").head(1)
    n = offered[first["role"].map({r: i for i, r in enumerate(catalog.roles)})].sum(1)
    assert np.allclose(1.0 / first["propensity"], n)


def test_time_goes_by(log: Log) -> None:
    gaps = log.frame.groupby("learner")["timestamp"].diff().dropna()
    assert (gaps > 0).all()
    assert (gaps > 86_400).mean() > 0.02  # days off between sessions
    assert 0.2 < log.frame["correct"].mean() < 0.9


def test_a_programme_is_named_or_a_path() -> None:
    _, catalog = Lived(SSR(), 3, 3, "leadership").load()
    assert len(catalog.skills) == 26
    with pytest.raises(DataError, match="nowhere"):
        Lived(SSR(), 3, 3, "nowhere").load()


def test_other_learners_leave_logs_too() -> None:
    log, catalog = Lived(KSS(), 5, 6).load()
    assert (len(log.learners), len(catalog.skills)) == (5, 10)
