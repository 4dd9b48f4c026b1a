"""The HTML reports: complete, self-contained, escaped, whole on disk, and honest in their first sentence."""

import copy
import json
import math
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree.ElementTree import tostring

import pytest
import torch

from trailmark.experiments import comparison as multirun
from trailmark.experiments import evaluation as measuring
from trailmark.experiments import figures, report, verdict
from trailmark.experiments import page as html
from trailmark.experiments.figures import SMALL, Dot, dots, shortened
from trailmark.experiments.goodhart_page import goodhart as section
from trailmark.experiments.goodhart_page import sentences
from trailmark.experiments.runs import RunError

SKILLS = ["Product basics", "<b>CRM", "Objection handling & closing", "Data privacy", "Forecasting", "Negotiation"]
OUTCOMES = [
    {
        "name": "learning_gain",
        "title": "Learning gain",
        "unit": "mean mastery of goal skills",
        "higher_is_better": True,
    },
    {"name": "time_to_mastery", "title": "Time to mastery", "unit": "minutes", "higher_is_better": False},
    {"name": "completion", "title": "Completion", "unit": "share of steps taken", "higher_is_better": True},
]
for entry in OUTCOMES:
    entry["is_outcome"] = entry["name"] != "completion"
# Name, kind, gain, minutes to mastery, completion, legal moves, hand-overs.
POLICIES = [
    ("ppo", "trained", 0.3112, 141.2, 0.91, 1.0, 0.0),
    ("linucb", "trained", 0.2687, 155.0, 0.95, 1.0, 0.0),
    ("mastery", "baseline", 0.2802, 150.4, 0.97, 1.0, 0.004),
    ("weakest_allowed", "baseline", 0.2501, 162.9, 0.94, 1.0, 0.0),
    ("fixed_order", "baseline", 0.2213, 171.3, 0.99, 1.0, 0.0),
    ("random_legal", "floor", 0.1804, 188.8, 0.96, 1.0, 0.0),
    ("random", "floor", 0.0913, 214.6, 0.98, 0.413, 0.0),
]


