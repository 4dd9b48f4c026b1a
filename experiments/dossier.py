"""Dossier: all evidence on a candidate as one web page that needs nothing else."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def main(words: list[str]) -> None:
    """Run `trailmark dossier OPE.json --to FILE.html`."""
    parser = argparse.ArgumentParser("trailmark dossier", description=__doc__)
    parser.add_argument("evidence", help="what `trailmark ope ... to=FILE` wrote")
    parser.add_argument("--robustness", help="what `trailmark robustness ... --to FILE` wrote")
    parser.add_argument("--pilot", help="what `trailmark pilot simulate|monitor ... --to FILE` wrote")
    parser.add_argument("--ruling", help="what `trailmark promote ... --to FILE` wrote")
    parser.add_argument("--rollout", help="what `trailmark pilot rollout RUN ... --to FILE` wrote")
    parser.add_argument("--to", required=True, type=Path, help="the page to write")
    args = parser.parse_args(words)

    from .build import ConfigError
    from .compose import complain
    from .evidence_page import evidence_page
    from .page import write

    try:
        page = evidence_page(
            _read(args.evidence, "ope", "soundness", "outcomes", "digest", "gain", "incumbent") or {},
            _read(args.robustness, "robustness", "gain", "verdict", "unfit"),
            _read(args.pilot, "pilot", "plan", "looks"),
            _read(args.ruling, "promote", "answer", "reasons"),
            _read(args.rollout, "pilot rollout RUN", "rollout", "looks"),
        )
    except ConfigError as error:
        complain(error)
    except (KeyError, TypeError, IndexError, StopIteration, ValueError) as error:
        files = ", ".join(filter(None, (args.evidence, args.robustness, args.pilot, args.ruling, args.rollout)))
        complain(ConfigError(f"{files}: a part is missing ({type(error).__name__}: {error}); write them anew"))
    print(write(page, args.to))


def _read(path: str | None, verb: str, *keys: str) -> dict[str, Any] | None:
    from .build import ConfigError

    if path is None:
        return None
    try:
        content: dict[str, Any] = json.loads(Path(path).read_text())
        missing = [key for key in keys if key not in content]
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: cannot be read as evidence ({error})") from error
    if missing:
        raise ConfigError(f"{path}: has no {missing[0]!r}; it is not what this version's `trailmark {verb}` writes")
    return content
