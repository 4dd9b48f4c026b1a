"""PPO: proximal policy optimisation, masked and batched over learners."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..envs.observer import Space
from ..envs.rng import derive
from .agent import Agent, Policy, State, Steps
from .encoder import Encoder, Net, seen
from .nets import ActorCritic, NetPolicy, fast_half
from .optimiser import descend, load_adam, save_adam
from .returns import generalised_advantages
from .surrogate import Surrogate

_LEAST = 0.1  # standard deviation; what hardly varied at first may vary by 1 later


@dataclass(eq=False)
class PPO(Agent):
    """Clipped PPO with generalised advantages (Schulman et al. 2017, equations 7-12), on whole sessions by default.

    Actor and critic are two heads of one ReLU network, or with `shared=False` two networks; `tanh` takes that
    activation. Rewards are divided by a running root mean square of returns, so one learning rate serves rewards of
    any size. Masked activities have probability 0 in acting and in learning. `anneal` learning calls bring the
    learning rate down to a tenth; 0 keeps it. `half` tries and learns with bfloat16 matrix products where the CPU has
    them, from float32 weights: about twice as fast, and a machine with them learns other numbers than one without.
    What `decide` returns acts in float32. `standardise` shifts and scales features by mean and standard deviation of
    the first steps it learns from (as Andrychowicz et al. 2021, section 3.3, but once): fewer samples are needed where
    features differ in size or many are constant. With an `encoder` the network is the encoder's, and `hidden`,
    `shared`, `tanh`, `half` and `standardise` do not count.
    """

    space: Space
    seed: int = 0
    hidden: tuple[int, ...] = (64, 64)
    shared: bool = True
    tanh: bool = False
    half: bool = True
    standardise: bool = False
    rate: float = 3e-3
    anneal: int = 0
    discount: float = 1.0
    lambda_: float = 0.95
    clip: float = 0.2
    epochs: int = 4
    minibatches: int = 8
    entropy: float = 0.002
    max_norm: float = 0.5
    chunk: int = 0
    encoder: Encoder | None = None
    _net: Net = field(init=False)
    _adam: torch.optim.Adam = field(init=False)
    _width: Tensor = field(init=False)  # of each feature, what it is multiplied with
    _shift: Tensor = field(init=False)  # and what is added then
    _updates: int = field(init=False, default=0)
    _spread: float = field(init=False, default=0.0)  # running mean of squared returns

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(derive(self.seed, "ppo", "weights"))
        n_in, n_out = self.space.n_features, self.space.n_activities
        if self.encoder is None:
            self._net = ActorCritic(n_in, self.hidden, n_out, self.shared, self.tanh, generator)
        else:
            self._net = self.encoder.build(self.space, generator)
        self._adam = torch.optim.Adam(self._net.parameters(), self.rate, eps=1e-5, fused=True)
        self._width, self._shift = torch.ones(n_in), torch.zeros(n_in)

    def behave(self) -> Policy:
        if self._halved():
            assert isinstance(self._net, ActorCritic)
            return self._net.half_policy(self._width.clone(), self._shift.clone())
        return self.decide()

    def decide(self) -> Policy:
        policy = self._net.policy()
        return policy.after(self._width, self._shift) if isinstance(policy, NetPolicy) and self.standardise else policy

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        if not bool(steps.alive.any()):
            return {}
        features = seen(self.encoder, self.space, steps)
        if self._standard() and self._updates == 0:
            self._measure(features[:, :-1][steps.alive])
        by_time = self._ready(features)
        with torch.no_grad():
            values = self._net(by_time)[:, -1].float().view(features.shape[1], -1).t()
        scale = self._scale(steps)
        goes_on = steps.alive & ~steps.ended
        advantages = generalised_advantages(
            steps.reward / scale, values[:, :-1], values[:, 1:], ~goes_on, self.discount, self.lambda_
        )
        live = steps.alive.flatten().nonzero()[:, 0]
        n, size = len(live), -(-len(live) // self.minibatches)
        generator = torch.Generator().manual_seed(derive(seed, "ppo", self._updates))
        order = live.index_select(0, torch.randperm(n, generator=generator))
        order = torch.cat([order, order[:size]])  # the last minibatch may run over the end
        columns = (steps.action, steps.propensity, advantages, values[:, :-1])
        action, propensity, advantage, value = (column.flatten().index_select(0, order) for column in columns)
        target = advantage + value
        std, mean = torch.std_mean(advantage[:n], correction=0)
        advantage = (advantage - mean) / (std + 1e-8)
        b, n_steps = steps.alive.shape
        place = order % n_steps * b + order // n_steps  # where a row lies by time
        rows = by_time.index_select(0, place)
        masks = steps.mask.transpose(0, 1).flatten(0, 1).index_select(0, place)
        if self.anneal:
            left = max(0.1, 1.0 - 0.9 * self._updates / self.anneal)
            self._adam.param_groups[0]["lr"] = self.rate * left
        sums, starts = torch.zeros(4), range(0, n, size)
        for _ in range(self.epochs):
            # Shuffled once, cut elsewhere in every epoch: other minibatches, and none has to be copied together.
            first = int(torch.randint(size, (), generator=generator))
            for at in torch.randperm(len(starts), generator=generator).tolist():
                some = slice(first + starts[at], first + min(starts[at] + size, n))
                batch = (column[some] for column in (rows, masks, action, propensity, advantage, target))
                sums += self._improve(*batch)
        self._updates += 1
        policy_loss, value_loss, entropy, clipped = (sums / (self.epochs * len(starts))).tolist()
        return {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy, "clipped": clipped}

    def _halved(self) -> bool:
        """Return whether it computes in bfloat16; encoders need counts and numbers of activities exactly."""
        return self.half and self.encoder is None and fast_half()

    def _standard(self) -> bool:
        """Return whether it standardises features; an encoder makes its own."""
        return self.standardise and self.encoder is None

    def _ready(self, features: Tensor) -> Tensor:
        """Return what the network is shown of `features` (B, T + 1, F): ((T + 1) B, F), step after step."""
        kind = torch.bfloat16 if self._halved() else features.dtype
        ordered = features.transpose(0, 1)  # as `gather` lays them out
        if kind == features.dtype and not self._standard():
            return ordered.flatten(0, 1)
        ready = torch.empty(ordered.shape, dtype=kind)
        for step, rows in zip(ready, ordered, strict=True):  # one step at a time stays in the processor's cache
            step.copy_(torch.addcmul(self._shift, rows, self._width))
        return ready.flatten(0, 1)

    def _measure(self, rows: Tensor) -> None:
        """Take shift and width from `rows` (N, F)."""
        std, mean = torch.std_mean(rows, 0, correction=0)
        self._width = 1.0 / std.clamp_min(_LEAST)
        self._shift = -mean * self._width

    def _scale(self, steps: Steps) -> float:
        """Return the running root mean square of returns over `chunk` steps, brought up to date with `steps`."""
        now = float(steps.reward.sum(1).square().mean())
        self._spread = now if self._updates == 0 else 0.9 * self._spread + 0.1 * now
        return float(max(self._spread, 1e-12) ** 0.5)

    def _improve(
        self, features: Tensor, mask: Tensor, action: Tensor, propensity: Tensor, advantage: Tensor, target: Tensor
    ) -> Tensor:
        loss, metrics = Surrogate.apply(
            self._net(features), mask, action, propensity, advantage, target, self.clip, self.entropy
        )
        descend(self._adam, loss, self.max_norm)
        found: Tensor = metrics
        return found

    def remembers(self) -> bool:
        return self.encoder is not None

    def state(self) -> State:
        saved: State = {f"net.{k}": v.clone() for k, v in self._net.state_dict().items()}
        saved |= save_adam("adam.", self._adam)
        saved["updates"] = torch.tensor(self._updates)
        saved["spread"] = torch.tensor(self._spread, dtype=torch.float64)
        if self.standardise:
            saved |= {"width": self._width.clone(), "shift": self._shift.clone()}
        return saved

    def restore(self, state: State) -> None:
        self._net.load_state_dict({k.removeprefix("net."): v for k, v in state.items() if k.startswith("net.")})
        load_adam("adam.", self._adam, state)
        self._updates, self._spread = int(state["updates"]), float(state["spread"])
        if self.standardise:
            self._width, self._shift = state["width"].clone(), state["shift"].clone()