def span(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def policy(row: tuple[Any, ...], shift: float = 0.0) -> dict[str, Any]:
    name, kind, gain, minutes, completion, legal, handover = row
    pace = 0.03 + gain / 8
    tracks = [
        [1 - (0.75 - 0.07 * k) * math.exp(-pace * t * (1 + 0.3 * k)) for k in range(len(SKILLS))] for t in range(41)
    ]
    return {
        "name": name,
        "kind": kind,
        "values": {
            "learning_gain": span(gain + shift, 0.0062),
            "time_to_mastery": span(minutes, 2.4),
            "completion": span(completion, 0.008),
        },
        "difference": None,
        "legal_rate": legal,
        "handover_rate": handover,
        "minutes": 231.0,
        "steps": 30.1,
        "mastery_by_step": tracks,
    }


def pathway() -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    for t in range(18):
        skill = SKILLS[(t * t + t // 4) % len(SKILLS)]
        steps.append(
            {
                "step": t + 1,
                "activity": f"a{t % 9:02d}",
                "title": f"{skill}: part {t % 4 + 1}",
                "kind": ["lesson", "practice", "check"][t % 3],
                "minutes": 8.0 + 5 * (t % 4),
                "probability": 0.21 + 0.04 * (t % 7),
                "allowed": 9 - t % 5,
                "correct": None if t % 3 == 0 else 0.6 if t == 8 else float(t % 4 != 1),
                "reason": "weakest goal skill" if t % 2 else "unlocks Negotiation",
                "skill": skill,
                "before": 0.2 + 0.03 * t,
                "after": 0.24 + 0.03 * t,
                "handover": t == 12,
            }
        )
    return {"policy": "ppo", "learner": 17, "role": "sales", "goal": SKILLS[1:3], "steps": steps}


def goodhart() -> dict[str, Any]:
    """Rewarded for completions: a third more of them, clearly less learning, and time to mastery as it was."""

    def row(name: str, title: str, gain: float, minutes: float, done: float) -> dict[str, Any]:
        values = {
            "learning_gain": span(gain, 0.01),
            "time_to_mastery": span(minutes, 4.0),
            "completion": span(done, 0.5),
        }
        return {"name": name, "title": title, "values": values, "differences": {}}

    rows = [row("outcome", "rewarded: what counts", 0.30, 140.0, 30.0)]
    rows.append(row("completion", "rewarded: completion", 0.21, 141.0, 40.0))
    rows[1]["differences"] = {
        "learning_gain": span(-0.09, 0.01),
        "time_to_mastery": span(1.0, 3.0),
        "completion": span(10.0, 0.6),
    }
    return {"cohorts": 15, "learners": 256, "rows": rows}


def evaluation(difference: tuple[float, float, float] | None = (0.031, 0.024, 0.038)) -> dict[str, Any]:
    policies = [policy(row) for row in POLICIES]
    for number, one in enumerate(policies):
        if one["name"] != "mastery":
            gap = one["values"]["learning_gain"]["value"] - 0.2802
            one["difference"] = {"against": "mastery", **span(gap, 0.0071 + 0.0002 * number)}
    if difference is None:
        policies[0]["difference"] = None
    else:
        policies[0]["difference"] = {
            "against": "mastery",
            **dict(zip(("value", "low", "high"), difference, strict=True)),
        }
    elsewhere = {
        "SampledStudent(PFA)": [policy(row, -0.04) for row in POLICIES],
        "KSS": [policy(row, 0.0 if row[0] == "ppo" else 0.05) for row in POLICIES],
    }
    return {
        "schema": 1,
        "experiment": "onboarding",
        "run_id": "3f9c2a7e51",
        "seed": 0,
        "created": "2026-11-22T08:00:00Z",
        "commit": "deadbeef",
        "command": "trailmark train experiment=onboarding",
        "data": {
            "name": "sample",
            "digest": "sha256:9b1f",
            "learners": 400,
            "rows": 16000,
            "skills": 6,
            "activities": 40,
            "notes": ["Generated, not recorded: the answers come from known parameters."],
        },
        "tracer": {
            "name": "BKT",
            "rows": 3100,
            "learners": 80,
            "auc": span(0.7213, 0.0184),
            "log_loss": 0.5512,
            "accuracy": 0.7031,
            "ece": 0.0207,
            "floors": {
                "constant": {"auc": 0.5, "log_loss": 0.6402},
                "skill mean": {"auc": 0.6033, "log_loss": 0.6014},
            },
        },
        "student": "SampledStudent(BKT)",
        "horizon": 40,
        "eval_learners": 2000,
        "eval_seeds": 5,
        "outcomes": copy.deepcopy(OUTCOMES),
        "primary": "learning_gain",
        "policies": policies,
        "skills": list(SKILLS),
        "best_heuristic": "mastery",
        "learning_curve": {
            "steps": [2000 * i for i in range(1, 61)],
            "return": [0.32 - 0.22 * math.exp(-i / 14) + 0.008 * math.sin(2.1 * i) for i in range(1, 61)],
            "heldout": [{"step": 10_000 * i, **span(0.312 - 0.15 * math.exp(-i / 2.6), 0.009)} for i in range(13)],
        },
        "pathway": pathway(),
        "goodhart": goodhart(),
        "other_students": [{"student": name, "policies": rows} for name, rows in elsewhere.items()],
        "config": "seed: 0\nagent:\n  _target_: trailmark.agents.ppo.PPO\n",
        "warnings": ["The sample is small: 80 held-out learners."],
    }


def comparison(seeds: int = 5) -> dict[str, Any]:
    def scores(middle: float, width: float) -> list[float]:
        return [middle + width * math.sin(3 * s + 100 * middle) for s in range(seeds)]

    rows = [("ppo", "trained", 0.311, 0.012), ("linucb", "trained", 0.268, 0.006)]
    rows += [("mastery", "baseline", 0.280, 0.003), ("random_legal", "floor", 0.180, 0.004)]
    made = [{"name": n, "kind": k, "scores": scores(v, w), "iqm": span(v, w)} for n, k, v, w in rows]
    agents = [{k: v for k, v in one.items() if k != "kind"} for one in made[:2]]
    for one in agents:
        one |= {"seeds": list(range(seeds)), "runs": [f"{one['name']}-run-{s}" for s in range(seeds)]}
    return {
        "schema": 1,
        "experiment": "onboarding",
        "parent_run_id": "77aa01",
        "created": "2026-11-22T09:00:00Z",
        "commit": "deadbeef",
        "command": "trailmark train -m agent=linucb,ppo seed=0,1,2",
        "outcomes": copy.deepcopy(OUTCOMES),
        "primary": "learning_gain",
        "agents": agents,
        "baselines": made[2:],
        "improvement": [
            {"x": "ppo", "y": "linucb", "probability": {"value": 1.0, "low": 0.96, "high": 1.0}},
            {"x": "ppo", "y": "mastery", "probability": {"value": 0.92, "low": 0.72, "high": 1.0}},
            {"x": "linucb", "y": "mastery", "probability": {"value": 0.08, "low": 0.0, "high": 0.28}},
        ],
        "config": "agent: ???\n",
    }


class Page(HTMLParser):
    """What a reader meets: elements, attributes, texts; every element that is opened is closed in order."""

    VOID = ("meta", "br", "link", "img", "hr", "input")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.open: list[str] = []
        self.heading = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.pieces).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.pieces.append(data)
        if "h1" in self.open:
            self.heading += data

    def named(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in names]


def written(given: dict[str, Any], folder: Path) -> Page:
    return Page(report.write_report(given, folder / "report.html"))


def test_every_policy_and_interval_is_printed(tmp_path: Path) -> None:
    given = evaluation()
    page = written(given, tmp_path)
    for one in given["policies"]:
        assert verdict.policy_title(one["name"]) in page.text
        gain, minutes = one["values"]["learning_gain"], one["values"]["time_to_mastery"]
        assert "{value:.3f} [{low:.3f}, {high:.3f}]".format(**gain) in page.text
        assert "{value:.0f} [{low:.0f}, {high:.0f}]".format(**minutes) in page.text
        assert "{value:.3f} [{low:.3f}, {high:.3f}]".format(**one["values"]["completion"]) in page.text
    for other in given["other_students"]:
        assert other["student"] in page.text
        for one in other["policies"]:
            assert "{value:.3f} [{low:.3f}, {high:.3f}]".format(**one["values"]["learning_gain"]) in page.text
    assert "0.721 [0.703, 0.740]" in page.text
    assert "41.3 %" in page.text
    assert "−0.012 [−0.019, −0.004]" in page.text


def test_every_section_and_step_is_there(tmp_path: Path) -> None:
    given = evaluation()
    page = written(given, tmp_path)
    for word in ("sha256:9b1f", "deadbeef", "3f9c2a7e51", given["command"], "_target_: trailmark.agents.ppo.PPO"):
        assert word in page.text
    for step in given["pathway"]["steps"]:
        assert step["title"] in page.text
    for number in range(1, 9):
        assert re.search(rf"\b{number}\. [A-Z]", page.text)
    assert "not an outcome: shown to say why not" in page.text
    assert given["warnings"][0] in page.text
    assert page.text.index("Time to mastery minutes") < page.text.index("Completion not an outcome")


def test_the_table_is_sorted_best_first(tmp_path: Path) -> None:
    given = evaluation()
    given["policies"].reverse()
    page = written(given, tmp_path)
    order = [
        page.text.index(f"{verdict.policy_title(row[0])} {verdict.KINDS[row[1]]}")
        for row in POLICIES
        if row[0] != "linucb"
    ]
    assert order == sorted(order)
    given["primary"] = "time_to_mastery"
    page = written(given, tmp_path)
    start = page.text.index("All outcomes")
    assert page.text.index("PPO trained", start) < page.text.index("Random legal floor", start)


def test_the_page_needs_nothing_from_outside(tmp_path: Path) -> None:
    for path in (
        report.write_report(evaluation(), tmp_path / "a.html"),
        multirun.write_comparison(comparison(), tmp_path / "b.html"),
    ):
        raw, page = path.read_text(encoding="utf-8"), Page(path)
        assert not re.search(r"https?:|//\w|@import|url\(|src\s*=|@font-face", raw)
        assert not page.named("script", "link", "img", "iframe", "object", "image", "use")
        assert all((a["href"] or "").startswith("#") for a in page.named("a"))
        assert str(Path(report.__file__).parent) not in raw


def test_pictures_are_described_and_links_arrive(tmp_path: Path) -> None:
    page = written(evaluation(), tmp_path)
    pictures = page.named("svg")
    assert len(pictures) >= 9
    assert all(p.get("role") == "img" and p.get("aria-label") for p in pictures)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {(a["href"] or "")[1:] for a in page.named("a")} <= set(ids)
    assert len(page.named("h1")) == 1
    numbers = [
        float(v) for a in page.named("line", "rect", "circle", "text") for k, v in a.items() if k in ("x", "y", "x1")
    ]
    assert numbers
    assert all(-1 <= number <= 2000 for number in numbers)


def test_texts_are_escaped(tmp_path: Path) -> None:
    given = evaluation()
    given["policies"][0]["name"] = "<script>alert(1)</script>"
    given["config"] = "</code></pre><img src=x>"
    given["student"] = '"><svg onload=alert(1)>'
    given["warnings"] = ["a < b & c"]
    page = written(given, tmp_path)
    assert not page.named("script", "b", "img")
    assert all(name in ("viewBox", "viewbox", "role", "aria-label", "class") for a in page.named("svg") for name in a)
    for word in ("<b>CRM", "<script>alert(1)</script>", given["config"], given["student"], "a < b & c"):
        assert word in page.text


@pytest.mark.parametrize(
    ("difference", "sentence"),
    [
        ((0.031, 0.024, 0.038), "PPO beats the best heuristic (Mastery) on learning gain by 0.031 [0.024, 0.038]"),
        (
            (-0.02, -0.031, -0.009),
            "PPO does not beat the best heuristic (Mastery) on learning gain: it is worse by 0.020 [0.009, 0.031]",
        ),
        (
            (0.003, -0.009, 0.015),
            "PPO does not beat the best heuristic (Mastery) on learning gain: the difference is not distinguishable "
            "from zero, +0.003 [−0.009, +0.015]",
        ),
        ((0.003, 0.0, 0.006), "the difference is not distinguishable from zero"),
        ((0.008, 0.0002, 0.0158), "PPO beats the best heuristic (Mastery) on learning gain by 0.0080 [0.0002, 0.0158]"),
    ],
)
def test_the_verdict_follows_the_interval(
    tmp_path: Path, difference: tuple[float, float, float], sentence: str
) -> None:
    given = evaluation(difference)
    assert sentence in verdict.verdict(given)
    assert written(given, tmp_path).heading == verdict.verdict(given) + "."


def test_the_verdict_knows_when_lower_is_better() -> None:
    given = evaluation((-9.2, -12.0, -6.4))
    given["primary"] = "time_to_mastery"
    assert verdict.verdict(given) == "PPO beats the best heuristic (Mastery) on time to mastery by 9 [6, 12]"
    given = evaluation((9.2, 6.4, 12.0))
    given["primary"] = "time_to_mastery"
    assert "it is worse by 9 [6, 12]" in verdict.verdict(given)


def test_the_verdict_without_a_paired_difference_is_the_wider_one() -> None:
    given = evaluation(None)
    assert "beats the best heuristic (Mastery) on learning gain by 0.031 [0.019, 0.043]" in verdict.verdict(given)
    given["best_heuristic"] = None
    assert "there is no heuristic to compare it with" in verdict.verdict(given)
    given["policies"] = [p for p in given["policies"] if p["kind"] != "trained"]
    assert verdict.verdict(given).startswith("No trained policy")


def test_titles_replace_names_where_given(tmp_path: Path) -> None:
    given = evaluation()
    given["policies"][0]["title"], given["policies"][2]["title"] = "PPO", "mastery learning"
    assert written(given, tmp_path).heading.startswith(
        "PPO beats the best heuristic (mastery learning) on learning gain"
    )


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("weakest_allowed", "Weakest allowed"),
        ("ppo", "PPO"),
        ("linucb", "LinUCB"),
        ("dqn_small", "DQN small"),
        ("gap_per_minute", "Gap per minute"),
        ("ppo rate 0.01", "PPO rate 0.01"),
        ("random_kss-ppo", "Random KSS-PPO"),
        ("myBandit", "MyBandit"),
        ("ppos", "Ppos"),
    ],
)
def test_names_of_configs_become_titles(name: str, title: str) -> None:
    assert verdict.policy_title(name) == title


