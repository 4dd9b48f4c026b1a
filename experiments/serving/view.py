"""View: what people want to see - who needs them, and one learner whole."""

from __future__ import annotations

from typing import Any

import numpy as np

from .desk import DAY, Desk
from .engine import Happening


def look(desk: Desk, tenant: str, name: str) -> dict[str, Any]:
    """Return one learner as a person wants to see it: mastery, the pathway, what comes next and why."""
    learner, record = desk.known(tenant, name)
    days = desk.days_since(learner, None, desk.clock())
    now, sight = desk.engine.step(record, [Happening(days)])
    skills, goal, mask = desk.engine.about["skills"], now["record.goal"][0] > 0, sight.mask[0]
    order = [int(i) for i in np.argsort(-sight.probabilities[0], kind="stable") if mask[i]][:5]
    vetoed = [desk.engine.activities[i]["id"] for i in np.flatnonzero(now["record.veto"][0])]
    return {
        "learner": name,
        "state": learner.state,
        "attention": desk.attention(learner.state, now, sight, days) or learner.attention,
        "stopped": desk.stopped(tenant),
        "days_since": days,
        "mastery": [
            {"skill": s["id"], "title": s["title"], "mastery": float(sight.mastery[0, i]), "goal": bool(goal[i])}
            for i, s in enumerate(skills)
        ],
        "next": [
            {
                "activity": desk.engine.activities[i]["id"],
                "title": desk.engine.activities[i]["title"],
                "probability": float(sight.probabilities[0, i]),
                "reasons": list(desk.engine.why(now, sight, i)),
            }
            for i in order
        ],
        "vetoed": vetoed,
    }


def queue(desk: Desk, tenant: str) -> list[dict[str, Any]]:
    """Return the learners whom a person should look at, the most urgent first; those beyond capacity wait."""
    now = desk.clock()
    found = [
        (one.attention or desk.rule.away((now - one.seen) / DAY), one)
        for one in desk.store.waiting(tenant, now - desk.rule.away_days * DAY)
        if one.attention or not one.state.get("settled", {}).get("away")
    ]
    found.sort(key=lambda pair: (desk.rule.urgency(pair[0]), pair[1].seen))
    return [
        {"learner": one.id, "reason": reason, "seen": one.seen, "waits": i >= desk.rule.capacity}
        for i, (reason, one) in enumerate(found)
    ]
