"""Networks: small multilayer perceptrons, and their frozen form for policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

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
        self.shapes = tuple((len(w), w.shape[1]) for w in weights)
        flat = torch.cat([w.flatten() for w in weights])
        # all weights, then all biases, in one piece: casts, clipping and Adam take one call each, not one a layer
        self.flat = nn.Parameter(torch.cat([flat, torch.zeros(sum(len(w) for w in weights))]))

    def layers(self) -> Layers:
        """Return the weights and biases, layer by layer: views of `flat`."""
        return tuple(zip(*pieces(self.flat, self.shapes), strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., sum of parts) for inputs (..., n_in)."""
        if x.dim() == 2 and torch.is_grad_enabled():
            found: Tensor = Products.apply(x, self.tanh, self.shapes, self.flat)
            return found
        return run(self.layers(), x, self.tanh)


Shapes = tuple[tuple[int, int], ...]  # (out, in) of each layer


def pieces(flat: Tensor, shapes: Shapes) -> tuple[list[Tensor], list[Tensor]]:
    """Return views of `flat`: the weights (out, in) and the biases (out,) of each layer."""
    sizes = [a * b for a, b in shapes] + [a for a, _ in shapes]
    parts = flat.split(sizes)
    n = len(shapes)
    return [part.view(shape) for part, shape in zip(parts[:n], shapes, strict=True)], list(parts[n:])


class Products(torch.autograd.Function):
    """The layers of an MLP on rows (N, n_in) with the gradient written out: one node, not a dozen; the same numbers."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, tanh: bool, shapes: Shapes, flat: Tensor) -> Tensor:
        """Return (N, n_out); `flat` are all weights, then all biases."""
        cast = flat.to(x.dtype)
        weights, biases = pieces(cast, shapes)
        inputs = [x]
        for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            x = torch.addmm(bias, inputs[-1], weight.t())
            if i + 1 < len(shapes):
                inputs.append(x.tanh_() if tanh else x.relu_())
        ctx.save_for_backward(cast, *inputs)
        ctx.tanh, ctx.shapes, ctx.kind = tanh, shapes, flat.dtype
        return x

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        cast, *inputs = ctx.saved_tensors
        weights, _ = pieces(cast, ctx.shapes)
        grad = torch.empty_like(cast)
        by_weight, by_bias = pieces(grad, ctx.shapes)
        for i in reversed(range(len(weights))):
            torch.mm(slope.t(), inputs[i], out=by_weight[i])
            torch.sum(slope, 0, out=by_bias[i])
            if i or ctx.needs_input_grad[0]:
                slope = slope @ weights[i]
            if i and ctx.tanh:
                slope = torch.ops.aten.tanh_backward(slope, inputs[i])
            elif i:
                slope = torch.ops.aten.threshold_backward(slope, inputs[i], 0.0)
        return (slope if ctx.needs_input_grad[0] else None), None, None, grad.to(ctx.kind)


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
        layers, tanh = self._actor(torch.float32)
        return NetPolicy(tuple(w for w, _ in layers), tuple(b for _, b in layers), tanh)

    def half_policy(self, width: Tensor, shift: Tensor) -> HalfPolicy:
        """Return the same in bfloat16, of features times `width` plus `shift`, (F,) each."""
        return HalfPolicy(*self._actor(torch.bfloat16), width, shift)

    def _actor(self, kind: torch.dtype) -> tuple[Layers, bool]:
        """Return a copy of the actor's layers in the type `kind`, and whether they go with tanh."""
        net = self.nets[0]
        assert isinstance(net, MLP)
        *inner, (weight, bias) = net.layers()
        layers = (*inner, (weight[: self.n_out], bias[: self.n_out]))
        return tuple((w.detach().to(kind, copy=True), b.detach().to(kind, copy=True)) for w, b in layers), net.tanh


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


@dataclass(frozen=True, eq=False)
class HalfPolicy(Policy):
    """The masked softmax of a frozen network in bfloat16: how it acts while it learns; `decide` returns another."""

    layers: Layers  # bfloat16
    tanh: bool
    width: Tensor  # (F,), what each feature is multiplied with
    shift: Tensor  # (F,), and what is added then

    def __call__(self, observation: Observation) -> Tensor:
        rows = torch.addcmul(self.shift, observation.features, self.width).to(torch.bfloat16)
        return softmax(run(self.layers, rows, self.tanh).float(), observation.mask)


@cache
def fast_half() -> bool:
    """Return whether this machine multiplies bfloat16 matrices in hardware; elsewhere it is slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
