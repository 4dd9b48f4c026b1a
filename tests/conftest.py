"""What every test shares: one thread, derandomised properties, real data where there is some."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# torch and BLAS read these once, when they are imported, and so does every process a test starts.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MPLBACKEND"] = "Agg"
for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID"):
    os.environ.pop(name, None)

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("ci")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real data sets, or skip: TRAILMARK_DATA, else ../shared/data beside the repository."""
    named = os.environ.get("TRAILMARK_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if named and not folder.is_dir():
        pytest.fail(f"TRAILMARK_DATA names {named}, which is no folder. Correct it or unset it.")
    if not folder.is_dir():
        pytest.skip("no real data here; TRAILMARK_DATA names the folder")
    return folder


@pytest.fixture(scope="session")
def rliable_library():
    """Return `rliable.library`, the reference for our statistics over seeds.

    It needs arch < 8, whose `arch.univariate` (which nobody here uses) still calls pandas' private `deprecate_kwarg`
    in the way of pandas 2. So that one decorator does nothing while arch is imported.
    """
    import pandas.util._decorators

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pandas.util._decorators, "deprecate_kwarg", lambda *_args, **_kwargs: lambda function: function)
        import rliable.library
    # absl, which rliable imports, takes pytest's captured standard error for its own and would close it one day.
    import absl.logging

    absl.logging.get_absl_handler().python_handler.setStream(sys.__stderr__)
    return rliable.library
