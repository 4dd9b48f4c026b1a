"""The command line: it helps, it is quick, and a wrong word ends with status 2 and no traceback."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

from trailmark.experiments import cli

HEAVY = ("torch", "mlflow", "gymnasium", "pandas", "matplotlib", "sklearn", "scipy")


def fresh(*words: str, folder=None) -> tuple[int, str, str, set[str]]:
    """Run the command line in a new interpreter; return status, output, complaints and the heavy imports it made."""
    program = (
        "import sys\nfrom trailmark.experiments import cli\nstatus = 0\n"
        f"sys.argv = ['trailmark', *{list(words)!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit as stop:\n    status = stop.code or 0\n"
        f"print('\\nHEAVY', *[name for name in {HEAVY!r} if name in sys.modules])\nsys.exit(status)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    out, _, heavy = done.stdout.rpartition("\nHEAVY")
    return done.returncode, out, done.stderr, set(heavy.split())


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_of_a_verb_imports_nothing_heavy(verb: str) -> None:
    status, out, err, heavy = fresh(verb, "--help")
    assert (status, err) == (0, "")
    assert f"trailmark {verb}" in out
    assert heavy == set()


def test_the_config_is_shown_without_starting_anything(tmp_path) -> None:
    status, out, err, heavy = fresh("train", "seed=7", "agent=linucb", "--cfg", "job", folder=tmp_path)
    assert (status, err) == (0, "")
    assert "seed: 7" in out
    assert "LinUCB" in out
    assert heavy == set()
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_key_costs_no_heavy_import(tmp_path) -> None:
    status, _, err, heavy = fresh("train", "sed=7", folder=tmp_path)
    assert (status, "did you mean 'seed'" in err) == (2, True)
    assert heavy == set()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_help_lists_every_verb(desk, words: tuple[str, ...]) -> None:
    done = desk.call(*words)
    assert (done.status, done.err) == (0, "")
    assert all(f"\n  {verb} " in done.out for verb in cli.VERBS)


def test_version(desk) -> None:
    assert desk.call("--version").out == f"trailmark {version('trailmark')}\n"


def test_unknown_verb(desk) -> None:
    done = desk.call("trian")
    assert done.status == 2
    assert "no verb 'trian'; did you mean 'train'?" in done.err
    assert "evaluate" in done.err
    assert done.out == ""


def test_the_console_script_is_this_command_line(desk) -> None:
    done = subprocess.run([desk.script, "--version"], capture_output=True, text=True, check=False)
    assert done.stdout == desk.call("--version").out
