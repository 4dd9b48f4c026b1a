"""The HTML report of an evaluation, or of a comparison over seeds: one file that needs nothing else.

`write_report` takes what `evaluate` measured, `write_comparison` what a multirun collected. Both start with a verdict
that is computed from the numbers and says no more than they do. Pages are built as element trees, so all text is
escaped when it is written.
"""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, tostring

from . import figures
from .figures import Block, Dot, Series, element
from .statistics import Interval

Json = Mapping[str, Any]
Section = tuple[str, str, Sequence[Element]]

KINDS = {"trained": "trained", "baseline": "heuristic baseline", "floor": "floor"}
SHAPES = {"trained": "round", "baseline": "square", "floor": "tilted"}
MARKS = {
    "right": "right",
    "partly": "partly right",
    "wrong": "wrong (×)",
    "none": "no answer",
    "handover": "handed over (!)",
}
MAX_SKILLS, MAX_COLUMNS, MAX_STEPS, FEW_SEEDS = 40, 60, 80, 5
EVALUATION_KEYS = (
    *("experiment", "run_id", "seed", "created", "commit", "command", "data", "tracer", "student", "horizon"),
    *("eval_learners", "eval_seeds", "outcomes", "primary", "policies", "skills", "best_heuristic", "learning_curve"),
    *("pathway", "other_students", "config", "warnings"),
)
COMPARISON_KEYS = (
    *("experiment", "parent_run_id", "created", "commit", "command", "outcomes", "primary", "agents", "baselines"),
    *("improvement", "config"),
)


def write_report(evaluation: Json, path: Path) -> Path:
    """Write the report of one evaluation as one self-contained HTML file and return its path.

    Raises ValueError when the evaluation has another schema or lacks a key. An existing file is replaced whole or not
    at all.
    """
    _check(evaluation, EVALUATION_KEYS, "evaluation")
    sections = [
        ("run", "What was run", _run(evaluation)),
        ("outcomes", "Which policy does best", _outcomes(evaluation)),
        ("learning", "How the policy learned", _learning(evaluation)),
        ("mastery", "Mastery by skill over time", _mastery(evaluation)),
        ("pathway", "One learner’s pathway", _pathway(evaluation["pathway"], evaluation["policies"])),
        ("others", "Other kinds of learner", _others(evaluation)),
        ("doubts", "What to doubt", [_list(doubts(evaluation))]),
        ("again", "How to run it again", _again(evaluation["command"], evaluation["commit"], evaluation["config"])),
    ]
    learners, seeds = evaluation["eval_learners"], evaluation["eval_seeds"]
    lead = _paragraph(
        f"Measured on {learners:,} fresh simulated learners ({_count(seeds, 'seed')}, at most {evaluation['horizon']} "
        "steps each). Brackets are 95 % intervals. Simulated learners are a model of people, not people: ",
        element("a", {"href": "#doubts"}, "what to doubt"),
        ".",
        style="lead",
    )
    top = [lead, *_robustness_note(evaluation), _tiles(evaluation)]
    return _write(_page(evaluation, evaluation["run_id"], verdict(evaluation), top, sections), path)


def write_comparison(comparison: Json, path: Path) -> Path:
    """Write the comparison of agents over seeds as one self-contained HTML file and return its path.

    Raises ValueError when the comparison has another schema or lacks a key. An existing file is replaced whole or not
    at all.
    """
    _check(comparison, COMPARISON_KEYS, "comparison")
    few = _few_seeds(comparison)
    sections = [
        ("scores", "Scores over seeds", _scores(comparison)),
        ("improvement", "Probability of improvement", _improvement(comparison)),
        ("doubts", "What to doubt", [_list([*few, *COMPARISON_DOUBTS])]),
        ("again", "How to run it again", _again(comparison["command"], comparison["commit"], comparison["config"])),
    ]
    top = [_warning(text) for text in few]
    page = _page(comparison, comparison["parent_run_id"], comparison_verdict(comparison), top, sections)
    return _write(page, path)


def verdict(evaluation: Json) -> str:
    """One plain sentence: does the best trained policy beat the best heuristic on the primary outcome?"""
    outcome, best = _primary(evaluation), _champion(evaluation)
    title = _lower(outcome["title"])
    reference = _named(evaluation["policies"], evaluation["best_heuristic"])
    if best is None:
        return f"No trained policy was measured on {title} in this run"
    gain = _gain(best, reference, outcome)
    if gain is None:
        reached = _estimate(best["values"], outcome["name"])
        assert reached is not None
        return f"{_label(best)} reaches {_span(reached)} on {title}; there is no heuristic to compare it with"
    against = (best.get("difference") or {}).get("against", evaluation["best_heuristic"])
    name = f"the best heuristic ({_label(reference)})" if reference and reference["name"] == against else against
    if gain.low > 0:
        return f"{_label(best)} beats {name} on {title} by {_span(gain)}"
    if gain.high < 0:
        return f"{_label(best)} does not beat {name} on {title}: it is worse by {_span(_flip(gain))}"
    return (
        f"{_label(best)} does not beat {name} on {title}: the difference is not distinguishable from zero, "
        f"{_span(gain, signed=True)}"
    )