def test_an_evaluation_names_its_policies_with_titles() -> None:
    world: Any = SimpleNamespace(outcomes={"gain": SimpleNamespace(higher_is_better=True)})
    ones = torch.ones(4)
    plays: Any = {
        name: [
            SimpleNamespace(
                **{"values": {"gain": value * ones}, "mastery": [ones], "steps": ones, "minutes": ones},
                **{"legal": ones, "handovers": 0 * ones},
            )
        ]
        for name, value in (("linucb", 0.5), ("weakest_allowed", 0.2))
    }
    policy: Any = SimpleNamespace(guarded=True)
    contestants = {"linucb": ("trained", policy), "weakest_allowed": ("baseline", policy)}
    rows = measuring.table(world, contestants, plays, "gain")
    assert [(row["name"], row["title"]) for row in rows] == [
        ("linucb", "LinUCB"),
        ("weakest_allowed", "Weakest allowed"),
    ]


def test_the_best_heuristic_of_other_learners_is_their_own(tmp_path: Path) -> None:
    given = evaluation()
    for one in given["other_students"][0]["policies"]:
        if one["name"] == "ppo":
            one["difference"] = {"against": "fixed_order", **span(-0.002, 0.001)}
    page = written(given, tmp_path)
    assert page.text.count("best heuristic: Fixed order") == 1
    assert page.text.count("best heuristic: Mastery") == 3
    assert "Wins only at home: PPO is clearly ahead" in page.text


