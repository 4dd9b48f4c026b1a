"""Encoder: how a network looks at an observation, where plain features are not enough."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ..envs.observer import History, Space
from .agent import Policy, Steps


class Net(nn.Module, ABC):
    """A network of actor and critic: one row of numbers in, the logits of all activities and the value out."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return (..., A + 1) for (..., X): logits, then the value; computed in the type of `x`."""

    @abstractmethod
    def policy(self) -> Policy:
        """Return the masked softmax of the actor as it is now; training on does not change it."""


class Encoder(ABC):
    """What a network sees of an observation, and the network for it; a frozen dataclass of settings."""

    @abstractmethod
    def see(self, space: Space, features: Tensor, history: History | None) -> Tensor:
        """Return (B, X) float32, all that the network needs to know of B learners."""

    @abstractmethod
    def build(self, space: Space, generator: torch.Generator) -> Net:
        """Return a new network for what `see` returns."""


def seen(encoder: Encoder | None, space: Space, steps: Steps) -> Tensor:
    """Return (B, T + 1, X), what `encoder` sees before every step and after the last; None sees the features.

    ValueError when the steps carry no history.
    """
    if encoder is None:
        return steps.features
    if len(steps.history) != steps.features.shape[1]:
        raise ValueError(f"{type(encoder).__name__} looks at each learner's history, and these steps carry none")
    rows = [encoder.see(space, steps.features[:, t], history) for t, history in enumerate(steps.history)]
    return torch.stack(rows, 1)