def doubts(evaluation: Json) -> list[str]:
    """Reasons to distrust the verdict: the run's own warnings, what the numbers show, and what no simulation shows."""
    found = [str(text) for text in evaluation["warnings"]]
    tracer, best = evaluation["tracer"], _champion(evaluation)
    auc, floors = _interval(tracer.get("auc")), [float(f["auc"]) for f in tracer.get("floors", {}).values()]
    if auc and floors and auc.low <= max(floors):
        found.append(
            f"The learner model is hardly better than a floor (AUC {_span(auc)} against {max(floors):.3f}): learners "
            "simulated from it may not learn as people do."
        )
    if evaluation["eval_seeds"] < FEW_SEEDS:
        found.append(f"Only {_count(evaluation['eval_seeds'], 'evaluation seed')}: at least {FEW_SEEDS} are usual.")
    if best is not None:
        if best["legal_rate"] < 0.9995:
            found.append(
                f"{_label(best)} chose a forbidden activity in {_percent(1 - best['legal_rate'])} of its moves."
            )
        if best["handover_rate"] > 0:
            found.append(f"{_label(best)} handed {_percent(best['handover_rate'])} of its moves over to a person.")
        found.append(
            f"One training run (seed {evaluation['seed']}): the intervals cover the choice of learners, not the luck "
            "of training. Compare several seeds before believing a small difference."
        )
    found.append(f"Every learner here is simulated ({evaluation['student']}). A gain on them is not a gain on people.")
    found.append(
        "Policies are measured by the simulator’s own mastery, which no real programme can see; a pilot with real "
        "learners and a test of its own is the next step, not a roll-out."
    )
    return found


def comparison_verdict(comparison: Json) -> str:
    """One plain sentence: is the best agent over seeds ahead of the best baseline?"""
    outcome = _primary(comparison)
    agents = _ranked(comparison["agents"], outcome)
    if not agents:
        return "No agent finished in this comparison"
    rivals = _ranked(comparison["baselines"], outcome) or agents[1:]
    mine = _estimate(agents[0], "iqm")
    theirs = _estimate(rivals[0], "iqm") if rivals else None
    best, title = _label(agents[0]), _lower(outcome["title"])
    seeds = "over " + _count(len(agents[0]["scores"]), "seed")
    if mine is None or theirs is None:
        return f"{best} is alone in this comparison: nothing to beat on {title}"
    gain, name, places = _apart(mine, theirs, outcome), _label(rivals[0]), _places([mine, theirs])
    figures_of = f"interquartile mean {_span(mine, places)} {seeds} against {_span(theirs, places)}"
    if gain.low > 0:
        return f"{best} beats {name} on {title}: {figures_of}"
    if gain.high < 0:
        return f"{best}, the best agent, does not beat {name} on {title}: {figures_of}"
    return f"{best} and {name} are not clearly apart on {title}: {figures_of}"


COMPARISON_DOUBTS = (
    "A seed is one whole training run; the intervals resample seeds and say nothing of other learners or other data.",
    "The best of several agents looks better than it is: the more were tried, the more so.",
    "Every learner here is simulated. A gain on them is not a gain on people.",
)


def _run(e: Json) -> list[Element]:
    data, tracer = e["data"], e["tracer"]
    auc = _interval(tracer.get("auc"))
    size = f"{data['learners']:,} learners, {data['rows']:,} answers"
    size += f", {_count(data['skills'], 'skill')}, {data['activities']} activities"
    check = f"checked on {tracer['rows']:,} answers of {tracer['learners']:,} learners it never saw"
    facts: list[tuple[str, Element | str]] = [("Data", f"{data['name']}: {size}")]
    facts += [("Note", str(note)) for note in data.get("notes", [])]
    facts += [
        ("Data digest", element("code", None, str(data["digest"]))),
        ("Learner model", f"{tracer['name']}, {check}"),
    ]
    facts += [
        ("Simulated learner", e["student"]),
        ("Seed", str(e["seed"])),
        ("Run", element("code", None, e["run_id"])),
        ("Commit", element("code", None, e["commit"])),
        ("Command", element("code", None, e["command"])),
    ]
    head = ["How well it predicts the next answer", "AUC", "Log loss", "Accuracy", "Calibration error"]
    rows: list[list[Element | str]] = [
        [f"{tracer['name']} (held-out learners)", _span(auc) if auc else "–", *_decimals(tracer, LOSSES)]
    ]
    for name, floor in tracer.get("floors", {}).items():
        rows.append([f"floor: {name}", *_decimals(floor, ("auc", *LOSSES))])
    caption = "AUC: .5 is a coin, 1 is perfect. A learner model near its floors makes poor simulated learners."
    return [_facts(facts), _table(caption, head, rows)]


