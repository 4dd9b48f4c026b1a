"""What learners go through: mastery of each skill over time, and one learner's pathway step by step."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from . import figures
from .figures import Block
from .page import element, figure, folded, grid, legend, paragraph, table
from .verdict import Json, champion, count_text, decimal_text, label, label_of, named

MARKS = {
    "right": "right",
    "partly": "partly right",
    "wrong": "wrong (×)",
    "none": "no answer",
    "handover": "handed over (!)",
}
MAX_SKILLS, MAX_COLUMNS, OPEN_STEPS, MAX_STEPS = 40, 60, 12, 200


def mastery(e: Json) -> list[Element]:
    """The section on what learners master over time, under the trained policy and under the best heuristic."""
    best = champion(e)
    shown = [p for p in (best, named(e["policies"], e["best_heuristic"])) if p and len(p.get("mastery_by_step") or [])]
    if not shown:
        return [paragraph("Mastery over time was not recorded.")]
    skills = list(e["skills"])
    tracks = [p["mastery_by_step"] for p in shown]
    rows = list(range(len(skills)))
    notes = [
        "True mastery of the simulated learners, averaged. Both panels share one scale; the number is the last step’s."
    ]
    if len(rows) > MAX_SKILLS:
        goals = {skills.index(name) for name in e.get("goal_skills", ()) if name in skills} or set(rows)
        change = [abs(tracks[0][-1][k] - tracks[0][0][k]) for k in rows]
        rows = sorted(sorted(goals, key=lambda k: -change[k])[:MAX_SKILLS])
        those = "goal skills" if len(goals) < len(skills) else "skills"
        notes.append(
            f"Of {len(skills)} skills, {len(rows)} are shown: the {those} that change most under {label(shown[0])}."
        )
    panels = []
    for p, track in zip(shown, tracks, strict=True):
        columns = sorted({round(i * (len(track) - 1) / MAX_COLUMNS) for i in range(MAX_COLUMNS + 1)})
        cells = [[float(track[t][k]) for t in columns] for k in rows]
        start, end = (sum(row[place] for row in cells) / len(cells) for place in (0, -1))
        change_text = f"mean {start:.2f} → {end:.2f}"
        text = f"Mastery of {len(rows)} skills by step under {label(p)}, from dark (0) to yellow (1): {change_text}."
        picture = figures.heat_map([skills[k] for k in rows], columns, cells, text)
        panels.append(figure(f"{label(p)}: {change_text}", picture))
    if len(shown) == 1:
        notes.append("Only one of the trained policy and the best heuristic has a record.")
    return [paragraph(" ".join(notes), style="muted"), figures.colour_bar("Colour key: mastery 0 to 1"), grid(panels)]


def pathway(e: Json) -> list[Element]:
    """The section that follows one learner: a picture along the minutes, and a table of the steps with reasons."""
    path = e["pathway"]
    steps = list(path.get("steps") or ()) if path else []
    if not steps:
        return [paragraph("No pathway was recorded.")]
    marks = [_mark(step) for step in steps]
    minutes, start, blocks = sum(float(step["minutes"]) for step in steps), 0.0, []
    for step, mark in zip(steps, marks, strict=True):
        text = f"step {step['step']}: {step['title']}, {step['minutes']:.0f} minutes, {MARKS[mark]}"
        blocks.append(Block(step["skill"] or "no skill", start, float(step["minutes"]), mark, text))
        start += float(step["minutes"])
    summary = (
        f"Learner {path['learner']} (role {path['role']}), led by {label_of(e['policies'], path['policy'])}: "
        f"{count_text(len(steps), 'step')}, {minutes:.0f} minutes, {marks.count('right')} right, "
        f"{marks.count('wrong')} wrong, {count_text(marks.count('handover'), 'hand-over')}. "
        f"Goal: {', '.join(path['goal']) or 'none stated'}. One learner is an example, not evidence."
    )
    text = f"Pathway of learner {path['learner']}, one lane a skill; the table below says the same."
    plot = element("div", {"class": "scroll", "tabindex": "0"}, figures.timeline(blocks, text))
    caption = (
        "Mastery of the skill before and after is the simulator’s truth, which the policy does not see. Probability is "
        "the policy’s for this choice, among so many allowed activities."
    )
    parts = [paragraph(summary), plot, legend([(MARKS[m], m) for m in MARKS if m in marks])]
    parts.append(_steps(caption, steps[:OPEN_STEPS]))
    rest = steps[OPEN_STEPS:MAX_STEPS]
    if rest:
        where = f"Steps {rest[0]['step']} to {rest[-1]['step']} of {len(steps)}."
        parts.append(folded(f"Show the next {count_text(len(rest), 'step')}", _steps(where, rest), "rest"))
    return parts


def _steps(caption: str, steps: Sequence[Json]) -> Element:
    head = ["Step", "Activity", "Kind", "Minutes", "Answer", "Skill", "Mastery", "Probability", "Allowed"]
    rows: list[list[Element | str]] = []
    for step in steps:
        mark = _mark(step)
        answer = f"{step['correct']:.0%} right" if mark == "partly" else MARKS[mark]
        change = f"{decimal_text(step['before'], 2)} → {decimal_text(step['after'], 2)}"
        name = element("td", None, str(step["title"]), element("span", {"class": "unit"}, f" {step['activity']}"))
        swatch = element("td", {"class": "figures"}, element("span", {"class": f"swatch {mark}"}), answer)
        row = [str(step["step"]), name, step["kind"], f"{step['minutes']:.0f}", swatch, step["skill"], change]
        rows.append([*row, decimal_text(step["probability"], 2), str(step["allowed"])])
    styles = ["handover" if step["handover"] else "" for step in steps]
    return table(caption, head, rows, styles, [step["reason"] for step in steps], "steps")


def _mark(step: Json) -> str:
    if step["handover"]:
        return "handover"
    if step["correct"] is None:
        return "none"
    return "right" if step["correct"] >= 1 else "wrong" if step["correct"] <= 0 else "partly"
