"""What keeps a comparison fair: every solver gets the same CPUs, and no more threads than these."""

from __future__ import annotations

import math
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

_MARK = "SUBSIDENCE_BENCHMARK_CPUS"


def limit_cpus(count: int) -> None:
    """
    Start this script again on `count` CPUs, with every known thread pool set to as many.

    Equal to ``OMP_NUM_THREADS=1 ... taskset -c 0 python script.py`` for one. It has to be a fresh process
    because numpy's BLAS and XLA size their pools when they are imported.
    """
    if os.environ.get(_MARK) == str(count):
        return
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        if count > len(allowed):
            sys.exit(f"--threads {count} asks for more than the {len(allowed)} CPUs this process may use")
        os.sched_setaffinity(0, allowed[:count])
    pools = ("OMP", "OPENBLAS", "MKL", "NUMBA", "RAYON", "VECLIB_MAXIMUM")
    environment = {f"{pool}_NUM_THREADS": str(count) for pool in pools}
    environment["XLA_FLAGS"] = (
        f"--xla_cpu_multi_thread_eigen={'false' if count == 1 else 'true'} intra_op_parallelism_threads={count}"
    )
    environment[_MARK] = str(count)
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **environment})


#: On one CPU the process's own time (all its threads) is what the wall clock would show on an idle machine.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def timed(call: Callable[[], object], *, clock: str = "wall") -> float:
    """Seconds that one call takes."""
    now = CLOCKS[clock]
    began = now()
    call()
    return now() - began


def best_of(call: Callable[[], object], *, least_seconds: float, clock: str = "wall") -> float:
    """Seconds of the fastest of as many calls as fit into `least_seconds`, and of one at least."""
    fastest, spent = math.inf, 0.0
    while spent < least_seconds:
        seconds = timed(call, clock=clock)
        fastest, spent = min(fastest, seconds), spent + seconds
    return fastest


def describe() -> str:
    """Processor, system and Python of this machine."""
    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{processor}, {platform.system()}, Python {platform.python_version()}"
