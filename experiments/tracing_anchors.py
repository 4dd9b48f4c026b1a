"""Figures that others reached on the public data sets, each with its source: what `bench tracing` stands beside."""

from __future__ import annotations

from dataclasses import dataclass

GERVET = "Gervet 2020"  # Gervet, Koedinger, Schneider and Mitchell, JEDM 2020, to two digits
PYKT = "pyKT"  # Liu et al., NeurIPS 2022 Datasets and Benchmarks
CHOFFIN = "Choffin 2019"  # Choffin, Popineau, Bourda and Vie, EDM 2019
OTHER = "scikit-learn"  # the same model written for the reference notes, measured on these rows


@dataclass(frozen=True)
class DataSet:
    """A public data set as it lies in the data folder: `words` are those of `trailmark fit`."""

    title: str
    words: tuple[str, ...]  # {data} is the folder


@dataclass(frozen=True)
class Anchor:
    """One row of the table: a tracer with the settings of whoever published a figure, or with ours."""

    data: str  # a key of DATA
    tracer: str  # a choice of configs/tracer; the row is left out while there is none
    words: tuple[str, ...] = ()  # its settings, as for `trailmark fit`
    reached: tuple[tuple[float, str], ...] = ()  # (AUC, by whom); * = other rows, learners or split: to compare roughly
    bar: float | None = None  # the AUC that Trailmark means to reach, to four digits
    seconds: tuple[tuple[float, str], ...] = ()  # (CPU seconds of one thread, of what): fit, or an epoch
    on: str = "auc"  # the rows of the published figure: `auc` all, `later_auc` all but each learner's first


DATA = {
    "assist2009": DataSet(
        "ASSISTments 2009 by skill, Gervet's split", ("source=gervet", "source.path={data}/assist2009/gervet")
    ),
    "assist2009-items": DataSet(
        "ASSISTments 2009 by problem, Gervet's split",
        ("source=gervet", "source.path={data}/assist2009/gervet", "source.granularity=problem"),
    ),
    "assist2015": DataSet("ASSISTments 2015, pyKT's split", ("source=pykt", "source.path={data}/assist2015/pykt")),
    "algebra05": DataSet(
        "Algebra 2005, 114 learners, by problem",
        ("source=gervet", "source.path={data}/algebra05_time", "source.granularity=problem"),
    ),
}

# CPU seconds: one thread of the machine of the reference notes, 2026-11; pyBKT 1.4.3 as its C++ build, its published
# wheel is pure Python and takes 435; pyKT 0.0.38, an epoch.
ANCHORS = (
    Anchor(
        "assist2009",
        "bkt",
        ("classes=1",),
        ((0.7156, "pyBKT 1.4.3"),),
        0.7156,
        ((3.1, "pyBKT, C++"), (435.0, "pyBKT, wheel")),
    ),
    Anchor("assist2009", "bkt"),
    Anchor("assist2009", "pfa", (), ((0.72, GERVET), (0.7084, OTHER)), 0.7080),
    Anchor("assist2009", "dkt", (), ((0.75, GERVET), (0.7541, f"{PYKT}*")), 0.7500),
    Anchor("assist2009", "sakt", (), ((0.75, GERVET), (0.7246, f"{PYKT}*"))),
    Anchor("assist2009", "simplekt", (), ((0.7744, f"{PYKT}*"),)),
    Anchor("assist2009", "akt", (), ((0.7853, f"{PYKT}*"),)),
    Anchor("assist2009", "dkvmn", (), ((0.7473, f"{PYKT}*"),)),
    Anchor("assist2009-items", "rasch", ("online=false",), ((0.69, GERVET), (0.6856, OTHER)), 0.6856),
    Anchor("assist2009-items", "rasch", (), (), 0.7200),
    Anchor("assist2009-items", "best_lr", (), ((0.77, GERVET), (0.7626, OTHER)), 0.7626),
    Anchor(
        "assist2015",
        "bkt",
        ("classes=1",),
        ((0.6984, "pyBKT 1.4.3"),),
        0.6984,
        ((5.4, "pyBKT, C++"),),
    ),
    Anchor("assist2015", "bkt"),
    Anchor("assist2015", "pfa", (), ((0.69, f"{GERVET}*"),)),
    Anchor(
        "assist2015",
        "dkt",
        (),
        ((0.7271, PYKT), (0.7268, "pyKT, rerun")),
        0.7266,
        ((92.0, "pyKT, epoch"),),
        "later_auc",
    ),
    Anchor("assist2015", "sakt", (), ((0.7114, PYKT),), 0.7110, ((329.0, "pyKT, epoch"),), "later_auc"),
    Anchor("assist2015", "simplekt", (), ((0.7248, PYKT),), 0.7250, ((622.0, "pyKT, epoch"),), "later_auc"),
    Anchor("assist2015", "akt", (), ((0.7281, PYKT),), 0.7280, ((1553.0, "pyKT, epoch"),), "later_auc"),
    Anchor("assist2015", "dkvmn", (), ((0.7227, PYKT),), 0.7227, ((541.0, "pyKT, epoch"),), "later_auc"),
    Anchor("algebra05", "rasch", ("online=false",), ((0.77, f"{GERVET}*"), (0.7485, OTHER))),
    Anchor("algebra05", "rasch"),
    Anchor("algebra05", "pfa", (), ((0.76, f"{GERVET}*"), (0.7653, OTHER))),
    Anchor("algebra05", "best_lr", (), ((0.83, f"{GERVET}*"), (0.8112, OTHER))),
    Anchor(
        "algebra05",
        "das3h",
        (),
        ((0.826, f"{CHOFFIN}*"), (0.8280, OTHER)),
        0.8280,
        ((12.1, "scikit-learn"),),
    ),
)

# One person's flash cards: reviews of another day, py-fsrs 6.3.2 at its default weights and the constant, measured.
REVIEWS = {"py-fsrs 6.3.2": (0.7139, 0.4587), "constant": (0.5, 0.5112)}
