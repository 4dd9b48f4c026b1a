"""KSSApproach: how much nearer a KSS learner came to its targets, before any of them is passed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..outcomes import Outcome
from ..student import Response, State, Student
from .kss import KSS
from .kss_graph import ability_at


@dataclass(frozen=True)
class KSSApproach(Outcome):
    """Change of the summed ability that is missing on the targets: a promise for searches that see hidden abilities.

    No result, so reports keep it apart. TypeError for learners that are not KSS.
    """

    title: ClassVar[str] = "Approach"
    unit: ClassVar[str] = "ability gained on targets not yet passed"
    is_outcome: ClassVar[bool] = False

    def __call__(self, student: Student, start: State, before: State, response: Response, after: State) -> Tensor:
        if not isinstance(student, KSS):
            raise TypeError(f"KSSApproach knows KSS learners, not {type(student).__name__}")
        passing = ability_at(0.5, student.difficulty, after.ability.device)
        missing = (passing - before.ability).clamp_min(0.0) - (passing - after.ability).clamp_min(0.0)
        gained: Tensor = (missing * after.goal).sum(1)
        return gained
