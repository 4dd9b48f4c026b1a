"""Ruling: one check of the validity gate, with its number, its bar and, where it fails, the reason in words."""

from __future__ import annotations

from dataclasses import dataclass

from .effect import Check


@dataclass(frozen=True)
class Ruling:
    """What a check found; `words` say it to someone who does not know the check, `missing` why it was not tried."""

    name: str
    check: Check | None = None
    words: str = ""
    missing: str = ""

    @property
    def passed(self) -> bool:
        return self.check is None or self.check.passed
