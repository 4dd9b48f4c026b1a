"""The leaderboard to look at: one HTML page, the same table as markdown and on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from . import figures
from .figures import Dot
from .page import bullets, element, figure, grid, kind_legend, page, paragraph, row_head, table, warning, write
from .statistics import Interval
from .verdict import ENOUGH_SEEDS, FEW_SEEDS, KINDS, Json, common_places, count_text, decimal_text, percent, span_text

if TYPE_CHECKING:
    import rich.table

PUBLISHED = "published"
HEAD = ("Policy", "Kind", "Value [95%]", "Normalised [95%]", "P(better) [95%]", "Legal", "Learner-steps", "Seconds")
GLANCE = (
    "Task",
    "Best without learning",
    "Value [95%]",
    "Best trained agent",
    "Value [95%]",
    "P(better) [95%]",
    "Ruling",
)
UNFIT, AHEAD = "unfit learners", "ahead"
DOUBTS = (
    "A seed is one whole training run; the intervals resample seeds and say nothing of other learners or other data.",
    "The best of many agents looks better than it is: the more were tried, the more so.",
    "What learns nothing includes planning on the agent's own belief; none of it sees the hidden state.",
    "Agents keep the settings of their yaml on every task; a worse place may mean that nobody tuned them for it.",
    "The best trained agent is picked from several by the same runs that rule on it, which flatters it a little.",
    "Every learner here is simulated. A gain on them is not a gain on people.",
)


def write_page(found: Json, path: Path) -> Path:
    """Write the leaderboard as one self-contained HTML file and return its path."""
    sections = [("glance", "At a glance", _glance(found))]
    if any(entry["kind"] == "trained" for entry in found["overall"]["entries"]):
        sections.append(("overall", "Over all tasks", _overall(found["overall"])))
    sections += [(one["name"], one["title"], _task(one, found["seeds"])) for one in found["tasks"]]
    doubts = list(DOUBTS)
    if found["seeds"] < FEW_SEEDS:
        doubts.insert(0, f"Only {count_text(found['seeds'], 'seed')}: at least {FEW_SEEDS} are usual.")
    elif found["seeds"] < ENOUGH_SEEDS:
        said = count_text(found["seeds"], "seed")
        doubts.insert(0, f"{said}: the 95 % intervals hold about nine times in ten; play {ENOUGH_SEEDS}.")
    for name in found["missing"]:
        doubts.append(f"Task {name} was left out: its data are not on this machine.")
    sections.append(("doubts", "What to doubt", [bullets(doubts)]))
    again = element("pre", {"tabindex": "0"}, element("code", None, found["command"]))
    took = f"With the same data; training and play took {found['cpu_seconds'] / 60:,.0f} minutes of one core:"
    sections.append(("again", "How to run it again", [paragraph(took), again]))
    about = {"experiment": "leaderboard", "created": found["created"], "commit": found["commit"]}
    return write(page(about, found["profile"], sentence(found), [], sections), path)


def sentence(found: Json) -> str:
    """Return in one sentence on how many tasks the best trained agent is ahead of its rival; unfit learners apart."""
    fit = [one for one in found["tasks"] if not one["unfit"]]
    won = sum(ruling(one)[0] == AHEAD for one in fit)
    named = {one["against"] for one in fit if one["against"] != one["best_heuristic"]}
    rival = " or ".join(["the best heuristic", *sorted(named)][bool(named) :])
    text = f"On {won} of {count_text(len(fit), 'task')} the best trained agent is ahead of {rival}"
    if apart := len(found["tasks"]) - len(fit):
        text += f"; on {count_text(apart, 'further task')} the learners are unfit"
    return text


def ruling(one: Json) -> tuple[str, str]:
    """Return in a word and in a sentence whether learning pays on a task: the best trained agent against its rival."""
    best, rival = _pair(one)
    if best is None or rival is None or best["better"] is None:
        return "–", "No trained agent met a heuristic here."
    places = common_places([_span(best["value"]), _span(rival["value"])])
    values = [f"{entry['name']} ({decimal_text(entry['value']['value'], places)})" for entry in (best, rival)]
    who = "the best without learning" if one["against"] == one["best_heuristic"] else "the rival"
    if best["better"]["low"] > 0.5:
        return AHEAD, f"Learning pays here: {values[0]} is ahead of {who}, {values[1]}."
    if best["better"]["high"] < 0.5:
        text = f"no trained agent reaches {who}, {values[1]}; the best of them is {values[0]}"
        return "behind", f"Learning does not pay here: {text}."
    return "not told apart", f"Nobody can tell the best trained agent, {values[0]}, from {who}, {values[1]}."


def _glance(found: Json) -> list[Element]:
    rows: list[list[Element | str]] = []
    for line, one in zip(_overview(found), found["tasks"], strict=True):
        name = element("a", {"href": f"#{one['name']}"}, one["title"])
        head = element("th", {"scope": "row", "class": "long"}, name)
        if one["unfit"]:
            head.append(element("div", None, element("span", {"class": "tag"}, UNFIT)))
        rows.append([head, *line[1:]])
    caption = (
        "The best trained agent of each task against the best policy that learns nothing and sees nothing hidden. "
        "Ahead or behind: the whole interval of P(better) lies on one side of one half."
    )
    return [*_distances(found), table(caption, list(GLANCE), rows)]


def _distances(found: Json) -> list[Element]:
    """The picture of the board: how far from chance to the ceiling the best trained agent and its rival come."""
    rows, kinds = [], {"trained"}
    for one in found["tasks"]:
        best, rival = _pair(one)
        if best and rival and best["normalised"] and rival["normalised"]:
            reached, kind = rival["normalised"]["value"], rival["kind"]
            text = f"{best['title']} {decimal_text(best['normalised']['value'], 2)}"
            dot = _dot(best, best["normalised"], 2)
            rows.append(replace(dot, label=one["name"], text=text, rival=(kind, reached)))
            kinds.add(kind)
    if not rows:
        return []
    text = "Normalised value of the best trained agent of each task: "
    text += "; ".join(f"{row.label} {row.text}, without learning {row.rival[1]:.2f}" for row in rows if row.rival)
    plot = figures.dots(rows, text, "0 = random-legal, 1 = ceiling", (1.0, "ceiling"))
    missing = [one["name"] for one in found["tasks"] if one["name"] not in {row.label for row in rows}]
    parts = [grid([figure("From chance to the ceiling: the best trained agent, and the best without learning", plot)])]
    parts.insert(0, kind_legend([{"kind": kind} for kind in kinds]))
    if missing:
        parts.append(paragraph(f"No ceiling is known of {', '.join(missing)}.", style="muted"))
    return parts


def _pair(one: Json) -> tuple[Json | None, Json | None]:
    """Return the best trained agent of a task and its rival."""
    best = next((entry for entry in one["entries"] if entry["kind"] == "trained"), None)
    return best, next((entry for entry in one["entries"] if entry["name"] == one["against"]), None)


def _overview(found: Json) -> list[list[str]]:
    """Return a row of text for each task."""
    rows = []
    for one in found["tasks"]:
        best, rival = _pair(one)
        pair = [entry for entry in (rival, best) if entry]
        places = common_places([_span(entry["value"]) for entry in pair])
        cells = [one["title"] + (f" ({UNFIT})" if one["unfit"] else "")]
        for entry in (rival, best):
            cells += [entry["name"], span_text(_span(entry["value"]), places)] if entry else ["–", "–"]
        better = best["better"] if best else None
        rows.append([*cells, span_text(_span(better), 2) if better else "–", ruling(one)[0]])
    return rows


def _task(one: Json, seeds: int) -> list[Element]:
    by_range = one["ceiling"] is not None
    key, axis = ("normalised", "0 = random-legal, 1 = ceiling") if by_range else ("value", one["primary"])
    shown = [entry for entry in one["entries"] if entry[key]]
    places = common_places([_span(entry[key]) for entry in shown])
    points = "normalised_scores" if by_range else "scores"
    dots = [_dot(entry, entry[key], places, tuple(entry[points])) for entry in shown]
    reference = _reference(one, shown, key)
    text = f"{one['title']}: " + "; ".join(f"{dot.label} {dot.text}" for dot in dots)
    lead = (
        f"{ruling(one)[1]} The best heuristic is {one['best_heuristic']}; P(better) is the chance that a seed beats a "
        f"seed of {one['against']}. "
    )
    lead += (
        f"The ceiling is {one['ceiling']}."
        if by_range
        else "No ceiling above chance and the heuristics is known here: nothing is normalised."
    )
    if one["published"]:
        lead += " What papers published is one number each, without seeds or intervals."
    titles = {entry["name"]: entry["title"] for entry in one["entries"]}
    rows: list[list[Element | str]] = []
    for name, *cells in _cells(one, seeds):
        tags = ["best heuristic"] if name == one["best_heuristic"] else []
        rows.append([row_head(titles.get(name, name), tags), *cells])
    caption = (
        f"{one['primary']}, interquartile mean over seeds, best first. Learner-steps and seconds are means per seed."
    )
    picture = figure(
        "Value by policy" if not by_range else "Normalised value by policy", figures.dots(dots, text, axis, reference)
    )
    doubt = [warning(f"{UNFIT.capitalize()}: believe nothing of this task. {one['unfit']}.")] if one["unfit"] else []
    body = [kind_legend(shown), grid([picture]), table(caption, list(HEAD), rows)]
    return [*doubt, paragraph(lead, style="muted"), *body]


def _overall(overall: Json) -> list[Element]:
    places = common_places([_span(entry["value"]) for entry in overall["entries"]])
    dots = [_dot(entry, entry["value"], places) for entry in overall["entries"]]
    text = "Normalised score over all tasks: " + "; ".join(f"{dot.label} {dot.text}" for dot in dots)
    note = f"Interquartile mean over {', '.join(overall['tasks'])} and all seeds; 0 = random-legal, 1 = ceiling."
    if overall["left_out"]:
        note += f" Without a ceiling or with unfit learners, so left out: {', '.join(overall['left_out'])}."
    plot = figures.dots(dots, text, "normalised score", (0.0, "random-legal"))
    return [paragraph(note, style="muted"), kind_legend(overall["entries"]), grid([figure("Normalised score", plot)])]


def _dot(entry: Json, value: Json, places: int, points: Sequence[float] = ()) -> Dot:
    text = span_text(_span(value), places)
    return Dot(entry["title"], entry["kind"], value["value"], value["low"], value["high"], text, tuple(points))


def _span(value: Json) -> Interval:
    return Interval(value["value"], value["low"], value["high"])


def _reference(one: Json, shown: Sequence[Json], key: str) -> tuple[float, str] | None:
    """Return where the picture has its line: at the best published number, else at the best heuristic."""
    if one["published"]:
        return (one["published"][0][key], "best published")
    mark = next((entry for entry in shown if entry["name"] == one["best_heuristic"]), None)
    return (mark[key]["value"], "best heuristic") if mark else None


def _fewer(entry: Json, seeds: int) -> str:
    """Say so where an entry has not played all seeds, because cells failed or are still to come."""
    return f", {count_text(len(entry['scores']), 'seed')} only" if len(entry["scores"]) < seeds else ""


def _cells(one: Json, seeds: int) -> list[list[str]]:
    """Return the table of a task as text, a row for each policy and each published number, best first."""
    places = common_places([_span(entry["value"]) for entry in one["entries"]])
    rows = []
    for entry in one["entries"]:
        cells = [
            entry["name"],
            KINDS.get(entry["kind"], entry["kind"]) + _fewer(entry, seeds),
            span_text(_span(entry["value"]), places),
            span_text(_span(entry["normalised"]), 2) if entry["normalised"] else "–",
            span_text(_span(entry["better"]), 2) if entry["better"] else "–",
            percent(entry["legal_rate"]),
            f"{entry['learner_steps']:,.0f}" if entry["learner_steps"] else "–",
            f"{entry['seconds']:.1f}",
        ]
        rows.append((entry["value"]["value"], cells))
    for paper in one["published"]:
        value = decimal_text(paper["value"], places)
        normalised = decimal_text(paper["normalised"], 2)
        rows.append((paper["value"], [paper["name"], PUBLISHED, value, normalised, *"––––"]))
    rows.sort(key=lambda row: row[0], reverse=one["higher_is_better"])
    return [cells for _, cells in rows]


def markdown(found: Json) -> str:
    """Return the tables as GitHub-flavoured markdown."""
    lines = [f"# Leaderboard: {found['title']}", "", sentence(found) + ".", ""]
    overall = found["overall"]
    lines += [f"| {' | '.join(GLANCE)} |", "|" + " --- |" * len(GLANCE)]
    lines += [f"| {' | '.join(row)} |" for row in _overview(found)]
    lines.append("")
    if any(entry["kind"] == "trained" for entry in overall["entries"]):
        lines += ["## Over all tasks", "", "| policy | normalised [95%] |", "| --- | --- |"]
        lines += [f"| {entry['name']} | {span_text(_span(entry['value']), 2)} |" for entry in overall["entries"]]
        lines.append("")
    for one in found["tasks"]:
        lines += [
            f"## {one['title']}",
            "",
            f"`{one['name']}`, {one['primary']}; best heuristic {one['best_heuristic']}. {ruling(one)[1]}",
        ]
        if one["unfit"]:
            lines += ["", f"**{UNFIT.capitalize()}**: {one['unfit']}."]
        lines += ["", f"| {' | '.join(HEAD)} |", "|" + " --- |" * len(HEAD)]
        lines += [f"| {' | '.join(row)} |" for row in _cells(one, found["seeds"])]
        lines.append("")
    return "\n".join(lines)


def screen(found: Json) -> list[rich.table.Table]:
    """Return a table for each task, for the terminal."""
    import rich.table

    grids = []
    for one in found["tasks"]:
        about = f"{one['title']} ({one['name']}): {one['primary']}, {found['seeds']} seeds"
        made = rich.table.Table(
            title=about + (f", {UNFIT}" if one["unfit"] else ""), caption=ruling(one)[1], caption_justify="left"
        )
        for name in HEAD:
            made.add_column(name, justify="left" if name in HEAD[:2] else "right", no_wrap=name == HEAD[0])
        for name, *cells in _cells(one, found["seeds"]):
            star = " *" if name == one["best_heuristic"] else ""
            made.add_row(name + star, *cells, style="bold" if cells[0].startswith(KINDS["trained"]) else "")
        grids.append(made)
    return grids
