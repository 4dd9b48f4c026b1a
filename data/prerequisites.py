"""Cycles in a prerequisite graph: finding one, breaking all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter


def find_cycle(needs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """One cycle of the graph as (a, b, ..., a), each waiting for the next; empty when there is none.

    needs: node -> the nodes that must come before it.
    """
    for node, before in needs.items():
        if node in before:
            return (node, node)
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return tuple(reversed(error.args[1]))
    return ()


def break_cycles(needs: Mapping[str, Sequence[str]]) -> tuple[dict[str, tuple[str, ...]], tuple[tuple[str, str], ...]]:
    """The same graph without cycles, with the (node, needed) pairs that had to go.

    Depth first in the order of the names, dropping every edge that closes a cycle: the same input always loses the
    same edges. Nodes keep the order of `needs`.
    """
    dropped: set[tuple[str, str]] = set()
    finished: set[str] = set()
    for root in sorted(needs):
        if root in finished:
            continue
        path = {root: None}
        stack = [(root, iter(sorted(needs.get(root, ()))))]
        while stack:
            node, rest = stack[-1]
            for needed in rest:
                if needed in path:
                    dropped.add((node, needed))
                elif needed not in finished:
                    path[needed] = None
                    stack.append((needed, iter(sorted(needs.get(needed, ())))))
                    break
            else:
                stack.pop()
                del path[node]
                finished.add(node)
    clean = {node: tuple(p for p in before if (node, p) not in dropped) for node, before in needs.items()}
    return clean, tuple(sorted(dropped))
