"""Views: what outcome models know of every activity at each decision, and their fits, learner by learner held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from ...data.decisions import Decisions
from ...data.log import Log
from ...envs.observer import Observer
from ...envs.rows import pick, take
from ...envs.skills import mean_over_skills
from ...envs.tracer import Evidence, Tracer
from .estimate import Array, Index
from .fqe import Design, Fitted
from .outcome_models import Regressor, fitted_rewards, ridge_rewards
from .replay import Seen, past_answers

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Views:
    """One design for all folds of learners, or one per fold whose inputs never saw that fold.

    `make` makes scikit-learn regressors of rewards; None is ridge regression in closed form.
    """

    designs: tuple[Design, ...]
    fold: Index  # (N,)
    make: Callable[[], Regressor] | None = None

    def rewards(self, action: Index, reward: Array, policy: Array, weight: Array | None = None) -> Fitted:
        """Return the fitted reward of every row and activity; `weight` (N,) are sample weights."""
        if self.make is None:
            return self.each(lambda design: ridge_rewards(design, action, reward, policy, self.fold, weight))
        make = self.make
        return self.each(lambda design: Fitted(fitted_rewards(make, design, action, reward, self.fold, weight), None))

    def each(self, fit: Callable[[Design], Fitted]) -> Fitted:
        """Return each fold's part of the fit to its own design."""
        first, *others = (fit(design) for design in self.designs)
        for k, found in enumerate(others, 1):
            mine = self.fold == k
            first.q[mine] = found.q[mine]
            if first.ratio is not None and found.ratio is not None:
                first.ratio[mine] = found.ratio[mine]
        return first


def believed(
    tracer: Tracer,
    observer: Observer,
    decisions: Decisions,
    seen: Seen,
    fold: Index,
    make: Callable[[], Regressor] | None = None,
) -> Views:
    """Return views through `tracer`, fitted anew to the log, for each fold to the learners of all others.

    It takes the place of the policy's own tracer in the models of outcomes; what the policy saw stays as it was.
    """
    designs = []
    for k in range(int(fold.max()) + 1):
        fitted = tracer.fit(_log(decisions, fold != k), decisions.catalog)
        chance, lack = _walk(fitted, observer, decisions)
        designs.append(replace(seen, chance=chance, lack=lack).design)
    return Views(tuple(designs), fold, make)


def _log(decisions: Decisions, kept: NDArray[np.bool_]) -> Log:
    """The answers of these rows as a log; every session is a learner of its own."""
    correct, time = decisions.numbers("correct"), decisions.numbers("time")
    ids = np.asarray(decisions.catalog.activity_ids, dtype=object)
    columns = {"learner": decisions.session.astype(str), "activity": ids[decisions.delivered], "correct": correct}
    if np.isfinite(time).all() and (time >= 0).all():
        columns["timestamp"] = time + 1.0
    frame = pd.DataFrame(columns)[kept & np.isfinite(correct)]
    return Log.from_frame(frame, decisions.catalog, decisions.name, drop_repeats=False)


def _walk(tracer: Tracer, observer: Observer, decisions: Decisions) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, A) P(correct) and (N, A) lack of mastery as `tracer` believes them before each decision."""
    start, n = decisions.start, len(decisions)
    chance = np.empty((n, len(decisions.catalog.activity_ids)), np.float32)
    lack = np.empty_like(chance)
    past, scores = past_answers(observer, decisions)
    depth = np.array([len(one) for one in past])
    given = torch.from_numpy(decisions.delivered)
    answers = decisions.numbers("correct")
    answered, correct = torch.from_numpy(np.isfinite(answers)), torch.from_numpy(np.nan_to_num(answers)).float()
    days = torch.from_numpy(decisions.numbers("days").copy()).float()
    with torch.no_grad():
        for d in np.unique(depth):  # sessions with pasts of one length begin together
            some = np.flatnonzero(depth == d)
            some = some[np.argsort(-np.diff(start)[some], kind="stable")]
            length, first = np.diff(start)[some], start[some]
            belief: Any = tracer.start(len(some))
            for t in range(int(d)):
                before = Evidence(torch.tensor([past[s][t] for s in some]), torch.tensor([scores[s][t] for s in some]))
                belief = tracer.update(belief, before)
            for t in range(int(length.max())):
                still = int(np.searchsorted(-length, -t, side="left"))
                belief = take(belief, slice(0, still))
                rows = first[:still] + t
                chance[rows] = tracer.predict(belief).numpy()
                lack[rows] = mean_over_skills(1.0 - tracer.mastery(belief), observer.skills).numpy()
                belief = pick(answered[rows], tracer.update(belief, Evidence(given[rows], correct[rows])), belief)
                if bool((days[rows] > 0).any()):
                    belief = tracer.elapse(belief, days[rows])
    return chance, lack
