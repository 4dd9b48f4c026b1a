"""Every config composes and binds; a misspelt key stops at once, beside the right one, and nothing is written."""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

import trailmark.configs
from trailmark.experiments.build import ConfigError, check, sound, targets

FOLDER = Path(trailmark.configs.__file__).parent
CHOICES = sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.glob("*/*.yaml"))


@pytest.fixture(scope="module", autouse=True)
def _hydra() -> Iterator[None]:
    with initialize_config_module("trailmark.configs", version_base="1.3"):
        yield


def composed(*words: str):
    """Return the composed config; a path that a source still needs is made up."""
    config = compose("train", list(words))
    if OmegaConf.is_missing(config.source, "path"):
        config.source.path = "somewhere"
    return config


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_composes_and_binds(choice: str) -> None:
    config = composed(choice.replace("/", "="))
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert len(list(targets(plain))) >= 10
    check(plain)
    sound(config)


def test_every_group_is_a_choice_of_train() -> None:
    """A folder that train.yaml does not name would never be composed by anybody."""
    chosen = {next(iter(entry)) for entry in yaml.safe_load((FOLDER / "train.yaml").read_text())["defaults"][1:]}
    assert {choice.split("/")[0] for choice in CHOICES} == {key for key in chosen if not key.startswith("override")}


def raw_targets() -> list[tuple[str, dict]]:
    found = []
    for group in ("agent", "tracer", "student", "guards"):
        for path in sorted((FOLDER / group).glob("*.yaml")):
            node = yaml.safe_load(path.read_text())
            found += [(f"{group}/{path.stem}:{where}", mapping) for where, mapping in targets(node)]
    return found


@pytest.mark.parametrize(("where", "mapping"), raw_targets(), ids=[where for where, _ in raw_targets()])
def test_yaml_repeats_the_constructors_defaults(where: str, mapping: dict) -> None:
    """Two places say what a default is, so they must say the same; what a config fills in may differ."""
    module, _, name = mapping["_target_"].rpartition(".")
    fields = {f.name: f for f in dataclasses.fields(getattr(importlib.import_module(module), name)) if f.init}
    for key, value in mapping.items():
        if key == "_target_" or isinstance(value, dict) or (isinstance(value, str) and value.startswith("${")):
            continue
        default = fields[key].default
        if default is dataclasses.MISSING:
            assert fields[key].default_factory is not dataclasses.MISSING, f"{where}.{key} has no default"
            default = fields[key].default_factory()
        said = tuple(value) if isinstance(value, list) else value
        assert said == default or (isinstance(said, float) and math.isclose(said, default)), f"{where}.{key}"


