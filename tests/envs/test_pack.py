"""Pack: what goes in comes out, what is damaged or foreign is refused, and a kill leaves something whole."""

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

import trailmark.envs.classroom
from trailmark.data.catalog import Skill
from trailmark.envs import pack
from trailmark.envs.classroom import Pace
from trailmark.envs.guards import Prerequisites
from trailmark.envs.observer import Space
from trailmark.envs.pack import PackError
from trailmark.envs.skills import Padded

DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
]


def bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def same(a: Any, b: Any) -> bool:
    """Return whether `b` is what `a` comes back as: tensors bit by bit, lists as tuples."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and a.shape == b.shape and bits(a) == bits(b)
    if isinstance(a, float):
        return isinstance(b, float) and a.hex() == b.hex()
    if isinstance(a, list | tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if dataclasses.is_dataclass(a):
        names = [f.name for f in dataclasses.fields(a)]
        return type(a) is type(b) and all(same(getattr(a, name), getattr(b, name)) for name in names)
    return type(a) is type(b) and bool(a == b)


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    dtype = draw(st.sampled_from(DTYPES))
    chance = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    tensor = (torch.randn(shape, generator=chance) * 100.0).to(torch.int64 if dtype == torch.uint8 else dtype).to(dtype)
    if dtype.is_floating_point and tensor.numel() and draw(st.booleans()):
        tensor.view(-1)[0] = draw(st.sampled_from([math.nan, math.inf, -math.inf, -0.0]))
    return tensor.t() if tensor.dim() == 2 and draw(st.booleans()) else tensor


keys = st.text(st.sampled_from("ab.~01é "), max_size=4)
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), tensors())


def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=3),
        st.builds(Padded, inner, inner),
        st.builds(Space, inner, st.integers(), st.builds(Padded, tensors(), tensors()), tensors(), st.integers()),
        st.builds(Pace, st.integers(), st.floats()),
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(thing=st.recursive(leaves, grow, max_leaves=12))
def test_what_goes_in_comes_out(tmp_path: Path, thing: Any) -> None:
    pack.save(thing, tmp_path / "thing")
    assert same(thing, pack.load(tmp_path / "thing"))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_kind_of_array(tmp_path: Path, dtype: torch.dtype) -> None:
    whole = torch.arange(12).reshape(3, 4).to(dtype)
    thing = {"whole": whole, "turned": whole.t(), "part": whole[:, 1], "spread": whole[:1].expand(5, 4)}
    thing |= {"one": whole[1, 1], "none": whole[:0]}
    pack.save(thing, tmp_path / "thing")
    assert same(thing, pack.load(tmp_path / "thing"))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1])
def test_every_float(tmp_path: Path, value: float) -> None:
    pack.save(Pace(3, value), tmp_path / "pace")
    found = pack.load(tmp_path / "pace").gap_days
    assert type(found) is float
    assert found.hex() == value.hex()


def test_two_places_never_share_an_array(tmp_path: Path) -> None:
    one, two, three = torch.zeros(1), torch.ones(2), torch.full((3,), 2.0)
    thing = {"a": {"b": one}, "a.b": two, "a~1b": three}
    pack.save(thing, tmp_path / "thing")
    assert same(thing, pack.load(tmp_path / "thing"))


def test_an_array_is_saved_as_it_was(tmp_path: Path) -> None:
    tensor = torch.ones(3, requires_grad=True)
    _, arrays = pack.pack({"x": tensor})
    (kept,) = arrays.values()
    with torch.no_grad():
        tensor.zero_()
    assert kept.tolist() == [1, 1, 1]
    assert not kept.requires_grad


def test_a_class_that_takes_other_fields_is_refused(tmp_path: Path) -> None:
    tree, arrays = pack.pack(Prerequisites(0.7))
    tree["thresold"] = 0.7
    pack.write(tmp_path / "guard", tree, arrays)
    with pytest.raises(PackError, match=r"guards\.Prerequisites cannot be built from the file .*thresold"):
        pack.load(tmp_path / "guard")
    pack.write(tmp_path / "catalog", {"_target_": "trailmark.data.catalog.Catalog", "skills": [], "activities": 3}, {})
    with pytest.raises(PackError, match="Catalog cannot be built"):
        pack.load(tmp_path / "catalog")


@pytest.mark.parametrize(
    ("thing", "where"),
    [
        ({"a": (1, {2, 3})}, r"root\.a\.1: a set"),
        ({"a": object()}, r"root\.a: a object"),
        ({"a": {1: 2}}, r"root\.a: only plain string keys"),
        ({"_target_": "x"}, "root: only plain string keys"),
        ({"a": Pace}, r"root\.a: a type"),
        (Padded(torch.zeros(1), open), r"root\.real: a builtin_function_or_method"),  # type: ignore[arg-type]
        (b"bytes", "root: a bytes"),
    ],
)
def test_what_cannot_be_saved_is_named(thing: Any, where: str) -> None:
    with pytest.raises(TypeError, match=where):
        pack.pack(thing)


@dataclass(frozen=True)
class Stranger:
    x: int = 0


FOREIGN = [
    "os.system",
    "builtins.eval",
    "subprocess.Popen",
    "pathlib.Path",
    "dataclasses.Field",
    "trailmarket.envs.classroom.Pace",
    "trailmark",
    "trailmark.",
    "trailmark..os.system",
    "trailmark.envs.pack.os.system",
    "trailmark.envs.pack.importlib.import_module",
    "trailmark.envs.pack.os",
    "trailmark.envs.pack.Path",
    "trailmark.envs.pack.load",
    "trailmark.envs.pack.PackError",
    "trailmark.envs.worlds.onboarding_world",
    "trailmark.envs.classroom.Classroom",
    "trailmark.envs.classroom.Moment",
    "trailmark.envs.classroom.Nothing",
    "trailmark.envs.nowhere.Pace",
    "trailmark.envs.classroom.Pace()",
    "",
    3,
    None,
    ["trailmark.envs.classroom.Pace"],
]


@pytest.mark.parametrize("target", FOREIGN, ids=str)
def test_foreign_targets_are_refused(tmp_path: Path, target: Any) -> None:
    pack.write(tmp_path / "thing", {"inner": [{"_target_": target}]}, {})
    with pytest.raises(PackError, match=r"refused to build|this version of trailmark has no"):
        pack.load(tmp_path / "thing")


def test_a_foreign_dataclass_is_refused_even_where_trailmark_imports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trailmark.envs.classroom, "Stranger", Stranger, raising=False)
    pack.write(tmp_path / "thing", {"_target_": "trailmark.envs.classroom.Stranger", "x": 1}, {})
    with pytest.raises(PackError, match=r"refused to build .* not of trailmark"):
        pack.load(tmp_path / "thing")


def test_nothing_foreign_runs_before_it_is_refused(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    pack.write(tmp_path / "thing", {"_target_": "os.mkdir", "path": str(trace)}, {})
    with pytest.raises(PackError, match=r"os\.mkdir"):
        pack.load(tmp_path / "thing")
    assert not trace.exists()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "saved"
    tree, arrays = pack.pack(Padded(torch.arange(6).reshape(2, 3), torch.ones(2, 3, dtype=torch.bool)))
    pack.write(folder, tree, arrays, {"card.json": '{"a": 1}'})
    return folder


FILES = ["arrays.safetensors", "card.json", "checksums.json", "object.json"]


def test_a_folder_holds_json_and_arrays_and_nothing_else(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == FILES
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(PackError, match=name):
        pack.load(saved)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"nowhere.*is .* a folder that trailmark saved"):
        pack.load(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(PackError, match="file"):
        pack.load(tmp_path / "file")


@pytest.mark.parametrize("name", ["arrays.safetensors", "card.json", "object.json"])
def test_every_changed_byte_is_noticed(saved: Path, name: str) -> None:
    content = (saved / name).read_bytes()
    for i in range(0, len(content), 7):
        (saved / name).write_bytes(content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :])
        with pytest.raises(PackError, match=f"{name} changed since it was saved"):
            pack.load(saved)
    for other in (content[:-1], content + b" ", b""):
        (saved / name).write_bytes(other)
        with pytest.raises(PackError, match=f"{name} changed since it was saved"):
            pack.load(saved)


@pytest.mark.parametrize("flip", [1, 2, 0x40, 0x80])
def test_a_changed_checksum_is_noticed(saved: Path, flip: int) -> None:
    path, thing = saved / "checksums.json", pack.load(saved)
    content = path.read_bytes()
    for i in range(len(content)):
        path.write_bytes(content[:i] + bytes([content[i] ^ flip]) + content[i + 1 :])
        try:
            found = pack.load(saved)
        except PackError:
            continue
        assert content[i : i + 1].isspace(), f"byte {i} counts for nothing"
        assert same(thing, found)


def seal(folder: Path) -> None:
    """Write checksums that are right for what stands in `folder`."""
    names = [path.name for path in folder.iterdir() if path.name != "checksums.json"]
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / "checksums.json").write_text(json.dumps(sums))


@pytest.mark.parametrize("schema", [2, 0, None, "1", 1.5])
def test_another_schema_is_refused_and_says_what_to_do(saved: Path, schema: Any) -> None:
    content = json.loads((saved / "object.json").read_text())
    (saved / "object.json").write_text(json.dumps(content | {"schema": schema}))
    seal(saved)
    with pytest.raises(PackError, match=f"schema {schema}, this version reads 1; upgrade trailmark"):
        pack.load(saved)


@pytest.mark.parametrize("content", ["[]", "3", "{}", "not json", '{"schema": 1}'])
def test_another_json_is_refused(saved: Path, content: str) -> None:
    (saved / "object.json").write_text(content)
    seal(saved)
    with pytest.raises(PackError, match="saved"):
        pack.load(saved)


def test_a_damaged_or_incomplete_array_file_is_refused(saved: Path) -> None:
    tree, arrays = pack.read(saved)
    (saved / "arrays.safetensors").write_bytes((saved / "arrays.safetensors").read_bytes()[:-4])
    seal(saved)
    with pytest.raises(PackError, match="damaged"):
        pack.load(saved)
    arrays.pop("root.real")
    pack.write(saved, tree, arrays)
    with pytest.raises(PackError, match=r"array 'root\.real' is missing"):
        pack.load(saved)


class Killed(BaseException):
    """Raised where a kill would strike."""


def strike(patch: pytest.MonkeyPatch, at: int) -> None:
    """Make the `at`-th rename from now on a kill."""
    real, count = os.replace, iter(range(100))

    def replace(source: Path, target: Path) -> None:
        if next(count) == at:
            raise Killed
        real(source, target)

    patch.setattr(os, "replace", replace)


@pytest.mark.parametrize("at", [0, 1])
def test_a_kill_between_renames_leaves_the_old_folder_whole(tmp_path: Path, at: int) -> None:
    folder = tmp_path / "thing"
    pack.save(Pace(1, 1.0), folder)
    with pytest.MonkeyPatch.context() as patch:
        strike(patch, at)
        with pytest.raises(Killed):
            pack.save(Pace(2, 2.0), folder)
    assert pack.load(folder) == Pace(1, 1.0)
    pack.save(Pace(3, 3.0), folder)
    assert pack.load(folder) == Pace(3, 3.0)
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]


def test_a_kill_between_renames_does_not_stop_the_next_save(tmp_path: Path) -> None:
    folder = tmp_path / "thing"
    pack.save(Pace(1, 1.0), folder)
    with pytest.MonkeyPatch.context() as patch:
        strike(patch, 1)
        with pytest.raises(Killed):
            pack.save(Pace(2, 2.0), folder)
    pack.save(Pace(3, 3.0), folder)
    assert pack.load(folder) == Pace(3, 3.0)
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]


@pytest.mark.parametrize("function", ["save_file", "_sum"])
def test_a_kill_while_writing_leaves_the_old_folder_whole(tmp_path: Path, function: str) -> None:
    folder = tmp_path / "thing"
    pack.save(Pace(1, 1.0), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def killed(*_args: Any) -> Callable[..., None]:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack, function, killed)
        with pytest.raises(Killed):
            pack.save(Pace(2, 2.0), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert pack.load(folder) == Pace(1, 1.0)


def test_a_first_save_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        strike(patch, 0)
        with pytest.raises(Killed):
            pack.save(Pace(2, 2.0), tmp_path / "thing")
    assert not list(tmp_path.iterdir())


def test_a_smaller_object_leaves_nothing_of_the_larger_one(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "thing"
    pack.write(folder, {"a": 1}, {"x": torch.ones(2)}, {"note.txt": "é"})
    pack.write(str(folder), {"a": 2}, {})  # type: ignore[arg-type]
    assert pack.read(folder) == ({"a": 2}, {})
    assert sorted(path.name for path in folder.iterdir()) == ["arrays.safetensors", "checksums.json", "object.json"]


def test_the_same_thing_is_the_same_bytes(tmp_path: Path) -> None:
    thing = {"b": torch.ones(2), "a": Skill("s"), "c": (torch.zeros(1), math.inf)}
    for name in ("one", "two"):
        pack.save(thing, tmp_path / name)
    for name in ("object.json", "arrays.safetensors", "checksums.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
