"""The robustness matrix: an exploit is flagged, a sound policy is not."""

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
    assert judged(matrix_of(plays, {"b": "BKT"}, "a"))[1].flagged


def test_incomplete_matrices_are_refused() -> None:
    one, other = {"BKT": np.ones(3)}, {"KSS": np.ones(3)}
    with pytest.raises(ValueError, match="same kinds"):
        matrix_of({"a": one, "b": other}, {}, "a")
    with pytest.raises(ValueError, match="incumbent 'c'"):
        matrix_of({"a": one}, {}, "c")


def test_verb(finished) -> None:
    done = finished.call("robustness", "latest", "--also", "rasch", "--learners", "20", "--to", "matrix.json")
    assert done.status == 0, done.err
    assert "holds among" in done.out or "FLAGGED" in done.out
    assert (finished.folder / "matrix.json").exists()
    done = finished.call("robustness", "latest", "--also", "rash")
    assert done.status == 2
    assert "--also rash: no such tracer" in done.err
