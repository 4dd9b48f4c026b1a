"""A table larger than memory: read in pieces, its learners dealt to groups that fit, each put in order by itself."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Generator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..catalog import Catalog
from ..errors import DataError
from ..files import MISSING, delimiter, suffix
from ..log import Log
from ..stored import StoredLog, Writer
from .times import guessed

if TYPE_CHECKING:
    from .table import Table

PIECE = 500_000  # rows read at a time
GROUP = 500_000  # rows in a group of learners, about
_ROW = "__row"


def streamed(table: Table, path: Path, folder: Path) -> tuple[Log, Catalog]:
    """The stored log of a table, made now or opened where it was made from the same file, with its catalogue.

    Memory: some hundred bytes for each of the million rows at hand, and the ids of learners and activities. Disk: the
    file once more in Parquet while it runs, then 20 bytes a row.
    Raises: DataError as when the table is read whole.
    """
    about = path.stat()
    key = {"file": path.name, "bytes": about.st_size, "changed": about.st_mtime_ns, "table": asdict(table)}
    key = json.loads(json.dumps(key))
    told = folder / "source.json"
    if not (told.exists() and json.loads(told.read_text()) == key and (folder / "log.json").exists()):
        told.unlink(missing_ok=True)
        _make(table, path, folder)
        told.write_text(json.dumps(key))
    # A stored log is to its readers what a log is; two classes that share no code need no third above them.
    return cast(Log, StoredLog.open(folder)), Catalog.load(folder / "catalog.json")


def _make(table: Table, path: Path, folder: Path) -> None:
    from .table import Naming

    dealt = folder / "dealt"
    shutil.rmtree(dealt, ignore_errors=True)
    dealt.mkdir(parents=True)
    try:
        table, encoding = _deal(table, path, dealt)
        naming, notes = Naming({}, {}), [] if encoding is None else [encoding]
        given, kept = table.given(), 0
        for group in sorted(dealt.glob("*.parquet")):
            frame, found = table.prepared(_read(group), path.name)
            naming.learn(frame)
            notes += found
            kept += len(frame)
            frame.to_parquet(group)
        if not kept:
            raise DataError(f"holds no row with {' and '.join(table.needed)}", path.name, fix="Fill these columns.")
        catalog = given or naming.catalog(table.granularity == "skill")
        with Writer(folder, catalog.activity_ids, path.name.split(".")[0]) as writer:
            for group in sorted(dealt.glob("*.parquet")):
                frame = pd.read_parquet(group)
                if len(frame):
                    log = table.finished(frame, catalog, naming, path.name)
                    notes += log.notes
                    _append(writer, log, catalog)
            writer.notes = _summed(notes)
        catalog.save(folder / "catalog.json")
    finally:
        shutil.rmtree(dealt, ignore_errors=True)


def _append(writer: Writer, log: Log, catalog: Catalog) -> None:
    sequences = log.sequences(catalog)
    writer.timed |= sequences.timed
    first = log.frame.drop_duplicates("learner")
    parts = first["split"].tolist() if "split" in first else [""] * len(first)
    columns: dict[str, NDArray[Any]] = {
        "activity": sequences.activity,
        "correct": sequences.correct,
        "days": sequences.days,
    }
    writer.add(list(log.learners), np.diff(sequences.start), columns, parts)


def _deal(table: Table, path: Path, dealt: Path) -> tuple[Table, str | None]:
    """Write the rows of each group of learners to a file; return the table with its unit of time, and a note."""
    pieces, total = _pieces(table, path)
    groups = max(1, -(-total // GROUP))
    files: dict[int, pq.ParquetWriter] = {}
    first = True
    row = 0
    try:
        for piece in pieces:
            if first and table.learner not in piece:
                table.prepared(piece, path.name)  # says which columns are missing
            if first and table.timestamp_unit == "auto" and table.timestamp in piece:
                table = replace(table, timestamp_unit=guessed(piece[table.timestamp]))  # type: ignore[arg-type]
            first = False
            piece[_ROW] = np.arange(row, row + len(piece))
            row += len(piece)
            group = pd.util.hash_array(piece[table.learner].astype("str").to_numpy(object)) % np.uint64(groups)
            whole = pa.Table.from_pandas(piece, preserve_index=False)
            for number in np.unique(group).tolist():
                part = whole.filter(pa.array(group == number))
                if number not in files:
                    name = dealt / f"{number:06d}.parquet"
                    files[number] = pq.ParquetWriter(name, part.schema, compression="zstd")
                files[number].write_table(part.cast(files[number].schema))
    finally:
        pieces.close()
        for file in files.values():
            file.close()
    if first:
        raise DataError("is empty", path.name, fix="Give a file with a header line and one row per interaction.")
    return table, None


def _read(group: Path) -> pd.DataFrame:
    frame = pd.read_parquet(group)
    return frame.set_index(_ROW)


def _pieces(table: Table, path: Path) -> tuple[Generator[pd.DataFrame, None, None], int]:
    """Pieces of the file with the columns that count, and about how many rows there are."""
    text, numbers = table.columns()
    wanted = {*text, *numbers, table.timestamp, table.order}
    if suffix(path) == ".parquet":
        file = pq.ParquetFile(path)
        names = [name for name in file.schema_arrow.names if name in wanted]
        batches = file.iter_batches(PIECE, columns=names or None)
        return (batch.to_pandas() for batch in batches), file.metadata.num_rows
    with path.open("rb") as raw:
        start = raw.read(1 << 16)
    if start[:2] == b"\x1f\x8b" or start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError("is gzipped or UTF-16", path.name, fix="To store it, unpack it or save it as UTF-8 or Parquet.")
    head = start.decode("utf-8-sig", errors="trailmark-latin-1")
    lines = max(1, head.count("\n"))
    return _csv_pieces(path, head, wanted, numbers), int(path.stat().st_size / len(start) * lines)


def _csv_pieces(
    path: Path, head: str, wanted: set[str | None], numbers: list[str]
) -> Generator[pd.DataFrame, None, None]:
    with pd.read_csv(
        path,
        sep=delimiter(head, suffix(path)),
        dtype="str",
        keep_default_na=False,
        na_values={name: list(MISSING) for name in numbers},
        usecols=lambda name: name.strip() in wanted,
        encoding="utf-8-sig",
        encoding_errors="trailmark-latin-1",
        chunksize=PIECE,
    ) as pieces:
        yield from (piece.rename(columns=str.strip) for piece in pieces)


def _summed(notes: list[str]) -> tuple[str, ...]:
    """One note of each kind, its count summed over the groups."""
    counts: dict[str, int] = {}
    for note in notes:
        kind = re.sub(r"\d+", "{}", note, count=1)
        counts[kind] = counts.get(kind, 0) + int((re.findall(r"\d+", note) or ["0"])[0])
    return tuple(kind.replace("{}", str(count), 1) for kind, count in counts.items())
