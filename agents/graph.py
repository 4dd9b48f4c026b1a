"""Graph: the whole serving step, (record, event) -> (record', probabilities, what reasons need), as one ONNX graph."""

from __future__ import annotations

import base64
import importlib.util
import json
import logging
import math
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..data.catalog import Catalog
from ..envs.observer import NOBODY, Observer, Record
from ..envs.rows import map_tensors, pick
from ..envs.student import Context
from .agent import Policy
from .idle import idle

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnxruntime import InferenceSession

SCHEMA = 1
OPSET = 20
TOLERANCE = 1e-5
Arrays = dict[str, NDArray[Any]]


class GraphError(ValueError):
    """A policy or a tracer that ONNX cannot express, or expresses differently; the message says which and where."""


class Event(NamedTuple):
    """What happened to B learners since they were last seen."""

    days: Tensor  # (B,) float32, days since; they pass before the answer
    activity: Tensor  # (B,) int64, what was given; -1 = nothing, only time passed or people spoke
    correct: Tensor  # (B,) float32, the score in [0, 1]
    minutes: Tensor  # (B,) float32
    accepted: Tensor  # (B,) bool, the learner took it up


class Answer(NamedTuple):
    """What one step of serving returns besides the record."""

    probabilities: Tensor  # (B, A)
    mask: Tensor  # (B, A) bool
    handover: Tensor  # (B,) bool, a person should take over
    mastery: Tensor  # (B, K) believed, after the event
    p_correct: Tensor  # (B, A), the chance of a right answer


def serve(observer: Observer, policy: Policy, record: Record, event: Event) -> tuple[Record, Answer]:
    """Return the record after `event` and what is said of the next activity; a pure function without branches."""
    record = observer.elapse(record, event.days)
    given = event.activity >= 0
    after = observer.update(record, event.activity.clamp_min(0), event.correct, event.minutes, event.accepted)
    record = pick(given, after, record)
    seen = observer.observe(record)
    tracer = observer.tracer
    mastery, chance = tracer.mastery(record.belief), tracer.predict(record.belief)
    return record, Answer(policy(seen), seen.mask, seen.handover, mastery, chance)