WRONG = {
    "sed=1": "no key 'sed'; did you mean 'seed'?",
    "agent.rat=1": "no key 'agent.rat'; did you mean 'agent.rate'?",
    "training.cohort=3": "no key 'training.cohort'; did you mean 'training.cohorts'?",
    "agnt=ppo": "no key 'agnt'; did you mean 'agent'?",
    "experiment=onboarding_bkt evaluation.also.pfa.minuts=3": "did you mean 'evaluation.also.pfa.minutes'?",
    "guards.prerequisite.threshold=.5": "did you mean 'guards.prerequisites'?",
    "source=table source.pth=x": "no key 'source.pth'; did you mean 'source.path'?",
    "agent=linucb agent.alfa=1": "no key 'agent.alfa'; did you mean 'agent.alpha'?",
    "experiment=kss pace.siting=1": "did you mean 'pace.sitting'?",
    "~agnt": "no key 'agnt'; did you mean 'agent'?",
    "agent=pppo": "no agent=pppo; did you mean agent=ppo? There are: cyclic, fixed_order, gap_per_minute, linucb",
    "experiment=tinny": "no experiment=tinny; did you mean experiment=tiny? There are: assistments, demo, kss",
    "+agent.rat=1": "agent.rat: PPO has no 'rat'; did you mean 'rate'?",
    "foo": "'foo': say KEY=VALUE",
    "seed=[1": "'seed=[1' cannot be read",
    "training=3": "training=3: it holds keys of its own, such as training.learners",
    "training.cohorts=abc": "training.cohorts=abc: say a whole number, 0 or more",
    "training.checkpoint_every=0": "training.checkpoint_every=0: say a whole number, 1 or more",
    "evaluation.seeds=true": "evaluation.seeds=True: say a whole number, 1 or more",
    "split.test=-0.5": "split.test=-0.5: say a number, 0 or more",
    "seed=null": "seed=None: say a whole number",
    "agent.rate=bad": "agent.rate=bad: it takes float, not str",
    "agent.hidden=null agent.epochs=2.5": "agent.epochs=2.5: it takes int, not float",
    "primary=happiness": "primary=happiness: no such outcome; there are ['retention_30', 'retention_90'",
    "+reward.happiness=1": "reward.happiness: no such outcome",
    "~minutes": "minutes",
    "name=2026": "name=2026: it takes text",
    "source=gervet": "source.path has no value yet; say source.path=...",
    "agent._target_=os.system": "'os.system' is not of trailmark; to trust it say allow=[os]",
    "agent._target_=trailmark.agents.ppo.PPOO": "there is no 'trailmark.agents.ppo.PPOO'",
    "~agent._target_": "agent names no class",
    "-m seed=0,1 agnt=ppo": "no key 'agnt'; did you mean 'agent'?",
    "-m agent=linucb,pppo": "no agent=pppo; did you mean agent=ppo?",
    "-m agent=linucb,ppo agent.rat=1,2": "no key 'agent.rat'; did you mean 'agent.ridge'?",
    "agent=linucb,ppo": "'agent=linucb,ppo' names several values; add -m",
}


@pytest.fixture(scope="module")
def quiet_desk(desks):
    return desks()


@pytest.fixture
def _no_hydra() -> None:
    """The command line starts Hydra itself."""
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()


@pytest.mark.usefixtures("_no_hydra")
@pytest.mark.parametrize("words", WRONG)
def test_wrong_words_stop_at_once(quiet_desk, words: str) -> None:
    done = quiet_desk.call("train", *words.split())
    assert done.status == 2
    assert WRONG[words] in done.err
    assert done.err.startswith("trailmark: ")
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) == 1, done.err
    assert done.out == ""
    assert not (quiet_desk.folder / "runs").exists()
    assert quiet_desk.query("select * from runs") == []


def test_a_misspelt_key_in_a_yaml_is_named() -> None:
    plain = {"agent": {"_target_": "trailmark.agents.ppo.PPO", "rates": 0.1}}
    with pytest.raises(ConfigError, match=r"agent\.rates: PPO has no 'rates'; did you mean 'rate'"):
        check(plain)
    nested = {"a": [{"b": {"_target_": "trailmark.envs.guards.Prerequisites", "treshold": 0.1}}]}
    with pytest.raises(ConfigError, match=r"a\[0\]\.b\.treshold: .*did you mean 'threshold'"):
        check(nested)
    with pytest.raises(ConfigError, match=r"student: SampledStudent needs \['tracer'\]; say student\.tracer="):
        check({"student": {"_target_": "trailmark.envs.students.sampled.SampledStudent"}})


def test_ones_own_configs_are_found(desk) -> None:
    """A class outside needs trust (`allow`), its yaml a place on Hydra's search path; nothing in the house changes."""
    (desk.folder / "mine" / "agent").mkdir(parents=True)
    text = "_target_: trailmark.agents.baselines.MasteryLearning\nthreshold: 0.9\n"
    (desk.folder / "mine" / "agent" / "careful.yaml").write_text(text)
    words = [*desk.tiny, f"hydra.searchpath=[file://{desk.folder / 'mine'}]", "agent=careful"]
    done = desk.call("train", *words)
    assert (done.status, done.err) == (0, "")
    assert yaml.safe_load((desk.run / "config.yaml").read_text())["agent"]["threshold"] == 0.9


def test_learners_with_a_catalogue_of_their_own_want_no_other(desk) -> None:
    done = desk.call("train", *desk.tiny, "student=kss")
    assert done.status == 2
    assert "choose source=none" in done.err
