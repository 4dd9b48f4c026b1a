"""Variation: the same programme with some of its activities replaced, as catalogues change in life."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .catalog import Activity, Catalog


def renewed(catalog: Catalog, share: float, seed: int) -> Catalog:
    """Return `catalog` with `share` of its activities (rounded) replaced by new ones, in places of their own.

    A new activity trains one or two skills that the catalogue has, chosen by chance but so that no skill is left
    without an activity; its kind and its minutes are those of two activities drawn from the catalogue, the minutes
    times a factor of 0.7 to 1.4. Who is offered it follows from its skills: every role. The fallback and what is
    mandatory stay, and so does whatever another activity needs to be done before it.
    Raises: ValueError for a share outside 0 to 1, or one larger than what may be replaced.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share {share:g}: say a number from 0 to 1")
    chance = np.random.default_rng(seed)
    activities = list(catalog.activities)
    needed = {name for activity in activities for name in activity.prerequisites}
    free = [
        i
        for i, activity in enumerate(activities)
        if i != catalog.fallback and not activity.mandatory and activity.id not in needed
    ]
    n = round(share * len(activities))
    if n > len(free):
        raise ValueError(
            f"share {share:g} is {n} activities, and only {len(free)} of {len(activities)} may be replaced"
        )
    gone = sorted(chance.choice(len(free), n, replace=False).tolist())
    places = [free[i] for i in gone]
    kept = [activity for i, activity in enumerate(activities) if i not in set(places)]
    bare = [skill for skill in catalog.skill_ids if not any(skill in activity.skills for activity in kept)]
    for number, place in enumerate(places):
        skills = [bare.pop()] if bare else []
        wanted = int(chance.integers(1, 3))
        others = [skill for skill in chance.permutation(list(catalog.skill_ids)).tolist() if skill not in skills]
        skills += others[: max(0, wanted - len(skills))]
        if number == len(places) - 1:
            skills += bare  # the last new one takes what is left
        kind, length = (catalog.activities[int(i)] for i in chance.integers(len(activities), size=2))
        minutes = float(np.round(length.minutes * chance.uniform(0.7, 1.4), 1))
        name = f"new-{seed}-{number}"
        activities[place] = Activity(name, f"New activity {number + 1}", kind.kind, tuple(skills), max(minutes, 0.1))
    return replace(catalog, activities=tuple(activities))
