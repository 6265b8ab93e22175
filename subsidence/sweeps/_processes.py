"""Cells in worker processes that cannot multiply threads, survive one another's crashes and leave nothing behind."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from subsidence.errors import InputError, SubsidenceError
from subsidence.sweeps._cell import Job, Outcome, run_cell, words
from subsidence.sweeps._grid import function_name

__all__ = ["pickled", "run_in_processes"]

#: What BLAS, OpenMP, numba and dask read when they are loaded: how many threads to start. Each worker is one of as
#: many as there are CPUs, so with the default each would start that many threads again, and CPUs squared would
#: fight for them. They read it once, at import, so it must be set before a worker starts, not in it.
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "DASK_NUM_WORKERS",
)
_ENVIRONMENT = threading.Lock()

#: The job of this worker process, or why it could not be loaded.
_loaded: list[Job | str] = []

Done = Callable[[int, Outcome], None]


def pickled(job: Job) -> bytes:
    """Return the job as bytes, made once and sent to each worker once.

    Raises
    ------
    InputError
        When the function, the data or a parameter cannot be sent to another process.
    """
    function = getattr(job.function, "func", job.function)
    if getattr(function, "__module__", None) == "__main__" and not hasattr(sys.modules["__main__"], "__file__"):
        msg = (
            f"function {function.__qualname__!r} lives in a notebook or at a prompt, where worker processes do not "
            "find it: put it in a module (a .py file), or give processes=1"
        )
        raise InputError(msg)
    cures = {
        "function": "use a module-level function, not a lambda or one defined in another",
        "data": "give data that can be pickled",
        "fixed": "give arguments that can be pickled",
        "axes": "give values that can be pickled",
    }
    for name, cure in cures.items():
        if name == "data":
            continue  # large: with the whole job below
        try:
            pickle.dumps(getattr(job, name))
        except Exception as error:
            shown = function_name(job.function) if name == "function" else name.replace("axes", "grid")
            msg = f"{shown} cannot be sent to worker processes ({error}): {cure}, or give processes=1"
            raise InputError(msg) from error
    try:
        return pickle.dumps(job, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        msg = f"data cannot be sent to worker processes ({error}): {cures['data']}, or give processes=1"
        raise InputError(msg) from error


def run_in_processes(payload: bytes, cells: Sequence[int], workers: int, done: Done) -> None:
    """Run cells in worker processes and tell `done` of each outcome in this one, in the order they finish.

    Raises
    ------
    SubsidenceError
        When workers cannot start at all.
    """
    waiting = deque(cells)
    while waiting:
        # When a worker dies (memory, a crash in compiled code) its pool dies with it. The cells that were at work
        # run again, each alone: one that kills its worker once more is that cell's failure, the others go on.
        for cell in _drain(payload, waiting, workers, done):
            if _drain(payload, deque([cell]), 1, done, greet=True):
                done(cell, "the worker process died: out of memory, or a crash in compiled code")


def _drain(payload: bytes, waiting: deque[int], workers: int, done: Done, *, greet: bool = False) -> list[int]:
    """Run cells until none is waiting; when the pool dies, return those that were at work.

    With `greet` see first that a worker comes up at all.
    """
    context = _Context()
    pool = ProcessPoolExecutor(min(workers, len(waiting)), mp_context=context, initializer=_start, initargs=(payload,))
    running: dict[Future[Outcome], int] = {}
    try:
        if greet:
            _greet(pool)
        while waiting or running:
            while waiting and len(running) < workers:
                running[pool.submit(_work, waiting[0])] = waiting[0]
                waiting.popleft()
            broken = False
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    broken = True
                else:
                    cell = running.pop(future)
                    done(cell, future.result() if error is None else words(error))
            if broken:
                break
    except BrokenProcessPool:  # noticed by submit
        pass
    except BaseException:  # Ctrl-C too: nobody waits for what a worker is doing
        for worker in context.workers:
            worker.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return list(running.values())


def _greet(pool: ProcessPoolExecutor) -> None:
    try:
        pool.submit(os.getpid).result()
    except BrokenProcessPool as error:
        msg = (
            "worker processes end as soon as they start; in a script call sweep_call under "
            "if __name__ == '__main__':, otherwise see their message above, or give processes=1"
        )
        raise SubsidenceError(msg) from error


class _Worker(SpawnProcess):
    """A process that starts with one thread for each library."""

    def start(self) -> None:
        """Start with the environment set, and leave this process's own as it was."""
        with _one_thread_each():
            super().start()


class _Context(SpawnContext):
    """Start processes afresh (a fork would copy locks held by running threads), and remember them."""

    def __init__(self) -> None:
        self.workers: list[_Worker] = []

    def Process(self, *args: Any, **options: Any) -> _Worker:  # type: ignore[override]  # noqa: N802 - the base has the class here
        """Make a worker."""
        worker = _Worker(*args, **options)
        self.workers.append(worker)
        return worker


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    with _ENVIRONMENT:
        before = {name: os.environ.get(name) for name in _THREADS}
        os.environ.update(dict.fromkeys(_THREADS, "1"))
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _start(payload: bytes) -> None:
    """Make this process a worker of one job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process: the first one decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _loaded.append(pickle.loads(payload))
    except Exception as error:  # told as the failure of every cell: better than a worker that dies
        _loaded.append(f"the worker process could not load the function or the data: {words(error)}")


def _end_with_parent() -> None:
    """Die when the process that waits for the results does, even when it was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(cell: int) -> Outcome:
    job = _loaded[0]
    return job if isinstance(job, str) else run_cell(job, cell)
