"""The graph: onnxruntime says what torch says along whole lives, and what cannot be exported says so at export."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import trailmark.agents.graph as graph_module
from trailmark.agents.agent import Agent, Policy, uniform
from trailmark.agents.bundle import PolicyBundle
from trailmark.agents.graph import Answer, Event, GraphError, graph, inputs, parity, serve, session, start
from trailmark.agents.idle import idle
from trailmark.data.sources.sample import Sample
from trailmark.envs.classroom import World
from trailmark.envs.observer import Observation, Space
from trailmark.envs.rows import map_tensors
from trailmark.envs.tracers.fsrs import FSRS

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def made(onboarding: World, build: Callable[[str, Space], Agent]) -> tuple[Policy, bytes]:
    policy = build("ppo", onboarding.observer.space).decide()
    return policy, graph(onboarding.observer, policy)[0]


def test_onnxruntime_says_what_torch_says(onboarding: World, made: tuple[Policy, bytes]) -> None:
    policy, written = made
    assert parity(onboarding.observer, policy, written, learners=16, steps=40) <= 1e-5


def test_what_is_left_when_idle_is_small_and_takes_only_days(made: tuple[Policy, bytes]) -> None:
    import onnx

    whole, left = onnx.load_from_string(made[1]), onnx.load_from_string(idle(made[1]))
    onnx.checker.check_model(left)
    assert len(left.graph.node) < 0.75 * len(whole.graph.node)
    assert [one.name for one in left.graph.input if one.name.startswith("event.")] == ["event.days"]
    assert {one.name for one in left.graph.output} >= {*Answer._fields, "record.day'"}
    assert "record.step'" not in {one.name for one in left.graph.output}


def test_parity_notices_what_is_wrong_when_idle(
    onboarding: World, made: tuple[Policy, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    def older(written: bytes) -> bytes:
        """A graph in which twice as much time passes."""
        model = onnx.load_from_string(idle(written))
        for node in model.graph.node:
            node.input[:] = ["twice" if name == "event.days" else name for name in node.input]
        model.graph.node.insert(0, onnx.helper.make_node("Add", ["event.days", "event.days"], ["twice"]))
        changed: bytes = model.SerializeToString()
        return changed

    monkeypatch.setattr(graph_module, "idle", older)
    assert parity(onboarding.observer, made[0], made[1]) > 1e-3


def test_parity_notices_another_policy(onboarding: World, made: tuple[Policy, bytes]) -> None:
    policy, written = made
    weights = tuple(w + 0.05 for w in policy.weights)  # type: ignore[attr-defined]
    assert parity(onboarding.observer, replace(policy, weights=weights), written) > 1e-3  # type: ignore[type-var]


def test_a_memory_model_with_gaps_of_days(onboarding: World, build: Callable[[str, Space], Agent]) -> None:
    log, catalog = Sample().load()
    observer = replace(onboarding.observer, tracer=FSRS().fit(log, catalog))
    written, _ = graph(observer, build("linucb", observer.space).decide())
    assert written


def test_one_learner_or_many_in_a_batch(onboarding: World, made: tuple[Policy, bytes]) -> None:
    policy, written = made
    run = session(written)
    record = map_tensors(lambda t: t.expand(5, *t.shape[1:]).contiguous(), start(onboarding.observer))
    event = Event(
        torch.zeros(5), torch.tensor([0, 1, -1, 3, 4]), torch.ones(5), torch.ones(5), torch.ones(5, dtype=torch.bool)
    )
    feed = inputs(record, event)
    whole = run.run(["probabilities"], feed)[0]
    for i in range(5):
        alone = run.run(["probabilities"], {name: value[i : i + 1] for name, value in feed.items()})[0]
        np.testing.assert_allclose(alone[0], whole[i], atol=1e-6)
    after, answer = serve(onboarding.observer, policy, record, event)
    np.testing.assert_allclose(whole, answer.probabilities.numpy(), atol=1e-6)
    assert after.step.tolist() == [1, 1, 0, 1, 1]


@dataclass(frozen=True, eq=False)
class Fickle(Policy):
    """Branches on what it sees, which no graph can."""

    space: Space

    def __call__(self, observation: Observation) -> Tensor:
        if float(observation.features.sum()) > 0.0:
            return uniform(observation.mask)
        return uniform(observation.mask).flip(1)


def test_what_cannot_be_exported_says_so_and_leaves_nothing(onboarding: World, tmp_path: Path) -> None:
    bundle = PolicyBundle(onboarding.observer, Fickle(onboarding.observer.space), {})
    with pytest.raises(GraphError, match="Fickle with BKT"):
        bundle.export(tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_the_exported_bundle_is_whole(onboarding: World, made: tuple[Policy, bytes], tmp_path: Path) -> None:
    PolicyBundle(onboarding.observer, made[0], {"name": "x"}).export(tmp_path / "bundle")
    assert PolicyBundle.load(tmp_path / "bundle").card == {"name": "x"}
    about = json.loads((tmp_path / "bundle" / "serving.json").read_text())
    run = session((tmp_path / "bundle" / "policy.onnx").read_bytes())
    assert [one["name"] for one in about["inputs"]] == [one.name for one in run.get_inputs()]
    assert about["outputs"] == [one.name for one in run.get_outputs()]
    assert [a["id"] for a in about["activities"]] == list(onboarding.observer.catalog.activity_ids)