LOSSES = ("log_loss", "accuracy", "ece")


def _outcomes(e: Json) -> list[Element]:
    outcome, policies = _primary(e), _sorted(e["policies"], _primary(e))
    if not policies:
        return [_paragraph("No policy was measured.")]
    reference = _named(policies, e["best_heuristic"])
    panels = [_figure(f"{outcome['title']} ({outcome['unit']})", _outcome_dots(policies, outcome, reference, None))]
    versus = [p for p in policies if _interval(p.get("difference"))]
    if versus:
        names = sorted({p["difference"]["against"] for p in versus})
        spans = [_interval(p["difference"]) for p in versus]
        places = _places(spans)
        rows = [
            Dot(_label(p), p["kind"], d.value, d.low, d.high, _span(d, places, signed=True))
            for p, d in zip(versus, spans, strict=True)
            if d
        ]
        text = f"Difference in {_lower(outcome['title'])} of {len(rows)} policies from {', '.join(names)}."
        plot = figures.dots(rows, text, f"difference, {outcome['unit']}; {_better(outcome)}", (0.0, "no difference"))
        panels.append(_figure(f"Difference from {', '.join(names)}, same learners", plot))
    kinds = [kind for kind in KINDS if any(p["kind"] == kind for p in policies)]
    note = "Best first. Dots are means over learners, bars 95 % intervals; the axes do not start at zero."
    return [
        _grid(panels),
        _legend([(KINDS[kind], f"kind-{kind} {SHAPES[kind]}") for kind in kinds]),
        _paragraph(note, style="muted"),
        _outcome_table(e, policies),
    ]


def _outcome_dots(
    policies: Sequence[Json], outcome: Json, best: Json | None, limits: tuple[float, float] | None
) -> Element:
    name = outcome["name"]
    spans = [(p, _estimate(p["values"], name)) for p in policies]
    places = _places([span for _, span in spans])
    rows = [Dot(_label(p), p["kind"], s.value, s.low, s.high, _span(s, places)) for p, s in spans if s]
    if not rows:
        return _paragraph("not measured")
    mark = _estimate(best["values"], name) if best else None
    text = f"{outcome['title']} by policy with 95 % intervals: " + "; ".join(f"{r.label} {r.text}" for r in rows)
    reference = (mark.value, f"best heuristic: {_label(best)}") if mark and best else None
    return figures.dots(rows, text, f"{outcome['unit']}; {_better(outcome)}", reference, limits)


def _outcome_table(e: Json, policies: Sequence[Json]) -> Element:
    first = _primary(e)
    rest = [o for o in e["outcomes"] if o["name"] != first["name"]]
    real, not_real = [first, *(o for o in rest if o["is_outcome"])], [o for o in rest if not o["is_outcome"]]
    places = {o["name"]: _places([_estimate(p["values"], o["name"]) for p in policies]) for o in e["outcomes"]}
    head: list[Element | str] = ["Policy", *(_head(o["title"], f"{o['unit']}; {_better(o)}") for o in real)]
    head += ["Legal moves", "Hand-overs", "Minutes", "Steps"]
    head += [_head(o["title"], "not an outcome: shown to say why not", "aside") for o in not_real]
    rows = []
    for p in policies:
        tags = [KINDS[p["kind"]], *(["best heuristic"] if p["name"] == e["best_heuristic"] else [])]
        cells: list[Element | str] = [_row_head(_label(p), tags)]
        cells += [_span_or_dash(_estimate(p["values"], o["name"]), places[o["name"]]) for o in real]
        cells += [_percent(p["legal_rate"]), _percent(p["handover_rate"]), f"{p['minutes']:.1f}", f"{p['steps']:.1f}"]
        for o in not_real:
            text = _span_or_dash(_estimate(p["values"], o["name"]), places[o["name"]])
            cells.append(element("td", {"class": "figures aside"}, text))
        rows.append(cells)
    caption = "All outcomes, mean and 95 % interval over learners. Minutes and steps are means per learner."
    return _table(caption, head, rows)


