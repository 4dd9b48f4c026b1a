"""Value networks: layer-normalised perceptrons with a score for each activity, and their frozen form in policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..envs.observer import Observation
from .agent import Policy, greedy, softmax, uniform


def value_net(
    n_in: int, hidden: Sequence[int], n_out: int, generator: torch.Generator, last_gain: float = 0.01
) -> nn.Sequential:
    """Return linear layers with layer normalisation and ReLU, and a last linear one: (B, n_in) to (B, n_out).

    The normalisation is what keeps temporal differences stable without target networks (Gallici et al. 2025).
    """
    layers: list[nn.Module] = []
    for a, b in pairwise([n_in, *hidden]):
        layers += [_linear(a, b, 2.0**0.5, generator), nn.LayerNorm(b), nn.ReLU()]
    return nn.Sequential(*layers, _linear([n_in, *hidden][-1], n_out, last_gain, generator))


def _linear(a: int, b: int, gain: float, generator: torch.Generator) -> nn.Linear:
    linear: nn.Linear = nn.utils.skip_init(nn.Linear, a, b)
    nn.init.orthogonal_(linear.weight, gain, generator=generator)
    nn.init.zeros_(linear.bias)
    return linear


def duel(out: Tensor) -> Tensor:
    """Return (..., A) values from (..., 1 + A): V + advantage - mean advantage (Wang et al. 2016, equation 9)."""
    value, advantage = out[..., :1], out[..., 1:]
    return value + advantage - advantage.mean(-1, keepdim=True)


@dataclass(frozen=True, eq=False)
class Scores:
    """A frozen value network: (B, F) features to (B, A) scores."""

    weights: tuple[Tensor, ...]  # of each linear layer, (out, in)
    biases: tuple[Tensor, ...]  # of each linear layer, (out,)
    gains: tuple[Tensor, ...]  # of each normalisation, (out,)
    shifts: tuple[Tensor, ...]  # of each normalisation, (out,)
    dueling: bool = False

    @staticmethod
    def of(net: nn.Sequential, dueling: bool = False) -> Scores:
        """Return what `net` is now; training `net` further does not change it."""
        linears = [layer for layer in net if isinstance(layer, nn.Linear)]
        norms = [layer for layer in net if isinstance(layer, nn.LayerNorm)]
        return Scores(
            tuple(layer.weight.detach().clone() for layer in linears),
            tuple(layer.bias.detach().clone() for layer in linears),
            tuple(layer.weight.detach().clone() for layer in norms),
            tuple(layer.bias.detach().clone() for layer in norms),
            dueling,
        )

    def __call__(self, features: Tensor) -> Tensor:
        x, last = features, len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = nn.functional.linear(x, weight, bias)
            if i < last:
                x = torch.relu(nn.functional.layer_norm(x, bias.shape, self.gains[i], self.shifts[i]))
        return duel(x) if self.dueling else x


@dataclass(frozen=True, eq=False)
class EpsilonGreedy(Policy):
    """The allowed activity with the highest score; with probability `epsilon` any allowed one instead."""

    scores: Scores
    epsilon: float

    def __call__(self, observation: Observation) -> Tensor:
        best = greedy(self.scores(observation.features), observation.mask)
        if self.epsilon == 0.0:
            return best
        return (1.0 - self.epsilon) * best + self.epsilon * uniform(observation.mask)


@dataclass(frozen=True, eq=False)
class Softmax(Policy):
    """Allowed activities in proportion to the exponentials of their scores."""

    scores: Scores

    def __call__(self, observation: Observation) -> Tensor:
        return softmax(self.scores(observation.features), observation.mask)
