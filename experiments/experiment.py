"""Experiment: the main job as a list of steps, from facts to a report."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig, OmegaConf

from ..agents.bundle import PolicyBundle
from ..agents.logged import Logged
from ..agents.loop import train
from ..agents.offline import study
from ..envs import pack
from ..envs.rng import derive
from ..envs.students.sampled import SampledStudent
from ..envs.validity.gate import refusal
from . import evaluation as ev
from . import goodhart
from .build import check, facts, fit_student, fit_world, make_agent, make_baselines, sound
from .console import Console
from .offline_log import demand, logged
from .runs import Run, RunError, commit, find, now, read_config, write_json, write_text
from .track import Track, store

if TYPE_CHECKING:
    from ..agents.agent import Agent
    from ..agents.loop import Play
    from ..envs.classroom import World
    from .build import Facts


@dataclass
class Experiment:
    """One run of `trailmark train`; `run()` reads from top to bottom."""

    cfg: DictConfig
    run_: Run
    track: Track
    console: Console
    known: Facts | None  # None until a stopped run needs them again
    parent: str | None
    command: str

    @staticmethod
    def of(cfg: DictConfig, parent: str | None, command: str) -> Experiment:
        """Open a new run, or with `cfg.resume` the run that was stopped, under its own config."""
        torch.set_num_threads(1)  # sums in one order: the same seed gives the same numbers
        console = Console()
        if cfg.resume:
            return Experiment._again(cfg, console)
        plain = OmegaConf.to_container(cfg, resolve=True)
        check(plain, cfg.allow)
        sound(cfg)
        demand(cfg)
        with console.step("load catalogue and log"):
            known = facts(cfg)  # before there is a run, so that a faulty log leaves none behind
        data = known.summary["digest"] or known.name
        tags = {"commit": commit(), "data": data, "seed": str(cfg.seed), "trailmark.attempt": uuid.uuid4().hex[:8]}
        track = Track.start(cfg.name, f"{cfg.agent_name} seed {cfg.seed}", _flatten(plain), tags, parent)
        return Experiment(cfg, Run(Path(cfg.output) / track.run_id), track, console, known, parent, command)

    @staticmethod
    def _again(asked: DictConfig, console: Console) -> Experiment:
        old = find(asked.output, str(asked.resume))
        cfg = read_config(old)
        cfg.allow = asked.allow  # trust is said anew, never read from a file
        check(OmegaConf.to_container(cfg), cfg.allow)
        track = Track.resume(old.id)
        command = old.config.read_text().partition("\n")[0].removeprefix("# ")
        return Experiment(cfg, old, track, console, None, track.parent, command)

    def run(self) -> None:
        """Go through all steps; the run ends FINISHED, KILLED (Ctrl-C, SIGTERM) or FAILED."""
        if self.run_.finished and self.track.status == "FINISHED":
            self.console.say(f"run {self.run_.id} had already finished; its report is {self.run_.report}")
            self.console.table(self.run_.read_evaluation())
            return
        try:
            self.track.again()
            if self.run_.finished:  # stopped between its last file and its last word to MLflow
                self._store()
            else:
                self._steps()
        except KeyboardInterrupt:
            self.track.finish("KILLED")
            if self.run_.config.exists():
                self.console.say(f"stopped; go on with: trailmark train resume={self.run_.id}")
            raise
        except BaseException:
            self.track.finish("FAILED")
            raise
        self.track.finish("FINISHED")

    def _steps(self) -> None:
        say = self.console.say
        say(f"run {self.run_.id}  experiment {self.cfg.name}  seed {self.cfg.seed}")
        if not self.run_.config.exists():
            self.run_.folder.mkdir(parents=True, exist_ok=True)
            write_text(self.run_.config, f"# {self.command}\n{OmegaConf.to_yaml(self.cfg, resolve=True)}")
        self.track.artifact(self.run_.config)
        known = self.known or facts(self.cfg)
        if self.known is None and self.track.tags.get("data") != (known.summary["digest"] or known.name):
            raise RunError(f"the data of run {self.run_.id} changed since it was started; start it anew")
        for note in known.summary.get("notes", []):
            say(f"  note: {note}")
        world = self._world(known)
        with self.console.step("check the tracer on learners never seen"):
            tracing = self._tracing(world, known)
        if tracing:
            area, floor = tracing["auc"], max(f["auc"] for f in tracing["floors"].values())
            between = f"{area['value']:.3f} [{area['low']:.3f}, {area['high']:.3f}]"
            say(f"  {tracing['name']}: AUC {between} on {tracing['rows']:,} answers; floor {floor:.3f}")
            self.track.log(0, {"tracer_auc": tracing["auc"]["value"], "tracer_log_loss": tracing["log_loss"]})
        agent = make_agent(self.cfg, world.observer.space, world.observer)
        log = logged(self.cfg, world, known, self.console)
        history = self._train(world, agent, log)
        found = self._evaluate(world, agent, known, tracing, history, log)
        with self.console.step("save bundle, evaluation and report"):
            self._save(world, agent, found)
        self.console.table(found)
        self.console.goodhart(found)
        say(f"report: {self.run_.report}    bundle: {self.run_.bundle}    mlflow ui --backend-store-uri {store()}")

    def _world(self, known: Facts) -> World:
        if self.run_.world.exists():
            world: World = pack.load(self.run_.world, self.cfg.allow)
            return world
        with self.console.step("fit the learners' model to the log's training learners"):
            world = fit_world(self.cfg, known)
            pack.save(world, self.run_.world)
        return pack.load(self.run_.world, self.cfg.allow)  # what a resumed run would have

    def _tracing(self, world: World, known: Facts) -> dict[str, Any]:
        if known.split is None or known.catalog is None or not len(known.split.test):
            return {}
        return ev.tracing(world.observer.tracer, known.split.train, known.split.test, known.catalog)

    def _train(self, world: World, agent: Agent, log: Logged | None) -> dict[str, Any]:
        """Train from the last checkpoint on, and return the learning curve."""
        t, seed, primary = self.cfg.training, self.cfg.seed, self.cfg.primary
        history: dict[str, Any] = {"cohort": 0, "steps": [], "return": [], "heldout": []}
        if self.run_.begun:
            history, state = pack.read(self.run_.checkpoint)
            agent.restore(state)
            self.console.say(f"resumed after cohort {history['cohort']} of {t.cohorts}")
        cohorts = t.cohorts if agent.state() else 0  # a policy that never learns needs no training
        course = train(world, agent, seed, t.learners, history["cohort"], cohorts)
        if log is not None:
            cohorts = self.cfg.offline.epochs if agent.state() else 0
            course = study(log.steps, agent, seed, self.cfg.offline.sessions, history["cohort"], cohorts)
        so_far = history["steps"][-1] if history["steps"] else 0.0
        with self.console.progress("train", cohorts, history["cohort"]) as advance:
            for metrics in course:
                cohort = history["cohort"] = history["cohort"] + 1
                so_far += metrics.pop("steps")
                history["steps"].append(so_far)
                history["return"].append(metrics["return"])
                if t.evaluate_every and cohort % t.evaluate_every == 0:
                    found = ev.heldout(world, agent.decide(), seed, t.evaluate_learners, primary)
                    history["heldout"].append({"step": so_far, **found})
                    metrics[f"heldout_{primary}"] = found["value"]
                self.track.log(cohort, metrics | {"learner_steps": so_far})
                if cohort % t.checkpoint_every == 0 or cohort == cohorts:
                    self.track.flush()
                    pack.write(self.run_.checkpoint, history, agent.state())
                advance(f"return {metrics['return']:.4f}")
        return history

    def _evaluate(
        self,
        world: World,
        agent: Agent,
        known: Facts,
        tracing: dict[str, Any],
        history: dict[str, Any],
        log: Logged | None,
    ) -> dict[str, Any]:
        """Play the trained policy and everything it must beat on fresh learners, and say what was found."""
        cfg, e = self.cfg, self.cfg.evaluation
        name = str(cfg.agent_name)
        kind = "trained" if agent.state() else str(cfg.baselines.get(name, {}).get("kind", "baseline"))
        contestants: ev.Contestants = {name: (kind, agent.decide())}
        baselines = make_baselines(cfg, world.observer.space, world.observer)
        contestants |= {key: value for key, value in baselines.items() if key != name}
        if log is not None and log.policy is not None:
            contestants["logged"] = ("baseline", log.policy)
        seeds = ev.populations(cfg.seed, e.seeds)
        plays = {}
        also = {key: node for key, node in dict(e.also or {}).items() if node} if known.split else {}
        with self.console.progress("evaluate", len(contestants) * (1 + len(also))) as advance:
            for contestant, played in ev.contest(world, contestants, seeds, e.learners):
                plays[contestant] = played
                advance(contestant)
            others = []
            for key, node in also.items():
                away = ev.elsewhere(world, fit_student(node, known, cfg.allow))
                there = {}
                for contestant, played in ev.contest(away, contestants, seeds, e.learners):
                    there[contestant] = played
                    advance(contestant)
                title = f"{ev.who(away)}, {key}" if ev.who(away) == ev.who(world) else ev.who(away)
                others.append({"student": title, "policies": ev.table(away, contestants, there, cfg.primary)})
        rows = ev.table(world, contestants, plays, cfg.primary)
        rewarded = self._goodhart(world, agent, plays)
        for row in rows:
            self.track.log(0, {f"{row['name']}/{o}": v["value"] for o, v in row["values"].items()})
        catalog = world.observer.catalog
        shared = Counter(o.title for o in world.outcomes.values())  # two of one class are told apart by their names
        return {
            "schema": 1,
            "experiment": cfg.name,
            "run_id": self.run_.id,
            "parent_run_id": self.parent,
            "seed": cfg.seed,
            "created": now(),
            "commit": commit(),
            "command": self.command,
            "data": {**known.summary, "skills": len(catalog.skill_ids), "activities": len(catalog.activity_ids)},
            "tracer": tracing,
            "student": ev.who(world),
            "horizon": cfg.horizon,
            "eval_learners": e.learners,
            "eval_seeds": e.seeds,
            "outcomes": [
                {
                    "name": key,
                    "title": o.title if shared[o.title] == 1 else key.replace("_", " ").capitalize(),
                    "unit": o.unit,
                    "higher_is_better": o.higher_is_better,
                    "is_outcome": o.is_outcome,
                }
                for key, o in world.outcomes.items()
            ],
            "primary": cfg.primary,
            "policies": rows,
            "skills": [skill.title for skill in catalog.skills],
            "best_heuristic": ev.best_heuristic(world, contestants, plays, cfg.primary),
            "learning_curve": {key: history[key] for key in ("steps", "return", "heldout")},
            "pathway": ev.pathway(world, name, contestants[name][1], derive(cfg.seed, "pathway")),
            "other_students": others,
            "goodhart": rewarded,
            "config": OmegaConf.to_yaml(cfg, resolve=True),
            "warnings": [
                *_unfit(world),
                *_doubts(world, cfg.primary, rows, others),
                *(log.about["notes"] if log else []),
            ],
        }

    def _goodhart(self, world: World, agent: Agent, plays: dict[str, list[Play]]) -> dict[str, Any] | None:
        """Train and play the agent on mere activity; None where nothing learns or nobody wants to know."""
        names = goodhart.proxies(world, [played for several in plays.values() for played in several])
        if not (self.cfg.goodhart.cohorts and names and agent.state()) or self.cfg.offline.log is not None:
            return None  # a log was rewarded once and for all
        seeds = ev.populations(self.cfg.seed, self.cfg.evaluation.seeds)
        with self.console.progress("reward mere activity", 1 + len(names)) as advance:
            return goodhart.measure(self.cfg, world, names, seeds, self.run_.folder / "goodhart", advance)

    def _save(self, world: World, agent: Agent, found: dict[str, Any]) -> None:
        from .report import write_report

        about = ("experiment", "run_id", "seed", "created", "commit", "data", "tracer", "student")
        card = {key: found[key] for key in about}
        card |= {"outcomes": found["policies"][0]["values"], "primary": found["primary"], "limits": found["warnings"]}
        PolicyBundle(world.observer, agent.decide(), card).save(self.run_.bundle)
        write_json(self.run_.evaluation, found)
        write_report(found, self.run_.report)
        self._store()

    def _store(self) -> None:
        for path in (self.run_.bundle, self.run_.evaluation, self.run_.report):
            self.track.artifact(path)


def _unfit(world: World) -> list[str]:
    """Return why nothing here should be believed, where the learners fail the validity gate."""
    reason = refusal(world.student)
    return [f"These learners fail the validity gate and were accepted by hand. {reason}."] if reason else []


def _doubts(world: World, primary: str, rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[str]:
    """Return what a reader should doubt about these results."""
    said = ["Everything here happened to simulated learners. Pilot with a few real ones before you scale."]
    tracer = getattr(world.student, "tracer", None)
    if tracer is not None and type(tracer) is type(world.observer.tracer):
        said.append(
            "The policy's belief comes from the same fitted model that makes the learners: the easiest case there is. "
            "Look at the other simulators before you trust an advantage."
        )
    for key, weight in world.reward.items():
        if weight and not world.outcomes[key].is_outcome:
            title = world.outcomes[key].title.lower()
            said.append(f"The reward weighs {title}: mere activity, no outcome. Use this only to show what goes wrong.")
    if not others:
        said.append("No learners of another kind were tried.")
    minutes = world.observer.minutes
    if (
        isinstance(world.student, SampledStudent)
        and world.student.minutes < float("inf")
        and minutes.max() > minutes.min()
    ):
        said.append(
            "These learners gain as much from a short activity as from a long one on the same skill; a policy that "
            "prefers short ones may have learnt just that."
        )
    better = "low" if world.outcomes[primary].higher_is_better else "high"
    sign = 1.0 if better == "low" else -1.0
    unproven = [row["title"] for row in rows if row["difference"] and sign * row["difference"][better] <= 0]
    if unproven:
        said.append(f"{', '.join(unproven)} is not shown to beat the best heuristic.")
    return said


def _flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return the leaves of a plain config by dotted name."""
    if not isinstance(node, dict):
        return {prefix: node}
    leaves: dict[str, Any] = {}
    for key, value in node.items():
        leaves |= _flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return leaves
