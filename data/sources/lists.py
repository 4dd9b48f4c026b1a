"""Logs that hold comma lists, a learner per block of lines, as flat columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..files import read_text


def blocks(path: Path, size: int, lines: str) -> tuple[list[str], ...]:
    """The 1st, 2nd, ... line of each block of `size` lines; `lines` says in errors what a block holds.

    Raises: DataError when the file is empty or the last block is cut off.
    """
    text = read_text(path)[0].splitlines()
    while text and not text[-1].strip():
        text.pop()
    if not text or len(text) % size:
        problem = f"{len(text)} lines are no whole number of blocks of {size}"
        raise DataError(problem, path.name, len(text) + 1, fix=f"Each learner has {size} lines: {lines}.")
    return tuple(text[i::size] for i in range(size))


def flatten(
    columns: Mapping[str, Sequence[str]], file: str, rows: NDArray[np.int64]
) -> tuple[dict[str, NDArray[np.object_]], NDArray[np.int64]]:
    """Comma lists to flat columns of text, with the learner's position for each element.

    rows: (L,) the line of the file where each learner stands, for errors. A comma at the end of a list is forgiven.
    Raises: DataError when a learner's lists differ in length, or an element is blank.
    """
    parts = {name: [text.strip().rstrip(",").split(",") for text in texts] for name, texts in columns.items()}
    lengths = {name: np.fromiter(map(len, lists), np.int64, len(lists)) for name, lists in parts.items()}
    first = next(iter(parts))
    for name in parts:
        _same_length(name, lengths[name], first, lengths[first], file, rows)
    owner = np.repeat(np.arange(len(rows)), lengths[first])
    flat = {name: np.array([cell for cells in lists for cell in cells], dtype=object) for name, lists in parts.items()}
    for name, cells in flat.items():
        _no_blank(name, cells, file, rows[owner])
    return flat, owner


def _same_length(
    name: str, lengths: NDArray[np.int64], first: str, expected: NDArray[np.int64], file: str, rows: NDArray[np.int64]
) -> None:
    bad = np.flatnonzero(lengths != expected).tolist()
    fix = "Give every list of a learner the same length."

    def explain(i: int) -> DataError:
        return DataError(f"{lengths[i]} {name} beside {expected[i]} {first}", file, int(rows[i]), name, fix)

    if bad:
        raise DataError.several(bad, explain)


def _no_blank(name: str, cells: NDArray[np.object_], file: str, rows: NDArray[np.int64]) -> None:
    bad = np.flatnonzero(cells == "").tolist()

    def explain(i: int) -> DataError:
        return DataError("blank element in the list", file, int(rows[i]), name, "Write every element.")

    if bad:
        raise DataError.several(bad, explain)
