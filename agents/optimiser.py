"""Adam's memory as plain tensors, so that a stopped agent goes on exactly."""

from __future__ import annotations

import torch

from .agent import State


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
