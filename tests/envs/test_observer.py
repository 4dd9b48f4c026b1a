"""The observer: what people say comes last, no row is ever empty, and features tile their space."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trailmark.data.catalog import Catalog
from trailmark.data.log import Log
from trailmark.envs.guards import Guard, Offered, Prerequisites, TimeBudget
from trailmark.envs.observer import NOBODY, Observation, Observer, Record
from trailmark.envs.rows import map_tensors, take
from trailmark.envs.student import Context
from trailmark.envs.tracer import Evidence, Tracer
from trailmark.envs.tracers.bkt import BKT
from trailmark.envs.tracers.pfa import PFA
from trailmark.envs.tracers.tally import Tally

Known = Callable[[Observer, int, int], Record]
Catalogs = st.SearchStrategy[Catalog]
SEEDS = st.integers(0, 10_000)
RULES: dict[str, Guard] = {"roles": Offered(), "before": Prerequisites(0.6), "time": TimeBudget()}


def observer_of(catalog: Catalog, tracer: Tracer | None = None, horizon: int = 10) -> Observer:
    return Observer(tracer or Tally().of(catalog), catalog, RULES, horizon)


def fresh(observer: Observer, n: int = 1, minutes: float = float("inf")) -> Record:
    none = torch.zeros(n, 0, dtype=torch.int64)
    goal = torch.ones(n, len(observer.catalog.skill_ids))
    return observer.start(Context(none.new_zeros(n), goal, torch.full((n,), minutes), none, none.float()))


def given_to(
    observer: Observer, record: Record, activity: list[int], accepted: bool = True, correct: float = 1.0
) -> Record:
    n = len(activity)
    yes, score = torch.full((n,), accepted), torch.full((n,), correct)
    return observer.update(record, torch.tensor(activity), score, torch.full((n,), 7.0), yes)


# -------------------------------------------------------------------------------------------------- the mask


@settings(max_examples=40)
@given(data=st.data(), seed=SEEDS)
def test_the_mask_in_words(data: st.DataObject, catalogs: Catalogs, known: Known, seed: int) -> None:
    """Rules, then a person's choice instead of them, then a person's veto; the fallback where nothing is left."""
    observer = observer_of(data.draw(catalogs))
    record = known(observer, 8, seed)
    before = map_tensors(torch.clone, record)
    seen, allowed = observer.observe(record), observer.allowed(record).tolist()
    assert seen.mask.dtype == seen.handover.dtype == torch.bool
    assert bool(seen.mask.any(1).all())
    for i in range(8):
        chosen, vetoed = int(record.override[i]), record.veto[i].tolist()
        row = [a == chosen for a in range(len(vetoed))] if chosen != NOBODY else allowed[i]
        row = [yes and not no for yes, no in zip(row, vetoed, strict=True)]
        assert bool(seen.handover[i]) == (not any(row))
        expected = row if any(row) else [a == observer.catalog.fallback for a in range(len(row))]
        assert seen.mask[i].tolist() == expected
    assert all(torch.equal(a, b) for a, b in zip(tensors(before), tensors(record), strict=True))


def tensors(record: Record | Observation) -> list[Tensor]:
    found: list[Tensor] = []
    map_tensors(lambda t: (found.append(t), t)[1], record)
    return found


@settings(max_examples=40)
@given(data=st.data(), seed=SEEDS)
def test_unguarded_keeps_what_people_said(data: st.DataObject, catalogs: Catalogs, known: Known, seed: int) -> None:
    observer = observer_of(data.draw(catalogs))
    record = known(observer, 8, seed)
    free = observer.unguarded()
    assert bool(free.allowed(record).all())
    assert observer.guards == RULES
    mask = free.observe(record).mask
    for i in range(8):
        chosen = int(record.override[i])
        row = torch.arange(mask.shape[1]) == chosen if chosen != NOBODY else torch.ones(mask.shape[1], dtype=torch.bool)
        row = row & ~record.veto[i]
        if bool(row.any()):
            assert torch.equal(mask[i], row)
    assert torch.equal(free.observe(record).features, observer.observe(record).features)


@settings(max_examples=40)
@given(data=st.data(), seed=SEEDS)
def test_each_learner_is_observed_alone(data: st.DataObject, catalogs: Catalogs, known: Known, seed: int) -> None:
    observer = observer_of(data.draw(catalogs))
    record = known(observer, 8, seed)
    for index in (torch.tensor([2]), torch.tensor([7, 1, 4])):
        whole, part = observer.observe(record), observer.observe(take(record, index))
        assert all(torch.equal(p, w[index]) for p, w in zip(tensors(part), tensors(whole), strict=True))


def test_an_override_opens_what_rules_close_and_lasts_until_it_is_followed(programme: Catalog) -> None:
    observer = observer_of(programme)
    project = programme.activity_index["project"]
    record = fresh(observer)
    assert not bool(observer.observe(record).mask[0, project])
    record = record._replace(override=torch.tensor([project]))
    assert observer.observe(record).mask[0].nonzero().flatten().tolist() == [project]
    record = given_to(observer, record, [0])
    assert record.override.tolist() == [project]
    record = given_to(observer, record, [project])
    assert record.override.tolist() == [NOBODY]
    assert not bool(observer.observe(record).handover[0])


def test_each_learner_keeps_the_own_override(programme: Catalog) -> None:
    observer = observer_of(programme)
    record = fresh(observer, 3)._replace(override=torch.tensor([2, 2, NOBODY]))
    assert given_to(observer, record, [2, 1, 0]).override.tolist() == [NOBODY, 2, NOBODY]


def test_a_veto_beats_an_override_and_stays(programme: Catalog) -> None:
    observer = observer_of(programme)
    record = fresh(observer)._replace(override=torch.tensor([2]))
    record.veto[0, 2] = True
    seen = observer.observe(record)
    assert bool(seen.handover[0])
    assert seen.mask[0].nonzero().flatten().tolist() == [programme.fallback]
    assert bool(given_to(observer, record, [0]).veto[0, 2])


# ------------------------------------------------------------------------------------------------ the record


def test_start_is_blank(programme: Catalog) -> None:
    record = fresh(observer_of(programme), n=2, minutes=90.0)
    assert (record.last.tolist(), record.override.tolist(), record.step.tolist()) == ([-1, -1], [-1, -1], [0, 0])
    assert record.last_correct.tolist() == [0.5, 0.5]
    assert not record.history.attempts.any()
    assert not record.veto.any()
    assert (record.minutes_used.tolist(), record.minutes_budget.tolist()) == ([0.0, 0.0], [90.0, 90.0])


def test_start_takes_the_past_in(programme: Catalog) -> None:
    """The belief is that after the past answers in order; no step and no minute of the session is spent."""
    observer = observer_of(programme)
    past, right = torch.tensor([[0, 1, 0], [3, 3, 2]]), torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    context = Context(torch.zeros(2, dtype=torch.int64), torch.ones(2, 6), torch.full((2,), 60.0), past, right)
    record = observer.start(context)
    belief = observer.tracer.start(2)
    for t in range(3):
        belief = observer.tracer.update(belief, Evidence(past[:, t], right[:, t]))
    assert all(torch.equal(a, b) for a, b in zip(record.belief, belief, strict=True))
    assert record.history.attempts.tolist() == [[2, 1, 0, 0, 0, 0, 0], [0, 0, 1, 2, 0, 0, 0]]
    assert (record.last.tolist(), record.last_correct.tolist()) == ([0, 2], [1.0, 1.0])
    assert (record.step.tolist(), record.minutes_used.tolist()) == ([0, 0], [0.0, 0.0])
    declined = observer.start(context._replace(last=torch.tensor([1, NOBODY])))
    assert declined.last.tolist() == [1, NOBODY]


def test_update_counts_what_was_done(programme: Catalog) -> None:
    observer = observer_of(programme)
    start = fresh(observer, 2)
    record = given_to(observer, given_to(observer, start, [1, 4]), [1, 0])
    assert record.history.attempts.tolist() == [[0, 2, 0, 0, 0, 0, 0], [1, 0, 0, 0, 1, 0, 0]]
    assert (record.step.tolist(), record.last.tolist()) == ([2, 2], [1, 0])
    assert (record.minutes_used.tolist(), record.last_correct.tolist()) == ([14.0, 14.0], [1.0, 1.0])
    assert not start.history.attempts.any()


def test_history_keeps_what_schedulers_need(programme: Catalog) -> None:
    """Right answers, streaks, days since, and the latest interactions in order; a declined activity is not in it."""
    observer = replace(observer_of(programme), window=3)
    record = fresh(observer)
    for activity, correct in ((1, 1.0), (1, 1.0), (2, 0.4), (1, 0.0), (1, 0.5)):
        record = given_to(observer, record, [activity], correct=correct)
        record = observer.elapse(record, torch.tensor([2.0]))
    record = given_to(observer, record, [3], accepted=False)
    seen = record.history
    assert seen.attempts.tolist() == [[0, 4, 1, 0, 0, 0, 0]]
    assert seen.right.tolist() == [[0, 3, 0, 0, 0, 0, 0]]
    assert seen.streak.tolist() == [[0, 1, 0, 0, 0, 0, 0]]
    each = 7.0 / 1440.0  # days that each activity takes; they count as much as pauses
    assert seen.since.tolist() == [[math.inf, *(pytest.approx(d) for d in (2 + each, 6 + 3 * each)), *[math.inf] * 4]]
    assert (seen.recent.tolist(), seen.recent_correct.tolist()) == ([[2, 1, 1]], [[pytest.approx(0.4), 0.0, 0.5]])


def test_a_declined_activity_leaves_its_time_alone(programme: Catalog) -> None:
    """It is not done: it opens nothing that waits for it, tells nothing, and the learner stands where they stood."""
    observer = observer_of(programme)
    before = given_to(observer, fresh(observer), [2], correct=0.25)
    record = given_to(observer, before, [0], accepted=False)
    assert torch.equal(observer.tracer.mastery(record.belief), observer.tracer.mastery(before.belief))
    assert record.last_correct.tolist() == [0.25]
    assert (record.last.tolist(), record.history.attempts.tolist()) == ([2], [[0, 0, 1, 0, 0, 0, 0]])
    assert (record.step.tolist(), record.minutes_used.tolist()) == ([2], [14.0])


def test_elapse_is_the_tracers(log: Log, programme: Catalog) -> None:
    tracer = BKT(iterations=5).fit(log, programme)
    observer = observer_of(programme, tracer)
    record, days = fresh(observer, 2), torch.tensor([0.0, 9.0])
    later = observer.elapse(record, days)
    assert torch.equal(later.belief.known, tracer.elapse(record.belief, days).known)
    assert bool((later.belief.known[1] < record.belief.known[1]).any())
    assert torch.equal(later.history.since, record.history.since + days[:, None])
    told = {"belief": record.belief, "day": record.day, "away": record.away, "history": record.history}
    assert (later.day.tolist(), later.away.tolist()) == ([0.0, 9.0], [0.0, 9.0])
    later = later._replace(**told)
    assert all(torch.equal(a, b) for a, b in zip(tensors(later), tensors(record), strict=True))


def test_sessions_and_weeks_are_told_apart(programme: Catalog) -> None:
    """An hour away ends a session; the week's minutes are forgotten when the week is over."""
    observer = observer_of(programme)
    record = given_to(observer, fresh(observer, 2), [0, 1])
    assert (record.sitting.tolist(), record.week.tolist()) == ([7.0, 7.0], [7.0, 7.0])
    record = observer.elapse(record, torch.tensor([0.01, 3.0]))
    assert (record.sitting.tolist(), record.week.tolist()) == ([7.0, 0.0], [7.0, 7.0])
    record = given_to(observer, record, [0, 1], accepted=False)
    assert (record.sitting.tolist(), record.week.tolist()) == ([14.0, 7.0], [14.0, 14.0])
    assert record.taken.tolist() == [0.0, 0.0]
    record = observer.elapse(record, torch.tensor([7.0, 1.0]))
    assert record.week.tolist() == [0.0, 14.0]
    assert record.away.tolist() == [7.0, 1.0]
    torch.testing.assert_close(record.day, torch.tensor([7.01, 4.0]) + 14.0 / 1440.0)


