"""Any request that the OpenAPI document describes, and many that it does not: no 5xx, no traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from trailmark.experiments.serving.app import application
from trailmark.experiments.serving.desk import Desk
from trailmark.experiments.serving.engine import Engine
from trailmark.experiments.serving.handover import HandOver
from trailmark.experiments.serving.keys import issue
from trailmark.experiments.serving.store import Store

EXAMPLES = int(os.environ.get("TRAILMARK_FUZZ", "15"))  # of each operation


@pytest.mark.parametrize("negative", [False, True], ids=["as described", "not as described"])
def test_no_request_breaks_the_server(engine: Engine, tmp_path: Path, negative: bool) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    store = Store.open(str(tmp_path / "store.db"))
    desk = Desk(engine, store, HandOver(), lambda: 1_000_000.0)
    desk.enrol("main", "enrol", "ada", None, 300.0, [], None)
    keys = {"Authorization": f"Bearer {issue(store, 'main', 'admin', 'fuzz')}"}
    schema = schemathesis.openapi.from_asgi("/openapi.json", application(desk))
    mode = schemathesis.GenerationMode.NEGATIVE if negative else schemathesis.GenerationMode.POSITIVE
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if negative and not (operation.body or operation.query or operation.path_parameters):
            continue

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case) -> None:  # type: ignore[no-untyped-def]
            reply = case.call(headers=keys)
            assert reply.status_code < 500, f"{case.method} {case.path}: {reply.status_code} {reply.text}"
            assert "Traceback" not in reply.text

        ask()
        tried += 1
    assert tried >= 10
    assert store.verify() is None
    store.close()
