"""Programmes: made-up catalogues of company learning, written down as tables; and a generator for any size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from .catalog import Activity, Catalog, Skill

FOLDER = Path(__file__).resolve().parent / "sample"


@dataclass(frozen=True)
class Recipe:
    """One activity that a skill gets: kind, the title with the skill's in place of {}, and minutes."""

    kind: str
    title: str
    minutes: float


LEARN_FACTS = (
    Recipe("video", "{}: the short film", 5.0),
    Recipe("reading", "{}: what to know", 6.0),
    Recipe("quiz", "{}: five questions", 4.0),
)
LEARN_SKILLS = (
    Recipe("worked example", "{}: a worked case", 4.0),
    Recipe("practice", "{}: try it", 3.0),
    Recipe("review", "{}: once more", 1.0),
)


@cache
def onboarding() -> Catalog:
    """The first 90 days in a company of five roles: 61 skills, 230 activities of every kind, compliance included."""
    return Catalog.load(FOLDER / "onboarding.json")


@cache
def leadership() -> Catalog:
    """The first year of leading people: 26 skills in two roles, 106 activities, from listening to leading change."""
    return Catalog.load(FOLDER / "leadership.json")


def generate(skills: int, per_skill: int = 3, roles: int = 1, seed: int = 0) -> Catalog:
    """A catalogue of any size: skills in layers with up to two prerequisites each, and `per_skill` activities each.

    Kinds go round: reading, worked example, practice, quiz, review, video; every tenth skill gets an interleaved set
    with its two neighbours. Raises: ValueError for sizes below 1.
    """
    if min(skills, per_skill, roles) < 1:
        raise ValueError(f"skills={skills}, per_skill={per_skill}, roles={roles}: each is 1 or more")
    rng = np.random.Generator(np.random.Philox(key=[seed, skills]))
    kinds = ("practice", "reading", "quiz", "worked example", "review", "video")
    minutes = (3.0, 6.0, 4.0, 4.0, 1.0, 5.0)
    made, done = [], []
    for k in range(skills):
        before = rng.choice(np.arange(max(0, k - 12), k), size=min(k, int(rng.integers(0, 3))), replace=False)
        only = (f"role-{k % roles}",) if roles > 1 and rng.random() < 0.5 else ()
        made.append(Skill(f"skill-{k}", f"Skill {k}", tuple(f"skill-{j}" for j in sorted(before.tolist())), only))
        for i in range(per_skill):
            kind = i % len(kinds)
            name = f"{kinds[kind].replace(' ', '-')}-{k}-{i}"
            done.append(Activity(name, name, kinds[kind], (f"skill-{k}",), minutes[kind], fallback=k + i == 0))
        if k % 10 == 9:
            near = tuple(f"skill-{j}" for j in (k - 2, k - 1, k))
            done.append(Activity(f"set-{k}", f"Mixed set {k}", "interleaved", near, 12.0))
    if roles > 1:
        named = {role for skill in made for role in skill.roles}
        made += [
            Skill(f"own-{r}", f"Own to role {r}", (), (f"role-{r}",)) for r in range(roles) if f"role-{r}" not in named
        ]
        done += [Activity(f"own-{s.id}", s.title, "practice", (s.id,), 3.0) for s in made if s.id.startswith("own-")]
    return Catalog(tuple(made), tuple(done))
