"""The catalogue of a log that comes without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..catalog import Activity, Catalog, Skill
from .answers import natural

UNKNOWN_MINUTES = 1.0


def minimal_catalog(
    skills_of: Mapping[str, Sequence[str]],
    skill_titles: Mapping[str, str] | None = None,
    minutes: Mapping[str, float] | None = None,
    skills: Sequence[str] = (),
) -> Catalog:
    """Activities with their skills (`skills_of`), no prerequisites, no roles; one minute each where none is known.

    skill_titles: also make the titles of the activities.

    skills: the order of the K axis when it should hold more than the named ones, or another order.
    """
    titles, spent = skill_titles or {}, minutes or {}
    order = skills or natural({skill for own in skills_of.values() for skill in own})
    return Catalog(
        skills=tuple(Skill(skill, titles.get(skill, "")) for skill in order),
        activities=tuple(
            Activity(
                id=name,
                title=" + ".join(titles.get(skill, skill) for skill in own) if titles else name,
                kind="practice",
                skills=tuple(own),
                minutes=spent.get(name, UNKNOWN_MINUTES),
            )
            for name, own in skills_of.items()
        ),
    )
