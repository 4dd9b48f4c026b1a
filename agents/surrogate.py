"""The clipped surrogate of policy gradients, its value loss and its entropy bonus: one pass with its own gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_CLOSED = 60.0  # a masked logit lies this far below 0 while probabilities are computed; then they are set to 0
_LOG2_E = 1.4426950408889634  # exp(x) = exp2(x log2 e), and exp2 takes a fifth of exp's time on CPUs


class Surrogate(torch.autograd.Function):
    """PPO's loss of one minibatch (Schulman et al. 2017, equation 9), with the gradient worked out by hand.

    Autograd through softmax, ratio, clipping and entropy costs several times the network itself. Here every formula is
    written once: with p the masked softmax of the logits z, r = p_a / propensity and A the advantage,
    dL/dz_j = -[r A not clipped] r A (1[j = a] - p_j) / N + entropy p_j (log p_j + H) / N.
    """

    @staticmethod
    def forward(
        ctx: Any,
        out: Tensor,
        mask: Tensor,
        action: Tensor,
        propensity: Tensor,
        advantage: Tensor,
        target: Tensor,
        clip: float,
        entropy: float,
    ) -> tuple[Tensor, Tensor]:
        """Return the loss and (4,): policy loss, value loss, entropy, share clipped.

        `out` (N, A + 1) are logits and value, `mask` (N, A), the others (N,); `target` is what the value should be.
        """
        n, n_out = mask.shape
        # Few and reused buffers: this is bound by memory, not by arithmetic.
        allowed = mask.view(torch.uint8).float()  # from bool it takes six times as long
        wide = out.float()
        scores = torch.lerp(torch.tensor(-_CLOSED), wide[:, :n_out], allowed)
        log_p = torch.log_softmax(scores, 1)
        p = torch.mul(log_p, _LOG2_E, out=scores).exp2_().mul_(allowed)
        spread = -torch.mul(p, log_p, out=allowed).sum(1, keepdim=True)
        at = action[:, None]
        ratio = p.gather(1, at)[:, 0] / propensity
        free, bound = ratio * advantage, ratio.clamp(1.0 - clip, 1.0 + clip) * advantage
        gain = torch.minimum(free, bound)
        error = wide[:, n_out] - target
        push = torch.where(free <= bound, free, 0.0)[:, None] / n
        logits = torch.add(spread * (entropy / n) + push, log_p, alpha=entropy / n, out=log_p).mul_(p)
        logits.scatter_add_(1, at, -push)
        slope = torch.empty(n, n_out + 1, dtype=out.dtype)
        slope[:, :n_out], slope[:, n_out] = logits, error / n
        ctx.save_for_backward(slope)
        parts = [-gain.mean(), 0.5 * error.square().mean(), spread.mean(), ((ratio - 1.0).abs() > clip).float().mean()]
        metrics = torch.stack(parts)
        ctx.mark_non_differentiable(metrics)
        return metrics[0] + metrics[1] - entropy * metrics[2], metrics

    @staticmethod
    def backward(ctx: Any, loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = ctx.saved_tensors
        return slope * loss.to(slope.dtype), None, None, None, None, None, None, None
