"""Networks: small multilayer perceptrons, and their frozen form for policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..envs.observer import Observation
from .agent import Policy, softmax
from .encoder import Net

Layers = tuple[tuple[Tensor, Tensor], ...]  # weight (out, in) and bias (out,) of each layer


class MLP(nn.Module):
    """A multilayer perceptron with tanh or ReLU between its layers, and no activation after the last.

    It computes in the type of its input, from float32 weights: bfloat16 in, bfloat16 out.
    Weights are orthogonal with gain sqrt(2), those of the last layer with a gain for each of its parts
    (Saxe, McClelland and Ganguli 2014).
    """

    def __init__(
        self,
        n_in: int,
        hidden: Sequence[int],
        parts: Sequence[tuple[int, float]],
        tanh: bool,
        generator: torch.Generator,
    ) -> None:
        """Build the layers; `parts` are (width, gain) of the pieces of the output."""
        super().__init__()
        self.tanh = tanh
        weights = []
        for a, b in pairwise([n_in, *hidden]):
            weights.append(nn.init.orthogonal_(torch.empty(b, a), 2.0**0.5, generator=generator))
        last = [n_in, *hidden][-1]
        pieces = [nn.init.orthogonal_(torch.empty(n, last), gain, generator=generator) for n, gain in parts]
        weights.append(torch.cat(pieces))
        self.weights = nn.ParameterList(weights)
        self.biases = nn.ParameterList(torch.zeros(len(w)) for w in weights)

    def layers(self) -> Layers:
        """Return the weights and biases, layer by layer."""
        return tuple(zip(self.weights, self.biases, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., sum of parts) for inputs (..., n_in)."""
        return run(self.layers(), x, self.tanh)


def run(layers: Layers, x: Tensor, tanh: bool) -> Tensor:
    """Return what `layers` make of `x` (..., n_in), in the type of `x`."""
    for i, (weight, bias) in enumerate(layers):
        if i:
            x = torch.tanh(x) if tanh else torch.relu_(x)  # in place: the product before it needs no output
        x = F.linear(x, weight.to(x.dtype), bias.to(x.dtype))
    return x


class ActorCritic(Net):
    """Logits of all activities and the value of the state: from one trunk, or from two networks that share nothing."""

    def __init__(
        self, n_in: int, hidden: Sequence[int], n_out: int, shared: bool, tanh: bool, generator: torch.Generator
    ) -> None:
        """Build it; the actor starts near uniform (gain .01), the critic with gain 1."""
        super().__init__()
        self.n_out = n_out
        parts = [(n_out, 0.01), (1, 1.0)]
        nets = [parts] if shared else [parts[:1], parts[1:]]
        self.nets = nn.ModuleList(MLP(n_in, hidden, ends, tanh, generator) for ends in nets)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., A + 1), the logits and then the value."""
        found = [net(x) for net in self.nets]
        return found[0] if len(found) == 1 else torch.cat(found, -1)

    def policy(self) -> NetPolicy:
        """Return the masked softmax of the actor as it is now; training on does not change it."""
        net = self.nets[0]
        assert isinstance(net, MLP)
        layers = [(w.detach().clone(), b.detach().clone()) for w, b in net.layers()]
        layers[-1] = (layers[-1][0][: self.n_out].clone(), layers[-1][1][: self.n_out].clone())
        return NetPolicy(tuple(w for w, _ in layers), tuple(b for _, b in layers), net.tanh)


@dataclass(frozen=True, eq=False)
class NetPolicy(Policy):
    """The masked softmax of a frozen network."""

    weights: tuple[Tensor, ...]  # of each layer, (out, in)
    biases: tuple[Tensor, ...]  # of each layer, (out,)
    tanh: bool = True

    def after(self, width: Tensor, shift: Tensor) -> NetPolicy:
        """Return the policy that sees `width` * features + `shift`, (F,) each, where this one sees features."""
        first, *weights = self.weights
        bias, *biases = self.biases
        return replace(self, weights=(first * width, *weights), biases=(bias + first @ shift, *biases))

    def __call__(self, observation: Observation) -> Tensor:
        layers = tuple(zip(self.weights, self.biases, strict=True))
        return softmax(run(layers, observation.features, self.tanh), observation.mask)


@cache
def fast_half() -> bool:
    """Return whether this machine multiplies bfloat16 matrices in hardware; elsewhere it is slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