def test_context_shows_role_time_and_deadlines(programme: Catalog) -> None:
    due = {"read": 10.0, "drill": 30.0}
    catalog = replace(
        programme,
        activities=tuple(replace(a, mandatory=a.id in due, deadline=due.get(a.id)) for a in programme.activities),
    )
    observer = replace(observer_of(catalog), context=True)
    record = fresh(observer, 3)._replace(role=torch.tensor([0, 1, 1]), day=torch.tensor([3.0, 3.0, 3.0]))
    attempts = torch.tensor([[0] * 7, [1, 0, 0, 0, 0, 0, 0], [1] * 7], dtype=torch.int32)
    record = record._replace(history=record.history._replace(attempts=attempts))
    seen = observer.observe(record)
    context = observer.space.of(seen, "context")
    assert context.shape == (3, 2 + 7)
    assert context[:, :2].tolist() == [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    torch.testing.assert_close(context[:, 2], torch.full((3,), 4.0).log())
    assert context[:, 7].tolist() == [1.0, 0.5, 0.0]  # the share of what is mandatory that is open
    torch.testing.assert_close(context[:, 8], torch.tensor([-7.0 / 7, -27.0 / 7, -torch.inf]).exp())
    plain = observer_of(catalog).observe(record).features
    assert torch.equal(plain, seen.features[:, : plain.shape[1]])


def test_on_a_device_every_tensor_lies_there(programme: Catalog) -> None:
    observer = observer_of(programme).on("meta")
    shown = (
        observer.offered,
        observer.minutes,
        observer.mandatory,
        observer.deadlines,
        observer.closes,
        observer.leads,
    )
    padded = (observer.skills.index, observer.needs.real, observer.after.index, observer.tracer.skills.index)
    assert {str(tensor.device) for tensor in (*shown, *padded)} == {"meta"}


# ---------------------------------------------------------------------------------------------- the features


@pytest.mark.parametrize("model", [BKT(iterations=3), PFA(), Tally()], ids=["BKT", "PFA", "Tally"])
def test_features_tile_their_space(model: Tracer, log: Log, programme: Catalog, known: Known) -> None:
    observer = observer_of(programme, model.fit(log, programme))
    record = known(observer, 5, 1)
    seen, space = observer.observe(record), observer.space
    assert seen.features.shape == (5, space.n_features)
    assert seen.features.dtype == torch.float32
    assert bool(torch.isfinite(seen.features).all())
    assert torch.equal(torch.cat([space.of(seen, name) for name, _ in space.groups], 1), seen.features)
    assert torch.equal(space.of(seen, "mastery"), observer.tracer.mastery(record.belief))
    assert torch.equal(space.of(seen, "goal"), record.goal)
    assert torch.equal(space.of(seen, "belief"), observer.tracer.features(record.belief))
    assert (space.n_activities, space.horizon) == (7, 10)
    with pytest.raises(KeyError, match="no feature group 'skill'; there are"):
        space.of(seen, "skill")


def test_progress_features(programme: Catalog) -> None:
    """The last answer, the shares of session and time left (1 where there is no limit), the last activity."""
    observer = observer_of(programme, horizon=20)
    record = fresh(observer, 4)._replace(
        last_correct=torch.tensor([1.0, 0.0, 0.5, 0.5]),
        step=torch.tensor([5, 10, 20, 0]),
        minutes_used=torch.tensor([10.0, 10.0, 0.0, 0.0]),
        minutes_budget=torch.tensor([40.0, float("inf"), 30.0, 0.0]),
    )
    record = record._replace(last=torch.tensor([-1, 0, 6, 2]))
    progress = observer.space.of(observer.observe(record), "progress")
    assert progress[:, :3].tolist() == [[1.0, 0.25, 0.75], [0.0, 0.5, 1.0], [0.5, 1.0, 1.0], [0.5, 0.0, 0.0]]
    torch.testing.assert_close(progress[:, 3], torch.tensor([0.0, 1 / 7, 1.0, 3 / 7]))  # the latest of 7, 0 = none


def test_over_at_the_horizon_or_when_time_is_up(programme: Catalog) -> None:
    observer = observer_of(programme, horizon=4)
    record = fresh(observer, 3, minutes=60.0)
    record = record._replace(step=torch.tensor([3, 4, 0]), minutes_used=torch.tensor([0.0, 0.0, 56.0]))
    assert observer.over(record).tolist() == [False, True, True]  # the shortest activity takes five minutes
    assert observer.unguarded().over(record).tolist() == [False, True, False]
