"""Build: from a composed config to a world, an agent and the policies it is compared with; all the wiring there is."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ..agents.agent import Agent, Policy
    from ..agents.privileged import Privileged
    from ..data.catalog import Catalog
    from ..data.log import Split
    from ..envs.classroom import World
    from ..envs.observer import Observer, Space
    from ..envs.student import Student

GIVEN = frozenset({"space", "catalog", "observer", "student"})  # what code hands over; no yaml can say it


# Keys that code reads, not a constructor: their type and the least they may be.
NUMBERS: dict[str, tuple[type, float]] = {
    "seed": (int, 0),
    "horizon": (int, 1),
    "window": (int, 0),
    "minutes": (float, 0),
    "pace.sitting": (int, 1),
    "pace.gap_days": (float, 0),
    "split.valid": (float, 0),
    "split.test": (float, 0),
    "training.learners": (int, 1),
    "training.cohorts": (int, 0),
    "training.evaluate_every": (int, 0),
    "training.evaluate_learners": (int, 1),
    "training.checkpoint_every": (int, 1),
    "offline.learners": (int, 1),
    "offline.epochs": (int, 0),
    "offline.sessions": (int, 1),
    "evaluation.learners": (int, 1),
    "goodhart.cohorts": (int, 0),
    "goodhart.learners": (int, 1),
    "goodhart.evaluate_learners": (int, 1),
    "evaluation.seeds": (int, 1),
}
PLAIN: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "None": (type(None),),
}


class ConfigError(ValueError):
    """A config that cannot be built; the message names the key and the nearest right one."""


def targets(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (path, mapping) of every mapping with a `_target_`, at any depth of plain dicts and lists."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path or "config", node
        for key, value in node.items():
            yield from targets(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from targets(value, f"{path}[{i}]")


def resolve(target: str, path: str, allow: Sequence[str]) -> Callable[..., Any]:
    """Return the class that `target` names; ConfigError when it is missing, or from a package that `allow` lacks."""
    if target.partition(".")[0] not in ("trailmark", *allow):
        package = target.partition(".")[0]
        raise ConfigError(f"{path}._target_: {target!r} is not of trailmark; to trust it say allow=[{package}]")
    module, _, name = target.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{path}._target_: there is no {target!r} ({error})") from error
    if not isinstance(found, type) or found.__module__.partition(".")[0] not in ("trailmark", *allow):
        raise ConfigError(f"{path}._target_: {target!r} is no class of trailmark")
    return found


def check(node: Any, allow: Sequence[str] = ()) -> None:
    """Bind every `_target_`'s keys to its constructor, before anything runs; ConfigError names what does not fit."""
    for path, mapping in targets(node):
        found = resolve(str(mapping["_target_"]), path, allow)
        name, accepted = found.__name__, inspect.signature(found).parameters
        for key in mapping:
            if key != "_target_" and key not in accepted:
                near = difflib.get_close_matches(key, accepted, 1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; it takes {sorted(set(accepted) - GIVEN)}"
                raise ConfigError(f"{path}.{key}: {name} has no {key!r}{hint}")
        for key, value in mapping.items():
            if key != "_target_":
                _plain(f"{path}.{key}", value, str(accepted[key].annotation))
        missing = [
            key
            for key, parameter in accepted.items()
            if parameter.default is inspect.Parameter.empty and key not in mapping and key not in GIVEN
        ]
        if missing:
            raise ConfigError(f"{path}: {name} needs {missing}; say {path}.{missing[0]}=...")


def _plain(path: str, value: Any, annotation: str) -> None:
    """ConfigError when `annotation` is of plain types only and `value` is of none of them."""
    names = annotation.split(" | ")
    if not all(name in PLAIN for name in names):
        return
    allowed = tuple(kind for name in names for kind in PLAIN[name])
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise ConfigError(f"{path}={value}: it takes {' or '.join(names)}, not {type(value).__name__}")


def sound(cfg: DictConfig) -> None:
    """Check the keys that code reads itself; ConfigError names the key and what it may be."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    for group in ("agent", "student", "tracer"):
        if OmegaConf.select(cfg, f"{group}._target_") is None:
            raise ConfigError(f"{group} names no class; choose one, or say {group}._target_=...")
    for key, (kind, least) in NUMBERS.items():
        group = key.rpartition(".")[0]
        if group and not OmegaConf.is_config(cfg[group]):
            raise ConfigError(f"{group}={cfg[group]}: it holds keys of its own, such as {key}; set one of those")
        value = OmegaConf.select(cfg, key)
        right = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
        if not right or not value >= least:
            what = "a whole number" if kind is int else "a number"
            raise ConfigError(f"{key}={value}: say {what}, {least:g} or more")
    try:
        for key in sorted(OmegaConf.missing_keys(cfg)):
            raise ConfigError(f"{key} has no value yet; say {key}=...")
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).replace("\n", " ")) from error
    if not isinstance(cfg.get("accept_unfit_learners", False), bool):  # runs from before the gate have no such key
        raise ConfigError(f"accept_unfit_learners={cfg.accept_unfit_learners}: say true or false")
    for key in ("name", "output", "primary"):
        if not isinstance(cfg[key], str):
            raise ConfigError(f"{key}={cfg[key]}: it takes text; put it in quotes")
    if cfg.primary not in cfg.outcomes:
        raise ConfigError(f"primary={cfg.primary}: no such outcome; there are {list(cfg.outcomes)}")
    for name, budget in dict(cfg.constraints or {}).items():
        if name not in cfg.outcomes:
            raise ConfigError(f"constraints.{name}: no such outcome; there are {list(cfg.outcomes)}")
        if isinstance(budget, bool) or not isinstance(budget, int | float) or not budget > 0:
            raise ConfigError(f"constraints.{name}={budget}: say a number above 0, so much a session on average")
    unknown = [name for name in cfg.reward if name not in cfg.outcomes]
    if unknown:
        raise ConfigError(f"reward.{unknown[0]}: no such outcome; there are {list(cfg.outcomes)}")


def make(node: Any, allow: Sequence[str] = (), **given: Any) -> Any:
    """Return what `node` describes; its class also receives those of `given` that its constructor takes.

    Hydra's own instantiate would turn dataclasses among `given` into configs, so the few lines stand here.
    """
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    return _make(plain, str(plain["_target_"]), allow, given)


def _make(node: Any, path: str, allow: Sequence[str], given: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return tuple(_make(value, f"{path}[{i}]", allow, {}) for i, value in enumerate(node))
    if not isinstance(node, dict):
        return node
    fields = {key: _make(value, f"{path}.{key}", allow, {}) for key, value in node.items() if key != "_target_"}
    if "_target_" not in node:
        return fields
    found = resolve(str(node["_target_"]), path, allow)
    taken = {key: value for key, value in given.items() if key in inspect.signature(found).parameters}
    return found(**fields, **taken)


@dataclass(frozen=True, eq=False)
class Facts:
    """A data set, split by learner; `split` is None where the learners are made by hand."""

    name: str
    catalog: Catalog | None
    split: Split | None
    summary: dict[str, Any]


def facts(cfg: DictConfig) -> Facts:
    """Load the source of `cfg` and split its learners; DataError when a file is faulty or too small."""
    from ..data.errors import DataError
    from ..data.leak import leak_note

    if not cfg.source:
        return Facts(
            "none", None, None, {"name": "none (learners made by hand)", "digest": "", "learners": 0, "rows": 0}
        )
    try:
        log, catalog = make(cfg.source, cfg.allow).load()
    except RuntimeError as error:  # learners that are made from a log are to leave the log they are made from
        raise ConfigError(f"source: {error}; or say source.student=...") from error
    split = log.split(cfg.seed, valid=cfg.split.valid, test=cfg.split.test)
    if not len(split.train):
        raise DataError(
            f"none of its {len(log.learners)} learners falls to training",
            log.name,
            fix="Bring more, or lower split.test.",
        )
    notes = list(log.notes)
    leak = leak_note(log.sequences(catalog))
    notes += [leak] if leak else []
    if all(activity.minutes == 1.0 for activity in catalog.activities):
        notes.append("no minutes are known: every activity counts as one, so minutes here are steps")
    summary = {"name": log.name, "digest": log.digest(), "learners": len(log.learners), "rows": len(log)}
    return Facts(log.name, catalog, split, summary | {"catalog_digest": catalog.digest(), "notes": notes})


def fit_student(node: DictConfig, known: Facts, allow: Sequence[str] = ()) -> Student:
    """Return the learners of `node`, fitted to the training learners where they come from a log."""
    made: Student = make(node, allow)
    if known.split is not None:
        return made.fit(known.split.train, known.catalog)
    try:
        return made.fit(None, None)
    except RuntimeError as error:  # learners that are made from a log, and there is none
        raise ConfigError(str(error)) from error


def admit(cfg: DictConfig, student: Student) -> None:
    """ConfigError when `student` fails the validity gate and `accept_unfit_learners` does not say to go on."""
    from ..envs.validity.gate import refusal

    reason = "" if cfg.get("accept_unfit_learners") else refusal(student)
    if reason:
        raise ConfigError(
            f"student: {reason}. Train on other learners, such as student.tracer=bkt (tracer= may stay what it is), or "
            "say accept_unfit_learners=true, and the report will doubt every number"
        )


def fit_world(cfg: DictConfig, known: Facts) -> World:
    """Fit the learners and the observer's tracer to the log's training learners; put the world together.

    ConfigError when the learners are no learners: see `admit`.
    """
    from ..envs.classroom import Pace, World
    from ..envs.observer import Observer

    student = fit_student(cfg.student, known, cfg.allow)
    admit(cfg, student)
    catalog = known.catalog or student.catalog
    if catalog is None:
        raise ConfigError("no catalogue: choose a source, or a student that brings its own")
    if student.catalog is not None and student.catalog != catalog:
        raise ConfigError("these learners bring a catalogue of their own: choose source=none with them")
    same = cfg.student.get("tracer") == cfg.tracer  # fitted to the same rows: the same model, so once is enough
    if same:
        tracer = student.tracer  # type: ignore[attr-defined]
    else:
        tracer = make(cfg.tracer, cfg.allow).fit(known.split.train if known.split else None, catalog)
    guards = {name: make(node, cfg.allow) for name, node in cfg.guards.items()}
    outcomes = {name: make(node, cfg.allow) for name, node in cfg.outcomes.items()}
    observer = Observer(tracer, catalog, guards, cfg.horizon, cfg.window, cfg.context)
    pace = Pace(cfg.pace.sitting, cfg.pace.gap_days)
    try:
        return World(student, observer, outcomes, dict(cfg.reward), pace, tuple(cfg.constraints or ()))
    except ValueError as error:
        raise ConfigError(str(error)) from error


def make_agent(cfg: DictConfig, space: Space, observer: Observer | None = None) -> Agent:
    """Return the agent of `cfg`; a policy that never learns is wrapped as one.

    `observer` is for those that plan with the belief they are shown.
    """
    from ..agents.agent import Policy, Still
    from ..agents.lagrangian import Lagrangian

    made = make(cfg.agent, cfg.allow, **_known(space, observer))
    agent: Agent = Still(made) if isinstance(made, Policy) else made
    if not cfg.constraints or isinstance(agent, Still):
        return agent
    try:
        return Lagrangian(agent, dict(cfg.constraints))
    except ValueError as error:
        raise ConfigError(f"constraints: {error}") from error


def make_baselines(
    cfg: DictConfig, space: Space, observer: Observer | None = None
) -> dict[str, tuple[str, Policy | Privileged]]:
    """Return (kind, policy) of each baseline by name; `observer` as in `make_agent`."""
    known = _known(space, observer)
    return {name: (node.kind, make(node.policy, cfg.allow, **known)) for name, node in cfg.baselines.items()}


def deployable(policy: Policy | Privileged, name: str) -> Policy:
    """Return `policy` if it could be deployed; ConfigError for a ceiling, which sees what nobody can."""
    from ..agents.agent import Policy

    if not isinstance(policy, Policy):
        raise ConfigError(f"{name} sees the learners' hidden state: it is a ceiling, no policy to log or to learn from")
    return policy


def _known(space: Space, observer: Observer | None) -> dict[str, Any]:
    return {"space": space} if observer is None else {"space": space, "observer": observer}
