"""Run an exported bundle with onnxruntime and numpy alone: python run_bundle.py FOLDER."""

import base64
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

folder = Path(sys.argv[1])
about = json.loads((folder / "serving.json").read_text())
session = onnxruntime.InferenceSession(folder / "policy.onnx", providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]

# The record of a learner nobody knows yet: keep it in your database, one row per learner.
record = {
    one["name"]: np.frombuffer(base64.b64decode(about["start"][one["name"]]), one["type"]).reshape(1, *one["shape"][1:])
    for one in about["inputs"]
    if one["name"].startswith("record.")
}


def step(record, activity=-1, correct=0.0, minutes=0.0, days=0.0):
    """Return the record after an event (activity -1: nothing happened), and what to do next."""
    event = {
        "event.days": np.array([days], np.float32),
        "event.activity": np.array([activity], np.int64),
        "event.correct": np.array([correct], np.float32),
        "event.minutes": np.array([minutes], np.float32),
        "event.accepted": np.array([True]),
    }
    said = dict(zip(names, session.run(None, record | event), strict=True))
    return {name: said[f"{name}'"] for name in record}, said


record, said = step(record)
for _ in range(5):
    activity = int(said["probabilities"][0].argmax())
    print(f"{about['activities'][activity]['id']} {said['probabilities'][0, activity]:.6f}")
    record, said = step(record, activity, correct=1.0, minutes=5.0, days=1.0)
