"""The page of a validity card: one file that needs nothing else, readable on a telephone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from . import card_figures as draw
from .card import REAL_CURVES
from .card_verdict import band, counted, ours
from .page import bullets, element, figure, folded, grid, how_to_repeat, legend, page, paragraph, table

Json = Mapping[str, Any]

RULE = (
    "A claim that one policy beats another needs more than one kind of learner: show it on SSR, MCM, ACT-R, FSRS and "
    "learners fitted to a log, four of five of them, and on both spreads of learning rates."
)


def card_page(found: Json) -> str:
    """Return the page of one card."""
    sections = [
        ("gate", "The gate", _gate(found)),
        ("effects", "Published effects", _effects(found)),
        ("curves", "Curves", _curves(found)),
        ("prediction", "Prediction and calibration", _prediction(found)),
        ("sanity", "Sanity of the mechanism", [_checks("What holds for any learner", found["sanity"])]),
        ("about", "What these learners are", [paragraph(found["about"]), paragraph(RULE)]),
        ("again", "How to run it again", how_to_repeat(found)),
    ]
    passed, tried = counted(found)
    failed = [r["name"] for r in found["gate"] if not r["passed"]]
    asked = [r for r in found["gate"] if not r["missing"]]
    facts = [
        ("Published effects in their bands", f"{passed} of {tried}", f"{20 - tried} cannot be tried on these learners"),
        (
            "Gate",
            f"{len(asked) - len(failed)} of {len(asked)}",
            ", ".join(failed) + " failed" if failed else "nothing failed",
        ),
        ("Told from real learners", _told(found), "AUC of a classifier; .5 is not at all, .65 is the aim"),
    ]
    tiles = element(
        "dl",
        {"class": "tiles"},
        *(
            element("div", None, element("dt", None, name), element("dd", None, value, element("small", None, note)))
            for name, value, note in facts
        ),
    )
    lead = paragraph("Simulated learners are a model of people, not people. What speaks against these:", style="lead")
    said = found["verdict"]["reasons"]
    top = [tiles, lead, bullets(said) if said else paragraph("Nothing that was measured here.")]
    return page(found, found["run_id"], found["verdict"]["sentence"], top, sections)


def _told(found: Json) -> str:
    telling = found["classifier"]
    return "no log" if telling["missing"] else f"{telling['auc']['value']:.2f}"


def _word(passed: bool) -> str:
    return "pass" if passed else "FAIL"


def _styles(passed: Sequence[bool]) -> list[str]:
    return ["" if good else "handover" for good in passed]


def _checks(caption: str, checks: Sequence[Json]) -> Element:
    rows: list[list[Element | str]] = [[c["what"], ours(c), band(c), _word(c["passed"])] for c in checks]
    return table(caption, ["Number", "Ours [95 %]", "Band", ""], rows, _styles([c["passed"] for c in checks]))


def _gate(found: Json) -> list[Element]:
    asked = [r for r in found["gate"] if not r["missing"]]
    rows: list[list[Element | str]] = [
        [r["name"], r["check"]["what"], ours(r["check"]), band(r["check"]), _word(r["passed"])] for r in asked
    ]
    notes = ["" if r["passed"] else f"{r['words']}." for r in asked]
    said = table(
        "What learners must not do if a policy is to be trained on them",
        ["Check", "Number", "Ours [95 %]", "Bar", ""],
        rows,
        _styles([r["passed"] for r in asked]),
        notes,
    )
    left = [f"{r['name']}: not tried, {r['missing']}." for r in found["gate"] if r["missing"]]
    return [said, *([bullets(left)] if left else [])]


def _effects(found: Json) -> list[Element]:
    tried = [e for e in found["effects"] if not e["missing"]]
    parts: list[Element] = []
    if tried:
        marks = [("in its band", "kind-trained round"), ("outside", "kind-baseline")]
        parts += [
            paragraph(
                "Each is the study's own experiment, run on these learners. Of each the first number that fails:"
            ),
            legend(marks),
            figure("One number of each effect against its band", draw.bands(tried)),
        ]
        rows: list[list[Element | str]] = []
        styles = []
        for e in tried:
            for i, c in enumerate(e["checks"]):
                rows.append([e["name"] if i == 0 else "", c["what"], ours(c), band(c), _word(c["passed"])])
                styles.append("" if c["passed"] else "handover")
        every = table(
            "Bands are those that the effect must lie in", ["", "Number", "Ours [95 %]", "Band", ""], rows, styles
        )
        parts.append(folded(f"All {len(rows)} numbers", every))
        words: list[list[Element | str]] = [[e["name"], e["title"], e["published"], e["note"]] for e in tried]
        said = table("What was published, and what to know", ["", "Effect", "Published", "Note"], words)
        parts.append(folded("Published values and notes", said))
    left = [f"{e['name']} {e['title']}: {e['missing']}." for e in found["effects"] if e["missing"]]
    if left:
        parts.append(folded(f"Not applicable: {len(left)} of {len(found['effects'])}", bullets(left)))
    return parts


def _curves(found: Json) -> list[Element]:
    panels, missing = [], dict(found["missing"])
    curve = found["curve"]
    if curve:
        panels.append(figure("Learning curve", draw.opportunities(curve, REAL_CURVES)))
    if found["lags"]:
        panels.append(figure("Right after a right answer, by time since", draw.lags(found["lags"])))
    if found["forgetting"]:
        panels.append(figure("Forgetting what was known once", draw.forgetting(found["forgetting"])))
    if found["spacing"]:
        panels.append(figure("Recall by gap, for delays of 7, 35, 70 and 350 days", draw.spacing(found["spacing"])))
    if found["survival"]:
        panels.append(figure("Still there, by week: mandatory above, voluntary below", draw.leavers(found["survival"])))
    key = [("simulated", "kind-trained round")]
    key += [("real, of the log", "kind-baseline")] if curve.get("real") else []
    key += (
        []
        if curve.get("real") or not curve
        else [(f"real, elsewhere: {' and '.join(REAL_CURVES)}", "kind-floor tilted")]
    )
    left = [f"{part}: {reason}." for part, reason in missing.items()]
    note = "In the picture of gaps the delays lie from above: 7, 35, 70, 350 days. Points need 50 answers."
    return [
        *([legend(key), grid(panels), paragraph(note, style="muted")] if panels else []),
        *([bullets(left)] if left else []),
    ]


def _prediction(found: Json) -> list[Element]:
    parts: list[Element] = []
    if found["prediction"]:
        rows: list[list[Element | str]] = [
            [p["name"], f"{p['auc']:.4f}", f"{p['log_loss']:.4f}", f"{p['ece']:.4f}"] for p in found["prediction"]
        ]
        caption = "Held-out learners, the same rows for all; the first model makes the learners"
        parts.append(table(caption, ["Model", "AUC", "Log loss", "Calibration error"], rows))
    if found["groups"]:
        rows = [
            [g["name"], f"{g['answers']:,}", f"{g['predicted']:.3f}", f"{g['real']:.3f}", f"{g['ece']:.3f}"]
            for g in found["groups"]
        ]
        head = ["Group", "Answers", "Predicted", "Real", "Calibration error"]
        parts.append(table("Calibration by group; starts are the first ten answers, left out here", head, rows))
    telling = found["classifier"]
    if not telling["missing"]:
        a, t = telling["auc"], telling["telling"]
        parts.append(
            paragraph(
                f"A classifier that sees ten summaries of {telling['learners']} real learners and as many simulated "
                f"ones who did the same tells them apart with AUC {a['value']:.3f} [{a['low']:.3f}, {a['high']:.3f}]. "
                f"Most telling: {t['name']}, {t['real']:.3f} of real and {t['simulated']:.3f} of simulated learners."
            )
        )
    return parts or [paragraph("There is no log to predict.")]
