"""Cross-validation folds: which files of a folder are train, valid and test of one fold."""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError
from ..files import existing


def fold_files(path: str, fold: int) -> tuple[Path, dict[str, Path]]:
    """The folder, with its files by part; a path to one file gives {"all": file}.

    Raises: DataError when a part is missing or there are several candidates for it.
    """
    found = existing(path, f"a folder with *_train{fold}.csv, *_valid{fold}.csv and *_test{fold}.csv, or one such file")
    if found.is_file():
        return found.parent, {"all": found}
    return found, {part: _one(found, part, fold) for part in ("train", "valid", "test")}


def _one(folder: Path, part: str, fold: int) -> Path:
    endings = [f"_{part}{fold}.csv"] + ([f"_{part}.csv"] if part == "test" else [])
    for ending in endings:
        files = sorted([*folder.glob(f"*{ending}"), *folder.glob(f"*{ending}.gz")])
        if len(files) == 1:
            return files[0]
        if files:
            names = ", ".join(file.name for file in files)
            raise DataError(
                f"holds several {part} files of fold {fold}: {names}", str(folder), fix="Keep one of them there."
            )
    fix = f"Looked for {' or '.join('*' + ending for ending in endings)} or .gz."
    raise DataError(f"holds no {part} file of fold {fold}", str(folder), fix=fix)