def test_a_win_at_home_alone_is_flagged(tmp_path: Path) -> None:
    given = evaluation()
    assert "Wins only at home" not in written(given, tmp_path).text
    assert (
        "ahead of the best heuristic on 1 of 2 other kinds of learner (SampledStudent(PFA)), and not on KSS."
        in written(given, tmp_path).text
    )
    for other in given["other_students"]:
        other["policies"][0]["values"]["learning_gain"] = span(0.2, 0.01)
    assert "Wins only at home" in written(given, tmp_path).text


def test_doubts_come_from_the_numbers() -> None:
    plain = " ".join(verdict.doubts(evaluation()))
    for words in ("than a floor", "Only", "forbidden", "handed"):
        assert words not in plain
    given = evaluation()
    given["tracer"]["auc"], given["eval_seeds"] = span(0.61, 0.02), 2
    given["policies"][0] |= {"legal_rate": 0.9, "handover_rate": 0.05}
    text = " ".join(verdict.doubts(given))
    for words in (
        "predicts no better than a floor",
        "Only 2 evaluation seeds",
        "forbidden activity in 10.0 %",
        "handed 5.0 %",
    ):
        assert words in text


def test_many_skills_show_those_that_change_most(tmp_path: Path) -> None:
    given = evaluation()
    given["skills"] = [f"skill {k:02d}" for k in range(60)]
    for one in given["policies"]:
        one["mastery_by_step"] = [[0.1 + 0.01 * t * (k % 30) / 30 for k in range(60)] for t in range(200)]
    page = written(given, tmp_path)
    assert "Of 60 skills, 40 are shown" in page.text
    assert "skill 29" in page.text
    assert "skill 30" not in page.text
    assert len(page.named("rect")) < 6000


