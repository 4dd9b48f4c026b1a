"""The Goodhart section: what happens to outcomes when mere activity is rewarded, as a table and in words."""

from xml.etree.ElementTree import Element

from .page import column_head, element, paragraph, row_head, table
from .verdict import (
    Json,
    common_places,
    direction,
    estimate,
    lower_first,
    percent,
    read_interval,
    span_or_dash,
    span_text,
)


def goodhart(e: Json) -> list[Element]:
    """The section of a report; says why where there is no table."""
    found = e.get("goodhart")
    if not found:
        text = "Not measured in this run: the agent does not learn, or goodhart.cohorts is 0."
        return [paragraph(text)]
    outcomes = {o["name"]: o for o in e["outcomes"]}
    order = [e["primary"], *(name for name, o in outcomes.items() if o["is_outcome"] and name != e["primary"])]
    order += [name for name, o in outcomes.items() if not o["is_outcome"]]
    places = {name: common_places([estimate(row["values"], name) for row in found["rows"]]) for name in order}
    head: list[Element | str] = ["The same agent"]
    for name in order:
        o = outcomes[name]
        real = o["is_outcome"]
        head.append(
            column_head(
                o["title"], f"{o['unit']}; {direction(o)}" if real else "mere activity", "" if real else "aside"
            )
        )
    rows: list[list[Element | str]] = []
    for row in found["rows"]:
        cells: list[Element | str] = [row_head(row["title"], [])]
        for name in order:
            text = span_or_dash(estimate(row["values"], name), places[name])
            worse = _harm(row, outcomes[name])
            style = "figures" + ("" if outcomes[name]["is_outcome"] else " aside") + (" harmed" if worse else "")
            cells.append(element("td", {"class": style}, f"{text} ▼" if worse else text))
        rows.append(cells)
    lead = (
        "When a measure becomes a target, it ceases to be a good measure. The same agent was trained again, on what "
        f"counts and on mere activity, each for {found['cohorts']} cohorts of {found['learners']} learners, and played "
        "to the same fresh learners. ▼ marks an outcome that is clearly worse than where it was rewarded itself."
    )
    words = [paragraph(text) for text in sentences(e)]
    return [paragraph(lead), *words, table("Mean and 95 % interval over learners.", head, rows)]


def sentences(e: Json) -> list[str]:
    """Say of each proxy what its agent gained in it and what became of the primary outcome."""
    found, outcomes = e["goodhart"], {o["name"]: o for o in e["outcomes"]}
    primary, said = outcomes[e["primary"]], []
    for row in found["rows"][1:]:
        own, main = read_interval(row["differences"][row["name"]]), read_interval(row["differences"][e["primary"]])
        if not (own and main):
            continue
        base = estimate(found["rows"][0]["values"], row["name"])
        title = lower_first(outcomes[row["name"]]["title"])
        more = f" ({percent(own.value / base.value)} more)" if base and base.value > 0 and own.value > 0 else ""
        got = f"Rewarded for {title}, the agent gets {span_text(own, signed=True)} of it{more}"
        harmed = [outcomes[name]["title"].lower() for name in outcomes if _harm(row, outcomes[name])]
        lost = f"{lower_first(primary['title'])} changes by {span_text(main, signed=True)}"
        tail = f"; clearly worse: {', '.join(harmed)}" if harmed else "; no outcome is clearly worse"
        said.append(f"{got}, while {lost}{tail}.")
    return said


def _harm(row: Json, outcome: Json) -> bool:
    span = read_interval(row["differences"].get(outcome["name"]))
    if span is None or not outcome["is_outcome"]:
        return False
    return span.high < 0 if outcome["higher_is_better"] else span.low > 0
