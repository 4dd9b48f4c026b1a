"""Recommend: ask a policy bundle what one learner should do next, and why."""

from __future__ import annotations

import argparse


def main(words: list[str]) -> None:
    """Run `trailmark recommend BUNDLE`."""
    parser = argparse.ArgumentParser("trailmark recommend", description=__doc__)
    parser.add_argument("bundle", help="folder of a policy bundle")
    parser.add_argument("--role", help="the learner's role")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="the learner's time in all")
    parser.add_argument(
        "--answered", nargs="*", default=[], metavar="ACTIVITY=SCORE", help="what was done so far, oldest first"
    )
    parser.add_argument("-k", type=int, default=3, help="how many activities to name")
    args = parser.parse_args(words)
    if args.k < 1:
        parser.error(f"-k {args.k}: say how many activities to name, 1 or more")
    if not args.minutes >= 0:
        parser.error(f"--minutes {args.minutes:g}: say 0 or more")

    from ..agents.bundle import PolicyBundle
    from ..envs.pack import PackError
    from .compose import complain

    try:
        bundle = PolicyBundle.load(args.bundle)
        record = bundle.enrol(args.role, args.minutes)
        for word in args.answered:
            record = bundle.answered(record, *_answer(word))
    except (PackError, ValueError) as error:
        complain(error)
    for place, suggestion in enumerate(bundle.recommend(record, args.k), 1):
        print(f"{place}. {suggestion.title} ({suggestion.activity})  p = {suggestion.probability:.3f}")
        for reason in suggestion.reasons:
            print(f"     {reason}")


def _answer(word: str) -> tuple[str, float]:
    activity, _, score = word.rpartition("=")
    try:
        correct = float(score)
    except ValueError:
        correct = -1.0
    if not activity or not 0.0 <= correct <= 1.0:
        raise ValueError(f"{word!r}: say ACTIVITY=SCORE with a score from 0 to 1, such as quiz-1=1")
    return activity, correct
