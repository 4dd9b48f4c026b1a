"""Models of outcomes that a user may choose: the project's tracers and scikit-learn's, held out learner by learner."""

import json
from functools import partial

import numpy as np
import pytest

from trailmark.agents.baselines import WeakestAllowed
from trailmark.agents.mixed import Mixed
from trailmark.data.decisions import Decisions
from trailmark.data.errors import DataError
from trailmark.data.log import Log
from trailmark.envs.replay import predictions
from trailmark.envs.tracers.pfa import PFA
from trailmark.envs.worlds import onboarding_world
from trailmark.experiments.evidence import assess as module
from trailmark.experiments.evidence.assess import assess
from trailmark.experiments.evidence.assessment import Settings
from trailmark.experiments.evidence.fqe import net_fqe
from trailmark.experiments.evidence.gather import gather_log
from trailmark.experiments.evidence.outcome_models import Chance, ridge_rewards
from trailmark.experiments.evidence.replay import replay
from trailmark.experiments.evidence.views import believed


@pytest.fixture(scope="module")
def logged():
    world = onboarding_world()
    lean = WeakestAllowed(world.observer.space)
    log = gather_log(world, Mixed(lean, 0.8), 3, 90, 0.1)
    return world, log, replay(world.observer, Mixed(lean, 0.7), log)


def test_tracer_is_fitted_to_other_learners_and_believes_what_it_would_live(logged) -> None:
    """Each fold's chances are those of PFA fitted by hand to the others and replayed by envs/replay.py."""
    world, log, seen = logged
    fold = log.session % 2
    views = believed(PFA(), world.observer, log, seen, fold)
    chance = views.designs[1](slice(None))[:, :, 5]
    others = log.frame[fold != 1]
    frame = others[["activity", "correct"]].assign(learner=others["learner"], timestamp=others["time"] + 1)
    by_hand = PFA().fit(Log.from_frame(frame, log.catalog, drop_repeats=False), log.catalog)
    whole = log.frame[["learner", "activity", "correct"]].assign(timestamp=log.frame["time"] + 1)
    said = predictions(by_hand, Log.from_frame(whole, log.catalog, drop_repeats=False), log.catalog)
    assert chance[np.arange(len(log)), log.activity] == pytest.approx(said, abs=1e-5)


def test_what_was_not_answered_teaches_a_tracer_nothing(logged) -> None:
    """A row without an answer is as if it were not there; it is no wrong answer."""
    world, log, seen = logged
    kept = log.frame["step"].to_numpy() != 3
    silent = log.frame.assign(correct=log.frame["correct"].where(kept))
    fold = log.session % 2
    found = believed(PFA(), world.observer, Decisions.from_frame(silent, log.catalog), seen, fold)
    less = type(seen)(*(getattr(seen, name)[kept] for name in type(seen).__dataclass_fields__))
    without = believed(PFA(), world.observer, Decisions.from_frame(log.frame[kept], log.catalog), less, fold[kept])
    rows = np.flatnonzero(kept)
    assert found.designs[0](rows)[:, :, 5] == pytest.approx(without.designs[0](slice(None))[:, :, 5], abs=1e-6)


def test_no_learner_tells_its_own_model(logged) -> None:
    world, log, seen = logged
    fold = log.session % 2
    frame = log.frame.copy()
    frame.loc[fold == 0, "correct"] = 1.0 - frame.loc[fold == 0, "correct"]
    changed = Decisions.from_frame(frame, log.catalog)
    one, other = (believed(PFA(), world.observer, x, seen, fold) for x in (log, changed))
    first = fold == 0
    rows = np.flatnonzero(first & (log.frame["step"].to_numpy() == 0))  # nothing answered yet: the fit alone speaks
    assert one.designs[0](rows)[:, :, 5] == pytest.approx(other.designs[0](rows)[:, :, 5], abs=1e-9)
    assert not np.allclose(one.designs[1](rows)[:, :, 5], other.designs[1](rows)[:, :, 5])


