"""SetEncoder: activities scored by what they are, not by their number, so that unseen ones can be scored too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..envs.observer import History, Observation, Space
from .agent import Policy, softmax
from .encoder import Encoder, Net
from .nets import MLP, Layers, fast_half, run

_PLAIN = 16  # columns of every activity before its belief channels and its kind
_LEARNER = 6  # columns of every learner


@dataclass(frozen=True)
class SetEncoder(Encoder):
    """One network for every activity, fed with features of activities (after Zaheer et al. 2017, Deep Sets).

    Of each activity: its share of goal skills, the believed mastery of its skills, of the goals among them and of its
    prerequisites, the gap it can close and the gap that it leads on to, its minutes, its depth among the
    prerequisites, how often and how well it was done and when last, whatever the tracer says of its skills, and its
    kind. The learner is the mean and the maximum over all activities of what the network makes of them, with
    progress and mean mastery beside. No activity and no skill has a weight of its own: `SetPolicy.on(space)` takes
    the policy to another catalogue.
    """

    hidden: int = 32
    tanh: bool = False
    half: bool = True  # learn with bfloat16 products where the CPU has them; what goes in is computed in float32

    def see(self, space: Space, features: Tensor, history: History | None) -> Tensor:
        return torch.cat([features, _past(space, features, history)], 1)

    def build(self, space: Space, generator: torch.Generator) -> Net:
        return SetNet(space, tuple(sorted(set(space.kinds))), self.hidden, self.tanh, self.half, generator)


class SetNet(Net):
    """Weights shared by all activities."""

    def __init__(
        self, space: Space, kinds: tuple[str, ...], hidden: int, tanh: bool, half: bool, generator: torch.Generator
    ) -> None:
        """Build the three networks: of an activity alone, of the learner, and of both together."""
        super().__init__()
        self.space, self.kinds, self.tanh, self.short = space, kinds, tanh, half
        wide = _PLAIN + _channels(space)[0] + len(kinds)
        self.each = MLP(wide, (), [(hidden, 2.0**0.5)], tanh, generator)
        self.learner = MLP(2 * hidden + _of_learner(space), (hidden,), [(hidden, 2.0**0.5)], tanh, generator)
        self.score = MLP(2 * hidden, (hidden,), [(1, 0.01)], tanh, generator)
        self.worth = MLP(hidden, (hidden,), [(1, 1.0)], tanh, generator)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        logits, value = _forward(self.space, self.kinds, self._layers(), self.tanh, flat, self.short and fast_half())
        return torch.cat([logits, value], -1).reshape(*x.shape[:-1], -1)

    def _layers(self) -> tuple[Layers, ...]:
        return tuple(net.layers() for net in (self.each, self.learner, self.score, self.worth))

    def policy(self) -> SetPolicy:
        layers = tuple(tuple((w.detach().clone(), b.detach().clone()) for w, b in net) for net in self._layers())
        return SetPolicy(self.space, self.kinds, layers, self.tanh)


@dataclass(frozen=True, eq=False)
class SetPolicy(Policy):
    """The masked softmax of a frozen SetNet; `kinds` are those it was trained on, others count as none of them."""

    space: Space
    kinds: tuple[str, ...]
    layers: tuple[Layers, ...]
    tanh: bool = False

    def __call__(self, observation: Observation) -> Tensor:
        past = _past(self.space, observation.features, observation.history)
        x = torch.cat([observation.features, past], 1)
        return softmax(_forward(self.space, self.kinds, self.layers, self.tanh, x)[0], observation.mask)

    def on(self, space: Space) -> SetPolicy:
        """Return the same policy for the activities of another catalogue.

        ValueError when the tracer there tells something else of a learner than the one it was trained on.
        """
        if _of_learner(space) != _of_learner(self.space):
            raise ValueError(
                f"this policy was trained with {_of_learner(self.space)} numbers about a learner alone, and here there "
                f"are {_of_learner(space)}: the same number of roles and the same context are needed"
            )
        if _channels(space) != _channels(self.space):
            raise ValueError(
                f"this policy was trained with {_channels(self.space)} columns of belief per skill and per learner, "
                f"and here there are {_channels(space)}: use the same kind of tracer"
            )
        return replace(self, space=space)


def _channels(space: Space) -> tuple[int, int]:
    """Return how many numbers the tracer tells of each skill and of each learner, beside mastery."""
    widths = dict(space.groups)
    per_skill, left = divmod(widths["belief"], widths["mastery"])
    return (per_skill, 0) if left == 0 else (0, widths["belief"])


def _of_learner(space: Space) -> int:
    """Return how many numbers stand for a learner alone: six, every further group, and the tracer's if so."""
    return _LEARNER + sum(width for _, width in space.groups[4:]) + _channels(space)[1]


