"""The one place that decides how kernels are compiled.

Kernels are serial and release the GIL; parallelism belongs to ``subsidence._blocks``. They have no
explicit signatures (those compile at import) and are cached on disk, unless the cache cannot be
written, as in a read-only container: then they compile afresh in each process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")

# Fused multiply-add only: it is as exact as two roundings and keeps NaN, infinities and the order of sums,
# so a pixel's result does not depend on where in a block it lies.
_FASTMATH = frozenset({"contract"})


def jit(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a kernel on first call: no GIL, cached on disk where possible."""
    try:
        compiled = numba.njit(nogil=True, cache=True, fastmath=set(_FASTMATH), error_model="numpy")(function)
    except RuntimeError:  # numba: "cannot cache function ...: no locator available"
        compiled = numba.njit(nogil=True, fastmath=set(_FASTMATH), error_model="numpy")(function)
    return cast("Callable[P, R]", compiled)
