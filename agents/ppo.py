"""PPO: proximal policy optimisation, masked and batched over learners."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..envs.observer import Space
from ..envs.rng import derive
from .agent import Agent, Policy, State, Steps, softmax
from .nets import NetPolicy, mlp
from .returns import generalised_advantages


@dataclass(eq=False)
class PPO(Agent):
    """Clipped PPO with generalised advantages (Schulman et al. 2017, equations 7-12), on whole sessions by default.

    Actor and critic are separate tanh networks. Rewards are divided by a running root mean square of returns, so
    one learning rate serves rewards of any size. Masked activities have probability 0 in acting and in learning.
    `anneal` learning calls bring the learning rate down to a tenth; 0 keeps it.
    """

    space: Space
    seed: int = 0
    hidden: tuple[int, ...] = (64, 64)
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
    _actor: nn.Sequential = field(init=False)
    _critic: nn.Sequential = field(init=False)
    _adam: torch.optim.Adam = field(init=False)
    _updates: int = field(init=False, default=0)
    _spread: float = field(init=False, default=0.0)  # running mean of squared returns

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(derive(self.seed, "ppo", "weights"))
        n = self.space.n_features
        self._actor = mlp(n, self.hidden, self.space.n_activities, 0.01, generator)
        self._critic = mlp(n, self.hidden, 1, 1.0, generator)
        self._adam = torch.optim.Adam(self._parameters(), self.rate, eps=1e-5)

    def _parameters(self) -> list[nn.Parameter]:
        return [*self._actor.parameters(), *self._critic.parameters()]

    def behave(self) -> Policy:
        return NetPolicy.of(self._actor)

    def decide(self) -> Policy:
        return NetPolicy.of(self._actor)

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        if not bool(steps.alive.any()):
            return {}
        with torch.no_grad():
            values = self._critic(steps.features)[..., 0]
        scale = self._scale(steps)
        goes_on = steps.alive & ~steps.ended
        advantages = generalised_advantages(
            steps.reward / scale, values[:, :-1], values[:, 1:], ~goes_on, self.discount, self.lambda_
        )
        live = steps.alive.flatten().nonzero()[:, 0]
        features, mask = steps.features[:, :-1].flatten(0, 1)[live], steps.mask.flatten(0, 1)[live]
        action, propensity = steps.action.flatten()[live], steps.propensity.flatten()[live]
        advantage = advantages.flatten()[live]
        target = advantage + values[:, :-1].flatten()[live]
        advantage = (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)
        if self.anneal:
            left = max(0.1, 1.0 - 0.9 * self._updates / self.anneal)
            self._adam.param_groups[0]["lr"] = self.rate * left
        generator = torch.Generator().manual_seed(derive(seed, "ppo", self._updates))
        size = -(-len(live) // self.minibatches)
        sums, n = torch.zeros(4), 0
        for _ in range(self.epochs):
            for rows in torch.randperm(len(live), generator=generator).split(size):
                sums += self._improve(
                    features[rows], mask[rows], action[rows], propensity[rows], advantage[rows], target[rows]
                )
                n += 1
        self._updates += 1
        policy_loss, value_loss, entropy, clipped = (sums / n).tolist()
        return {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy, "clipped": clipped}

    def _scale(self, steps: Steps) -> float:
        """Return the running root mean square of returns over `chunk` steps, brought up to date with `steps`."""
        now = float(steps.reward.sum(1).square().mean())
        self._spread = now if self._updates == 0 else 0.9 * self._spread + 0.1 * now
        return float(max(self._spread, 1e-12) ** 0.5)

    def _improve(
        self, features: Tensor, mask: Tensor, action: Tensor, propensity: Tensor, advantage: Tensor, target: Tensor
    ) -> Tensor:
        probabilities = softmax(self._actor(features), mask)
        chosen = probabilities.gather(1, action[:, None])[:, 0]
        ratio = chosen / propensity
        gain = torch.minimum(ratio * advantage, ratio.clamp(1 - self.clip, 1 + self.clip) * advantage)
        entropy = -(probabilities * torch.where(mask, probabilities, 1.0).clamp_min(1e-30).log()).sum(1).mean()
        value_loss = 0.5 * (self._critic(features)[:, 0] - target).square().mean()
        loss = -gain.mean() + value_loss - self.entropy * entropy
        self._adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters(), self.max_norm)
        self._adam.step()
        clipped = ((ratio - 1.0).abs() > self.clip).float().mean()
        return torch.stack([-gain.mean(), value_loss, entropy, clipped]).detach()

    def state(self) -> State:
        saved: State = {f"actor.{k}": v.clone() for k, v in self._actor.state_dict().items()}
        saved |= {f"critic.{k}": v.clone() for k, v in self._critic.state_dict().items()}
        for i, parameter in enumerate(self._parameters()):
            for name, value in self._adam.state.get(parameter, {}).items():
                saved[f"adam.{i}.{name}"] = value.clone()
        saved["updates"] = torch.tensor(self._updates)
        saved["spread"] = torch.tensor(self._spread, dtype=torch.float64)
        return saved

    def restore(self, state: State) -> None:
        for name, net in (("actor.", self._actor), ("critic.", self._critic)):
            net.load_state_dict({k.removeprefix(name): v for k, v in state.items() if k.startswith(name)})
        self._adam.state.clear()
        for i, parameter in enumerate(self._parameters()):
            kept = {k.split(".")[2]: v.clone() for k, v in state.items() if k.startswith(f"adam.{i}.")}
            if kept:
                self._adam.state[parameter] = kept
        self._updates, self._spread = int(state["updates"]), float(state["spread"])
