"""The desk: what was simulated is what is served, people come last, and nothing is decided twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from trailmark.agents.agent import sample
from trailmark.agents.bundle import PolicyBundle
from trailmark.agents.loop import live
from trailmark.envs.classroom import Classroom
from trailmark.envs.worlds import onboarding_world
from trailmark.experiments.serving.desk import ClashError, Desk, MissingError
from trailmark.experiments.serving.engine import Engine, EngineError, Happening, choose
from trailmark.experiments.serving.handover import HandOver
from trailmark.experiments.serving.store import Store
from trailmark.experiments.serving.view import queue

T = "tenant"


@pytest.fixture
def desk(engine: Engine, url: str, clock: Any) -> Iterator[Desk]:
    """A desk on each kind of store."""
    desk = Desk(engine, Store.open(url), HandOver(), clock)
    yield desk
    desk.store.close()


def lived(activity: str | None, correct: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"activity": activity, "correct": correct, "minutes": 5.0, "accepted": True, "days": 0.0} | more


def enrolled(desk: Desk, *names: str) -> None:
    for name in names:
        desk.enrol(T, f"enrol-{name}", name, None, 360.0, [], None)


def test_simulated_is_served(bundle: PolicyBundle, engine: Engine) -> None:
    """Sixty simulated learners, whole sessions: masks equal, probabilities within 1e-5 of the environment's."""
    world = onboarding_world()
    room = Classroom(world, 5, 0, 60)
    ids = bundle.observer.catalog.activity_ids
    context = world.student.context(room.start)
    roles = [world.observer.catalog.roles[i] for i in context.role.tolist()]
    past = [
        list(zip(a, c, strict=True))
        for a, c in zip(context.past_activity.tolist(), context.past_correct.tolist(), strict=True)
    ]
    each = [
        engine.enrol(role, minutes, [(ids[a], c) for a, c in known])
        for role, minutes, known in zip(roles, context.minutes.tolist(), past, strict=True)
    ]
    record = {name: np.concatenate([one[name] for one in each]) for name in each[0]}
    days, steps = torch.zeros(60), 0
    for turn in live(room, bundle.policy):
        _, sight = engine.step(record, [Happening(float(d)) for d in days])
        alive = turn.moment.alive.numpy()
        assert np.array_equal(sight.mask[alive], turn.seen.mask.numpy()[alive])
        np.testing.assert_allclose(sight.probabilities[alive], turn.probabilities.numpy()[alive], atol=1e-5)
        r = turn.moment.response
        happened = zip(
            days.tolist(),
            turn.action.tolist(),
            r.correct.tolist(),
            r.minutes.tolist(),
            r.accepted.tolist(),
            strict=True,
        )
        record, _ = engine.step(record, [Happening(*one) for one in happened])
        days, steps = r.days if r.days is not None else torch.zeros(60), steps + 1
    assert steps > 20


def test_choose_inverts_the_distribution() -> None:
    p = np.array([0.0, 0.2, 0.0, 0.5, 0.3, 0.0], np.float32)
    found = [choose(p, "s", str(i)) for i in range(20_000)]
    counts = np.bincount([place for place, _ in found], minlength=6)
    assert counts[[0, 2, 5]].sum() == 0
    assert chisquare(counts[[1, 3, 4]], 20_000 * p[[1, 3, 4]]).pvalue > 1e-3
    assert all(chance == p[place] for place, chance in found)
    assert choose(p, "s", "7") == choose(p, "s", "7")


def test_a_request_is_answered_once(desk: Desk) -> None:
    enrolled(desk, "ada")
    first = desk.decide(T, "d", "ada", 3, None, None)
    event = desk.event(T, "e", "ada", lived(first["activity"]))
    assert desk.event(T, "e", "ada", lived(first["activity"])) == event
    assert desk.decide(T, "d", "ada", 3, None, None) == first
    assert len(desk.store.ledger(T, "ada")) == 3
    assert int(desk.engine.unpack([desk.store.learner(T, "ada").record])["record.step"][0]) == 1  # type: ignore[union-attr]
    with pytest.raises(ClashError, match="already used"):
        desk.decide(T, "e", "ada", 1, None, None)
    with pytest.raises(ClashError, match="twice in one batch"):
        desk.decide_many(T, [("x", "ada", 1, None, None), ("x", "ada", 1, None, None)])
    with pytest.raises(ClashError, match="already"):
        desk.enrol(T, "again", "ada", None, None, [], None)


def test_tenants_do_not_see_each_other(desk: Desk) -> None:
    enrolled(desk, "ada")
    with pytest.raises(MissingError, match="enrol first"):
        desk.decide("other", "d", "ada", 1, None, None)
    desk.enrol("other", "enrol-ada", "ada", None, None, [], None)
    assert [line.tenant for line in desk.store.every("other")] == ["other"]


