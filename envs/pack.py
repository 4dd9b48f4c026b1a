"""Pack: frozen dataclasses of numbers, tensors and other dataclasses as JSON plus arrays; no pickle."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

SCHEMA = 1


class PackError(ValueError):
    """A saved object cannot be read: the message names the file, the reason and the way out."""


def pack(thing: Any) -> tuple[Any, dict[str, Tensor]]:
    """Return the JSON tree and the arrays of `thing`; TypeError names what cannot be saved and where it is."""
    arrays: dict[str, Tensor] = {}
    return _tree(thing, "root", arrays), arrays


def _tree(thing: Any, path: str, arrays: dict[str, Tensor]) -> Any:
    if thing is None or isinstance(thing, bool | int | str):
        return thing
    if isinstance(thing, float):
        return thing if math.isfinite(thing) else {"_float_": str(thing)}
    if isinstance(thing, Tensor):
        arrays[path] = thing.detach().cpu().contiguous().clone()
        return {"_array_": path}
    if isinstance(thing, tuple | list):
        return [_tree(value, f"{path}.{i}", arrays) for i, value in enumerate(thing)]
    if isinstance(thing, dict):
        if not all(isinstance(key, str) and not key.startswith("_") for key in thing):
            raise TypeError(f"{path}: only plain string keys can be saved")
        return {key: _tree(value, f"{path}.{_escape(key)}", arrays) for key, value in thing.items()}
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        fields = {
            f.name: _tree(getattr(thing, f.name), f"{path}.{f.name}", arrays)
            for f in dataclasses.fields(thing)
            if f.init
        }
        return {"_target_": f"{type(thing).__module__}.{type(thing).__qualname__}", **fields}
    raise TypeError(f"{path}: a {type(thing).__name__} cannot be saved; use numbers, tensors and frozen dataclasses")


def _escape(key: str) -> str:
    """Return `key` without dots, so that no two places of a tree share the name of an array."""
    return key.replace("~", "~0").replace(".", "~1")


def unpack(tree: Any, arrays: dict[str, Tensor], allow: Sequence[str] = ()) -> Any:
    """Return the thing again; lists come back as tuples.

    PackError refuses every class outside `trailmark` and the packages that `allow` names.
    """
    if isinstance(tree, list):
        return tuple(unpack(value, arrays, allow) for value in tree)
    if not isinstance(tree, dict):
        return tree
    if "_float_" in tree:
        return float(tree["_float_"])
    if "_array_" in tree:
        if tree["_array_"] not in arrays:
            raise PackError(f"the array {tree['_array_']!r} is missing")
        return arrays[tree["_array_"]]
    values = {key: unpack(value, arrays, allow) for key, value in tree.items() if key != "_target_"}
    if "_target_" not in tree:
        return values
    found = _class(str(tree["_target_"]), ("trailmark", *allow))
    try:
        return found(**values)
    except (TypeError, ValueError) as error:
        raise PackError(f"this version's {tree['_target_']} cannot be built from the file ({error})") from error


def _class(target: str, trusted: Sequence[str]) -> type:
    module, _, name = target.rpartition(".")
    if module.partition(".")[0] not in trusted or not name.isidentifier():
        raise PackError(f"refused to build {target!r}: only classes of trailmark are loaded from files")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise PackError(f"this version of trailmark has no {target!r}") from error
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise PackError(f"refused to build {target!r}: it is no dataclass")
    if found.__module__.partition(".")[0] not in trusted:
        raise PackError(f"refused to build {target!r}: it is not of trailmark but of {found.__module__}")
    return found


def write(
    folder: Path,
    tree: Any,
    arrays: dict[str, Tensor],
    texts: dict[str, str] | None = None,
    files: dict[str, bytes] | None = None,
) -> None:
    """Write object.json, arrays.safetensors, `texts`, `files` and checksums into `folder`, all or nothing.

    The new folder is made beside the old one and takes its place by renaming, so a kill leaves one of the two whole.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for litter in folder.parent.glob(f".{folder.name}.????????"):  # of writes that were killed
        shutil.rmtree(litter, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        save_file(arrays, fresh / "arrays.safetensors")
        (fresh / "object.json").write_text(json.dumps({"schema": SCHEMA, "tree": tree}, indent=1, allow_nan=False))
        for name, text in (texts or {}).items():
            (fresh / name).write_text(text)
        for name, content in (files or {}).items():
            (fresh / name).write_bytes(content)
        sums = {file.name: _sum(file) for file in sorted(fresh.iterdir())}
        (fresh / "checksums.json").write_text(json.dumps(sums, indent=1))
        fresh.chmod(0o755)
        _swap(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _swap(fresh: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.old")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
    os.replace(fresh, folder)
    shutil.rmtree(old, ignore_errors=True)


def read(folder: Path) -> tuple[Any, dict[str, Tensor]]:
    """Return the tree and the arrays of a written folder; PackError says what is missing, foreign or too new."""
    folder = Path(folder)
    old = folder.with_name(f".{folder.name}.old")
    if not folder.exists() and old.exists():  # killed between two renames
        os.replace(old, folder)
    try:
        sums = json.loads((folder / "checksums.json").read_text())
        changed = [name for name, value in sums.items() if _sum(folder / name) != value]
        if changed:
            raise PackError(f"{folder}: {', '.join(changed)} changed since it was saved; save or export it again")
        content = json.loads((folder / "object.json").read_text())
        # Copies, because sums over arrays that lie unaligned inside the file differ in the last bit.
        arrays = {name: array.clone() for name, array in load_file(folder / "arrays.safetensors").items()}
    except OSError as error:
        what = f"{error.filename or folder}: {error.strerror or error}"
        raise PackError(f"{what}; is {folder} a folder that trailmark saved?") from error
    except (SafetensorError, ValueError, AttributeError, TypeError) as error:
        if isinstance(error, PackError):
            raise
        raise PackError(f"{folder}: damaged ({error}); save or export it again") from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise PackError(f"{folder / 'object.json'}: schema {schema}, this version reads {SCHEMA}; upgrade trailmark")
    if "tree" not in content:
        raise PackError(f"{folder / 'object.json'}: holds no object; save or export it again")
    return content["tree"], arrays


def _sum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def save(thing: Any, folder: Path) -> None:
    """Save a frozen dataclass as a folder of JSON and arrays."""
    write(folder, *pack(thing))


def load(folder: Path, allow: Sequence[str] = ()) -> Any:
    """Load what `save` wrote; classes of trailmark and of the packages in `allow`."""
    return unpack(*read(folder), allow)
