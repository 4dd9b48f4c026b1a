"""Work: what is used on the job is practised there too, seldom and without a teacher."""

from __future__ import annotations

import torch
from torch import Tensor

from .ssr_acquisition import Acquisition
from .ssr_memory import Memory
from .ssr_motivation import WEEK
from .ssr_state import SSRState

SHARE = 0.3  # of what a graded trial teaches
RECALL, GROWS = 0.83, 0.5  # of a use: it is recall, and counts half of a test


def p_use(weekly: float, mastery: Tensor, goal: Tensor, days: Tensor) -> Tensor:
    """Return (B, K), the chance that each skill was used in the last `days` (B,); only goal skills (B, K) are.

    weekly: uses a week of a skill that is mastered.
    """
    return -torch.expm1(-weekly / WEEK * days)[:, None] * mastery * (goal > 0)


def used(acquisition: Acquisition, memory: Memory, rate: Tensor, state: SSRState, done: Tensor) -> SSRState:
    """Return the states after the skills `done` (B, K) bool were used, just now; `rate` (K,) of learning them."""
    since = state.now[:, None] - state.seen
    reach = memory.reach(since, state.stability)
    effort = memory.effort(since, reach, torch.full_like(reach, RECALL))
    better = memory.grown(state.stability, effort, torch.zeros_like(state.grown), torch.full_like(reach, GROWS))
    growth = SHARE * acquisition.rate * state.rate[:, None] * rate
    return state._replace(
        strength=torch.where(done, state.strength + growth, state.strength),
        stability=torch.where(done, better, state.stability),
        seen=torch.where(done, state.now[:, None], state.seen),
    )
