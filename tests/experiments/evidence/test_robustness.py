"""The robustness matrix: an exploit is flagged, a sound policy is not."""

import json
from pathlib import Path

import numpy as np
import pytest

from trailmark.experiments.evidence.robustness import judged, matrix_of, ranks


def outcomes(means: dict[str, list[float]], n: int = 400) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    luck = {s: rng.normal(0, 1, n) for s in ("BKT", "DAS3H", "KSS", "SSR")}
    return {
        policy: {s: m + luck[s] + 0.3 * rng.normal(0, 1, n) for s, m in zip(luck, row, strict=True)}
        for policy, row in means.items()
    }


def test_exploit_is_flagged_and_a_sound_policy_is_not() -> None:
    plays = outcomes(
        {
            "mastery": [1.0, 1.0, 1.0, 1.0],
            "exploit": [3.0, 0.5, 0.6, 0.9],
            "sound": [1.4, 1.3, 1.2, 1.3],
            "homely": [1.5, 1.0, 1.0, 1.0],
        }
    )
    matrix = matrix_of(plays, {"exploit": "BKT", "sound": "BKT", "homely": "BKT"}, "mastery")
    rows = {row.policy: row for row in judged(matrix)}
    assert {name for name, row in rows.items() if row.flagged} == {"exploit", "homely"}
    assert rows["exploit"].says.endswith("although better at home")
    assert rows["exploit"].optimism == pytest.approx(2.0 - np.mean([-0.5, -0.4, -0.1]), abs=0.1)
    assert rows["exploit"].worst_away == pytest.approx(-0.5, abs=0.1)
    assert rows["homely"].says == "wins at home only"
    assert rows["sound"].regret == pytest.approx(1.6, abs=0.1)
    assert rows["mastery"].says == "the incumbent"
    assert ranks(matrix) < 0.9


def test_one_kind_of_learner_proves_nothing() -> None:
    plays = {name: {"BKT": np.arange(9.0) + shift} for name, shift in (("a", 0.0), ("b", 1.0))}
    row = judged(matrix_of(plays, {"b": "BKT"}, "a"))[1]
    assert (row.flagged, row.unsure, row.says) == (False, True, "played at home only: nothing is known")


def lost(gain: float, error: float, n: int = 400) -> dict[str, dict[str, np.ndarray]]:
    """An incumbent of spread .3; the candidate gains exactly `gain` +- `error` among KSS, and wins among DAS3H."""
    rng = np.random.default_rng(0)
    unit = rng.normal(size=n)
    unit = (unit - unit.mean()) / unit.std(ddof=1)
    theirs = 0.3 * unit[::-1]
    mine = theirs + gain + error * np.sqrt(n) * unit
    return {"old": dict.fromkeys(("DAS3H", "KSS"), theirs), "new": {"DAS3H": theirs + 0.5 + 0.1 * unit, "KSS": mine}}


@pytest.mark.parametrize(
    ("gain", "error", "flagged", "unsure"),
    [
        (-0.05, 0.03, False, True),  # no significant harm is not "no harm"
        (0.0, 0.03, False, True),
        (0.0, 0.01, False, False),  # loses .016 at most, .03 are agreed
        (0.05, 0.03, False, False),
        (-0.05, 0.01, True, False),
    ],
)
def test_no_harm_must_be_shown(gain: float, error: float, flagged: bool, unsure: bool) -> None:
    row = judged(matrix_of(lost(gain, error), {}, "old"))[1]
    assert (row.flagged, row.unsure) == (flagged, unsure), row.says
    wide = judged(matrix_of(lost(-0.02, 0.03), {}, "old"), margin=0.3)[1]
    assert not wide.unsure


def test_unfit_learners_decide_nothing() -> None:
    harmed = lost(-0.05, 0.01)
    row = judged(matrix_of(harmed, {}, "old", ("KSS",)))[1]
    assert (row.flagged, row.unsure) == (False, False)
    assert row.worst_away == pytest.approx(0.5)
    none = judged(matrix_of(harmed, {"new": "DAS3H"}, "old", ("KSS",)))[1]
    assert (none.unsure, none.says) == (True, "all other kinds of learners are unfit: nothing is known")


