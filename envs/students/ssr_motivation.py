"""Motivation: what makes a learner stop for today, come back later, or leave the programme."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .steady import logistic, power

WEEK = 7.0


@dataclass(frozen=True)
class Motivation:
    """Success, frustration and boredom drive quitting a session, engagement and dropout; they never touch answers.

    Asymmetric on purpose: more success means more practice (Jansen et al. 2013). The dropout hazard is Weibull in weeks
    and highest in the first (Wintermute et al. 2021), lowered by confidence (Sitzmann 2012), commitment and a coach.
    Its coefficients are our construct; only the margins are calibrated (.19 to .22 complete a voluntary programme of
    eight weeks, .95 a mandatory one).

    quits: sessions may end early. leaves: learners may leave. rhythm: learners come back when they do, and keep to
    their weekly minutes; else they come when they are told to. mandatory: the programme is. choice: learners choose
    freely, which halves frustration.
    """

    quits: bool = True
    leaves: bool = True
    rhythm: bool = True
    mandatory: bool = False
    choice: bool = False
    scale: float = 5.0  # weeks
    shape: float = 0.6
    habit: float = 0.85  # of the running mean of success
    sessions: float = 2.0  # a week

    def frustration(self, success: Tensor) -> Tensor:
        """Return 0 where the running mean of success is .65 or more, up to 1 at none."""
        felt = ((0.65 - success) / 0.65).clamp_min(0.0)
        return 0.5 * felt if self.choice else felt

    def boredom(self, success: Tensor) -> Tensor:
        """Return 0 where the running mean of success is .92 or less, up to 1 at only successes."""
        return ((success - 0.92) / 0.08).clamp_min(0.0)

    def after(self, success: Tensor, correct: Tensor) -> Tensor:
        """Return the running mean of success after one more graded answer."""
        return self.habit * success + (1.0 - self.habit) * correct

    def liked(self, easy: Tensor, engagement: Tensor, relevance: Tensor) -> Tensor:
        """Return the rating in [-1, 1] of an activity that felt `easy` (0 to 1); our construct, not calibrated."""
        return 2.0 * logistic(4.0 * (easy - 0.6) + 0.5 * engagement + 0.5 * relevance) - 1.0

    def p_quit(self, clarity: Tensor, confidence: Tensor, acceptance: Tensor) -> Tensor:
        """Return the probability to leave the job within a month: .02 exp(-.5 z(clarity) - .3 z(confidence) - .4 z).

        Role clarity, self-efficacy and social acceptance carry what onboarding does to turnover (Bauer et al. 2007, 70
        samples); the coefficients, and the means and sds by which clarity and confidence are scaled, are ours.
        """
        x = -0.5 * (clarity - 0.4) / 0.2 - 0.3 * (confidence - 0.6) / 0.15 - 0.4 * acceptance
        return (0.02 * torch.exp(x)).clamp_max(0.5)

    def p_stop(self, success: Tensor, engagement: Tensor, minutes: Tensor, usual: Tensor, relevance: Tensor) -> Tensor:
        """Return the probability to end the session now, after `minutes` of it; `usual` minutes are a normal one."""
        if not self.quits:
            return torch.zeros_like(success)
        tired = 1.5 * (minutes / usual) ** 2
        mood = 2.5 * self.frustration(success) + 0.8 * self.boredom(success) - 0.5 * engagement - 0.3 * relevance
        return logistic(-4.6 + mood + tired)

    def refreshed(self, engagement: Tensor, success: Tensor, noise: Tensor) -> Tensor:
        """Return the engagement (z) at the next session; `noise` is standard normal."""
        push = 0.3 * (success - 0.7) - 0.9 * self.frustration(success)
        return 0.8 * engagement + 0.2 * push + 0.21 * noise

    def leaving(
        self,
        success: Tensor,
        confidence: Tensor,
        engagement: Tensor,
        workload: Tensor,
        commitment: Tensor,
        coached: Tensor,
    ) -> Tensor:
        """Return the log of what multiplies the hazard of leaving; `coached` (B,) bool: within the last 30 days."""
        x = 2.4 * self.frustration(success) + 0.5 * self.boredom(success) - 2.0 * (confidence - 0.7) - 0.4 * engagement
        x = x + 0.4 * workload - 0.5 * commitment - 0.35 * coached
        return x - 4.2 if self.mandatory else x

    def p_leave(self, start: Tensor, end: Tensor, x: Tensor) -> Tensor:
        """Return the probability to leave between days `start` and `end` of the programme, x from `leaving`."""
        if not self.leaves:
            return torch.zeros_like(x)
        hazard = power(end / WEEK / self.scale, self.shape) - power(start / WEEK / self.scale, self.shape)
        return -torch.expm1(-hazard * torch.exp(x))

    def gap(self, u: Tensor, engagement: Tensor, workload: Tensor, due: Tensor) -> Tensor:
        """Return the days to the next session for uniforms `u`, `due` days before a deadline (inf = none)."""
        rate = self.sessions / WEEK * torch.exp(0.3 * engagement - 0.2 * workload)
        rate = rate * (1.0 + 4.0 * torch.exp(-due.clamp_min(0.0) / 3.0))
        return -torch.log1p(-u) / rate
