"""Lagrangian: an agent that keeps to budgets, by paying for what it uses until it uses no more than it may."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from .agent import Agent, Policy, State, Steps


@dataclass(eq=False)
class Lagrangian(Agent):
    """Maximises the reward subject to mean costs per session of at most `budgets`, by dual ascent.

    `budgets` names outcomes of the world (coach hours, minutes) and how much of each a session may take on average.
    Each has a price: the wrapped agent's reward of a step is the reward less price times cost. In every call of
    `learn` on whole sessions a price rises by `rate` times the relative overrun of its budget, and falls, never below
    0, when there is something left (Tessler, Mankowitz and Mannor 2019, equations 5-8; the constraint holds in
    expectation over learners, not for each one); `damping` times the overrun of the moment is added while it lasts,
    without which use swings around the budget (Stooke, Achiam and Abbeel 2020, algorithm 2, its proportional part).
    A price is in units of the running root mean square of returns per
    budget, so one rate serves rewards and budgets of any size. Guards forbid; a Lagrangian only discourages.
    """

    agent: Agent
    budgets: dict[str, float]
    rate: float = 0.1
    damping: float = 0.5
    _price: Tensor = field(init=False)
    _spread: Tensor = field(init=False)

    def __post_init__(self) -> None:
        wrong = {name: budget for name, budget in self.budgets.items() if not budget > 0}
        if wrong or not self.budgets:
            raise ValueError(f"budgets {wrong or self.budgets}: name outcomes and give each a number above 0")
        if self.agent.chunk:
            raise ValueError(
                f"budgets are for whole sessions: let the agent learn from those (chunk=0, not {self.chunk})"
            )
        self._price = torch.zeros(len(self.budgets), dtype=torch.float64)
        self._spread = torch.zeros((), dtype=torch.float64)

    @property
    def chunk(self) -> int:  # type: ignore[override]
        """Whole sessions, as the wrapped agent."""
        return self.agent.chunk

    def behave(self) -> Policy:
        return self.agent.behave()

    def decide(self) -> Policy:
        return self.agent.decide()

    def learn(self, steps: Steps, seed: int) -> dict[str, float]:
        if not bool(steps.alive.any()):
            return {}
        missing = sorted(set(self.budgets) - set(steps.values))
        if missing:
            raise ValueError(f"nothing measured {missing} in these steps: name them in the world's `watch`")
        budgets = torch.tensor(list(self.budgets.values()), dtype=torch.float64)
        costs = torch.stack([steps.values[name] * steps.alive for name in self.budgets])  # (C, B, T)
        now = steps.reward.sum(1).square().mean().double()
        self._spread = now if not bool(self._spread) else 0.9 * self._spread + 0.1 * now
        used = costs.sum(2).mean(1).double()
        overrun = used / budgets - 1.0
        self._price = (self._price + self.rate * overrun).clamp_min(0.0)
        price = (self._price + self.damping * overrun).clamp_min(0.0) / budgets * self._spread.sqrt()
        paid = (price[:, None, None] * costs).sum(0).to(steps.reward.dtype)
        metrics = self.agent.learn(steps._replace(reward=steps.reward - paid), seed)
        for name, cost, due in zip(self.budgets, used.tolist(), price.tolist(), strict=True):
            metrics |= {f"cost_{name}": cost, f"price_{name}": due}
        return metrics

    def remembers(self) -> bool:
        return self.agent.remembers()

    def state(self) -> State:
        own = {"lagrangian.price": self._price.clone(), "lagrangian.spread": self._spread.clone()}
        return self.agent.state() | own

    def restore(self, state: State) -> None:
        self.agent.restore({key: value for key, value in state.items() if not key.startswith("lagrangian.")})
        self._price, self._spread = state["lagrangian.price"].clone(), state["lagrangian.spread"].clone()
