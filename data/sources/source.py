"""What every source of data is: something that loads a log and its catalogue."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..catalog import Catalog
from ..log import Log


class Source(ABC):
    """A data set in its public raw format; implementations are frozen dataclasses whose fields say where it lies."""

    @abstractmethod
    def load(self) -> tuple[Log, Catalog]:
        """The whole log with the catalogue it refers to.

        Raises: DataError when a file is missing or faulty, naming file, row and key.
        """
