"""The twenty published effects, in the order of the validity card."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator

from ..student import Student
from ..students.ssr import SSR
from .challenge import v12
from .effect import Effect
from .interleaving import v10
from .mastery import v20
from .motivation import v13, v14, v15
from .own_items import own_v1, own_v5, own_v7, own_v18
from .people import v17, v19
from .practice import v7, v8, v9, v11
from .spacing import v1, v5, v6, v18
from .testing import v2, v3, v4, v16

Experiment = Callable[[SSR], Effect]
EXPERIMENTS: tuple[Experiment, ...] = (
    v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13, v14, v15, v16, v17, v18, v19, v20,
)  # fmt: skip

# What can be tried on learners who bring their own items.
OWN: dict[str, Callable[[Student], Effect | str]] = {"V1": own_v1, "V5": own_v5, "V7": own_v7, "V18": own_v18}
# What each experiment is about, and what its learners must be able to do.
NEEDS: dict[str, tuple[str, str]] = {
    "V1": ("The best gap grows with the delay", "items"),
    "V2": ("Rereading wins at once, testing after a week", "nothing can be read again"),
    "V3": ("Dropping study costs nothing, dropping tests much", "nothing can be studied"),
    "V4": ("Testing beats rereading, more so with feedback", "nothing can be read again"),
    "V5": ("Spaced retrieval beats massed", "items"),
    "V6": ("Half of the gain is gone after six and a half months", "there is no procedural skill of known age"),
    "V7": ("Practice teaches about a tenth of a logit each time", "problems"),
    "V8": ("The more feedback says, the more it teaches", "there is one sort of feedback"),
    "V9": ("Examples help novices and hinder experts", "there are no worked examples"),
    "V10": ("Mixing helps in the test and hurts in practice", "nothing is taken for something else"),
    "V11": ("Doing teaches several times as much as watching", "nothing can be watched or read"),
    "V12": ("Training teaches most at about 85 % success", "the difficulty of an item cannot be set"),
    "V13": ("Who succeeds more does more and gains more", "nobody stops or leaves"),
    "V14": ("Few complete a voluntary course", "nobody leaves"),
    "V15": ("Performance moves self-efficacy", "nobody says how sure they are"),
    "V16": ("Who rereads is surer and remembers less", "nobody says how sure they are"),
    "V17": ("What is learnt is applied less and less", "there is no training to begin with, and no work"),
    "V18": ("Pooled forgetting follows a power of time", "items"),
    "V19": ("Coaching helps skill, and feelings more", "there is no coach"),
    "V20": ("A tracer that is right stops at mastery", "the learners cannot be given the tracer's own numbers"),
}


def effects(student: Student, share: float = 1.0, seed: int = 0) -> Iterator[Effect]:
    """Yield every effect for these learners; SSR learners go through the study's own material.

    `share` of the usual number of participants takes part, at least fifty; SSR's twenty take about forty seconds of
    one core. Learners of other kinds keep their own items; what they cannot take part in says why.
    """
    for experiment in EXPERIMENTS:
        name = experiment.__name__.upper()
        if isinstance(student, SSR):  # the one learner who can be brought to any material
            yield experiment(student, n=_size(experiment, share), seed=seed)  # type: ignore[call-arg]
            continue
        title, missing = NEEDS[name]
        found: Effect | str = missing
        if name in OWN:
            own = OWN[name]
            found = own(student, n=_size(own, share), seed=seed)  # type: ignore[call-arg]
        yield found if isinstance(found, Effect) else Effect(name, title, "", (), missing=found)


def _size(experiment: Callable[..., object], share: float) -> int:
    usual = int(inspect.signature(experiment).parameters["n"].default)
    return max(50, round(share * usual))
