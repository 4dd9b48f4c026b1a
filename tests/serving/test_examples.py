"""The worked examples: a bundle runs without this package, from Python and from Node, and says the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
MODULES = Path(os.environ.get("TRAILMARK_NODE", ""), "node_modules")  # holds onnxruntime-node


@pytest.fixture(scope="module")
def from_python(folder: Path) -> str:
    words = [sys.executable, "-I", str(EXAMPLES / "run_bundle.py"), str(folder)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_the_python_example_says_what_the_bundle_says(from_python: str, bundle: object) -> None:
    from trailmark.agents.bundle import PolicyBundle

    assert isinstance(bundle, PolicyBundle)
    record = bundle.enrol()
    for line in from_python.splitlines():
        best = bundle.recommend(record, 1)[0]
        activity, p = line.split()
        assert (activity, float(p)) == (best.activity, pytest.approx(best.probability, abs=1e-5))
        record = bundle.answered(bundle.elapsed(record, 1.0), activity, 1.0, 5.0)


def test_the_example_imports_nothing_of_ours() -> None:
    text = (EXAMPLES / "run_bundle.py").read_text()
    assert "trailmark" not in text
    assert "torch" not in text


@pytest.mark.skipif(shutil.which("node") is None or not MODULES.exists(), reason="set TRAILMARK_NODE to try Node")
def test_the_node_example_says_the_same(from_python: str, folder: Path, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "run_bundle.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(MODULES)
    words = ["node", "--preserve-symlinks", str(tmp_path / "run_bundle.mjs"), str(folder)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == from_python
