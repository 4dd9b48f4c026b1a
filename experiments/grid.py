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
        writer.writerow(self.header)
        writer.writerows([" ".join(cell.split("\n")) for cell in row] for row in self.rows)
        return out.getvalue()

    def rich(self) -> rich.table.Table:
        """Return the table for the screen."""
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self.title)
        for i, name in enumerate(self.header):
            table.add_column(name, justify="right" if i else "left", no_wrap=True)
        for row in self.rows:
            table.add_row(*(Text(cell) for cell in row))
        return table


def between(value: float, low: float, high: float) -> str:
    """Return a number with its interval below it."""
    return f"{value:.4f}\n[{low:.3f}, {high:.3f}]"


def of(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Grid:
    """Return the grid of any sequences of text."""
    return Grid(title, tuple(header), tuple(tuple(row) for row in rows))
