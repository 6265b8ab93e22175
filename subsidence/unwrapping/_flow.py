"""Cycles that make every face of a network close at least cost: two solvers of the same problem."""

from __future__ import annotations

import numpy as np

from subsidence._extras import require
from subsidence._kernels import flow as kernels
from subsidence._kernels.planar import grouped
from subsidence.errors import InputError, SubsidenceError
from subsidence.typing import IntArray

__all__ = ["METHODS", "check_method", "closing_cycles"]

METHODS = ("auto", "flow", "paths")


def check_method(method: str) -> None:
    """
    Check a method's name and that what it needs is installed.

    Raises
    ------
    InputError
        When there is no such method.
    MissingExtraError
        When OR-tools is not installed.
    """
    if method not in METHODS:
        msg = f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}"
        raise InputError(msg)
    if method == "flow":
        _solver()


def closing_cycles(
    face: IntArray, residue: IntArray, cost_up: IntArray, cost_down: IntArray, *, method: str = "auto"
) -> IntArray:
    """
    Cycles to add to each arc so that every face closes, at least cost.

    Parameters
    ----------
    face
        The face to the left of each half of an arc, -1 where there is none.
    residue
        Cycles that each face misses; they add to zero in each part of the network.
    cost_up, cost_down
        Whole-number cost of a cycle more, and of one fewer, on each arc.
    method
        "flow" (OR-tools); "paths" or "auto" (built in).

    Returns
    -------
    numpy.ndarray
        Cycles, whole numbers, one for each arc.
    """
    if not residue.any():
        return np.zeros(cost_up.size, np.int64)
    return (_by_flow if method == "flow" else _by_paths)(face, residue, cost_up, cost_down)


def _by_paths(face: IntArray, residue: IntArray, cost_up: IntArray, cost_down: IntArray) -> IntArray:
    begins, halves = np.empty(residue.size + 1, np.int64), np.empty(face.size, np.int64)
    grouped(face, begins, halves)
    change = np.empty(cost_up.size, np.int64)
    if not kernels.shortest_paths(begins, halves, face, cost_up, cost_down, residue.copy(), change):
        msg = "the residues of a part of the network do not add to zero: this is an error in this library"
        raise SubsidenceError(msg)
    return change


def _by_flow(face: IntArray, residue: IntArray, cost_up: IntArray, cost_down: IntArray) -> IntArray:
    left, right = face[0::2], face[1::2]
    between = np.flatnonzero((left != right) & (left >= 0))
    left, right = left[between].astype(np.int32), right[between].astype(np.int32)
    problem = _solver()()
    capacity = np.full(between.size, int(np.abs(residue).sum()))
    # a cycle more on an arc takes one from the face to its right and gives it to the face to its left
    up = problem.add_arcs_with_capacity_and_unit_cost(right, left, capacity, cost_up[between])
    down = problem.add_arcs_with_capacity_and_unit_cost(left, right, capacity, cost_down[between])
    problem.set_nodes_supplies(np.arange(residue.size, dtype=np.int32), residue)
    outcome = problem.solve()
    if outcome != problem.OPTIMAL:
        msg = f"OR-tools found no flow ({outcome}): use method='paths'"
        raise SubsidenceError(msg)
    change = np.zeros(cost_up.size, np.int64)
    change[between] = problem.flows(up) - problem.flows(down)
    return change


def _solver() -> type:
    purpose = "method='flow' (minimum-cost flow)"
    module = require("ortools.graph.python.min_cost_flow", extra="flow", purpose=purpose)
    solver: type = module.SimpleMinCostFlow
    return solver
