"""Bench: what is fast, and how well it predicts; the first word says which bench, `steps` where none is given."""

from __future__ import annotations

import difflib
import importlib
import sys

BENCHES = {
    "steps": "environment steps and PPO samples per second",
    "tracing": "every tracer on the public data sets, beside published figures",
    "learners": "steps per second of every kind of simulated learner",
    "agents": "PPO's samples per second and seconds to a return, beside Stable-Baselines3",
    "bandits": "decisions and updates per second of the linear bandits, beside MABWiser",
    "transfer": "a policy on a catalogue with activities that it has never seen",
    "ope": "off-policy estimates of a million decisions; coverage, planted faults, false alarms",
    "serve": "a bundle in process and over HTTP, beside MLflow's server",
}


def main(words: list[str]) -> None:
    """Run `trailmark bench [WHICH]`; exit status 2 when there is no such bench."""
    which, rest = (words[0], words[1:]) if words and not words[0].startswith("-") else ("steps", words)
    if which == "steps" and rest[:1] in (["--help"], ["-h"]) and rest is words:
        print("usage: trailmark bench [WHICH] ...\n")
        print("\n".join(f"  {name:<10} {what}" for name, what in BENCHES.items()))
        print("\n`trailmark bench WHICH --help` says more; without WHICH it is steps.")
        return
    if which not in BENCHES:
        near = difflib.get_close_matches(which, BENCHES, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        print(f"trailmark: no bench {which!r}{hint} There are: {', '.join(BENCHES)}", file=sys.stderr)
        raise SystemExit(2)
    importlib.import_module(f".bench_{which}", __package__).main(rest)
