"""Idle: the part of an exported graph that is left when nothing was given and only time passed."""

from __future__ import annotations

from typing import Any

GIVEN = "event.activity"
_SHAPES = ("Reshape", "Unsqueeze", "Squeeze", "Expand", "Identity")


def idle(written: bytes) -> bytes:
    """Return the graph `written` for learners whose `event.activity` is -1.

    Its inputs and outputs are those that are left: record columns that stay as they are do not come out again.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(written)
    constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    truth, same, nodes = dict[str, bool](), dict[str, str](), []
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = same.get(name, name)
        said, out = list(node.input), node.output[0]
        known = [truth.get(name) for name in said]
        if node.op_type == "GreaterOrEqual" and said[0] == GIVEN and _is_zero(constants.get(said[1])):
            truth[out] = False
            nodes.append(node)  # for who reads it as a number; else it falls away below
        elif node.op_type in _SHAPES and known[0] is not None:
            truth[out] = known[0]
            nodes.append(node)
        elif node.op_type == "Not" and known[0] is not None:
            truth[out] = not known[0]
            nodes.append(node)
        elif (node.op_type == "And" and False in known) or (node.op_type == "Or" and True in known):
            truth[out] = node.op_type == "Or"
            nodes.append(node)
        elif node.op_type == "And" and True in known:
            same[out] = said[1 - known.index(True)]
        elif node.op_type == "Or" and False in known:
            same[out] = said[1 - known.index(False)]
        elif node.op_type == "Where" and known[0] is not None:
            same[out] = said[1 if known[0] else 2]
        else:
            nodes.append(node)
    inputs = {one.name for one in model.graph.input}
    kept = [one for one in model.graph.output if same.get(one.name) not in inputs]
    nodes += [helper.make_node("Identity", [same[one.name]], [one.name]) for one in kept if one.name in same]
    needed, alive = {one.name for one in kept}, []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            alive.append(node)
    _replace(model.graph.node, alive[::-1])
    _replace(model.graph.output, kept)
    _replace(model.graph.input, [one for one in model.graph.input if one.name in needed])
    _replace(model.graph.initializer, [one for one in model.graph.initializer if one.name in needed])
    del model.graph.value_info[:]
    changed: bytes = model.SerializeToString()
    return changed


def _is_zero(constant: Any) -> bool:
    return constant is not None and constant.size == 1 and constant.item() == 0


def _replace(held: Any, fresh: list[Any]) -> None:
    """Fill a list of the model anew."""
    copies = [type(one).FromString(one.SerializeToString()) for one in fresh]  # they go with the old list
    del held[:]
    held.extend(copies)
