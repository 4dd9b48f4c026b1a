"""Bench serve: how fast a bundle answers, in process and over HTTP, and what MLflow's server takes for the same."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
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

    from .serving.engine import Engine

    out = Console(highlight=False, soft_wrap=True)
    engine = Engine.load(args.bundle)
    alone, batch = in_process(engine)
    out.print(f"in process, one learner: p50 {alone[0]:.3f} ms, p99 {alone[1]:.3f} ms (unpack, graph, draw, reasons)")
    out.print(f"in process, 10,000 learners at once: {batch:.0f} ms")
    with tempfile.TemporaryDirectory() as folder:
        out.print("server: one decision a request, 3 suggestions; each on disk before it is answered")
        own_server(args, Path(folder), out.print)
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


def own_server(args: argparse.Namespace, folder: Path, say: Any) -> None:
    """Measure `trailmark serve` and say so."""
    from .serving.keys import issue
    from .serving.store import Store

    store = Store.open(str(folder / "store.db"))
    key = issue(store, "main", "app", "bench")
    store.close()
    words = ["serve", str(args.bundle), "--store", str(folder / "store.db"), "--port", str(args.port), "--quiet"]
    code = "from trailmark.experiments.cli import main; main()"
    server = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL)
    headers = f"Authorization: Bearer {key}\r\n"
    try:
        wait(args.port, "/health")
        for i in range(max(args.clients)):
            body = json.dumps({"request": f"enrol-{i}", "learner": f"l{i}"})
            asyncio.run(ask_once(args.port, "/learners", headers, body))

        def body_of(client: int, i: int) -> str:
            request = f"{clients}-{client}-{i}-{time.perf_counter_ns()}"
            return json.dumps({"request": request, "learner": f"l{client}", "k": 3})

        for clients in args.clients:
            measure(server.pid, clients, args, "/decisions", headers, body_of, say)
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
        text = json.dumps({"inputs": feed})
        words = ["models", "serve", "-m", f"models:/bench/{number}", "--env-manager", "local", "-p", str(args.port)]
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait(args.port, "/ping")
            say("mlflow models serve, the same graph, nothing stored:")
            for clients in args.clients:
                measure(server.pid, clients, args, "/invocations", "", lambda *_: text, say)
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
            if asyncio.run(ask_once(port, path, "", None)) == 200:
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"no answer at port {port} within {seconds:g} seconds")


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, headers: str, body: str | None
) -> int:
    """Send one request on an open connection and return the status of the answer."""
    method, text = ("GET", b"") if body is None else ("POST", body.encode())
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{headers}"
    writer.write(f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    await reader.readexactly(length)
    return int(answer[9:12])


async def ask_once(port: int, path: str, headers: str, body: str | None) -> int:
    """Open a connection, ask, close it, and return the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await ask(reader, writer, path, headers, body)
    finally:
        writer.close()


def measure(pid: int, clients: int, args: argparse.Namespace, path: str, headers: str, body_of: Any, say: Any) -> None:
    """Let `clients` ask without a pause and say latencies, the rate, and the server's CPU and memory."""
    import numpy as np
    import psutil

    spent: list[float] = []

    async def client(number: int, end: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", args.port)
        i = 0
        while time.perf_counter() < end:
            began = time.perf_counter()
            status = await ask(reader, writer, path, headers, body_of(number, i))
            spent.append(time.perf_counter() - began)
            if status != 200:
                raise RuntimeError(f"{path}: the server answered {status}")
            i += 1
        writer.close()

    async def crowd(seconds: float) -> None:
        end = time.perf_counter() + seconds
        await asyncio.gather(*(client(n, end) for n in range(clients)))

    asyncio.run(crowd(0.5))
    spent.clear()
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    before, began = _cpu(family), time.perf_counter()
    asyncio.run(crowd(args.seconds))
    wall, cpu = time.perf_counter() - began, _cpu(family) - before
    p50, p99 = np.percentile(spent, [50, 99]) * 1e3
    memory = max(one.memory_info().rss for one in family) / 1e6
    say(
        f"  {clients:>2} clients: p50 {p50:.1f} ms, p99 {p99:.1f} ms, {len(spent) / wall:,.0f} requests/s, "
        f"{1e3 * cpu / len(spent):.2f} CPU ms each, {memory:.0f} MB"
    )


def _cpu(family: list[psutil.Process]) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in family)
