"""Fit: tracers to a log's learners, judged on learners they never saw, beside the floors, all on the same rows."""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .build import ConfigError
from .runs import RunError

if TYPE_CHECKING:
    from omegaconf import DictConfig

NULL = ("auto", "true", "false")
_EPILOG = """examples:
  trailmark fit tracer=pfa source=table source.path=answers.csv
  trailmark fit -m tracer=bkt,pfa,dkt source=gervet source.path=FOLDER    one table, all on the same rows
  trailmark fit tracer=dkt null=true       refit to labels made by chance: the AUC must be .50
  trailmark fit resume=RUN_ID              go on with a fit that was stopped

null=auto (the default) makes the null test where the fit took at most 10 CPU seconds.
Everything is written to OUTPUT/fit/RUN_ID and to MLflow."""


def main(words: list[str]) -> None:
    """Run `trailmark fit`."""
    parser = argparse.ArgumentParser(
        "trailmark fit", description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="train's keys, such as tracer=pfa seed=1")
    parser.add_argument("-m", "--multirun", action="store_true", help="fit every model that the words name")
    parser.add_argument("--to", type=Path, help="folder to save the fitted tracer in; of several, that of the best AUC")
    args = parser.parse_intermixed_args(words)

    import torch

    from ..data.errors import DataError
    from ..envs.pack import PackError
    from .compose import complain

    torch.set_num_threads(1)  # sums in one order: the same seed gives the same numbers
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _run(args.overrides, args.multirun, args.to)
    except (ConfigError, RunError, DataError, PackError) as error:
        complain(error)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _run(words: list[str], many: bool, to: Path | None) -> None:
    from ..envs import pack
    from .build import facts
    from .console import Console
    from .contest import Contest
    from .fitting import Task

    console = Console()
    place, story = _stopped(words)
    if story is not None:
        words, many = story["words"], story["many"]
    kept, null = _null_word(words)
    jobs = _jobs(kept, many)
    cfg = next(iter(jobs.values()))
    with console.step("load catalogue and log"):
        known = facts(cfg)
    for note in known.summary["notes"]:
        console.say(f"note: {note}")
    if story is not None and story["digest"] != known.summary["digest"]:
        raise RunError(f"the data of {place} changed since the fit was started; start it anew")
    task = Task.of(known, cfg.seed)
    if not task.judged.mixed:
        raise ConfigError("the learners kept for judging answered all alike; change split.test or seed")
    if place is None:
        contest = Contest.begin(task, jobs, null, {"words": words, "many": many}, console)
    else:
        contest = Contest.again(task, jobs, null, place, console)
    found = contest.run()
    if to:
        best = max(found, key=lambda label: float(found[label]["metrics"]["auc"]["value"]))
        pack.save(pack.load(contest.folder(best) / "tracer", cfg.allow), to)
        console.say(f"saved: {best} to {to}")


def _null_word(words: Sequence[str]) -> tuple[list[str], str]:
    """Return the words without `null=...`, and what it says."""
    said = [word.partition("=")[2].lower() for word in words if word.startswith("null=")]
    if said and said[-1] not in NULL:
        raise ConfigError(f"null={said[-1]}: say one of {', '.join(NULL)}")
    return [word for word in words if not word.startswith("null=")], said[-1] if said else "auto"


def _stopped(words: Sequence[str]) -> tuple[Path | None, dict[str, Any] | None]:
    """Return the folder and the story of the fit that `resume=` names, or nothing."""
    named = [word.partition("=")[2].strip("'\"") for word in words if word.startswith("resume=")]
    if not named or named[-1] == "null":
        return None, None
    others = [word for word in words if not word.startswith(("resume=", "output="))]
    if others:
        raise ConfigError(f"a fit goes on under its own config; say resume={named[-1]} without {' '.join(others)}")
    outputs = [word.partition("=")[2] for word in words if word.startswith("output=")]
    home = Path(outputs[-1] if outputs else "runs") / "fit"
    folders = [path.parent for path in sorted(home.glob("*/fit.json"))]
    matches = [path for path in folders if path.name.startswith(named[-1])]
    if len(matches) != 1:
        known = ", ".join(path.name[:12] for path in folders[:8]) or "none"
        what = "no fit" if not matches else f"{len(matches)} fits"
        raise RunError(f"{what} {named[-1]!r} in {home}; there are: {known}. Name one by its id.")
    story: dict[str, Any] = json.loads((matches[0] / "fit.json").read_text())
    return matches[0], story


def _jobs(words: list[str], many: bool) -> dict[str, DictConfig]:
    """Return the config of every model to fit, by what the table calls it."""
    from omegaconf import OmegaConf

    from .build import check
    from .compose import check as composed
    from .compose import on_a_log, several

    choices = {word: several(word) if "=" in word else [word] for word in words}
    for word, values in choices.items():
        if len(values) > 1 and not many:
            raise ConfigError(f"{word!r} names several values; add -m to fit them all")
        if len(values) > 1 and word.partition("=")[0].split(".")[0] != "tracer":
            raise ConfigError(f"{word!r}: the models of one table share data, split and seed; fit one after the other")
    jobs: dict[str, DictConfig] = {}
    for combination in product(*choices.values()):
        cfg = composed(on_a_log(list(combination)))
        if cfg is None or not cfg.source:
            raise ConfigError("there is nothing to fit to: choose a source")
        check(OmegaConf.to_container(cfg.tracer, resolve=True), cfg.allow)
        names = [word.removeprefix("tracer=") for word in combination if word.startswith("tracer=")] or ["bkt"]
        own = [word.removeprefix("tracer.") for word in combination if word.startswith("tracer.")]
        jobs[" ".join([names[-1], *own])] = cfg
    return jobs
