"""Assessment: what a log says about a candidate, and what the user may choose about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .fairness import Group
from .finding import Finding, Verdict, worst
from .intervals import Bounds
from .weights import Histogram


@dataclass(frozen=True)
class Settings:
    """What the user may choose about an assessment."""

    reward: str = "reward"  # the column that says how good a decision turned out
    cluster: str = "learner"  # who is independent of whom
    group: str = "role"  # learner groups that must not be overlooked
    outcomes: tuple[str, ...] = ()  # further columns to judge group by group, such as time_to_mastery
    discount: float = 1.0
    limits: tuple[float, ...] = ()  # the least and the most that a session's reward can be; () = not known
    confidence: float = 0.95
    planned: int = 1000  # clusters at which the anytime intervals are tightest, settled before the first look
    replicates: int = 1000
    folds: int = 3
    cells: int = 50  # of the marginalised estimator
    model: str = "ridge"  # of the rewards of single decisions
    tracer: str = ""  # whose beliefs the models see; "" = the policy's own
    network: bool = False  # Q of whole sessions by a small network in place of a linear model
    seed: int = 0


@dataclass(frozen=True)
class Line:
    """One estimator's answer."""

    name: str
    bounds: Bounds  # by influence function
    lower: float  # one-sided
    boot: Bounds  # by bootstrap of whole clusters
    anytime: tuple[float, float]  # asymptotic confidence sequence, tuned to Settings.planned
    note: str = ""


@dataclass(frozen=True)
class Table:
    """The estimates of one question, what was logged, and whether to believe them."""

    title: str
    logged: Bounds
    lines: list[Line]
    findings: list[Finding]
    histogram: Histogram  # of the weights

    @property
    def verdict(self) -> Verdict:
        """The worst of the findings."""
        return worst(self.findings)

    def line(self, name: str) -> Line:
        """Return the line of one estimator; KeyError when there is none."""
        for line in self.lines:
            if line.name == name:
                return line
        raise KeyError(f"no estimator {name!r}; there are {[line.name for line in self.lines]}")


@dataclass(frozen=True)
class Assessment:
    """What a log says about a candidate: whole sessions first, single decisions beside them."""

    sessions: Table
    decisions: Table
    log: list[Finding]
    groups: list[Group]
    clusters: int  # independent units: learners, or what the user named
    outcomes: dict[str, list[Group]] = field(default_factory=dict)  # the further ones; all learners first
    gain: str = "WDR minus log"  # the line that says how much better the candidate is
    betting: float | None = None  # one-sided lower bound of a session's value by betting; None without limits

    @property
    def verdict(self) -> Verdict:
        """How far the sessions' value can be trusted."""
        return max(self.sessions.verdict, worst(self.log))
