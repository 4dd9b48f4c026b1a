"""A deck of cards: what the memory students have in common, from their catalogue to the answer they give."""

from __future__ import annotations

import torch
from torch import Tensor

from ...data.catalog import Activity, Catalog, Skill
from ..rng import Purpose, Rng
from ..student import Context, Response

MINUTES = 1.0  # the time of one review


def deck(items: int, kind: str) -> Catalog:
    """Return a catalogue of `items` cards, each one skill and one activity; ValueError below 1, naming `kind`."""
    if items < 1:
        raise ValueError(f"{kind}: items is {items}; give 1 or more")
    skills = tuple(Skill(f"item {k}") for k in range(items))
    activities = tuple(
        Activity(f"review {k}", f"Review item {k}", "retrieval", (f"item {k}",), MINUTES, (), (), k == 0, False)
        for k in range(items)
    )
    return Catalog(skills, activities)


def whole_deck(age: Tensor) -> Context:
    """Return the context of learners with one number per card (B, K): every card is a goal, nothing else is known."""
    n = age.shape[0]
    none = torch.zeros(n, 0, dtype=torch.int64, device=age.device)
    role = none.new_zeros(n)
    return Context(role, torch.ones_like(age), age.new_full((n,), torch.inf), none, none.to(age.dtype))


def reviewed(p_recall: Tensor, rng: Rng) -> Response:
    """Return the response of learners who recall with `p_recall` (B,)."""
    correct = (rng.uniform(Purpose.ANSWER)[:, 0] < p_recall).float()
    yes = torch.ones_like(correct, dtype=torch.bool)
    return Response(correct, torch.full_like(correct, MINUTES), yes, ~yes)


def at(values: Tensor, activity: Tensor) -> Tensor:
    """Return (B, ...), the entry of each learner's card `activity` (B,) in `values` (B, K, ...)."""
    place = activity.view(-1, *([1] * (values.dim() - 1))).expand(-1, 1, *values.shape[2:])
    return values.gather(1, place).squeeze(1)


def put(values: Tensor, activity: Tensor, new: Tensor) -> Tensor:
    """Return `values` (B, K, ...) with `new` (B, ...) at each learner's card `activity` (B,)."""
    place = activity.view(-1, *([1] * (values.dim() - 1))).expand(-1, 1, *values.shape[2:])
    return values.scatter(1, place, new.unsqueeze(1))


def lognormal(rng: Rng, items: int, median: float, spread: float, block: int) -> Tensor:
    """Return (B, items) float32 draws, one per learner and card; `block` keeps the draws of two traits apart."""
    return median * torch.exp(spread * rng.normal(Purpose.TRAITS, items, block).contiguous())
