"""Returns: what a step is worth given what followed; one right answer each, so shared by all algorithms."""

from __future__ import annotations

import torch
from torch import Tensor


def generalised_advantages(
    r_t: Tensor, v_tm1: Tensor, v_t: Tensor, ended_t: Tensor, discount: float, lambda_: float
) -> Tensor:
    """Return (B, T) generalised advantage estimates (Schulman et al. 2016, equation 16).

    `v_tm1` is the value before each step, `v_t` after it, all (B, T); where `ended_t`, nothing follows the step.
    """
    goes_on = 1.0 - ended_t.to(r_t.dtype)
    delta = r_t + discount * goes_on * v_t - v_tm1
    advantages = torch.empty_like(delta)
    running = torch.zeros_like(delta[:, 0])
    for t in range(delta.shape[1] - 1, -1, -1):
        running = delta[:, t] + discount * lambda_ * goes_on[:, t] * running
        advantages[:, t] = running
    return advantages


def discounted_returns(r_t: Tensor, ended_t: Tensor, bootstrap: Tensor, discount: float) -> Tensor:
    """Return (B, T), the discounted sum of the rewards from each step on; `bootstrap` (B,) follows the last one."""
    returns = torch.empty_like(r_t)
    running = bootstrap
    for t in range(r_t.shape[1] - 1, -1, -1):
        running = r_t[:, t] + discount * running * (1.0 - ended_t[:, t].to(r_t.dtype))
        returns[:, t] = running
    return returns


def lambda_returns(
    r_t: Tensor, v_t: Tensor, ended_t: Tensor, bootstrap: Tensor, discount: float, lambda_: float
) -> Tensor:
    """Return (B, T) lambda-returns (Sutton and Barto 2018, equation 12.2; Peng's Q(lambda) where `v_t` is a maximum).

    `v_t` is the value after each step, (B, T); `bootstrap` (B,) is the return that follows the last one. Where
    `ended_t`, nothing follows.
    """
    returns = torch.empty_like(r_t)
    running = bootstrap
    for t in range(r_t.shape[1] - 1, -1, -1):
        goes_on = 1.0 - ended_t[:, t].to(r_t.dtype)
        running = r_t[:, t] + discount * goes_on * ((1.0 - lambda_) * v_t[:, t] + lambda_ * running)
        returns[:, t] = running
    return returns