def named(prefix: str, record: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, tensor) of every tensor of nested NamedTuples, names joined by dots, in a fixed order."""
    if isinstance(record, Tensor):
        yield prefix, record
    elif isinstance(record, tuple):
        fields = getattr(record, "_fields", tuple(str(i) for i in range(len(record))))
        for name, part in zip(fields, record, strict=True):
            yield from named(f"{prefix}.{name}", part)
    elif record is not None:
        raise GraphError(f"{prefix}: a {type(record).__name__} in a record cannot be exported; use tensors only")


class _Step(nn.Module):
    """`serve` between flat tuples of tensors; columns without numbers stay out of the graph."""

    def __init__(self, observer: Observer, policy: Policy, like: Record) -> None:
        super().__init__()
        self.parts = (observer, policy)
        self.like = like

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        n = tensors[-1].shape[0]
        given = iter(tensors)
        whole = [
            next(given) if _carried(old) else old.new_zeros((n, *old.shape[1:]))
            for _, old in named("record", self.like)
        ]
        kept = iter(whole)
        record: Record = map_tensors(lambda _: next(kept), self.like)
        after, answer = serve(*self.parts, record, Event(*given))
        return (*(t for _, t in named("record", after) if _carried(t)), *answer)


def _carried(tensor: Tensor) -> bool:
    return all(tensor.shape[1:])


def start(observer: Observer) -> Record:
    """Return the record of one learner of the first role of whom nothing is known, without a limit of time."""
    goal = torch.from_numpy(observer.catalog.goals()).float()[:1]
    none = torch.zeros(1, 0, dtype=torch.int64)
    return observer.start(Context(none.new_zeros(1), goal, torch.full((1,), torch.inf), none, none.float()))


def inputs(record: Record, event: Event) -> Arrays:
    """Return what the graph takes, by name."""
    pairs = [(name, t) for name, t in named("record", record) if _carried(t)]
    return {name: t.numpy() for name, t in [*pairs, *named("event", event)]}


def graph(observer: Observer, policy: Policy) -> tuple[bytes, str]:
    """Return the ONNX graph and its description as JSON, with the record of a learner nobody knows yet.

    The batch axis is free. GraphError when the policy, the tracer or a guard cannot be expressed, or when
    onnxruntime's answers differ from torch's by more than 1e-5 (where onnxruntime is installed).
    """
    if importlib.util.find_spec("onnxscript") is None:
        raise GraphError("ONNX export needs its packages: pip install 'trailmark[export]'")
    what = f"{type(policy).__name__} with {type(observer.tracer).__name__}"
    one = start(observer)
    record = map_tensors(lambda t: t.expand(3, *t.shape[1:]).contiguous(), one)
    event = Event(
        days=torch.tensor([0.0, 1.5, 0.2]),
        activity=torch.tensor([observer.catalog.fallback, -1, 0]),
        correct=torch.tensor([1.0, 0.0, 0.4]),
        minutes=torch.tensor([3.0, 0.0, 1.0]),
        accepted=torch.tensor([True, False, True]),
    )
    serve(observer, policy, record, event)  # fills what the observer computes once, before anything is traced
    feed = inputs(record, event)
    names = [*feed, *(f"{name}'" for name in feed if name.startswith("record.")), *Answer._fields]
    said, outs = names[: len(feed)], names[len(feed) :]
    flat = tuple(torch.from_numpy(value) for value in feed.values())
    batch = torch.export.Dim("batch", min=1, max=1 << 20)
    axes = (tuple({0: batch} for _ in flat),)
    loud = logging.getLogger("torch.onnx")
    level = loud.level
    loud.setLevel(logging.ERROR)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = torch.onnx.export(
                _Step(observer, policy, one).eval(),
                flat,
                dynamo=True,
                dynamic_shapes=axes,
                input_names=said,
                output_names=outs,
                opset_version=OPSET,
                verbose=False,
            )
    except Exception as error:
        why = str(error.__cause__ or error).strip().splitlines()[0]
        raise GraphError(f"{what} cannot be written as one ONNX graph: {why}") from error
    finally:
        loud.setLevel(level)
    assert made is not None
    model = made.model_proto
    fixed = [one.name for one in model.graph.input if one.type.tensor_type.shape.dim[0].dim_value]
    if fixed:
        why = f"the number of learners is fixed in {fixed[0]}; take it from tensor.shape[0], not from len()"
        raise GraphError(f"{what} cannot be written as one ONNX graph: {why}")
    _without_truth_choices(model)
    written = model.SerializeToString()
    if importlib.util.find_spec("onnxruntime"):
        try:
            apart = parity(observer, policy, written)
        except Exception as error:  # onnxruntime's own, of which there is no common class
            raise GraphError(f"onnxruntime cannot run {what}: {str(error).strip()}") from error
        if not apart <= TOLERANCE:
            raise GraphError(f"{what}: onnxruntime and torch differ by {apart:.1e}, more than {TOLERANCE:.0e}")
    return written, describe(observer.catalog, inputs(one, event), outs)


def session(written: bytes) -> InferenceSession:
    """Return an onnxruntime session of `written` on one thread of the processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(written, options, providers=["CPUExecutionProvider"])


