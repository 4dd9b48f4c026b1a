"""The way from a log to an estimate: replay as it was lived, the truth inside the interval, and the verb."""

import hashlib
import json

import numpy as np
import pytest

from trailmark.agents.baselines import RandomLegal, WeakestAllowed
from trailmark.agents.mixed import Mixed
from trailmark.data.decisions import Decisions
from trailmark.data.errors import DataError
from trailmark.envs.worlds import kss_world, onboarding_world
from trailmark.experiments.evidence.assess import _lines, assess
from trailmark.experiments.evidence.assessment import Settings
from trailmark.experiments.evidence.asymptotic import half_width, tuning
from trailmark.experiments.evidence.estimate import Estimate
from trailmark.experiments.evidence.gather import gather_log
from trailmark.experiments.evidence.intervals import Clusters
from trailmark.experiments.evidence.outcome_models import Chance, fitted_rewards, folds, ridge_rewards
from trailmark.experiments.evidence.replay import replay


@pytest.mark.parametrize("make", [kss_world, onboarding_world])
def test_replay_sees_what_was_seen(make, tmp_path) -> None:
    world = make()
    policy = Mixed(WeakestAllowed(world.observer.space), 0.5)
    log = gather_log(world, policy, 3, 40, override_rate=0.1)
    log.save(tmp_path / "log.parquet")
    again = Decisions.load(tmp_path / "log.parquet", world.observer.catalog)
    seen = replay(world.observer, policy, again)
    assert log.override.any()
    assert (log.numbers("propensity")[log.override] == 1).all()
    assert np.array_equal(seen.mask, log.allowed)
    assert seen.policy == pytest.approx(log.probabilities, abs=1e-6)


def test_text_and_parquet_are_one_log(tmp_path) -> None:
    world = kss_world()
    log = gather_log(world, RandomLegal(world.observer.space), 3, 20, override_rate=0.1)
    frame = log.frame.copy()
    for name in ("allowed", "probabilities", "goal", "past", "past_correct"):
        frame[name] = ["|".join(map(str, cell)) for cell in frame[name]]
    frame.to_csv(tmp_path / "log.csv", index=False)
    text = Decisions.load(tmp_path / "log.csv", world.observer.catalog)
    one, other = (replay(world.observer, RandomLegal(world.observer.space), x) for x in (log, text))
    assert np.array_equal(one.features, other.features)
    assert text.probabilities == pytest.approx(log.probabilities, abs=1e-12)


def test_learner_is_logged_the_same_in_any_batch() -> None:
    world = kss_world()
    few, many = (gather_log(world, RandomLegal(world.observer.space), 3, n, 0.1) for n in (5, 12))
    name = few.frame["learner"] == "learner-4"
    other = many.frame["learner"] == "learner-4"
    assert few.frame.loc[name, "activity"].tolist() == many.frame.loc[other, "activity"].tolist()
    assert few.frame.loc[name, "reward"].tolist() == many.frame.loc[other, "reward"].tolist()


@pytest.fixture(scope="module")
def judged():
    world = kss_world()
    lean = WeakestAllowed(world.observer.space)
    log = gather_log(world, Mixed(lean, 0.8), 5, 1000, 0.1)
    candidate = Mixed(lean, 0.6)
    settings = Settings(cells=20, group="cohort", limits=(-1.0, 1.0))
    found = assess(log, replay(world.observer, candidate, log), world.observer, settings)
    lived = gather_log(world, candidate, 99, 2000, 0.1)
    truth = np.bincount(lived.session, lived.frame["reward"]).mean()
    return found, truth


@pytest.mark.parametrize("name", ["WDR", "DR", "WPDIS", "PDIS", "WIS", "TIS"])
def test_interval_holds_the_truth_with_people_in_the_loop(name: str, judged) -> None:
    found, truth = judged
    line = found.sessions.line(name)
    assert abs(line.bounds.value - truth) < 2.6 * np.hypot(line.bounds.error, 0.006)
    assert line.anytime[0] < line.bounds.low < line.lower < line.bounds.value
    assert line.boot.error == pytest.approx(line.bounds.error, rel=0.25)


