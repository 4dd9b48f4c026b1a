"""The bundle: people come last in every recommendation, and what is served is what was simulated."""

import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trailmark.agents.agent import Agent
from trailmark.agents.baselines import FixedOrder, RandomLegal, WeakestAllowed
from trailmark.agents.bundle import PolicyBundle
from trailmark.agents.linucb import LinUCB
from trailmark.agents.loop import Turn, live, train
from trailmark.agents.ppo import PPO
from trailmark.data.catalog import Catalog
from trailmark.envs import pack
from trailmark.envs.classroom import Classroom, World
from trailmark.envs.guards import Offered, TimeBudget
from trailmark.envs.observer import Observation, Observer, Space
from trailmark.envs.pack import PackError
from trailmark.envs.tracers.tally import Tally

CARD = {"experiment": "test", "limits": ["all of it"], "accents": "é", "n": 3}


@pytest.fixture(scope="session")
def policies(onboarding: World) -> dict[str, Any]:
    """Return a trained policy of each learning agent, by name."""
    space = onboarding.observer.space
    agents: dict[str, Agent] = {"ppo": PPO(space, seed=0, rate=0.01), "linucb": LinUCB(space)}
    for agent in agents.values():
        for _ in train(onboarding, agent, 0, 32, 0, 3):
            pass
    return {name: agent.decide() for name, agent in agents.items()} | {"fixed": FixedOrder(space)}


@pytest.fixture
def bundle(catalog: Catalog) -> PolicyBundle:
    """Return a bundle of five activities that needs no training: the weakest goal skill first."""
    observer = Observer(Tally().of(catalog), catalog, {"offered": Offered(), "time": TimeBudget()}, 12)
    return PolicyBundle(observer, WeakestAllowed(observer.space), dict(CARD))


def ids(bundle: PolicyBundle, record: Any, k: int = 1) -> list[str]:
    return [suggestion.activity for suggestion in bundle.recommend(record, k)]


def chosen(record: Any, activity: int) -> Any:
    return record._replace(override=torch.tensor([activity]))


def forbidden(record: Any, *activities: int) -> Any:
    veto = record.veto.clone()
    veto[:, list(activities)] = True
    return record._replace(veto=veto)


def test_people_choose_and_forbid(bundle: PolicyBundle) -> None:
    record = bundle.chosen(bundle.enrol("lead"), "a4")
    (only,) = bundle.recommend(record, 5)
    assert (only.activity, only.probability, only.reasons[0]) == ("a4", 1.0, "A person chose it.")
    assert "a4" not in ids(bundle, bundle.answered(record, "a4", 1.0))  # used up: the policy decides again
    first = ids(bundle, bundle.enrol("lead"))[0]
    record = bundle.forbidden(bundle.enrol("lead"), first)
    assert first not in ids(bundle, record, 5)
    assert ids(bundle, bundle.forbidden(record, first, yes=False))[0] == first
    with pytest.raises(ValueError, match="no activity 'a9'"):
        bundle.chosen(record, "a9")


def test_the_best_comes_first_and_only_what_is_allowed(bundle: PolicyBundle) -> None:
    record = bundle.answered(bundle.enrol("lead"), "a0", 1.0)
    assert bundle.recommend(record)[0].activity == "a1"
    record = bundle.answered(record, "a1", 1.0)
    assert ids(bundle, record) == ["a3"]
    tight = bundle.enrol("lead", minutes=10.0)
    assert set(ids(bundle, tight, 5)) == {"a0", "a1", "a4"}


def test_the_most_probable_come_in_order(onboarding: World, policies: dict[str, Any]) -> None:
    bundle = PolicyBundle(onboarding.observer, policies["ppo"], {})
    record = bundle.enrol("sales", 360.0)
    seen = bundle.observer.observe(record)
    p = bundle.policy(seen)[0]
    found = bundle.recommend(record, 5)
    best = sorted(zip((-p).tolist(), bundle.observer.catalog.activity_ids, strict=True))[:5]
    assert [(suggestion.activity, -suggestion.probability) for suggestion in found] == [(a, q) for q, a in best]
    titles = {activity.id: activity.title for activity in bundle.observer.catalog.activities}
    assert all(suggestion.title == titles[suggestion.activity] for suggestion in found)


def test_k_beyond_what_is_allowed_gives_all_that_is_allowed(bundle: PolicyBundle) -> None:
    record = bundle.enrol("lead")
    everything = bundle.recommend(record, 99)
    assert [suggestion.activity for suggestion in everything] == ["a0", "a1", "a2", "a3", "a4"]
    assert [suggestion.probability for suggestion in everything] == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert len(bundle.recommend(record, 3)) == 3


