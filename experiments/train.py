"""Train: one experiment from a log to a report, each step visible; stops and resumes without a trace in the numbers."""

from __future__ import annotations

import os
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
    import hydra

    from .compose import complain, many
    from .compose import check as check_words

    if "--help" in words or "-h" in words:
        print(_HELP)
        return
    try:
        check_words(words)
        several = many(words)
        if several:
            from .sweep import begin, finish

            os.environ[PARENT] = begin(several, words)
        else:
            os.environ.setdefault(PARENT, "")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        sys.argv = ["trailmark train", *words]
        entry = hydra.main(version_base="1.3", config_path="pkg://trailmark.configs", config_name="train")(_job)
        status = "FAILED"
        try:
            entry()
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise SystemExit(130) from None
        finally:
            if several:
                finish(os.environ[PARENT], several, status, words)
    except (ConfigError, RunError) as error:
        complain(error)


def _job(cfg: DictConfig) -> None:
    """Run one experiment; what the user can mend is said in one line, not with a traceback."""
    from ..data.errors import DataError
    from ..envs.pack import PackError
    from .compose import complain
    from .experiment import Experiment

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        Experiment.of(cfg, os.environ.get(PARENT) or None).run()
    except (ConfigError, RunError, DataError, PackError) as error:
        complain(error)


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
