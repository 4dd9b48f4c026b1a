"""Simulated = served: whole simulated lives behind HTTP, with the masks and probabilities of the environment."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from starlette.testclient import TestClient

from trailmark.agents.bundle import PolicyBundle
from trailmark.agents.loop import live
from trailmark.agents.ppo import PPO
from trailmark.envs.classroom import Classroom
from trailmark.envs.worlds import onboarding_world
from trailmark.experiments.serving.app import application
from trailmark.experiments.serving.desk import Desk
from trailmark.experiments.serving.engine import Engine
from trailmark.experiments.serving.keys import issue

LEARNERS = int(os.environ.get("TRAILMARK_PARITY", "30"))
STEPS = 50  # of a learner without a limit of time


def test_simulated_is_served_over_http(bundle: PolicyBundle, desk: Desk, tmp_path: Path) -> None:
    world = onboarding_world()
    if "TRAILMARK_PARITY" in os.environ:  # nobody runs out of time
        observer = replace(world.observer, horizon=STEPS)
        world = replace(world, observer=observer, student=replace(world.student, minutes=np.inf))  # type: ignore[type-var]
        bundle = PolicyBundle(observer, PPO(observer.space, seed=3).decide(), {})
        bundle.export(tmp_path / "bundle")
        desk.engine = Engine.load(tmp_path / "bundle")
    room = Classroom(world, 11, 0, LEARNERS)
    catalog, context = world.observer.catalog, world.student.context(room.start)
    ids = catalog.activity_ids
    headers = {"Authorization": f"Bearer {issue(desk.store, 'main', 'app', 'simulation')}"}
    worst, decisions = 0.0, 0
    with TestClient(application(desk)) as client:
        for i in range(LEARNERS):
            minutes = float(context.minutes[i])
            ask = {
                "request": f"n{i}",
                "learner": f"l{i}",
                "role": catalog.roles[int(context.role[i])],
                "minutes": minutes if np.isfinite(minutes) else None,
                "past": [
                    [ids[a], c]
                    for a, c in zip(context.past_activity[i].tolist(), context.past_correct[i].tolist(), strict=True)
                ],
            }
            assert client.post("/learners", json=ask, headers=headers).status_code == 201
        days = torch.zeros(LEARNERS)
        for t, turn in enumerate(live(room, bundle.policy)):
            alive = turn.moment.alive.nonzero()[:, 0].tolist()
            asks = [{"request": f"d{t}-{i}", "learner": f"l{i}", "days": float(days[i])} for i in alive]
            assert client.post("/decisions/batch", json={"decisions": asks}, headers=headers).status_code == 200
            for i in alive:
                body = desk.store.request("main", f"d{t}-{i}").body  # type: ignore[union-attr]
                assert body["allowed"] == [ids[a] for a in turn.seen.mask[i].nonzero()[:, 0].tolist()]
                apart = np.abs(np.array(body["probabilities"]) - turn.probabilities[i][turn.seen.mask[i]].numpy())
                worst, decisions = max(worst, float(apart.max())), decisions + 1
            response = turn.moment.response
            events = [
                {
                    "request": f"e{t}-{i}",
                    "learner": f"l{i}",
                    "activity": ids[int(turn.action[i])],
                    "correct": float(response.correct[i]),
                    "minutes": float(response.minutes[i]),
                    "accepted": bool(response.accepted[i]),
                    "days": float(days[i]),
                }
                for i in alive
            ]
            assert client.post("/events/batch", json={"events": events}, headers=headers).status_code == 200
            days = torch.zeros(LEARNERS) if response.days is None else response.days
    print(f"{LEARNERS} learners, {decisions:,} decisions over HTTP: largest difference {worst:.1e}")
    assert worst <= 1e-5