def test_betting_gives_a_floor_under_the_truth(judged) -> None:
    found, truth = judged
    assert found.betting is not None
    assert 0.0 < found.betting < truth
    assert found.betting < found.sessions.line("TIS").lower  # it assumes less


def test_anytime_interval_is_planned_once() -> None:
    """Tuned anew to every n, it is 3.03 standard errors at each look, which holds at that look only."""
    x = np.random.default_rng(0).normal(0, 1, 4000)
    for n in (50, 1000, 4000):
        (line,) = _lines([Estimate("x", x[:n])], Clusters.single(n), Settings(replicates=2), {})
        reach = float(half_width(n, x[:n].std(ddof=1), tuning(1000)))
        assert line.anytime == pytest.approx((line.bounds.value - reach, line.bounds.value + reach))


def test_small_groups_get_no_number(judged) -> None:
    found, _ = judged
    assert {group.value for group in found.groups} == {None}  # cohorts of 25
    assert len(found.decisions.lines) == 12


def test_missing_rewards_and_propensities() -> None:
    world = kss_world()
    policy = RandomLegal(world.observer.space)
    log = gather_log(world, policy, 3, 60)
    frame = log.frame.copy()
    frame.loc[5, "reward"] = np.nan
    part = Decisions.from_frame(frame, log.catalog)
    found = assess(part, replay(world.observer, policy, part), world.observer, Settings(replicates=5, cells=3))
    assert next(f for f in found.log if f.name == "missing rewards").verdict > 0
    assert len(found.sessions.lines) == 11
    frame = log.frame.assign(propensity=np.nan)
    part = Decisions.from_frame(frame, log.catalog)
    with pytest.raises(DataError, match="no propensity"):
        assess(part, replay(world.observer, policy, part), world.observer, Settings())
    part = Decisions.from_frame(log.frame.drop(columns="correct"), log.catalog)
    with pytest.raises(DataError, match="give the column 'correct'"):
        replay(world.observer, policy, part)