def test_each_learner_is_judged_by_the_fit_that_never_saw_it(logged) -> None:
    world, log, seen = logged
    fold, reward = log.session % 2, log.numbers("reward")
    views = believed(PFA(), world.observer, log, seen, fold)
    found = views.rewards(log.activity, reward, seen.policy)
    for k in range(2):
        alone = ridge_rewards(views.designs[k], log.activity, reward, seen.policy, fold)
        assert found.q[fold == k] == pytest.approx(alone.q[fold == k], abs=1e-12)
        assert found.ratio[fold == k] == pytest.approx(alone.ratio[fold == k], abs=1e-12)


def test_every_choice_gives_an_assessment_whose_weighted_values_agree(logged, monkeypatch) -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor

    monkeypatch.setattr(module, "net_fqe", partial(net_fqe, rounds=4, steps=10))  # a proper fit takes seconds
    world, log, seen = logged
    plain = Settings(replicates=5, cells=3, group="")
    found = {
        "plain": assess(log, seen, world.observer, plain),
        "pfa": assess(log, seen, world.observer, plain, None, PFA()),
        "boosted": assess(log, seen, world.observer, plain, lambda: HistGradientBoostingRegressor(max_iter=10)),
        "network": assess(log, seen, world.observer, Settings(replicates=5, cells=3, group="", network=True)),
    }
    for name, one in found.items():
        assert one.sessions.line("WDR").bounds.value == pytest.approx(
            found["plain"].sessions.line("WDR").bounds.value, abs=3 * found["plain"].sessions.line("WDR").bounds.error
        ), name
        for table in (one.sessions, one.decisions):
            assert np.isfinite([line.bounds.value for line in table.lines]).all()
    values = {name: one.decisions.line("DM").bounds.value for name, one in found.items()}
    assert len({values["plain"], values["pfa"], values["boosted"]}) == 3
    assert values["network"] == values["plain"]
    short = {name for name, one in found.items() if "own error" in one.decisions.line("DM").note}
    assert short == {"boosted"}
    assert "own error" in found["network"].sessions.line("FQE").note
    assert "DRL" not in {line.name for line in found["network"].sessions.lines}
    assert found["network"].sessions.line("FQE").bounds.value != found["plain"].sessions.line("FQE").bounds.value


def test_classifiers_take_yes_or_no_only() -> None:
    from sklearn.linear_model import LogisticRegression

    x = np.arange(8.0)[:, None]
    assert Chance(LogisticRegression()).fit(x, (x[:, 0] > 3).astype(float)).predict(x)[-1] > 0.9
    assert (Chance(LogisticRegression()).fit(x, np.zeros(8)).predict(x) == 0).all()
    with pytest.raises(DataError, match="rewards of 0 and 1"):
        Chance(LogisticRegression()).fit(x, x[:, 0])


def test_words(finished) -> None:
    words = ("simulate-log", "latest", "--to", "choices.parquet", "--policy", "random_legal", "--learners", "40")
    assert finished.call(*words).status == 0
    words = ("ope", "policy=latest", "log=choices.parquet", "replicates=5", "cells=3", "to=choices.json")
    done = finished.call(*words, "model=sklearn.linear_model.LogisticRegression", "tracer=rasch", "reward=correct")
    assert done.status == 0, done.err
    settings = json.loads((finished.folder / "choices.json").read_text())["settings"]
    assert (settings["model"], settings["tracer"]) == ("sklearn.linear_model.LogisticRegression", "rasch")
    for word, complaint in (
        ("model=os.system", "say ridge, or the path of a scikit-learn class"),
        ("model=sklearn.linear_model.Rigde", "there is no 'sklearn.linear_model.Rigde'"),
        ("model=sklearn.ensemble.StackingRegressor", "needs no arguments"),
        ("model=sklearn.linear_model.LogisticRegression", "a classifier needs rewards of 0 and 1"),
        ("tracer=rash", "Did you mean 'rasch'?"),
        ("network=yes", "say true or false"),
    ):
        done = finished.call(*words, word)
        assert done.status == 2, word
        assert complaint in done.err