def _past(space: Space, features: Tensor, history: History | None) -> Tensor:
    """Return (B, 4A): log count, share right, log streak, and recency of each activity; 0 without a history."""
    if history is None:
        return features.new_zeros(len(features), 4 * space.n_activities)
    attempts = history.attempts.float()
    right = history.right.float() / attempts.clamp_min(1.0)
    recency = 1.0 / (1.0 + history.since)
    return torch.cat([attempts.log1p(), right, history.streak.float().log1p(), recency], 1)


def _forward(
    space: Space, kinds: Sequence[str], layers: Sequence[Layers], tanh: bool, x: Tensor, half: bool = False
) -> tuple[Tensor, Tensor]:
    """Return logits (N, A) and value (N, 1) for rows (N, F + 4A)."""
    each, learner, score, worth = layers
    act = torch.tanh if tanh else torch.relu
    own, people = _columns(space, kinds, x)
    if half:
        own, people = own.to(torch.bfloat16), people.to(torch.bfloat16)
    embedded = act(run(each, own, tanh))  # (N, A, H)
    pooled = torch.cat([embedded.mean(1), embedded.amax(1), people], -1)
    context = act(run(learner, pooled, tanh))  # (N, H)
    # The first layer of `score` is linear in [embedded, context]: the second half is the same for every activity.
    (weight, bias), *rest = score
    h = embedded.shape[-1]
    first = nn.functional.linear(embedded, weight[:, :h].to(own.dtype))
    first = first + nn.functional.linear(context, weight[:, h:].to(own.dtype), bias.to(own.dtype))[:, None]
    logits, value = run(tuple(rest), act(first), tanh)[..., 0], run(worth, context, tanh)
    return logits.float(), value.float()


def _columns(space: Space, kinds: Sequence[str], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return what is known of each activity (N, A, D) and of each learner (N, C)."""
    if space.depth is None:
        raise ValueError("this space does not say how activities hang together: take it from an Observer")
    a, k = space.n_activities, dict(space.groups)["mastery"]
    parts = x[:, : space.n_features].split_with_sizes([width for _, width in space.groups], 1)
    (mastery, goal, belief, progress), others = parts[:4], parts[4:]
    past = x[:, space.n_features :].unflatten(1, (4, a))
    gap, total = (1.0 - mastery) * goal, goal.sum(1, keepdim=True).clamp_min(1.0)
    per_skill, per_learner = _channels(space)
    skills, needs, leads = space.averages
    channels = [
        goal,
        mastery,
        mastery * goal,
        gap,
        *(belief.unflatten(1, (per_skill, k)).unbind(1) if per_skill else ()),
    ]
    mean = torch.stack(channels, 1) @ skills  # (N, C, A)
    gaps = mean[:, 3] * space.skills.real.sum(1)
    further = torch.stack(
        [
            mean[:, 2] / mean[:, 0].clamp_min(1e-3),
            gaps,
            gaps / (0.1 * space.minutes + 0.1),
            (gap @ leads) / total,
            mastery @ needs + (needs.sum(0) == 0),
            ((progress[:, 3:4] * a).round() - 1.0 == torch.arange(a, device=x.device)).to(x.dtype),
            (space.minutes.log1p() / 4.0).expand(x.shape[0], -1),
            (space.depth / 4.0).expand(x.shape[0], -1),
        ],
        1,
    )
    kind = torch.tensor([[own == known for known in kinds] for own in space.kinds], dtype=x.dtype, device=x.device)
    kind = kind.reshape(a, len(kinds)).t().expand(x.shape[0], -1, -1)
    own = torch.cat([mean, further, past, kind], 1).transpose(1, 2)
    reached = (mastery * goal).sum(1, keepdim=True) / total
    total_gap, share = gap.sum(1, keepdim=True) / 10.0, goal.mean(1, keepdim=True)
    people = torch.cat([progress[:, :3], reached, total_gap, share, *others], 1)
    return own, torch.cat([people, belief], 1) if per_learner else people
