"""Decisions: write the decision log of a server's store to a file that off-policy evaluation reads."""

from __future__ import annotations

import argparse
from pathlib import Path


def main(words: list[str]) -> None:
    """Run `trailmark decisions --store STORE --to FILE`."""
    parser = argparse.ArgumentParser("trailmark decisions", description=__doc__)
    parser.add_argument("--store", default="trailmark.db", help="the server's store (default: %(default)s)")
    parser.add_argument("--tenant", default="main", help="whose decisions (default: %(default)s)")
    parser.add_argument("--to", required=True, type=Path, help="file to write: .parquet, or .jsonl for xAPI statements")
    args = parser.parse_args(words)

    import json

    from ..data.files import write_whole
    from .compose import complain
    from .serving.journal import decisions
    from .serving.store import Store, StoreError
    from .serving.xapi import statements

    if args.to.suffix not in (".parquet", ".jsonl"):
        parser.error(f"--to {args.to}: say a name that ends in .parquet or .jsonl")
    if not args.store.startswith(("postgres://", "postgresql://")) and not Path(args.store).exists():
        parser.error(f"--store {args.store}: there is no such file")
    try:
        store = Store.open(args.store)
    except StoreError as error:
        complain(error)
    fault = store.verify()
    if fault:
        complain(StoreError(f"{args.store}: {fault}; nothing was written"))
    if args.to.suffix == ".jsonl":
        lines = [json.dumps(one, separators=(",", ":")) + "\n" for one in statements(store, args.tenant)]
        write_whole(args.to, lambda draft: draft.write_text("".join(lines)))
        print(f"{args.to}: {len(lines):,} xAPI statements")
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, awaited = decisions(store, args.tenant)
    if not rows:
        found = f"{awaited:,} decisions, none answered" if awaited else "no decisions"
        complain(StoreError(f"{args.store}: tenant {args.tenant!r} has {found}; nothing was written"))
    write_whole(args.to, lambda draft: pq.write_table(pa.Table.from_pylist(rows), draft, compression="zstd"))
    learners = len({row["learner"] for row in rows})
    print(f"{args.to}: {len(rows):,} decisions of {learners:,} learners; the ledger is whole")
    if awaited:
        print(f"left out: {awaited:,} latest decisions whose answers are awaited")
