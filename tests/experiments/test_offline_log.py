"""Decisions as steps: what the observer saw when they were made, whoever made them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from trailmark.agents.baselines import FixedOrder
from trailmark.agents.mixed import Mixed
from trailmark.agents.offline import write_down
from trailmark.data.decisions import Decisions
from trailmark.data.errors import DataError
from trailmark.envs.classroom import World
from trailmark.envs.rng import derive
from trailmark.envs.worlds import onboarding_world
from trailmark.experiments.evidence.gather import gather_log
from trailmark.experiments.offline_log import decided


@pytest.fixture(scope="module")
def onboarding() -> World:
    return onboarding_world()


def test_the_same_lives_give_the_same_steps_as_in_simulation(onboarding: World) -> None:
    policy = Mixed(FixedOrder(onboarding.observer.space), 0.5)
    there = write_down(onboarding, policy, 3, 9)
    log = gather_log(onboarding, policy, derive(3, "log"), 9)
    here = decided(onboarding, log, "reward", 0).steps
    for name in ("action", "mask", "ended", "alive"):
        assert torch.equal(getattr(here, name)[there.alive], getattr(there, name)[there.alive]), name
    for name in ("reward", "propensity"):
        torch.testing.assert_close(getattr(here, name)[there.alive], getattr(there, name)[there.alive], msg=name)
    torch.testing.assert_close(here.features[:, :-1][there.alive], there.features[:, :-1][there.alive])
    # what follows a step is what is seen before the next one, as long as there is one
    going_on = there.alive[:, 1:]
    torch.testing.assert_close(here.features[:, 1:-1][going_on], there.features[:, 1:-1][going_on])


def test_a_persons_choices_are_the_only_ones_possible_then(onboarding: World) -> None:
    policy = Mixed(FixedOrder(onboarding.observer.space), 0.5)
    log = gather_log(onboarding, policy, 1, 20, override_rate=0.3)
    steps = decided(onboarding, log, "reward", 0).steps
    forced = torch.tensor(log.override.tolist())
    assert 0.2 < float(forced.float().mean()) < 0.4
    assert bool((steps.mask[steps.alive].sum(1)[forced] == 1).all())
    assert bool((steps.propensity[steps.alive][forced] == 1).all())
    assert bool(steps.mask.gather(2, steps.action[..., None]).all())


def test_propensities_that_nobody_wrote_down_are_estimated(onboarding: World) -> None:
    log = gather_log(onboarding, Mixed(FixedOrder(onboarding.observer.space), 0.5), 1, 20)
    log = replace(log, frame=log.frame.assign(propensity=np.nan))
    found = decided(onboarding, log, "reward", 0)
    assert bool(((found.steps.propensity > 0) & (found.steps.propensity <= 1)).all())
    assert "100% of the propensities are estimates" in found.about["notes"][0]


def test_a_reward_that_is_missing_is_named(onboarding: World) -> None:
    log = gather_log(onboarding, FixedOrder(onboarding.observer.space), 1, 4)
    holes = log.frame.assign(reward=np.where(np.arange(len(log)) == 2, np.nan, 1.0))
    with pytest.raises(DataError, match="decision 3"):
        decided(onboarding, replace(log, frame=holes), "reward", 0)
    with pytest.raises(DataError, match="no column 'retention' for the reward"):
        decided(onboarding, log, "retention", 0)


def test_sessions_longer_than_the_experiments_are_cut(onboarding: World) -> None:
    log = gather_log(onboarding, FixedOrder(onboarding.observer.space), 1, 4)
    short = replace(onboarding, observer=replace(onboarding.observer, horizon=5))
    found = decided(short, Decisions.from_frame(log.frame, log.catalog), "reward", 0)
    assert found.steps.alive.shape == (4, 5)
    assert bool(found.steps.ended[:, -1].all())
    assert any("beyond the horizon of 5" in note for note in found.about["notes"])


def test_the_chance_of_what_a_person_put_in_its_place_is_estimated(onboarding: World) -> None:
    """The log tells the propensity of the policy's choice, not of what was given instead."""
    log = gather_log(onboarding, Mixed(FixedOrder(onboarding.observer.space), 0.5), 1, 20, override_rate=0.2)
    ids = np.asarray(log.catalog.activity_ids, dtype=object)
    swapped = np.arange(len(log)) % 7 == 3
    delivered = np.where(swapped, ids[(log.activity + 1) % len(ids)], "")
    marked = replace(log, frame=log.frame.assign(delivered=delivered, propensity=np.where(log.override, 1.0, 0.123)))
    found = decided(onboarding, marked, "reward", 0)
    given = found.steps.propensity[found.steps.alive].numpy()
    free = swapped & ~log.override
    assert free.any()
    assert (np.abs(given[free] - 0.123) > 1e-6).all()
    np.testing.assert_allclose(given[~free], np.where(log.override, 1.0, 0.123)[~free], rtol=1e-6)
    assert "propensities are estimates" in found.about["notes"][0]
