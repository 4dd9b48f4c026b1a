"""The command line: `trailmark VERB ...`; every verb is one file of this room."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from importlib.metadata import version

VERBS = {
    "train": "fit, simulate, train, evaluate, track, export and report one experiment (Hydra overrides; -m for many)",
    "gather": "play a policy in simulation and write its steps down, for offline agents",
    "fit": "fit knowledge-tracing models and judge them on learners never seen (-m for several; resume=ID)",
    "evaluate": "play a run's policy again, on more learners or on learners of another kind",
    "compare": "set finished runs side by side, with intervals over seeds",
    "leaderboard": "play every agent on every benchmark task with several seeds; one table, one picture",
    "report": "write a run's HTML report again",
    "export": "copy a run's policy bundle to a folder",
    "serve": "run a policy bundle behind HTTP, with records, a decision log and the coach console",
    "decisions": "write a server's decision log to a file, for off-policy evaluation or as xAPI statements",
    "recommend": "ask a policy bundle for the next activities of one learner",
    "validate": "the validity card of some learners: published effects, the gate, a verdict in words",
    "simulate-log": "let a policy teach simulated learners and write its decision log",
    "ope": "estimate from a decision log what another policy would achieve, and whether to believe it",
    "robustness": "set a run's policy on learners of other kinds, and see who wins at home only",
    "promote": "the gate: may a candidate replace the incumbent, or is the evidence not enough?",
    "pilot": "plan a trial of a policy, watch it, or rehearse it on simulated learners",
    "bench": "measure speeds on this machine (steps, learners, agents, serve, ...) and tracers on public data",
    "dossier": "all evidence on a candidate as one web page: the log, other learners, pilot, gate, rollout",
}


def main() -> None:
    """Run the verb that the first word names; exit status 2 when there is none such."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return
    if words[0] == "--version":
        print(f"trailmark {version('trailmark')}")
        return
    if words[0] not in VERBS:
        near = difflib.get_close_matches(words[0], VERBS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        print(f"trailmark: no verb {words[0]!r}{hint}\n\n{_help()}", file=sys.stderr)
        raise SystemExit(2)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # sums in one order: the same seed gives the same numbers
    importlib.import_module(f".{words[0].replace('-', '_')}", __package__).main(words[1:])


def _help() -> str:
    lines = [f"  {verb:<12} {what}" for verb, what in VERBS.items()]
    return "\n".join(["usage: trailmark VERB ...", "", *lines, "", "`trailmark VERB --help` says more."])
