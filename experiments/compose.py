"""Compose: command-line words checked before anything runs, with the nearest right key for a wrong one."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .build import ConfigError, sound

if TYPE_CHECKING:
    from omegaconf import DictConfig

_MANY = ("-m", "--multirun")
SHOWS = ("--cfg", "-c", "--info", "-i", "--hydra-help", "--version")  # words with which Hydra shows and runs nothing


def many(words: list[str]) -> bool:
    """Return whether the words ask for several jobs."""
    return any(word in _MANY for word in words)


def arranged(words: list[str]) -> list[str]:
    """Return the words as Hydra can read them: -m first (argparse wants it so), and a run's id in quotes.

    Hydra shows the config of one job only, so -m goes where a config is to be shown. Without quotes `resume=0712` would
    be read as a number.
    """
    rest = [re.sub(r"^resume=(\w+)$", r"resume='\1'", word) for word in words if word not in _MANY]
    flag = [] if _shows(words) else [word for word in words if word in _MANY][:1]
    return flag + rest


def _shows(words: list[str]) -> bool:
    return any(word.split("=")[0] in SHOWS for word in words)


def on_a_log(words: list[str]) -> list[str]:
    """Return `words` on the small log that comes along, unless they name an experiment: for verbs that need a log."""
    named = any(word.partition("=")[0] == "experiment" for word in words)
    return words if named or not words else ["experiment=onboarding_bkt", *words]


def check(words: list[str]) -> DictConfig | None:
    """Return the first job's config; ConfigError when a word names no key or no choice there is.

    Every choice of a sweep is tried. None where the words only ask Hydra to show something.
    """
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    if _shows(words):
        return None
    named = [word for word in words if not word.startswith("-")]
    for word in named:
        if "=" not in word and not word.startswith("~"):
            raise ConfigError(f"{word!r}: say KEY=VALUE, such as seed=1 or agent=linucb")
    kept = [word for word in named if word.startswith("hydra.searchpath=") or not word.startswith("hydra")]
    choices = {word: several(word) for word in kept}
    for word, values in choices.items():
        if len(values) > 1 and not many(words):
            raise ConfigError(f"{word!r} names several values; add -m to run them all")
    first = {word: values[0] for word, values in choices.items()}
    try:
        with initialize_config_module("trailmark.configs", version_base="1.3"):
            config = _compose(list(first.values()))
            spell_out(config)
            sound(config)
            for word, values in choices.items():
                for value in values[1:] if _is_group(word) else ():
                    _compose(list((first | {word: value}).values()))
    finally:
        GlobalHydra.instance().clear()
    return config


def spell_out(cfg: DictConfig) -> None:
    """Put a tracer's config where `student.tracer` is its name: learners of another tracer than the observer's."""
    from omegaconf import OmegaConf

    from ..configs import __file__ as here

    name = OmegaConf.select(cfg, "student.tracer")
    if not isinstance(name, str):
        return
    path = Path(here).parent / "tracer" / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.yaml"))
        near = difflib.get_close_matches(name, known, 1, 0.5)
        hint = f"; did you mean student.tracer={near[0]}?" if near else ";"
        raise ConfigError(f"there is no tracer {name!r}{hint} There are: {', '.join(known)}")
    cfg.student.tracer = OmegaConf.load(path)


def several(word: str) -> list[str]:
    """Return the override with each of its values: `seed=0,1` is `seed=0` and `seed=1`."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException as error:
        raise ConfigError(f"{word!r} cannot be read: {str(error).splitlines()[0]}") from error
    if not override.is_sweep_override():
        return [word]
    return [f"{word.split('=', 1)[0]}={value}" for value in override.sweep_string_iterator()]


def _is_group(word: str) -> bool:
    from ..configs import __file__ as here

    return (Path(here).parent / word.split("=", 1)[0]).is_dir()


def _compose(overrides: list[str]) -> DictConfig:
    from hydra import compose
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        return compose("train", overrides)
    except (HydraException, OmegaConfBaseException) as error:
        found = re.search(r"Key '([^']+)' is not in struct", str(error.__cause__ or error))
        found = found or re.search(r"Could not (?:override|delete from config\.) '([^']+)'", str(error))
        if found:
            raise ConfigError(_no_key(f"{error.__cause__ or ''}\n{error}", found.group(1), overrides)) from error
        choice = re.search(r"Could not find '([^']+)/([^'/]+)'", str(error))
        if choice:
            raise ConfigError(_no_choice(choice.group(1), choice.group(2), str(error))) from error
        cause = str(error.__cause__ or "")
        raise ConfigError(f"{error}\n{cause}" if cause not in str(error) else str(error)) from error


def _no_key(message: str, name: str, overrides: list[str]) -> str:
    from hydra import compose

    full = re.search(r"full_key: ?'?([\w.\[\]]+)'?", message)
    wrong = full.group(1) if full else name
    # The keys depend on what was chosen: `source=table` has a path, the default source has none.
    chosen = [word for word in overrides if _is_group(word) and word.split("=", 1)[0] != wrong]
    base = compose("train", chosen)
    keys = list(flat(base))
    group, _, tail = wrong.rpartition(".")
    beside = [key for key in keys if key.rpartition(".")[0] == group]
    near = difflib.get_close_matches(wrong, beside, 1, 0.6) or difflib.get_close_matches(wrong, keys, 1, 0.6)
    near = near or [key for key in keys if key.rsplit(".", 1)[-1] == tail][:1]
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"there is no key {wrong!r}{hint} (`trailmark train --cfg job` shows them all; +{wrong}=... adds a new one)"


def _no_choice(group: str, name: str, message: str) -> str:
    options = re.findall(r"^\t(\S+)$", message, re.MULTILINE)
    near = difflib.get_close_matches(name, options, 1, 0.5)
    hint = f"; did you mean {group}={near[0]}?" if near else ";"
    return f"there is no {group}={name}{hint} There are: {', '.join(options)}"


def flat(node: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every key of a config, groups included."""
    from omegaconf import DictConfig

    for key in node:
        name = f"{prefix}{key}"
        yield name
        value = node._get_node(key)
        if isinstance(value, DictConfig) and not value._is_none() and not value._is_interpolation():
            yield from flat(value, f"{name}.")


def complain(error: Exception) -> NoReturn:
    """Say what is wrong, to the person who can mend it, and stop with status 2."""
    print(f"trailmark: {error}", file=sys.stderr)
    raise SystemExit(2)
