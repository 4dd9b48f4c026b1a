"""The bundle as an MLflow model; MLflow runs this file by itself, so it knows only numpy, onnxruntime and mlflow."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnxruntime


class ServingStep(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined, unused-ignore]
    """One serving step: arrays of records and events in, the records after and what the policy says out."""

    def load_context(self, context: Any) -> None:
        """Open the graph of the bundle that was logged with the model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = str(Path(context.artifacts["bundle"]) / "policy.onnx")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()]

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # MLflow warns of its types
        """Return every output of the graph by name; the inputs are those that serving.json lists."""
        feed = {one.name: np.asarray(model_input[one.name]) for one in self.session.get_inputs()}
        return dict(zip(self.outputs, self.session.run(None, feed), strict=True))


mlflow.models.set_model(ServingStep())
