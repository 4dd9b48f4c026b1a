import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trailmark.data.catalog import Activity, Catalog, Skill
from trailmark.data.errors import DataError
from trailmark.data.log import Log
from trailmark.data.sources.sample import Sample
from trailmark.data.sources.synthetic import SAMPLE, SAMPLE_FOLDER, Synthetic


@pytest.fixture(scope="module")
def made() -> tuple[Log, Catalog, dict[str, np.ndarray]]:
    source = Synthetic(learners=3000, steps=60, seed=7)
    return *source.load(), source.truth()


def test_sample_is_what_the_generator_makes(tmp_path: Path) -> None:
    log, catalog = Sample().load()
    made_log, made_catalog = SAMPLE.load()
    assert log.digest() == made_log.digest()
    assert catalog.digest() == made_catalog.digest()
    done = subprocess.run(
        [sys.executable, "-m", "trailmark.data.sources.synthetic", tmp_path], capture_output=True, text=True, check=True
    )
    assert log.digest() in done.stdout
    assert Log.load(tmp_path / "log.parquet", Catalog.load(tmp_path)).digest() == log.digest()
    assert (tmp_path / "catalog.json").read_bytes() == (SAMPLE_FOLDER / "catalog.json").read_bytes()


def test_sample_is_a_believable_programme() -> None:
    log, catalog = Sample().load()
    assert len(log) == 16_000
    assert len(log.learners) == 400
    assert (log.name, len(log.notes)) == ("sample", 1)
    assert "nobody" in log.notes[0]
    assert catalog.roles == ("engineer", "sales", "support")
    assert len(catalog.skills) == 15
    assert {activity.kind for activity in catalog.activities} == {
        "video",
        "reading",
        "worked_example",
        "practice",
        "quiz",
        "scenario",
        "project",
        "coaching",
    }
    assert sum(activity.mandatory for activity in catalog.activities) == 2
    assert catalog.activities[catalog.fallback].kind == "coaching"
    assert catalog.minutes().min() >= 4
    assert catalog.minutes().max() <= 45
    assert set(log.frame["activity"]) == set(catalog.activity_ids)
    assert {name: count for name, count in log.frame["role"].value_counts().items() if count < 4000} == {}
    assert log.sequences(catalog).timed


def test_every_role_can_reach_its_goals() -> None:
    catalog = Sample().load()[1]
    q, before, first = catalog.q_matrix(), catalog.skill_prerequisites(), catalog.activity_prerequisites()
    for role, goals in enumerate(catalog.goals()):
        offered = catalog.offered()[role]
        assert not before[goals][:, ~goals].any()
        assert not q[offered][:, ~goals].any()
        assert not first[offered][:, ~offered].any()
        assert (q[offered].sum(0)[goals] >= 2).all()


def test_same_seed_same_log_and_only_then() -> None:
    first = Synthetic(learners=20, steps=5, seed=1)
    assert first.load()[0].digest() == Synthetic(learners=20, steps=5, seed=1).load()[0].digest()
    assert first.load()[0].digest() != Synthetic(learners=20, steps=5, seed=2).load()[0].digest()
    assert not np.array_equal(first.truth()["learn"], Synthetic(seed=2).truth()["learn"])
    for name, value in Synthetic(learners=9, steps=2, seed=1).truth().items():
        np.testing.assert_array_equal(value, first.truth()[name])


def test_truth_is_in_its_ranges() -> None:
    truth = Synthetic().truth()
    for name, (low, high) in {
        "prior": (0.05, 0.4),
        "learn": (0.08, 0.35),
        "guess": (0.1, 0.3),
        "slip": (0.05, 0.15),
        "forget_per_day": (0.002, 0.02),
    }.items():
        assert truth[name].shape == (15,)
        assert low <= truth[name].min() < truth[name].max() <= high
    assert truth["class_weight"].sum() == 1
    assert truth["class_shift"].shape == truth["class_weight"].shape
    assert truth["gate"] == 0.15


def replay(log: Log, catalog: Catalog) -> pd.DataFrame:
    """The logger's rule told a second time, learner by learner: who had which choices, by what chance."""
    needs = {skill.id: set(skill.prerequisites) for skill in catalog.skills}
    told = []
    for _, life in log.frame.groupby("learner", sort=False):
        answers: dict[str, list[float]] = {skill.id: [] for skill in catalog.skills}
        done: set[str] = set()
        for row in life.itertuples():
            opened = [
                activity
                for activity in catalog.activities
                if row.role in (activity.roles or catalog.roles)
                and done.issuperset(activity.prerequisites)
                and all(any(answers[p][-3:]) for skill in activity.skills for p in needs[skill] - set(activity.skills))
            ]
            new = [activity for activity in opened if activity.id not in done] or opened
            chosen = catalog.activities[catalog.activity_index[row.activity]]
            told.append((chosen in opened, 0.25 / len(opened) + 0.75 * (chosen in new) / len(new)))
            done.add(chosen.id)
            for skill in chosen.skills:
                answers[skill].append(row.correct)
    return pd.DataFrame(told, columns=["allowed", "propensity"])


def test_propensities_are_exact() -> None:
    log, catalog = Synthetic(learners=60, steps=60, seed=3).load()
    told = replay(log, catalog)
    assert told["allowed"].all()
    np.testing.assert_allclose(log.frame["propensity"], told["propensity"], rtol=1e-12)


