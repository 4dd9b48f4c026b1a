"""Compose: command-line words checked before anything runs, with the nearest right key for a wrong one."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

from .build import ConfigError


def many(words: list[str]) -> bool:
    """Return whether the words ask for several jobs."""
    return any(word in ("-m", "--multirun") for word in words)


def check(words: list[str]) -> None:
    """Compose the first job of `words`; ConfigError when a word names no key or no choice there is."""
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if any(word in ("--cfg", "-c", "--info", "--hydra-help") for word in words):
        return
    overrides = [first(word) for word in words if not word.startswith("-") and not word.startswith("hydra")]
    for word in words:
        if not word.startswith("-") and "=" not in word and not word.startswith("~"):
            raise ConfigError(f"{word!r}: say KEY=VALUE, such as seed=1 or agent=linucb")
    try:
        with initialize_config_module("trailmark.configs", version_base="1.3"):
            try:
                compose("train", overrides)
            except (HydraException, OmegaConfBaseException) as error:
                cause = error.__cause__ or error
                raise ConfigError(_explain(str(cause), str(error), compose("train"))) from error
    finally:
        GlobalHydra.instance().clear()


def first(word: str) -> str:
    """Return the override with the first of several values: `seed=0,1` is `seed=0`."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException as error:
        raise ConfigError(f"{word!r} cannot be read: {str(error).splitlines()[0]}") from error
    if not override.is_sweep_override():
        return word
    return f"{word.split('=', 1)[0]}={next(iter(override.sweep_string_iterator()))}"


def _explain(cause: str, message: str, base: Any) -> str:
    found = re.search(r"Key '([^']+)' is not in struct", cause) or re.search(r"Could not override '([^']+)'", message)
    if not found:
        return f"{message}\n{cause}" if cause not in message else message
    full = re.search(r"(?:full_key|Could not override): ?'?([\w.\[\]]+)'?", f"{cause}\n{message}")
    wrong = full.group(1) if full else found.group(1)
    keys = list(flat(base))
    near = difflib.get_close_matches(wrong, keys, 1, 0.5)
    tail = wrong.rsplit(".", 1)[-1]
    if not near:
        near = [key for key in keys if key.rsplit(".", 1)[-1] in difflib.get_close_matches(tail, [tail, *_tails(keys)], 2)][:1]
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"there is no key {wrong!r}{hint} (`trailmark train --cfg job` shows them all; +{wrong}=... adds a new one)"


def _tails(keys: list[str]) -> list[str]:
    return [key.rsplit(".", 1)[-1] for key in keys]


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
