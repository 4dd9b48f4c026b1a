"""Bench ope: how long off-policy evaluation of a large log takes, and how much memory."""

from __future__ import annotations

import argparse
import time

import numpy as np

from .evidence.estimate import Array


def main(words: list[str]) -> None:
    """Run `trailmark bench ope`."""
    parser = argparse.ArgumentParser("trailmark bench ope", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1_000_000)
    parser.add_argument("--activities", type=int, default=10)
    parser.add_argument("--learners", type=int, default=20_000)
    parser.add_argument("--replicates", type=int, default=1000, help="of the bootstrap of whole learners")
    parser.add_argument("--coverage", type=int, default=0, metavar="LOGS", help="instead: coverage over so many logs")
    parser.add_argument("--sessions", type=int, default=0, metavar="LOGS", help="instead: coverage of whole sessions")
    parser.add_argument("--faults", type=int, default=0, metavar="LOGS", help="instead: planted faults, clean logs")
    parser.add_argument("--alarms", type=int, default=0, metavar="RUNS", help="instead: false alarms and promotions")
    args = parser.parse_args(words)
    if args.alarms:
        _alarms(args.alarms)
        return
    if args.coverage:
        _coverage(args.coverage)
        return
    if args.sessions:
        _sessions(args.sessions)
        return
    if args.faults:
        _faults(args.faults)
        return
    if min(args.rounds, args.activities, args.learners, args.replicates) < 2:
        parser.error("every number must be 2 or more")

    import resource

    from .evidence import agreement, single, weights
    from .evidence.calibration import propensity_findings
    from .evidence.intervals import Clusters, bootstrap, interval, percentiles
    from .evidence.overlap import support

    rng = np.random.Generator(np.random.Philox(0))
    n, a = args.rounds, args.activities
    logged, wanted = (_probabilities(rng, n, a) for _ in range(2))
    u = rng.random(n)
    action = np.minimum((np.cumsum(logged, 1) < u[:, None]).sum(1), a - 1)
    truth = rng.random(a)
    reward = (rng.random(n) < truth[action]).astype(np.float64)
    propensity = np.take_along_axis(logged, action[:, None], 1)[:, 0]
    model = np.broadcast_to(0.8 * truth + 0.1, (n, a))
    owner = Clusters.of(np.arange(n) % args.learners)
    nobody = np.zeros(n, dtype=np.bool_)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    started = time.process_time()
    rounds = single.Rounds.of(action, reward, propensity, wanted, model)
    estimates = [single.dm(rounds), single.ips(rounds), single.clipped_ips(rounds, 10.0), single.snips(rounds)]
    estimates += [single.dr(rounds), single.sndr(rounds), single.switch_dr(rounds, 10.0), single.dros(rounds, 100.0)]
    bounds = [interval(estimate, owner) for estimate in estimates]
    drawn = bootstrap(estimates, owner, args.replicates)
    boots = [percentiles(e.value, column) for e, column in zip(estimates, drawn.T, strict=True)]
    findings = weights.weight_findings(rounds.weight, owner, "decision")
    findings += propensity_findings(action, propensity, logged, None, nobody)
    findings += support(action, wanted, logged, None)
    findings.append(agreement.spread([estimates[1], estimates[3], estimates[4]], owner))
    spent = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    print(f"truth          {float((wanted @ truth).mean()):.5f}")
    for e, b, boot in zip(estimates, bounds, boots, strict=True):
        print(f"{e.name:<14} {b.value:.5f}  [{b.low:.5f}, {b.high:.5f}]  bootstrap [{boot.low:.5f}, {boot.high:.5f}]")
    for finding in findings:
        print(f"  {finding.verdict.word:<13} {finding.name}: {finding.says}")
    print(f"{n:,} rounds x {a} activities x {args.learners:,} learners, {len(estimates)} estimators, {len(findings)}")
    print(
        f"diagnostics, {args.replicates:,} bootstrap replicates of whole learners: {spent:.2f} CPU seconds, one thread;"
    )
    print(f"peak memory {peak / 1024**2:.2f} GB, of which {before / 1024**2:.2f} GB were there before")


