"""The staged rollout: sizes, the order of its rules, and how often it takes back what harms nobody."""

import numpy as np
import pytest
from scipy import stats

from trailmark.experiments.evidence.monitor import Units
from trailmark.experiments.evidence.rollout import Rollout, judge, pooled, stage_size

PLAN = Rollout(0.5, (0.1, 0.5, 1.0), looks=1)


def stage(rng: np.random.Generator, n: int, share: float, effect: float, level: float = 0.0) -> Units:
    treated = (rng.random(n) < share).astype(float)
    return Units(treated, level + rng.standard_normal(n) + effect * treated)


def test_sizes_are_those_of_the_two_sample_formula() -> None:
    assert PLAN.level == pytest.approx(0.05 / 2)
    z = stats.norm.isf(0.025) + stats.norm.ppf(0.8)
    assert stage_size(PLAN, 0) == pytest.approx(z**2 / (0.1 * 0.9 * 0.25), abs=4)
    assert stage_size(PLAN, 1) < stage_size(PLAN, 0)
    assert stage_size(PLAN, 2) == 0
    assert Rollout(0.5, guardrails=2).level == pytest.approx(0.05 / (5 * 2 * 3))


@pytest.mark.parametrize("bad", [(0.1, 0.5), (0.5, 0.1, 1.0), (1.0,), (0.0, 1.0)])
def test_shares_must_rise_to_one(bad: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="shares rise"):
        Rollout(0.5, bad)


@pytest.mark.parametrize(
    ("effect", "guardrail", "decision"),
    [(0.1, 0.1, "advance"), (-0.6, 0.0, "roll back"), (0.0, -0.6, "roll back"), (0.6, -0.2, "hold")],
)
def test_rules(effect: float, guardrail: float, decision: str) -> None:
    rng = np.random.default_rng(1)
    plan = Rollout(0.3, (0.2, 1.0), looks=1, guardrails=1)
    main = stage(rng, 4000, 0.2, effect)
    side = Units(main.treated, rng.standard_normal(4000) + guardrail * main.treated)
    if decision == "hold":
        few = slice(0, 60)
        main, side = Units(main.treated[few], main.value[few]), Units(side.treated[few], side.value[few])
    found = judge({"gain": [main], "time": [side]}, plan, "gain")
    assert found.decision == decision, found.reason
    assert set(found.guardrails) == {"time"}


def test_broken_split_stops_before_all_else() -> None:
    rng = np.random.default_rng(1)
    found = judge({"gain": [stage(rng, 2000, 0.5, -1.0)]}, Rollout(0.3, (0.2, 1.0), looks=1), "gain")
    assert found.decision == "stop"


def test_a_change_over_time_is_no_effect() -> None:
    """Later stages have better learners and more of the candidate: pooling the arms would see an effect."""
    rng = np.random.default_rng(2)
    parts = [stage(rng, 3000, 0.05, 0.0, level=0.0), stage(rng, 3000, 0.5, 0.0, level=1.0)]
    treated, value = (np.concatenate([getattr(part, name) for part in parts]) for name in ("treated", "value"))
    assert value[treated == 1].mean() - value[treated == 0].mean() > 0.3
    found = pooled(parts, 0.025)
    assert found.low < 0 < found.high
    gaps = [p.value[p.treated == 1].mean() - p.value[p.treated == 0].mean() for p in parts]
    by_arm = [[p.value[p.treated == a] for p in parts] for a in (0, 1)]
    common = [sum(x.var() * len(x) for x in arm) / sum(len(x) - 1 for x in arm) for arm in by_arm]
    precision = [1 / sum(s / (p.treated == a).sum() for a, s in enumerate(common)) for p in parts]
    assert found.value == pytest.approx(float(np.average(gaps, weights=precision)), rel=1e-12)


def test_a_stage_in_which_nobody_differed_blinds_no_later_one() -> None:
    """Nobody dropped out in the first stage; in the second 2 % did before and 60 % do now."""
    rng = np.random.default_rng(5)
    first, treated = np.repeat([0.0, 1.0], [900, 100]), np.repeat([0.0, 1.0], [500, 500])
    quiet = Units(first, np.zeros(1000))
    loud = Units(treated, -(rng.random(1000) < np.where(treated > 0, 0.6, 0.02)).astype(float))
    plan = Rollout(0.25, (0.1, 0.5, 1.0), looks=1)
    assert judge({"dropout": [quiet, loud]}, plan, "dropout").decision == "roll back"
    alone = judge({"dropout": [quiet]}, plan, "dropout")
    assert (alone.decision, alone.effect.low) == ("hold", -np.inf)


def test_a_harmless_candidate_is_seldom_taken_back_and_a_harmful_one_never_reaches_all() -> None:
    rng = np.random.default_rng(3)
    sizes = [stage_size(PLAN, i) for i in range(2)]
    ends: dict[float, list[str]] = {0.0: [], -0.5: []}
    for effect, list_ in ends.items():
        for _ in range(300):
            parts: list[Units] = []
            decision = "advance"
            for i in range(2):
                parts.append(stage(rng, sizes[i], PLAN.shares[i], effect))
                decision = judge({"gain": parts}, PLAN, "gain").decision
                if decision != "advance":
                    break
            list_.append(decision)
    assert np.mean([end == "roll back" for end in ends[0.0]]) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)
    assert np.mean([end == "advance" for end in ends[0.0]]) > 0.7
    assert np.mean([end == "advance" for end in ends[-0.5]]) <= 0.05