def test_people_come_last(desk: Desk) -> None:
    enrolled(desk, "ada")
    ids = [a["id"] for a in desk.engine.activities]
    locked = next(a for a in ids if a not in _allowed(desk, "before"))
    desk.say(T, "o", "ada", "coach", "override", locked, True, "she asked for it")
    said = desk.decide(T, "d1", "ada", 3, None, None)
    assert (said["activity"], said["propensity"]) == (locked, 1.0)
    assert said["suggestions"][0]["reasons"][0] == "A person chose it."
    body = desk.store.request(T, "d1").body  # type: ignore[union-attr]
    assert body["override"]
    assert body["who"]["by"] == "coach"
    assert body["recommended"] in _allowed(desk, "before")
    assert 0.0 < body["recommended_propensity"] < 1.0
    desk.say(T, "v", "ada", "coach", "veto", locked, True, "not yet after all")
    assert desk.decide(T, "d2", "ada", 1, None, None)["activity"] != locked
    desk.say(T, "p", "ada", "coach", "pause", None, True, "I take over")
    paused = desk.decide(T, "d3", "ada", 1, None, None)
    assert paused["paused"]
    assert paused["activity"] is None
    desk.say(T, "p2", "ada", "coach", "pause", None, False, "back")
    desk.stop(T, "s", "head", True, "something is off")
    assert desk.decide(T, "d4", "ada", 1, None, None)["paused"]
    desk.stop(T, "s2", "head", False, "solved")
    assert desk.decide(T, "d5", "ada", 1, None, None)["activity"] is not None


def _allowed(desk: Desk, request: str) -> list[str]:
    desk.decide(T, request, "ada", 1, None, None)
    allowed: list[str] = desk.store.request(T, request).body["allowed"]  # type: ignore[union-attr]
    return allowed


def test_an_override_is_used_up_by_its_activity(desk: Desk) -> None:
    enrolled(desk, "ada")
    wanted = desk.engine.activities[4]["id"]
    desk.say(T, "o", "ada", "coach", "override", wanted, True, "first this")
    desk.event(T, "e1", "ada", lived(desk.engine.activities[0]["id"]))
    assert desk.decide(T, "d1", "ada", 1, None, None)["activity"] == wanted
    desk.event(T, "e2", "ada", lived(wanted))
    assert not desk.store.request(T, _decided(desk, "d2")).body["override"]  # type: ignore[union-attr]


def _decided(desk: Desk, request: str) -> str:
    desk.decide(T, request, "ada", 1, None, None)
    return request


@pytest.mark.parametrize(
    ("happenings", "words"),
    [
        ([lived(None, confidence=0.1)], "confidence is 10%"),
        ([lived("A", accepted=False)] * 3, "declined 3 activities"),
        ([lived("A", correct=0.0)] * 4, "4 wrong answers"),
        ([lived("A", correct=0.0), lived("A", correct=1.0)] * 5, "wheel-spinning"),
    ],
)
def test_who_needs_a_person(desk: Desk, happenings: list[dict[str, Any]], words: str) -> None:
    enrolled(desk, "ada", "bob")
    desk.rule = replace(desk.rule, mastery=0.9) if "wheel" in words else desk.rule
    first = desk.engine.activities[-1]["id"]
    for i, one in enumerate(happenings):
        said = desk.event(T, f"e{i}", "ada", one | {"activity": first if one["activity"] else None})
    assert words in said["attention"]
    assert [one["learner"] for one in queue(desk, T)] == ["ada"]
    desk.say(T, "s", "ada", "coach", "seen", None, True, "we talked")
    assert queue(desk, T) == []
    assert desk.decide(T, "after", "ada", 1, 0.0, None)["attention"] is None
    if "wheel" in words:  # as many attempts more are a reason again
        for i in range(desk.rule.attempts):
            said = desk.event(T, f"more{i}", "ada", lived(first, correct=float(i % 2)))
        assert "20 attempts" in said["attention"]


def test_who_stays_away_is_queued_and_those_beyond_capacity_wait(desk: Desk, clock: Any) -> None:
    desk.rule = HandOver(capacity=2)
    enrolled(desk, "ada", "bob", "cyd")
    assert queue(desk, T) == []
    clock.now += 20 * 86400
    assert [one["waits"] for one in queue(desk, T)] == [False, False, True]
    assert "away for 20 days" in queue(desk, T)[0]["reason"]


def test_the_record_is_lived_again_under_another_bundle(desk: Desk, folder: Path) -> None:
    enrolled(desk, "ada")
    for i in range(6):
        activity = desk.decide(T, f"d{i}", "ada", 1, 0.5, None)["activity"]
        desk.event(T, f"e{i}", "ada", lived(activity, float(i % 2), days=0.5))
    desk.say(T, "v", "ada", "coach", "veto", desk.engine.activities[3]["id"], True, "no")
    stored = desk.store.learner(T, "ada")
    assert stored is not None
    desk.store.put(T, stored._replace(bundle="of another time", record=b"unreadable"))
    _, again = desk.known(T, "ada")
    assert desk.engine.pack(again) == [stored.record]


