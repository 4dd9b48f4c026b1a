"""The programmes: sizes, kinds, roles, compliance; and catalogues of any size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trailmark.data.catalog import Catalog
from trailmark.data.programmes import generate, leadership, onboarding

EVERY = {
    "video", "reading", "worked example", "practice", "quiz", "review", "interleaved", "scenario", "project", "peer",
    "coaching", "check-in", "nothing",
}  # fmt: skip


def test_onboarding_is_a_realistic_programme() -> None:
    catalog = onboarding()
    assert catalog.roles == ("engineer", "finance", "people", "sales", "support")
    assert (len(catalog.skills), len(catalog.activities)) == (61, 230)
    assert {activity.kind for activity in catalog.activities} == EVERY
    mandatory = [activity for activity in catalog.activities if activity.mandatory]
    assert {"conduct", "security", "privacy", "safety", "anti-bribery", "harassment"} <= {
        a.skills[0] for a in mandatory
    }
    assert all(not activity.roles for activity in mandatory)  # compliance is for everybody
    assert catalog.activities[catalog.fallback].kind == "coaching"
    need = catalog.goals().sum(1)
    assert bool(((need > 35) & (need < 50)).all())


def test_leadership_is_mostly_practice_with_people() -> None:
    catalog = leadership()
    assert catalog.roles == ("manager", "team lead")
    assert (len(catalog.skills), len(catalog.activities)) == (26, 106)
    kinds = Counter(activity.kind for activity in catalog.activities)
    assert kinds["coaching"] + kinds["project"] + kinds["scenario"] + kinds["peer"] >= 20


@pytest.mark.parametrize("make", [onboarding, leadership])
def test_every_goal_can_be_reached(make: Callable[[], Catalog]) -> None:
    """Each role is offered something for each skill it needs and for all that comes before it."""
    catalog = make()
    q, before, offered = catalog.q_matrix(), catalog.skill_prerequisites(), catalog.offered()
    for role, goal in enumerate(catalog.goals()):
        needed = goal.copy()
        for _ in range(len(catalog.skills)):
            needed |= before[needed].any(0)
        assert not (needed & ~goal).any(), [catalog.skill_ids[k] for k in np.flatnonzero(needed & ~goal)]
        assert bool((q[offered[role]][:, needed].sum(0) >= 2).all())
    titles = [activity.title for activity in catalog.activities]
    assert len(set(titles)) == len(titles)


@settings(max_examples=20)
@given(st.integers(1, 120), st.integers(1, 5), st.integers(1, 4))
def test_any_size_can_be_generated(skills: int, per_skill: int, roles: int) -> None:
    catalog = generate(skills, per_skill, roles, seed=3)
    assert len(catalog.skills) >= skills
    assert bool(catalog.q_matrix().any(0).all())
    assert generate(skills, per_skill, roles, seed=3).digest() == catalog.digest()
    assert len(catalog.roles) == roles
    assert Catalog.from_dict(catalog.to_dict()) == catalog


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="each is 1 or more"):
        generate(0)


def test_generated_skills_build_on_earlier_ones() -> None:
    before = generate(100, seed=1).skill_prerequisites()
    assert 0.5 < before.any(1).mean() < 0.8
    assert before.sum(1).max() == 2
    rows, columns = np.nonzero(before)
    assert bool((columns < rows).all())
