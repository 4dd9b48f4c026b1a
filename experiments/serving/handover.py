"""Hand-over: when a learner should be seen by a person, and the reason in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class HandOver:
    """Thresholds; the first that is crossed is the reason.

    Wheel-spinning: `attempts` on a skill without believed mastery above `mastery` (Beck and Gong 2013 take ten). What a
    person has seen to is settled: it is a reason again after as many attempts more, or once a learner who was away has
    come back and gone again.
    """

    attempts: int = 10
    mastery: float = 0.6
    wrong: int = 4  # answers wrong in a row
    confidence: float = 0.3  # the learner's own word, from 0 to 1
    declined: int = 3  # activities declined in a row
    away_days: float = 14.0
    capacity: int = 20  # learners that one coach can have open at a time

    def reason(
        self, state: dict[str, Any], attempts: NDArray[Any], mastery: NDArray[Any], titles: list[str], days: float
    ) -> str | None:
        """Return why a person should look at this learner, None when nobody need.

        `attempts` and `mastery` are per skill (K,); `days` since the latest event.
        """
        if state.get("declined", 0) >= self.declined:
            return f"declined {state['declined']} activities in a row: may be about to leave"
        settled = state.get("settled", {})
        if days >= self.away_days and not settled.get("away"):
            return self.away(days)
        if (word := state.get("confidence")) is not None and word < self.confidence:
            return f"says that confidence is {word:.0%}"
        fresh = attempts
        if counts := settled.get("attempts"):
            fresh = attempts - np.array([counts.get(title, 0) for title in titles])
        spinning = np.flatnonzero((fresh >= self.attempts) & (mastery < self.mastery))
        if len(spinning):
            k = int(spinning[attempts[spinning].argmax()])
            return f"wheel-spinning on {titles[k]}: {int(attempts[k])} attempts, mastery believed {mastery[k]:.0%}"
        if state.get("wrong", 0) >= self.wrong:
            return f"{state['wrong']} wrong answers in a row"
        return None

    def settled(
        self,
        reason: str | None,
        attempts: NDArray[Any],
        mastery: NDArray[Any],
        titles: list[str],
        days: float,
        time: float,
    ) -> dict[str, Any]:
        """Return what to remember once a person has seen to a learner with `reason`: the state's `settled`."""
        spinning = np.flatnonzero((attempts >= self.attempts) & (mastery < self.mastery))
        counts = {titles[k]: int(attempts[k]) for k in spinning.tolist()}
        return {"time": time, "attempts": counts, "away": days >= self.away_days or self.still(reason) != reason}

    def still(self, reason: str | None) -> str | None:
        """Return what is left of a reason once the learner does something: who was away is back."""
        return None if reason is not None and reason.startswith("away for ") else reason

    def away(self, days: float) -> str:
        """Return the reason for one who has not been seen for `days`."""
        return f"away for {days:.0f} days: may be about to leave"

    def urgency(self, reason: str) -> int:
        """Return the place of a reason in the queue, 0 first."""
        words = ("nothing is allowed", "about to leave", "confidence", "wheel-spinning", "wrong answers")
        return next((i for i, word in enumerate(words) if word in reason), len(words))
