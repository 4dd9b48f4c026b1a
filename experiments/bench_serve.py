"""Bench serve: how fast a bundle answers, in process and over HTTP, and what MLflow's server takes for the same."""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

    from .serving.engine import Engine


def main(words: list[str]) -> None:
    """Run `trailmark bench serve BUNDLE`."""
    parser = argparse.ArgumentParser("trailmark bench serve", description=__doc__)
    parser.add_argument("bundle", type=Path, help="folder of an exported bundle")
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of each HTTP figure")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64], help="clients at a time")
    parser.add_argument("--port", type=int, default=8791)
    parser.add_argument("--mlflow", action="store_true", help="also start `mlflow models serve` on the same bundle")
    args = parser.parse_args(words)

    from rich.console import Console

    from .compose import complain
    from .serving.engine import Engine, EngineError

    out = Console(highlight=False, soft_wrap=True)
    try:
        engine = Engine.load(args.bundle)
    except EngineError as error:
        complain(error)
    alone, batch = in_process(engine)
    out.print(f"in process, one learner: p50 {alone[0]:.3f} ms, p99 {alone[1]:.3f} ms (unpack, graph, draw, reasons)")
    out.print(f"in process, 10,000 learners at once: {batch:.0f} ms")
    with tempfile.TemporaryDirectory() as folder:
        own_server(args, engine.names[0], Path(folder), out.print)
        if args.mlflow:
            mlflow_server(args, engine, Path(folder), out.print)


def in_process(engine: Engine) -> tuple[tuple[float, float], float]:
    """Return (p50, p99) milliseconds of one recommendation, and the milliseconds of 10,000 in one batch."""
    import numpy as np

    from .serving.engine import Happening, choose

    blob = engine.pack(engine.blank)[0]
    spent = []
    for i in range(3000):
        began = time.perf_counter()
        record, sight = engine.step(engine.unpack([blob]), [Happening(days=1.0)])
        place, _ = choose(sight.probabilities[0], "bench", str(i))
        engine.why(record, sight, place)
        spent.append(time.perf_counter() - began)
    p50, p99 = np.percentile(spent[500:], [50, 99]) * 1e3
    many = engine.unpack([blob] * 10_000)
    began = time.perf_counter()
    engine.step(many, [Happening(days=1.0)] * 10_000)
    return (float(p50), float(p99)), (time.perf_counter() - began) * 1e3


def own_server(args: argparse.Namespace, activity: str, folder: Path, say: Any) -> None:
    """Measure `trailmark serve` and say so."""
    from .serving.keys import issue
    from .serving.store import Store

    store = Store.open(str(folder / "store.db"))
    key = issue(store, "main", "app", "bench")
    store.close()
    words = ["serve", str(args.bundle), "--store", str(folder / "store.db"), "--port", str(args.port)]
    code = "from trailmark.experiments.cli import main; main()"
    server = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    headers = f"Authorization: Bearer {key}\r\n"
    try:
        wait(args.port, "/health")
        for i in range(max(args.clients)):
            body = json.dumps({"request": f"enrol-{i}", "learner": f"l{i}"})
            ask_once(args.port, "/learners", headers, body)

        def decision(client: int, i: int) -> bytes:
            body = f'{{"request":"{client}-{i}-{time.perf_counter_ns()}","learner":"l{client}","k":3}}'
            return request_of("/decisions", headers, body)

        def event(client: int, i: int) -> bytes:
            said = f'"learner":"l{client}","activity":"{activity}","correct":1,"minutes":3,"days":0.01'
            return request_of("/events", headers, f'{{"request":"{client}-{i}-{time.perf_counter_ns()}",{said}}}')

        say("trailmark serve, a decision a request, 3 suggestions with reasons; on disk before it is answered:")
        for clients in args.clients:
            measure(server.pid, clients, args, decision, say)
        say("trailmark serve, an event a request, answered with what it changed; on disk before it is answered:")
        for clients in args.clients:
            measure(server.pid, clients, args, event, say)
    finally:
        server.terminate()
        server.wait()


