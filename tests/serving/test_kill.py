"""Killed under load: every acknowledged event and decision is there after a restart, none twice."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from trailmark.experiments.serving.engine import Engine
from trailmark.experiments.serving.keys import issue
from trailmark.experiments.serving.store import Store

KILLS = int(os.environ.get("TRAILMARK_KILLS", "2"))
ACTIVITY = "welcome"
MAIN = "from trailmark.experiments.cli import main; main()"


def start(folder: Path, store: Path, port: int) -> subprocess.Popen[str]:
    words = ["serve", str(folder), "--store", str(store), "--port", str(port), "--quiet"]
    return subprocess.Popen([sys.executable, "-c", MAIN, *words], stdout=subprocess.PIPE, text=True)


def wait_until_up(port: int) -> None:
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10).close()
        except OSError:
            time.sleep(0.02)
        else:
            return


def post(port: int, key: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as reply:
        said: dict[str, Any] = json.loads(reply.read())
    return said


def test_killed_under_load(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store.open(str(path))
    key = issue(store, "main", "admin", "test")
    store.close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    acknowledged: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {}

    def client(number: int, life: int, down: threading.Event) -> None:
        name, i = f"l{number}", 0
        while not down.is_set():
            asks = [
                ("/learners", {"request": f"{name}-enrol", "learner": name, "minutes": 9000}),
                ("/decisions", {"request": f"{name}-{life}-d{i}", "learner": name, "days": 0.0}),
                ("/events", {"request": f"{name}-{life}-e{i}", "learner": name, "activity": ACTIVITY, "days": 0.0}),
            ]
            for where, body in asks[1:] if f"{name}-enrol" in acknowledged else asks[:1]:
                try:
                    acknowledged[str(body["request"])] = (where, body, post(port, key, where, body))
                except urllib.error.HTTPError as error:
                    error.close()
                    if error.code != 409:  # enrolled before the kill, but not acknowledged
                        raise
                    acknowledged.setdefault(f"{name}-enrol", (where, body, {"learner": name, "role": "engineer"}))
                except (OSError, http.client.HTTPException):  # killed, perhaps in the middle of an answer
                    return
            i += 1

    for life in range(KILLS):
        server = start(folder, path, port)
        assert server.stdout is not None
        assert "serving" in server.stdout.readline()
        down = threading.Event()
        threads = [threading.Thread(target=client, args=(n, life, down)) for n in range(4)]
        wait_until_up(port)
        for thread in threads:
            thread.start()
        time.sleep(0.4 + 0.13 * (life % 5))
        server.send_signal(signal.SIGKILL)
        server.wait()
        server.stdout.close()
        down.set()
        for thread in threads:
            thread.join()
    assert len(acknowledged) > 10 * KILLS

    print(f"{KILLS} kills, {len(acknowledged):,} acknowledged")
    store = Store.open(str(path))
    assert store.verify() is None
    lines = {line.request: line for line in store.every("main")}
    for request, (_, _, said) in acknowledged.items():
        assert lines[request].body["answer"] == said
    for n in range(4):
        events = [line for line in lines.values() if line.kind == "event" and line.learner == f"l{n}"]
        learner = store.learner("main", f"l{n}")
        assert learner is not None
        record = Engine.load(folder).unpack([learner.record])
        assert int(record["record.step"][0]) == len(events)  # none lost, none twice
    store.close()
