"""Direction: whether more or less of an outcome is better, by its name."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

WORDS = ("more", "less")


def sign_of(name: str, word: str | None = None) -> float:
    """Return 1 where more of the outcome `name` is better, -1 where less is.

    `word` says it (`more`, `less`); else the outcomes that come with Trailmark say it themselves, and of any other
    column more is better. ConfigError when the word is another one.
    """
    from .build import ConfigError

    if word is not None and word not in WORDS:
        raise ConfigError(f"better={word}: say more or less")
    return _known().get(name, 1.0) if word is None else {"more": 1.0, "less": -1.0}[word]


@cache
def _known() -> dict[str, float]:
    from omegaconf import OmegaConf

    from ..configs import __file__ as here
    from .build import resolve

    found = {}
    for path in sorted((Path(here).parent / "outcomes").glob("*.yaml")):
        for name, node in OmegaConf.load(path).outcomes.items():
            outcome: Any = resolve(str(node["_target_"]), "outcome", [])
            found[str(name)] = 1.0 if outcome.higher_is_better else -1.0
    return found