def test_a_run_without_a_log_has_no_learner_model_to_check(tmp_path: Path) -> None:
    given = evaluation()
    given["tracer"] = {}
    given["data"] |= {"name": "none (learners made by hand)", "digest": "", "learners": 0, "rows": 0}
    page = written(given, tmp_path)
    assert "none (learners made by hand): 6 skills, 40 activities Note" in page.text
    assert "not checked: there are no recorded answers" in page.text
    assert "AUC" not in page.text
    assert "digest" not in page.text


def test_a_reason_runs_under_its_step_and_later_steps_are_folded(tmp_path: Path) -> None:
    given = evaluation()
    page = written(given, tmp_path)
    raw = (tmp_path / "report.html").read_text(encoding="utf-8")
    steps = re.findall(r'<tr class="(?:handover )?noted"><th scope="row" rowspan="2">(\d+)<', raw)
    assert steps == [str(number) for number in range(1, 19)]
    assert len(page.named("tr")) == len(re.findall("<tr", raw))
    notes = re.findall(r'<tr class="(?:handover )?note"><td colspan="8"><div>(.*?)</div>', raw)
    assert notes == [step["reason"] for step in given["pathway"]["steps"]]
    folded = raw[raw.index('<details class="rest">') : raw.index("</details>")]
    assert re.findall(r'rowspan="2">(\d+)<', folded) == [str(number) for number in range(13, 19)]
    assert "Show the next 6 steps" in folded
    given["pathway"]["steps"] = given["pathway"]["steps"][:12]
    assert "Show the next" not in written(given, tmp_path).text


