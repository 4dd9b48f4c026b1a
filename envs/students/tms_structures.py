"""The two published knowledge structures of TMS: which sets of skills there are, how practice moves between them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Structure:
    """States, each a tuple of known skills; `moves` of one practice item each: (from state, to state, probability).

    As it stands: two skills, one after the other (EduSim's "binary").
    """

    states: tuple[tuple[int, ...], ...] = ((), (0,), (0, 1))
    moves: tuple[tuple[tuple[int, int, float], ...], ...] = (((0, 1, 0.6),), ((1, 2, 0.7),))
    start: tuple[int, ...] = (0, 1)  # learners start in one of these states, each as likely
    edges: tuple[tuple[int, int], ...] = ((0, 1),)  # (skill before, skill after)


def binary() -> Structure:
    """Return EduSim's "binary"."""
    return Structure()


def tree() -> Structure:
    """Return seven skills in a tree, 31 states (EduSim's "tree").

    Item i is named after skill i, but the published chances do not keep to that: item 0 teaches skills 0, 2 and 3 one
    after the other, and item 4 teaches skills 4 and 6.
    """
    branches, sides = ((), (1,), (2,), (1, 2), (2, 3), (1, 2, 3)), ((), (4,), (4, 5), (4, 6), (4, 5, 6))
    states = ((), *((0, *branch, *side) for side in sides for branch in branches))
    return Structure(states, _TREE, (0, 1, 2, 3, 7), ((0, 1), (0, 2), (0, 4), (2, 3), (4, 5), (4, 6)))


# Per item: from state, to state, chance.
_TREE = (
    (
        (0, 1, 0.82), (1, 3, 0.82), (2, 4, 0.62), (3, 5, 0.75), (4, 6, 0.83), (7, 9, 0.62),
        (8, 10, 0.5), (9, 11, 0.74), (10, 12, 0.72), (13, 15, 0.83), (14, 16, 0.7), (15, 17, 0.79),
        (16, 18, 0.72), (19, 21, 0.76), (20, 22, 0.75), (21, 23, 0.51), (22, 24, 0.79), (25, 27, 0.71),
        (26, 28, 0.82), (27, 29, 0.61), (28, 30, 0.73),
    ),
    (
        (1, 2, 0.8), (3, 4, 0.7), (5, 6, 0.54), (7, 8, 0.78), (9, 10, 0.81), (11, 12, 0.65),
        (13, 14, 0.75), (15, 16, 0.57), (17, 18, 0.66), (19, 20, 0.67), (21, 22, 0.8), (23, 24, 0.65),
        (25, 26, 0.62), (27, 28, 0.83), (29, 30, 0.75),
    ),
    (
        (1, 3, 0.7), (2, 4, 0.78), (7, 9, 0.78), (8, 10, 0.62), (13, 15, 0.75), (14, 16, 0.52),
        (19, 21, 0.69), (20, 22, 0.75), (25, 27, 0.55), (26, 28, 0.81),
    ),
    (
        (3, 5, 0.77), (4, 6, 0.75), (9, 11, 0.8), (10, 12, 0.72), (15, 17, 0.78), (16, 18, 0.78),
        (21, 23, 0.82), (22, 24, 0.82), (27, 29, 0.65), (28, 30, 0.72),
    ),
    (
        (1, 7, 0.72), (2, 8, 0.82), (3, 9, 0.77), (4, 10, 0.7), (5, 11, 0.75), (6, 12, 0.79),
        (7, 19, 0.81), (8, 20, 0.64), (9, 21, 0.8), (10, 22, 0.79), (11, 23, 0.79), (12, 24, 0.82),
        (13, 25, 0.64), (14, 26, 0.81), (15, 27, 0.79), (16, 28, 0.78), (17, 29, 0.83), (18, 30, 0.75),
    ),
    (
        (7, 13, 0.71), (8, 14, 0.76), (9, 15, 0.71), (10, 16, 0.81), (11, 17, 0.73), (12, 18, 0.77),
        (19, 25, 0.77), (20, 26, 0.81), (21, 27, 0.75), (22, 28, 0.63), (23, 29, 0.72), (24, 30, 0.64),
    ),
    (
        (7, 19, 0.69), (8, 20, 0.8), (9, 21, 0.82), (10, 22, 0.81), (11, 23, 0.73), (12, 24, 0.67),
        (13, 25, 0.81), (14, 26, 0.83), (15, 27, 0.62), (16, 28, 0.82), (17, 29, 0.69), (18, 30, 0.51),
    ),
)  # fmt: skip
