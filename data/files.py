"""Table files on disk: finding, reading and replacing them whole."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import os
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from .errors import DataError

Rows = list[tuple[int | str, dict[str, Any]]]
SCHEMA = 1
BLANK_LINE = re.compile(r"\n[ \t]*\r?\n|\n[ \t]+$")
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "#N/A")


def suffix(path: Path) -> str:
    """The file type in lower case without `.gz`: `.csv` for `log.CSV.gz`."""
    return Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()


def stem(path: Path) -> str:
    """The file name without its type: `log` for `log.csv.gz`."""
    return Path(path.stem if path.suffix.lower() == ".gz" else path.name).stem


def find(folder: Path, names: Sequence[str], kinds: Sequence[str]) -> Path | None:
    """The first existing `folder/name.kind` or `folder/name.kind.gz`, or None."""
    candidates = (folder / f"{name}.{kind}{gz}" for name in names for kind in kinds for gz in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def existing(path: str | Path, looked_for: str) -> Path:
    """The path with `~` expanded. Raises: DataError that says what is looked for there when nothing exists."""
    found = Path(path).expanduser()
    if not found.exists():
        raise DataError("no such file or folder", str(path), fix=f"Give the path of {looked_for}.")
    return found


def read_text(path: Path) -> tuple[str, str]:
    """The whole text, gunzipped where needed, without byte order mark, with the encoding that fitted it.

    Bytes that are no UTF-8 are read as Latin-1 one by one, so that a file may mix both. UTF-16 is known by its mark.
    Raises: DataError when the file cannot be read.
    """
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot be read ({error})", path.name, fix="Check the path and that it is whole.") from error
    return decoded(raw, path.name)


def decoded(raw: bytes, file: str) -> tuple[str, str]:
    """The text of some bytes and its encoding. Raises: DataError for UTF-16 that is cut off."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return raw.decode("utf-16"), "utf-16"
        except UnicodeDecodeError as error:
            raise DataError(f"is no whole UTF-16 ({error})", file, fix="Save it again as UTF-8.") from error
    try:
        return raw.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        text = raw.decode("utf-8-sig", errors="trailmark-latin-1")
        plain = raw.decode("latin-1")
        return text, "latin-1" if len(text) == len(plain) else "a mixture of utf-8 and latin-1"


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("trailmark-latin-1", _as_latin_1)


def delimiter(text: str, kind: str) -> str:
    """Tab for `.tsv`, else whichever of comma, semicolon and tab the header line holds most of."""
    if kind == ".tsv":
        return "\t"
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)


def read_rows(path: Path, table: str) -> Rows:
    """The rows of a small table (.csv, .tsv, .json, .parquet), each with its place in the file.

    A JSON file is a list of objects or an object that holds one under the key `table`.
    Raises: DataError when the file is unreadable, of an unknown type or not a table.
    """
    kind = suffix(path)
    if kind in (".csv", ".tsv"):
        return _csv_rows(path, kind)
    if kind == ".json":
        return json_rows(read_json(path), path.name, table)
    if kind == ".parquet":
        return [(f"record {i + 1}", row) for i, row in enumerate(_parquet(path).to_pylist())]
    raise DataError(f"unknown file type '{path.suffix}'", path.name, fix="Use .csv, .tsv, .json or .parquet.")


def read_json(path: Path) -> Any:
    """The parsed JSON file. Raises: DataError with the line and column of a syntax error."""
    try:
        return json.loads(read_text(path)[0])
    except json.JSONDecodeError as error:
        problem = f"is not valid JSON at column {error.colno}: {error.msg}"
        raise DataError(problem, path.name, row=error.lineno, fix="Correct the line.") from error


def json_rows(data: Any, file: str, table: str) -> Rows:
    """The objects of a JSON table with their places.

    Raises: DataError for an unknown schema number, or where something else than an object stands.
    """
    schema = data.get("schema", SCHEMA) if isinstance(data, dict) else SCHEMA
    if schema != SCHEMA:
        fix = "Install a newer Trailmark." if isinstance(schema, int) and schema > SCHEMA else f"Write {SCHEMA}."
        problem = f"schema {schema!r} is unknown, this version reads {SCHEMA}"
        raise DataError(problem, file, "top level", "schema", fix)
    rows = data.get(table) if isinstance(data, dict) else data
    if not isinstance(rows, list):
        fix = f'Write {{"schema": 1, "{table}": [{{"id": "..."}}]}}.'
        raise DataError(f"holds no list of {table}", file, key=table, fix=fix)
    bad = [i for i, row in enumerate(rows) if not isinstance(row, dict)]
    if bad:
        raise DataError.several(
            bad, lambda i: DataError("is not an object", file, f"{table}[{i}]", fix='Write {"id": "..."}.')
        )
    return [(f"{table}[{i}]", row) for i, row in enumerate(rows)]


def read_frame(path: Path, text_columns: Sequence[str], number_columns: Sequence[str]) -> tuple[pd.DataFrame, str]:
    """A large table (.csv, .tsv, .txt, .parquet) with its text encoding; row i of the file has index i.

    Text columns stay text (an id `NA` or `007` survives, an empty cell is ""); number columns keep unreadable cells as
    text for the caller to report. Blank lines are dropped but counted by the index.
    Raises: DataError when the file is unreadable, empty or of an unknown type.
    """
    kind = suffix(path)
    if kind == ".parquet":
        return _parquet(path).to_pandas(), "utf-8"
    if kind not in (".csv", ".tsv", ".txt"):
        raise DataError(
            f"unknown file type '{path.suffix}'", path.name, fix="Use .csv, .tsv or .parquet, or .gz of them."
        )
    text, encoding = read_text(path)
    if not text.strip():
        raise DataError("is empty", path.name, fix="Give a file with a header line and one row per interaction.")
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            sep=delimiter(text, kind),
            dtype=dict.fromkeys(text_columns, "str"),
            keep_default_na=False,
            na_values={name: list(MISSING) for name in number_columns},
            skip_blank_lines=False,
            low_memory=False,
        )
    except (pd.errors.ParserError, ValueError) as error:
        raise DataError(
            f"is not a table ({error})", path.name, fix="Give every line as many cells as the header."
        ) from error
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(
            "has rows with more cells than the header", path.name, fix="Name every column in the header line."
        )
    frame.columns = frame.columns.str.strip()
    if BLANK_LINE.search(text):
        frame = frame[~(frame.isna() | (frame == "")).all(axis=1)]
    return frame, encoding


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Writes to a temporary file beside the target, then replaces the target in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _csv_rows(path: Path, kind: str) -> Rows:
    text, _ = read_text(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter(text, kind), strict=True)
    rows: Rows = []
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            start, line = line, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                continue
            if len(cells) > len(header):
                problem = f"has {len(cells)} cells, the header has {len(header)}"
                raise DataError(problem, path.name, start, fix="Quote cells that hold the separator.")
            rows.append((start, dict(zip(header, cells, strict=False))))
    except csv.Error as error:
        raise DataError(f"is not a table ({error})", path.name, line, fix="Close the quotes of the row.") from error
    if header is None:
        raise DataError("is empty", path.name, fix="Give a header line and one row per entry.")
    return rows


def _parquet(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"cannot be read as Parquet ({error})", path.name, fix="Write the file again.") from error
