"""Compare: finished runs side by side, with intervals over seeds."""

from __future__ import annotations

import argparse
from pathlib import Path


def main(words: list[str]) -> None:
    """Run `trailmark compare RUN RUN ...`."""
    parser = argparse.ArgumentParser("trailmark compare", description=__doc__)
    parser.add_argument("runs", nargs="+", help="ids of finished runs of one experiment, or of one multirun's parent")
    parser.add_argument("--to", default="comparison", help="folder for comparison.json and comparison.html")
    parser.add_argument("--output", default="runs", help="folder of local runs")
    args = parser.parse_args(words)

    from .compose import complain
    from .runs import RunError, find
    from .sweep import children, compare, report, show

    try:
        found = children(Path(args.output), args.runs[0]) if len(args.runs) == 1 else []
        found = found or [find(args.output, name).read_evaluation() for name in args.runs]
        compared = compare(found, args.runs[0], " ".join(["trailmark compare", *words]))
    except ValueError as error:  # RunError is one
        complain(error if isinstance(error, RunError) else ValueError(str(error)))
    show(compared, report(compared, Path(args.to)))
