"""Robustness: a run's policy and its rivals on every kind of learner it was not trained on; who wins at home only?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ..envs.classroom import World

KINDS = ("pfa", "das3h", "best_lr")  # quick to fit, and unlike each other


def main(words: list[str]) -> None:
    """Run `trailmark robustness RUN`."""
    parser = argparse.ArgumentParser("trailmark robustness", description=__doc__)
    parser.add_argument("run", help="a run's id (or its start, or `latest`)")
    parser.add_argument(
        "--also",
        nargs="+",
        default=list(KINDS),
        metavar="MODEL",
        help="learners that answer as these tracers predict, or made by hand (ssr)",
    )
    parser.add_argument("--candidate", help="an exported bundle in place of the run's own policy")
    parser.add_argument("--incumbent", help="a baseline of the run, its best heuristic by default, or a bundle")
    parser.add_argument("--learners", type=int, default=500, help="fresh learners of each kind")
    parser.add_argument(
        "--margin",
        type=float,
        default=0.1,
        help="how much a policy may lose at most among any kind, in sd of one learner's outcome under the incumbent "
        "(default: %(default)s): more must be excluded, or the verdict stays open",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the learners")
    parser.add_argument("--to", help="a file for the matrix as JSON")
    parser.add_argument("--allow", nargs="*", default=[], help="packages outside trailmark whose classes may be built")
    parser.add_argument("--output", default="runs", help="folder of local runs")
    args = parser.parse_args(words)
    if args.learners < 2 or args.seed < 0:
        parser.error("--learners takes 2 or more, --seed 0 or more")
    if not 0.0 <= args.margin < float("inf"):
        parser.error("--margin takes 0 or more")

    import torch
    from omegaconf import OmegaConf

    from ..agents.loop import play
    from ..agents.privileged import Privileged
    from ..data.errors import DataError
    from ..envs import pack
    from ..envs.rng import derive
    from ..envs.validity.gate import refusal
    from . import evaluation as ev
    from .build import ConfigError, check, make_baselines
    from .cast import Player, cast
    from .compose import complain
    from .console import Console
    from .evidence.robustness import judged, matrix_of, ranks
    from .runs import RunError, find, make_room, plain_json, read_config, write_json

    torch.set_num_threads(1)
    console = Console()
    try:
        if args.to:
            make_room(args.to)
        run = find(args.output, args.run)
        found, cfg = run.read_evaluation(), read_config(run)
        cfg.allow = args.allow  # trust is said anew, never read from a file
        check(OmegaConf.to_container(cfg, resolve=True), cfg.allow)
        home = pack.load(run.world, cfg.allow)
        own = args.candidate or str(found["policies"][0]["name"])
        policies = {own: cast(args.candidate, run, cfg, home)}
        baselines = make_baselines(cfg, home.observer.space, home.observer)
        policies |= {
            name: Player(p, home.observer)
            for name, (_, p) in baselines.items()
            if p.guarded and not isinstance(p, Privileged)
        }
        incumbent = args.incumbent or found["best_heuristic"]
        if incumbent not in policies:
            policies[incumbent] = cast(incumbent, run, cfg, home)
        worlds = {"home": home}
        for kind in args.also:
            with console.step(f"fit learners of the kind {kind}"):
                worlds[kind] = ev.elsewhere(home, _learners(kind, cfg, home))
    except (ConfigError, RunError, DataError, pack.PackError) as error:
        complain(error)
    unfit = {kind: why for kind, world in worlds.items() if (why := refusal(world.student))}
    for kind, why in unfit.items():
        console.say(f"  unfit learners, {kind}: {why} They are shown and decide nothing.")
    sign = 1.0 if home.outcomes[cfg.primary].higher_is_better else -1.0
    plays: dict[str, dict[str, Any]] = {name: {} for name in policies}
    with console.progress("play", len(policies) * len(worlds)) as advance:
        for kind, world in worlds.items():
            for name, player in policies.items():
                played = play(player.among(world), player.policy, derive(args.seed, "robustness"), args.learners)
                plays[name][kind] = sign * played.values[cfg.primary].double().numpy()
                advance(f"{name} among {kind}")
    matrix = matrix_of(plays, {own: "home"}, incumbent, tuple(unfit))
    rows = judged(matrix, args.margin)
    _show(console, matrix, rows)
    console.say(f"order of the policies, mean Kendall tau between kinds of learners: {ranks(matrix):.2f}")
    if args.to:
        content = {name: {kind: float(x.mean()) for kind, x in by.items()} for name, by in plays.items()}
        verdicts = {
            row.policy: plain_json(
                {"flagged": row.flagged, "unsure": row.unsure, "says": row.says, "worst_away": row.worst_away}
            )
            for row in rows
        }
        about = {"schema": 1, "run": run.id, "candidate": own, "incumbent": incumbent, "value": content}
        about |= {"digest": policies[own].digest, "margin": args.margin, "unfit": unfit}  # a baseline has no bundle
        tables = {"gain": matrix.gain, "error": matrix.error}
        about |= {
            name: {
                p: dict(zip(matrix.students, row.tolist(), strict=True)) for p, row in zip(plays, cells, strict=True)
            }
            for name, cells in tables.items()
        }
        write_json(Path(args.to), about | {"verdict": verdicts})


def _learners(kind: str, cfg: DictConfig, home: World) -> Any:
    """Learners of a tracer fitted to the run's own training learners, or learners made by hand, by their yaml."""
    from omegaconf import OmegaConf

    from ..configs import __file__ as here
    from ..envs.rng import Rng
    from .build import ConfigError, facts, fit_student
    from .compose import check as compose

    folder = Path(here).parent
    known_facts = facts(cfg)
    by_hand = folder / "student" / f"{kind}.yaml"
    if by_hand.is_file() and kind != "sampled":
        composed = compose([f"student={kind}"])
        assert composed is not None  # these words show nothing
        try:
            student = fit_student(composed.student, known_facts, cfg.allow)
            student.enrol(Rng.enrol(0, 0, 1))
        except ValueError as error:
            raise ConfigError(f"--also {kind}: {error}") from error
        if student.catalog is None or student.catalog.activity_ids != home.observer.catalog.activity_ids:
            raise ConfigError(f"--also {kind}: these learners have another catalogue than the run")
        return student
    path = folder / "tracer" / f"{kind}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in (folder / "tracer").glob("*.yaml")))
        raise ConfigError(f"--also {kind}: no such tracer; there are {known}")
    if known_facts.split is None:
        raise ConfigError("this run's learners are made by hand: other kinds need a log (a source) to be fitted to")
    node = {
        "_target_": "trailmark.envs.students.sampled.SampledStudent",
        "tracer": OmegaConf.load(path),
        "minutes": cfg.minutes,
    }
    return fit_student(OmegaConf.create(node), known_facts, cfg.allow)


def _show(console: Any, matrix: Any, rows: Any) -> None:
    from rich.table import Table

    grid = Table(title=f"Gain over {matrix.incumbent} (value for itself), by kind of learner; +- one standard error")
    grid.add_column("policy")
    for kind in matrix.students:
        grid.add_column(f"{kind} (unfit)" if kind in matrix.unfit else kind, justify="right")
    grid.add_column("verdict")
    for i, row in enumerate(rows):
        cells = [f"{g:+.4f} +- {e:.4f}" for g, e in zip(matrix.gain[i], matrix.error[i], strict=True)]
        if row.policy == matrix.incumbent:
            cells = [f"{v:.4f}" for v in matrix.value[i]]
        grid.add_row(row.policy, *cells, ("FLAGGED: " if row.flagged else "OPEN: " if row.unsure else "") + row.says)
    console.show(grid)