def _coverage(logs: int) -> None:
    from .evidence.coverage import coverage

    apart = "200 learners x 50 decisions, learners differ by 1 logit"
    for what, learners, decisions, effect, spread, far in (
        ("10,000 independent rounds", 10_000, 1, 0.0, 1.0, 1.0),
        (apart, 200, 50, 1.0, 1.0, 1.0),
        (f"{apart}, activities by 4 times as much, a far candidate", 200, 50, 1.0, 4.0, 1.75),
        ("200 learners x 50 decisions, learners alike", 200, 50, 0.0, 1.0, 1.0),
    ):
        print(f"{what}, {logs:,} logs, 95% intervals: share that holds the truth (mean width)")
        for c in coverage(logs, learners, decisions, effect, spread=spread, apart=far):
            alone, clustered = f"{c.alone:.3f} ({c.width_alone:.4f})", f"{c.clustered:.3f} ({c.width_clustered:.4f})"
            print(f"  {c.name:<6} rounds as independent {alone}   whole learners {clustered}")


def _sessions(logs: int) -> None:
    import torch

    from ..envs.worlds import kss_world, onboarding_world
    from .evidence.session_coverage import session_coverage

    torch.set_num_threads(1)
    for name, world, share in (
        ("KSS, whose beliefs the model hardly has", kss_world(), 0.7),
        ("BKT learners of the sample, whose beliefs it has", onboarding_world(), 0.65),
    ):
        print(f"{name}: {logs:,} logs of 300 sessions, 95% intervals that hold the truth")
        for c in session_coverage(world, logs, 300, share, 20_000):
            held = f"influence {c.held:.3f}  bootstrap {c.boot:.3f}  at any time {c.anytime:.3f}"
            print(f"  {c.name:<6} {held}  bias {c.bias:+.4f}  sd {c.spread:.4f}  mean error {c.error:.4f}")


def _faults(logs: int) -> None:
    import torch

    from ..envs.worlds import kss_world
    from .evidence.faults import clean, faults, planted
    from .evidence.finding import Verdict, worst

    torch.set_num_threads(1)
    print("fault planted in a log of 400 learners: what the diagnostic that should see it says (worst of all)")
    for fault in faults():
        case = planted(kss_world(), 400, 5, fault)
        print(f"  {fault:<46} {case.flagged.word:<13} by {case.expected!r} ({worst(case.all).word})")
    verdicts = [worst(clean(kss_world(), 400, 100 + seed).all) for seed in range(logs)]
    counts = ", ".join(f"{v.word} {verdicts.count(v)}" for v in Verdict)
    print(f"{logs} clean logs, worst finding of each: {counts}")


def _alarms(runs: int) -> None:
    from .evidence.gate import false_promotions
    from .evidence.monitor import false_alarms
    from .evidence.null_candidates import promotions_from_logs
    from .evidence.pilot import Plan

    for what, plan, units, effect in (
        ("A/A, 2,000 learners per arm", Plan(0.1, looks=20), 2000, 0.0),
        ("effect .1 sd, 2,000 learners per arm: power", Plan(0.1, looks=20), 2000, 0.1),
        ("A/A, 80 classes of 25 per arm, ICC .2", Plan(0.1, looks=20, size=25, icc=0.2), 80, 0.0),
    ):
        parts = [false_alarms(plan, units, 1000, effect, seed) for seed in range(max(1, runs // 1000))]
        found = {name: float(np.mean([part[name] for part in parts])) for name in parts[0]}
        print(f"{what}, 20 looks, {1000 * len(parts):,} pilots: " + ", ".join(f"{k} {v:.3f}" for k, v in found.items()))
    for learners, effect in ((200, 0.0), (200, 1.0), (1000, 1.0)):
        head = f"20 equal candidates, {learners:,} learners x 25, learner effect {effect:g}"
        some = min(runs, 2000) // (1 if learners < 1000 else 4)
        for what, found, number in (
            ("gains drawn", false_promotions(20, learners, 25, effect, min(runs, 2000)), min(runs, 2000)),
            ("gains estimated from one log", promotions_from_logs(20, learners, 25, effect, some), some),
        ):
            said = ", ".join(f"{name} {rate:.3f}" for name, rate in found.items())
            print(f"{head}, {what}, {number:,} runs: {said}")


def _probabilities(rng: np.random.Generator, n: int, a: int) -> Array:
    x = np.asarray(rng.standard_exponential((n, a), dtype=np.float32), dtype=np.float64) + 0.1
    x /= x.sum(1, keepdims=True)
    return x
