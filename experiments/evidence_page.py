"""The evidence page: what a log, other kinds of learners and a pilot say of a candidate, and what the gate ruled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from . import evidence_figures as draw
from .figures import Dot, Series, dots, lines
from .page import bullets, element, figure, folded, grid, how_to_repeat, legend, page, paragraph, table, warning

Json = Mapping[str, Any]

WEIGHTED = ("WDR", "DR", "MAGIC", "WPDIS", "PDIS", "WIS", "TIS")  # the log's weights correct their models, if any
ADVICE = {
    "trust": "The log supports this estimate.",
    "caution": "Read the estimate together with the doubts below; a pilot would settle them.",
    "do not trust": "The log cannot tell what this candidate would do. Gather another log, or go by a small pilot.",
}


def evidence_page(
    found: Json,
    matrix: Json | None = None,
    pilot: Json | None = None,
    ruling: Json | None = None,
    rollout: Json | None = None,
) -> str:
    """Return the page from what `ope`, `robustness`, `pilot`, `promote` and `pilot rollout` wrote."""
    sections = [
        ("estimates", "What the log says of a whole session", _estimates(found)),
        ("trust", "Can it be trusted?", _trust(found)),
        ("groups", "Learner groups", _groups(found)),
        ("decisions", "One decision, where the log was", _decisions(found)),
    ]
    if matrix:
        sections.append(("robustness", "Other kinds of learners", _matrix(matrix)))
    if pilot:
        sections.append(("pilot", "The pilot over time", _pilot(pilot)))
    if ruling:
        sections.append(("gate", "The gate", _ruling(ruling)))
    if rollout:
        sections.append(("rollout", "The staged rollout", _rollout(rollout)))
    about = {"config": _settings(found), **found}
    sections.append(("again", "How to run it again", how_to_repeat(about)))
    value, gain = _line(found, "WDR"), _line(found, found["gain"])
    sentence = f"{found['policy']} on {found['log']}: {found['verdict']}"
    top = [_tiles(found, value, gain, ruling), paragraph(ADVICE[found["verdict"]], style="lead")]
    said = [f for part in (found["session"]["findings"], found["soundness"]) for f in part if f["verdict"] != "trust"]
    top += [bullets([f"{f['name']}: {f['says']} ({f['verdict']})." for f in said])] if said else []
    if found["explore"]:
        share = f"{found['explore']:.0%}"
        top.append(warning(f"Judged is the policy with {share} of its decisions left to chance, not the bundle alone."))
    return page(about, found["run"] or "unknown", sentence, top, sections)


def _line(found: Json, name: str) -> Json:
    line: Json = next(line for line in found["session"]["estimates"] if line["name"] == name)["bounds"]
    return line


def _span(b: Json | None, sign: str = "") -> str:
    if b is None or b["value"] is None:
        return "insufficient evidence"
    if b["low"] is None or b["high"] is None:
        return f"{b['value']:{sign}.4f}"
    return f"{b['value']:{sign}.4f} [{b['low']:{sign}.4f}, {b['high']:{sign}.4f}]"


def _tiles(found: Json, value: Json, gain: Json, ruling: Json | None) -> Element:
    logged, share = found["session"]["logged"], f"{found['settings']['confidence']:.0%}"

    def ends(b: Json) -> str:
        return "no interval" if b["low"] is None else f"{share} interval {b['low']:.4f} to {b['high']:.4f}"

    def number(b: Json, sign: str = "") -> str:
        return "none" if b["value"] is None else f"{b['value']:{sign}.4f}"

    facts = [
        ("As logged", number(logged), ends(logged)),
        ("Candidate, estimated", number(value), ends(value)),
        ("Gain over the incumbent" if found["incumbent"] else "Gain over the log", number(gain, "+"), ends(gain)),
        ("Verdict on the estimate", found["verdict"], f"{found['clusters']:,} independent {_units(found)}"),
    ]
    if ruling:
        facts.append(("The gate", ruling["answer"], ruling["approver"] or "nobody has approved it"))
    parts = (
        element("div", None, element("dt", None, name), element("dd", None, text, element("small", None, note)))
        for name, text, note in facts
    )
    return element("dl", {"class": "tiles"}, *parts)


def _units(found: Json) -> str:
    name = str(found["settings"]["cluster"])
    return name if name.endswith("s") else f"{name}{'e' if name.endswith('ss') else ''}s"


def _dots(table_: Json, names: Sequence[str] | None, text: str, axis: str) -> Element | None:
    rows = []
    for line in table_["estimates"]:
        b = line["bounds"]
        if "minus" in line["name"] or b["value"] is None or b["low"] is None or b["high"] is None:
            continue
        kind = "trained" if names is None or line["name"] in names else "floor"
        rows.append(Dot(line["name"], kind, b["value"], b["low"], b["high"], _span(b)))
    return dots(rows, text, axis, (table_["logged"]["value"], "as logged")) if rows else None


def _estimates(found: Json) -> list[Element]:
    session, settings = found["session"], found["settings"]
    text = f"Estimates of `{settings['reward']}` per session with {settings['confidence']:.0%} intervals"
    picture = _dots(session, WEIGHTED, text, f"{settings['reward']} of a session")
    marks = [
        ("rests on the log's weights", "kind-trained round"),
        ("rests on a model: do not headline", "kind-floor tilted"),
    ]
    parts: list[Element] = [legend(marks), figure(text, picture)] if picture else []
    if found.get("betting") is not None:
        least = f"At least {found['betting']:.4f} with {settings['confidence']:.0%} confidence, however often one looks"
        parts.append(paragraph(f"{least}, if only the propensities are right (betting)."))
    return [*parts, _table(session, "Every estimator; intervals are clustered by " + settings["cluster"])]


def _table(found: Json, caption: str) -> Element:
    rows: list[list[Element | str]] = []
    for line in found["estimates"]:
        low, high = line["anytime"]
        anytime = "–" if low is None or high is None else f"[{low:.4f}, {high:.4f}]"
        boot = line["boot"]
        again = "–" if boot["low"] is None else f"[{boot['low']:.4f}, {boot['high']:.4f}]"
        rows.append([line["name"], _span(line["bounds"]), again, anytime])
    notes = [f"{line['note']}." if line["note"] else "" for line in found["estimates"]]
    head = ["Estimator", "Value and interval", "Bootstrap", "At any time"]
    return table(caption, head, rows, notes=notes)


def _findings(caption: str, findings: Sequence[Json]) -> Element:
    order = ("do not trust", "caution", "trust")
    kept = sorted(findings, key=lambda f: order.index(f["verdict"]))
    rows: list[list[Element | str]] = [[f["name"], f["verdict"], f["says"]] for f in kept]
    return table(
        caption, ["Diagnostic", "Verdict", "What was seen"], rows, [_style(f["verdict"]) for f in kept], wide="findings"
    )


def _style(verdict: str) -> str:
    return "" if verdict == "trust" else "handover"


def _trust(found: Json) -> list[Element]:
    panels = [
        figure(
            f"Weights of {unit}s", draw.weight_bars(found[unit]["weights"], f"How the weights of {unit}s are spread")
        )
        for unit in ("session", "decision")
    ]
    note = "A few units with most of the weight mean that the estimate rests on these few."
    marks = [("share of units", "kind-floor"), ("share of all weight", "kind-trained")]
    return [
        _findings("Overlap of the candidate with the log, session by session", found["session"]["findings"]),
        legend(marks),
        grid(panels),
        paragraph(note, style="muted"),
        _findings("The log itself", found["soundness"]),
    ]


def _groups(found: Json) -> list[Element]:
    parts: list[Element] = []
    for name, groups in {found["settings"]["reward"]: found["groups"], **found["outcomes"]}.items():
        if not groups:
            continue
        rows: list[list[Element | str]] = [
            [g["name"], f"{g['sessions']:,}", _span(g["logged"]), _span(g["value"]), _span(g["gain"], "+")]
            for g in groups
        ]
        head = [
            found["settings"]["group"],
            "Sessions",
            "As logged",
            "Candidate",
            f"Candidate {found['gain'].partition(' ')[2]}",
        ]
        harmed = ["handover" if g["gain"] is None else "" for g in groups]
        parts.append(table(f"{name}; a small group gets no number", head, rows, harmed))
    return parts or [paragraph(f"The log has no column `{found['settings']['group']}`.")]


def _decisions(found: Json) -> list[Element]:
    text = "One decision put in the candidate's hands, everything else as logged. It does not add up to a session."
    rows = _table(found["decision"], "Every estimator")
    doubts = _findings("Can it be trusted?", found["decision"]["findings"])
    return [paragraph(text), folded("Estimates and diagnostics", element("div", None, rows, doubts))]


def _matrix(matrix: Json) -> list[Element]:
    policies, students = list(matrix["gain"]), list(next(iter(matrix["gain"].values())))
    gains = [[matrix["gain"][p][s] for s in students] for p in policies]
    text = f"Gain over {matrix['incumbent']} by kind of learner"
    verdicts = matrix["verdict"]
    marks = {p: "FLAGGED" if verdicts[p]["flagged"] else "open" if verdicts[p]["unsure"] else "" for p in policies}
    rows: list[list[Element | str]] = [[p, verdicts[p]["says"], marks[p]] for p in policies]
    styles = ["handover" if marks[p] else "" for p in policies]
    doubts = [warning(f"Unfit learners, {kind}: {why} They decide nothing.") for kind, why in matrix["unfit"].items()]
    lead = "Every policy on learners it was not trained on (Doroudi et al. 2017). Light is better than the incumbent."
    return [
        paragraph(lead),
        *doubts,
        figure(text, draw.gain_map(policies, students, gains, text)),
        table("What that says", ["Policy", "Among learners of other kinds", "Flag"], rows, styles),
    ]


def _over_time(looks: Sequence[Json], text: str) -> Element | None:
    kept = [one for one in looks if one["effect"]["low"] is not None and one["effect"]["high"] is not None]
    if len(kept) < 2:
        return None
    columns = [tuple(float(one["effect"][key]) for one in kept) for key in ("value", "low", "high")]
    series = Series("trained", tuple(float(one["units"]) for one in kept), *columns)
    return figure(text, lines([series], text, "units so far", [(0.0, "no difference", "floor")]))


def _pilot(pilot: Json) -> list[Element]:
    looks, plan = pilot["looks"], pilot["plan"]
    text = "Candidate minus incumbent, with the interval that holds at every look"
    picture = _over_time(looks, text)
    rows: list[list[Element | str]] = [
        [
            f"{one['look']} of {plan['looks']}" if one["look"] else "between looks",
            f"{one['units']:,}",
            _span(one["effect"], "+"),
            f"{one['z']:+.2f} / {_bound(one['bound'])}",
            one["decision"],
        ]
        for one in looks
    ]
    notes = [f"{one['reason']}." for one in looks]
    head = ["Look", "Units", "Effect", "t / bound", "Decision"]
    said = table(
        f"Schedule {plan['schedule']}, power {plan['power']:g} for {plan['effect']:g} sd", head, rows, notes=notes
    )
    parts = [picture] if picture else []
    groups = looks[-1].get("groups") if looks else None
    if groups:
        kept = [[name, _span(effect, "+")] for name, effect in groups.items()]
        styles = ["handover" if effect is None else "" for effect in groups.values()]
        said = element(
            "div", None, said, table("Learner groups, at the latest look", ["Group", "Effect"], kept, styles)
        )
    if pilot.get("truth") is not None:
        parts.append(paragraph(f"Truth, had every simulated learner lived both: {pilot['truth']:+.4f}."))
    return [*parts, said]


def _bound(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _ruling(ruling: Json) -> list[Element]:
    said = [*ruling["reasons"], *([f"enough would be: {ruling['enough']}"] if ruling["enough"] else [])]
    registry = ruling.get("registry")
    lead = f"{ruling['answer'].capitalize()}, on {ruling['when']}; candidates compared: {ruling['candidates']}."
    return [paragraph(lead, style="lead"), bullets(said), *([paragraph(registry)] if registry else [])]


def _rollout(rollout: Json) -> list[Element]:
    rows: list[list[Element | str]] = []
    styles = []
    for one in rollout["looks"]:
        rows.append([f"{one['share']:.0%}", f"{one['units']:,}", _span(one["effect"], "+"), one["decision"]])
        styles.append("handover" if one["decision"] != "advance" else "")
    notes = [f"{one['reason']}." for one in rollout["looks"]]
    text = "Candidate minus incumbent, all stages so far"
    picture = _over_time(rollout["looks"], text)
    said = table(
        f"It ended: {rollout['ended']}",
        ["On the candidate", "Learners so far", "Effect", "Decision"],
        rows,
        styles,
        notes,
    )
    return [*([picture] if picture else []), said]


def _settings(found: Json) -> str:
    return "\n".join(f"{key}: {value}" for key, value in found["settings"].items())
