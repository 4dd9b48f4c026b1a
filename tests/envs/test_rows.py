"""Row-wise operations on records, against the plain loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from trailmark.envs.rows import map_tensors, pick, take, to_device


class Inner(NamedTuple):
    scores: Tensor  # (B, 2)


@dataclass(frozen=True)
class Settings:
    values: Tensor  # (B, 2, 2)
    name: str = "kept"


class Outer(NamedTuple):
    inner: Inner
    count: Tensor  # (B,)
    settings: Settings
    parts: tuple[Tensor, Tensor]  # (B,), (B, 3)
    nothing: None = None


def record(start: float) -> Outer:
    def numbers(*shape: int) -> Tensor:
        return torch.arange(start, start + torch.Size(shape).numel()).reshape(shape)

    parts = (numbers(3) > start, numbers(3, 3))
    return Outer(Inner(numbers(3, 2)), numbers(3).long(), Settings(numbers(3, 2, 2)), parts)


def tensors(r: Outer) -> list[Tensor]:
    return [r.inner.scores, r.count, r.settings.values, *r.parts]


def test_pick_takes_each_row_from_one_record_whole() -> None:
    new, old = record(0.0), record(100.0)
    picked = pick(torch.tensor([True, False, True]), new, old)
    assert isinstance(picked, Outer)
    assert (picked.settings.name, picked.nothing) == ("kept", None)
    for got, a, b in zip(tensors(picked), tensors(new), tensors(old), strict=True):
        assert got.dtype == a.dtype
        assert torch.equal(got, torch.stack([a[0], b[1], a[2]]))


@pytest.mark.parametrize("index", [torch.tensor([2, 0]), slice(1, 3), torch.tensor([True, False, True])])
def test_take_takes_the_same_rows_of_every_tensor(index: Tensor | slice) -> None:
    whole = record(0.0)
    for got, all_of_it in zip(tensors(take(whole, index)), tensors(whole), strict=True):
        assert torch.equal(got, all_of_it[index])


def test_map_tensors_keeps_types_and_meets_every_tensor_once() -> None:
    met = []
    whole = record(0.0)._replace(parts=(torch.ones(3), torch.ones(3, 3)))
    out = map_tensors(lambda t: (met.append(t), t + 1)[1], whole)
    assert isinstance(out, Outer)
    assert isinstance(out.settings, Settings)
    assert isinstance(out.parts, tuple)
    assert len(met) == 5
    assert torch.equal(out.inner.scores, record(1.0).inner.scores)


def test_map_tensors_refuses_records_of_different_shape() -> None:
    with pytest.raises(ValueError, match="zip"):
        map_tensors(torch.add, (torch.ones(1),), (torch.ones(1), torch.ones(1)))


def test_to_device_moves_every_tensor() -> None:
    moved = to_device(record(0.0), "meta")
    assert {t.device.type for t in tensors(moved)} == {"meta"}
