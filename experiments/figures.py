"""Pictures of a report as inline SVG elements: they need no plotting library, follow the page's colours and stay text.

Colours are CSS classes of report.css; every kind also has its own mark, so that nothing hangs on colour alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.etree.ElementTree import Element

from .page import element

WIDTH = 440
# Size of small text in report.css, and letters much narrower or wider than others.
SMALL, NARROW, WIDE = 11.5, " .,:;!|'()[]-/fijlrtI", "mwMW@%&"
# Even steps from dark blue through grey to yellow: lightness rises all the way, whatever colours the reader sees.
SCALE = ((8, 29, 88), (58, 77, 107), (112, 113, 115), (178, 163, 101), (253, 231, 76))


@dataclass(frozen=True)
class Dot:
    """One row of a dot plot: an estimate with its interval, the single runs behind it, and (kind, value) of a rival."""

    label: str
    kind: str
    value: float
    low: float
    high: float
    text: str
    points: tuple[float, ...] = ()
    rival: tuple[str, float] | None = None


@dataclass(frozen=True)
class Series:
    """One line of a chart; `low` and `high` draw a band when they are given."""

    kind: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class Block:
    """One step of a pathway: `start` and `length` in minutes, `mark` one of right, partly, wrong, none, handover."""

    lane: str
    start: float
    length: float
    mark: str
    text: str


def dots(
    rows: Sequence[Dot],
    description: str,
    axis: str,
    reference: tuple[float, str] | None = None,
    limits: tuple[float, float] | None = None,
) -> Element:
    """Draw estimates with intervals, one under the other; `reference` is a vertical line with its name."""
    ends = [end for row in rows for end in (row.low, row.high, row.value, *row.points, *(row.rival or ())[1:])]
    low, high = limits or _limits([*ends, reference[0]] if reference else ends)
    step, top, left, right = 36, 22 if reference else 6, 8, WIDTH - 8
    bottom = top + step * len(rows)
    place = _scale(low, high, left, right)
    marks = ticks(low, high, 6)
    parts = _axis_x(low, high, place, bottom, bottom, axis, left, right)
    if reference:
        x = place(reference[0])
        anchor = "start" if x < WIDTH / 3 else "end" if x > WIDTH * 2 / 3 else "middle"
        parts += [_line(x, top - 6, x, top, "reference"), _label(x, top - 10, reference[1], anchor, "small muted")]
    for number, row in enumerate(rows):
        y = top + step * number + 14
        # The grid stops where the words are, so that no line runs through a number.
        parts += [_line(place(value), y + 6, place(value), y + 16, "grid") for value in marks]
        parts.append(_line(left, y + 11, right, y + 11, "grid"))
        if reference:
            parts.append(_line(x, y + 4, x, y + 18, "reference"))
        mark = element("g", {"class": f"kind-{row.kind}"})
        mark.append(element("title", None, f"{row.label}: {row.text}"))
        if row.rival:
            other = element("g", {"class": f"kind-{row.rival[0]}"}, _mark(row.rival[0], place(row.rival[1]), y + 11))
            parts.append(other)
        mark.append(_line(place(row.low), y + 11, place(row.high), y + 11, "interval"))
        mark.append(_mark(row.kind, place(row.value), y + 11))
        mark.extend(_circle(place(p), y + 11, 3.2, "faint") for p in row.points)
        parts += [_label(left, y, row.label, "start", "halo"), _label(right, y, row.text, "end", "halo figures"), mark]
    return _svg(WIDTH, bottom + 40, description, parts)


def lines(
    series: Sequence[Series], description: str, x_axis: str, references: Sequence[tuple[float, str, str]] = ()
) -> Element:
    """Draw lines with bands over learner-steps; a reference is (value, name, kind), a horizontal line."""
    heights = [y for s in series for y in (*s.y, *s.low, *s.high)] + [value for value, _, _ in references]
    widths = [x for s in series for x in s.x]
    low, high = _limits(heights)
    start, end = min(widths), max(widths)
    left, right, top, bottom = 52, WIDTH - 8, 8, 232
    across = _scale(start, end if end > start else start + 1, left, right)
    up = _scale(low, high, bottom, top)
    parts = _axis_x(start, end if end > start else start + 1, across, bottom, bottom, x_axis, left, right)
    for value in ticks(low, high, 5):
        parts += [_line(left, up(value), right, up(value), "grid")]
        parts += [_label(left - 6, up(value) + 4, number_text(value, high - low), "end", "small muted")]
    for one in series:
        if one.low:
            edge = list(zip(one.x, one.high, strict=True)) + list(zip(one.x, one.low, strict=True))[::-1]
            shape = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in edge)
            parts.append(element("polygon", {"points": shape, "class": f"band kind-{one.kind}"}))
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in zip(one.x, one.y, strict=True))
        parts.append(element("polyline", {"points": path, "class": f"line kind-{one.kind}"}))
        if len(one.x) <= 30:
            parts += [_circle(across(x), up(y), 3, f"kind-{one.kind}") for x, y in zip(one.x, one.y, strict=True)]
    taken: list[float] = []
    for value, name, kind in sorted(references, reverse=True):
        parts.append(_line(left, up(value), right, up(value), f"reference kind-{kind}"))
        y = up(value) - 5
        while any(abs(y - other) < 14 for other in taken):
            y += 14
        taken.append(y)
        parts.append(_label(right, y, name, "end", "small halo"))
    return _svg(WIDTH, bottom + 40, description, parts)


def heat_map(
    rows: Sequence[str], columns: Sequence[int], cells: Sequence[Sequence[float]], description: str
) -> Element:
    """Draw mastery in [0, 1] as colour: `cells` is (rows, columns); the last column is also printed as a number."""
    left, right, top, height = 150, WIDTH - 40, 4, 20
    width = (right - left) / max(1, len(columns))
    parts = []
    for number, (name, values) in enumerate(zip(rows, cells, strict=True)):
        y = top + height * number
        text = _label(left - 6, y + 14, shortened(name, left - 6), "end", "small")
        text.append(element("title", None, name))
        parts.append(text)
        for place, value in enumerate(values):
            box = {"x": left + place * width, "y": y, "width": width + 0.4, "height": height - 2, "fill": colour(value)}
            parts.append(element("rect", box))
        parts.append(_label(right + 6, y + 14, f"{values[-1]:.2f}", "start", "small figures"))
    bottom = top + height * len(rows)
    for place in sorted({0, len(columns) // 2, len(columns) - 1}):
        x = left + (place + 0.5) * width
        parts.append(_label(x, bottom + 12, str(columns[place]), "middle", "small muted"))
    parts.append(_label((left + right) / 2, bottom + 27, "step", "middle", "small muted"))
    return _svg(WIDTH, bottom + 34, description, parts)


def colour_bar(description: str) -> Element:
    """Draw the key of the heat map: mastery 0 to 1."""
    parts = [_label(0, 12, "mastery 0", "start", "small muted"), _label(220, 12, "1", "start", "small muted")]
    for place in range(32):
        box = {"x": 66 + place * 4.6, "y": 2, "width": 5, "height": 12, "fill": colour(place / 31)}
        parts.append(element("rect", box))
    svg = _svg(232, 18, description, parts)
    svg.set("class", "key")
    return svg


def timeline(blocks: Sequence[Block], description: str) -> Element:
    """Draw one learner's steps along the minutes, a lane for each skill in order of first appearance."""
    lanes = list(dict.fromkeys(block.lane for block in blocks))
    end = max(block.start + block.length for block in blocks)
    width, left, height, top = 920, 170, 26, 4
    right = width - 10
    bottom = top + height * len(lanes)
    place = _scale(0.0, end if end > 0 else 1.0, left, right)
    parts = _axis_x(0.0, end if end > 0 else 1.0, place, top, bottom, "minutes of learning", left, right)
    for number, lane in enumerate(lanes):
        y = top + height * number
        name = _label(left - 8, y + 17, shortened(lane, left - 8), "end", "small")
        name.append(element("title", None, lane))
        parts += [_line(left, y + height - 1, right, y + height - 1, "grid"), name]
    for block in blocks:
        y = top + height * lanes.index(block.lane) + 3
        x, span = place(block.start), max(3.0, place(block.start + block.length) - place(block.start) - 1)
        box = element("rect", {"x": x, "y": y, "width": span, "height": height - 7, "rx": 2, "class": block.mark})
        box.append(element("title", None, block.text))
        parts.append(box)
        if block.mark in ("wrong", "handover"):
            parts.append(
                _label(x + span / 2, y + 14, "×" if block.mark == "wrong" else "!", "middle", "small on-block")
            )
    svg = _svg(width, bottom + 40, description, parts)
    svg.set("class", "wide")
    return svg


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers between low and high, about `count` of them, 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    gap = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / gap - 1e-9), math.floor(high / gap + 1e-9)
    return [round(number * gap, 12) for number in range(first, last + 1)]


