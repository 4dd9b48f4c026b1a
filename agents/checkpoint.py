"""Checkpoint: networks and their optimisers as plain tensors, and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from .agent import State


def keep(nets: Mapping[str, nn.Module], optimisers: Mapping[str, torch.optim.Optimizer]) -> State:
    """Return copies of all weights and of what the optimisers remember of each, in the order of their parameters."""
    saved: State = {f"{name}/{k}": v.clone() for name, net in nets.items() for k, v in net.state_dict().items()}
    for name, optimiser in optimisers.items():
        for i, parameter in enumerate(_parameters(optimiser)):
            for key, value in optimiser.state.get(parameter, {}).items():
                saved[f"{name}/{i}/{key}"] = value.clone()
    return saved


def bring_back(state: State, nets: Mapping[str, nn.Module], optimisers: Mapping[str, torch.optim.Optimizer]) -> None:
    """Set networks and optimisers to what `keep` saved, exactly."""
    for name, net in nets.items():
        net.load_state_dict({k.removeprefix(f"{name}/"): v for k, v in state.items() if k.startswith(f"{name}/")})
    for name, optimiser in optimisers.items():
        optimiser.state.clear()
        for i, parameter in enumerate(_parameters(optimiser)):
            start = f"{name}/{i}/"
            kept = {k.removeprefix(start): v.clone() for k, v in state.items() if k.startswith(start)}
            if kept:
                optimiser.state[parameter] = kept


def _parameters(optimiser: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]
