"""Goodhart: the agent is trained on each proxy, judged on the same learners, and a stopped run does not do it twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_module

from trailmark.agents.loop import play
from trailmark.experiments import goodhart
from trailmark.experiments.build import facts, fit_world, make_agent

SMALL = (
    *("experiment=onboarding", "source=none", "tracer=tally", "horizon=10", "goodhart.cohorts=3"),
    *("goodhart.learners=24", "goodhart.evaluate_learners=60"),
)


@pytest.fixture(scope="module")
def cfg():
    with initialize_config_module("trailmark.configs", version_base="1.3"):
        return compose("train", list(SMALL))


@pytest.fixture(scope="module")
def world(cfg):
    return fit_world(cfg, facts(cfg))


def test_proxies_are_what_is_no_outcome_and_is_shown(cfg, world) -> None:
    played = play(world, make_agent(cfg, world.observer.space).decide(), 0, 50)
    assert goodhart.proxies(world, [played]) == ["completion", "clicks", "satisfaction"]
    played.values["clicks"] = played.values["completion"].clone()
    assert goodhart.proxies(world, [played]) == ["completion", "satisfaction"]
    played.values["satisfaction"] = torch.zeros(50)
    assert goodhart.proxies(world, [played]) == ["completion"]


def test_every_reward_trains_its_own_agent_once(cfg, world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    found = goodhart.measure(cfg, world, ["satisfaction"], [5, 6], tmp_path, said.append)
    assert said == ["outcome", "satisfaction"]
    first, second = found["rows"]
    assert first["differences"] == {}
    assert set(second["differences"]) == set(second["values"]) == set(world.outcomes)
    for name, pair in second["differences"].items():
        gap = second["values"][name]["value"] - first["values"][name]["value"]
        assert pair["value"] == pytest.approx(gap, abs=1e-9)
        assert pair["low"] <= pair["value"] <= pair["high"]
    assert second["values"]["satisfaction"] != first["values"]["satisfaction"]
    json.dumps(found, allow_nan=False)

    def never(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("trailmark.agents.loop.train", never)
    assert goodhart.measure(cfg, world, ["satisfaction"], [5, 6], tmp_path, said.append) == found


def test_the_reward_of_the_run_itself_is_never_a_proxy(cfg, world) -> None:
    assert all(world.outcomes[name].is_outcome for name in world.reward)
