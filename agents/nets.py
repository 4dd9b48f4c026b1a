"""Networks: small multilayer perceptrons, and their frozen form for policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..envs.observer import Observation
from .agent import Policy, softmax


def mlp(n_in: int, hidden: Sequence[int], n_out: int, last_gain: float, generator: torch.Generator) -> nn.Sequential:
    """Return tanh layers with orthogonal weights of gain sqrt(2), the last one of `last_gain` (Saxe et al. 2014)."""
    widths = [n_in, *hidden, n_out]
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        linear = nn.utils.skip_init(nn.Linear, a, b)
        last = i == len(widths) - 2
        nn.init.orthogonal_(linear.weight, last_gain if last else 2.0**0.5, generator=generator)
        nn.init.zeros_(linear.bias)
        layers += [linear] if last else [linear, nn.Tanh()]
    return nn.Sequential(*layers)


@dataclass(frozen=True, eq=False)
class NetPolicy(Policy):
    """The masked softmax of a frozen tanh network."""

    weights: tuple[Tensor, ...]  # of each layer, (out, in)
    biases: tuple[Tensor, ...]  # of each layer, (out,)

    @staticmethod
    def of(net: nn.Sequential) -> NetPolicy:
        """Return the policy that `net` is now; training `net` further does not change it."""
        linears = [layer for layer in net if isinstance(layer, nn.Linear)]
        weights = tuple(layer.weight.detach().clone() for layer in linears)
        return NetPolicy(weights, tuple(layer.bias.detach().clone() for layer in linears))

    def __call__(self, observation: Observation) -> Tensor:
        x = observation.features
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = nn.functional.linear(x if i == 0 else torch.tanh(x), weight, bias)
        return softmax(x, observation.mask)
