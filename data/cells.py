"""Single cells of a table as typed values: a list, a truth value, a number."""

from __future__ import annotations

from typing import Any

TRUE = ("true", "yes", "y", "1", "1.0")
FALSE = ("false", "no", "n", "0", "0.0", "")


def as_text(cell: Any) -> str:
    """The cell as stripped text; None and NaN are empty."""
    return "" if cell is None or cell != cell else str(cell).strip()


def as_list(cell: Any) -> tuple[str, ...]:
    """The parts of a list, or of a text separated by `|`, in order, stripped, without blanks and repeats."""
    parts = cell.split("|") if isinstance(cell, str) else cell if hasattr(cell, "__iter__") else (cell,)
    return tuple(dict.fromkeys(text for text in map(as_text, parts) if text))


def as_bool(cell: Any) -> bool | None:
    """True or False for yes/no, true/false, 1/0 in any case; False for an empty cell; None for anything else."""
    text = as_text(cell).lower()
    return True if text in TRUE else False if text in FALSE else None


def as_number(cell: Any) -> float | None:
    """The number, or None where there is none. NaN and infinity stay what they are."""
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None
