"""Command line: ``python -m subsidence demo`` and ``python -m subsidence invert``.

Each command calls the library's public functions and says what it does; nothing is computed here.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from subsidence import __version__
from subsidence._demo import run_demo
from subsidence._extras import require
from subsidence.errors import FormatError, InputError, SubsidenceError
from subsidence.io import open_interferograms, save
from subsidence.io._native import check_target
from subsidence.sbas import invert_network
from subsidence.series import estimate_velocity
from subsidence.typing import ReferenceLike

__all__ = ["main"]

#: A stack up to this many bytes is read into memory; a larger one is worked off piece by piece.
_IN_MEMORY = 2 * 2**30


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Parameters
    ----------
    arguments
        What follows the program's name; those of the process when None.

    Returns
    -------
    int
        0, or 1 when something was refused: the reason is then on standard error.

    Examples
    --------
    >>> main(["invert", "no-such-folder", "--out", "series.nc"])
    1
    """
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = options.command
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            command(options)
        except (SubsidenceError, OSError) as error:
            print(f"subsidence: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nsubsidence: interrupted", file=sys.stderr)
            return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="subsidence", description="From radar phase to ground subsidence.")
    parser.add_argument("--version", action="version", version=f"subsidence {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="the whole job on a simulated scene, the truth beside every estimate")
    demo.add_argument("--out", type=Path, default=Path("subsidence-demo"), help="folder for results (%(default)s)")
    demo.set_defaults(command=_demo)

    invert = commands.add_parser("invert", help="displacement series and velocity from unwrapped interferograms")
    invert.add_argument("stack", type=Path, help="folder of interferograms")
    invert.add_argument("--format", choices=["gamma", "geotiff"], help="what made them; found out when not given")
    invert.add_argument("--wavelength", type=float, metavar="METRES", help="needed for geotiff")
    invert.add_argument(
        "--sign", choices=["away", "towards"], default="away", help="positive phase means (%(default)s)"
    )
    invert.add_argument(
        "--nodata", type=float, metavar="RADIANS", help="phase of no data that the files do not declare"
    )
    invert.add_argument("--coherence-scale", type=float, metavar="VALUE", help="means coherence 1: 255 for 8-bit files")
    invert.add_argument("--out", type=_result, required=True, metavar="FILE", help="result, .nc or .zarr")
    invert.add_argument("--overwrite", action="store_true", help="replace the result if it exists")
    invert.add_argument(
        "--reference", type=int, nargs=2, metavar=("ROW", "COL"), help="stable pixel; the most coherent when not given"
    )
    invert.add_argument("--weights", choices=["variance", "coherence", "none"], default="variance")
    invert.add_argument("--robust", choices=["huber", "l1"], help="against unwrapping errors")
    invert.add_argument("--residual-height", action="store_true", help="estimate heights from baselines too")
    invert.add_argument("--seasonal", action="store_true", help="annual motion beside the velocity")
    invert.add_argument("--noise", choices=["white", "autocorrelated"], default="autocorrelated")
    invert.set_defaults(command=_invert)
    return parser


def _result(text: str) -> Path:
    """Refuse before the work what could not be written after it."""
    path = Path(text)
    if path.suffix not in {".nc", ".zarr"} or not path.parent.is_dir():
        msg = f"{text!r} must end in .nc or .zarr and lie in a folder that exists"
        raise argparse.ArgumentTypeError(msg)
    return path


def _demo(options: argparse.Namespace) -> None:
    run_demo(options.out, say=lambda line: print(line, flush=True))


def _invert(options: argparse.Namespace) -> None:
    _check_writing(options.out, overwrite=options.overwrite)
    started = time.perf_counter()
    stack = open_interferograms(
        options.stack,
        format=options.format,
        wavelength=options.wavelength,
        sign=options.sign,
        nodata=options.nodata,
        coherence_scale=options.coherence_scale,
    )
    print(f"{stack.sizes['pair']} interferograms of {stack.sizes['y']} x {stack.sizes['x']} pixels")
    if "coherence" not in stack:
        _check_no_coherence(options)
    lazy = any(variable.chunks for variable in stack.variables.values())  # never without dask
    in_memory = stack.nbytes <= _IN_MEMORY or not lazy
    if in_memory:
        stack = stack.load()
    reference: ReferenceLike = "max_coherence"
    if options.reference is not None:
        reference = dict(zip(("row", "col"), options.reference, strict=True))
    series = invert_network(
        stack,
        weights=None if options.weights == "none" else options.weights,
        reference=reference,
        robust=options.robust,
        residual_height=options.residual_height,
        progress=_Percent("inversion") if in_memory else False,
    )
    print(f"reference: {series.attrs['reference']}")
    series = estimate_velocity(
        series,
        seasonal=options.seasonal,
        noise=options.noise,
        progress=_Percent("velocity") if in_memory else False,
    )
    if in_memory:
        save(series, options.out, overwrite=options.overwrite)
    else:
        diagnostics = require("dask.diagnostics", extra="dask", purpose="a stack larger than memory")
        with diagnostics.ProgressBar(out=sys.stderr):
            save(series, options.out, overwrite=options.overwrite)
    print(f"wrote {options.out} ({time.perf_counter() - started:.1f} s)")


def _check_writing(path: Path, *, overwrite: bool) -> None:
    """Refuse before the work what :func:`save` would refuse after it."""
    if path.exists() and not overwrite:
        raise FormatError(path, "it exists already: add --overwrite to replace it")
    check_target(path, overwrite=overwrite)
    module = "h5netcdf" if path.suffix == ".nc" else "zarr"
    require(module, extra="io", purpose=f"writing {path.suffix}")


def _check_no_coherence(options: argparse.Namespace) -> None:
    missing = []
    if options.weights != "none":
        missing.append("--weights none")
    if options.reference is None:
        missing.append("--reference ROW COL")
    if missing:
        msg = f"{options.stack}: no coherence found, which weights or reference need: add {' '.join(missing)}"
        raise InputError(msg)


class _Percent:
    """Tells whole per cents on standard error: on one line of a terminal, every tenth elsewhere."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.told = -1
        self.terminal = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        percent = 100 * done // total
        if not self.terminal:
            percent -= percent % 10
        if percent == self.told:
            return
        self.told = percent
        end = "\n" if percent == 100 or not self.terminal else ""
        start = "\r" if self.terminal else ""
        print(f"{start}{self.label} {percent:3d} %", end=end, file=sys.stderr, flush=True)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"subsidence: warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
