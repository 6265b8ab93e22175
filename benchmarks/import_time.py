"""Time of ``import subsidence`` beside the import of its core dependencies alone, each in fresh processes.

python benchmarks/import_time.py
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

STATEMENTS = {
    "core dependencies": "import numpy, scipy, xarray, numba, lmfit",
    "subsidence": "import subsidence",
}
#: What a bare import must not bring in, whatever is installed. (pandas itself imports the empty shell of its
#: plotting; the part that draws is the one that counts.)
UNWANTED = ("dask", "matplotlib", "rasterio", "pandas.plotting._matplotlib")


def seconds(statement: str) -> float:
    """Wall time of the statement inside a fresh interpreter, whose own start is not counted."""
    return float(fresh(f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"))


def fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    for statement in STATEMENTS.values():
        seconds(statement)  # fills the disk cache
    # By turns, so that a slow moment of the machine meets both.
    runs = [[seconds(statement) for statement in STATEMENTS.values()] for _ in range(arguments.repeats)]
    print("| import | best, s | median, s |\n|---|---|---|")
    for name, times in zip(STATEMENTS, zip(*runs, strict=True), strict=True):
        print(f"| {name} | {min(times):.3f} | {statistics.median(times):.3f} |")
    loaded = fresh(f"import sys, subsidence; print([name for name in {UNWANTED!r} if name in sys.modules])")
    print(f"\nimported though it should not be: {loaded}")


if __name__ == "__main__":
    main()
