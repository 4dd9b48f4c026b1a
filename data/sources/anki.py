"""Spaced-repetition review logs exported from Anki, as open-spaced-repetition's tools write them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..catalog import Catalog
from ..errors import DataError, require_columns
from ..files import existing, read_frame, stem
from ..log import Log
from .answers import natural
from .minimal import minimal_catalog
from .parts import joined
from .source import Source
from .times import seconds

COLUMNS = ("card_id", "review_rating", "review_time", "review_duration")
RATINGS = (1, 2, 3, 4)
MILLISECONDS_A_MINUTE = 60_000.0


@dataclass(frozen=True)
class Anki(Source):
    """CSV `card_id,review_rating,review_time,review_duration`: ISO-8601 times, durations in milliseconds.

    path: one person's file, or a folder with one file per person; gzipped or not. The learner is the file's name, the
    card is activity and skill. Ratings: 1 Again is wrong, 2 Hard, 3 Good and 4 Easy are right.
    """

    path: str

    def load(self) -> tuple[Log, Catalog]:
        """The log with its catalogue, whose minutes are each card's median. Raises: DataError for a bad file."""
        path = existing(self.path, "a review log .csv, or a folder of them")
        files = [path]
        if path.is_dir():
            files = sorted([*path.glob("*.csv"), *path.glob("*.csv.gz")])
            if not files:
                raise DataError(
                    "holds no review log", str(path), fix=f"Put .csv files with {', '.join(COLUMNS)} there."
                )
        frames = {file.name: _read(file) for file in files}
        reviews = pd.concat(list(frames.values()))
        median = reviews.groupby("activity")["minutes"].median().dropna()
        spent = {str(card): float(minutes) for card, minutes in median.items()}
        cards = natural(reviews["activity"].unique())
        catalog = minimal_catalog({card: (card,) for card in cards}, minutes=spent)
        return joined(frames, catalog, path.name), catalog


def _read(path: Path) -> pd.DataFrame:
    table, _ = read_frame(path, ("card_id", "review_time"), ("review_rating", "review_duration"))
    require_columns(COLUMNS, table.columns, path.name)
    rating = pd.to_numeric(table["review_rating"], errors="coerce")
    bad = (~rating.isin(RATINGS)).to_numpy().nonzero()[0]
    if len(bad):
        raise DataError.several(
            bad.tolist(),
            lambda i: DataError(
                f"'{table['review_rating'].iloc[i]}' is no rating",
                path.name,
                int(table.index[i]) + 2,
                "review_rating",
                "Write 1 (Again), 2 (Hard), 3 (Good) or 4 (Easy).",
            ),
        )
    return pd.DataFrame(
        {
            "learner": stem(path),
            "activity": table["card_id"],
            "correct": (rating > 1).astype("float64"),
            "timestamp": seconds(table["review_time"], path.name, "review_time"),
            "minutes": pd.to_numeric(table["review_duration"], errors="coerce") / MILLISECONDS_A_MINUTE,
        }
    )
