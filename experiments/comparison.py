"""The page of a multirun: agents side by side over seeds, one HTML file that needs nothing else."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from . import figures
from .figures import Dot
from .page import (
    bullets,
    element,
    figure,
    grid,
    how_to_repeat,
    kind_legend,
    page,
    paragraph,
    row_head,
    table,
    warning,
    write,
)
from .verdict import (
    FEW_SEEDS,
    KINDS,
    Json,
    apart,
    check,
    common_places,
    count_text,
    decimal_text,
    direction,
    estimate,
    label,
    label_of,
    lower_first,
    primary_outcome,
    rank,
    read_interval,
    span_text,
)

KEYS = (
    *("experiment", "parent_run_id", "created", "commit", "command", "outcomes", "primary", "agents", "baselines"),
    *("improvement", "config"),
)
DOUBTS = (
    "A seed is one whole training run; the intervals resample seeds and say nothing of other learners or other data.",
    "The best of several agents looks better than it is: the more were tried, the more so.",
    "Every learner here is simulated. A gain on them is not a gain on people.",
)


def write_comparison(comparison: Json, path: Path) -> Path:
    """Write the comparison of agents over seeds as one self-contained HTML file and return its path.

    Raises ValueError when the comparison has another schema or lacks a key. An existing file is replaced whole or not
    at all.
    """
    check(comparison, KEYS, "comparison")
    few = _few_seeds(comparison)
    sections = [
        ("scores", "Scores over seeds", _scores(comparison)),
        ("improvement", "Probability of improvement", _improvement(comparison)),
        ("doubts", "What to doubt", [bullets([*few, *DOUBTS])]),
        ("again", "How to run it again", how_to_repeat(comparison)),
    ]
    top = [warning(text) for text in few]
    text = page(comparison, comparison["parent_run_id"], comparison_verdict(comparison), top, sections)
    return write(text, path)


def comparison_verdict(comparison: Json) -> str:
    """One plain sentence: is the best agent over seeds ahead of the best baseline?"""
    outcome = primary_outcome(comparison)
    agents = _ranked(comparison["agents"], outcome)
    if not agents:
        return "No agent finished in this comparison"
    rivals = _ranked(comparison["baselines"], outcome) or agents[1:]
    mine = estimate(agents[0], "iqm")
    theirs = estimate(rivals[0], "iqm") if rivals else None
    best, title = label(agents[0]), lower_first(outcome["title"])
    seeds = "over " + count_text(len(agents[0]["scores"]), "seed")
    if mine is None or theirs is None:
        return f"{best} is alone in this comparison: nothing to beat on {title}"
    gain, name, places = apart(mine, theirs, outcome), label(rivals[0]), common_places([mine, theirs])
    numbers = f"interquartile mean {span_text(mine, places)} {seeds} against {span_text(theirs, places)}"
    if gain.low > 0:
        return f"{best} beats {name} on {title}: {numbers}"
    if gain.high < 0:
        return f"{best}, the best agent, does not beat {name} on {title}: {numbers}"
    return f"{best} and {name} are not clearly apart on {title}: {numbers}"


def _scores(c: Json) -> list[Element]:
    outcome = primary_outcome(c)
    rows: list[list[Element | str]] = []
    dots: list[Dot] = []
    agents = [{**a, "kind": "trained"} for a in c["agents"]]
    order = _ranked([*agents, *c["baselines"]], outcome)
    if not order:
        return [paragraph("No scores were collected.")]
    places = common_places([estimate(a, "iqm") for a in order])
    for a in order:
        span = estimate(a, "iqm")
        assert span is not None
        scores = [float(v) for v in a["scores"]]
        dots.append(Dot(label(a), a["kind"], span.value, span.low, span.high, span_text(span, places), tuple(scores)))
        spread = f"{decimal_text(min(scores), places)} to {decimal_text(max(scores), places)}" if scores else "–"
        runs = element("td", None, *(element("code", None, f"{run} ") for run in a.get("runs", ())))
        name = row_head(label(a), [KINDS[a["kind"]]])
        rows.append(
            [name, span_text(span, places), spread, str(len(scores)), ", ".join(map(str, a.get("seeds", ()))), runs]
        )
    text = f"Interquartile mean of {lower_first(outcome['title'])} over seeds: " + "; ".join(
        f"{d.label} {d.text}" for d in dots
    )
    plot = figure(
        f"{outcome['title']} ({outcome['unit']})", figures.dots(dots, text, f"{outcome['unit']}; {direction(outcome)}")
    )
    note = "Bars are 95 % stratified bootstrap intervals of the interquartile mean; every faint dot is one seed."
    head: list[Element | str] = ["Policy", "Interquartile mean", "Lowest to highest seed", "Scores", "Seeds", "Runs"]
    return [
        grid([plot]),
        kind_legend(order),
        paragraph(note, style="muted"),
        table(f"{outcome['title']}, best first.", head, rows),
    ]


def _improvement(c: Json) -> list[Element]:
    everyone = [*c["agents"], *c["baselines"]]
    pairs = [
        (f"{label_of(everyone, i['x'])} over {label_of(everyone, i['y'])}", span)
        for i in c["improvement"]
        if (span := read_interval(i["probability"]))
    ]
    if not pairs:
        return [paragraph("No pair was compared.")]
    dots = [Dot(name, "trained", s.value, s.low, s.high, span_text(s, 2)) for name, s in pairs]
    text = "Probability that a seed of the first beats a seed of the second: " + "; ".join(
        f"{d.label} {d.text}" for d in dots
    )
    plot = figures.dots(dots, text, "probability", (0.5, "no difference"), (-0.02, 1.02))
    rows: list[list[Element | str]] = [[name, span_text(span, 2)] for name, span in pairs]
    lead = "The chance that a run of the first, its seed drawn at random, beats a run of the second; a tie is one half."
    return [
        paragraph(lead),
        grid([figure("Chance to do better", plot)]),
        table("95 % intervals.", ["Pair", "Probability"], rows),
    ]


def _few_seeds(c: Json) -> list[str]:
    counts = [len(a["scores"]) for a in c["agents"]]
    if not counts or min(counts) >= FEW_SEEDS:
        return []
    return [
        f"Only {count_text(min(counts), 'seed')} for some agent. With fewer than {FEW_SEEDS} the intervals are too "
        "narrow and the order can turn: read this as a first look."
    ]


def _ranked(agents: Sequence[Json], outcome: Json) -> list[Json]:
    """Agents with an interquartile mean, best first."""
    return sorted((a for a in agents if estimate(a, "iqm")), key=lambda a: rank(estimate(a, "iqm"), outcome))
