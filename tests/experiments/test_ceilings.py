"""Ceilings in reports: a kind of their own, never the best heuristic, with their own mark."""

from xml.etree.ElementTree import tostring

from trailmark.experiments import figures
from trailmark.experiments.figures import Dot
from trailmark.experiments.page import SHAPES, kind_legend
from trailmark.experiments.verdict import KINDS


def test_every_kind_has_words_and_a_shape() -> None:
    assert set(KINDS) == set(SHAPES) == {"trained", "baseline", "floor", "ceiling"}
    assert "hidden state" in KINDS["ceiling"]


def test_a_ceiling_is_drawn_and_explained() -> None:
    rows = [Dot(kind, kind, 0.5, 0.4, 0.6, "0.5") for kind in KINDS]
    drawn = tostring(figures.dots(rows, "all kinds", "axis"), encoding="unicode")
    marks = {kind: drawn.split(f'<g class="kind-{kind}"')[1].split("</g>")[0] for kind in KINDS}
    shapes = {kind: mark.split('class="mark"')[0].rsplit("<", 1)[1] for kind, mark in marks.items()}
    assert 'height="6' in shapes["ceiling"]
    assert all('height="6' not in shapes[kind] for kind in KINDS if kind != "ceiling")
    words = tostring(kind_legend([{"kind": "ceiling"}]), encoding="unicode")
    assert KINDS["ceiling"] in words
    assert KINDS["baseline"] not in words
