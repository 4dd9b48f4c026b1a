"""Assess: a decision log and a candidate in, estimates with intervals and diagnostics with a verdict out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...data.decisions import Decisions
from ...data.errors import DataError
from ...envs.observer import Observer
from ...envs.skills import skills_of
from ...envs.tracer import Tracer
from . import agreement, asymptotic, calibration, drift, overlap, sequential, single, soundness, weights
from .assessment import Assessment, Line, Settings, Table
from .betting import sessions_lower
from .episodes import Episodes
from .estimate import Array, Estimate, Index, contrast, difference
from .fairness import Group, by_group
from .fqe import linear_fqe, net_fqe
from .intervals import Clusters, bootstrap, interval, lower_bound, percentiles
from .magic import magic
from .marginal import marginalised_is
from .outcome_models import Regressor, folds
from .replay import Seen
from .slope import TUNED, tuned
from .views import Views, believed

ALONE = "; its interval leaves the model's own error out"


def assess(
    decisions: Decisions,
    seen: Seen,
    observer: Observer,
    settings: Settings,
    make: Callable[[], Regressor] | None = None,
    tracer: Tracer | None = None,
    incumbent: Seen | None = None,
) -> Assessment:
    """Return every estimate and every diagnostic. DataError when columns are missing or nothing is left to judge.

    `incumbent` is the same log seen by the policy to be replaced: gains are over it then, on the same sessions, and not
    over what was logged, which may have explored more.
    `make` makes the scikit-learn model that settings.model means (None: ridge), `tracer` is the unfitted one that
    settings.tracer means (None: the policy's own).
    """
    reward = _numeric(decisions, settings.reward, "the reward")
    owners = decisions.column(settings.cluster, "clusters")
    if settings.group not in ("", Settings.group):
        decisions.column(settings.group, "learner groups")
    findings = soundness.log_findings(decisions, reward)
    if np.isnan(reward).any():
        kept = ~np.isin(decisions.session, decisions.session[np.isnan(reward)])
        if not kept.any():
            raise DataError("no session has all its rewards", decisions.name, key=settings.reward)
        frame = decisions.frame[kept].reset_index(drop=True)
        decisions = Decisions(frame, decisions.catalog, decisions.name, decisions.notes)
        seen, incumbent = _kept(seen, kept), None if incumbent is None else _kept(incumbent, kept)
        reward, owners = reward[kept], owners[kept]
    propensity = decisions.numbers("propensity")
    if np.isnan(propensity).any():
        row = int(np.argmax(np.isnan(propensity)))
        fix = "Log the probability of every choice; what was not logged cannot be made up afterwards."
        raise DataError("no propensity", decisions.name, f"decision {row + 1}", "propensity", fix)
    action, behaviour, allowed = decisions.activity, decisions.probabilities, decisions.allowed
    findings += calibration.propensity_findings(action, propensity, behaviour, allowed, decisions.override)
    findings += [overlap.chance(propensity, decisions.override, allowed), soundness.replayed(seen.mask, decisions)]
    first = decisions.start[:-1]
    learner = Clusters.of(decisions.frame["learner"].to_numpy(str))
    rows, units = Clusters.of(owners.to_numpy(str)), Clusters.of(owners.to_numpy(str)[first])
    fold = folds(learner.index if settings.cluster == "learner" else rows.index, settings.folds, settings.seed)
    begun = soundness.begun(decisions)
    by_session = _by_session(decisions, reward)
    findings.append(drift.drift("rewards", by_session / np.diff(decisions.start), begun, units.index))

    views = Views((seen.design,), fold, make)
    if tracer is not None:
        views = believed(tracer, observer, decisions, seen, fold, make)
    model = views.rewards(action, reward, seen.policy)
    taken = single.Rounds.of(action, reward, propensity, seen.policy, model.q, model.ratio)
    findings.append(soundness.informative(taken.q, reward, rows.index))
    here = _decision_table(decisions, seen, observer, settings, taken, views, rows)
    over = _episodes(decisions, seen, settings, reward, taken.weight, views)
    rival = None if incumbent is None else _Rival(incumbent, Views((incumbent.design,), fold, make), propensity)
    others = None if rival is None else rival.episodes(decisions, settings, reward)
    there = _session_table(decisions, seen, settings, over, taken.weight, reward, units, begun, others)
    groups: list[Group] = []
    if settings.group in decisions.frame:
        names = decisions.frame[settings.group].to_numpy(str)[first]
        there.findings.append(overlap.groups(names, over.rho[:, -1], decisions.session))
        groups = by_group(names, over, units, settings.confidence, incumbent=others)
    further = {
        name: _further(name, decisions, seen, settings, taken.weight, views, units, rival) for name in settings.outcomes
    }
    least = None
    if settings.limits:
        try:
            least = sessions_lower(over, units, begun, settings.limits, 1.0 - settings.confidence)
        except ValueError as error:
            raise DataError(str(error), decisions.name, key=settings.reward) from error
    support = overlap.support(action, seen.policy, behaviour, allowed)
    there.findings.extend(support)
    here.findings.extend(support)
    gain = "WDR minus log" if others is None else "WDR minus incumbent"
    return Assessment(there, here, findings, groups, units.number, further, gain, least)


def _numeric(decisions: Decisions, name: str, what: str) -> Array:
    column = decisions.column(name, what)
    try:
        return np.asarray(column.to_numpy(np.float64))
    except (TypeError, ValueError) as error:
        raise DataError(f"holds no numbers ({error})", decisions.name, key=name, fix="Name another column.") from error


def _kept(seen: Seen, rows: NDArray[np.bool_]) -> Seen:
    return Seen(*(getattr(seen, f)[rows] for f in Seen.__dataclass_fields__))


@dataclass(frozen=True, eq=False)
class _Rival:
    """The policy to be replaced, on the same log."""

    seen: Seen
    views: Views
    propensity: Array

    def episodes(self, decisions: Decisions, settings: Settings, reward: Array) -> Episodes:
        rows, action = np.arange(len(reward)), decisions.activity
        weight = self.seen.policy[rows, action] / self.propensity
        return _episodes(decisions, self.seen, settings, reward, weight, self.views)


def _further(
    name: str,
    decisions: Decisions,
    seen: Seen,
    settings: Settings,
    weight: Array,
    views: Views,
    units: Clusters,
    rival: _Rival | None,
) -> list[Group]:
    """One more outcome, for all learners and group by group; its own model of Q."""
    value = _numeric(decisions, name, "an outcome")
    if np.isnan(value).any():
        row = int(np.argmax(np.isnan(value)))
        fix = "Leave it out, or give it for every decision."
        raise DataError("not told for every decision", decisions.name, f"decision {row + 1}", name, fix)
    over = _episodes(decisions, seen, settings, value, weight, views)
    others = None if rival is None else rival.episodes(decisions, settings, value)
    everyone = np.full(units.index.shape, "all learners")
    groups = by_group(everyone, over, units, settings.confidence, incumbent=others)
    if settings.group in decisions.frame:
        names = decisions.frame[settings.group].to_numpy(str)[decisions.start[:-1]]
        groups += by_group(names, over, units, settings.confidence, incumbent=others)
    return groups


def _by_session(decisions: Decisions, values: Array) -> Array:
    return np.asarray(np.bincount(decisions.session, values, len(decisions.start) - 1), dtype=np.float64)


def _episodes(
    decisions: Decisions, seen: Seen, settings: Settings, reward: Array, weight: Array, views: Views
) -> Episodes:
    last = np.zeros(len(reward), dtype=np.bool_)
    last[decisions.start[1:] - 1] = True
    action = decisions.activity
    arguments = (action, reward, last, seen.policy, views.fold, settings.discount)
    if settings.network:
        q, ratio = net_fqe(seen.features, *arguments, seed=settings.seed), None
    else:
        q, ratio = views.each(lambda design: linear_fqe(design, *arguments))
    v = np.einsum("na,na->n", seen.policy, q)
    return Episodes.of(decisions.start, reward, weight, q[np.arange(len(q)), action], v, settings.discount, ratio)


def _session_table(
    decisions: Decisions,
    seen: Seen,
    settings: Settings,
    over: Episodes,
    weight: Array,
    reward: Array,
    units: Clusters,
    begun: Array,
    incumbent: Episodes | None,
) -> Table:
    wdr, dr, wpdis, pdis = (
        sequential.weighted_doubly_robust(over),
        sequential.doubly_robust(over),
        sequential.weighted_per_decision_is(over),
        sequential.per_decision_is(over),
    )
    found = [wdr, dr, wpdis, pdis, sequential.weighted_is(over), sequential.trajectory_is(over), magic(over, units)]
    model_led = [
        marginalised_is(decisions.start, _cells(seen, settings), reward, weight, settings.cells, settings.discount),
        sequential.dm(over),
    ]
    if over.ratio is not None:
        model_led.insert(0, sequential.double_reinforcement(over))
    notes = {estimate.name: agreement.beside(estimate, wdr, units) for estimate in model_led}
    if over.ratio is None:
        notes["FQE"] += ALONE
    notes["MAGIC"] = "leans on the model where weights are wild; interval somewhat short"
    found += model_led
    gains = [difference("WDR minus log", wdr, over.gain)]
    if incumbent is not None:
        gains.append(contrast("WDR minus incumbent", wdr, sequential.weighted_doubly_robust(incumbent)))
    lines = _lines([*found, *gains], units, settings, notes)
    findings = weights.weight_findings(over.rho[:, -1], units, "session")
    findings.append(drift.drift("weights", np.minimum(over.rho[:, -1], 10.0), begun, units.index))
    findings.append(agreement.spread([wdr, dr, wpdis, pdis], units))
    if incumbent is not None:
        told = weights.weight_findings(incumbent.rho[:, -1], units, "session")
        findings += [replace(finding, name=f"incumbent: {finding.name}") for finding in told]
    logged = interval(Estimate("log", over.gain), units, settings.confidence)
    return Table("a whole session", logged, lines, findings, weights.histogram(over.rho[:, -1]))


def _decision_table(
    decisions: Decisions,
    seen: Seen,
    observer: Observer,
    settings: Settings,
    rounds: single.Rounds,
    views: Views,
    rows: Clusters,
) -> Table:
    action, propensity = decisions.activity, decisions.numbers("propensity")
    found = [single.dr(rounds), single.sndr(rounds), single.snips(rounds), single.ips(rounds), single.dm(rounds)]
    notes = {"DM": agreement.beside(found[4], found[0], rows) + ("" if rounds.ratio is not None else ALONE)}
    for name, (estimator, choices) in TUNED.items():
        best, setting = tuned(rounds, estimator, choices, rows.index)
        found.append(best)
        notes[name] = f"tuned to {setting:g}"
    lever = single.mrdr_weight(action, propensity, seen.policy)
    robust = views.rewards(action, rounds.reward, seen.policy, lever + 1e-6).q
    found.append(single.mrdr(single.Rounds.of(action, rounds.reward, propensity, seen.policy, robust)))
    behaviour = decisions.probabilities
    if behaviour is not None:
        kinds = skills_of(observer.catalog).index.numpy()
        kind = np.unique(np.sort(kinds, 1), axis=0, return_inverse=True)[1].ravel()
        embedding = np.eye(int(kind.max()) + 1)[kind]
        found.append(single.mips(rounds, kind[action], behaviour, seen.policy, embedding))
        notes["MIPS"] = "activities of the same skills count as one"
    findings = weights.weight_findings(rounds.weight, rows, "decision")
    findings.append(agreement.spread([found[0], found[2], found[3]], rows))
    logged = interval(Estimate("log", rounds.reward), rows, settings.confidence)
    lines = _lines(found, rows, settings, notes)
    return Table("one decision, where the log was", logged, lines, findings, weights.histogram(rounds.weight))


def _lines(estimates: list[Estimate], clusters: Clusters, settings: Settings, notes: dict[str, str]) -> list[Line]:
    drawn = bootstrap(estimates, clusters, settings.replicates, settings.seed)
    alpha = 1.0 - settings.confidence
    rho = asymptotic.tuning(settings.planned, alpha)  # fixed beforehand: tuned to each n it would hold at that n only
    lines = []
    for column, estimate in zip(drawn.T, estimates, strict=True):
        bounds = interval(estimate, clusters, settings.confidence)
        reach = float("nan")
        if np.isfinite(bounds.error):
            n = clusters.number
            reach = float(asymptotic.half_width(n, bounds.error * np.sqrt(n), rho, alpha))
        fine = np.isfinite(column)
        boot = percentiles(estimate.value, column[fine], settings.confidence) if fine.sum() > 1 else bounds
        lines.append(
            Line(
                estimate.name,
                bounds,
                lower_bound(estimate, clusters, settings.confidence),
                boot,
                (bounds.value - reach, bounds.value + reach),
                notes.get(estimate.name, ""),
            )
        )
    return lines


def _cells(seen: Seen, settings: Settings) -> Index:
    """(N,) learners in `cells` kinds, by what the observer sees of them."""
    from sklearn.cluster import MiniBatchKMeans

    x = (seen.features - seen.features.mean(0)) / (seen.features.std(0) + 1e-6)
    number = min(settings.cells, len(x))
    made = MiniBatchKMeans(number, random_state=settings.seed, n_init=1, max_iter=20, batch_size=4096)
    return np.asarray(made.fit_predict(x), dtype=np.int64)