def number_text(value: float, span: float) -> str:
    """Print a tick of an axis that is `span` wide: 0.25, 15, 20k, 1.5M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if span >= 5 * size:
            return _minus(f"{value / size:g}{letter}") if value else "0"
    places = min(6, max(0, 1 - math.floor(math.log10(span)))) if span > 0 else 2
    return _minus(f"{value:.{places}f}")


def shortened(text: str, room: float) -> str:
    """Cut a small label at its end, with an ellipsis, so that it is at most `room` wide in a wide font."""
    width = 0.0
    for place, letter in enumerate(text):
        width += SMALL * (
            0.4 if letter in NARROW else 1.0 if letter in WIDE or letter > "ɏ" else 0.64 if letter.islower() else 0.76
        )
        # What is left must hold the ellipsis, unless nothing is cut.
        if width > room - SMALL * (place < len(text) - 1):
            return text[:place].rstrip() + "…"
    return text


def colour(mastery: float) -> str:
    """Colour of a mastery in [0, 1]; values outside are drawn as the nearer end, nan as nothing."""
    if math.isnan(mastery):
        return "none"
    spot = min(1.0, max(0.0, mastery)) * (len(SCALE) - 1)
    low, high = list(pairwise(SCALE))[min(int(spot), len(SCALE) - 2)]
    part = spot - min(int(spot), len(SCALE) - 2)
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in zip(low, high, strict=True))


def _limits(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * 0.06 or max(abs(high) * 0.1, 0.01)
    return low - room, high + room


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _axis_x(
    low: float,
    high: float,
    place: Callable[[float], float],
    top: float,
    bottom: float,
    name: str,
    left: float,
    right: float,
) -> list[Element]:
    parts = [_line(left, bottom, right, bottom, "axis")]
    for value in ticks(low, high, 6):
        x = place(value)
        anchor = "start" if x < left + 8 else "end" if x > right - 8 else "middle"
        parts.append(_line(x, top, x, bottom + 4, "grid"))
        parts.append(_label(x, bottom + 17, number_text(value, high - low), anchor, "small muted"))
    room = right - left
    if shortened(name, room) != name:  # its last part says which end is better; titles beside say the rest
        name = shortened(name.rpartition("; ")[2], room)
    parts.append(_label((left + right) / 2, bottom + 34, name, "middle", "small muted"))
    return parts


def _mark(kind: str, x: float, y: float) -> Element:
    """A circle for trained policies, a square for baselines, a diamond for floors, a flat bar for ceilings."""
    if kind == "trained":
        return _circle(x, y, 6, "mark")
    if kind == "ceiling":
        return element("rect", {"x": x - 7, "y": y - 3, "width": 14, "height": 6, "class": "mark"})
    size = 10 if kind == "baseline" else 9
    box: dict[str, object] = {"x": x - size / 2, "y": y - size / 2, "width": size, "height": size, "class": "mark"}
    if kind == "floor":
        box["transform"] = f"rotate(45 {x:.1f} {y:.1f})"
    return element("rect", box)


def _svg(width: float, height: float, description: str, parts: Sequence[Element]) -> Element:
    view = {"viewBox": f"0 0 {width:g} {height:g}", "role": "img", "aria-label": description}
    return element("svg", view, *parts)


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> Element:
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": style})


def _circle(x: float, y: float, radius: float, style: str) -> Element:
    return element("circle", {"cx": x, "cy": y, "r": radius, "class": style})


def _label(x: float, y: float, text: str, anchor: str, style: str) -> Element:
    return element("text", {"x": x, "y": y, "text-anchor": anchor, "class": style}, text)


def _minus(text: str) -> str:
    return text.replace("-", "\u2212")
