"""Peak memory and time of inverting a stack that does not fit: Zarr in, dask, Zarr out.

    python benchmarks/memory.py                       # 2,000 x 2,000 x 174: 2.8 GB of phase and as much coherence
    python benchmarks/memory.py --rows 500 --cols 500 --scratch /somewhere/with/space

One process writes the stack block by block, another inverts it, so that the peak that is reported is that of
the inversion alone (with Python and its libraries). The exit status is 1 where it reaches the limit.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 2_000_000_000  # bytes


def make(path: Path, rows: int, cols: int, side: int) -> None:
    """Write the stack: each chunk of `side` x `side` pixels is a problem of its own seed, made as it is written."""
    import dask.array as da
    import network_problem
    import numpy as np

    import subsidence as sd

    def block(block_info) -> np.ndarray:
        """Phase and coherence of one chunk."""
        (*_, (top, bottom), (left, right)) = block_info[None]["array-location"]
        problem = network_problem.make((bottom - top) * (right - left), seed=top * cols + left)
        return np.stack([problem.phase, problem.coherence]).reshape(2, -1, bottom - top, right - left)

    one = network_problem.dataset(network_problem.make(1))
    pairs = one.sizes["pair"]
    chunks = ((2,), (pairs,), _cut(rows, side), _cut(cols, side))
    both = da.map_blocks(block, chunks=chunks, dtype=np.float32, meta=np.empty((0,) * 4, np.float32))
    whole = one.drop_dims(["y", "x"])
    sd.save(
        whole.assign(
            unwrapped_phase=(("pair", "y", "x"), both[0], one["unwrapped_phase"].attrs),
            coherence=(("pair", "y", "x"), both[1], one["coherence"].attrs),
            y=("y", -50.0 * np.arange(rows), one["y"].attrs),
            x=("x", 50.0 * np.arange(cols), one["x"].attrs),
        ),
        path,
    )


def invert(stack: Path, out: Path) -> None:
    """Invert lazily, stream the result, and print this process's peak as JSON."""
    import subsidence as sd

    before = _peak()
    began = time.perf_counter()
    series = sd.invert_network(sd.open(stack, chunks={}), weights="variance")
    sd.save(series, out)
    seconds = time.perf_counter() - began
    print(json.dumps({"before": before, "peak": _peak(), "seconds": seconds}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--cols", type=int, default=2000)
    parser.add_argument("--side", type=int, default=200, help="rows and columns of a chunk on disk")
    parser.add_argument("--scratch", type=Path, help="folder for some 6 GB (default: the system's temporary folder)")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--invert", type=Path, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        make(arguments.make, arguments.rows, arguments.cols, arguments.side)
        return 0
    if arguments.invert:
        invert(*arguments.invert)
        return 0

    with tempfile.TemporaryDirectory(prefix="subsidence-memory-", dir=arguments.scratch) as folder:
        stack, out = Path(folder) / "stack.zarr", Path(folder) / "series.zarr"
        began = time.perf_counter()
        size = [f"--{name}={getattr(arguments, name)}" for name in ("rows", "cols", "side")]
        _run("--make", stack, *size)
        making = time.perf_counter() - began
        found = json.loads(_run("--invert", stack, out).splitlines()[-1])
        written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    pixels = arguments.rows * arguments.cols
    stack_bytes = 2 * 4 * 174 * pixels
    print(
        "| stack | phase + coherence, GB | imports, GB | peak, GB | inversion, s | pixels/s | results, GB | making, s |"
    )
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {arguments.rows} x {arguments.cols} x 174 | {stack_bytes / 1e9:.2f} | {found['before'] / 1e9:.2f} "
        f"| {found['peak'] / 1e9:.2f} | {found['seconds']:.0f} | {pixels / found['seconds']:,.0f} "
        f"| {written / 1e9:.2f} | {making:.0f} |"
    )
    return int(found["peak"] >= LIMIT)


def _run(*arguments: object) -> str:
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _peak() -> int:
    """Largest resident memory of this process so far, in bytes (Linux counts in kB, macOS in bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _cut(length: int, side: int) -> tuple[int, ...]:
    return tuple(min(side, length - start) for start in range(0, length, side))


if __name__ == "__main__":
    sys.exit(main())
