"""The parts of a page that needs nothing else: an element tree, tables, the frame around sections, the file.

Pages are built as element trees, so all text is escaped when it is written.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, tostring

from .verdict import KINDS, Json

Attributes = Mapping[str, object]
Section = tuple[str, str, Sequence[Element]]

SHAPES = {"trained": "round", "baseline": "square", "floor": "tilted", "ceiling": "flat"}


def element(tag: str, attributes: Attributes | None = None, *children: "Element | str") -> Element:
    """Build one HTML or SVG element; strings among the children become text, so they are escaped when written."""
    made = Element(tag, {name: _text(value) for name, value in (attributes or {}).items()})
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + child
        else:
            made.text = (made.text or "") + child
    return made


def page(about: Json, run_id: str, sentence: str, top: Sequence[Element], sections: Sequence[Section]) -> str:
    """Lay out one page that needs nothing else: `sentence` is its heading, `top` what a reader sees first."""
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
    header = element("header", None, paragraph(kicker, style="kicker"), element("h1", None, f"{sentence}."), *top)
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


def write(text: str, path: Path) -> Path:
    """Write a page, whole or not at all, and return its path; folders on the way are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        draft.write_bytes(text.encode("utf-8", errors="replace"))
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def how_to_repeat(about: Json) -> list[Element]:
    """The last section of every page."""
    return [
        paragraph("At commit ", element("code", None, about["commit"]), ", with the same data and seed:"),
        element("pre", {"tabindex": "0"}, element("code", None, about["command"])),
        folded("The whole configuration", element("pre", {"tabindex": "0"}, element("code", None, about["config"]))),
    ]


def folded(summary: str, part: Element, style: str = "") -> Element:
    """A part of the page that opens when its summary is clicked."""
    return element("details", {"class": style} if style else None, element("summary", None, summary), part)


def paragraph(*parts: Element | str, style: str = "") -> Element:
    """A paragraph of text and elements."""
    return element("p", {"class": style} if style else None, *parts)


def warning(text: str) -> Element:
    """A sentence that stands out."""
    return element("p", {"class": "warning", "role": "note"}, text)


def bullets(texts: Sequence[str]) -> Element:
    """A list of sentences."""
    return element("ul", None, *(element("li", None, text) for text in texts))


def fact_list(facts: Sequence[tuple[str, Element | str]]) -> Element:
    """Names with what they stand for."""
    pairs = [part for name, value in facts for part in (element("dt", None, name), element("dd", None, value))]
    return element("dl", {"class": "facts"}, *pairs)


def grid(panels: Sequence[Element]) -> Element:
    """Pictures beside one another where the page is wide enough."""
    return element("div", {"class": "grid"}, *panels)


def figure(title: str, picture: Element) -> Element:
    """A picture under its title."""
    return element("figure", None, element("h3", None, title), picture)


def kind_legend(policies: Sequence[Json]) -> Element:
    """The legend of the kinds of policy that occur."""
    kinds = [kind for kind in KINDS if any(p["kind"] == kind for p in policies)]
    return legend([(KINDS[kind], f"kind-{kind} {SHAPES[kind]}") for kind in kinds])


def legend(entries: Sequence[tuple[str, str]]) -> Element:
    """Names beside their swatches; an entry is (name, style)."""
    spans = [element("span", None, element("i", {"class": f"swatch {style}"}), name) for name, style in entries]
    return element("p", {"class": "legend", "aria-label": "Legend"}, *spans)


def row_head(name: str, tags: Sequence[str]) -> Element:
    """The first cell of a row, with tags under the name."""
    marks = [element("span", {"class": "tag"}, tag) for tag in tags]
    return element("th", {"scope": "row"}, f"{name} ", element("div", None, *marks))


def column_head(title: str, unit: str, style: str = "") -> Element:
    """The first cell of a column, with its unit under the title."""
    return element("th", {"scope": "col", "class": style}, title, element("span", {"class": "unit"}, unit))


def table(
    caption: str,
    head: Sequence[Element | str],
    rows: Sequence[Sequence[Element | str]],
    styles: Sequence[str] = (),
    notes: Sequence[str] = (),
    wide: str = "",
) -> Element:
    """A table that scrolls sideways on a narrow page; cells may be ready-made elements or plain text.

    Row i has the class `styles[i]`, and `notes[i]` as a second line that runs under all of its cells but the first.
    `wide` is a class of the whole table.
    """
    top = [cell if isinstance(cell, Element) else element("th", {"scope": "col"}, cell) for cell in head]
    lines = []
    for number, row in enumerate(rows):
        style = styles[number] if number < len(styles) else ""
        note = notes[number] if number < len(notes) else ""
        height = {"rowspan": 2} if note else {}
        cells = [
            cell
            if isinstance(cell, Element)
            else _cell(cell)
            if place
            else element("th", {"scope": "row", **height}, cell)
            for place, cell in enumerate(row)
        ]
        lines.append(element("tr", _classes(style, "noted" if note else ""), *cells))
        if note:
            under = element("td", {"colspan": len(row) - 1}, element("div", None, note))
            lines.append(element("tr", _classes(style, "note"), under))
    region = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": caption}
    inner = [element("thead", None, element("tr", None, *top)), element("tbody", None, *lines)]
    box = element("div", region, element("table", {"aria-label": caption, **_classes(wide)}, *inner))
    return element("div", {"class": "table"}, paragraph(caption, style="muted"), box)


def _cell(text: str) -> Element:
    numeric = any(letter.isdigit() for letter in text) and len(text) < 28
    return element("td", {"class": "figures"} if numeric else None, text)


def _classes(*names: str) -> dict[str, str]:
    named = " ".join(name for name in names if name)
    return {"class": named} if named else {}


def _text(value: object) -> str:
    return f"{round(value, 2):g}" if isinstance(value, float) else str(value)
