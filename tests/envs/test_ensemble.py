"""Ensembles: samples of learners, members of their own, predictions that are their mean."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from trailmark.data.catalog import Catalog
from trailmark.data.log import Log
from trailmark.envs.pack import load, save
from trailmark.envs.replay import predictions
from trailmark.envs.rng import Purpose, Rng
from trailmark.envs.tracer import Evidence
from trailmark.envs.tracers.bkt import BKT
from trailmark.envs.tracers.dkt import DKT
from trailmark.envs.tracers.ensemble import Ensemble, resampled
from trailmark.envs.tracers.pfa import PFA

DEEP = DKT(hidden=8, width=6, tokens=600, length=20, epochs=2, rate=0.01)


@pytest.fixture(scope="module")
def three(log: Log, programme: Catalog) -> Ensemble:
    return Ensemble(PFA()).fit(log, programme)


def test_a_sample_holds_whole_lives_of_as_many_learners(log: Log) -> None:
    sample = resampled(log, 3, 0.2)
    assert len(sample.learners) == len(set(sample.learners)) == len(log.learners)
    lives = dict(iter(log.frame.groupby("learner")))
    for name, life in sample.frame.groupby("learner"):
        origin = lives[str(name).split("#")[0]]
        assert life["activity"].tolist() == origin["activity"].tolist()
        assert life["correct"].tolist() == origin["correct"].tolist()
    origins = {name.split("#")[0] for name in sample.learners}
    assert 0.6 < len(origins) / len(log.learners) < 0.78  # .2 once each, and 1 - 1/e of the others
    assert resampled(log, 3, 0.2).digest() == sample.digest() != resampled(log, 4, 0.2).digest()


def test_no_copy_is_on_both_sides_of_a_split(log: Log) -> None:
    for names in (
        log,
        Log(log.frame.assign(split=np.where(log.frame["learner"] < "learner-0060", "valid", "train")), "named"),
    ):
        parts = resampled(names, 0, 0.2).split(9, 0.1, 0.0)
        sides = [{name.split("#")[0] for name in part.learners} for part in (parts.train, parts.valid)]
        assert all(sides)
        assert not sides[0] & sides[1]
        assert len(sides[1]) == len(parts.valid.learners)
    assert sides[1] == set(names.split(0, 0.1, 0.0).valid.learners)


def test_small_logs_can_be_sampled(log: Log) -> None:
    assert len(resampled(log.subset(log.learners[:1]), 0, 0.5)) == 30
    assert len(resampled(log.subset([]), 0, 0.5)) == 0


def test_it_is_the_mean_of_its_members(three: Ensemble) -> None:
    seen = Evidence(torch.tensor([0, 2]), torch.tensor([1.0, 0.0]))
    belief = three.update(three.start(2), seen)
    alone = [three.member(i).update(three.member(i).start(2), seen) for i in range(3)]
    each = torch.stack([three.member(i).predict(b) for i, b in enumerate(alone)])
    mastery = torch.stack([three.member(i).mastery(b) for i, b in enumerate(alone)])
    assert torch.allclose(three.predict(belief), each.mean(0))
    assert torch.allclose(three.mastery(belief), mastery.mean(0))
    features = three.features(belief)
    assert torch.equal(features[:, -mastery.shape[2] :], mastery.amax(0) - mastery.amin(0))
    assert float((each[0] - each[1]).abs().max()) > 1e-3  # they do differ


def test_members_can_be_had_one_by_one(three: Ensemble) -> None:
    assert isinstance(three.member(2), PFA)
    with pytest.raises(IndexError, match="the members 0 to 2"):
        three.member(3)
    with pytest.raises(RuntimeError, match="no members yet"):
        Ensemble(PFA()).member(0)
    with pytest.raises(ValueError, match="needs 1 or more"):
        Ensemble(PFA(), members=0)


def test_without_bootstrap_seeds_alone_differ(log: Log, programme: Catalog) -> None:
    same = Ensemble(PFA(), members=2, bootstrap=False).fit(log, programme)
    assert torch.equal(*(same.member(i).fitted().easiness for i in range(2)))  # type: ignore[attr-defined]
    deep = Ensemble(DEEP, members=2, bootstrap=False).fit(log, programme)
    first, second = (deep.member(i) for i in range(2))
    assert not torch.equal(first.fitted().readout, second.fitted().readout)  # type: ignore[attr-defined]


def test_a_killed_ensemble_goes_on(log: Log, programme: Catalog, tmp_path: Path) -> None:
    """Every member has its own folder; a second fit finds them all done."""
    model = Ensemble(replace(DEEP, checkpoint=str(tmp_path / "fit")), members=2)
    first = model.fit(log, programme)
    assert sorted(p.name for p in (tmp_path / "fit").iterdir() if not p.name.startswith(".")) == ["member0", "member1"]
    again = model.fit(log, programme)
    assert torch.equal(again.predict(again.start(1)), first.predict(first.start(1)))


def test_several_predict_better_than_one(log: Log, held_out: Log, programme: Catalog) -> None:
    model = Ensemble(replace(DEEP, epochs=6), members=4).fit(log, programme)
    truth = held_out.frame["correct"]
    alone = [roc_auc_score(truth, predictions(model.member(i), held_out, programme)) for i in range(4)]
    assert roc_auc_score(truth, predictions(model, held_out, programme)) > np.mean(alone) + 0.002


def test_members_that_hide_a_state_are_settled_each(log: Log, programme: Catalog, tmp_path: Path) -> None:
    model = Ensemble(BKT(classes=1), members=2).fit(log, programme)
    rng = Rng.enrol(0, 0, 5)
    settled = model.settle(model.draw(rng), rng, next(iter(Purpose)))
    for i in range(2):
        one = model.member(i)
        expected = one.mastery(one.settle(one.draw(rng), rng, next(iter(Purpose))))
        assert torch.equal(one.mastery(settled.members[i]), expected)
    save(model, tmp_path / "model")
    assert torch.equal(load(tmp_path / "model").predict(model.start(3)), model.predict(model.start(3)))