def _learning(e: Json) -> list[Element]:
    curve, outcome = e["learning_curve"], _primary(e)
    panels = []
    if curve.get("steps"):
        line = Series("trained", tuple(map(float, curve["steps"])), tuple(map(float, curve["return"])))
        text = f"Training return from {line.y[0]:.3g} to {line.y[-1]:.3g} over {curve['steps'][-1]:,} learner-steps."
        panels.append(_figure("Return while training", figures.lines([line], text, "learner-steps")))
    held = [(float(h["step"]), _interval(h)) for h in curve.get("heldout", [])]
    kept = [(step, span) for step, span in held if span]
    if kept:
        x, spans = tuple(step for step, _ in kept), [span for _, span in kept]
        y = tuple(span.value for span in spans)
        low, high = tuple(span.low for span in spans), tuple(span.high for span in spans)
        references = [
            (span.value, _label(p), p["kind"])
            for p in e["policies"]
            if p["kind"] == "floor" or p["name"] == e["best_heuristic"]
            if (span := _estimate(p["values"], outcome["name"]))
        ]
        text = f"{outcome['title']} on held-out learners from {y[0]:.3g} to {y[-1]:.3g} over training, beside " + (
            ", ".join(f"{name} at {value:.3g}" for value, name, _ in references) or "nothing"
        )
        plot = figures.lines([Series("trained", x, y, low, high)], text, "learner-steps", references)
        panels.append(_figure(f"{outcome['title']} on held-out learners", plot))
    if not panels:
        return [_paragraph("No learning curve was recorded.")]
    note = "Bands are 95 % intervals over learners. Dashed lines are policies that do not learn."
    return [_grid(panels), _paragraph(note, style="muted")]


def _mastery(e: Json) -> list[Element]:
    best = _champion(e)
    shown = [p for p in (best, _named(e["policies"], e["best_heuristic"])) if p and len(p.get("mastery_by_step") or [])]
    if not shown:
        return [_paragraph("Mastery over time was not recorded.")]
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
            f"Of {len(skills)} skills, {len(rows)} are shown: the {those} that change most under {_label(shown[0])}."
        )
    panels = []
    for p, track in zip(shown, tracks, strict=True):
        columns = sorted({round(i * (len(track) - 1) / MAX_COLUMNS) for i in range(MAX_COLUMNS + 1)})
        cells = [[float(track[t][k]) for t in columns] for k in rows]
        start, end = (sum(row[place] for row in cells) / len(cells) for place in (0, -1))
        change_text = f"mean {start:.2f} → {end:.2f}"
        text = f"Mastery of {len(rows)} skills by step under {_label(p)}, from dark (0) to yellow (1): {change_text}."
        picture = figures.heat_map([skills[k] for k in rows], columns, cells, text)
        panels.append(_figure(f"{_label(p)}: {change_text}", picture))
    if len(shown) == 1:
        notes.append("Only one of the trained policy and the best heuristic has a record.")
    return [_paragraph(" ".join(notes), style="muted"), figures.colour_bar("Colour key: mastery 0 to 1"), _grid(panels)]


def _pathway(pathway: Json, policies: Sequence[Json]) -> list[Element]:
    steps = list(pathway.get("steps") or ()) if pathway else []
    if not steps:
        return [_paragraph("No pathway was recorded.")]
    label, cut = _label(_named(policies, pathway["policy"]) or {"name": pathway["policy"]}), steps[:MAX_STEPS]
    marks = [_mark(step) for step in steps]
    minutes, start, blocks = sum(float(step["minutes"]) for step in steps), 0.0, []
    for step, mark in zip(steps, marks, strict=True):
        text = f"step {step['step']}: {step['title']}, {step['minutes']:.0f} minutes, {MARKS[mark]}"
        blocks.append(Block(step["skill"] or "no skill", start, float(step["minutes"]), mark, text))
        start += float(step["minutes"])
    summary = (
        f"Learner {pathway['learner']} (role {pathway['role']}), led by {label}: {_count(len(steps), 'step')}, "
        f"{minutes:.0f} minutes, {marks.count('right')} right, {marks.count('wrong')} wrong, "
        f"{_count(marks.count('handover'), 'hand-over')}. Goal: {', '.join(pathway['goal']) or 'none stated'}. "
        "One learner is an example, not evidence."
    )
    text = f"Pathway of learner {pathway['learner']}, one lane a skill; the table below says the same."
    plot = element("div", {"class": "scroll", "tabindex": "0"}, figures.timeline(blocks, text))
    head = ["Step", "Activity", "Kind", "Minutes", "Answer", "Skill", "Mastery", "Probability", "Allowed", "Reason"]
    rows: list[list[Element | str]] = []
    for step, mark in zip(cut, marks, strict=False):
        answer = f"{step['correct']:.0%} right" if mark == "partly" else MARKS[mark]
        change = f"{_fixed(step['before'], 2)} → {_fixed(step['after'], 2)}"
        name = element("td", None, str(step["title"]), element("span", {"class": "unit"}, f" {step['activity']}"))
        swatch = element("td", {"class": "figures"}, element("span", {"class": f"swatch {mark}"}), answer)
        row = [str(step["step"]), name, step["kind"], f"{step['minutes']:.0f}", swatch, step["skill"], change]
        rows.append([*row, _fixed(step["probability"], 2), str(step["allowed"]), step["reason"]])
    caption = (
        "Mastery of the skill before and after is the simulator’s truth, which the policy does not see. Probability is "
        "the policy’s for this choice, among so many allowed activities."
    )
    if len(cut) < len(steps):
        caption += f" The first {len(cut)} of {len(steps)} steps."
    table = _table(caption, head, rows, [("handover" if mark == "handover" else "") for mark in marks])
    return [_paragraph(summary), plot, _legend([(MARKS[m], m) for m in MARKS if m in marks]), table]


