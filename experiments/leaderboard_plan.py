"""The plan of a leaderboard: which agents meet which tasks with which seeds, checked before anything runs."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from ..configs import __file__ as _here
from .build import ConfigError

FOLDER = Path(_here).parent
LOGGED = "logged"  # the name of the policy whose log the offline agents learn from
RANDOM = "random_legal"  # what counts as nothing learnt


@dataclass(frozen=True)
class Logbook:
    """What offline agents learn from: `learners` led by a baseline that takes any allowed activity with `epsilon`."""

    policy: str = RANDOM
    epsilon: float = 0.5
    learners: int = 1000
    epochs: int = 10
    sessions: int = 256


@dataclass(frozen=True)
class Task:
    """One benchmark task; `words` are what `trailmark train` would be told."""

    name: str
    title: str
    words: tuple[str, ...]
    data: str = ""  # folder below TRAILMARK_DATA for source.path
    learners: int = 0  # fresh learners for each seed; 0 = as many as the profile says
    published: dict[str, float] = field(default_factory=dict)  # what papers report here, shown beside our numbers
    baselines: tuple[str, ...] = ()  # filled in when the task is composed


@dataclass(frozen=True)
class Profile:
    """How thoroughly: tasks, agents (names of configs/agent), seeds, and words that hold for every task.

    `budgets` adds words for a task, or under task/agent for one agent there; `only` lets fewer of the agents play a
    task. Ceilings search at length, so they play the first `ceiling_learners` of a seed's learners only. `against`
    names whom the probability of improvement is over; none = the task's best heuristic.
    """

    name: str
    title: str
    tasks: tuple[str, ...]
    agents: tuple[str, ...]
    seeds: int = 3
    learners: int = 1000
    ceiling_learners: int = 1000
    words: tuple[str, ...] = ()
    budgets: dict[str, list[str]] = field(default_factory=dict)
    only: dict[str, list[str]] = field(default_factory=dict)
    log: Logbook = Logbook()
    against: str = ""


@dataclass(frozen=True)
class Cell:
    """One agent or baseline on one task with one seed."""

    task: str
    name: str
    seed: int
    words: tuple[str, ...]
    baseline: bool  # one of the task's own baselines, not of configs/agent
    learners: int
    log: Logbook
    settings: str  # cells of other settings are not the same cell
    extra: tuple[str, ...] = ()  # words for this agent alone

    @property
    def key(self) -> tuple[str, str, int, str]:
        return (self.task, self.name, self.seed, self.settings)


def profile(name: str) -> Profile:
    """Return the profile of a yaml file, or of configs/leaderboard/profile; ConfigError names what is wrong."""
    path = Path(name) if name.endswith(".yaml") else FOLDER / "leaderboard" / "profile" / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in (FOLDER / "leaderboard" / "profile").glob("*.yaml"))
        raise ConfigError(f"no leaderboard profile {name!r}; there are {', '.join(known)}, or name a yaml file")
    node = _read(path)
    node["log"] = _made(Logbook, node.get("log", {}), path)
    made: Profile = _made(Profile, {"name": path.stem, **node}, path)
    for key, by_task in (("budgets", made.budgets), ("only", made.only)):
        for place in by_task:
            name, _, agent = place.partition("/")
            if name not in made.tasks or (key == "only" and agent):
                raise ConfigError(f"{path}: {key}.{place}: no such task among {list(made.tasks)}")
            if agent and agent not in made.agents:
                raise ConfigError(f"{path}: {key}.{place}: {agent} is none of the agents {list(made.agents)}")
    for task, names in made.only.items():
        unknown = [name for name in names if name not in made.agents]
        if unknown:
            raise ConfigError(f"{path}: only.{task}: {unknown[0]} is none of the agents {list(made.agents)}")
    return made


def task(name: str) -> Task:
    """Return the task of a yaml file, or of configs/leaderboard/task; ConfigError names what is wrong."""
    path = Path(name) if name.endswith(".yaml") else FOLDER / "leaderboard" / "task" / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in (FOLDER / "leaderboard" / "task").glob("*.yaml"))
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]}?" if near else ";"
        raise ConfigError(f"no leaderboard task {name!r}{hint} There are {', '.join(known)}, or name a yaml file")
    made: Task = _made(Task, {"name": path.stem, **_read(path)}, path)
    return made


def _read(path: Path) -> dict[str, Any]:
    node = yaml.safe_load(path.read_text())
    if not isinstance(node, dict):
        raise ConfigError(f"{path}: it holds no keys")
    return node


def _made(kind: type, node: dict[str, Any], path: Path) -> Any:
    known = [f.name for f in fields(kind)]
    for key in node:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise ConfigError(f"{path}: no key {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    try:
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in node.items()})
    except TypeError as error:
        raise ConfigError(f"{path}: {error}") from error


def available(found: Task) -> Task | None:
    """Return the task with the place of its data in its words; None where the data are not here."""
    if not found.data:
        return found
    folder = Path(os.environ.get("TRAILMARK_DATA") or Path.cwd().parent / "shared" / "data") / found.data
    if not folder.is_dir():
        return None
    return replace(found, words=(*found.words, f"source.path={folder}"))


def cells(plan: Profile, tasks: Sequence[Task]) -> tuple[list[Task], list[Cell]]:
    """Return the tasks with their baselines, and every cell; ConfigError when a word of any of them is wrong.

    Cells of one task and seed stand together, since they share a world.
    """
    from .compose import check

    composed, made = [], []
    for one in tasks:
        words = (*one.words, *plan.words, *plan.budgets.get(one.name, ()))
        base = check([*words, f"agent={RANDOM}"])
        assert base is not None
        agents = [name for name in plan.agents if name in plan.only.get(one.name, plan.agents)]
        learners = one.learners or plan.learners
        extra = {name: tuple(plan.budgets.get(f"{one.name}/{name}", ())) for name in agents}
        made_of = {name: check([*words, *extra[name], f"agent={name}"]) for name in agents}
        marks = {name: _digest(base, name) for name in (LOGGED, *base.baselines)}
        marks |= {name: _digest(cfg) for name, cfg in made_of.items() if name not in base.baselines}
        offline = [name for name, cfg in made_of.items() if _offline(cfg)]
        names = [*base.baselines, *(name for name in agents if name not in base.baselines)]
        if plan.log.policy not in base.baselines and offline:
            raise ConfigError(f"log.policy={plan.log.policy}: task {one.name} has {list(base.baselines)}")
        if offline:
            names.insert(0, LOGGED)
        composed.append(replace(one, baselines=tuple(base.baselines)))
        for seed in range(plan.seeds):
            for name in names:
                own = name in base.baselines or name == LOGGED
                dear = name in base.baselines and base.baselines[name].kind == "ceiling"
                n = min(learners, plan.ceiling_learners) if dear else learners
                log = plan.log if name in (*offline, LOGGED) else None
                settings = f"{marks[name]}-{_hash(repr((n, log)))}"
                cell = Cell(one.name, name, seed, words, own, n, plan.log, settings, extra.get(name, ()))
                made.append(cell)
    return composed, made


def _offline(cfg: Any) -> bool:
    """Return whether the agent of this config learns from a log only."""
    from .build import resolve

    return bool(getattr(resolve(cfg.agent["_target_"], "agent", ()), "offline", False))


def _digest(cfg: Any, baseline: str = "") -> str:
    """Return a digest of all that a cell's numbers hang on; of the baselines, that is the one that it plays."""
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(cfg, resolve=False)
    plain["baselines"] = plain["baselines"].get(baseline)
    for key in ("seed", "output", "resume", "allow", "agent_name"):
        plain.pop(key, None)
    return _hash(repr(plain))


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()
