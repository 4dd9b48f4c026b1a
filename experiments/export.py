"""Export: a run's policy bundle, checked and copied to a folder of its own."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path


def main(words: list[str]) -> None:
    """Run `trailmark export RUN --to FOLDER`."""
    parser = argparse.ArgumentParser("trailmark export", description=__doc__)
    parser.add_argument("run", help="a run's id (or its start, or `latest`)")
    parser.add_argument("--to", required=True, help="folder to write; it must not exist, or be an older bundle")
    parser.add_argument(
        "--explore",
        type=float,
        default=0.0,
        help="share of its decisions left to chance, 0 to 1: what it logs can then judge other policies",
    )
    parser.add_argument("--register", metavar="MODEL", help="register it in MLflow as a version of this model")
    parser.add_argument("--alias", default="challenger", help="the alias of that version (default: %(default)s)")
    parser.add_argument("--no-onnx", action="store_true", help="leave the graph for other runtimes out")
    parser.add_argument("--output", default="runs", help="folder of local runs")
    args = parser.parse_args(words)

    from ..agents.bundle import PolicyBundle
    from ..agents.graph import GraphError
    from ..agents.mixed import Mixed
    from ..envs.pack import PackError
    from .compose import complain
    from .runs import RunError, find

    if args.register and args.no_onnx:
        parser.error("--register needs the graph: leave --no-onnx out")
    if not 0.0 <= args.explore <= 1.0:
        parser.error("--explore is a share, 0 to 1")
    target = Path(args.to)
    try:
        run = find(args.output, args.run)
        free = not target.exists() or (target.is_dir() and not any(target.iterdir()))
        if not free and not (target / "card.json").exists():
            raise RunError(f"{target} exists and is no policy bundle; name another folder")
        if not run.bundle.exists():
            raise RunError(f"run {run.id} has no bundle yet: finish it with `trailmark train resume={run.id}`")
        bundle = PolicyBundle.load(run.bundle)
        if args.explore:
            limit = f"{args.explore:.0%} of its decisions are left to chance; the outcomes here are without that."
            card = bundle.card | {"explore": args.explore, "limits": [*bundle.card.get("limits", []), limit]}
            bundle = replace(bundle, policy=Mixed(bundle.policy, args.explore), card=card)
        if args.no_onnx:
            bundle.save(target)
        else:
            bundle.export(target)
        again = PolicyBundle.load(target)
    except GraphError as error:
        complain(GraphError(f"{error}. Nothing was written; --no-onnx exports the bundle for this package alone"))
    except (RunError, PackError) as error:
        complain(error)
    first = again.recommend(again.enrol(), 1)[0]
    count = len(again.observer.catalog.activities)
    kind = type(bundle.policy.policy if isinstance(bundle.policy, Mixed) else bundle.policy).__name__
    kind += f", {args.explore:.0%} of its decisions left to chance," if args.explore else ""
    print(f"{target}: {kind} for {count} activities, from run {run.id}")
    print(f"a new learner would get: {first.title} (p = {first.probability:.2f})")
    if args.register:
        from .track import register

        number = register(target, args.register, args.alias, run.id)
        print(f"registered: models:/{args.register}/{number}, alias {args.alias}")