def test_missing_numbers_become_dashes(tmp_path: Path) -> None:
    given = evaluation()
    given["policies"][1]["values"]["time_to_mastery"] = {"value": math.nan, "low": math.nan, "high": math.nan}
    del given["policies"][3]["values"]["learning_gain"]
    page = written(given, tmp_path)
    assert "–" in page.text
    assert "nan" not in page.text


def test_empty_lists_do_not_crash(tmp_path: Path) -> None:
    given = evaluation()
    for key in ("policies", "skills", "other_students", "warnings"):
        given[key] = []
    given |= {"best_heuristic": None, "learning_curve": {"steps": [], "return": [], "heldout": []}, "config": ""}
    given["pathway"]["steps"], given["pathway"]["goal"] = [], []
    given["tracer"]["floors"], given["data"]["notes"] = {}, []
    page = written(given, tmp_path)
    assert "No pathway was recorded" in page.text
    compared = comparison()
    for key in ("agents", "baselines", "improvement"):
        compared[key] = []
    assert "No agent finished" in Page(multirun.write_comparison(compared, tmp_path / "c.html")).text


def test_one_point_and_equal_values_draw(tmp_path: Path) -> None:
    given = evaluation()
    given["learning_curve"] = {"steps": [500], "return": [0.0], "heldout": [{"step": 0, **span(0.0, 0.0)}]}
    for one in given["policies"]:
        one["values"]["learning_gain"] = span(0.0, 0.0)
        one["mastery_by_step"] = one["mastery_by_step"][:1]
        one["difference"] = None
    written(given, tmp_path)


def test_bad_input_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    for change, words in [
        ({"schema": 2}, "schema 2"),
        ({"primary": "profit"}, "'profit' is none of its outcomes"),
        ({"policies": [evaluation()["policies"][0] | {"kind": "magic"}]}, "'ppo' has kind 'magic'"),
    ]:
        with pytest.raises(ValueError, match=words):
            report.write_report(evaluation() | change, target)
    given = evaluation()
    del given["skills"]
    with pytest.raises(ValueError, match="lacks skills"):
        report.write_report(given, target)
    with pytest.raises(ValueError, match="lacks parent_run_id"):
        multirun.write_comparison(evaluation(), target)
    assert not target.exists()