def test_any_scikit_learn_model_can_be_the_model_of_rewards() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    table = rng.normal(size=(300, 3, 4))
    action = rng.integers(0, 3, 300)
    taken = table[np.arange(300), action]
    reward = (taken[:, 0] + 0.1 * rng.normal(size=300) > 0).astype(float)
    fold = folds(np.arange(300) // 3)
    policy = np.full((300, 3), 1 / 3)
    mine = ridge_rewards(lambda rows: table[rows], action, reward, policy, fold, penalty=1e-12).q
    theirs = fitted_rewards(lambda: Ridge(1e-9, fit_intercept=False), lambda rows: table[rows], action, reward, fold)
    assert theirs == pytest.approx(mine, abs=1e-6)
    boosted = fitted_rewards(
        lambda: Chance(HistGradientBoostingClassifier(max_iter=20)), lambda rows: table[rows], action, reward, fold
    )
    assert np.corrcoef(boosted[np.arange(300), action], reward)[0, 1] > 0.7
    assert all(len(set(fold[i : i + 3])) == 1 for i in range(0, 300, 3))


@pytest.fixture(scope="module")
def logged_run(finished):
    words = ("simulate-log", "latest", "--to", "log.parquet", "--policy", "random_legal", "--learners", "60")
    done = finished.call(*words)
    assert done.status == 0, done.err
    return finished


def test_the_incumbents_exploration_is_no_gain_of_the_candidate(logged_run) -> None:
    """Candidate and incumbent are one policy; over the log, which is all chance, it seems to gain or to lose."""
    words = ("policy=latest", "log=log.parquet", "replicates=20", "cells=3", "explore=0.9")
    done = logged_run.call("ope", *words, "incumbent=latest", "incumbent_explore=0.9", "to=same.json")
    assert done.status == 0, done.err
    found = json.loads((logged_run.folder / "same.json").read_text())
    lines = {line["name"]: line["bounds"] for line in found["session"]["estimates"]}
    assert found["gain"] == "WDR minus incumbent"
    over = lines["WDR minus incumbent"]
    assert (over["value"], over["error"]) == pytest.approx((0, 0), abs=1e-9)
    assert lines["WDR minus log"]["error"] > 1e-4
    assert found["incumbent"]["digest"] == found["digest"]
    assert any(f["name"].startswith("incumbent: ") for f in found["session"]["findings"])
    assert found["log_digest"] == hashlib.sha256((logged_run.folder / "log.parquet").read_bytes()).hexdigest()
    done = logged_run.call("promote", "same.json", *ALONE, *BY)
    assert done.status == 1
    assert "what was logged, exploration included" not in done.out


def test_verbs(logged_run) -> None:
    finished = logged_run
    done = finished.call(
        "ope", "policy=latest", "log=log.parquet", "replicates=20", "cells=3", "to=ope.json", "limits=-1,1"
    )
    assert done.status == 0, done.err
    assert "a session is worth at least" in done.out
    assert finished.call("ope", "policy=latest", "log=log.parquet", "limits=0,0.01").status == 2
    assert "verdict on the value of a session" in done.out
    found = json.loads((finished.folder / "ope.json").read_text())
    assert found["verdict"] in ("trust", "caution", "do not trust")
    assert len(found["session"]["estimates"]) == 11
    assert np.isfinite(found["session"]["logged"]["value"])


ALONE = ("--robustness", "none")


def matrix(says: str, flagged: bool = False, unsure: bool = False, digest: str = "e") -> str:
    verdict = {"mine": {"flagged": flagged, "unsure": unsure, "says": says, "worst_away": 0.001}}
    return json.dumps({"candidate": "mine", "digest": digest, "verdict": verdict})


def evidence(gain: float | None, verdict: str = "trust", **change) -> dict:
    bounds = {"value": gain, "error": 0.01, "low": None, "high": None}
    group = {"name": "sales", "sessions": 80, "clusters": 80, "value": None, "gain": {"value": 0.04, "error": 0.01}}
    lines = [{"name": "WDR minus log", "bounds": bounds}]
    found = {"verdict": verdict, "clusters": 400, "groups": [group], "session": {"estimates": lines}}
    found |= {
        "gain": "WDR minus log",
        "better": "more",
        "digest": "e",
        "log_digest": hashlib.sha256(str(change).encode()).hexdigest(),
    }
    return found | {"explore": 0.0, "incumbent": None, "incumbent_explore": None} | change


BY = ("--approver", "A. Person")
PLAYED = ("--robustness", "sound.json", *BY)


@pytest.mark.parametrize(
    ("content", "words", "status", "said"),
    [
        (evidence(0.05), (*ALONE, *BY, "--candidates", "20"), 0, "PROMOTE"),
        (evidence(0.05), (*ALONE, *BY), 0, "nobody has seen it among learners of other kinds (--robustness none)"),
        (evidence(0.05), (*ALONE, *BY), 0, "compared with what was logged, exploration included"),
        (evidence(0.05), ALONE, 1, "nobody has approved it"),
        (evidence(0.05), (*ALONE, "--approver", "  "), 1, "nobody has approved it"),
        (evidence(0.05), BY, 1, "never played among learners of other kinds"),
        (evidence(0.05), PLAYED, 0, "PROMOTE"),
        (evidence(0.05), ("--robustness", "exploit.json", *BY), 1, "wins at home only"),
        (evidence(0.05), ("--robustness", "open.json", *BY), 1, "`trailmark robustness` with more --learners"),
        (evidence(0.05, digest="f"), PLAYED, 2, "sound.json is about another bundle"),
        (evidence(0.05, digest="f"), ("--robustness", "nameless.json", *BY), 2, "is about no bundle that is known"),
        (evidence(0.05, digest=""), ("--robustness", "nameless.json", *BY), 2, "is about no bundle that is known"),
        (evidence(0.05), (*ALONE, "--pilot", "harm.json", *BY), 1, "ended with: roll back"),
        (evidence(0.05, digest="f"), (*ALONE, "--pilot", "harm.json", *BY), 2, "harm.json is about another bundle"),
        (evidence(0.05), (*ALONE, "--pilot", "unseen.json"), 2, "nobody has looked"),
        (evidence(0.05), (*ALONE, *BY, "--margin", "nan"), 2, "margin is a number"),
        (evidence(0.05), (*ALONE, *BY, "--group-floor", "inf"), 2, "the floor of groups a number"),
        (evidence(0.01), (*ALONE, *BY), 1, "NOT ENOUGH EVIDENCE"),
        (evidence(0.05, better="less"), (*ALONE, *BY), 1, "the gain is -0.0500"),
        (evidence(0.05, "do not trust"), BY, 1, "REJECT"),
        (evidence(None), BY, 2, "does not overlap"),
        (evidence(0.05, groups=[]), (*ALONE, *BY), 0, "no learner groups were looked at"),
        (evidence(0.05, session={}), (*ALONE, *BY), 2, "cannot be ruled on"),
        ({"schema": 1}, (), 2, "it has no 'session'"),
    ],
)
def test_gate_verb(finished, content: dict, words: tuple[str, ...], status: int, said: str) -> None:
    (finished.folder / "evidence.json").write_text(json.dumps(content))
    (finished.folder / "sound.json").write_text(matrix("holds"))
    for name, looks in (("harm", [{"decision": "roll back"}]), ("unseen", [])):
        (finished.folder / f"{name}.json").write_text(json.dumps({"plan": {}, "looks": looks, "digest": "e"}))
    (finished.folder / "exploit.json").write_text(matrix("wins at home only", flagged=True))
    (finished.folder / "open.json").write_text(matrix("may lose more than 0.1 sd", unsure=True))
    (finished.folder / "nameless.json").write_text(matrix("holds", digest=""))
    done = finished.call("promote", "evidence.json", *words, "--to", "rulings/ruling.json")
    assert done.status == status, done.err
    assert said in done.out + done.err
    assert "Traceback" not in done.err


def test_bundles_ruled_on_with_one_log_are_counted(finished) -> None:
    """The gate's chance of a wrong promotion is over all candidates of a log, whoever says how many there were."""
    for number, name in enumerate("abc", 1):
        content = evidence(0.021, digest=name, log_digest="another")
        (finished.folder / "evidence.json").write_text(json.dumps(content))
        for _ in range(2):  # the same bundle again is no other candidate
            done = finished.call("promote", "evidence.json", *ALONE, *BY, "--to", "ruling.json")
            ruling = json.loads((finished.folder / "ruling.json").read_text())
            assert ruling["candidates"] == number, done.err
            assert ruling["answer"] == ("promote" if number < 3 else "not enough evidence")
    assert "3 bundles have been ruled on with this log" in done.out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("ope", "policy=latest"), "say log="),
        (("ope", "polcy=latest", "log=x"), "Did you mean 'policy'?"),
        (("ope", "policy=latest", "log=absent.parquet"), "no such file"),
        (("ope", "policy=latest", "log=x", "confidence=2"), "confidence=2"),
        (("ope", "policy=latest", "log=log.parquet", "group=rolle"), "no column 'rolle' for learner groups"),
        (("ope", "policy=latest", "log=log.parquet", "reward=activity"), "holds no numbers"),
        (("ope", "policy=latest", "log=log.parquet", "better=some"), "say more or less"),
        (("ope", "policy=latest", "log=log.parquet", "incumbent_explore=0.1"), "say incumbent="),
        (("ope", "policy=latest", "log=log.parquet", "to=log.parquet/x.json"), "cannot be written"),
        (("ope", "policy=nowhere", "log=x"), "no run 'nowhere'"),
        (("ope", "policy=latest", "log=x", "limits=1"), "say the least and the most"),
        (("ope", "policy=latest", "log=x", "limits=1,-1"), "the least comes first"),
        (("simulate-log", "latest", "--to", "x.csv"), "a name that ends in .parquet"),
        (("simulate-log", "latest", "--to", "x.parquet", "--policy", "randm_legal"), "Did you mean 'random_legal'?"),
    ],
)
def test_faults_in_words_are_told(logged_run, words: tuple[str, ...], complaint: str) -> None:
    done = logged_run.call(*words)
    assert done.status == 2
    assert complaint in done.err