def test_a_policy_sure_of_one_activity_still_names_k_allowed_ones(bundle: PolicyBundle) -> None:
    record = forbidden(bundle.answered(bundle.enrol("lead"), "a1", 0.0), 0, 2)
    assert ids(bundle, record, 3) == ["a1", "a3", "a4"]


@pytest.mark.parametrize("k", [0, -1])
def test_no_suggestions_are_a_mistake(bundle: PolicyBundle, k: int) -> None:
    with pytest.raises(ValueError, match=f"{k} suggestions were asked for"):
        bundle.recommend(bundle.enrol(), k)


def test_a_person_who_chooses_is_obeyed_even_against_the_rules(bundle: PolicyBundle) -> None:
    record = chosen(bundle.enrol("lead", minutes=5.0), 3)
    (only,) = bundle.recommend(record, 4)
    assert only.activity == "a3"
    assert only.probability == 1.0
    assert only.reasons[0] == "A person chose it."
    after = bundle.answered(record, "a3", 1.0)
    assert "a3" not in ids(bundle, after, 5), "the choice is used up"
    assert all("A person chose it." not in suggestion.reasons for suggestion in bundle.recommend(after, 5))


def test_a_person_who_forbids_is_obeyed(bundle: PolicyBundle) -> None:
    record = bundle.enrol("lead")
    assert ids(bundle, record) == ["a0"]
    assert ids(bundle, forbidden(record, 0, 1), 5) == ["a2", "a3", "a4"]
    assert set(ids(bundle, bundle.answered(forbidden(record, 0), "a1", 1.0), 5)) == {"a1", "a2", "a3", "a4"}


def test_a_veto_outdoes_a_choice_and_hands_over_to_a_person(bundle: PolicyBundle) -> None:
    record = forbidden(chosen(bundle.enrol("lead"), 3), 3)
    (only,) = bundle.recommend(record, 4)
    assert only.activity == bundle.observer.catalog.activity_ids[bundle.observer.catalog.fallback]
    assert only.reasons == ("Nothing is allowed for this learner now: a person should take over.",)


def test_reasons_say_the_goal_the_mastery_the_chance_and_the_time(bundle: PolicyBundle) -> None:
    record = bundle.answered(bundle.enrol("lead"), "a0", 1.0)
    reasons = {suggestion.activity: suggestion.reasons for suggestion in bundle.recommend(record, 5)}
    assert reasons["a0"] == (
        "It trains s0, a goal: mastery believed 75%.",  # (.5 + 1) / (.5 + .5 + 1)
        "The chance of a right answer is about 75%.",
        "It takes about 10 minutes; 5 activities are allowed now.",
    )
    assert reasons["a2"][:2] == (
        "It trains s0, a goal: mastery believed 75%.",
        "It trains s1, a goal: mastery believed 50%.",
    )
    other = record._replace(goal=torch.tensor([[0.0, 1.0, 1.0]]))
    (first,) = [s for s in bundle.recommend(other, 5) if s.activity == "a0"]
    assert first.reasons[0] == "None of its skills is a goal of the role."


def test_roles_decide_goals_and_offers(bundle: PolicyBundle) -> None:
    assert bundle.observer.catalog.roles == ("lead",)
    assert bundle.enrol().goal.tolist() == [[1.0, 1.0, 1.0]]
    with pytest.raises(ValueError, match=r"no role 'boss'; the catalogue has \['lead'\]"):
        bundle.enrol("boss")


def test_what_makes_no_sense_is_refused(bundle: PolicyBundle) -> None:
    record = bundle.enrol()
    with pytest.raises(ValueError, match="no activity 'a9'"):
        bundle.answered(record, "a9", 1.0)
    with pytest.raises(ValueError, match="no activity 'a9'"):
        bundle.enrol(past=[("a0", 1.0), ("a9", 1.0)])
    for score in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="'a0' has the score"):
            bundle.answered(record, "a0", score)
        with pytest.raises(ValueError, match="'a0' has the score"):
            bundle.enrol(past=[("a0", score)])
    for minutes in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="minutes: say 0 or more"):
            bundle.answered(record, "a0", 1.0, minutes)
        with pytest.raises(ValueError, match="days went by: say 0 or more"):
            bundle.elapsed(record, minutes)


def test_what_was_done_before_counts_as_belief_but_not_as_a_step(bundle: PolicyBundle) -> None:
    record = bundle.enrol("lead", 60.0, past=[("a0", 1.0), ("a1", 0.0)])
    step_by_step = bundle.answered(bundle.answered(bundle.enrol("lead", 60.0), "a0", 1.0), "a1", 0.0)
    assert int(record.step) == 0
    assert int(step_by_step.step) == 2
    assert record.history.attempts.tolist() == step_by_step.history.attempts.tolist() == [[1, 1, 0, 0, 0]]
    assert all(torch.equal(a, b) for a, b in zip(record.belief, step_by_step.belief, strict=True))
    assert float(record.minutes_used) == 0.0


