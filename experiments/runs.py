"""Runs: the local folder of each run; what a later verb needs to find there."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig


class RunError(ValueError):
    """A run that cannot be found or used; the message says what was looked for and the way out."""


@dataclass(frozen=True)
class Run:
    """A run's folder: config.yaml, world/, checkpoint/, bundle/, evaluation.json, report.html."""

    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def world(self) -> Path:
        return self.folder / "world"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint"

    @property
    def begun(self) -> bool:
        """True when there is a checkpoint; a kill between the two renames of a write leaves only the old one."""
        return self.checkpoint.exists() or self.checkpoint.with_name(f".{self.checkpoint.name}.old").exists()

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    @property
    def evaluation(self) -> Path:
        return self.folder / "evaluation.json"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    @property
    def finished(self) -> bool:
        """True when everything was written; the report comes last."""
        return self.report.exists()

    def read_evaluation(self) -> dict[str, Any]:
        """Return what the run's evaluation found; RunError when it has none yet."""
        if not self.evaluation.exists():
            raise RunError(f"run {self.id} has no evaluation yet: finish it with `trailmark train resume={self.id}`")
        found: dict[str, Any] = json.loads(self.evaluation.read_text())
        return found


def find(output: str | Path, name: str) -> Run:
    """Return the run `name` (an id, the start of one, a folder, or `latest`); RunError lists what there is."""
    if Path(name).is_dir() and (Path(name) / "config.yaml").exists():
        return Run(Path(name))
    folders = [p for p in Path(output).glob("*") if (p / "config.yaml").exists()]
    if name == "latest":
        finished = [p for p in folders if Run(p).finished]
        if finished:
            return Run(max(finished, key=lambda p: Run(p).evaluation.stat().st_mtime))
        raise RunError(f"no finished run in {output}: start one with `trailmark train`")
    matches = [p for p in folders if p.name.startswith(name)] if name else []
    if len(matches) == 1:
        return Run(matches[0])
    if name and (Path(output) / name / "comparison.json").exists():
        raise RunError(f"{name} is the parent of a multirun; name one of its runs (compare and report take the parent)")
    if name and (Path(output) / name).is_dir():
        raise RunError(f"run {name} in {output} was stopped before its config was written; start it anew")
    known = ", ".join(sorted(p.name[:12] for p in folders)[:8]) or "none"
    what = "no run" if not matches else f"{len(matches)} runs"
    raise RunError(f"{what} {name!r} in {output}; there are: {known}. Name one by its id, or `latest`.")


def read_config(run: Run) -> DictConfig:
    """Return the composed config of a run; RunError when somebody has damaged it."""
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError  # type: ignore[import-untyped]

    try:
        cfg = OmegaConf.load(run.config)
    except (OmegaConfBaseException, YAMLError, UnicodeDecodeError) as error:
        raise RunError(f"{run.config} cannot be read ({error}); start the run anew") from error
    if not isinstance(cfg, DictConfig) or "agent" not in cfg:
        raise RunError(f"{run.config} is no config of a run; start the run anew")
    return cfg


def make_room(path: str | Path) -> None:
    """Make the folder in which `path` will lie; RunError when that cannot be."""
    folder = Path(path).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error}): name another place") from error
    if Path(path).is_dir() or not os.access(folder, os.W_OK):
        raise RunError(f"{path} cannot be written: it is a folder, or in one that is closed to you; name another place")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content`, all or nothing."""
    write_text(path, json.dumps(content, indent=1))


def write_text(path: Path, content: str) -> None:
    """Write `content`, all or nothing."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(content)
    os.replace(fresh, path)


def plain_json(value: Any) -> Any:
    """Return nested dicts, lists and tuples as JSON has them; numbers that are not finite become null."""
    if isinstance(value, dict):
        return {key: plain_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(inner) for inner in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return value


def commit() -> str:
    """Return the commit of the code, with a + when it was changed since; `unknown` outside a git checkout."""
    here = Path(__file__).resolve().parent
    try:
        found = subprocess.check_output(["git", "rev-parse", "--short=12", "HEAD"], cwd=here, stderr=subprocess.DEVNULL)
        changed = subprocess.check_output(["git", "status", "--porcelain"], cwd=here, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.decode().strip() + ("+" if changed.strip() else "")


def now() -> str:
    """Return the time in UTC as ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