def _others(e: Json) -> list[Element]:
    others, outcome = e["other_students"], _primary(e)
    if not others:
        return [
            _paragraph(
                "The policies were measured on no other kind of simulated learner, so nothing says they would last."
            )
        ]
    name = outcome["name"]
    homes = [{"student": e["student"], "policies": e["policies"]}, *others]
    ends = [
        end
        for home in homes
        for p in home["policies"]
        if (s := _estimate(p["values"], name))
        for end in (s.low, s.high)
    ]
    margin = (max(ends) - min(ends)) * 0.06 or 0.01 if ends else 0.01
    limits = (min(ends) - margin, max(ends) + margin) if ends else (0.0, 1.0)
    panels, head, columns = [], ["Policy"], []
    for place, home in enumerate(homes):
        title = home["student"] + (" (home: trained on it)" if place == 0 else "")
        policies = _sorted(home["policies"], outcome)
        best = _named(policies, e["best_heuristic"])
        panels.append(_figure(title, _outcome_dots(policies, outcome, best, limits)))
        head.append(title)
        columns.append({p["name"]: _estimate(p["values"], name) for p in policies})
    places = _places([span for column in columns for span in column.values()])
    rows: list[list[Element | str]] = []
    for p in _sorted(e["policies"], outcome):
        rows.append([_label(p), *(_span_or_dash(column.get(p["name"]), places) for column in columns)])
    caption = f"{outcome['title']} ({outcome['unit']}), by kind of simulated learner; {_better(outcome)}."
    lead = (
        "The same policies, unchanged, on learners that learn by other rules. A policy that leads only on the kind it "
        "was trained on has learned the simulator, not how to teach."
    )
    table = _table(caption, list(head), rows)
    return [_paragraph(lead), *_robustness_note(e), _grid(panels), table]


def _robustness_note(e: Json) -> list[Element]:
    """Say where the champion leads; a warning when it leads at home alone."""
    best, others, outcome = _champion(e), e["other_students"], _primary(e)
    if best is None or not others:
        return []
    home = _gain(best, _named(e["policies"], e["best_heuristic"]), outcome)
    there = []
    for other in others:
        twin = _named(other["policies"], best["name"])
        gain = _gain(twin, _named(other["policies"], e["best_heuristic"]), outcome) if twin else None
        there.append((other["student"], gain))
    ahead = [student for student, gain in there if gain and gain.low > 0]
    rest = ", ".join(student for student, _ in there if student not in ahead)
    if home and home.low > 0 and not ahead:
        text = (
            f"Wins only at home: {_label(best)} is clearly ahead on the simulator it was trained on, and not on {rest}."
        )
        return [_warning(text)]
    if not ahead:
        return []
    text = f"{_label(best)} is also clearly ahead of the best heuristic on {len(ahead)} of {len(there)} other kinds"
    return [_paragraph(f"{text} of learner ({', '.join(ahead)}){f', and not on {rest}' if rest else ''}.")]


