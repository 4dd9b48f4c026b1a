"""Times as people write them, in seconds."""

from __future__ import annotations

import pandas as pd

from ..errors import DataError

# Year 5138 in seconds, 1973 in milliseconds: nothing that a log can mean by seconds.
TOO_LATE = 1e11
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "minutes": 60.0, "hours": 3600.0, "days": 86400.0}


def guessed(column: pd.Series) -> str:
    """The unit that numbers since 1970 can only have: s below 10^11, then ms, us and ns; s for dates and all else."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return "s"
    largest = pd.to_numeric(column, errors="coerce").abs().max()
    return next((unit for unit, end in (("s", TOO_LATE), ("ms", 1e14), ("us", 1e17)) if not largest >= end), "ns")


def seconds(column: pd.Series, file: str, key: str, unit: str = "s") -> pd.Series:
    """Numbers times their unit, or dates (ISO-8601 and other common ways, UTC where no zone stands) as Unix time.

    `unit` is one of UNITS, or "auto" for what `guessed` says. Blank cells stay NaN for the log's own check.
    Raises: DataError for an unknown unit, an unreadable date, or numbers that look like milliseconds among seconds.
    """
    if unit == "auto":
        unit = guessed(column)
        numbers = pd.to_numeric(column, errors="coerce") if unit != "s" else pd.Series(dtype="float64")
        few = (numbers.abs() < TOO_LATE) & (numbers != 0)
        if few.any():
            row = int(numbers.index[int(few.to_numpy().argmax())]) + 2
            problem = f"{numbers[few].iloc[0]:.0f} stands among times of up to {numbers.max():.0f}"
            raise DataError(problem, file, row, key, f"Say timestamp_unit={unit}, or s, if all are of one unit.")
    if unit not in UNITS:
        raise DataError(f"unknown unit of time '{unit}'", file, key=key, fix=f"Use one of {', '.join(UNITS)}.")
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        moments = column.dt.tz_localize("UTC") if column.dt.tz is None else column
        return (moments - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
    blank = column.isna() | (column.astype("str").str.strip() == "")
    numbers = pd.to_numeric(column, errors="coerce")
    if not (numbers.isna() & ~blank).any():
        times = numbers.astype("float64") * UNITS[unit]
        if (times > TOO_LATE).any():
            row = int(times.index[int((times > TOO_LATE).to_numpy().argmax())]) + 2
            problem = f"{times.max():.0f} seconds is past the year 5000"
            raise DataError(problem, file, row, key, "Say timestamp_unit=ms if these are milliseconds.")
        return times
    dates = pd.to_datetime(column.where(~blank), format="ISO8601", utc=True, errors="coerce")
    unread = dates.isna() & ~blank
    if unread.any():
        dates = dates.where(~unread, pd.to_datetime(column.where(unread), format="mixed", utc=True, errors="coerce"))
    bad = (dates.isna() & ~blank).to_numpy().nonzero()[0]
    if len(bad):
        raise DataError.several(
            bad.tolist(),
            lambda i: DataError(
                f"'{column.iloc[i]}' is no time",
                file,
                int(column.index[i]) + 2,
                key,
                "Write seconds or a date such as 2026-01-31T09:30:00.",
            ),
        )
    return (dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