def mlflow_server(args: argparse.Namespace, engine: Engine, folder: Path, say: Any) -> None:
    """Measure `mlflow models serve` on the same graph and say so; one record in, one record out."""
    import os

    from .serving.engine import Happening
    from .track import register

    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
    here = Path.cwd()
    os.chdir(folder)  # artifacts go there
    try:
        number = register(args.bundle if args.bundle.is_absolute() else here / args.bundle, "bench", None)
        feed = {name: value.tolist() for name, value in engine.feed(engine.blank, [Happening()]).items()}
        text = request_of("/invocations", "", json.dumps({"inputs": feed}))
        words = ["models", "serve", "-m", f"models:/bench/{number}", "--env-manager", "local", "-p", str(args.port)]
        # MLflow starts uvicorn by its name, which an environment that is not activated does not have on its path.
        paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PATH": paths},
        )
        try:
            wait(args.port, "/ping")
            say("mlflow models serve, the same graph with a tensor signature, nothing stored:")
            for clients in args.clients:
                measure(server.pid, clients, args, lambda *_: text, say)
        finally:
            import psutil

            for one in [*psutil.Process(server.pid).children(recursive=True), psutil.Process(server.pid)]:
                one.kill()
            server.wait()
    finally:
        os.chdir(here)


def wait(port: int, path: str, seconds: float = 120.0) -> None:
    """Wait until the server answers; TimeoutError when it does not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if ask_once(port, path, "", None) == 200:
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"no answer at port {port} within {seconds:g} seconds")


def request_of(path: str, headers: str, body: str | None) -> bytes:
    """Return the bytes of one request on a connection that stays open."""
    method, text = ("GET", b"") if body is None else ("POST", body.encode())
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text


def answered(got: bytes) -> int | None:
    """Return the status of an answer, None while it is not yet whole."""
    end = got.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = got[:end].lower()
    length = int(head[head.index(b"content-length:") + 15 :].split(b"\r\n", 1)[0])
    return int(got[9:12]) if len(got) >= end + 4 + length else None


def ask_once(port: int, path: str, headers: str, body: str | None) -> int:
    """Open a connection, ask, close it, and return the status."""
    with socket.create_connection(("127.0.0.1", port), timeout=20.0) as connection:
        connection.sendall(request_of(path, headers, body))
        got = b""
        while (status := answered(got)) is None:
            piece = connection.recv(1 << 16)
            if not piece:
                raise ConnectionError(f"{path}: the server hung up")
            got += piece
    return status


def crowd(port: int, clients: int, seconds: float, request: Callable[[int, int], bytes]) -> list[float]:
    """Let `clients` ask without a pause and return the seconds of each request; RuntimeError for a status but 200.

    One thread with plain sockets: what a client takes of the two cores is as little as Python allows.
    """
    watch, spent = selectors.DefaultSelector(), list[float]()
    got, count, began = [b""] * clients, [0] * clients, [0.0] * clients
    lines = [socket.create_connection(("127.0.0.1", port)) for _ in range(clients)]
    for number, line in enumerate(lines):
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        watch.register(line, selectors.EVENT_READ, number)
    end, open_lines = time.perf_counter() + seconds, set(range(clients))

    def send(number: int) -> None:
        text, count[number] = request(number, count[number]), count[number] + 1
        began[number] = time.perf_counter()
        lines[number].sendall(text)

    for number in range(clients):
        send(number)
    while open_lines:
        for key, _ in watch.select():
            number = key.data
            got[number] += lines[number].recv(1 << 16)
            status = answered(got[number])
            if status is None:
                continue
            now = time.perf_counter()
            spent.append(now - began[number])
            if status != 200:
                raise RuntimeError(f"the server answered {got[number].decode()}")
            got[number] = b""
            if now < end:
                send(number)
            else:
                open_lines.discard(number)
    for line in lines:
        line.close()
    watch.close()
    return spent


def measure(pid: int, clients: int, args: argparse.Namespace, request: Callable[[int, int], bytes], say: Any) -> None:
    """Say latencies, the rate, and what the server and all its children take of the processor and the memory."""
    import numpy as np
    import psutil

    crowd(args.port, clients, 0.5, request)
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    before, own, began = _cpu(family), time.process_time(), time.perf_counter()
    spent = crowd(args.port, clients, args.seconds, request)
    wall, cpu, own = time.perf_counter() - began, _cpu(family) - before, time.process_time() - own
    p50, p99 = np.percentile(spent, [50, 99]) * 1e3
    memory = sum(one.memory_info().rss for one in family) / 1e6
    say(
        f"  {clients:>2} clients: p50 {p50:.1f} ms, p99 {p99:.1f} ms, {len(spent) / wall:,.0f} requests/s, "
        f"{1e3 * cpu / len(spent):.2f} CPU ms each (and {1e3 * own / len(spent):.2f} of the client), {memory:.0f} MB"
    )


def _cpu(family: list[psutil.Process]) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in family)
