"""Pictures of an evidence page: how weights are spread, and gains by kind of learner as a heat map."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from .figures import WIDTH, colour, shortened
from .page import element

Json = Mapping[str, Any]


def weight_bars(found: Json, description: str) -> Element:
    """Draw the share of units (left bar) and of all weight (right bar) in each bin of a histogram by powers of two."""
    left, right, top, bottom = 34, WIDTH - 4, 8, 190
    first = next((i for i, count in enumerate(found["count"]) if count), 0)  # bins below hold nobody
    lows, counts, shares = found["low"][first:], found["count"][first:], found["share"][first:]
    number, units = len(counts), max(1, sum(counts))
    tallest = max([*(c / units for c in counts), *shares, 0.01])
    width = (right - left) / number
    parts = []
    for place in range(5):
        value = tallest * place / 4
        y = bottom - (bottom - top) * place / 4
        parts += [_line(left, y, right, y, "grid"), _text(left - 4, y + 4, f"{value:.0%}", "end", "small muted")]
    every = max(1, math.ceil(number / 8))
    for i, (low, count, share) in enumerate(zip(lows, counts, shares, strict=True)):
        x = left + i * width
        for kind, height, shift in (("floor", count / units, 0.08), ("trained", share, 0.5)):
            tall = (bottom - top) * height / tallest
            box = {"x": x + shift * width, "y": bottom - tall, "width": 0.42 * width, "height": tall, "class": "mark"}
            said = f"weights from {_power(low)}: {count:,} units, {share:.1%} of all weight"
            parts.append(element("g", {"class": f"kind-{kind}"}, element("title", None, said), element("rect", box)))
        if i % every == 0:
            parts.append(_text(x + width / 2, bottom + 16, _power(low), "middle", "small muted"))
    parts.append(_line(left, bottom, right, bottom, "axis"))
    parts.append(_text((left + right) / 2, bottom + 33, "weight, from this to twice as much", "middle", "small muted"))
    return _svg(bottom + 40, description, parts)


def gain_map(policies: Sequence[str], students: Sequence[str], gains: Sequence[Sequence[float]], text: str) -> Element:
    """Draw gains (policies, students) as colours with their numbers; dark is worst, light is best."""
    left, top, height = 128, 34, 30
    width = (WIDTH - left) / max(1, len(students))
    flat = [abs(value) for row in gains for value in row] or [1.0]
    reach = max(flat) or 1.0
    parts = []
    for j, student in enumerate(students):
        name = _text(left + (j + 0.5) * width, top - 10, shortened(student, width - 4), "middle", "small")
        name.append(element("title", None, student))
        parts.append(name)
    for i, (policy, row) in enumerate(zip(policies, gains, strict=True)):
        y = top + height * i
        name = _text(left - 8, y + 19, shortened(policy, left - 8), "end", "small")
        name.append(element("title", None, policy))
        parts.append(name)
        for j, value in enumerate(row):
            x, tone = left + j * width, 0.5 + value / reach / 2
            box = {"x": x, "y": y, "width": width - 2, "height": height - 2, "fill": colour(tone)}
            ink = "#000000" if tone > 0.6 else "#ffffff"
            number = _text(x + width / 2 - 1, y + 19, f"{value:+.3f}".replace("-", "\u2212"), "middle", "small figures")
            number.set("style", f"fill: {ink}")
            parts += [element("rect", box), number]
    return _svg(top + height * len(policies) + 6, text, parts)


def _power(low: float) -> str:
    if low <= 0:
        return "0"
    return f"{low:g}" if low >= 1 else f"1/{round(1 / low)}"


def _svg(height: float, description: str, parts: Sequence[Element]) -> Element:
    return element("svg", {"viewBox": f"0 0 {WIDTH} {height:g}", "role": "img", "aria-label": description}, *parts)


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> Element:
    return element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": style})


def _text(x: float, y: float, text: str, anchor: str, style: str) -> Element:
    return element("text", {"x": x, "y": y, "text-anchor": anchor, "class": style}, text)
