"""Report: a run's HTML report, one file that needs nothing else, written again from what its evaluation found."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from . import figures
from .figures import Series
from .goodhart_page import goodhart
from .journey import mastery, pathway
from .page import bullets, element, fact_list, figure, grid, how_to_repeat, page, paragraph, table, write
from .standings import elsewhere, outcomes, robustness_note, tiles
from .verdict import (
    Json,
    check,
    count_text,
    decimal_text,
    doubts,
    estimate,
    label,
    primary_outcome,
    read_interval,
    span_text,
    verdict,
)

KEYS = (
    *("experiment", "run_id", "seed", "created", "commit", "command", "data", "tracer", "student", "horizon"),
    *("eval_learners", "eval_seeds", "outcomes", "primary", "policies", "skills", "best_heuristic", "learning_curve"),
    *("pathway", "other_students", "config", "warnings"),
)
LOSSES = ("log_loss", "accuracy", "ece")


def main(words: list[str]) -> None:
    """Run `trailmark report RUN`."""
    parser = argparse.ArgumentParser("trailmark report", description=__doc__)
    parser.add_argument("run", help="a run's id (or its start, or `latest`), or the id of a multirun's parent")
    parser.add_argument("--output", default="runs", help="folder of local runs")
    parser.add_argument("--to", metavar="FILE", help="file to write instead of the report in the run's folder")
    args = parser.parse_args(words)

    from .comparison import write_comparison
    from .compose import complain
    from .runs import RunError

    try:
        found, usual = measured(args.output, args.run)
        target = Path(args.to) if args.to else usual
        if target.is_dir():
            raise RunError(f"{target} is a folder; name a file, such as {target / usual.name}")
        written = write_comparison(found, target) if "agents" in found else write_report(found, target)
    except RunError as error:
        complain(error)
    except json.JSONDecodeError as error:
        complain(ValueError(f"what run {args.run} found is damaged ({error}); run the experiment again"))
    except ValueError as error:
        complain(ValueError(f"run {args.run}: {error}"))
    except OSError as error:
        complain(OSError(f"{target} cannot be written: {error.strerror}"))
    print(f"report: {written}")


def measured(output: str | Path, name: str) -> tuple[dict[str, Any], Path]:
    """Return what the evaluation of a run, or the comparison of a multirun, found, and where its page belongs.

    `name` is the id of a run or of a multirun's parent, the start of one, a folder, or `latest`. Raises RunError when
    it means nothing, too much, or a run without an evaluation.
    """
    from .runs import RunError, find

    folders = [Path(name), *(p for p in sorted(Path(output).glob("*")) if p.name.startswith(name))] if name else []
    parents = [folder / "comparison.json" for folder in folders if (folder / "comparison.json").is_file()]
    try:
        run = find(output, name)
    except RunError:
        if len(parents) != 1:
            raise
        return json.loads(parents[0].read_text()), parents[0].with_suffix(".html")
    if parents:
        raise RunError(f"{name!r} begins the id of a run and of a multirun's parent in {output}: give more of it")
    return run.read_evaluation(), run.report


def write_report(evaluation: Json, path: Path) -> Path:
    """Write the report of one evaluation as one self-contained HTML file and return its path.

    Raises ValueError when the evaluation has another schema or lacks a key. An existing file is replaced whole or not
    at all.
    """
    check(evaluation, KEYS, "evaluation")
    sections = [
        ("run", "What was run", _run(evaluation)),
        ("outcomes", "Which policy does best", outcomes(evaluation)),
        ("goodhart", "What rewarding mere activity would do", goodhart(evaluation)),
        ("learning", "How the policy learned", _learning(evaluation)),
        ("mastery", "Mastery by skill over time", mastery(evaluation)),
        ("pathway", "One learner’s pathway", pathway(evaluation)),
        ("others", "Other kinds of learner", elsewhere(evaluation)),
        ("doubts", "What to doubt", [bullets(doubts(evaluation))]),
        ("again", "How to run it again", how_to_repeat(evaluation)),
    ]
    learners, seeds = evaluation["eval_learners"], evaluation["eval_seeds"]
    lead = paragraph(
        f"Measured on {count_text(seeds, 'population')} of {learners:,} fresh simulated learners, at most "
        f"{evaluation['horizon']} steps each. Brackets are 95 % intervals. Simulated learners are a model of people, "
        "not people: ",
        element("a", {"href": "#doubts"}, "what to doubt"),
        ".",
        style="lead",
    )
    top = [lead, *robustness_note(evaluation), tiles(evaluation)]
    return write(page(evaluation, evaluation["run_id"], verdict(evaluation), top, sections), path)


def _run(e: Json) -> list[Element]:
    data, tracer = e["data"], e["tracer"]
    size = f"{count_text(data['skills'], 'skill')}, {data['activities']} activities"
    if data["rows"]:
        size = f"{data['learners']:,} learners, {data['rows']:,} answers, {size}"
    facts: list[tuple[str, Element | str]] = [("Data", f"{data['name']}: {size}")]
    facts += [("Note", str(note)) for note in data.get("notes", [])]
    if data["digest"]:
        facts.append(("Data digest", element("code", None, str(data["digest"]))))
    if tracer:
        checked = f"checked on {tracer['rows']:,} answers of {tracer['learners']:,} learners it never saw"
        facts.append(("Learner model", f"{tracer['name']}, {checked}"))
    else:
        facts.append(("Learner model", "not checked: there are no recorded answers to check it on"))
    facts += [
        ("Simulated learner", e["student"]),
        ("Seed", str(e["seed"])),
        ("Run", element("code", None, e["run_id"])),
        ("Commit", element("code", None, e["commit"])),
        ("Command", element("code", None, e["command"])),
    ]
    if not tracer:
        return [fact_list(facts)]
    head = ["How well it predicts the next answer", "AUC", "Log loss", "Accuracy", "Calibration error"]
    auc = read_interval(tracer.get("auc"))
    rows: list[list[Element | str]] = [
        [f"{tracer['name']} (held-out learners)", span_text(auc) if auc else "–", *_decimals(tracer, LOSSES)]
    ]
    for name, floor in tracer.get("floors", {}).items():
        rows.append([f"floor: {name}", *_decimals(floor, ("auc", *LOSSES))])
    caption = "AUC: .5 is a coin, 1 is perfect. A learner model near its floors makes poor simulated learners."
    return [fact_list(facts), table(caption, head, rows)]


def _learning(e: Json) -> list[Element]:
    curve, outcome = e["learning_curve"], primary_outcome(e)
    panels = []
    if curve.get("steps"):
        line = Series("trained", tuple(map(float, curve["steps"])), tuple(map(float, curve["return"])))
        text = f"Training return from {line.y[0]:.3g} to {line.y[-1]:.3g} over {line.x[-1]:,.0f} learner-steps."
        panels.append(figure("Return while training", figures.lines([line], text, "learner-steps")))
    held = [(float(h["step"]), read_interval(h)) for h in curve.get("heldout", [])]
    kept = [(step, span) for step, span in held if span]
    if kept:
        x, spans = tuple(step for step, _ in kept), [span for _, span in kept]
        y = tuple(span.value for span in spans)
        low, high = tuple(span.low for span in spans), tuple(span.high for span in spans)
        references = [
            (span.value, label(p), p["kind"])
            for p in e["policies"]
            if p["kind"] == "floor" or p["name"] == e["best_heuristic"]
            if (span := estimate(p["values"], outcome["name"]))
        ]
        text = f"{outcome['title']} on held-out learners from {y[0]:.3g} to {y[-1]:.3g} over training, beside " + (
            ", ".join(f"{name} at {value:.3g}" for value, name, _ in references) or "nothing"
        )
        plot = figures.lines([Series("trained", x, y, low, high)], text, "learner-steps", references)
        panels.append(figure(f"{outcome['title']} on held-out learners", plot))
    if not panels:
        return [paragraph("No learning curve was recorded.")]
    note = "Bands are 95 % intervals over learners. Dashed lines are policies that do not learn."
    return [grid(panels), paragraph(note, style="muted")]


def _decimals(given: Json, names: Sequence[str]) -> list[Element | str]:
    return [decimal_text(given.get(name), 3) for name in names]
