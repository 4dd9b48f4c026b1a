"""The small generated sample that comes with Trailmark, so that everything runs offline."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..catalog import Catalog
from ..log import Log
from .source import Source
from .synthetic import NOBODY, SAMPLE_FOLDER


@dataclass(frozen=True)
class Sample(Source):
    """400 made-up learners of a 90-day onboarding programme, 40 activities each, in three roles."""

    def load(self) -> tuple[Log, Catalog]:
        """The log with its catalogue, read from the files beside the code."""
        catalog = Catalog.load(SAMPLE_FOLDER / "catalog.json")
        log = Log.load(SAMPLE_FOLDER / "log.parquet", catalog)
        return replace(log, name="sample", notes=(*log.notes, NOBODY)), catalog
