"""Kinds of activities: what watching, reading, practising, reviewing or being coached does to an SSR learner."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

NO_FEEDBACK = (0.75, 0.15)
RESULT = (0.78, 0.20)  # right or wrong, no more
ANSWER = (0.90, 0.60)  # the right answer is shown
EXPLAINED = (1.00, 0.90)  # the right answer and why


@dataclass(frozen=True)
class Kind:
    """One kind of activity. Growth is in units of one ideal practice; a value of 0 switches that effect off.

    trials: problems in it; 0 = none are graded, and its answer is a check question at the end that teaches nothing.
    together: every skill of the activity is needed for each problem; else the problems take the skills in turn.
    right, wrong: growth of strength after a right and a wrong answer (feedback).
    strength: weight of practice; worked: weight of worked examples; study: growth at the first exposure,
    halved by each; in a graded kind the exposure is the answer that is shown.
    corrects: whoever fails is shown the answer. recall: how much of a success reachability spares (`Memory.effort`).
    grow: weight of the growth of stability, for a success, or for an exposure where `trials` is 0.
    hold: a helper keeps the probability of success at least here. guess: probability of a right answer by chance.
    transfer: logits of the distance to the job that it takes away. slow: a wrong answer takes this times longer.
    coach: share of the minutes that a coach gives. lift: what it adds to engagement. bond: what it adds to acceptance.
    relevance: z-score of relevance to the job. mobile: can be done on a phone. wordy: teaches second-language readers
    less. contrasts: its skills are easily taken for each other. idle: nothing happens, and the session ends.
    """

    trials: int = 1
    together: bool = True
    right: float = ANSWER[0]
    wrong: float = ANSWER[1]
    corrects: bool = True
    strength: float = 1.0
    worked: float = 0.0
    study: float = 0.0
    recall: float = 0.83
    grow: float = 1.0
    hold: float = 0.0
    guess: float = 0.10
    transfer: float = 0.0
    slow: float = 1.0
    coach: float = 0.0
    lift: float = 0.0
    bond: float = 0.0
    relevance: float = 0.0
    mobile: bool = True
    wordy: bool = False
    contrasts: bool = False
    idle: bool = False

    def __post_init__(self) -> None:
        shares = (self.right, self.wrong, self.worked, self.recall, self.hold, self.guess, self.coach)
        if self.trials < 0 or not all(0.0 <= share <= 1.0 for share in shares):
            raise ValueError(f"{self}: trials must be 0 or more, and right .. coach shares between 0 and 1")


def exposure(study: float, grow: float = 0.03, worked: float = 0.0, wordy: bool = False) -> Kind:
    """Return a kind without graded answers: material is taken in, not retrieved."""
    return Kind(0, True, 0, 0, False, 0, worked, study, 1.0, grow, wordy=wordy)


PRACTICE = Kind(slow=1.65)
COACHING = Kind(
    8, False, *EXPLAINED, True, hold=0.78, coach=1.0, lift=0.5, bond=0.1, mobile=False, relevance=0.5, transfer=0.1
)
STANDARD: dict[str, Kind] = {
    "video": exposure(0.80),
    "reading": exposure(0.80, wordy=True),
    "worked example": exposure(0.0, grow=0.10, worked=1.0),
    "practice": PRACTICE,
    "exercise": PRACTICE,
    "problem": PRACTICE,
    "quiz": Kind(5, False, strength=0.5),
    "review": Kind(1, False, strength=0.5),
    "interleaved": Kind(6, False, contrasts=True),
    "scenario": Kind(4, False, *EXPLAINED, transfer=0.2, relevance=0.3),
    "project": Kind(8, False, *EXPLAINED, transfer=0.5, relevance=1.0, mobile=False),
    "peer": Kind(2, False, bond=0.1),
    "coaching": COACHING,
    "check-in": Kind(
        0, True, 0, 0, False, 0, 0, 0, 1.0, 0.03, coach=0.3, lift=0.2, bond=0.1, relevance=0.5, transfer=0.1
    ),
    "nothing": Kind(0, True, 0, 0, False, 0, 0, 0, 1.0, 0.0, idle=True),
}


@dataclass(frozen=True, eq=False)
class KindTable:
    """The kinds of a catalogue's activities as columns, (A,) each."""

    trials: Tensor  # int64
    together: Tensor  # bool
    right: Tensor
    wrong: Tensor
    corrects: Tensor  # bool
    strength: Tensor
    worked: Tensor
    study: Tensor
    recall: Tensor
    grow: Tensor
    hold: Tensor
    guess: Tensor
    transfer: Tensor
    slow: Tensor
    coach: Tensor
    lift: Tensor
    bond: Tensor
    relevance: Tensor
    mobile: Tensor  # bool
    wordy: Tensor  # bool
    contrasts: Tensor  # bool
    idle: Tensor  # bool

    @staticmethod
    def of(kinds: dict[str, Kind], named: tuple[str, ...], device: torch.device) -> KindTable:
        """Return the columns for activities whose kinds are `named`; ValueError names a kind nobody described."""
        unknown = sorted(set(named) - set(kinds))
        if unknown:
            raise ValueError(f"SSR knows no activity kind {unknown[0]!r}; describe it in `kinds` or use {list(kinds)}")
        rows = [kinds[name] for name in named]
        return KindTable(*(torch.tensor([getattr(row, f.name) for row in rows], device=device) for f in fields(Kind)))

    def at(self, activity: Tensor) -> KindTable:
        """Return the rows of `activity` (B,) int64."""
        return KindTable(*(getattr(self, f.name)[activity] for f in fields(KindTable)))
