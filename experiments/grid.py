"""Tables as a person reads them: on screen, as Markdown, as CSV; a cell is text, its second line is an interval."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import rich.table


@dataclass(frozen=True)
class Grid:
    """Rows of text under a header."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return a Markdown table; the first column is to the left, all others to the right."""
        lines = [self.header, ("---", *("---:" for _ in self.header[1:])), *self.rows]
        return "\n".join("| " + " | ".join(" ".join(cell.split("\n")) for cell in line) + " |" for line in lines) + "\n"

    def csv(self) -> str:
        """Return the rows as comma-separated text with the header."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(name.replace("\n", " ") for name in self.header)
        writer.writerows([" ".join(cell.split("\n")) for cell in row] for row in self.rows)
        return out.getvalue()

    def rich(self, without: Sequence[str] = ()) -> rich.table.Table:
        """Return the table for the screen; `without` names columns that do not fit there."""
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self.title)
        shown = [i for i, name in enumerate(self.header) if name not in without]
        for i, name in ((i, self.header[i]) for i in shown):
            table.add_column(name, justify="right" if i else "left", no_wrap=i > 0, overflow="fold")
        for row in self.rows:
            table.add_row(*(Text(row[i]) for i in shown))
        return table


def between(value: float, low: float, high: float) -> str:
    """Return a number with its interval below it."""
    return f"{value:.4f}\n[{low:.3f}, {high:.3f}]"


def of(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Grid:
    """Return the grid of any sequences of text."""
    return Grid(title, tuple(header), tuple(tuple(row) for row in rows))
