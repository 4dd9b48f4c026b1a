"""The twenty published effects, in the order of the validity card."""

from __future__ import annotations

from collections.abc import Callable

from ..students.ssr import SSR
from .challenge import v12
from .effect import Effect
from .interleaving import v10
from .mastery import v20
from .motivation import v13, v14, v15
from .people import v17, v19
from .practice import v7, v8, v9, v11
from .spacing import v1, v5, v6, v18
from .testing import v2, v3, v4, v16

Experiment = Callable[[SSR], Effect]
EXPERIMENTS: tuple[Experiment, ...] = (
    v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13, v14, v15, v16, v17, v18, v19, v20,
)  # fmt: skip


def effects(like: SSR) -> tuple[Effect, ...]:
    """Return every effect for learners with the minds of `like`; about forty seconds of one core."""
    return tuple(experiment(like) for experiment in EXPERIMENTS)
