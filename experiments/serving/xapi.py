"""xAPI: the ledger as statements of the Experience API 1.0.3, propensities in an extension."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from .store import Entry, Store

HOME = "https://trailmark.invalid/xapi"  # names, not places: nothing is fetched from here
_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, HOME)


def statements(store: Store, tenant: str) -> Iterator[dict[str, Any]]:
    """Yield one statement per decision and per answered event, in order; ids are the same at every export."""
    for line in store.every(tenant, ("decision", "event")):
        made = _decision(line) if line.kind == "decision" else _event(line)
        if made is not None:
            yield made


def _frame(line: Entry, verb: str, activity: str) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid5(_SPACE, f"{line.tenant}:{line.request}")),
        "actor": {"objectType": "Agent", "account": {"homePage": HOME, "name": line.learner}},
        "verb": {"id": f"{HOME}/verbs/{verb}", "display": {"en": verb}},
        "object": {"objectType": "Activity", "id": f"{HOME}/activities/{activity}"},
        "timestamp": datetime.fromtimestamp(line.time, UTC).isoformat(),
        "version": "1.0.3",
    }


def _decision(line: Entry) -> dict[str, Any] | None:
    body, answer = line.body, line.body["answer"]
    if answer["activity"] is None:
        return None
    kept = ("allowed", "probabilities", "override", "handover", "bundle", "step", "days", "recommended")
    said = {key: body[key] for key in kept} | {"propensity": answer["propensity"], "decision": line.request}
    context = {"extensions": {f"{HOME}/extensions/decision": said}}
    return _frame(line, "recommended", answer["activity"]) | {"context": context}


def _event(line: Entry) -> dict[str, Any] | None:
    body = line.body
    if body["activity"] is None:
        return None
    verb = "answered" if body["accepted"] else "declined"
    result: dict[str, Any] = {"duration": f"PT{60.0 * body['minutes']:.3f}S"}
    if body["accepted"]:
        result |= {"score": {"scaled": body["correct"]}, "success": body["correct"] >= 0.5}
    extensions = {f"{HOME}/extensions/decision": body["decision"]} if body["decision"] else {}
    return _frame(line, verb, body["activity"]) | {"result": result, "context": {"extensions": extensions}}
