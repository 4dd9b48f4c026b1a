"""Card: everything that is known of how far simulated learners may be trusted, measured part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..data.catalog import Catalog
from ..data.log import Split
from ..envs.rng import derive
from ..envs.student import Student
from ..envs.students.sampled import SampledStudent
from ..envs.students.ssr import SSR
from ..envs.tracers.calibrated import error
from ..envs.validity import likeness, own_items, recovery
from ..envs.validity.effect import Check, Effect
from ..envs.validity.gate import cheap, sensitive
from ..envs.validity.motivation import survival
from ..envs.validity.published import EXPERIMENTS, effects
from ..envs.validity.ruling import Ruling
from ..envs.validity.sanity import sanity
from ..envs.validity.spacing import DELAYS, GAPS, LAGS, learnt
from .card_verdict import EXPLOITATION
from .discriminate import told_apart
from .exploitation import exploitation, jury

Json = dict[str, Any]
NO_LOG = "no log: choose a source"
# Share right at opportunity 1 .. 10 of real learners, for orientation where there is no log.
REAL_CURVES = {
    "ASSISTments 2009": (0.609, 0.679, 0.685, 0.699, 0.685, 0.683, 0.676, 0.678, 0.671, 0.666),
    "Algebra 2005": (0.532, 0.640, 0.662, 0.673, 0.692, 0.702, 0.714, 0.720, 0.738, 0.745),
}


@dataclass
class Card:
    """Measures learners part by part; `parts` says how many, `measure` yields the name of each when it is done."""

    student: Student
    catalog: Catalog
    split: Split | None
    seed: int = 0
    share: float = 1.0
    refits: bool = True
    found: Json = field(default_factory=dict)
    _rulings: list[Ruling] = field(default_factory=list)

    @property
    def parts(self) -> int:
        return len(EXPERIMENTS) + len(self._steps())

    def _steps(self) -> list[tuple[str, Callable[[], None]]]:
        return [
            ("sanity", self._sanity),
            ("gate", self._gate),
            ("prediction", self._prediction),
            ("likeness", self._likeness),
            ("curves", self._curves),
            ("refits", self._refits),
            ("exploitation", self._exploitation),
        ]

    def measure(self) -> Iterator[str]:
        """Measure everything; `found` holds it when the last name has come."""
        self.found["missing"] = {}
        rows = []
        for effect in effects(self.student, self.share, self.seed):
            rows.append(effect_json(effect))
            yield effect.name
        self.found["effects"] = rows
        for name, step in self._steps():
            step()
            yield name
        self.found["gate"] = [ruling_json(ruling) for ruling in self._rulings]

    def _lacks(self, part: str, reason: str) -> None:
        self.found["missing"][part] = reason

    def _sanity(self) -> None:
        self.found["sanity"] = [check_json(check) for check in sanity(self.student, seed=self.seed)]

    def _gate(self) -> None:
        if isinstance(self.student, SampledStudent):
            self._rulings += cheap(self.student, self.seed)
        else:
            self._rulings.append(sensitive(self.student, self.seed))

    def _prediction(self) -> None:
        self.found["prediction"], self.found["groups"] = [], []
        if self.split is None or not len(self.split.test):
            return self._lacks("prediction", NO_LOG)
        if not isinstance(self.student, SampledStudent):
            return self._lacks("prediction", "these learners are made by hand: nothing is fitted, nothing predicted")
        test = self.split.test
        own, p, y = recovery.scores(self.student.tracer, test, self.catalog)
        others = {}
        for name, tracer in recovery.REFERENCES.items():
            others[name], _, _ = recovery.scores(tracer.fit(self.split.train, self.catalog), test, self.catalog)
        self._rulings += recovery.predictive(own, others)
        name = type(self.student.tracer).__name__
        self.found["prediction"] = [
            {"name": name, "own": True, **own},
            *({"name": other, "own": False, **scores} for other, scores in others.items()),
        ]
        self.found["groups"] = _groups(self.split, self.catalog, p, y)
        return None

    def _likeness(self) -> None:
        self.found["curve"], self.found["lags"] = {}, {}
        if self.split is None or not len(self.split.test):
            self._lacks("likeness", NO_LOG)
            self.found["classifier"] = {"missing": NO_LOG}
            return
        shadow = likeness.shadowed(self.student, self.split.test, self.catalog, seed=self.seed)
        self._rulings.append(likeness.realistic(shadow))
        real, double, count = likeness.learning_curve(shadow)
        self.found["curve"] = {"real": _plain(real), "simulated": _plain(double), "answers": count}
        if shadow.timed:
            real, double, count = likeness.lag_curve(shadow)
            names = [name for name, _ in likeness.LAGS]
            self.found["lags"] = {"names": names, "real": _plain(real), "simulated": _plain(double), "answers": count}
        self.found["classifier"] = told_apart(shadow, self.seed)

    def _curves(self) -> None:
        n = max(50, round(200 * self.share))
        if not self.found["curve"]:
            answers = own_items.practised(self.student, n, self.seed)
            if answers is None:
                self._lacks("curve", "there are no problems to practise, only cards")
            else:
                self.found["curve"] = {"simulated": answers.mean((0, 1))[:10].tolist()}
        if isinstance(self.student, SSR):
            facts = learnt(self.student, own_items.FACTS, n, self.seed)
        else:
            facts = own_items.acquainted(self.student, n, self.seed)
        recalled, spaced = own_items.lag_curve(facts), own_items.spacing_curves(facts)
        self.found["forgetting"] = {"days": list(LAGS), "recalled": recalled} if recalled else {}
        self.found["spacing"] = {"gaps": list(GAPS), "delays": list(DELAYS), "recall": spaced} if spaced else {}
        if not recalled:
            self._lacks("forgetting", own_items.TIMELESS)
        if isinstance(self.student, SSR):
            m = max(100, round(1000 * self.share))
            curves = [survival(self.student, forced, m, self.seed).tolist() for forced in (False, True)]
            self.found["survival"] = {"voluntary": curves[0], "mandatory": curves[1]}
        else:
            self.found["survival"] = {}
            self._lacks("survival", "nobody leaves in these learners' world")

    def _refits(self) -> None:
        if not isinstance(self.student, SampledStudent) or self.split is None:
            return
        if not self.refits:
            self._rulings += [Ruling(name, missing="left out (--quick)") for name in ("recovery", "null")]
            return
        self._rulings.append(recovery.recovery(self.student, self.seed))
        anew = derive(self.seed, "null")  # the training learners are what the seed's own split has left
        self._rulings.append(recovery.by_chance(self.student.tracer, self.split.train, self.catalog, anew))

    def _exploitation(self) -> None:
        if not self.refits:
            self._rulings.append(Ruling(EXPLOITATION, missing="left out (--quick)"))
            return
        log = self.split.train if self.split else None
        others = jury(self.student, log, self.catalog, self.seed)
        self._rulings.append(exploitation(self.student, others, self.catalog, self.seed))


def _groups(split: Split, catalog: Catalog, p: np.ndarray, y: np.ndarray) -> list[Json]:
    """Return predicted and real shares by role, and by how the first ten answers went, of the answers after those."""
    frame = split.test.frame
    learner = frame.groupby("learner", sort=False).ngroup().to_numpy()
    order = frame.groupby("learner", sort=False).cumcount().to_numpy()
    rows: list[Json] = []

    def add(name: str, which: np.ndarray) -> None:
        if which.sum() >= 100:
            gap = error(p[which], y[which])
            rows.append(
                {
                    "name": name,
                    "answers": int(which.sum()),
                    "predicted": float(p[which].mean()),
                    "real": float(y[which].mean()),
                    "ece": gap,
                }
            )

    if "role" in frame and frame["role"].nunique() > 1:
        for role in catalog.roles:
            add(f"role {role}", (frame["role"] == role).to_numpy())
    early = order < 10
    n = int(learner.max(initial=-1)) + 1
    first = np.bincount(learner[early], y[early], n) / np.bincount(learner[early], minlength=n).clip(1)
    low, high = np.quantile(first, [1 / 3, 2 / 3])
    for name, members in (
        ("weak start", first <= low),
        ("middle", (first > low) & (first < high)),
        ("strong start", first >= high),
    ):
        add(name, members[learner] & ~early)
    return rows


def _number(x: float) -> float | None:
    return float(x) if np.isfinite(x) else None


def _plain(values: list[float]) -> list[float | None]:
    return [_number(v) for v in values]


def check_json(check: Check) -> Json:
    """Return a check as plain values; None where a number is not finite."""
    ours = {"value": _number(check.ours.at), "low": _number(check.ours.low), "high": _number(check.ours.high)}
    return {
        "what": check.what,
        "ours": ours,
        "least": _number(check.least),
        "most": _number(check.most),
        "passed": check.passed,
    }


def effect_json(effect: Effect) -> Json:
    """Return an effect as plain values."""
    return {
        "name": effect.name,
        "title": effect.title,
        "published": effect.published,
        "checks": [check_json(check) for check in effect.checks],
        "passed": effect.passed,
        "note": effect.note,
        "missing": effect.missing,
    }


def ruling_json(ruling: Ruling) -> Json:
    """Return a ruling as plain values."""
    return {
        "name": ruling.name,
        "check": check_json(ruling.check) if ruling.check else None,
        "passed": ruling.passed,
        "words": ruling.words,
        "missing": ruling.missing,
    }