def test_inverse_propensities_count_the_choices(made: tuple[Log, Catalog, dict[str, np.ndarray]]) -> None:
    log, catalog, _ = made
    first = log.frame.groupby("learner").head(1)
    waiting = catalog.q_matrix() @ catalog.skill_prerequisites().any(1) | catalog.activity_prerequisites().any(1)
    for role, name in enumerate(catalog.roles):
        open_at_first = (catalog.offered()[role] & ~waiting).sum()
        own = first[first["role"] == name]
        assert (1 / own["propensity"]).mean() == pytest.approx(open_at_first)
        shares = own["activity"].value_counts(normalize=True)
        assert len(shares) == open_at_first
        assert shares.max() - shares.min() < 6 * np.sqrt(1 / open_at_first / len(own))


def test_first_answers_show_prior_guess_and_slip(made: tuple[Log, Catalog, dict[str, np.ndarray]]) -> None:
    log, catalog, truth = made
    first = log.frame.groupby("learner").head(1)
    odds = truth["prior"] / (1 - truth["prior"]) * np.exp(truth["class_shift"])[:, None]
    known = (odds / (1 + odds) * truth["class_weight"][:, None]).sum(0)
    p_skill = known * (1 - truth["slip"]) + (1 - known) * truth["guess"]
    p_activity = catalog.q_matrix() @ p_skill / catalog.q_matrix().sum(1)
    expected = p_activity[first["activity"].map(catalog.activity_index)]
    error = np.sqrt((expected * (1 - expected)).sum()) / len(first)
    assert first["correct"].mean() == pytest.approx(expected.mean(), abs=4 * error)


def single(prerequisites: tuple[str, ...] = ()) -> Catalog:
    skills = (Skill("base"), Skill("s", "", prerequisites)) if prerequisites else (Skill("s"),)
    return Catalog(skills, (Activity("a", "", "practice", ("s",), 10),))


def test_one_skill_follows_the_bkt_equations(tmp_path: Path) -> None:
    single().save(tmp_path / "one.json")
    source = Synthetic(learners=40_000, steps=4, seed=5, catalog=str(tmp_path / "one.json"))
    log, catalog = source.load()
    truth = {name: float(value[0]) for name, value in source.truth().items() if value.shape == (1,)}
    correct = log.frame["correct"].to_numpy().reshape(-1, 4)
    days = log.sequences(catalog).days.reshape(-1, 4)
    weights, shifts = source.truth()["class_weight"], source.truth()["class_shift"]
    odds = truth["prior"] / (1 - truth["prior"]) * np.exp(shifts)
    known = np.full(len(correct), (weights * odds / (1 + odds)).sum())
    for step in range(4):
        if step:
            known = known + (1 - known) * truth["learn"]
            known = known * np.exp(-truth["forget_per_day"] * (days[:, step] - days[:, step - 1]))
        expected = known * (1 - truth["slip"]) + (1 - known) * truth["guess"]
        assert correct[:, step].mean() == pytest.approx(expected.mean(), abs=4 * 0.5 / np.sqrt(len(correct)))


def test_gate_slows_learning_before_its_prerequisite(tmp_path: Path) -> None:
    accuracy = {}
    for name, before in {"free": (), "gated": ("base",)}.items():
        catalog = Catalog(
            (Skill("s"), Skill("base")) if not before else (Skill("s", "", before), Skill("base")),
            (Activity("a", "", "practice", ("s",), 10),),
        )
        catalog.save(tmp_path / f"{name}.json")
        log, _ = Synthetic(learners=4000, steps=8, seed=5, catalog=str(tmp_path / f"{name}.json")).load()
        accuracy[name] = log.frame["correct"].to_numpy().reshape(-1, 8)[:, -1].mean()
    assert accuracy["gated"] < accuracy["free"] - 0.1


def test_forgetting_shows_in_long_gaps(tmp_path: Path) -> None:
    single().save(tmp_path / "one.json")
    source = Synthetic(learners=4000, steps=60, seed=1, catalog=str(tmp_path / "one.json"))
    log, catalog = source.load()
    gap = np.diff(log.sequences(catalog).days.reshape(-1, 60), axis=1)[:, 30:]
    correct = log.frame["correct"].to_numpy().reshape(-1, 60)[:, 31:]
    loss = 1 - np.exp(-source.truth()["forget_per_day"][0] * gap[gap > 1].mean())
    fall = correct[gap < 0.1].mean() - correct[gap > 1].mean()
    span = 1 - source.truth()["slip"][0] - source.truth()["guess"][0]
    assert fall == pytest.approx(loss * span, abs=0.012)
    assert fall > 0.025


def test_sessions_and_minutes(made: tuple[Log, Catalog, dict[str, np.ndarray]]) -> None:
    log, catalog, _ = made
    days = np.diff(log.sequences(catalog).days.reshape(-1, 60), axis=1)
    assert ((days < 0.15) | (days > 1)).all()
    sizes = [np.diff(np.flatnonzero(row > 1)) for row in days]
    assert set(np.concatenate(sizes)) == set(range(5, 11))
    expected = catalog.minutes()[log.sequences(catalog).activity]
    assert np.log(log.frame["minutes"] / expected).std() == pytest.approx(0.3, abs=0.01)
    assert (log.frame["timestamp"] % 1 == 0).all()


@pytest.mark.parametrize("fields", [{"learners": 0}, {"steps": 0}, {"seed": -1}])
def test_impossible_settings_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(DataError, match="make no log"):
        Synthetic(**fields)
