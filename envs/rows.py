"""Row-wise operations on records: nested NamedTuples and dataclasses of tensors with a leading learner axis."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

R = TypeVar("R")


def map_tensors(function: Callable[..., Tensor], *records: R) -> R:
    """Return the record whose every tensor is `function` of the tensors at that place in `records`."""
    first = records[0]
    if isinstance(first, Tensor):
        return function(*records)  # type: ignore[return-value]
    if isinstance(first, tuple):
        values = [map_tensors(function, *parts) for parts in zip(*records, strict=True)]
        return type(first)(*values) if hasattr(first, "_fields") else type(first)(values)
    if isinstance(first, Mapping):
        return {name: map_tensors(function, *(r[name] for r in records)) for name in first}  # type: ignore[index, return-value]
    if dataclasses.is_dataclass(first) and not isinstance(first, type):
        names = [f.name for f in dataclasses.fields(first) if f.init]
        changes = {name: map_tensors(function, *(getattr(r, name) for r in records)) for name in names}
        return dataclasses.replace(first, **changes)
    return first


def pick(rows: Tensor, new: R, old: R) -> R:
    """Return `new` where `rows` (B,) is True, else `old`; every tensor has the learner axis first."""

    def choose(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(rows.view(-1, *([1] * (a.dim() - 1))), a, b)

    return map_tensors(choose, new, old)


def take(record: R, index: Any) -> R:
    """Return the rows `index` (an int64 tensor or slice) of every tensor of `record`."""
    return map_tensors(lambda t: t[index], record)


def spread(record: R, n: int) -> R:
    """Return every row of every tensor of `record` `n` times, one after the other."""
    return map_tensors(lambda t: t[:, None].expand(-1, n, *t.shape[1:]).flatten(0, 1), record)


def to_device(record: R, device: torch.device | str) -> R:
    """Return `record` with every tensor on `device`."""
    return map_tensors(lambda t: t.to(device), record)
