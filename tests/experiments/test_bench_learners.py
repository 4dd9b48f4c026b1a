"""bench learners: every student has its row, and wrong names are said."""

from __future__ import annotations

from pathlib import Path

import pytest

import trailmark.configs
from trailmark.experiments import bench_learners

NAMES = sorted(path.stem for path in (Path(trailmark.configs.__file__).parent / "student").glob("*.yaml"))


def test_it_steps_the_students_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    bench_learners.main(["--seconds", "0", "--sizes", "8", "--threads", "1", "--students", "ssr", "tms_binary"])
    out = capsys.readouterr().out
    assert "B = 8" in out
    assert [name for name in NAMES if f" {name} " in out] == ["ssr", "tms_binary"]


def test_every_student_is_known_and_any_can_be_built() -> None:
    known = bench_learners.students()
    assert list(known) == NAMES
    for name in ("kss", "sampled", "efc"):
        assert bench_learners.rate(bench_learners.built(known[name]), 4, 0.0, "cpu", 1) > 0


def test_an_unknown_student_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench_learners.main(["--students", "robot"])
    assert "no student 'robot'; there are actr," in capsys.readouterr().err


def test_the_memory_of_many_is_said() -> None:
    assert bench_learners.million(2000, 2).startswith("2,000 SSR learners at once")
