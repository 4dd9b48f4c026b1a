"""Journal: the ledger as a decision log, one row per decision, as off-policy evaluation reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .store import Entry, Store


def decisions(store: Store, tenant: str) -> Iterator[dict[str, Any]]:
    """Yield the tenant's decisions in order, each with what came of it (columns: data/decisions.py).

    What came of a decision is the event that names it, or the learner's next event with that activity before the next
    decision; a decision without one has no answer. Decisions that gave nothing (automation paused) are left out.
    """
    waiting: dict[str, dict[str, Any]] = {}
    enrolled: dict[str, dict[str, Any]] = {}
    for line in store.every(tenant, ("enrol", "decision", "event")):
        name = str(line.learner)
        if line.kind == "enrol":
            past = line.body["past"]
            enrolled[name] = {"past": [a for a, _ in past], "past_correct": [c for _, c in past]}
        elif line.kind == "decision":
            if line.body["answer"]["activity"] is None:
                continue
            if name in waiting:
                yield waiting.pop(name) | {"days": line.body["days"]}
            waiting[name] = _row(line) | enrolled.pop(name, {"past": [], "past_correct": []})
        elif name in waiting and _belongs(line, waiting[name]):
            _happened(waiting[name], line)
    yield from waiting.values()


def _belongs(line: Entry, row: dict[str, Any]) -> bool:
    if line.body["decision"] is not None:
        return bool(line.body["decision"] == row["decision"])
    return line.body["activity"] is not None and row["correct"] is None


def _row(line: Entry) -> dict[str, Any]:
    body = line.body
    budget = body["minutes_budget"]
    return {
        "decision": line.request,
        "learner": str(line.learner),
        "step": body["step"],
        "time": line.time,
        "activity": body["answer"]["activity"],
        "propensity": body["answer"]["propensity"],
        "recommended": body["recommended"],
        "recommended_propensity": body["recommended_propensity"],
        "allowed": body["allowed"],
        "probabilities": body["probabilities"],
        "override": body["override"],
        "override_by": (body.get("who") or {}).get("by", ""),
        "override_why": (body.get("who") or {}).get("why", ""),
        "handover": body["handover"],
        "role": body["role"],
        "minutes_budget": float("inf") if budget is None else budget,
        "policy": body["bundle"],
        "delivered": "",
        "correct": None,
        "minutes": 0.0,
        "accepted": None,
        "days": 0.0,
        "goal_gain": None,
    }


def _happened(row: dict[str, Any], line: Entry) -> None:
    body, goal = line.body, line.body["answer"].get("goal")
    if body["activity"] is not None and body["activity"] != row["activity"]:
        row["delivered"] = body["activity"]
    row |= {"correct": body["correct"], "minutes": body["minutes"], "accepted": body["accepted"]}
    row["goal_gain"] = None if goal is None else goal["after"] - goal["before"]
