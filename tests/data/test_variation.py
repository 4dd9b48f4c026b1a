"""Renewed catalogues: still catalogues, as new as asked for, and nothing that had to stay is gone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.sources.sample import Sample
from trailmark.data.variation import renewed

CATALOG = Sample().load()[1]


@settings(max_examples=40, deadline=None)
@given(st.floats(0.0, 0.5), st.integers(0, 2**32 - 1))
def test_the_share_is_new_and_the_rest_stays(share: float, seed: int) -> None:
    new = renewed(CATALOG, share, seed)
    changed = [a for a, b in zip(CATALOG.activities, new.activities, strict=True) if a != b]
    assert len(changed) == round(share * len(CATALOG.activities))
    assert len(set(new.activity_ids) - set(CATALOG.activity_ids)) == len(changed)
    assert new.skills == CATALOG.skills
    assert new.activities[CATALOG.fallback] == CATALOG.activities[CATALOG.fallback]
    assert new.q_matrix().any(0).all() == CATALOG.q_matrix().any(0).all()
    assert renewed(CATALOG, share, seed) == new


def test_what_others_need_and_what_is_mandatory_stays() -> None:
    skills = (Skill("a"), Skill("b"))
    first = Activity("first", "", "reading", ("a",), 5.0, fallback=True)
    base = Activity("base", "", "quiz", ("b",), 5.0)
    top = Activity("top", "", "project", ("a",), 9.0, prerequisites=("base",))
    must = Activity("must", "", "video", ("a",), 5.0, mandatory=True)
    catalog = Catalog(skills, (first, base, top, must))
    new = renewed(catalog, 0.25, 3)
    assert new.activity_ids[0::3] == ("first", "must")
    assert new.activity_ids[1] == "base"
    assert new.activity_ids[2].startswith("new-3")
    with pytest.raises(ValueError, match="only 1 of 4"):
        renewed(catalog, 0.5, 3)
    with pytest.raises(ValueError, match="0 to 1"):
        renewed(catalog, 1.5, 3)


def test_no_skill_is_left_without_an_activity() -> None:
    skills = tuple(Skill(f"s{i}") for i in range(6))
    catalog = Catalog(skills, tuple(Activity(f"a{i}", "", "quiz", (f"s{i}",), 5.0) for i in range(6)))
    for seed in range(20):
        assert renewed(catalog, 0.5, seed).q_matrix().any(0).all()
