"""Pilot: plan a trial of a policy, watch it look by look, or rehearse it on simulated learners."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .direction import WORDS, sign_of
from .pilot_rollout import roll_out, rollout_words
from .runs import plain_json

if TYPE_CHECKING:
    from ..envs.classroom import World
    from .console import Console
    from .evidence.estimate import Index
    from .evidence.monitor import Look
    from .evidence.pilot import Plan


def main(words: list[str]) -> None:
    """Run `trailmark pilot plan|monitor|simulate|rollout`."""
    parser = argparse.ArgumentParser("trailmark pilot", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    plan = verbs.add_parser("plan", help="how many learners or classes, and the smallest effect that would show")
    plan.add_argument("--effect", type=float, required=True, help="to be found, in sd of one learner's outcome")
    plan.add_argument("--alpha", type=float, default=0.05, help="chance of a false alarm, all looks together")
    plan.add_argument("--power", type=float, default=0.8, help="chance to find the effect")
    plan.add_argument("--share", type=float, default=0.5, help="of units that get the candidate")
    plan.add_argument("--size", type=int, default=1, help="learners per randomised unit: 1, or a class")
    plan.add_argument("--icc", type=float, default=0.0, help="intraclass correlation of the outcome")
    plan.add_argument("--looks", type=int, default=1, help="how often you will look")
    plan.add_argument("--schedule", default="obrien-fleming", help="obrien-fleming, pocock, or anytime")
    plan.add_argument("--to", help="a file for the plan, for `monitor` and `simulate`")
    watch = verbs.add_parser("monitor", help="what to do at this look")
    watch.add_argument("table", help="CSV or Parquet, a row per learner: unit, arm (1 = candidate), outcomes")
    watch.add_argument("--plan", required=True, help="the plan's file")
    watch.add_argument("--unit", default="learner", help="the column of what was randomised")
    watch.add_argument("--arm", default="arm", help="the column of the arm")
    watch.add_argument("--outcome", required=True, help="the column of the outcome")
    watch.add_argument(
        "--better", choices=WORDS, help="of the outcome (default: as Trailmark's outcome of that name, else more)"
    )
    watch.add_argument(
        "--guardrail",
        nargs="*",
        default=[],
        metavar="COLUMN=MARGIN",
        help="outcomes that may get worse by at most so much",
    )
    watch.add_argument("--group", metavar="COLUMN", help="learner groups, none of which may be worse off")
    watch.add_argument("--candidate", help="the candidate's bundle or run, so that `trailmark promote` knows it again")
    watch.add_argument(
        "--to",
        required=True,
        help="a file that keeps this look beside the earlier ones: which look it is follows from the units that are "
        "there, and none can be taken twice; for `trailmark dossier` and `promote`",
    )
    watch.add_argument("--output", default="runs", help="folder of local runs")
    play = verbs.add_parser("simulate", help="rehearse the pilot with a run's learners and policy")
    play.add_argument("run", help="a run's id (or its start, or `latest`)")
    play.add_argument("--plan", required=True, help="the plan's file")
    play.add_argument("--candidate", help="a baseline or an exported bundle in place of the run's own policy")
    play.add_argument("--against", default="random_legal", help="the incumbent: a baseline of the run, or a bundle")
    play.add_argument("--to", help="a file for the looks, for `trailmark dossier`")
    play.add_argument("--seed", type=int, default=1)
    play.add_argument("--allow", nargs="*", default=[], help="packages outside trailmark whose classes may be built")
    play.add_argument("--output", default="runs", help="folder of local runs")
    rollout_words(verbs.add_parser("rollout", help="1/5/10/25/50/100 %%: how many learners, or rehearsed with a run"))
    args = parser.parse_args(words)

    from ..data.errors import DataError
    from ..envs.pack import PackError
    from .build import ConfigError
    from .compose import complain
    from .console import Console
    from .runs import RunError

    console = Console()
    try:
        {"plan": _plan, "monitor": _monitor, "simulate": _simulate, "rollout": roll_out}[args.verb](args, console)
    except (ConfigError, DataError, PackError, RunError) as error:
        complain(error)


def _plan(args: argparse.Namespace, console: Console) -> None:
    from .build import ConfigError
    from .evidence.pilot import Plan, design_effect, detectable, needed
    from .runs import make_room, write_json

    if args.to:
        make_room(args.to)
    try:
        plan = Plan(**{field.name: getattr(args, field.name) for field in fields(Plan) if hasattr(args, field.name)})
        units = needed(plan)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    what = "learners" if plan.size == 1 else f"units of {plan.size} learners"
    looks = "looks at any time" if plan.schedule == "anytime" else f"{plan.looks} looks, {plan.schedule}"
    console.say(f"{units:,} {what} in both arms find {plan.effect:g} sd with power {plan.power:g} ({looks})")
    if plan.size > 1:
        console.say(
            f"design effect {design_effect(plan):.2f}: learners of one unit are alike, so units are what counts"
        )
    for part in (0.25, 0.5, 2.0):
        n = max(8, round(units * part))
        console.say(f"  with {n:,}: effects from {detectable(plan, n):.3f} sd on")
    if args.to:
        write_json(Path(args.to), {"schema": 1, **asdict(plan)})
        console.say(f"plan: {args.to}")


def read_plan(path: str) -> Plan:
    """Return the plan in the file `path`; ConfigError when it is none."""
    from .build import ConfigError
    from .evidence.pilot import Plan, needed

    try:
        content: dict[str, Any] = json.loads(Path(path).read_text())
        plan = Plan(**{key: value for key, value in content.items() if key != "schema"})
        if plan.explained:
            raise ValueError("it counts on covariates, and no pilot here adjusts for any: leave `explained` out")
        needed(plan)
        return plan
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"--plan {path}: no plan ({error}); make one with `trailmark pilot plan --to {path}`"
        ) from error


def _monitor(args: argparse.Namespace, console: Console) -> None:
    from ..data.errors import require_columns
    from ..data.files import existing, read_frame
    from .build import ConfigError
    from .cast import bundle_folder, digest
    from .evidence.monitor import Units, look
    from .runs import make_room, write_json

    margins = {}
    for word in args.guardrail:
        name, _, margin = word.rpartition("=")
        try:
            margins[name] = float(margin)
        except ValueError as error:
            raise ConfigError(f"--guardrail {word}: say COLUMN=MARGIN, such as confidence=0.1") from error
        if not 0.0 <= margins[name] < float("inf"):
            raise ConfigError(f"--guardrail {word}: a margin is 0 or more")
    make_room(args.to)
    plan, path = read_plan(args.plan), existing(args.table, "the pilot's table")
    of = digest(bundle_folder(args.candidate, args.output)) if args.candidate else ""
    named = [args.unit] if args.group is None else [args.unit, args.group]
    frame, _ = read_frame(path, named, [args.arm, args.outcome, *margins])
    require_columns([*named, args.arm, args.outcome, *margins], frame.columns, path.name)
    if not frame[args.arm].isin([0, 1]).all():
        raise ConfigError(f"{path.name}, column '{args.arm}': write 1 for the candidate and 0 for the incumbent")
    sign = {name: sign_of(name) for name in margins} | {args.outcome: sign_of(args.outcome, args.better)}

    def units_of(part: Any, name: str) -> Units:
        try:
            return Units.of(part[args.unit], part[args.arm], sign[name] * part[name].astype(float))
        except ValueError as error:
            raise ConfigError(f"{path.name}, column '{name}': {error}") from error

    units = units_of(frame, args.outcome)
    about = {"plan": asdict(plan), "outcome": args.outcome, "digest": of}
    kept = _kept(args.to, about)
    number = _number(plan, kept, len(units.value), args.to)
    guarded = {name: (units_of(frame, name), margin) for name, margin in margins.items()}
    groups = {str(name): units_of(part, args.outcome) for name, part in frame.groupby(args.group)} if args.group else {}
    found = look(units, plan, number, guarded, groups)
    _say(console, found, number, plan)
    record = look_json(found, number)
    if kept and found.units == kept[-1]["units"]:
        if record["effect"]["value"] != kept[-1]["effect"]["value"]:
            raise ConfigError(
                f"--to {args.to}: look {number} is recorded with other outcomes of these {found.units:,} units; a look "
                "is not taken twice. Name another file if this is another pilot."
            )
        kept[-1] = record
    elif number or found.decision in ("stop", "roll back"):
        kept.append(record)
    write_json(Path(args.to), {"schema": 1, **about, "looks": kept, "truth": None})


def _number(plan: Plan, kept: list[dict[str, Any]], units: int, path: str) -> int:
    """Which look `units` units allow: one that is due and was not taken; 0 between looks."""
    from .build import ConfigError
    from .evidence.monitor import due

    taken = max((int(one["look"]) for one in kept), default=0)
    if kept and units == kept[-1]["units"]:  # the same look again
        return int(kept[-1]["look"])
    if kept and units < kept[-1]["units"]:
        raise ConfigError(f"--to {path}: holds a look at {kept[-1]['units']:,} units already, and here are {units:,}")
    reached = taken + 1 if plan.schedule == "anytime" else due(plan, units)
    return reached if reached > taken else 0


def _kept(path: str, about: dict[str, Any]) -> list[dict[str, Any]]:
    """The looks that the file `path` holds already; ConfigError when they are another pilot's."""
    from .build import ConfigError

    if not Path(path).exists():
        return []
    try:
        content = json.loads(Path(path).read_text())
        found: list[dict[str, Any]] = content["looks"]
        for one in found:
            one["look"], one["units"], one["effect"]["value"]
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"--to {path}: holds no looks of a pilot; name another file") from error
    other = [name for name, value in about.items() if content.get(name) != value]
    if other:
        raise ConfigError(f"--to {path}: its looks are at another {other[0]}; name another file")
    return found


