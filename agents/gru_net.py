"""RecurrentEncoder: a GRU reads the latest interactions, for when the tracer's belief is not enough."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..envs.observer import NOBODY, History, Observation, Space
from .agent import Policy, softmax
from .encoder import Encoder, Net
from .nets import MLP, Layers, run


@dataclass(frozen=True)
class RecurrentEncoder(Encoder):
    """Features, and beside them what a gated recurrent unit makes of the latest interactions (Cho et al. 2014).

    Each interaction is one of 2 A words, an activity answered right or wrong. The latest `window` are read from the
    oldest on at every step, so that the policy stays a pure function of the observation and any record can be
    served; the observer must keep that many (`window` in the config follows this one).
    """

    window: int = 20
    width: int = 32  # of the GRU
    hidden: tuple[int, ...] = (64,)
    tanh: bool = False

    def see(self, space: Space, features: Tensor, history: History | None) -> Tensor:
        return torch.cat([features, _words(self.window, space, features, history).to(features.dtype)], 1)

    def build(self, space: Space, generator: torch.Generator) -> Net:
        return RecurrentNet(self, space, generator)


class RecurrentNet(Net):
    """The GRU and the two heads on it."""

    def __init__(self, encoder: RecurrentEncoder, space: Space, generator: torch.Generator) -> None:
        """Build it: orthogonal recurrent weights, words near 0, an update gate that starts by keeping the past."""
        super().__init__()
        self.encoder, self.space = encoder, space
        h, a = encoder.width, space.n_activities
        words = torch.randn(2 * a + 1, 3 * h, generator=generator) * 0.5
        gates = [nn.init.orthogonal_(torch.empty(h, h), 1.0, generator=generator) for _ in range(3)]
        self.words = nn.Parameter(words)  # (2A + 1, 3H), each word's reset, update and candidate; the last is none
        self.recurrent = nn.Parameter(torch.cat(gates))  # (3H, H)
        self.bias = nn.Parameter(torch.cat([torch.zeros(h), torch.ones(h), torch.zeros(h)]))
        parts = [(a, 0.01), (1, 1.0)]
        self.head = MLP(space.n_features + h, encoder.hidden, parts, encoder.tanh, generator)

    def forward(self, x: Tensor) -> Tensor:
        n = self.space.n_features
        words, flat = x[..., n:].long().reshape(-1, x.shape[-1] - n), x[..., :n].reshape(-1, n)
        read = _read(self.words, self.recurrent, self.bias, words)
        return run(self.head.layers(), torch.cat([flat, read], 1), self.encoder.tanh).reshape(*x.shape[:-1], -1)

    def policy(self) -> RecurrentPolicy:
        layers = tuple((w.detach().clone(), b.detach().clone()) for w, b in self.head.layers())
        words, recurrent, bias = (p.detach().clone() for p in (self.words, self.recurrent, self.bias))
        return RecurrentPolicy(self.space, self.encoder.window, words, recurrent, bias, layers, self.encoder.tanh)


@dataclass(frozen=True, eq=False)
class RecurrentPolicy(Policy):
    """The masked softmax of a frozen RecurrentNet."""

    space: Space
    window: int
    words: Tensor  # (2A + 1, 3H)
    recurrent: Tensor  # (3H, H)
    bias: Tensor  # (3H,)
    layers: Layers
    tanh: bool = False

    def __call__(self, observation: Observation) -> Tensor:
        words = _words(self.window, self.space, observation.features, observation.history)
        read = _read(self.words, self.recurrent, self.bias, words)
        logits = run(self.layers, torch.cat([observation.features, read], 1), self.tanh)[:, : self.space.n_activities]
        return softmax(logits, observation.mask)


def _words(window: int, space: Space, features: Tensor, history: History | None) -> Tensor:
    """Return (B, window) int64, the latest interactions as words, oldest first; 2A where there is none.

    ValueError where the observer keeps fewer interactions than that: a network that sees nothing would learn nothing.
    """
    kept = 0 if history is None else history.recent.shape[1]
    if history is None or kept < window:
        raise ValueError(
            f"the GRU reads the latest {window} interactions and is shown {kept}: Observer(window={window})"
        )
    recent, right = history.recent[:, -window:].long(), history.recent_correct[:, -window:] >= 0.5
    none = 2 * space.n_activities
    return torch.where(recent == NOBODY, none, recent + space.n_activities * right)


def _read(table: Tensor, recurrent: Tensor, bias: Tensor, words: Tensor) -> Tensor:
    """Return (N, H), the state of the GRU after `words` (N, W); a word that is none leaves it as it is."""
    h = recurrent.shape[1]
    state = table.new_zeros(words.shape[0], h)
    late = words.t().contiguous()  # oldest first
    some = (late != len(table) - 1)[..., None]
    for real, word in zip(some, nn.functional.embedding(late, table) + bias, strict=True):
        passed = nn.functional.linear(state, recurrent)
        reset, keep = torch.sigmoid(word[:, : 2 * h] + passed[:, : 2 * h]).chunk(2, 1)
        candidate = torch.tanh(torch.addcmul(word[:, 2 * h :], reset, passed[:, 2 * h :]))
        state = torch.where(real, torch.lerp(candidate, state, keep), state)
    return state
