"""What an agent's yaml asks of the world: how many interactions a record keeps, and which costs are measured."""

from collections.abc import Iterator
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra

from trailmark.agents.lagrangian import Lagrangian
from trailmark.agents.ppo import PPO
from trailmark.experiments.build import ConfigError, facts, fit_world, make_agent, sound

MINUTES = "+outcomes.minutes={_target_: trailmark.envs.outcomes.StudyMinutes}"


@pytest.fixture(autouse=True)
def _hydra() -> Iterator[None]:
    with initialize_config_module("trailmark.configs", version_base="1.3"):
        yield
    GlobalHydra.instance().clear()


def config(*words: str) -> Any:
    return compose("train", ["experiment=kss", *words])


@pytest.mark.parametrize(
    ("words", "window"),
    [
        ((), 0),
        (("agent=ppo_recurrent",), 20),
        (("agent=ppo_recurrent", "agent.encoder.window=7"), 7),
        (("window=3",), 3),
    ],
)
def test_records_keep_as_many_interactions_as_the_agent_reads(words: tuple[str, ...], window: int) -> None:
    cfg = config(*words)
    sound(cfg)
    assert fit_world(cfg, facts(cfg)).observer.window == window


def test_a_budget_wraps_the_agent_and_is_measured() -> None:
    cfg = config("agent=ppo", MINUTES, "constraints={minutes: 9.5}")
    sound(cfg)
    world = fit_world(cfg, facts(cfg))
    agent = make_agent(cfg, world.observer.space)
    assert world.watch == ("minutes",)
    assert isinstance(agent, Lagrangian)
    assert agent.budgets == {"minutes": 9.5}
    assert isinstance(agent.agent, PPO)
    plain = config("agent=ppo")
    assert isinstance(make_agent(plain, world.observer.space), PPO)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("constraints={minuets: 3}", "minuets"),
        ("constraints={minutes: 0}", "above 0"),
        ("constraints={minutes: x}", "above 0"),
    ],
)
def test_a_budget_that_means_nothing_is_refused(word: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        sound(config("agent=ppo", MINUTES, word))
