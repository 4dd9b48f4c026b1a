"""How the policies stand: the sections that compare them, on the learners of the run and on other kinds."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from . import figures
from .figures import Dot
from .page import column_head, element, figure, grid, kind_legend, paragraph, row_head, table, warning
from .verdict import (
    KINDS,
    Json,
    best_first,
    champion,
    common_places,
    count_text,
    direction,
    estimate,
    gain_over,
    label,
    label_of,
    lower_first,
    named,
    percent,
    primary_outcome,
    read_interval,
    span_or_dash,
    span_text,
)


def tiles(e: Json) -> Element:
    """The few numbers that a reader wants first."""
    outcome, best = primary_outcome(e), champion(e)
    reference = named(e["policies"], e["best_heuristic"])
    shown = []
    for role, policy in (("trained policy", best), ("best heuristic", reference)):
        if policy and (span := estimate(policy["values"], outcome["name"])):
            shown.append(
                (f"{label(policy)}, {role}", span, False, f"{lower_first(outcome['title'])}, {outcome['unit']}")
            )
    if best and (gain := read_interval(best.get("difference"))):
        shown.append(
            (
                "Difference",
                gain,
                True,
                f"from {label_of(e['policies'], best['difference']['against'])}; {direction(outcome)}",
            )
        )
    floors = [f["auc"] for f in e["tracer"].get("floors", {}).values()]
    if auc := read_interval(e["tracer"].get("auc")):
        note = f"best floor {max(floors):.3f}" if floors else "no floor measured"
        shown.append(("Learner model, AUC", auc, False, note))
    boxes = []
    for name, span, signed, note in shown:
        value, ends = span_text(span, signed=signed).split(" ", 1)
        number = element("dd", None, f"{value} ", element("small", None, ends), element("small", None, note))
        boxes.append(element("div", None, element("dt", None, name), number))
    return element("dl", {"class": "tiles"}, *boxes)


def outcomes(e: Json) -> list[Element]:
    """The section that ranks the policies: pictures of the primary outcome, a table of all."""
    outcome, policies = primary_outcome(e), best_first(e["policies"], primary_outcome(e))
    if not policies:
        return [paragraph("No policy was measured.")]
    reference = named(policies, e["best_heuristic"])
    panels = [figure(f"{outcome['title']} ({outcome['unit']})", _outcome_dots(policies, outcome, reference, None))]
    versus = [p for p in policies if read_interval(p.get("difference"))]
    if versus:
        names = sorted({label_of(policies, p["difference"]["against"]) for p in versus})
        spans = [read_interval(p["difference"]) for p in versus]
        places = common_places(spans)
        rows = [
            Dot(label(p), p["kind"], d.value, d.low, d.high, span_text(d, places, signed=True))
            for p, d in zip(versus, spans, strict=True)
            if d
        ]
        text = f"Difference in {lower_first(outcome['title'])} of {len(rows)} policies from {', '.join(names)}."
        plot = figures.dots(rows, text, f"difference, {outcome['unit']}; {direction(outcome)}", (0.0, "no difference"))
        panels.append(figure(f"Difference from {', '.join(names)}, same learners", plot))
    note = "Best first. Dots are means over learners, bars 95 % intervals; the axes do not start at zero."
    return [grid(panels), kind_legend(policies), paragraph(note, style="muted"), _outcome_table(e, policies)]


def _outcome_dots(
    policies: Sequence[Json], outcome: Json, best: Json | None, limits: tuple[float, float] | None
) -> Element:
    name = outcome["name"]
    spans = [(p, estimate(p["values"], name)) for p in policies]
    places = common_places([span for _, span in spans])
    rows = [Dot(label(p), p["kind"], s.value, s.low, s.high, span_text(s, places)) for p, s in spans if s]
    if not rows:
        return paragraph("not measured")
    mark = estimate(best["values"], name) if best else None
    text = f"{outcome['title']} by policy with 95 % intervals: " + "; ".join(f"{r.label} {r.text}" for r in rows)
    reference = (mark.value, f"best heuristic: {label(best)}") if mark and best else None
    return figures.dots(rows, text, f"{outcome['unit']}; {direction(outcome)}", reference, limits)


def _outcome_table(e: Json, policies: Sequence[Json]) -> Element:
    first = primary_outcome(e)
    rest = [o for o in e["outcomes"] if o["name"] != first["name"]]
    real, not_real = [first, *(o for o in rest if o["is_outcome"])], [o for o in rest if not o["is_outcome"]]
    places = {o["name"]: common_places([estimate(p["values"], o["name"]) for p in policies]) for o in e["outcomes"]}
    head: list[Element | str] = ["Policy", *(column_head(o["title"], f"{o['unit']}; {direction(o)}") for o in real)]
    head += ["Legal moves", "Hand-overs", "Minutes", "Steps"]
    head += [column_head(o["title"], "not an outcome: shown to say why not", "aside") for o in not_real]
    rows = []
    for p in policies:
        tags = [KINDS[p["kind"]], *(["best heuristic"] if p["name"] == e["best_heuristic"] else [])]
        cells: list[Element | str] = [row_head(label(p), tags)]
        cells += [span_or_dash(estimate(p["values"], o["name"]), places[o["name"]]) for o in real]
        cells += [percent(p["legal_rate"]), percent(p["handover_rate"]), f"{p['minutes']:.1f}", f"{p['steps']:.1f}"]
        for o in not_real:
            text = span_or_dash(estimate(p["values"], o["name"]), places[o["name"]])
            cells.append(element("td", {"class": "figures aside"}, text))
        rows.append(cells)
    caption = "All outcomes, mean and 95 % interval over learners. Minutes and steps are means per learner."
    return table(caption, head, rows)


def elsewhere(e: Json) -> list[Element]:
    """The section on learners of other kinds than the policy was trained on."""
    others, outcome = e["other_students"], primary_outcome(e)
    if not others:
        return [
            paragraph(
                "The policies were measured on no other kind of simulated learner, so nothing says they would last."
            )
        ]
    name = outcome["name"]
    homes = [{"student": e["student"], "policies": e["policies"]}, *others]
    ends = [
        end for home in homes for p in home["policies"] if (s := estimate(p["values"], name)) for end in (s.low, s.high)
    ]
    margin = (max(ends) - min(ends)) * 0.06 or 0.01 if ends else 0.01
    limits = (min(ends) - margin, max(ends) + margin) if ends else (0.0, 1.0)
    panels, head, columns = [], ["Policy"], []
    for place, home in enumerate(homes):
        title = home["student"] + (" (home: trained on it)" if place == 0 else "")
        policies = best_first(home["policies"], outcome)
        best = _best_heuristic(e, policies)
        panels.append(figure(title, _outcome_dots(policies, outcome, best, limits)))
        head.append(title)
        columns.append({p["name"]: estimate(p["values"], name) for p in policies})
    places = common_places([span for column in columns for span in column.values()])
    rows: list[list[Element | str]] = []
    for p in best_first(e["policies"], outcome):
        rows.append([label(p), *(span_or_dash(column.get(p["name"]), places) for column in columns)])
    caption = f"{outcome['title']} ({outcome['unit']}), by kind of simulated learner; {direction(outcome)}."
    lead = (
        "The same policies, unchanged, on learners that learn by other rules. A policy that leads only on the kind it "
        "was trained on has learned the simulator, not how to teach."
    )
    return [paragraph(lead), *robustness_note(e), grid(panels), table(caption, list(head), rows)]


def robustness_note(e: Json) -> list[Element]:
    """Say where the champion leads; a warning when it leads at home alone."""
    best, others, outcome = champion(e), e["other_students"], primary_outcome(e)
    if best is None or not others:
        return []
    home = gain_over(best, named(e["policies"], e["best_heuristic"]), outcome)
    there = []
    for other in others:
        twin = named(other["policies"], best["name"])
        gain = gain_over(twin, _best_heuristic(e, other["policies"]), outcome) if twin else None
        there.append((other["student"], gain))
    ahead = [student for student, gain in there if gain and gain.low > 0]
    rest = ", ".join(student for student, _ in there if student not in ahead)
    if home and home.low > 0 and not ahead:
        text = (
            f"Wins only at home: {label(best)} is clearly ahead on the simulator it was trained on, and not on {rest}."
        )
        return [warning(text)]
    if not ahead:
        return []
    kinds = count_text(len(there), "other kind")
    text = f"{label(best)} is also clearly ahead of the best heuristic on {len(ahead)} of {kinds}"
    return [paragraph(f"{text} of learner ({', '.join(ahead)}){f', and not on {rest}' if rest else ''}.")]


def _best_heuristic(e: Json, policies: Sequence[Json]) -> Json | None:
    """The best heuristic among `policies`: the one they were compared with, which need not be the one at home."""
    against = [p["difference"]["against"] for p in policies if p["kind"] == "trained" and p.get("difference")]
    return named(policies, against[0] if against else e["best_heuristic"])
