"""Outcome choice: from the words of `trailmark ope` to the models of outcomes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..envs.tracer import Tracer
    from .evidence.assessment import Settings
    from .evidence.outcome_models import Regressor


def reward_model(settings: Settings) -> Callable[[], Regressor] | None:
    """Return what makes the scikit-learn model that `settings` name; ConfigError when there is none such.

    A classifier is taken for yes-or-no rewards. None is ridge regression in closed form.
    """
    from .build import ConfigError, resolve
    from .evidence.outcome_models import Chance

    if settings.model == "ridge":
        return None
    if not settings.model.startswith("sklearn."):
        raise ConfigError(
            f"model={settings.model}: say ridge, or the path of a scikit-learn class, sklearn.MODULE.CLASS"
        )
    made = resolve(settings.model, "model", ["sklearn"])
    try:
        known = made().get_params()
    except (TypeError, AttributeError) as error:
        raise ConfigError(f"model={settings.model}: no regressor or classifier that needs no arguments") from error
    seeded = {"random_state": settings.seed} if "random_state" in known else {}
    if hasattr(made, "predict_proba"):
        return lambda: Chance(made(**seeded))
    return lambda: made(**seeded)


def reward_tracer(settings: Settings) -> Tracer | None:
    """Return the unfitted tracer that `settings` name, None for the policy's own; ConfigError when there is none."""
    from omegaconf import OmegaConf

    from ..configs import __file__ as here
    from ..data.errors import did_you_mean
    from .build import ConfigError, make

    if not settings.tracer:
        return None
    folder = Path(here).parent / "tracer"
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if settings.tracer not in known:
        near = did_you_mean(settings.tracer, known)
        raise ConfigError(f"tracer={settings.tracer}: no such tracer. {near}There are: {', '.join(known)}")
    made: Tracer = make(OmegaConf.load(folder / f"{settings.tracer}.yaml"), [])
    return made