def test_a_report_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = report.write_report(evaluation(), tmp_path / "new folder" / "report.html")
    before = target.read_bytes()
    assert os.listdir(target.parent) == ["report.html"]

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(html.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        report.write_report(evaluation((-0.02, -0.03, -0.01)), target)
    assert target.read_bytes() == before
    assert os.listdir(target.parent) == ["report.html"]


def test_the_same_evaluation_gives_the_same_bytes(tmp_path: Path) -> None:
    first = report.write_report(evaluation(), tmp_path / "a.html").read_bytes()
    assert report.write_report(evaluation(), tmp_path / "b.html").read_bytes() == first


def test_comparison_prints_every_agent_seed_and_interval(tmp_path: Path) -> None:
    given = comparison()
    page = Page(multirun.write_comparison(given, tmp_path / "c.html"))
    for one in [*given["agents"], *given["baselines"]]:
        assert verdict.policy_title(one["name"]) in page.text
        assert "{value:.3f} [{low:.3f}, {high:.3f}]".format(**one["iqm"]) in page.text
    assert all(run in page.text for one in given["agents"] for run in one["runs"])
    faint = [a for a in page.named("circle") if a["class"] == "faint"]
    assert len(faint) == 20
    assert "PPO over Mastery 0.92 [0.72, 1.00]" in page.text
    assert page.heading == (
        "PPO beats Mastery on learning gain: interquartile mean 0.311 [0.299, 0.323] over 5 seeds against "
        "0.280 [0.277, 0.283]."
    )
    assert "Only" not in page.text


def test_comparison_of_few_seeds_says_so(tmp_path: Path) -> None:
    page = Page(multirun.write_comparison(comparison(3), tmp_path / "c.html"))
    assert "Only 3 seeds" in page.text


@pytest.mark.parametrize(
    ("value", "words"), [(0.29, "not clearly apart"), (0.2, "does not beat Mastery"), (0.33, "PPO beats Mastery")]
)
def test_comparison_verdict_follows_the_intervals(value: float, words: str) -> None:
    given = comparison()
    given["agents"] = given["agents"][:1]
    given["agents"][0]["iqm"] = span(value, 0.012)
    assert words in multirun.comparison_verdict(given)


def test_text_between_elements_keeps_its_place() -> None:
    made = html.element("p", {"class": "x"}, "a < ", html.element("b", None, "b"), " & c", " d")
    assert tostring(made, encoding="unicode", method="html") == '<p class="x">a &lt; <b>b</b> &amp; c d</p>'


def test_long_labels_are_cut_at_their_end() -> None:
    assert shortened("Ticket triage", 144) == "Ticket triage"
    cut = shortened("How the company works from day to day", 144)
    assert cut.endswith("…")
    assert "How the company works from day to day".startswith(cut[:-1])
    assert 12 <= len(cut) <= 22
    assert len(shortened("W" * 40, 144)) * SMALL <= 144
    assert len(shortened("i" * 40, 144)) > len(cut)


def stored(folder: Path) -> tuple[Path, Path]:
    """Store one run and one multirun's parent as the verbs leave them."""
    run, parent = folder / "runs" / "3f9c2a7e51", folder / "runs" / "77aa01"
    for path in (run, parent):
        path.mkdir(parents=True)
    (run / "config.yaml").write_text("agent: {}\n")
    (run / "evaluation.json").write_text(json.dumps(evaluation()))
    (parent / "comparison.json").write_text(json.dumps(comparison()))
    return run, parent


def test_the_verb_writes_a_runs_report_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, parent = stored(tmp_path)
    output = ["--output", str(tmp_path / "runs")]
    report.main(["3f9c", *output])
    assert capsys.readouterr().out == f"report: {run / 'report.html'}\n"
    assert Page(run / "report.html").heading.startswith("PPO beats the best heuristic")
    report.main(["77aa", *output])
    assert capsys.readouterr().out == f"report: {parent / 'comparison.html'}\n"
    assert "over 5 seeds" in Page(parent / "comparison.html").heading
    report.main(["latest", *output, "--to", str(tmp_path / "new" / "page.html")])
    report.main([str(parent), *output, "--to", str(tmp_path / "other.html")])
    assert (tmp_path / "new" / "page.html").read_bytes() == (run / "report.html").read_bytes()
    assert (tmp_path / "other.html").read_bytes() == (parent / "comparison.html").read_bytes()


def test_the_verb_says_what_it_cannot_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, _ = stored(tmp_path)
    output = ["--output", str(tmp_path / "runs")]

    def refused(*words: str) -> str:
        with pytest.raises(SystemExit, match="2"):
            report.main([*words, *output])
        return capsys.readouterr().err

    assert "no run 'zz'" in refused("zz")
    assert "no run ''" in refused("")
    assert "is a folder; name a file" in refused("3f9c", "--to", str(run))
    assert "cannot be written" in refused("3f9c", "--to", str(run / "config.yaml" / "page.html"))
    (run / "evaluation.json").write_text('{"schema": 2}')
    assert "run 3f9c: evaluation has schema 2" in refused("3f9c")
    (run / "evaluation.json").write_text("{")
    assert "what run 3f9c found is damaged" in refused("3f9c")
    (run / "evaluation.json").unlink()
    assert "no evaluation yet" in refused("3f9c")
    assert not (run / "report.html").exists()


def test_one_id_means_one_page(tmp_path: Path) -> None:
    run, parent = stored(tmp_path)
    parent.rename(parent.with_name("3f9caa"))
    with pytest.raises(RunError, match="give more of it"):
        report.measured(tmp_path / "runs", "3f9c")
    assert report.measured(tmp_path / "runs", "3f9c2")[1] == run / "report.html"
    assert report.measured(tmp_path / "runs", "3f9ca")[1].name == "comparison.html"


def test_ticks_are_round_and_inside() -> None:
    assert figures.ticks(0.0, 1.0, 5) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert figures.ticks(-0.013, 0.042, 5) == [0.0, 0.02, 0.04]
    assert figures.ticks(2000.0, 120000.0, 6) == [20000.0, 40000.0, 60000.0, 80000.0, 100000.0, 120000.0]


def test_colours_grow_lighter_with_mastery() -> None:
    def light(code: str) -> float:
        return sum(w * int(code[i : i + 2], 16) for w, i in ((0.30, 1), (0.59, 3), (0.11, 5)))

    shades = [light(figures.colour(step / 20)) for step in range(21)]
    assert shades == sorted(shades)
    assert figures.colour(-1.0) == figures.colour(0.0)
    assert figures.colour(2.0) == figures.colour(1.0)


def test_goodhart_says_what_is_won_and_what_is_lost() -> None:
    said = sentences(evaluation())
    assert said == [
        "Rewarded for completion, the agent gets +10.0 [+9.4, +10.6] of it (33.3 % more), while learning gain changes "
        "by \u22120.090 [\u22120.100, \u22120.080]; clearly worse: learning gain."
    ]
    text = "".join(tostring(part, encoding="unicode") for part in section(evaluation()))
    assert text.count("\u25bc") == 2  # the legend, and the one outcome that suffers
    assert "0.210 [0.200, 0.220] \u25bc" in text
    assert "for 15 cohorts of 256 learners" in text
    harmless = evaluation()
    harmless["goodhart"]["rows"][1]["differences"]["learning_gain"] = span(-0.005, 0.01)
    assert sentences(harmless)[0].endswith("; no outcome is clearly worse.")
    slower = evaluation()
    slower["goodhart"]["rows"][1]["differences"]["time_to_mastery"] = span(9.0, 3.0)
    assert sentences(slower)[0].endswith("clearly worse: learning gain, time to mastery.")


def test_goodhart_is_missed_without_a_fault() -> None:
    without = evaluation()
    del without["goodhart"]
    assert "Not measured in this run" in tostring(section(without)[0], encoding="unicode")
    without["goodhart"] = None
    assert "Not measured in this run" in tostring(section(without)[0], encoding="unicode")


def test_an_axis_too_long_for_its_picture_keeps_which_end_is_better() -> None:
    row = Dot("PPO", "trained", 0.5, 0.4, 0.6, "0.5")
    picture = tostring(
        dots([row], "d", "mean mastery of goal skills some weeks later, end minus start; higher is better")
    )
    assert b">higher is better<" in picture
    assert b">gain; higher is better<" in tostring(dots([row], "d", "gain; higher is better"))
