"""Overlap: whether the log has tried what the candidate would do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .estimate import Array, Index
from .finding import Finding, Verdict, graded


def support(
    action: Index, policy: Array, behaviour: Array | None, allowed: NDArray[np.bool_] | None, least: float = 0.001
) -> list[Finding]:
    """Return how much of the candidate's probability lies where the log has nothing to say.

    Where the log holds every probability (`behaviour`, (n, A)) that is exact; else activities never logged count, and
    those that were not allowed.
    """
    logged = np.bincount(action, minlength=policy.shape[1]) > 0
    never = float(policy[:, ~logged].sum(1).mean()) if (~logged).any() else 0.0
    out = [_mass("activities never logged", never, f"{never:.1%} of the candidate's choices were never once logged")]
    if behaviour is not None:
        gone = float(np.where(behaviour <= 0, policy, 0.0).sum(1).mean())
        out.append(_mass("mass without support", gone, f"{gone:.1%} of its choices had the logged probability 0"))
        thin = float(np.where((behaviour > 0) & (behaviour < least), policy, 0.0).sum(1).mean())
        out.append(_mass("mass on rare choices", thin, f"{thin:.1%} of its choices had one below {least:g}"))
    elif allowed is not None:
        gone = float(np.where(allowed, 0.0, policy).sum(1).mean())
        out.append(
            _mass("mass without support", gone, f"{gone:.1%} of its choices were not allowed when it was logged")
        )
    return out


def _mass(name: str, share: float, says: str) -> Finding:
    return Finding(name, share, graded(share, 0.01, 0.05), says)


def chance(propensity: Array, override: NDArray[np.bool_], allowed: NDArray[np.bool_] | None) -> Finding:
    """Return how many of the free decisions were made without chance: such a log can judge only what it did itself.

    Without the list of what was allowed, decisions that had but one choice cannot be told apart.
    """
    free = ~override if allowed is None else ~override & (allowed.sum(1) > 1)
    fixed = float((propensity[free] > 0.999).mean()) if free.any() else 1.0
    text = f"{fixed:.0%} of the decisions were made without chance"
    verdict = graded(fixed, 0.5, 0.95)
    return Finding(
        "decisions without chance",
        fixed,
        verdict,
        text + ("" if verdict is Verdict.TRUST else ": let the policy explore"),
    )


def groups(names: NDArray, weight: Array, session: Index, least: float = 30.0) -> Finding:
    """Return the smallest effective number of sessions among learner groups; `names` (S,) and `weight` (S,) of each."""
    size = {}
    for name in np.unique(names):
        w = weight[names == name]
        size[str(name)] = float(w.sum()) ** 2 / float((w**2).sum()) if (w > 0).any() else 0.0
    few = sorted(name for name, n in size.items() if n < least)
    low = min(size.values())
    text = f"the smallest of {len(size)} groups counts as {low:.0f} sessions"
    if few:
        text += f"; insufficient evidence for {', '.join(few[:5])}" + (" and more" if len(few) > 5 else "")
    return Finding("smallest group", low, Verdict.CAUTION if few else Verdict.TRUST, text)