def _tiles(e: Json) -> Element:
    outcome, best = _primary(e), _champion(e)
    reference = _named(e["policies"], e["best_heuristic"])
    tiles = []
    for role, policy in (("trained policy", best), ("best heuristic", reference)):
        if policy and (span := _estimate(policy["values"], outcome["name"])):
            tiles.append((f"{_label(policy)}, {role}", span, False, f"{_lower(outcome['title'])}, {outcome['unit']}"))
    if best and (gain := _interval(best.get("difference"))):
        tiles.append(("Difference", gain, True, f"from {best['difference']['against']}; {_better(outcome)}"))
    floors = [f["auc"] for f in e["tracer"].get("floors", {}).values()]
    if auc := _interval(e["tracer"].get("auc")):
        note = f"best floor {max(floors):.3f}" if floors else "no floor measured"
        tiles.append(("Learner model, AUC", auc, False, note))
    boxes = []
    for name, span, signed, note in tiles:
        value, ends = _span(span, signed=signed).split(" ", 1)
        number = element("dd", None, f"{value} ", element("small", None, ends), element("small", None, note))
        boxes.append(element("div", None, element("dt", None, name), number))
    return element("dl", {"class": "tiles"}, *boxes)


def _scores(c: Json) -> list[Element]:
    outcome = _primary(c)
    rows: list[list[Element | str]] = []
    dots: list[Dot] = []
    agents = [{**a, "kind": "trained"} for a in c["agents"]]
    ranked = _ranked([*agents, *c["baselines"]], outcome)
    if not ranked:
        return [_paragraph("No scores were collected.")]
    places = _places([_estimate(a, "iqm") for a in ranked])
    for a in ranked:
        span = _estimate(a, "iqm")
        assert span is not None
        scores = [float(v) for v in a["scores"]]
        dots.append(Dot(_label(a), a["kind"], span.value, span.low, span.high, _span(span, places), tuple(scores)))
        spread = f"{_number(min(scores), places)} to {_number(max(scores), places)}" if scores else "–"
        runs = element("td", None, *(element("code", None, f"{run} ") for run in a.get("runs", ())))
        name = _row_head(_label(a), [KINDS[a["kind"]]])
        rows.append(
            [name, _span(span, places), spread, str(len(scores)), ", ".join(map(str, a.get("seeds", ()))), runs]
        )
    text = f"Interquartile mean of {_lower(outcome['title'])} over seeds: " + "; ".join(
        f"{d.label} {d.text}" for d in dots
    )
    plot = _figure(
        f"{outcome['title']} ({outcome['unit']})", figures.dots(dots, text, f"{outcome['unit']}; {_better(outcome)}")
    )
    note = "Bars are 95 % stratified bootstrap intervals of the interquartile mean; every faint dot is one seed."
    head: list[Element | str] = ["Policy", "Interquartile mean", "Lowest to highest seed", "Scores", "Seeds", "Runs"]
    kinds = [kind for kind in KINDS if any(a["kind"] == kind for a in ranked)]
    legend = _legend([(KINDS[kind], f"kind-{kind} {SHAPES[kind]}") for kind in kinds])
    return [
        _grid([plot]),
        legend,
        _paragraph(note, style="muted"),
        _table(f"{outcome['title']}, best first.", head, rows),
    ]


def _improvement(c: Json) -> list[Element]:
    pairs = [(f"{i['x']} over {i['y']}", span) for i in c["improvement"] if (span := _interval(i["probability"]))]
    if not pairs:
        return [_paragraph("No pair was compared.")]
    dots = [Dot(name, "trained", s.value, s.low, s.high, _span(s, 2)) for name, s in pairs]
    text = "Probability that a seed of the first beats a seed of the second: " + "; ".join(
        f"{d.label} {d.text}" for d in dots
    )
    plot = figures.dots(dots, text, "probability", (0.5, "no difference"), (-0.02, 1.02))
    rows: list[list[Element | str]] = [[name, _span(span, 2)] for name, span in pairs]
    lead = "The chance that a run of the first, its seed drawn at random, beats a run of the second; a tie is one half."
    return [
        _paragraph(lead),
        _grid([_figure("Chance to do better", plot)]),
        _table("95 % intervals.", ["Pair", "Probability"], rows),
    ]


def _few_seeds(c: Json) -> list[str]:
    counts = [len(a["scores"]) for a in c["agents"]]
    if not counts or min(counts) >= FEW_SEEDS:
        return []
    return [
        f"Only {_count(min(counts), 'seed')} for some agent. With fewer than {FEW_SEEDS} the intervals are too narrow "
        "and the order can turn: read this as a first look."
    ]


def _again(command: str, commit: str, config: str) -> list[Element]:
    return [
        _paragraph("At commit ", element("code", None, commit), ", with the same data and seed:"),
        element("pre", {"tabindex": "0"}, element("code", None, command)),
        element(
            "details",
            None,
            element("summary", None, "The whole configuration"),
            element("pre", {"tabindex": "0"}, element("code", None, config)),
        ),
    ]


