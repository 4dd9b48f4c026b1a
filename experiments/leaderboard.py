"""Leaderboard: every agent on every benchmark task with several seeds, between random-legal and the ceiling."""

from __future__ import annotations

import argparse
import csv
import io
import multiprocessing
import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from .build import ConfigError

if TYPE_CHECKING:
    from .leaderboard_cell import Row
    from .leaderboard_plan import Cell, Profile, Task


def main(words: list[str]) -> None:
    """Run `trailmark leaderboard [PROFILE]`."""
    parser = argparse.ArgumentParser("trailmark leaderboard", description=__doc__)
    parser.add_argument("profile", nargs="?", default="quick", help="quick, full, offline, ... or a yaml file")
    parser.add_argument(
        "--tasks", nargs="+", help="only these tasks (names of configs/leaderboard/task, or yaml files)"
    )
    parser.add_argument("--agents", nargs="+", help="only these agents; the tasks' own baselines always play")
    parser.add_argument("--seeds", type=int, help="seeds instead of the profile's")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="keys of train for every task")
    parser.add_argument("--processes", type=int, default=2, help="cells at a time, one core each")
    parser.add_argument("--to", help="folder; what is there is taken up again (leaderboard/PROFILE by default)")
    args = parser.parse_args(words)
    if args.processes < 1 or (args.seeds is not None and args.seeds < 1):
        parser.error("--processes and --seeds take whole numbers, 1 or more")

    from dataclasses import replace

    from . import leaderboard_plan as lp
    from .compose import complain

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        plan = lp.profile(args.profile)
        plan = replace(
            plan,
            tasks=tuple(args.tasks or plan.tasks),
            agents=tuple(args.agents or plan.agents),
            seeds=args.seeds or plan.seeds,
            words=(*plan.words, *args.set),
        )
        _play(plan, Path(args.to or Path("leaderboard") / plan.name), args.processes, words)
    except ConfigError as error:
        complain(error)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _play(plan: Profile, folder: Path, processes: int, words: list[str]) -> None:
    from . import leaderboard_plan as lp
    from .console import Console
    from .runs import commit, now, write_text

    console, command = Console(), shlex.join(["trailmark", "leaderboard", *words])
    asked = [(name, lp.available(lp.task(name))) for name in plan.tasks]
    missing = [name for name, task in asked if task is None]
    for name in missing:
        console.say(f"task {name} is left out: its data are not below TRAILMARK_DATA")
    tasks, cells = lp.cells(plan, [task for _, task in asked if task is not None])
    if not cells:
        raise ConfigError("no task is left to play")
    folder.mkdir(parents=True, exist_ok=True)
    table, wanted = folder / "results.csv", {cell.key for cell in cells}
    rows = [row for row in _read(table) if not row.error]  # also those that nobody asks for today
    done = {row.key for row in rows} & wanted
    todo = [cell for cell in cells if cell.key not in done]
    console.say(f"{len(cells)} cells, {len(done)} of them already in {table}")
    track, status = _tracked(folder, plan, command), "FAILED"
    try:
        with console.progress("play", len(cells), len(done)) as advance:
            for row in _results(todo, processes):
                rows.append(row)
                write_text(table, _text(rows))
                said = row.error or f"{row.value:.4f}"
                if not console.terminal:
                    console.say(f"  {row.task}  {row.name}  seed {row.seed}  {said}  {row.seconds:.0f} s")
                advance(f"{row.task} {row.name} {said}")
        good = [row for row in rows if row.key in wanted and not row.error]
        about = {"created": now(), "commit": commit(), "command": command, "missing": missing}
        _publish(good, tasks, plan, folder, about, track, console)
        faults = [row for row in rows if row.error]
        for row in faults:
            console.say(f"failed: {row.task} {row.name} seed {row.seed}: {row.error}")
        status = "FAILED" if faults else "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        console.say(f"stopped; the same command goes on where this one ended ({table})")
        raise
    finally:
        track.finish(status)
    if status != "FINISHED":
        raise SystemExit(1)


def _results(cells: Sequence[Cell], processes: int) -> Iterator[Row]:
    """Yield the row of every cell as soon as it is there."""
    from .leaderboard_cell import run

    if processes == 1 or len(cells) < 2:
        yield from map(run, cells)
        return
    # Spawned, not forked: torch's threads do not survive a fork.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(run, cell) for cell in cells]
        try:
            for future in as_completed(waiting):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _text(rows: Sequence[Row]) -> str:
    from .leaderboard_cell import Row

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows(rows)
    return out.getvalue()


def _read(path: Path) -> list[Row]:
    """Return the rows of results.csv; ConfigError when it is another table."""
    from .leaderboard_cell import Row

    if not path.exists():
        return []
    kinds: dict[Any, Callable[[str], Any]] = {int: int, float: float, bool: lambda text: text == "True", str: str}
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != Row._fields:
            raise ConfigError(f"{path} is no table of this version's leaderboard; move it away, or say --to FOLDER")
        types = get_type_hints(Row)
        try:
            return [Row(**{key: kinds[types[key]](value) for key, value in line.items()}) for line in reader]
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{path} line {reader.line_num}: {error}; delete that line") from error


def _tracked(folder: Path, plan: Profile, command: str) -> Any:
    """Return the one MLflow run of this leaderboard, opened again where it was stopped."""
    from .runs import RunError, commit, write_text
    from .track import Track

    mark = folder / "run_id"
    if mark.exists():
        try:
            track = Track.resume(mark.read_text().strip())
            track.again()
            return track
        except RunError:  # another store: a new run
            pass
    track = Track.start("leaderboard", plan.name, {"command": command, "seeds": plan.seeds}, {"commit": commit()})
    write_text(mark, track.run_id)
    return track


def _publish(
    rows: Sequence[Row],
    tasks: Sequence[Task],
    plan: Profile,
    folder: Path,
    about: dict[str, Any],
    track: Any,
    console: Any,
) -> None:
    """Write table and picture as HTML and markdown, show the table, and hand all to MLflow."""
    from .leaderboard_page import markdown, screen, write_page
    from .ranking import rank
    from .runs import write_json, write_text

    found = rank(rows, tasks, plan)
    write_json(folder / "leaderboard.json", {**about, **found})
    write_text(folder / "leaderboard.md", markdown(found))
    page = write_page({**about, **found}, folder / "leaderboard.html")
    for one in found["tasks"]:
        for entry in one["entries"]:
            track.log(0, {f"{one['name']}/{entry['name']}/value": entry["value"]["value"]})
    for name in ("results.csv", "leaderboard.json", "leaderboard.md", "leaderboard.html"):
        track.artifact(folder / name)
    for grid in screen(found):
        console.show(grid)
    console.say(f"leaderboard: {page}")
