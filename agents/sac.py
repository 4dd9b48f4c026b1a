"""Discrete SAC: soft actor-critic from a replay memory, its entropy set as a share of what the rules allow."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..envs.observer import Space
from ..envs.rng import derive
from .agent import Agent, Policy, State, Steps, softmax
from .checkpoint import bring_back, keep
from .schedule import between, passed
from .transitions import Memory, Transitions, spread, transitions, unit
from .values import EpsilonGreedy, Scores, Softmax, value_net


@dataclass(eq=False)
class SAC(Agent):
    """Soft actor-critic for discrete actions (Christodoulou 2019, equations 10-12), with n-step targets.

    The temperature is learnt so that the policy's entropy is `target` times the greatest there can be, log(number of
    allowed activities), which falls to `target_last` over `anneal` cohorts (0 keeps it). Two critics, the lower
    one counts. Every new transition is replayed `replay` times on average. Rewards are divided by the running size of
    returns. `decide` takes the most probable activity.
    """

    space: Space
    seed: int = 0
    hidden: tuple[int, ...] = (128, 128)
    rate: float = 1e-3
    anneal: int = 0
    discount: float = 1.0
    n_steps: int = 3
    target: float = 0.4
    target_last: float = 0.1
    temperature: float = 0.01
    temperature_rate: float = 3e-3
    capacity: int = 20_000
    batch: int = 256
    replay: float = 2.0
    track: float = 0.01
    max_norm: float = 10.0
    chunk: int = 0
    _actor: nn.Sequential = field(init=False)
    _critics: nn.ModuleList = field(init=False)
    _slow: nn.ModuleList = field(init=False)  # target networks: they track the critics by `track` a step
    _log_alpha: nn.ParameterDict = field(init=False)
    _adam: torch.optim.Adam = field(init=False)
    _warmth: torch.optim.Adam = field(init=False)  # of the temperature
    _memory: Memory = field(init=False)
    _updates: int = field(init=False, default=0)
    _spread: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(derive(self.seed, "sac", "weights"))
        n, a = self.space.n_features, self.space.n_activities
        self._actor = value_net(n, self.hidden, a, generator)
        self._critics = nn.ModuleList(value_net(n, self.hidden, a, generator) for _ in range(2))
        self._slow = copy.deepcopy(self._critics).requires_grad_(False)
        self._log_alpha = nn.ParameterDict({"log": nn.Parameter(torch.tensor(math.log(self.temperature)))})
        self._adam = torch.optim.Adam([*self._actor.parameters(), *self._critics.parameters()], self.rate)
        self._warmth = torch.optim.Adam(self._log_alpha.parameters(), self.temperature_rate)
        self._memory = Memory(n, a, self.capacity)

    def behave(self) -> Policy:
        return Softmax(Scores.of(self._actor))

    def decide(self) -> Policy:
        return EpsilonGreedy(Scores.of(self._actor), 0.0)

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        fresh = transitions(steps, self.discount, self.n_steps)
        if not len(fresh.action):
            return {}
        self._spread = spread(self._spread, steps, self._updates == 0)
        self._memory.add(fresh)
        done = passed(self._updates, self.chunk, self.space.horizon, self.anneal)
        self._adam.param_groups[0]["lr"] = self.rate * between(1.0, 0.1, done)
        share, scale = between(self.target, self.target_last, done), unit(self._spread)
        generator = torch.Generator().manual_seed(derive(seed, "sac", self._updates))
        sums, n = torch.zeros(3), math.ceil(self.replay * len(fresh.action) / self.batch)
        for _ in range(n):
            sums += self._improve(self._memory.draw(self.batch, generator)[1], share, scale)
        self._updates += 1
        value_loss, policy_loss, entropy = (sums / n).tolist()
        alpha = float(self._log_alpha["log"].detach().exp())
        return {"value_loss": value_loss, "policy_loss": policy_loss, "entropy": entropy, "temperature": alpha}

    def _improve(self, rows: Transitions, share: float, scale: float) -> Tensor:
        alpha = self._log_alpha["log"].detach().exp()
        with torch.no_grad():
            p, logs = _soft(self._actor(rows.next_features), rows.next_mask)
            worth = torch.minimum(*(critic(rows.next_features) for critic in self._slow))
            target = rows.reward / scale + rows.discount * (p * (worth - alpha * logs)).sum(1)
        scores = [critic(rows.features) for critic in self._critics]
        chosen = rows.action[:, None]
        value_loss = sum((0.5 * (q.gather(1, chosen)[:, 0] - target).square().mean() for q in scores), torch.zeros(()))
        p, logs = _soft(self._actor(rows.features), rows.mask)
        lower = torch.minimum(*scores).detach()
        policy_loss = (p * (alpha * logs - lower)).sum(1).mean()
        self._adam.zero_grad()
        (value_loss + policy_loss).backward()
        nn.utils.clip_grad_norm_(self._adam.param_groups[0]["params"], self.max_norm)
        self._adam.step()
        entropy = -(p * logs).sum(1).detach()
        wanted = share * rows.mask.sum(1).float().log()
        self._warmth.zero_grad()
        (self._log_alpha["log"] * (entropy - wanted).mean()).backward()
        self._warmth.step()
        with torch.no_grad():
            for slowly, now in zip(self._slow.parameters(), self._critics.parameters(), strict=True):
                slowly.lerp_(now, self.track)
        return torch.stack([value_loss.detach(), policy_loss.detach(), entropy.mean()])

    def state(self) -> State:
        saved = keep(self._nets(), {"adam": self._adam, "warmth": self._warmth}) | self._memory.state()
        saved["updates"] = torch.tensor(self._updates)
        saved["spread"] = torch.tensor(self._spread, dtype=torch.float64)
        return saved

    def restore(self, state: State) -> None:
        bring_back(state, self._nets(), {"adam": self._adam, "warmth": self._warmth})
        self._memory.restore(state)
        self._updates, self._spread = int(state["updates"]), float(state["spread"])

    def _nets(self) -> dict[str, nn.Module]:
        return {"actor": self._actor, "critics": self._critics, "slow": self._slow, "alpha": self._log_alpha}


def _soft(logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return (B, A) probabilities and their logarithms, both 0 where masked."""
    p = softmax(logits, mask)
    return p, torch.where(mask, p, 1.0).clamp_min(1e-30).log()
