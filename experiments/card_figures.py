"""Pictures of a validity card: where each published effect lies against its band, and the curves behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from .card_verdict import band, ours
from .figures import WIDTH, Series, lines, shortened
from .page import element

Json = Mapping[str, Any]

_ROW, _LEFT, _RIGHT = 40, 8, WIDTH - 8
# The band takes the middle third of the picture, whatever its numbers.
_LOW, _HIGH = _LEFT + (_RIGHT - _LEFT) / 3, _LEFT + (_RIGHT - _LEFT) * 2 / 3


def bands(effects: Sequence[Json]) -> Element:
    """Draw one row an effect: its band in the middle third, our value with its interval; the worst number of each."""
    rows = [(effect, worst(effect)) for effect in effects if not effect["missing"]]
    height = _ROW * len(rows) + 30
    parts = [
        element("rect", {"x": _LOW, "y": 4, "width": _HIGH - _LOW, "height": height - 26, "class": "band kind-trained"})
    ]
    for number, (effect, check) in enumerate(rows):
        y = 18 + _ROW * number
        kind = "trained" if check["passed"] else "baseline"
        mark = element("g", {"class": f"kind-{kind}"}, element("title", None, f"{effect['name']}: {check['what']}"))
        at, low, high = (_place(check["ours"][key], check) for key in ("value", "low", "high"))
        if low is not None and high is not None:
            mark.append(element("line", {"x1": low, "y1": y + 11, "x2": high, "y2": y + 11, "class": "interval"}))
        if at is None:
            pass
        elif check["passed"]:
            mark.append(element("circle", {"cx": at, "cy": y + 11, "r": 6, "class": "mark"}))
        else:
            box = {"x": at - 5, "y": y + 6, "width": 10, "height": 10, "class": "mark"}
            mark.append(element("rect", box))
        parts += [
            _text(_LEFT, y, shortened(f"{effect['name']} {check['what']}", WIDTH * 0.66), "start"),
            _text(_RIGHT, y, f"{_short(check)} ({band(check)})", "end"),
            element("line", {"x1": _LEFT, "y1": y + 11, "x2": _RIGHT, "y2": y + 11, "class": "grid"}),
            mark,
        ]
    parts.append(_text((_LOW + _HIGH) / 2, height - 6, "the published band", "middle", "small muted"))
    text = f"{sum(e['passed'] for e, _ in rows)} of {len(rows)} effects lie in their bands"
    return element("svg", {"viewBox": f"0 0 {WIDTH} {height}", "role": "img", "aria-label": text}, *parts)


def worst(effect: Json) -> Json:
    """Return the first number that fails, or the first."""
    return next((c for c in effect["checks"] if not c["passed"]), effect["checks"][0])


def _short(check: Json) -> str:
    return ours(check).split(" [")[0]


def _place(value: float | None, check: Json) -> float | None:
    if value is None:
        return None
    least, most = check["least"], check["most"]
    if most is None:  # open: everything from `least` on is inside, the further the better
        span = max(abs(least or 0.0), 1.0)
        x = _LOW + (_HIGH - _LOW) * (1 - math.exp(-(value - least) / span)) if value >= least else _LOW - 20
    elif least is None:
        x = _HIGH - 20 if value <= most else _HIGH + 20
    else:
        x = _LOW + (_HIGH - _LOW) * (value - least) / ((most - least) or 1.0)
    return min(max(x, _LEFT + 6), _RIGHT - 6)


def _text(x: float, y: float, text: str, anchor: str, style: str = "small halo") -> Element:
    return element("text", {"x": x, "y": y, "text-anchor": anchor, "class": style}, text)


def opportunities(curve: Json, references: Mapping[str, Sequence[float]]) -> Element:
    """Draw the share right by opportunity: simulated, and real where there is a log, else real ones from elsewhere."""
    series = [_series("trained", curve["simulated"])]
    if curve.get("real"):
        series.append(_series("baseline", curve["real"]))
        text = "Share right by opportunity, simulated and real"
    else:
        series += [_series("floor", list(values)) for values in references.values()]
        text = "Share right by opportunity, simulated, and of real learners elsewhere"
    return lines(series, text, "opportunity to practise a skill")


def lags(found: Json) -> Element:
    """Draw the share right after a right answer by the time since, real and simulated."""
    series = [_series("trained", found["simulated"]), _series("baseline", found["real"])]
    return lines(series, "Share right after a right answer, by time since", " · ".join(_numbered(found["names"])))


def _numbered(names: Sequence[str]) -> list[str]:
    return [f"{i} {name}" for i, name in enumerate(names, 1)]


def _series(kind: str, values: Sequence[float | None]) -> Series:
    known = [(float(i), v) for i, v in enumerate(values, 1) if v is not None] or [(1.0, 0.0)]
    return Series(kind, tuple(x for x, _ in known), tuple(y for _, y in known))


def forgetting(found: Json) -> Element:
    """Draw recall by days since the last answer."""
    x = tuple(math.log10(d) for d in found["days"])
    return lines([Series("trained", x, tuple(found["recalled"]))], "Recall by days", "days: -2 is .01, 0 is 1, 1 is 10")


def spacing(found: Json) -> Element:
    """Draw recall by the gap between two reviews, one line a delay."""
    x = tuple(math.log10(g) for g in found["gaps"])
    kinds = ("trained", "baseline", "floor", "trained")
    series = [Series(kind, x, tuple(recall)) for kind, recall in zip(kinds, found["recall"], strict=True)]
    return lines(series, "Recall by gap for each delay", "gap between reviews: -2 is .01 days, 0 is 1, 2 is 100")


def leavers(found: Json) -> Element:
    """Draw who is still there by week, of a voluntary and of a mandatory course."""
    weeks = tuple(float(w) for w in range(len(found["voluntary"])))
    series = [Series("baseline", weeks, tuple(found["voluntary"])), Series("trained", weeks, tuple(found["mandatory"]))]
    return lines(series, "Share of learners still there, by week", "week")