def test_what_was_declined_is_no_attempt(bundle: PolicyBundle) -> None:
    record = bundle.answered(bundle.enrol(), "a0", 0.0, 1.0, accepted=False)
    assert record.history.attempts.tolist() == [[0, 0, 0, 0, 0]]
    assert int(record.last) == -1
    assert (int(record.step), float(record.minutes_used)) == (1, 1.0)


def days(world: World, t: int) -> float:
    """Return the days that go by after step `t`."""
    return world.pace.gap_days if (t + 1) % world.pace.sitting == 0 else 0.0


@pytest.mark.parametrize("name", ["ppo", "linucb", "fixed"])
def test_served_is_simulated_for_whole_sessions(
    onboarding: World, policies: dict[str, Any], tmp_path: Path, name: str
) -> None:
    policy = policies[name]
    room = Classroom(onboarding, 21, 0, 200)
    context = onboarding.student.context(room.state)
    turns: list[Turn] = list(live(room, policy))
    assert len(turns) > 24
    PolicyBundle(onboarding.observer, policy, {}).save(tmp_path / "bundle")
    bundle = PolicyBundle.load(tmp_path / "bundle")
    record, worst = bundle.observer.start(context), 0.0
    for t, turn in enumerate(turns):
        alive = turn.moment.alive
        seen = bundle.observer.observe(record)
        served = bundle.policy(seen)
        assert torch.equal(seen.mask[alive], turn.seen.mask[alive])
        worst = max(worst, float((served - turn.probabilities)[alive].abs().max()))
        response = turn.moment.response
        record = bundle.observer.update(record, turn.action, response.correct, response.minutes, response.accepted)
        record = bundle.observer.elapse(record, torch.full((200,), days(onboarding, t)))
    assert worst == 0.0


def test_served_is_simulated_for_learners_with_a_past(kss: World) -> None:
    policy = RandomLegal(kss.observer.space)
    room = Classroom(kss, 21, 0, 200)
    record = kss.observer.start(kss.student.context(room.state))
    for turn in live(room, policy):
        alive = turn.moment.alive
        seen = kss.observer.observe(record)
        assert torch.equal(seen.mask[alive], turn.seen.mask[alive])
        assert torch.equal(policy(seen)[alive], turn.probabilities[alive])
        response = turn.moment.response
        assert bool(response.accepted[alive].all()), "what the guard allows, the learner takes up"
        record = kss.observer.update(record, turn.action, response.correct, response.minutes, response.accepted)


@pytest.mark.parametrize("name", ["ppo", "linucb", "fixed"])
def test_served_is_simulated_for_one_learner_by_name(onboarding: World, policies: dict[str, Any], name: str) -> None:
    bundle = PolicyBundle(onboarding.observer, policies[name], {})
    catalog = bundle.observer.catalog
    room = Classroom(onboarding, 22, 0, 6)
    roles = onboarding.student.context(room.state).role.tolist()
    assert len(set(roles)) > 1
    turns = list(live(room, policies[name]))
    for i, role in enumerate(roles):
        record = bundle.enrol(catalog.roles[role], 360.0)
        for t, turn in enumerate(turns):
            if not bool(turn.moment.alive[i]):
                break
            found = {s.activity: s.probability for s in bundle.recommend(record, 99)}
            allowed = turn.seen.mask[i].nonzero()[:, 0].tolist()
            assert found == pytest.approx(
                {catalog.activity_ids[a]: float(turn.probabilities[i, a]) for a in allowed}, abs=1e-6
            )
            response = turn.moment.response
            activity = catalog.activity_ids[int(turn.action[i])]
            record = bundle.answered(record, activity, float(response.correct[i]), float(response.minutes[i]))
            record = bundle.elapsed(record, days(onboarding, t))
        assert t > 8, "a gap of days was among it"


