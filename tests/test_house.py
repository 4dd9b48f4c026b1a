"""The house rules that a machine can check: what is shipped, what is imported, how files are named."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("data", "envs", "agents", "experiments", "configs")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def python(program: str) -> str:
    """Run a program in a fresh interpreter at the repository's root, where a bare `import data` would succeed."""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_wheel_holds_the_tree_and_nothing_else(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for name in ("pyproject.toml", "setup.py", "LICENSE", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*command, "-w", tmp_path, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {name for name in names if ".dist-info/" not in name}
    tree = [path for room in ROOMS for path in (source / room).rglob("*") if path.is_file()]
    expected = {f"trailmark/{path.relative_to(source).as_posix()}" for path in tree}
    assert shipped == expected
    assert any(name.endswith("/LICENSE") for name in names - shipped)


def test_command_line_imports_nothing_heavy() -> None:
    heavy = {"gymnasium", "matplotlib", "mlflow", "pandas", "pyarrow", "scipy", "sklearn", "torch"}
    loaded = python("import json, sys, trailmark.experiments.cli; print(json.dumps(sorted(sys.modules)))")
    assert heavy.isdisjoint(json.loads(loaded))


def test_data_imports_without_torch_and_gymnasium() -> None:
    names = [module_name(path) for path in MODULES if relative(path).startswith("data/")]
    assert not {"torch", "gymnasium"} & import_all(names)


def test_rooms_are_never_imported_bare() -> None:
    loaded = import_all([module_name(path) for path in MODULES])
    assert loaded.isdisjoint(ROOMS)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("trailmark", *parts)).removesuffix(".__init__")


def import_all(names: list[str]) -> set[str]:
    program = f"import importlib, json, sys\nfor name in {names!r}: importlib.import_module(name)\n"
    return set(json.loads(python(program + "print(json.dumps(sorted(sys.modules)))")))


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_module_is_small_and_named_for_its_idea(path: Path) -> None:
    assert path.stem not in {"utils", "util", "common", "base", "helpers", "helper", "misc", "manager"}
    lines = len(path.read_text().splitlines())
    assert lines <= 350, f"{lines} lines: split it"


PICKLES = {"cloudpickle", "cPickle", "dill", "joblib", "marshal", "pickle", "shelve"}
PICKLE_CALLS = {"torch.load", "torch.save", "torch.jit.load", "torch.jit.save"}


def pickles(tree: ast.Module) -> list[str]:
    """Return each place where a module could write or read a pickle."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [f"line {node.lineno}: {alias.name}" for alias in node.names if alias.name in PICKLES]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found += [f"line {node.lineno}: {name}" for name in names & PICKLE_CALLS]
            found += [f"line {node.lineno}: {node.module}"] if node.module in PICKLES else []
        elif isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if name in PICKLE_CALLS or node.attr in {"read_pickle", "to_pickle"}:
                found.append(f"line {node.lineno}: {name}")
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_module_never_pickles(path: Path) -> None:
    assert pickles(ast.parse(path.read_text())) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import dump",
        "from torch import save",
        "torch.load(path)",
        "frame.to_pickle(path)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_pickles_are_recognised(line: str) -> None:
    assert len(pickles(ast.parse(line))) == 1


# Written in pieces, so that this file passes its own test.
HOSTS = re.compile("|".join(["py" + r"pi\.", "python" + "hosted", r"download\.py" + "torch", "ana" + r"conda\.org"]))
MACHINE = re.compile(r"(?<![\w.~$}-])/(?:work|root|tmp|home|Users)/\w")


def test_no_file_names_a_registry_or_a_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        lines = path.read_text(errors="ignore").splitlines() if path.is_file() else []
        found += [f"{name}:{row}" for row, line in enumerate(lines, 1) if HOSTS.search(line) or MACHINE.search(line)]
    assert found == []


def test_every_dependency_is_pinned_within_its_range() -> None:
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    versions = {canonicalize_name(name): version for name, version in (line.split("==") for line in pins)}
    wanted = [
        *PROJECT["dependencies"],
        *(line for extra in PROJECT["optional-dependencies"].values() for line in extra),
    ]
    for requirement in map(Requirement, wanted):
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"constraints.txt lacks {requirement.name}"
        assert requirement.specifier.contains(version), f"{requirement} excludes the pinned {version}"
