"""Adam's memory as plain tensors, so that a stopped agent goes on exactly."""

from __future__ import annotations

import torch
from torch import Tensor

from .agent import State


def descend(adam: torch.optim.Adam, loss: Tensor, max_norm: float) -> None:
    """Take one step of `adam` down `loss`, its gradient cut to `max_norm`.

    As `clip_grad_norm_`, without the bookkeeping that costs small networks as much as their arithmetic.
    """
    parameters = [p for group in adam.param_groups for p in group["params"]]
    for parameter in parameters:
        parameter.grad = None
    loss.backward()
    grads = [p.grad for p in parameters if p.grad is not None]
    norms = [torch.linalg.vector_norm(grad) for grad in grads]
    norm = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for grad in grads:
        grad.mul_(factor)
    adam.step()


def save_adam(prefix: str, adam: torch.optim.Adam) -> State:
    """Return a copy of what `adam` remembers of each parameter, under `prefix`."""
    parameters = [p for group in adam.param_groups for p in group["params"]]
    return {
        f"{prefix}{i}.{name}": value.clone()
        for i, parameter in enumerate(parameters)
        for name, value in adam.state.get(parameter, {}).items()
    }


def load_adam(prefix: str, adam: torch.optim.Adam, state: State) -> None:
    """Give `adam` back what `save_adam` returned, and nothing of what it learnt since."""
    parameters = [p for group in adam.param_groups for p in group["params"]]
    adam.state.clear()
    for key, value in state.items():
        if key.startswith(prefix):
            i, _, name = key.removeprefix(prefix).partition(".")
            adam.state.setdefault(parameters[int(i)], {})[name] = value.clone()