@pytest.mark.parametrize("name", ["ppo", "linucb", "fixed"])
def test_what_is_loaded_decides_as_what_was_saved(
    onboarding: World,
    policies: dict[str, Any],
    imagine: Callable[[Space, int, int], Observation],
    tmp_path: Path,
    name: str,
) -> None:
    bundle = PolicyBundle(onboarding.observer, policies[name], dict(CARD))
    bundle.save(tmp_path / "bundle")
    loaded = PolicyBundle.load(tmp_path / "bundle")
    seen = imagine(onboarding.observer.space, 50, 1)
    assert torch.equal(loaded.policy(seen), bundle.policy(seen))
    assert loaded.card == CARD
    assert loaded.observer.catalog == bundle.observer.catalog
    assert loaded.observer.guards == bundle.observer.guards
    record = bundle.answered(bundle.enrol("sales", 360.0), bundle.observer.catalog.activity_ids[3], 1.0, 7.0)
    assert loaded.recommend(record, 5) == bundle.recommend(record, 5)


def test_a_bundle_holds_no_pickle(onboarding: World, policies: dict[str, Any], tmp_path: Path) -> None:
    PolicyBundle(onboarding.observer, policies["ppo"], dict(CARD)).save(tmp_path / "bundle")
    files = sorted((tmp_path / "bundle").iterdir())
    assert [path.name for path in files] == ["arrays.safetensors", "card.json", "checksums.json", "object.json"]
    for path in files:
        content = path.read_bytes()
        assert not content.startswith((b"\x80", b"PK")), "neither pickle nor zip"
        if path.suffix == ".json":
            json.loads(content)
        else:
            assert content[8:9] == b"{", "the header of safetensors is JSON"


def test_a_card_without_json_values_is_refused_and_nothing_is_written(bundle: PolicyBundle, tmp_path: Path) -> None:
    for card in ({"auc": math.nan}, {"when": object()}):
        with pytest.raises((TypeError, ValueError)):
            replace(bundle, card=card).save(tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_a_save_that_is_killed_leaves_the_old_bundle(
    bundle: PolicyBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle.save(tmp_path / "bundle")

    def killed(*_args: Any) -> None:
        raise KeyboardInterrupt

    newer = replace(bundle, card={"newer": True})
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            newer.save(tmp_path / "bundle")
    assert PolicyBundle.load(tmp_path / "bundle").card == CARD


@pytest.mark.parametrize("name", ["arrays.safetensors", "card.json", "checksums.json", "object.json"])
def test_a_changed_or_missing_file_is_refused(bundle: PolicyBundle, tmp_path: Path, name: str) -> None:
    bundle.save(tmp_path / "bundle")
    path = tmp_path / "bundle" / name
    content = path.read_bytes()
    middle = next(i for i in range(len(content) // 2, len(content)) if not content[i : i + 1].isspace())
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with pytest.raises(PackError, match=r"changed since it was saved|damaged|No such file"):
        PolicyBundle.load(tmp_path / "bundle")
    path.unlink()
    with pytest.raises(PackError, match=name):
        PolicyBundle.load(tmp_path / "bundle")


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "test_bundle.Stranger",
        "trailmark.agents.loop.play",
        "trailmark.agents.agent.Policy",
        "datetime.date",
    ],
)
def test_a_bundle_with_a_foreign_policy_is_refused(bundle: PolicyBundle, tmp_path: Path, target: str) -> None:
    tree, arrays = pack.pack({"observer": bundle.observer, "policy": bundle.policy})
    tree["policy"] = {"_target_": target, "command": "true"}
    pack.write(tmp_path / "bundle", tree, arrays, {"card.json": "{}"})
    with pytest.raises(PackError, match="refused to build"):
        PolicyBundle.load(tmp_path / "bundle")


def test_a_bundle_of_a_newer_schema_is_refused(
    bundle: PolicyBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pack, "SCHEMA", 2)
        bundle.save(tmp_path / "bundle")
    with pytest.raises(PackError, match="schema 2, this version reads 1; upgrade trailmark"):
        PolicyBundle.load(tmp_path / "bundle")


def test_a_folder_that_is_no_bundle_is_refused(bundle: PolicyBundle, tmp_path: Path) -> None:
    pack.save(bundle.observer, tmp_path / "world")
    pack.save({"observer": bundle.observer, "policy": bundle.policy}, tmp_path / "cardless")
    for name in ("world", "cardless"):
        with pytest.raises(PackError, match="holds no policy bundle"):
            PolicyBundle.load(tmp_path / name)
    with pytest.raises(PackError, match="nowhere"):
        PolicyBundle.load(tmp_path / "nowhere")


def test_recommending_changes_no_record(bundle: PolicyBundle) -> None:
    record = bundle.enrol("lead", 60.0)
    before: list[Tensor] = [x.clone() for x in record if isinstance(x, Tensor)]
    bundle.recommend(record, 5)
    bundle.answered(record, "a0", 1.0, 5.0)
    bundle.elapsed(record, 3.0)
    assert all(torch.equal(a, b) for a, b in zip(before, (x for x in record if isinstance(x, Tensor)), strict=True))