def look_json(found: Look, number: int) -> dict[str, Any]:
    """Return one look as plain JSON values; bounds that are not finite are null."""
    return {"look": number, **plain_json(asdict(found))}


def _simulate(args: argparse.Namespace, console: Console) -> None:
    import numpy as np
    import torch

    from ..agents.loop import play
    from ..envs import pack
    from ..envs.rng import derive
    from .cast import cast
    from .evidence.monitor import Units, look
    from .evidence.pilot import needed, size_at
    from .runs import find, make_room, read_config, write_json

    torch.set_num_threads(1)
    if args.to:
        make_room(args.to)
    plan, run = read_plan(args.plan), find(args.output, args.run)
    cfg = read_config(run)
    cfg.allow = args.allow  # trust is said anew, never read from a file
    world = pack.load(run.world, cfg.allow)
    players = [cast(name, run, cfg, world) for name in (args.against, args.candidate)]
    units, chance = needed(plan), derive(args.seed, "pilot")
    rng = np.random.Generator(np.random.Philox(seed=[chance, 1]))
    arm = np.repeat((rng.random(units) < plan.share).astype(float), plan.size)
    lived = []
    sign = 1.0 if world.outcomes[cfg.primary].higher_is_better else -1.0
    for player in players:
        with console.step(f"{units * plan.size:,} learners live a session each"):
            played = play(player.among(world), player.policy, chance, units * plan.size)
            lived.append(sign * played.values[cfg.primary].double().numpy())
    value = np.where(arm > 0, lived[1], lived[0])
    owner, looks = np.repeat(np.arange(units), plan.size), []
    roles = np.asarray(world.observer.catalog.roles)[_roles(world, chance, units * plan.size)]
    for number in range(1, plan.looks + 1):
        seen = owner < size_at(plan, number)
        parts = {role: seen & (roles == role) for role in np.unique(roles)}
        groups = {str(role): Units.of(owner[x], arm[x], value[x]) for role, x in parts.items() if len(parts) > 1}
        found = look(Units.of(owner[seen], arm[seen], value[seen]), plan, number, groups=groups)
        _say(console, found, number, plan)
        looks.append(look_json(found, number))
        if found.decision != "continue":
            break
    truth = float((lived[1] - lived[0]).mean())
    less = "" if sign > 0 else " (less is better; + is a gain)"
    sd = f" ({truth / lived[0].std():+.2f} sd)" if lived[0].std() > 0 else ""
    console.say(f"truth, had every learner lived both: {truth:+.4f}{sd} in {cfg.primary}{less}")
    if args.to:
        content = {"schema": 1, "plan": asdict(plan), "looks": looks, "truth": truth, "digest": players[1].digest}
        content["outcome"] = cfg.primary
        write_json(Path(args.to), content | {"candidate": args.candidate or run.id, "against": args.against})


def _roles(world: World, seed: int, learners: int) -> Index:
    """(n,) the role that each of the learners says at enrolment."""
    from ..envs.rng import Rng

    student = world.student
    return student.context(student.enrol(Rng.enrol(seed, 0, learners))).role.numpy()


def _say(console: Console, found: Look, number: int, plan: Plan) -> None:
    which = f"look {number} of {plan.looks}" if number else "between looks"
    console.say(
        f"{which}: {found.units:,} of {found.planned:,} units, t = {found.z:+.2f}, bound {found.bound:.2f}, "
        f"split p = {found.ratio_p:.2g}"
    )
    for name, e in found.guardrails.items():
        console.say(f"  guardrail {name}: {e.value:+.4f} [{e.low:+.4f}, {e.high:+.4f}]")
    for name, group in found.groups.items():
        said = f"{group.value:+.4f} [{group.low:+.4f}, {group.high:+.4f}]" if group else "insufficient evidence"
        console.say(f"  group {name}: {said}")
    console.say(f"  {found.decision.upper()}: {found.reason}")
