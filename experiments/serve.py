"""Serve: a policy bundle behind HTTP, with learner records, a decision log and the coach console."""

from __future__ import annotations

import argparse
from pathlib import Path


def main(words: list[str]) -> None:
    """Run `trailmark serve BUNDLE`."""
    parser = argparse.ArgumentParser("trailmark serve", description=__doc__)
    parser.add_argument(
        "bundle", nargs="?", help="folder of an exported bundle; not needed with --new-key, --revoke-key, --verify"
    )
    parser.add_argument(
        "--store", default="trailmark.db", help="SQLite file, or postgresql://... (default: %(default)s)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=_port, default=8000, help="port (default: %(default)s)")
    parser.add_argument("--tenant", default="main", help="whose keys are made and revoked (default: %(default)s)")
    parser.add_argument("--new-key", choices=("app", "coach", "admin"), help="make a key, print it, and stop")
    parser.add_argument("--name", help="of the new key; it stands in the ledger, and revokes it")
    parser.add_argument("--revoke-key", metavar="NAME_OR_ID", help="take a key back, in a running server too, and stop")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="check the hash chain of the store, print its head, and stop; newest lines that were cut off are only "
        "found against a head that was kept elsewhere (--head)",
    )
    parser.add_argument("--head", metavar="DIGEST", help="a head that --verify printed before: it must still be there")
    parser.add_argument("--quiet", action="store_true", help="no line per request")
    args = parser.parse_args(words)

    if args.head and not args.verify:
        parser.error("--head DIGEST goes with --verify")
    if args.bundle is None and not (args.verify or args.new_key or args.revoke_key):
        parser.error("say the folder of an exported bundle")
    remote = args.store.startswith(("postgres://", "postgresql://"))
    if (args.verify or args.revoke_key) and not remote and not Path(args.store.removeprefix("sqlite:///")).exists():
        parser.error(f"--store {args.store}: there is no such file")

    import gc
    import logging
    import sys
    import time

    from .serving.desk import Desk
    from .serving.engine import Engine, EngineError
    from .serving.handover import HandOver
    from .serving.keys import issue, revoke
    from .serving.store import Store, StoreError

    try:
        store = Store.open(args.store)
        if args.verify:
            fault, (lines, head) = store.verify(args.head), store.head()
            print(fault or f"{lines:,} lines, each as it was written; head {head}")
            raise SystemExit(1 if fault else 0)
        if args.new_key:
            print(issue(store, args.tenant, args.new_key, args.name or f"{args.new_key} made on the command line"))
            return
        if args.revoke_key:
            try:
                print(f"revoked: {', '.join(revoke(store, args.tenant, args.revoke_key))}")
            except LookupError as error:
                raise StoreError(str(error)) from error
            return
        engine = Engine.load(args.bundle)  # what cannot be served burns no key
        _free(parser, args.host, args.port)
        if not store.rows("SELECT 1 FROM keys"):
            print(f"no keys yet; an admin key of tenant {args.tenant!r}, shown this once:")
            print(issue(store, args.tenant, "admin", "first admin"), flush=True)
    except (EngineError, StoreError) as error:
        from .compose import complain

        complain(error)

    import uvicorn

    from .serving.app import application
    from .serving.line import Line
    from .serving.watch import Log

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    app = application(Desk(engine, store, HandOver(), time.time), log=None if args.quiet else Log(sys.stderr))
    print(
        f"serving {args.bundle} ({engine.digest[:12]}) at http://{args.host}:{args.port}; /docs, /console", flush=True
    )
    gc.collect()
    gc.freeze()  # what was loaded stays: no need to look through it again and again
    gc.set_threshold(10_000, 20, 50)  # requests leave no cycles behind
    uvicorn.run(
        app,
        host=args.host,
        port=args.port,
        http=Line,
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # nobody asks for the client's address
        timeout_graceful_shutdown=20,
    )


def _free(parser: argparse.ArgumentParser, host: str, port: int) -> None:
    """End with a word on it where the address cannot be listened at."""
    import socket

    try:
        kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(kind) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        parser.error(f"http://{host}:{port}: {error.strerror}; choose another with --host or --port")


def _port(word: str) -> int:
    port = int(word)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return port