def test_feedback_says_what_changed(desk: Desk) -> None:
    enrolled(desk, "ada")
    activity = desk.engine.activities[0]["id"]
    said = desk.event(T, "e", "ada", lived(activity, 1.0))
    assert said["mastery"][0]["after"] > said["mastery"][0]["before"]
    assert said["goal"]["after"] > said["goal"]["before"]
    assert said["words"][0] == "That was right."


def test_a_changed_byte_and_a_missing_graph_are_refused(bundle: PolicyBundle, folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    content = bytearray((copy / "policy.onnx").read_bytes())
    content[1000] ^= 1
    (copy / "policy.onnx").write_bytes(bytes(content))
    with pytest.raises(EngineError, match=r"policy\.onnx: changed"):
        Engine.load(copy)
    bundle.save(tmp_path / "plain")
    with pytest.raises(EngineError, match="--no-onnx"):
        Engine.load(tmp_path / "plain")
    with pytest.raises(EngineError, match=r"is .* a bundle"):
        Engine.load(tmp_path)


def test_a_bundle_without_the_idle_graph_is_served_the_same(engine: Engine) -> None:
    assert engine.idle is not None
    record = engine.enrol(None, 300.0, [(engine.names[0], 1.0), (engine.names[1], 0.0)])
    runs = [Engine.step(one, record, [Happening(2.5)]) for one in (engine, replace(engine, idle=None))]
    for a, b in ((runs[0][0], runs[1][0]), (runs[0][1]._asdict(), runs[1][1]._asdict())):
        assert a.keys() == b.keys()
        for name, value in a.items():
            np.testing.assert_allclose(value, b[name], atol=1e-6)
    assert float(runs[0][0]["record.day"][0]) == pytest.approx(2.5 + float(record["record.day"][0]))


def test_sampling_is_the_same_idea_in_both_places() -> None:
    """Inversion in the environment and at the desk pick the same activity for the same number."""
    p = torch.tensor([[0.0, 0.25, 0.5, 0.25]])
    assert [int(sample(p, torch.tensor([u]))) for u in (0.0, 0.24, 0.26, 0.99)] == [1, 1, 2, 3]


def test_who_was_away_is_settled_until_the_next_absence(desk: Desk, clock: Any) -> None:
    enrolled(desk, "ada", "bob")
    clock.now += 20 * 86400
    assert "away for 20 days" in desk.decide(T, "d0", "bob", 1, None, None)["attention"]
    for name in ("ada", "bob"):
        desk.say(T, f"s{name}", name, "coach", "seen", None, True, "has left the company")
    clock.now += 300 * 86400
    assert queue(desk, T) == []
    assert desk.decide(T, "d1", "bob", 1, None, None)["attention"] is None
    desk.event(T, "e", "bob", lived(desk.engine.names[0]))
    clock.now += 15 * 86400
    assert [one["learner"] for one in queue(desk, T)] == ["bob"]


def test_who_comes_back_is_no_longer_away(desk: Desk, clock: Any) -> None:
    enrolled(desk, "ada")
    clock.now += 20 * 86400
    assert "away" in desk.decide(T, "d0", "ada", 1, None, None)["attention"]
    desk.event(T, "e", "ada", lived(desk.engine.names[0]))
    assert queue(desk, T) == []


def test_no_event_lies_ahead(desk: Desk, clock: Any) -> None:
    enrolled(desk, "ada")
    with pytest.raises(ValueError, match="lies ahead"):
        desk.event(T, "e", "ada", lived(None, days=None, time=4102444800.0))
    desk.event(T, "e", "ada", lived(None, days=None, time=clock.now + 3600.0))  # a clock that is a little fast
    clock.now += 3 * 86400
    learner, _ = desk.known(T, "ada")
    assert desk.days_since(learner, None, clock.now) == pytest.approx(3.0)
    desk.store.put(T, learner._replace(seen=4102444800.0))  # from before that was refused
    desk.event(T, "e2", "ada", lived(None, days=None))
    clock.now += 86400
    assert desk.days_since(desk.known(T, "ada")[0], None, clock.now) == pytest.approx(1.0)


def test_a_request_id_stands_for_one_body(desk: Desk) -> None:
    enrolled(desk, "ada")
    first, second = desk.engine.names[:2]
    said = desk.event(T, "x1", "ada", lived(first))
    assert desk.event(T, "x1", "ada", lived(first)) == said
    with pytest.raises(ClashError, match="'x1' was already used"):
        desk.event(T, "x1", "ada", lived(second, correct=0.0))
    desk.decide(T, "x2", "ada", 1, 0.5, None)
    with pytest.raises(ClashError):
        desk.decide(T, "x2", "ada", 1, 2.0, None)
    desk.say(T, "x3", "ada", "Grace", "veto", first, True, "no")
    with pytest.raises(ClashError):
        desk.say(T, "x3", "ada", "Grace", "veto", second, True, "no")
    desk.stop(T, "x4", "Grace", True, "stop")
    with pytest.raises(ClashError):
        desk.stop(T, "x4", "Grace", False, "stop")
    with pytest.raises(ClashError):
        desk.enrol(T, "enrol-ada", "ada", None, 99.0, [], None)
    assert len(desk.store.ledger(T, "ada")) == 4
