"""Reasons: why an activity is recommended and what an answer changed, in plain words, from numbers alone."""

from __future__ import annotations

from collections.abc import Sequence

HANDED_OVER = "Nothing is allowed for this learner now: a person should take over."


def reasons(
    wanted: Sequence[tuple[str, float]], p_correct: float, minutes: float, allowed: int, chosen: bool, handover: bool
) -> tuple[str, ...]:
    """Return what speaks for an activity.

    `wanted` are its goal skills, (title, believed mastery); `allowed` how many activities are allowed now; `chosen`
    says that a person chose it; `handover` that nothing was allowed.
    """
    if handover:
        return (HANDED_OVER,)
    said = ["A person chose it."] if chosen else []
    said += [f"It trains {title}, a goal: mastery believed {mastery:.0%}." for title, mastery in wanted[:3]]
    if not wanted:
        said.append("None of its skills is a goal of the role.")
    said.append(f"The chance of a right answer is about {p_correct:.0%}.")
    said.append(f"It takes about {minutes:g} minutes; {allowed} {_are(allowed)} allowed now.")
    return tuple(said)


def _are(count: int) -> str:
    return "activity is" if count == 1 else "activities are"


def changes(
    skills: Sequence[tuple[str, float, float]], goal: tuple[float, float], correct: float, threshold: float = 0.95
) -> tuple[str, ...]:
    """Return what an answer changed, in words a learner can read.

    `skills` are (title, believed mastery before, after) of the activity's skills; `goal` the mean over the learner's
    goal skills before and after; `correct` the score in [0, 1].
    """
    said = ["That was right." if correct >= 1.0 else "Not right this time." if correct <= 0.0 else "Partly right."]
    for title, before, after in skills[:3]:
        if after >= threshold > before:
            said.append(f"You have now mastered {title}.")
        elif abs(after - before) < 0.005:
            said.append(f"{title} stays at about {after:.0%}.")
        else:
            said.append(f"{title}: from about {before:.0%} to {after:.0%}.")
    said.append(f"You are {goal[1]:.0%} of the way to your goal{_since(goal[1] - goal[0])}.")
    return tuple(said)


def _since(change: float) -> str:
    return "" if abs(change) < 0.005 else f", {'up' if change > 0 else 'down'} {abs(change):.0%}"