def parity(observer: Observer, policy: Policy, written: bytes, learners: int = 8, steps: int = 24) -> float:
    """Return the largest difference between torch and onnxruntime in what serving says along made-up lives.

    Both walk on with their own beliefs, so errors may add up; people override and veto on the way. inf when a mask
    differs. Where nothing was given, what `idle` leaves of the graph must say and keep the same.
    """
    rng, draws = np.random.default_rng(0), torch.Generator().manual_seed(0)
    run, still, count = session(written), session(idle(written)), len(observer.catalog.activities)
    names = [output.name for output in run.get_outputs()]
    record = map_tensors(lambda t: t.expand(learners, *t.shape[1:]).contiguous(), start(observer))
    record = record._replace(minutes_budget=torch.from_numpy(rng.choice([30.0, 400.0, np.inf], learners)).float())
    event = Event(*(torch.zeros(learners) for _ in Event._fields))._replace(
        activity=torch.full((learners,), -1), accepted=torch.zeros(learners, dtype=torch.bool)
    )
    mine, worst = inputs(record, event), 0.0
    for _ in range(steps):
        found = dict(zip(names, run.run(None, mine), strict=True))
        with torch.no_grad():
            record, answer = serve(observer, policy, record, event)
        worst = max(worst, *(_apart(found[name], tensor.numpy()) for name, tensor in answer._asdict().items()))
        worst = max(worst, _apart_when_idle(run, still, mine | {"event.activity": np.full(learners, -1)}))
        activity = torch.multinomial(answer.probabilities, 1, generator=draws)[:, 0]
        event = Event(
            days=torch.from_numpy(rng.choice([0.0, 0.01, 1.0, 9.5], learners)).float(),
            activity=torch.where(torch.from_numpy(rng.random(learners) < 0.1), -1, activity),
            correct=torch.from_numpy(rng.choice([0.0, 0.5, 1.0], learners)).float(),
            minutes=torch.from_numpy(rng.uniform(0, 9, learners)).float(),
            accepted=torch.from_numpy(rng.random(learners) < 0.9),
        )
        says = torch.from_numpy(np.where(rng.random(learners) < 0.1, rng.integers(0, count, learners), NOBODY))
        veto = torch.from_numpy(rng.random((learners, count)) < 0.02)
        record = record._replace(override=says, veto=record.veto | veto)
        carried = {name[:-1]: value for name, value in found.items() if name.startswith("record.belief")}
        mine = inputs(record, event) | carried
    return worst


def _apart_when_idle(run: InferenceSession, still: InferenceSession, feed: Arrays) -> float:
    names, left = [one.name for one in run.get_outputs()], [one.name for one in still.get_outputs()]
    found = dict(zip(left, still.run(None, {one.name: feed[one.name] for one in still.get_inputs()}), strict=True))
    whole = zip(names, run.run(None, feed), strict=True)
    pairs = [(found[name] if name in found else feed[name[:-1]], value) for name, value in whole]
    return max(_apart(a[a != b], b[a != b]) if a.shape == b.shape else math.inf for a, b in pairs)


def _apart(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return the largest difference of two arrays; inf where truth values differ or numbers are no numbers."""
    if a.dtype.kind == "b":
        return 0.0 if np.array_equal(a, b) else math.inf
    gap = float(np.abs(a - b).max(initial=0.0))
    return gap if math.isfinite(gap) else math.inf


def _without_truth_choices(model: ModelProto) -> None:
    """Write every choice between truth values as and, or, not: onnxruntime has no other way."""
    from onnx import TensorProto, helper

    kind = {v.name: v.type.tensor_type.elem_type for v in [*model.graph.value_info, *model.graph.output]}
    nodes = []
    for node in model.graph.node:
        if node.op_type != "Where" or kind.get(node.output[0]) != TensorProto.BOOL:
            nodes.append(node)
            continue
        (when, yes, no), out = node.input, node.output[0]
        nodes += [
            helper.make_node("Not", [when], [f"{out}.not"]),
            helper.make_node("And", [when, yes], [f"{out}.yes"]),
            helper.make_node("And", [f"{out}.not", no], [f"{out}.no"]),
            helper.make_node("Or", [f"{out}.yes", f"{out}.no"], [out]),
        ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def describe(catalog: Catalog, feed: Arrays, outs: list[str]) -> str:
    """Return the JSON that a runtime in any language needs beside the graph.

    The names, types and shapes of its inputs, the catalogue, and the record of a new learner: little-endian bytes in
    base64, row by row.
    """
    goals = catalog.goals()
    start = {
        name: base64.b64encode(np.ascontiguousarray(value[:1]).tobytes()).decode()
        for name, value in feed.items()
        if name.startswith("record.")
    }
    content = {
        "schema": SCHEMA,
        "opset": OPSET,
        "inputs": [{"name": k, "type": str(v.dtype), "shape": ["batch", *v.shape[1:]]} for k, v in feed.items()],
        "outputs": outs,
        "start": start,
        "activities": [
            {"id": a.id, "title": a.title, "kind": a.kind, "minutes": a.minutes, "skills": list(a.skills)}
            for a in catalog.activities
        ],
        "skills": [{"id": s.id, "title": s.title} for s in catalog.skills],
        "roles": {role: np.flatnonzero(goals[i]).tolist() for i, role in enumerate(catalog.roles)},
        "fallback": catalog.fallback,
    }
    return json.dumps(content, indent=1)