def test_verb_marks_unfit_learners(finished, monkeypatch: pytest.MonkeyPatch) -> None:
    from trailmark.envs.students.sampled import SampledStudent
    from trailmark.envs.tracers.das3h import DAS3H
    from trailmark.envs.validity import gate

    def poor(student) -> str:
        unfit = isinstance(student, SampledStudent) and isinstance(student.tracer, DAS3H)
        return "DAS3H predicts answers but is no learner. not action-sensitive" if unfit else ""

    monkeypatch.setattr(gate, "refusal", poor)
    words = ("robustness", "latest", "--also", "das3h", "rasch", "--learners", "20", "--to", "unfit.json")
    done = finished.call(*words)
    assert done.status == 0, done.err
    assert "unfit learners, das3h: DAS3H predicts answers but is no learner" in done.out
    found = json.loads((finished.folder / "unfit.json").read_text())
    assert list(found["unfit"]) == ["das3h"]
    assert all("das3h" not in verdict["says"] for verdict in found["verdict"].values())


def test_incomplete_matrices_are_refused() -> None:
    one, other = {"BKT": np.ones(3)}, {"KSS": np.ones(3)}
    with pytest.raises(ValueError, match="same kinds"):
        matrix_of({"a": one, "b": other}, {}, "a")
    with pytest.raises(ValueError, match="incumbent 'c'"):
        matrix_of({"a": one}, {}, "c")


def test_verb(finished) -> None:
    done = finished.call("robustness", "latest", "--also", "rasch", "--learners", "20", "--to", "matrix.json")
    assert done.status == 0, done.err
    assert any(word in done.out for word in ("holds among", "FLAGGED", "OPEN"))
    assert (finished.folder / "matrix.json").exists()
    done = finished.call("robustness", "latest", "--also", "rash")
    assert done.status == 2
    assert "--also rash: no such tracer" in done.err


SMALL = (
    *("agent=linucb", "horizon=40", "training.cohorts=8", "training.learners=160", "training.evaluate_every=0"),
    "evaluation.learners=10",
    *("~baselines.weakest_allowed", "~baselines.gap_per_minute", "~baselines.mastery_learning"),
)
LOOPHOLE = (
    *("allow=[loophole]", "accept_unfit_learners=true", "student._target_=loophole.Loophole"),
    *("~student.tracer", "~student.minutes", "~student.tempo", "~student.goals"),
    "+student.inner={_target_: trailmark.envs.students.sampled.SampledStudent, tracer: ${tracer}, minutes: 360}",
)


@pytest.mark.parametrize(("words", "exploits"), [((), False), (LOOPHOLE, True)])
def test_an_agent_trained_on_a_bug_is_flagged_and_the_same_agent_on_sound_learners_is_not(
    desks, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], exploits: bool
) -> None:
    """Trained for real, judged by the verb among learners of other kinds.

    In loophole.py one activity may teach everything. Whoever learns that does well at home and ill elsewhere.
    """
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    desk = desks()
    desk.train(*SMALL, *words)
    done = desk.call(
        *("robustness", "latest", "--also", "pfa", "best_lr", "--incumbent", "random_legal"),
        *("--learners", "100", "--allow", "loophole", "--to", "matrix.json"),
    )
    assert done.status == 0, done.err
    found = json.loads((desk.folder / "matrix.json").read_text())
    gain, error = found["gain"]["linucb"], found["error"]["linucb"]
    assert gain["home"] > 5 * error["home"]
    away = [gain["pfa"], gain["best_lr"]]
    assert (max(away) < 0.1 * gain["home"]) if exploits else (min(away) > 0.1 * gain["home"])
    assert found["verdict"]["linucb"]["flagged"] == exploits
    assert ("although better at home" in found["verdict"]["linucb"]["says"]) == exploits
    assert found["digest"]