def _page(about: Json, run_id: str, sentence: str, top: Sequence[Element], sections: Sequence[Section]) -> str:
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    head = element(
        "head",
        None,
        element("meta", {"charset": "utf-8"}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        element("title", None, f"{about['experiment']}: {sentence}"),
        element("style", None, style),
    )
    kicker = f"Trailmark report · experiment {about['experiment']} · run {run_id} · {about['created']}"
    links = [element("a", {"href": f"#{name}"}, title) for name, title, _ in sections]
    header = element("header", None, _paragraph(kicker, style="kicker"), element("h1", None, f"{sentence}."), *top)
    parts = [
        element("section", {"id": name}, element("h2", None, f"{number}. {title}"), *body)
        for number, (name, title, body) in enumerate(sections, 1)
    ]
    nav = element("nav", {"aria-label": "Sections"}, *links)
    footer = element("footer", None, f"Run {run_id}, commit {about['commit']}, {about['created']}.")
    body = element("body", None, header, nav, element("main", None, *parts), footer)
    return (
        "<!DOCTYPE html>\n"
        + tostring(element("html", {"lang": "en"}, head, body), encoding="unicode", method="html")
        + "\n"
    )


def _write(page: str, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        draft.write_bytes(page.encode("utf-8", errors="replace"))
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _check(given: Json, keys: Sequence[str], name: str) -> None:
    if given.get("schema") != 1:
        raise ValueError(f"{name} has schema {given.get('schema')!r}, this report reads schema 1: measure it again")
    missing = [key for key in keys if key not in given]
    if missing:
        raise ValueError(f"{name} lacks {', '.join(missing)}: lists may be empty, keys may not be left out")
    for policy in [*given.get("policies", ()), *given.get("baselines", ())]:
        if policy["kind"] not in KINDS:
            kinds = ", ".join(KINDS)
            raise ValueError(f"{name}: policy {policy['name']!r} has kind {policy['kind']!r}, which is none of {kinds}")
    if given["primary"] not in [outcome["name"] for outcome in given["outcomes"]]:
        raise ValueError(f"{name}: primary {given['primary']!r} is none of its outcomes")


def _primary(given: Json) -> Json:
    return next(outcome for outcome in given["outcomes"] if outcome["name"] == given["primary"])


def _named(policies: Sequence[Json], name: str | None) -> Json | None:
    return next((p for p in policies if p["name"] == name), None)


def _champion(e: Json) -> Json | None:
    """The trained policy that is best on the primary outcome."""
    trained = [p for p in e["policies"] if p["kind"] == "trained" and _estimate(p["values"], e["primary"])]
    return _sorted(trained, _primary(e))[0] if trained else None


def _sorted(policies: Sequence[Json], outcome: Json) -> list[Json]:
    """Best first; policies without a value last."""
    return sorted(policies, key=lambda p: _rank(_estimate(p["values"], outcome["name"]), outcome))


def _ranked(agents: Sequence[Json], outcome: Json) -> list[Json]:
    """Agents with an interquartile mean, best first."""
    return sorted((a for a in agents if _estimate(a, "iqm")), key=lambda a: _rank(_estimate(a, "iqm"), outcome))


def _rank(span: Interval | None, outcome: Json) -> float:
    return math.inf if span is None else -span.value if outcome["higher_is_better"] else span.value


def _gain(policy: Json, reference: Json | None, outcome: Json) -> Interval | None:
    """How much better the policy does, positive is better: the paired difference, else one from separate intervals."""
    paired = _interval(policy.get("difference"))
    if paired:
        return paired if outcome["higher_is_better"] else _flip(paired)
    mine = _estimate(policy["values"], outcome["name"])
    theirs = _estimate(reference["values"], outcome["name"]) if reference else None
    return _apart(mine, theirs, outcome) if mine and theirs else None


def _apart(mine: Interval, theirs: Interval, outcome: Json) -> Interval:
    """Difference of two separate estimates, as wide as both together: wider than a paired one, never narrower."""
    gain = Interval(mine.value - theirs.value, mine.low - theirs.high, mine.high - theirs.low)
    return gain if outcome["higher_is_better"] else _flip(gain)


def _flip(span: Interval) -> Interval:
    return Interval(-span.value, -span.high, -span.low)


def _interval(given: Any) -> Interval | None:
    """Read {"value", "low", "high"}; None where a number is missing or not finite."""
    if not given or any(given.get(end) is None for end in ("value", "low", "high")):
        return None
    span = Interval(float(given["value"]), float(given["low"]), float(given["high"]))
    return span if all(map(math.isfinite, (span.value, span.low, span.high))) else None


def _estimate(values: Json, name: str) -> Interval | None:
    return _interval(values.get(name))


def _mark(step: Json) -> str:
    if step["handover"]:
        return "handover"
    if step["correct"] is None:
        return "none"
    return "right" if step["correct"] >= 1 else "wrong" if step["correct"] <= 0 else "partly"


def _places(spans: Sequence[Interval | None]) -> int:
    """Decimals that show one or two digits of a typical half-width, the same for a whole column."""
    halves = sorted((s.high - s.low) / 2 for s in spans if s and s.high - s.low > 1e-9)
    return min(4, max(0, math.ceil(0.3 - math.log10(halves[len(halves) // 2])))) if halves else 3


def _number(value: float, places: int, signed: bool = False) -> str:
    text = f"{value:+.{places}f}" if signed else f"{value:.{places}f}"
    return text.replace("-", "\u2212")


def _span(span: Interval, places: int | None = None, signed: bool = False) -> str:
    ends = (span.value, span.low, span.high)
    digits = _places([span]) if places is None else places
    # An end that is not zero must not read as zero: the verdict hangs on it.
    while places is None and digits < 6 and any(end and not round(end, digits) for end in ends):
        digits += 1
    value, low, high = (_number(end, digits, signed) for end in ends)
    return f"{value} [{low}, {high}]"


def _span_or_dash(span: Interval | None, places: int) -> str:
    return _span(span, places) if span else "–"


def _fixed(value: float | None, places: int) -> str:
    return "–" if value is None else _number(float(value), places)


def _decimals(given: Json, names: Sequence[str]) -> list[Element | str]:
    return [_fixed(given.get(name), 3) for name in names]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _better(outcome: Json) -> str:
    return "higher is better" if outcome["higher_is_better"] else "lower is better"


def _label(policy: Json) -> str:
    """A policy's title where it has one, else its name."""
    return str(policy.get("title") or policy["name"])


def _lower(title: str) -> str:
    return title[:1].lower() + title[1:]


def _paragraph(*parts: Element | str, style: str = "") -> Element:
    return element("p", {"class": style} if style else None, *parts)


def _warning(text: str) -> Element:
    return element("p", {"class": "warning", "role": "note"}, text)


def _list(texts: Sequence[str]) -> Element:
    return element("ul", None, *(element("li", None, text) for text in texts))


def _facts(facts: Sequence[tuple[str, Element | str]]) -> Element:
    pairs = [part for name, value in facts for part in (element("dt", None, name), element("dd", None, value))]
    return element("dl", {"class": "facts"}, *pairs)


def _grid(panels: Sequence[Element]) -> Element:
    return element("div", {"class": "grid"}, *panels)


def _figure(title: str, picture: Element) -> Element:
    return element("figure", None, element("h3", None, title), picture)


def _legend(entries: Sequence[tuple[str, str]]) -> Element:
    spans = [element("span", None, element("i", {"class": f"swatch {style}"}), name) for name, style in entries]
    return element("p", {"class": "legend", "aria-label": "Legend"}, *spans)


def _row_head(name: str, tags: Sequence[str]) -> Element:
    marks = [element("span", {"class": "tag"}, tag) for tag in tags]
    return element("th", {"scope": "row"}, f"{name} ", element("div", None, *marks))


def _head(title: str, unit: str, style: str = "") -> Element:
    return element("th", {"scope": "col", "class": style}, title, element("span", {"class": "unit"}, unit))


def _table(
    caption: str, head: Sequence[Element | str], rows: Sequence[Sequence[Element | str]], styles: Sequence[str] = ()
) -> Element:
    """A table that scrolls sideways on a narrow page; cells may be ready-made elements or plain text."""
    top = [cell if isinstance(cell, Element) else element("th", {"scope": "col"}, cell) for cell in head]
    lines = []
    for number, row in enumerate(rows):
        cells = []
        for place, cell in enumerate(row):
            if isinstance(cell, Element):
                cells.append(cell)
            elif place == 0:
                cells.append(element("th", {"scope": "row"}, cell))
            else:
                numeric = any(letter.isdigit() for letter in cell) and len(cell) < 28
                cells.append(element("td", {"class": "figures"} if numeric else None, cell))
        style = styles[number] if number < len(styles) else ""
        lines.append(element("tr", {"class": style} if style else None, *cells))
    label = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": caption}
    inner = [element("thead", None, element("tr", None, *top)), element("tbody", None, *lines)]
    box = element("div", label, element("table", {"aria-label": caption}, *inner))
    return element("div", {"class": "table"}, _paragraph(caption, style="muted"), box)
