"""A published split in several files, joined to one log."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ..catalog import Catalog
from ..errors import DataError
from ..log import Log


def joined(
    parts: Mapping[str, pd.DataFrame],
    catalog: Catalog,
    name: str,
    notes: tuple[str, ...] = (),
    drop_repeats: bool = True,
) -> Log:
    """One log from the frames of several files, keyed by file name; the rest is as in `Log.from_frame`.

    Raises: DataError that names the file, row and key of a fault.
    """
    try:
        return Log.from_frame(pd.concat(list(parts.values())), catalog, name, notes, drop_repeats)
    except DataError:
        for file, frame in parts.items():
            Log.from_frame(frame, catalog, file, drop_repeats=drop_repeats)
        raise
