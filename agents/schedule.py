"""Schedule: how far training has come, and numbers that change with it."""

from __future__ import annotations


def passed(updates: int, chunk: int, horizon: int, anneal: int) -> float:
    """Return the share of `anneal` cohorts that `updates` learning calls are, from 0 to 1; 0 when `anneal` is 0.

    `chunk` is the agent's: with 0 a call is a whole session of `horizon` steps, else so many steps of it.
    """
    calls = anneal * (-(-horizon // chunk) if chunk else 1)
    return min(1.0, updates / calls) if calls else 0.0


def between(first: float, last: float, share: float) -> float:
    """Return the number on the straight way from `first` to `last`; `last` where the share is 1 or more."""
    return first + (last - first) * min(1.0, share)
