"""Journal: the ledger as a decision log, one row per decision, as off-policy evaluation reads it."""

from __future__ import annotations

from typing import Any, NamedTuple

from .store import Entry, Store

TIME_ONLY = "-"  # in the list `since`: only time passed (data/between.py reads it)


class Journal(NamedTuple):
    """The rows (columns: data/decisions.py), and how many decisions are left out because their answer is awaited."""

    rows: list[dict[str, Any]]
    awaited: int


class _Life:
    """What the ledger said of one learner so far."""

    def __init__(self, enrolment: dict[str, Any]) -> None:
        past = enrolment["past"]
        self.past = {"past": [a for a, _ in past], "past_correct": [c for _, c in past]}
        self.rows: list[dict[str, Any]] = []
        self.vetoed: dict[str, None] = {}
        self.events: list[dict[str, Any]] = []  # since the latest decision

    def decided(self, line: Entry) -> dict[str, Any]:
        """Take in a decision that gave an activity; return its row, not yet answered."""
        body, past = line.body, {"past": [], "past_correct": []} if self.rows else self.past
        waited = float(body["days"])
        if self.rows:
            passed = sum(e["days"] for e in self.events) + waited
            self.rows[-1]["days"] = max(0.0, passed - self.rows[-1]["waited"])
        row = _row(line) | past | {"step": len(self.rows), "vetoed": list(self.vetoed), "waited": waited}
        row["since"] = [TIME_ONLY if e["activity"] is None else e["activity"] for e in self.events]
        for key in ("correct", "minutes", "accepted", "days"):
            row[f"since_{key}"] = [float(e[key]) for e in self.events]
        self.events = []
        self.rows.append(row)
        return row

    def happened(self, line: Entry) -> None:
        """Take in an event: it is the answer to the open decision that it names, or to the latest of its activity."""
        self.events.append(line.body)
        activity, named = line.body["activity"], line.body["decision"]
        if activity is None:
            return
        near = self.rows[-1:] if named is None else [row for row in self.rows if row["decision"] == named]
        if near and near[0]["correct"] is None and (named is not None or near[0]["activity"] == activity):
            _answered(near[0], line)


def decisions(store: Store, tenant: str) -> Journal:
    """Return the tenant's decisions in order, each with what came of it and all that happened before it.

    What came of a decision is the first event with an activity that names it, whenever it comes, or the learner's first
    event with its activity before the next decision. A decision that was not answered before the learner asked again,
    nor later, came to nothing: not accepted, no minutes, goal_gain 0. Left out are a learner's latest decision while
    its answer is awaited, and decisions that gave nothing (automation paused).
    """
    lives: dict[str, _Life] = {}
    rows: list[dict[str, Any]] = []
    for line in store.every(tenant, ("enrol", "decision", "event", "veto")):
        name, body = str(line.learner), line.body
        if line.kind == "enrol":
            lives[name] = _Life(body)
        elif line.kind == "event":
            lives[name].happened(line)
        elif line.kind == "veto":
            lives[name].vetoed.pop(body["activity"], None)
            if body["on"]:
                lives[name].vetoed[body["activity"]] = None
        elif body["answer"]["activity"] is not None:
            rows.append(lives[name].decided(line))
    latest = {id(life.rows[-1]) for life in lives.values() if life.rows}
    kept = [row for row in rows if row["correct"] is not None or id(row) not in latest]
    for row in kept:
        if row["correct"] is None:
            row |= {"accepted": False, "goal_gain": 0.0}
    return Journal(kept, len(rows) - len(kept))


def _row(line: Entry) -> dict[str, Any]:
    body = line.body
    budget = body["minutes_budget"]
    return {
        "decision": line.request,
        "learner": str(line.learner),
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


def _answered(row: dict[str, Any], line: Entry) -> None:
    body, goal = line.body, line.body["answer"].get("goal")
    if body["activity"] != row["activity"]:
        row["delivered"] = body["activity"]
    row |= {"correct": body["correct"], "minutes": body["minutes"], "accepted": body["accepted"]}
    row["goal_gain"] = None if goal is None else goal["after"] - goal["before"]
