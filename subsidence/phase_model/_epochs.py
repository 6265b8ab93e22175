"""The epochs behind pairs: order of elimination, and the design of each epoch from that of the pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from subsidence.typing import FloatArray, IntArray

__all__ = ["Epochs"]


@dataclass(frozen=True, eq=False)
class Epochs:
    """Unknown phases of the epochs that pairs join, one of them grounded.

    Parameters
    ----------
    lower, upper, sign
        Of each pair: the numbers of its two unknowns, -1 for the grounded epoch, and +1 where its
        secondary is the upper one.
    bandwidth
        Largest distance of a pair's unknowns.
    inverse
        ``(unknown + 1, pair)``: least-squares value of each epoch, the grounded one last, from values of the pairs.
    """

    lower: IntArray
    upper: IntArray
    sign: FloatArray
    bandwidth: int
    inverse: FloatArray

    @classmethod
    def of(cls, first: IntArray, second: IntArray) -> Epochs:
        """From the epoch numbers of each pair's reference and secondary."""
        used, numbers = np.unique(np.concatenate([first, second]), return_inverse=True)
        first, second = np.split(numbers, 2)
        size = used.size
        links = sparse.coo_matrix((np.ones(first.size), (first, second)), shape=(size, size))
        graph: sparse.csr_matrix = (links + links.T).tocsr()
        # the epoch of most pairs, within the largest part, keeps the band narrow
        _, part = csgraph.connected_components(graph, directed=False)
        degree = np.asarray(graph.sum(axis=0)).ravel() * (part == np.bincount(part).argmax())
        grounded = int(degree.argmax())
        others = np.delete(np.arange(size), grounded)
        inner: sparse.csr_matrix = graph[others][:, others].tocsr()
        permuted = others[csgraph.reverse_cuthill_mckee(inner, symmetric_mode=True)]
        plans = []
        for order in (others, permuted):
            position = np.full(size, -1)
            position[order] = np.arange(order.size)
            a, b = position[first], position[second]
            joined = (a >= 0) & (b >= 0)
            plans.append((int(np.abs(a - b)[joined].max(initial=0)), a, b, order))
        bandwidth, a, b, order = min(plans, key=lambda plan: plan[0])
        incidence = np.zeros((first.size, size))
        rows = np.arange(first.size)
        incidence[rows, second] += 1.0
        incidence[rows, first] -= 1.0
        return cls(
            lower=np.minimum(a, b),
            upper=np.maximum(a, b),
            sign=np.where(b > a, 1.0, -1.0),
            bandwidth=bandwidth,
            inverse=np.linalg.pinv(incidence)[np.append(order, grounded)],
        )
