"""Finished cells of a sweep in a folder, so that a second run goes on where the first one stopped."""

from __future__ import annotations

import importlib.metadata
import json
import os
from pathlib import Path
from typing import Any

import xarray as xr

from subsidence._extras import require
from subsidence.errors import FormatError, InputError
from subsidence.io._encoding import decode, encode
from subsidence.io._native import netcdf_opener, write_netcdf
from subsidence.sweeps._cell import Job, Outcome, words
from subsidence.sweeps._fingerprint import fingerprint
from subsidence.sweeps._grid import cell_words, function_name

__all__ = ["Store"]

_MANIFEST = "sweep.json"
_FORMAT = "subsidence sweep, version 2"


class Store:
    """A folder with one NetCDF file for each finished cell and a manifest that says of which sweep.

    Raises
    ------
    InputError
        When the folder holds another sweep or other files, or the function has no name of its own.
    FormatError
        When the folder cannot be used or its manifest cannot be read.
    """

    def __init__(self, folder: str | Path, job: Job) -> None:
        require("h5netcdf", extra="io", purpose="sweep_call(resume=...)")
        self._folder = Path(folder)
        self._job = job
        manifest = _manifest(job)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / _MANIFEST
            if path.exists():
                _same_sweep(path, manifest)
            elif any(not name.name.endswith(".part") for name in self._folder.iterdir()):
                msg = f"resume: {self._folder} holds other files and no sweep: give an empty or a new folder"
                raise InputError(msg)
            else:
                _replace(path, lambda part: part.write_text(json.dumps(manifest, indent=1), encoding="utf-8"))
        except OSError as error:
            raise FormatError(self._folder, f"cannot be used to resume a sweep: {error}") from error

    def finished(self, cells: int) -> dict[int, Outcome]:
        """Results of the cells that earlier runs finished; files that cannot be read do not count."""
        found: dict[int, Outcome] = {}
        open_cell = netcdf_opener()
        for cell in range(cells):
            path = self._path(cell)
            if not path.exists():
                continue
            try:
                with open_cell(path) as stored:
                    found[cell] = decode(stored.load())
            except Exception:  # HDF5 raises many kinds; a broken file is simply computed again
                continue
        return found

    def write(self, cell: int, result: xr.Dataset) -> Outcome:
        """Keep one result: under a temporary name first, so that a file under its own name is whole.

        Return the result; when it holds what no file can hold, that is the cell's failure, told in words.

        Raises
        ------
        FormatError
            When the folder cannot be written.
        """
        try:
            plain = encode(result, split_complex=True)
            _replace(self._path(cell), lambda part: write_netcdf(plain, part))
        except OSError as error:
            what = cell_words(self._job.axes, cell)
            raise FormatError(self._folder, f"the result of {what} cannot be stored: {error}") from error
        except (TypeError, ValueError, NotImplementedError) as error:
            return words(InputError(f"the result cannot be kept in the folder of resume: {error}"))
        return result

    def _path(self, cell: int) -> Path:
        return self._folder / f"cell-{cell:06d}.nc"


def _manifest(job: Job) -> dict[str, Any]:
    name = function_name(job.function)
    if "<" in name:  # <lambda>, <locals>: another function of that name could not be told from it
        msg = f"resume needs a function with a name of its own, got {name}: define it in a module with def"
        raise InputError(msg)
    try:
        return {
            "format": _FORMAT,
            "subsidence": importlib.metadata.version("subsidence"),
            "function": f"{name} {fingerprint(job.function)}" if name.startswith("partial") else name,
            "grid": [
                {"name": axis.name, "values": axis.labels.astype(str).tolist(), "fingerprint": fingerprint(axis.values)}
                for axis in job.axes
            ],
            "fixed": {key: fingerprint(value) for key, value in job.fixed.items()},
            "data": fingerprint(job.data),
        }
    except Exception as error:
        msg = f"resume: data or parameters of this kind cannot be told apart, so that cells could mix: {error}"
        raise InputError(msg) from error


def _same_sweep(path: Path, manifest: dict[str, Any]) -> None:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FormatError(path, f"is not the manifest of a sweep: {error}") from error
    if not isinstance(stored, dict) or stored.get("format") != _FORMAT:
        raise FormatError(path, f"is not the manifest of a sweep of this version ({_FORMAT})")
    now, was = _words(manifest), _words(stored)
    other = [key for key in now if stored.get(key) != manifest[key]]
    if other:
        told = "; ".join(f"{key}: {was[key]} there, {now[key]} here" for key in other)
        msg = f"resume: {path.parent} holds another sweep ({told}): give another folder, or the same call"
        raise InputError(msg)


def _words(manifest: dict[str, Any]) -> dict[str, str]:
    grid = ", ".join(f"{axis['name']}={axis['values']}" for axis in manifest.get("grid", []))
    names = ("subsidence", "function", "fixed", "data")
    return {"grid": grid, **{name: str(manifest.get(name)) for name in names}}


def _replace(path: Path, write: Any) -> None:
    part = path.with_name(f".{path.stem}-{os.getpid()}.part")
    try:
        write(part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
