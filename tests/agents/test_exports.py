"""Every agent and every tracer exports: onnxruntime says what torch says over whole lives, each yaml found by itself.

In the suite agents share one graph, on the belief of one tracer (one agent for each kind of policy: what agents learn
by is not in a graph), and every tracer has a graph with one agent. TRAILMARK_EXPORTS=all puts all agents on the belief
of each tracer in turn: every pair there is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from torch import Tensor

import trailmark.configs
from trailmark.agents.agent import Policy
from trailmark.agents.baselines import RandomLegal
from trailmark.agents.graph import GraphError, graph, parity
from trailmark.agents.loop import gather
from trailmark.data.sources.sample import Sample
from trailmark.envs.classroom import Classroom, World
from trailmark.envs.observer import Observation, Observer
from trailmark.envs.tracer import Tracer
from trailmark.experiments.build import make, make_agent

pytest.importorskip("onnxruntime")

CONFIGS = Path(trailmark.configs.__path__[0])
AGENTS, TRACERS = (sorted(p.stem for p in (CONFIGS / group).glob("*.yaml")) for group in ("agent", "tracer"))
WINDOW = 3  # latest answers in a record, for those that read them
# The same classes, smaller: a graph holds every step of a search and every answer that is read.
SMALL_AGENTS: dict[str, dict[str, Any]] = {"belief_beam": {"depth": 2, "width": 2}}
SETTINGS = {"ppo_recurrent": [f"agent.encoder.window={WINDOW}"]}  # before they learn
PLANNERS = ("belief_beam", "lookahead")
REFUSED = {"das3h": "number of learners is fixed", "tally": "onnxruntime and torch differ"}  # planners on these
ATTENTION = {"width": 8, "heads": 2, "feed": 16, "length": 6, "epochs": 1}
SMALL_TRACERS: dict[str, dict[str, Any]] = {
    "akt": ATTENTION,
    "bkt": {"iterations": 3},
    "das3h": {"memory": 16},
    "dkt": {"hidden": 8, "width": 8, "epochs": 1},
    "dkvmn": {"width": 8, "slots": 4, "epochs": 1},
    "fsrs": {"epochs": 1},
    "sakt": ATTENTION,
    "simplekt": ATTENTION,
}


@dataclass(frozen=True, eq=False)
class Each(Policy):
    """The first learner is taught by the first policy, the second by the second, and so on around."""

    policies: tuple[Policy, ...]

    def __call__(self, observation: Observation) -> Tensor:
        said = torch.stack([policy(observation) for policy in self.policies], 1)  # (B, P, A)
        whose = torch.arange(said.shape[0]) % len(self.policies)
        return said.gather(1, whose[:, None, None].expand(-1, 1, said.shape[2]))[:, 0]


@pytest.fixture(scope="module")
def composed() -> Iterator[Callable[..., Any]]:
    def compose_one(*changes: str) -> Any:
        with initialize_config_module("trailmark.configs", version_base="1.3"):
            cfg = compose("train", [*changes])
        GlobalHydra.instance().clear()
        return cfg

    yield compose_one
    GlobalHydra.instance().clear()


@pytest.fixture(scope="module")
def plain(onboarding: World) -> Observer:
    return replace(onboarding.observer, window=WINDOW)


def fitted(composed: Callable[..., Any], name: str) -> Tracer:
    log, catalog = Sample().load()
    made: Tracer = make(composed(f"tracer={name}").tracer)
    return replace(made, **SMALL_TRACERS.get(name, {})).fit(log, catalog)  # type: ignore[type-var]


def taught(composed: Callable[..., Any], observer: Observer, world: World, names: list[str]) -> dict[str, Policy]:
    """Return what each agent decides by after a few sessions, so that nothing is equal or nought by chance."""
    room = Classroom(replace(world, observer=observer), 0, 0, 16)
    steps = gather(room, RandomLegal(observer.space), 12)
    found = {}
    for name in names:
        agent = make_agent(composed(f"agent={name}", *SETTINGS.get(name, [])), observer.space, observer)
        agent.learn(steps, 0)
        policy: Any = agent.decide()
        found[name] = replace(policy, **SMALL_AGENTS[name]) if name in SMALL_AGENTS else policy
    return found


def test_every_agent_exports(composed: Callable[..., Any], plain: Observer, onboarding: World) -> None:
    every = taught(composed, plain, onboarding, AGENTS)
    policies = {name: every[name] for name in {type(policy): name for name, policy in every.items()}.values()}
    try:
        written, _ = graph(plain, Each(tuple(policies.values())))
        apart = parity(plain, Each(tuple(policies.values())), written, learners=2 * len(policies), steps=30)
    except GraphError:  # which of them?
        for name, policy in policies.items():
            try:
                graph(plain, policy)
            except GraphError as error:
                raise AssertionError(f"{name} no longer exports") from error
        raise
    print(f"{len(policies)} policies of {len(AGENTS)} agents on one tracer: largest difference {apart:.1e}")
    assert apart <= 1e-5


@pytest.mark.parametrize("name", TRACERS)
def test_every_tracer_exports(composed: Callable[..., Any], plain: Observer, onboarding: World, name: str) -> None:
    observer = replace(plain, tracer=fitted(composed, name), guards={})
    policy = taught(composed, observer, onboarding, ["ppo"])["ppo"]
    written, _ = graph(observer, policy)
    apart = parity(observer, policy, written, learners=8, steps=40)
    print(f"{name}: largest difference {apart:.1e}")
    assert apart <= 1e-5


@pytest.mark.skipif("TRAILMARK_EXPORTS" not in os.environ, reason="every pair takes long; TRAILMARK_EXPORTS=all")
@pytest.mark.parametrize("name", TRACERS)
def test_every_pair_exports(composed: Callable[..., Any], plain: Observer, onboarding: World, name: str) -> None:
    observer = replace(plain, tracer=fitted(composed, name))
    every = taught(composed, observer, onboarding, AGENTS)
    for planner in PLANNERS if name in REFUSED else ():
        with pytest.raises(GraphError, match=REFUSED[name]):
            graph(observer, every.pop(planner))
    policies = tuple(every.values())
    written, _ = graph(observer, Each(policies))
    apart = parity(observer, Each(policies), written, learners=2 * len(policies), steps=30)
    print(f"{len(policies)} agents on {name}: largest difference {apart:.1e}")
    assert apart <= 1e-5
