"""Replay: walking a log in batches is stepping through each learner's life, and a simulated life replays to itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from trailmark.data.catalog import Catalog
from trailmark.data.log import DAY, Log
from trailmark.envs.classroom import Classroom, Pace, World
from trailmark.envs.observer import Observer
from trailmark.envs.outcomes import LearningGain
from trailmark.envs.replay import predictions, walk
from trailmark.envs.rows import map_tensors, take
from trailmark.envs.students.sampled import SampledStudent
from trailmark.envs.tracer import Evidence, Tracer
from trailmark.envs.tracers.bkt import BKT
from trailmark.envs.tracers.pfa import PFA
from trailmark.envs.tracers.tally import Tally

MODELS: dict[str, Tracer] = {"BKT": BKT(), "PFA": PFA(), "Tally": Tally()}


@pytest.fixture(scope="module", params=list(MODELS))
def tracer(request: pytest.FixtureRequest, log: Log, programme: Catalog) -> Tracer:
    return MODELS[request.param].fit(log, programme)


@pytest.fixture(scope="module")
def ragged(log: Log, programme: Catalog) -> Log:
    """Learners with 1 to 30 rows each, in no order of length."""
    seen = log.frame.groupby("learner").cumcount()
    length = log.frame["learner"].map({name: 1 + (7 * i) % 30 for i, name in enumerate(log.learners)})
    return Log.from_frame(log.frame[seen < length].reset_index(drop=True), programme).subset(log.learners[:70])


def one_by_one(tracer: Tracer, log: Log, catalog: Catalog) -> tuple[np.ndarray, list[object]]:
    """Predictions and beliefs before each row, learner by learner, row by row."""
    predicted, beliefs = [], []
    for _, life in log.frame.groupby("learner", sort=False):
        belief, before = tracer.start(1), None
        for activity, correct, seconds in zip(life["activity"], life["correct"], life["timestamp"], strict=True):
            if before is not None:
                belief = tracer.elapse(belief, torch.tensor([(seconds - before) / DAY], dtype=torch.float32))
            at = torch.tensor([catalog.activity_index[activity]])
            beliefs.append(belief)
            predicted.append(float(tracer.predict_at(belief, at)))
            belief, before = tracer.update(belief, Evidence(at, torch.tensor([correct], dtype=torch.float32))), seconds
    return np.array(predicted), beliefs


def close(a: object, b: object) -> bool:
    flat: list[bool] = []
    map_tensors(lambda x, y: (flat.append(torch.allclose(x, y, atol=1e-5)), x)[1], a, b)
    return all(flat)


def test_walking_is_stepping(tracer: Tracer, ragged: Log, programme: Catalog) -> None:
    expected, beliefs = one_by_one(tracer, ragged, programme)
    assert np.allclose(predictions(tracer, ragged, programme), expected, atol=1e-5)
    sequences, met = ragged.sequences(programme), []
    for rows, belief, evidence in walk(tracer, sequences):
        met += rows.tolist()
        assert np.array_equal(evidence.activity.numpy(), sequences.activity[rows.numpy()])
        assert np.array_equal(evidence.correct.numpy(), sequences.correct[rows.numpy()])
        for i, row in enumerate(rows.tolist()):
            assert close(take(belief, slice(i, i + 1)), beliefs[row])
    assert sorted(met) == list(range(len(ragged)))


def test_a_prediction_knows_only_the_learners_own_past(tracer: Tracer, ragged: Log, programme: Catalog) -> None:
    """Turning an answer round changes no prediction but the later ones of that learner."""
    before = predictions(tracer, ragged, programme)
    frame = ragged.frame.copy()
    row = int(np.flatnonzero(frame.groupby("learner").cumcount() == 3)[2])
    frame.loc[row, "correct"] = 1.0 - frame.loc[row, "correct"]
    after = predictions(tracer, Log(frame, "turned"), programme)
    later = (frame["learner"] == frame.loc[row, "learner"]) & (frame.index > row)
    assert later.any()
    assert np.array_equal(before[~later], after[~later])
    assert not np.array_equal(before[later], after[later])


def test_a_log_without_times_lets_no_day_pass(tracer: Tracer, ragged: Log, programme: Catalog) -> None:
    frame = ragged.frame.copy()
    frame["timestamp"] = 0.0
    timeless = Log(frame, "timeless")
    expected, _ = one_by_one(tracer, timeless, programme)
    assert np.allclose(predictions(tracer, timeless, programme), expected, atol=1e-5)


def test_learners_far_apart_in_time_share_no_clock(log: Log, programme: Catalog) -> None:
    """Shifting one learner's whole life by years changes nothing."""
    tracer = BKT().fit(log, programme)
    few = log.subset(log.learners[:5])
    frame = few.frame.copy()
    frame.loc[frame["learner"] == few.learners[2], "timestamp"] += 3000 * DAY
    here, there = (predictions(tracer, each, programme) for each in (few, Log(frame, "moved")))
    assert np.allclose(here, there, atol=1e-6)


def test_what_a_classroom_did_replays_to_the_same_beliefs(tracer: Tracer, log: Log, programme: Catalog) -> None:
    """Train/serve parity: the record before each step is the belief that the log of the session gives."""
    n, steps, pace = 25, 12, Pace(4, 2.5)
    student = SampledStudent(BKT().fit(log, programme), programme)
    world = World(student, Observer(tracer, programme, {}, steps), {"gain": LearningGain()}, {"gain": 1.0}, pace)
    room = Classroom(world, 0, 0, n)
    rows, beliefs = [], []
    for t in range(steps):
        activity = (room.act()[:, 0] * 7).long()
        beliefs.append(room.record.belief)
        moment = room.step(activity)
        day = pace.gap_days * (t // pace.sitting) + 100.0
        for i in range(n):
            name = programme.activity_ids[int(activity[i])]
            rows.append((f"u{i}", name, float(moment.response.correct[i]), day * DAY))
    frame = pd.DataFrame(rows, columns=["learner", "activity", "correct", "timestamp"])
    replayed = Log.from_frame(frame, programme, drop_repeats=False)
    sequences = replayed.sequences(programme)
    for t, (_, belief, _) in enumerate(walk(tracer, sequences)):
        assert sequences.learners.tolist() == [f"u{i}" for i in range(n)]
        assert close(belief, beliefs[t])
    predicted = predictions(tracer, replayed, programme).reshape(n, steps)
    at = torch.from_numpy(sequences.activity.reshape(n, steps))
    for t in range(steps):
        assert np.allclose(predicted[:, t], tracer.predict_at(beliefs[t], at[:, t]).numpy(), atol=1e-5)
