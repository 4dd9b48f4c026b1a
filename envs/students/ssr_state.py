"""SSRState: everything there is to know of B learners; KnownCatalog: a catalogue as the tensors that they need."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...data.catalog import Catalog
from ..skills import Padded, parents_of, skills_of
from .ssr_kinds import Kind, KindTable
from .ssr_population import Material, SkillTraits


class SSRState(NamedTuple):
    """How B learners are."""

    strength: Tensor  # (B, K) logits
    stability: Tensor  # (B, K) days
    seen: Tensor  # (B, K) day when the skill was last in reach
    grown: Tensor  # (B, K) int8, growth events in the same half day
    exposed: Tensor  # (B, K) int8, exposures without retrieval
    belief: Tensor  # (B, K) the learner's own of each skill, in (0, 1)
    transfer: Tensor  # (B, K) logits of the distance to the job that are bridged
    cue: Tensor  # (B, G) logits, how well confusable skills are told apart
    todo: Tensor  # (B, N) bool, mandatory activities not done yet
    rate: Tensor  # (B,) multiplies the growth of strength
    overconfidence: Tensor  # (B,)
    commitment: Tensor  # (B,) z-score
    weekly: Tensor  # (B,) minutes a week, steady state
    onboarding: Tensor  # (B,) minutes a week, first four weeks
    group: Tensor  # (B,) int64, equity group
    role: Tensor  # (B,) int64
    phone: Tensor  # (B,) bool, has only a phone
    now: Tensor  # (B,) days since enrolment
    success: Tensor  # (B,) running mean of graded answers
    engagement: Tensor  # (B,) z-score
    workload: Tensor  # (B,) z-score
    session: Tensor  # (B,) minutes in this session
    week: Tensor  # (B,) minutes in this week
    coach: Tensor  # (B,) minutes that coaches gave
    coached: Tensor  # (B,) day of the last coaching
    acceptance: Tensor  # (B,) z-score, by coaches and peers
    last: Tensor  # (B,) int64, skill of the last trial in this session, -1 none
    left: Tensor  # (B,) bool


class KnownCatalog(NamedTuple):
    """A catalogue as tensors."""

    kinds: KindTable
    traits: SkillTraits
    skills: Padded  # (A, M)
    n_skills: Tensor  # (A,) int64, skills of each activity
    parents: Padded  # (K, P)
    minutes: Tensor  # (A,)
    goals: Tensor  # (R, K) float32
    group: Tensor  # (K,) int64, confusable group, -1 none
    size: Tensor  # (G,) float32
    mandatory: Tensor  # (A,) int64, place among the mandatory activities, -1 none
    n_mandatory: int
    due: Tensor  # (N,) days after enrolment by which each mandatory activity is due; inf = it does not say

    @staticmethod
    def of(catalog: Catalog, kinds: dict[str, Kind], material: Material, device: torch.device) -> KnownCatalog:
        """Return the tensors of `catalog` on `device`."""
        named = tuple(activity.kind for activity in catalog.activities)
        table = KindTable.of(kinds, named, device)
        q = catalog.q_matrix()
        group = _confusable(q[table.contrasts.cpu().numpy()])
        place = np.cumsum([activity.mandatory for activity in catalog.activities])
        mandatory = np.where([activity.mandatory for activity in catalog.activities], place - 1, -1)
        return KnownCatalog(
            table,
            material.draw(q.shape[1], q.shape[0], device),
            _on(skills_of(catalog), device),
            torch.from_numpy(q.sum(1)).to(device),
            _on(parents_of(catalog), device),
            torch.from_numpy(catalog.minutes()).float().to(device),
            torch.from_numpy(catalog.goals()).float().to(device),
            torch.from_numpy(group).to(device),
            torch.from_numpy(np.bincount(group[group >= 0], minlength=1).clip(1)).float().to(device),
            torch.from_numpy(mandatory.astype(np.int64)).to(device),
            int(place[-1]),
            torch.from_numpy(catalog.deadlines()[catalog.mandatory()]).to(device),
        )


def _on(padded: Padded, device: torch.device) -> Padded:
    return Padded(padded.index.to(device), padded.real.to(device))


def _confusable(sets: np.ndarray) -> np.ndarray:
    """Return (K,) int64: the skills of a row of `sets` (N, K) bool share a group, and so do rows that overlap."""
    group = np.full(sets.shape[1], -1, np.int64)
    for row in sets:
        if row.sum() < 2:
            continue
        touched = set(group[row & (group >= 0)].tolist())
        new = min(touched) if touched else int(group.max()) + 1
        group[row | np.isin(group, list(touched))] = new
    _, dense = np.unique(group[group >= 0], return_inverse=True)
    group[group >= 0] = dense
    return group
