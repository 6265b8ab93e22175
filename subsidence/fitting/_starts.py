"""Candidates for the start of fits, prepared once for all series of a call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subsidence._kernels.starts import best_candidates, fill_gaps
from subsidence.fitting._problem import Problem
from subsidence.typing import BoolArray, FloatArray, IntArray

__all__ = ["Starts", "prepare"]

#: Values of candidates' columns held at once, 64 MB.
_VALUES = 2**23
#: Candidates with a cosine above this to the first of their neighbourhood are in it; neighbourhoods whose firsts
#: have one above the other touch.
_ALIKE, _TOUCHING = 0.995, 0.98
#: Candidates at most; multiples of the golden ratio are spread evenly.
_MOST = 20_000
_GOLDEN = 0.6180339887498949
#: Part of a column that the columns before it must leave, for it to count.
_RANK = 1e-4

#: The kernel takes candidates by four.
_FEWEST = 4
#: Length that a candidate, of unit length, may lose in the reduced basis.
_LEFT = 0.02


@dataclass(frozen=True)
class Starts:
    """Candidates as unit vectors on the epochs, and the parameters they stand for."""

    t: FloatArray
    #: what is subtracted from the data: held amplitudes of columns that no parameter shapes
    known: FloatArray
    #: orthonormal vectors that hold nearly all of the candidates, (vectors, epochs)
    basis: FloatArray
    #: candidates in this basis, (candidates * per, vectors), with the range of each row's coefficient
    rows: FloatArray
    low: FloatArray
    high: FloatArray
    per: int
    #: neighbourhood of each candidate, and which neighbourhoods touch
    group: IntArray
    near: BoolArray
    #: free non-linear parameters inside the solver, (free, candidates)
    theta: FloatArray

    def choose(self, y: FloatArray, weight: FloatArray, count: int) -> FloatArray:
        """Parameters to start from, (free, count, series), of series `y` (epochs, series) less a held offset."""
        if self.theta.shape[0] == 0:
            return np.empty((0, 1, y.shape[1]))
        filled = np.empty(y.shape, np.float32)
        fill_gaps(self.t, y, weight, self.known, filled)
        best: IntArray = np.empty((min(count, self.theta.shape[1]), y.shape[1]), np.int64)
        best_candidates(self.basis, self.rows, self.low, self.high, self.per, self.group, self.near, filled, best)
        return self.theta[:, best]


def prepare(problem: Problem, *, count: int) -> Starts:
    """Candidates of a problem, ready for `count` starts of each series."""
    model, t = problem.model, problem.t
    theta = _candidates(problem)
    if theta.shape[0] == 0:
        return _without_shape(t)
    shaped = sorted({int(row) - 1 for row in problem.owner})
    plain = [row for row in range(len(model.linear)) if row not in shaped]
    p = np.repeat(problem.values[:, None], theta.shape[1], axis=1)
    p[problem.free_rows] = np.where(problem.logarithmic[:, None], np.exp(theta), theta)
    columns = _columns(problem, p)  # (linear, times, candidates)
    held, amplitude = problem.held, problem.amplitude_bounds[0]
    shared = [columns[row, :, 0] for row in plain if not held[row + 1]]
    shared += [np.ones(t.size)] if not held[0] else []
    known = np.zeros(t.size)
    for row in plain:
        if held[row + 1]:
            known += amplitude[row + 1] * columns[row, :, 0]
    basis = np.linalg.qr(np.stack(shared, axis=1))[0] if shared else np.zeros((t.size, 0))
    vectors, low, high = _orthonormal(problem, columns, shaped, basis)
    per = vectors.shape[1]
    inner, rows = _reduced(vectors.reshape(-1, t.size))
    group, near = np.zeros(theta.shape[1], np.int64), np.zeros((1, 1), bool)
    if count > 1:
        group, near = _neighbourhoods(rows.reshape(-1, per, rows.shape[1]))
    return Starts(
        t=t,
        known=known,
        basis=inner,
        rows=rows,
        low=np.ascontiguousarray(low.ravel(), np.float32),
        high=np.ascontiguousarray(high.ravel(), np.float32),
        per=per,
        group=group,
        near=near,
        theta=np.ascontiguousarray(theta),
    )


def _without_shape(t: FloatArray) -> Starts:
    """What a model has whose parameters are all linear or held: there is nothing to start from."""
    nothing = np.zeros((0, 0), np.float32)
    return Starts(
        t=t,
        known=np.zeros(t.size),
        basis=nothing,
        rows=nothing,
        low=np.zeros(0, np.float32),
        high=np.zeros(0, np.float32),
        per=1,
        group=np.zeros(1, np.int64),
        near=np.zeros((1, 1), bool),
        theta=np.empty((0, 1)),
    )


def _reduced(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """
    Vectors that hold nearly all of every row, and the rows in terms of them.

    Curves of a family are smooth and alike: some twenty vectors hold hundreds of them on a hundred epochs.
    """
    spanning = _spanning(rows)
    shares = rows @ spanning.T
    # In this small space the eigenvectors say which directions matter; an eigenproblem on all epochs costs seconds.
    _, turned = np.linalg.eigh(shares.T @ shares)
    vectors = turned[:, ::-1].T @ spanning
    shares = rows @ vectors.T
    left = 1.0 - np.cumsum(shares**2, axis=1).min(axis=0, where=(rows**2).sum(axis=1, keepdims=True) > 0, initial=2.0)
    enough = int(np.argmax(left < _LEFT**2)) + 1 if (left < _LEFT**2).any() else len(vectors)
    basis = np.zeros((-(-enough // 4) * 4, rows.shape[1]), np.float32)
    basis[:enough] = vectors[:enough]
    return basis, np.ascontiguousarray(rows @ basis.T.astype(np.float64), np.float32)


def _spanning(rows: FloatArray) -> FloatArray:
    """Orthonormal vectors that hold nearly all of every row: the row of which most is left, again and again."""
    left = rows.copy()
    found: list[FloatArray] = []
    size = (left**2).sum(axis=1)
    while len(found) < min(rows.shape) and size.max() > (0.5 * _LEFT) ** 2:
        vector = left[int(size.argmax())]
        for other in found:  # what rounding has left of the earlier ones
            vector = vector - (vector @ other) * other
        found.append(vector / np.sqrt(vector @ vector))
        left -= np.outer(left @ found[-1], found[-1])
        size = (left**2).sum(axis=1)
    return np.array(found) if found else np.zeros((1, rows.shape[1]))


def _neighbourhoods(rows: FloatArray) -> tuple[IntArray, BoolArray]:
    """Neighbourhood of each candidate (candidates, per, vectors), and which of them touch."""
    group = np.full(len(rows), -1, np.int64)
    first: list[int] = []
    while (group < 0).any():
        leader = int(np.argmax(group < 0))
        alike = _cosine(rows, rows[leader]) > _ALIKE
        alike[leader] = True
        group[alike & (group < 0)] = len(first)
        first.append(leader)
    leaders = rows[first]
    return group, np.stack([_cosine(leaders, leader) > _TOUCHING for leader in leaders])


def _cosine(rows: FloatArray, one: FloatArray) -> FloatArray:
    """Mean cosine between the planes that candidates span, (candidates, per, vectors), and that of `one`."""
    found: FloatArray = np.sqrt((np.einsum("cpv,qv->cpq", rows, one) ** 2).sum(axis=(1, 2)) / len(one))
    return found


def _candidates(problem: Problem) -> FloatArray:
    """Free parameters of every candidate as the solver has them, inside their bounds."""
    model = problem.model
    names = [model.nonlinear[row] for row in problem.free_rows]
    if not names:
        return np.empty((0, 1))
    held = {name: float(value) for name, value in zip(model.nonlinear, problem.values, strict=True)}
    held = {name: value for name, value in held.items() if not np.isnan(value)}
    amplitudes = zip(("offset", *model.linear), problem.held, problem.amplitude_bounds[0], strict=True)
    held |= {name: float(value) for name, stays, value in amplitudes if stays}
    grid = model.candidates(problem.t, held)
    rows = np.broadcast_arrays(*(np.atleast_1d(np.asarray(grid[name], np.float64)) for name in names))
    theta = np.stack(rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        theta = np.where(problem.logarithmic[:, None], np.log(theta), theta)
    theta = np.clip(theta, problem.bounds[0, :, None], problem.bounds[1, :, None])
    theta = np.unique(theta, axis=1)
    if theta.shape[1] > _MOST:  # a grid of grids, as sums have: some of it, evenly spread
        theta = theta[:, np.argsort(np.arange(theta.shape[1]) * _GOLDEN % 1.0)[:_MOST]]
    return theta if theta.shape[1] >= _FEWEST else np.tile(theta, (1, _FEWEST))


def _columns(problem: Problem, p: FloatArray) -> FloatArray:
    model, n = problem.model, problem.t.size
    columns = np.empty((len(model.linear), n, p.shape[1]), np.float32)
    block = max(1, _VALUES // (n * (len(model.linear) + len(model.nonlinear))))
    for first in range(0, p.shape[1], block):
        part = np.ascontiguousarray(p[:, first : first + block])
        filled = np.empty((len(model.linear), n, part.shape[1]))
        model.curve(problem.t, part, filled, np.empty((len(model.nonlinear), n, part.shape[1])))
        columns[:, :, first : first + block] = filled
    return columns


def _orthonormal(
    problem: Problem, columns: FloatArray, shaped: list[int], basis: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """
    Unit vectors of each candidate's shaped columns, free of `basis` and of each other, and their coefficients.

    The sought columns come first; what amplitudes that are held contribute is one vector of known size.
    """
    sought = [row for row in shaped if not problem.held[row + 1]]
    held = [row for row in shaped if problem.held[row + 1]]
    vectors: list[FloatArray] = []
    low: list[FloatArray] = []
    high: list[FloatArray] = []
    parts = [columns[row].T.astype(np.float64) for row in sought]
    if held:
        parts.append(sum(problem.amplitude_bounds[0, row + 1] * columns[row].T.astype(np.float64) for row in held))
    for number, part in enumerate(parts):
        size = np.sqrt((part**2).sum(axis=1))
        rest = part - (part @ basis) @ basis.T
        for vector in vectors:
            rest -= (rest * vector).sum(axis=1, keepdims=True) * vector
        left = np.sqrt((rest**2).sum(axis=1))
        known = left > _RANK * size
        vectors.append(rest / np.where(known, left, np.inf)[:, None])
        bounds = [np.full(left.size, -np.inf), np.full(left.size, np.inf)]
        if number >= len(sought):
            bounds = [left, left]
        elif len(parts) == 1:
            bounds = [
                limit * left if np.isfinite(limit) else np.full(left.size, limit)
                for limit in problem.amplitude_bounds[:, sought[number] + 1]
            ]
        low.append(bounds[0])
        high.append(bounds[1])
    return np.stack(vectors, axis=1), np.stack(low, axis=1), np.stack(high, axis=1)
