"""The served log is evidence: simulated learners at the desk, a fifth of the choices a person's, then `trailmark ope`.

TRAILMARK_SERVED says how many learners; 3,950 make about 100,000 decisions.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chi2

from trailmark.agents.agent import Policy, sample
from trailmark.agents.baselines import WeakestAllowed
from trailmark.agents.bundle import PolicyBundle
from trailmark.agents.mixed import Mixed
from trailmark.data.decisions import Decisions
from trailmark.envs.classroom import Classroom, World
from trailmark.envs.worlds import onboarding_world
from trailmark.experiments.decisions import main
from trailmark.experiments.evidence.assess import assess
from trailmark.experiments.evidence.assessment import Assessment, Settings
from trailmark.experiments.evidence.gather import gather_log
from trailmark.experiments.evidence.replay import replay
from trailmark.experiments.serving.desk import Desk
from trailmark.experiments.serving.engine import Engine
from trailmark.experiments.serving.handover import HandOver
from trailmark.experiments.serving.store import Store

LEARNERS = int(os.environ.get("TRAILMARK_SERVED", "120"))
pytestmark = pytest.mark.timeout(1800 if "TRAILMARK_SERVED" in os.environ else 300)
PEOPLE = 0.2


def serve(desk: Desk, world: World, seed: int, learners: int) -> pd.DataFrame:
    """Let the desk teach simulated learners; return (learner, step, reward), which only the simulator knows.

    A person picks one of the allowed activities, evenly, in a fifth of the decisions.
    """
    room = Classroom(world, seed, 0, learners, measure=True)
    catalog, context = world.observer.catalog, world.student.context(room.start)
    ids = catalog.activity_ids
    desk.store.grouped = True  # what is on disk after a kill is tested elsewhere
    for i in range(learners):
        past = zip(context.past_activity[i].tolist(), context.past_correct[i].tolist(), strict=True)
        minutes, role = float(context.minutes[i]), catalog.roles[int(context.role[i])]
        desk.enrol("main", f"n{i}", f"l{i}", role, minutes, [(ids[a], c) for a, c in past], None)
    days, truth, t = torch.zeros(learners), [], 0
    while bool(room.alive.any()):
        alive, u = room.alive.nonzero()[:, 0].tolist(), room.act(3)
        seen = room.observation
        pick = sample(seen.mask / seen.mask.sum(1, keepdim=True), u[:, 2])
        forced = (u[:, 1] < PEOPLE) & ~seen.handover
        for i in alive:
            if forced[i]:
                desk.say("main", f"o{t}-{i}", f"l{i}", "coach", "override", ids[int(pick[i])], True, "practice")
        said = desk.decide_many("main", [(f"d{t}-{i}", f"l{i}", 1, float(days[i]), None) for i in alive])
        action = torch.zeros(learners, dtype=torch.int64)
        action[alive] = torch.tensor([ids.index(one["activity"]) for one in said])
        room.record = room.record._replace(override=torch.where(forced, pick, room.record.override))
        moment = room.step(action)
        response = moment.response
        for i in alive:
            happened = {
                "activity": ids[int(action[i])],
                "correct": float(response.correct[i]),
                "minutes": float(response.minutes[i]),
                "accepted": bool(response.accepted[i]),
                "days": float(days[i]),
                "decision": f"d{t}-{i}",
            }
            desk.event("main", f"e{t}-{i}", f"l{i}", happened)
        desk.store.commit()
        rows = {"learner": [f"l{i}" for i in alive], "step": float(t), "reward": moment.reward[alive].double().numpy()}
        truth.append(pd.DataFrame(rows))
        days = torch.zeros(learners) if response.days is None else response.days
        t += 1
    return pd.concat(truth, ignore_index=True)


class Served:
    """What was served, and what the simulator knows beside it."""

    def __init__(self, bundle: PolicyBundle, engine: Engine, folder: Path) -> None:
        """Let the desk serve LEARNERS simulated learners, and export the log with the command."""
        self.world = onboarding_world()
        observer = self.world.observer
        self.policy, self.other = bundle.policy, Mixed(WeakestAllowed(observer.space), 0.9)
        store = Store.open(str(folder / "store.db"))
        truth = serve(Desk(engine, store, HandOver(), lambda: 1e6), self.world, 11, LEARNERS)
        store.close()
        main(["--store", str(folder / "store.db"), "--to", str(folder / "served.parquet")])
        self.path = folder / "log.parquet"
        pd.read_parquet(folder / "served.parquet").merge(truth, on=["learner", "step"]).to_parquet(self.path)
        self.log = Decisions.load(self.path, observer.catalog)

    def judged(self, policy: Policy) -> Assessment:
        """Return what the log says of `policy`."""
        settings = Settings(replicates=50, cells=20)
        return assess(self.log, replay(self.world.observer, policy, self.log), self.world.observer, settings)

    def truth(self, policy: Policy) -> tuple[float, float]:
        """Return the mean reward of a session and its error, lived by other learners with as many people's choices."""
        lived = gather_log(self.world, policy, 99, 1500, PEOPLE)
        values = np.bincount(lived.session, lived.frame["reward"])
        return float(values.mean()), float(values.std() / np.sqrt(len(values)))


@pytest.fixture(scope="module")
def served(bundle: PolicyBundle, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Served:
    return Served(bundle, engine, tmp_path_factory.mktemp("log"))


@pytest.mark.parametrize("which", ["policy", "other"])
def test_estimate_from_the_served_log_holds_the_truth(served: Served, which: str) -> None:
    policy = getattr(served, which)
    found, (truth, error) = served.judged(policy), served.truth(policy)
    for name in ("WDR", "DR", "WPDIS", "PDIS"):
        bounds = found.sessions.line(name).bounds
        said = f"{bounds.value:.4f} [{bounds.low:.4f}, {bounds.high:.4f}]"
        print(f"{which} {name}: {said}, truth {truth:.4f} +- {error:.4f}")
        reach = 1.96 * np.hypot(bounds.error, error)
        assert abs(bounds.value - truth) < reach * (1.0 if LEARNERS > 1000 else 1.3), name
    by_name = {finding.name: finding for finding in [*found.log, *found.sessions.findings]}
    for name in (
        "replay as logged",
        "propensity as listed",
        "propensity calibration",
        "people's choices",
        "mean weight",
    ):
        assert by_name[name].verdict == 0, by_name[name].says


def test_people_who_are_logged_as_chance_bend_the_estimate(served: Served) -> None:
    """Were a fifth of the choices not marked as people's, the diagnostics would say so."""
    frame = served.log.frame
    own = frame["recommended_propensity"].where(frame["override"], frame["propensity"])
    wrong = replace(served.log, frame=frame.assign(propensity=own))
    found = assess(
        wrong, replay(served.world.observer, served.other, wrong), served.world.observer, Settings(replicates=20)
    )
    assert next(f for f in found.log if f.name == "people's choices").verdict == 2


def test_served_choices_are_as_probable_as_logged(served: Served) -> None:
    log = served.log
    free = ~log.override
    assert log.override.mean() == pytest.approx(PEOPLE, abs=0.02)
    p = log.probabilities
    assert p is not None
    observed = np.bincount(log.activity[free], minlength=p.shape[1])
    expected, spread = p[free].sum(0), (p[free] * (1 - p[free])).sum(0)
    used = spread > 5
    z = (observed - expected)[used] / np.sqrt(spread[used])
    chance = float(chi2.sf(float((z**2).sum()), int(used.sum())))
    print(f"{len(log):,} decisions, {log.override.mean():.1%} people's: chi-square p = {chance:.3f}")
    assert chance > 1e-3
