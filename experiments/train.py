"""Train: one experiment from a log to a report, each step visible; stops and resumes without a trace in the numbers."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from typing import TYPE_CHECKING, Any

from .build import ConfigError
from .runs import RunError

if TYPE_CHECKING:
    from omegaconf import DictConfig

PARENT = "TRAILMARK_PARENT_RUN"


def main(words: list[str]) -> None:
    """Run `trailmark train`: Hydra composes the config from `words`; with -m one parent run holds a run per job."""
    from .compose import arranged, complain

    if "--help" in words or "-h" in words:
        print(_HELP)
        return
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _launch(arranged(words))
    except (ConfigError, RunError) as error:
        complain(error)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _launch(words: list[str]) -> None:
    import hydra

    from .compose import check, many

    first = check(words)
    if first is not None and first.resume:
        _same(first, words)
    sys.argv = ["trailmark train", *words]
    entry = hydra.main(version_base="1.3", config_path="pkg://trailmark.configs", config_name="train")(_job)
    if first is None or not many(words):
        os.environ.setdefault(PARENT, "")
        entry()
        return
    from .sweep import begin, finish

    os.environ[PARENT] = parent = begin(first.name, words)
    status = "FAILED"
    try:
        entry()
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        status = finish(parent, first.output, status, words)
    if status != "FINISHED":
        raise SystemExit(1)


def _same(asked: DictConfig, words: list[str]) -> None:
    """ConfigError when the command line asks a stopped run for another config than its own."""
    from .compose import flat
    from .runs import find, read_config

    mine = [word.partition("=")[0] for word in words if not word.startswith("-")]
    if all(key in ("resume", "output", "allow") for key in mine):
        return
    theirs = read_config(find(asked.output, str(asked.resume)))
    for key in dict.fromkeys([*flat(theirs), *flat(asked)]):
        wanted, own = _value(asked, key), _value(theirs, key)
        nested = isinstance(wanted, dict) and isinstance(own, dict)  # their keys come by themselves
        if key not in ("resume", "output", "allow", "agent_name") and not nested and wanted != own:
            raise ConfigError(
                f"a run goes on under its own config, in which {key} is {own}, not {wanted}; "
                "say `trailmark train resume=RUN_ID` and nothing else, or start a new run"
            )


def _value(cfg: DictConfig, key: str) -> Any:
    from omegaconf import OmegaConf

    found = OmegaConf.select(cfg, key)
    return OmegaConf.to_container(found, resolve=True) if OmegaConf.is_config(found) else found


def _job(cfg: DictConfig) -> None:
    """Run one experiment; what the user can mend is said in one line, not with a traceback.

    In a multirun a job that fails leaves its reason with the parent run, and the others go on.
    """
    from hydra.core.hydra_config import HydraConfig

    from ..data.errors import DataError
    from ..envs.pack import PackError
    from .compose import complain, spell_out
    from .experiment import Experiment
    from .sweep import failed

    parent, job = os.environ.get(PARENT) or None, HydraConfig.get()
    words = list(job.overrides.task)
    signal.signal(signal.SIGTERM, _interrupt)
    cfg.agent_name = cfg.agent_name or job.runtime.choices["agent"]
    try:
        spell_out(cfg)
        Experiment.of(cfg, parent, shlex.join(["trailmark", "train", *words])).run()
    except (ConfigError, RunError, DataError, PackError) as error:
        if parent is None:
            complain(error)
        print(f"trailmark: {' '.join(words)}: {error}", file=sys.stderr)
        failed(parent, int(job.job.num), words, str(error))
    except Exception as error:
        if parent is not None:
            failed(parent, int(job.job.num), words, repr(error))
        raise


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


_HELP = """usage: trailmark train [KEY=VALUE ...] [-m]

  trailmark train                                             the onboarding experiment on embedded data
  trailmark train experiment=assistments source.path=FOLDER   the same on a real log
  trailmark train agent=linucb training.cohorts=20            any key of the config can be changed
  trailmark train -m agent=linucb,ppo seed=0,1,2              many runs, one parent, one comparison
  trailmark train resume=RUN_ID                               go on with a run that was stopped
  trailmark train --cfg job                                   show the composed config and stop
"""
