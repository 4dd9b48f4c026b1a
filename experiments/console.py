"""Console: what a person sees while a verb runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rich.console
import rich.table
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_NARROW, _COLUMN = 78, 15  # characters of a table with the primary outcome only, and of each further outcome


class Console:
    """Lines, progress bars and one short table on standard output; bars only where there is a terminal."""

    def __init__(self) -> None:
        """Write to standard output."""
        self._out = rich.console.Console(highlight=False, soft_wrap=True)
        if not self._out.is_terminal:
            self._out.width = 140

    @property
    def terminal(self) -> bool:
        """Whether somebody watches, so that bars move."""
        return self._out.is_terminal

    def say(self, text: str) -> None:
        """Print a line."""
        self._out.print(text, markup=False)

    def show(self, grid: rich.table.Table) -> None:
        """Print a table."""
        self._out.print(grid)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Print the name of a step and how long it took."""
        started = time.perf_counter()
        yield
        self.say(f"{what}  {time.perf_counter() - started:.1f} s")

    @contextmanager
    def progress(self, what: str, total: int, done: int = 0) -> Iterator[Callable[[str], None]]:
        """Show a bar while a loop runs; call what is yielded after each turn, with a word on how it goes."""
        started = time.perf_counter()
        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        ]
        with Progress(*columns, console=self._out, disable=not self._out.is_terminal, transient=True) as bar:
            task = bar.add_task(what, total=total, completed=done, note="")
            last = ""

            def advance(note: str) -> None:
                nonlocal last
                last = note
                bar.update(task, advance=1, note=note)

            yield advance
        if total > done:
            self.say(f"{what}: {total - done} of {total}  {time.perf_counter() - started:.1f} s  {last}")

    def goodhart(self, found: dict[str, Any]) -> None:
        """Print what became of the outcomes where mere activity was rewarded."""
        from .goodhart_page import sentences

        for text in sentences(found) if found.get("goodhart") else []:
            self.say(f"goodhart: {text}")

    def table(self, found: dict[str, Any]) -> None:
        """Print the outcome of each policy with its interval, best first, and as many others as there is room for."""
        primary = next(o for o in found["outcomes"] if o["name"] == found["primary"])
        others = [o for o in found["outcomes"] if o is not primary]
        shown = [primary, *others[: max(0, (self._out.width - _NARROW) // _COLUMN)]]
        grid = rich.table.Table(
            title=f"{primary['title']} ({primary['unit']}), "
            f"{found['eval_seeds']} x {found['eval_learners']} fresh learners"
        )
        grid.add_column("policy", no_wrap=True)
        grid.add_column("kind", no_wrap=True)
        for outcome in shown:
            grid.add_column(outcome["title"] + " [95%]" * (outcome is primary), justify="right")
        grid.add_column("legal", justify="right", no_wrap=True)
        sign = -1.0 if primary["higher_is_better"] else 1.0
        for row in sorted(found["policies"], key=lambda r: sign * r["values"][primary["name"]]["value"]):
            cells = []
            for outcome in shown:
                v = row["values"][outcome["name"]]
                both = f" [{v['low']:.4f}, {v['high']:.4f}]" if outcome["name"] == primary["name"] else ""
                cells.append(f"{v['value']:.4f}{both}" if both else f"{v['value']:.3g}")
            marked = row["name"] + (" *" if row["name"] == found["best_heuristic"] else "")
            grid.add_row(
                marked,
                row["kind"],
                *cells,
                f"{row['legal_rate']:.0%}",
                style="bold" if row["kind"] == "trained" else "",
            )
        self.show(grid)
        for row in found["policies"]:
            d = row["difference"]
            if d:
                self.say(f"{row['name']} minus {d['against']}: {d['value']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}]")
        self.say("* the best heuristic" + "; the report shows all outcomes" * (len(shown) <= len(others)))
