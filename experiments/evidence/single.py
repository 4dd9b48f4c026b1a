"""Single-step estimators: the value of a candidate policy from logged rounds of context, action and reward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .estimate import Array, Estimate, Index


@dataclass(frozen=True, eq=False)
class Rounds:
    """n logged rounds, seen through a candidate policy.

    `q` is a fitted reward of the logged action and `v` its mean over the candidate's actions; both are 0 without a
    model of rewards, and then the doubly robust estimators are the plain ones.
    """

    reward: Array  # (n,)
    weight: Array  # (n,), candidate's probability of the logged action / the logged propensity
    q: Array  # (n,)
    v: Array  # (n,)
    ratio: Array | None = (
        None  # (n,), how the model's fit weighs the rounds; None leaves its own error out of intervals
    )

    @staticmethod
    def of(
        action: Index,
        reward: Array,
        propensity: Array,
        policy: Array,
        model: Array | None = None,
        ratio: Array | None = None,
    ) -> Rounds:
        """Return rounds from actions (n,), rewards (n,), propensities (n,), the candidate's probabilities (n, A).

        `model` is (n, A), the fitted reward of every action. ValueError when shapes differ, a propensity is not in
        (0, 1], or a row of probabilities does not sum to 1.
        """
        n = len(action)
        if not (reward.shape == propensity.shape == (n,) and policy.ndim == 2 and len(policy) == n):
            raise ValueError(f"{n} actions, rewards {reward.shape}, propensities {propensity.shape}, {policy.shape}")
        if model is not None and model.shape != policy.shape:
            raise ValueError(f"the model of rewards is {model.shape}, the policy {policy.shape}: give one per action")
        bad = ~((propensity > 0) & (propensity <= 1))
        if bad.any():
            row = int(np.argmax(bad))
            raise ValueError(f"row {row} has the propensity {propensity[row]:g}: it must be above 0, at most 1")
        off = np.abs(policy.sum(1) - 1.0) > 1e-4
        if off.any():
            row = int(np.argmax(off))
            raise ValueError(f"row {row}: the candidate's probabilities sum to {policy[row].sum():g}, not 1")
        chosen = action[:, None]
        weight = np.take_along_axis(policy, chosen, 1)[:, 0] / propensity
        if model is None:
            none = np.zeros(n)
            return Rounds(reward, weight, none, none)
        q = np.take_along_axis(model, chosen, 1)[:, 0]
        return Rounds(reward, weight, q, np.einsum("na,na->n", policy, model), ratio)

    def __len__(self) -> int:
        return len(self.reward)


def dm(rounds: Rounds) -> Estimate:
    """Direct method: the model of rewards alone.

    Its interval knows the sampling error of a model fitted with `ratio`, and never that the model may be wrong.
    """
    if rounds.ratio is None:
        return Estimate("DM", rounds.v)
    noise = rounds.ratio * (rounds.reward - rounds.q)
    return Estimate("DM", rounds.v + noise - noise.mean())


def ips(rounds: Rounds) -> Estimate:
    """Inverse propensity scoring (Horvitz and Thompson 1952): unbiased where propensities are right."""
    return Estimate("IPS", rounds.weight * rounds.reward)


def clipped_ips(rounds: Rounds, cap: float) -> Estimate:
    """IPS with weights cut off at `cap` (Strehl et al. 2010)."""
    return Estimate("clipped IPS", np.minimum(rounds.weight, cap) * rounds.reward)


def snips(rounds: Rounds) -> Estimate:
    """Self-normalised IPS (Swaminathan and Joachims 2015)."""
    top = rounds.weight * rounds.reward
    return Estimate("SNIPS", np.zeros(len(rounds)), top[:, None], rounds.weight[:, None])


def dr(rounds: Rounds) -> Estimate:
    """Doubly robust (Dudik, Langford and Li 2011): unbiased where propensities or the model are right."""
    return Estimate("DR", rounds.v + rounds.weight * (rounds.reward - rounds.q))


def sndr(rounds: Rounds) -> Estimate:
    """Doubly robust with self-normalised weights."""
    top = rounds.weight * (rounds.reward - rounds.q)
    return Estimate("SNDR", rounds.v, top[:, None], rounds.weight[:, None])


def switch_dr(rounds: Rounds, cap: float) -> Estimate:
    """Doubly robust where the weight is at most `cap`, the model alone elsewhere (Wang, Agarwal and Dudik 2017)."""
    kept = np.where(rounds.weight <= cap, rounds.weight, 0.0)
    return Estimate("Switch-DR", rounds.v + kept * (rounds.reward - rounds.q))


def dros(rounds: Rounds, shrinkage: float) -> Estimate:
    """Doubly robust with optimistic shrinkage, weights L w / (w^2 + L) (Su et al. 2020); L = inf is DR."""
    w = rounds.weight
    shrunk = w if np.isinf(shrinkage) else shrinkage * w / np.where(w * w + shrinkage > 0, w * w + shrinkage, 1.0)
    return Estimate("DRos", rounds.v + shrunk * (rounds.reward - rounds.q))


def subgaussian_ips(rounds: Rounds, shrinkage: float) -> Estimate:
    """IPS with weights w / (1 - L + L w), 0 <= L <= 1 (Metelli, Russo and Restelli 2021); L = 0 is IPS."""
    return Estimate("SG-IPS", _harmonic(rounds.weight, shrinkage) * rounds.reward)


def subgaussian_dr(rounds: Rounds, shrinkage: float) -> Estimate:
    """Doubly robust with weights w / (1 - L + L w), 0 <= L <= 1 (Metelli, Russo and Restelli 2021)."""
    return Estimate("SG-DR", rounds.v + _harmonic(rounds.weight, shrinkage) * (rounds.reward - rounds.q))


def mrdr(rounds: Rounds) -> Estimate:
    """More robust doubly robust (Farajtabar, Chow and Ghavamzadeh 2018): DR whose model was fitted for low variance.

    `q` and `v` of these rounds must come from a model fitted with `mrdr_weight`.
    """
    found = dr(rounds)
    return Estimate("MRDR", found.plain)


def mrdr_weight(action: Index, propensity: Array, policy: Array) -> Array:
    """Return (n,), the weights pi(a|x) (1 - p) / p^2 with which MRDR's model of rewards is fitted."""
    chosen = np.take_along_axis(policy, action[:, None], 1)[:, 0]
    return np.asarray(chosen * (1.0 - propensity) / propensity**2)


def mips(rounds: Rounds, group: Index, behaviour: Array, policy: Array, embedding: Array) -> Estimate:
    """Marginalised IPS (Saito and Joachims 2022): weights of what an activity is, not of which one it is.

    `embedding` is (A, E), the probability of each embedding given the activity (rows sum to 1), and `group` (n,) the
    embedding that came; `behaviour` (n, A) holds all logged probabilities. Right when activities act on rewards only
    through their embedding (their skills, say).
    """
    logged = np.take_along_axis(behaviour @ embedding, group[:, None], 1)[:, 0]
    wanted = np.take_along_axis(policy @ embedding, group[:, None], 1)[:, 0]
    if (logged <= 0).any():
        row = int(np.argmax(logged <= 0))
        raise ValueError(f"row {row}: the embedding that came has the logged probability 0")
    return Estimate("MIPS", wanted / logged * rounds.reward)


def _harmonic(weight: Array, shrinkage: float) -> Array:
    if not 0.0 <= shrinkage <= 1.0:
        raise ValueError(f"shrinkage {shrinkage:g}: say 0 (none) to 1")
    below = 1.0 - shrinkage + shrinkage * weight
    return np.asarray(np.where(below > 0, weight / np.where(below > 0, below, 1.0), 0.0))
