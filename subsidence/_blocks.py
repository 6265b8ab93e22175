"""The one place that meets parallelism.

A kernel fills outputs for the places ``start..stop`` of arrays laid out as ``(..., place)``. Arrays in
memory are cut into blocks over a thread pool; dask arrays stay lazy and run the same kernel chunk by
chunk on whatever scheduler the user has. Kernels are serial, so threads never multiply.
"""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence._extras import require
from subsidence.errors import InputError
from subsidence.typing import AnyArray

__all__ = ["Output", "Progress", "available_cpus", "each", "reporter", "run", "worker_count"]

#: ``True`` for a bar (extra ``progress``), or a function that is told (places done, places in all).
Progress: TypeAlias = bool | Callable[[int, int], None]

#: Places in one block: small enough to stop quickly and stay in cache, large enough to hide the call.
_BLOCK = 8192
#: Bytes of one chunk of a dask input that has to be rechunked because it is cut along pairs or time.
_CHUNK_BYTES = 2**26


@dataclass(frozen=True)
class Output:
    """One array that a kernel fills: its dimensions before those of place, their sizes, its dtype."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: npt.DTypeLike


#: ``kernel(start, stop, *inputs, *outputs)`` fills ``outputs[..., start:stop]``.
Kernel: TypeAlias = Callable[..., None]


def available_cpus() -> int:
    """CPUs that this process may use: its affinity and, in a container, its quota."""
    affinity = getattr(os, "sched_getaffinity", None)  # macOS and Windows have none
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            count = min(count, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        pass
    return max(1, count)


def worker_count(wanted: int | None, argument: str) -> int:
    """
    Threads or processes to use: `wanted`, or by default every CPU that this process may use.

    In a worker process (a sweep's, a pool's, a dask.distributed worker's) the default is one: there the
    processes are the parallelism, and its siblings have the other CPUs.

    Raises
    ------
    InputError
        When `wanted`, the caller's `argument`, is not a positive whole number.
    """
    if wanted is None:
        return 1 if multiprocessing.parent_process() is not None else available_cpus()
    if isinstance(wanted, bool) or not isinstance(wanted, (int, np.integer)) or wanted < 1:
        msg = f"{argument} must be a positive whole number or None (all CPUs), got {wanted!r}"
        raise InputError(msg)
    return int(wanted)


def run(
    kernel: Kernel,
    inputs: Sequence[xr.Variable],
    outputs: Sequence[Output],
    *,
    place: tuple[str, ...],
    threads: int | None = None,
    progress: Progress = False,
    label: str = "",
) -> tuple[xr.Variable, ...]:
    """
    Run a kernel over every place.

    Parameters
    ----------
    kernel
        ``kernel(start, stop, *inputs, *outputs)``, each array C-contiguous of shape ``(..., places)``. With
        dask it must survive pickling: a module-level function or a ``functools.partial`` of one.
    inputs
        Variables that have every dimension of `place`, in any order. When one is a dask array the result
        is lazy.
    outputs
        What the kernel fills.
    place
        Dimensions of place, ``("y", "x")`` or ``("point",)``.
    threads
        Threads over blocks of arrays in memory; dask has its own scheduler.
    progress
        See `Progress`. Lazy results are computed later: use dask's own progress there.
    label
        What the progress bar says.

    Returns
    -------
    tuple of xarray.Variable
        One for each of `outputs`, dims ``(*output.dims, *place)``.

    Notes
    -----
    Memory beyond inputs and outputs: none, but an input whose dims of place are not its last is copied.
    Ctrl-C stops after the blocks at work (some milliseconds each) and discards the outputs.
    """
    workers = worker_count(threads, "threads")
    laid = [variable.transpose(*(dim for dim in variable.dims if dim not in place), *place) for variable in inputs]
    if any(variable.chunks is not None for variable in laid):
        return _lazy(kernel, laid, outputs, place)
    shape = laid[0].shape[-len(place) :]
    places = math.prod(shape)
    arrays = [np.ascontiguousarray(v.data).reshape(*v.shape[: v.ndim - len(place)], places) for v in laid]
    results = [np.empty((*output.shape, places), output.dtype) for output in outputs]
    blocks = [(start, min(start + _BLOCK, places)) for start in range(0, places, _BLOCK)]
    with reporter(progress, places, label) as report:
        _over_threads(lambda start, stop: kernel(start, stop, *arrays, *results), blocks, workers, report)
    return tuple(
        xr.Variable((*output.dims, *place), result.reshape(*output.shape, *shape))
        for output, result in zip(outputs, results, strict=True)
    )


def each(
    work: Callable[[int], None],
    count: int,
    *,
    threads: int | None = None,
    progress: Progress = False,
    label: str = "",
    cancel: Callable[[], None] = lambda: None,
) -> None:
    """
    Call ``work(number)`` for every number below `count`, over threads.

    For work that leaves Python itself, such as a program that is run once for each pair. `cancel` is called
    when one call has failed or Ctrl-C was pressed, to stop what other threads are at.
    """
    items = [(number, number + 1) for number in range(count)]
    with reporter(progress, count, label, unit="") as report:
        _over_threads(lambda start, _: work(start), items, worker_count(threads, "threads"), report, cancel)


def _over_threads(
    work: Callable[[int, int], None],
    blocks: Sequence[tuple[int, int]],
    workers: int,
    report: Callable[[int], None],
    cancel: Callable[[], None] = lambda: None,
) -> None:
    workers = min(workers, len(blocks))
    if workers <= 1:
        for start, stop in blocks:
            work(start, stop)
            report(stop - start)
        return
    with ThreadPoolExecutor(workers) as pool:
        try:
            waiting: dict[Future[None], int] = {pool.submit(work, start, stop): stop - start for start, stop in blocks}
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    report(waiting.pop(future))
        except BaseException:  # Ctrl-C too: drop what has not begun, so that leaving the pool is quick
            pool.shutdown(wait=False, cancel_futures=True)
            cancel()
            raise


@contextmanager
def reporter(progress: Progress, total: int, label: str, *, unit: str = "px") -> Iterator[Callable[[int], None]]:
    """Give a function that is told how many more are done, and tells whoever `progress` names."""
    if progress is False:
        yield lambda _: None
    elif callable(progress):
        done = 0

        def tell(count: int) -> None:
            nonlocal done
            done += count
            progress(done, total)

        yield tell
    else:
        tqdm = require("tqdm.auto", extra="progress", purpose="progress=True")
        with tqdm.tqdm(total=total, desc=label, unit=unit, unit_scale=unit == "px") as bar:
            yield bar.update


def _lazy(
    kernel: Kernel, inputs: Sequence[xr.Variable], outputs: Sequence[Output], place: tuple[str, ...]
) -> tuple[xr.Variable, ...]:
    da = require("dask.array", extra="dask", purpose="a chunked dataset")
    core = [variable.dims[: variable.ndim - len(place)] for variable in inputs]
    whole = _same_chunks(
        [_whole_core(variable, dims, place) for variable, dims in zip(inputs, core, strict=True)], place
    )
    # In a gufunc the core dimensions come last; the transposition back in _run_chunk costs nothing.
    moved = [variable.transpose(*place, *dims).data for variable, dims in zip(whole, core, strict=True)]
    sizes = {f"out_{dim}": n for output in outputs for dim, n in zip(output.dims, output.shape, strict=True)}
    left = ",".join(f"({','.join(map(str, dims))})" for dims in core)
    right = ",".join(f"({','.join(f'out_{dim}' for dim in output.dims)})" for output in outputs)
    # dask makes the layer's name of the function's: a plain one, not the repr of what it holds
    chunk = partial(_run_chunk, kernel, tuple(outputs), len(place))
    results = da.apply_gufunc(
        chunk,
        f"{left}->{right}",
        *moved,
        output_sizes=sizes,
        meta=tuple(np.empty((0,) * (len(output.dims) + len(place)), output.dtype) for output in outputs),
    )
    several = results if len(outputs) > 1 else (results,)  # dask gives one output bare
    return tuple(
        xr.Variable((*place, *output.dims), result).transpose(*output.dims, *place)
        for output, result in zip(outputs, several, strict=True)
    )


def _same_chunks(variables: Sequence[xr.Variable], place: tuple[str, ...]) -> list[xr.Variable]:
    """Cut every input alike along the dimensions of place, as the first chunked one is."""
    cuts = next(variable.chunksizes for variable in variables if variable.chunks is not None)
    return [variable.chunk({dim: cuts[dim] for dim in place}) for variable in variables]


def _whole_core(variable: xr.Variable, core: tuple[Any, ...], place: tuple[str, ...]) -> xr.Variable:
    """Put the core dimensions into one chunk; where that joins chunks, cut the place to a bounded size."""
    if variable.chunks is None or all(len(variable.chunksizes[dim]) == 1 for dim in core):
        return variable
    depth = math.prod(variable.sizes[dim] for dim in core) * variable.dtype.itemsize
    side = max(1, round((_CHUNK_BYTES / depth) ** (1 / len(place))))
    return variable.chunk({**dict.fromkeys(core, -1), **dict.fromkeys(place, side)})


def _run_chunk(
    kernel: Kernel, outputs: tuple[Output, ...], place_ndim: int, *inputs: AnyArray
) -> AnyArray | tuple[AnyArray, ...]:
    """Run a kernel on one dask chunk: ``(*place, *core)`` in and out."""
    n = place_ndim
    shape = max((array.shape[:n] for array in inputs), key=math.prod)
    places = math.prod(shape)
    arrays = []
    for array in inputs:
        back = np.moveaxis(array, range(n), range(-n, 0))
        arrays.append(np.ascontiguousarray(back).reshape(*back.shape[: back.ndim - n], places))
    results = [np.empty((*output.shape, places), output.dtype) for output in outputs]
    kernel(0, places, *arrays, *results)
    moved = tuple(np.moveaxis(result.reshape(*result.shape[:-1], *shape), range(-n, 0), range(n)) for result in results)
    return moved if len(moved) > 1 else moved[0]
