"""The library's own files: every kind of Dataset to NetCDF-4 and Zarr and back, without loss.

The layout is plain CF: times are whole numbers since 1970, complex values in NetCDF are two variables
``<name>_real`` and ``<name>_imag``, text and attributes of any type are noted so that they come back as they
were. Other programs read the files without this library.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import xarray as xr

from subsidence._blocks import available_cpus
from subsidence._extras import require
from subsidence.errors import FormatError, InputError, SchemaError
from subsidence.io._encoding import MARK, VERSION, decode, encode, storage
from subsidence.io._names import PathLike
from subsidence.io._replace import replacing
from subsidence.schema import KINDS, SERIES

__all__ = ["netcdf_opener", "open_native", "save", "write_netcdf"]

_Opener: TypeAlias = Callable[..., xr.Dataset]
OpenChunks: TypeAlias = Mapping[Any, Any] | int | Literal["auto"] | None

_SUFFIXES = (".nc", ".zarr")
#: What xarray, h5py, h5netcdf and zarr raise on files that are damaged or of another kind.
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError, EOFError)


def save(dataset: xr.Dataset, path: PathLike, *, overwrite: bool = False) -> None:
    """
    Write a Dataset of any kind to NetCDF or Zarr.

    Parameters
    ----------
    dataset
        SLC, INTERFEROGRAMS, POINTS, SERIES, LEVELLING or GNSS. Chunked (dask) variables are computed and
        written chunk by chunk, so memory stays bounded.
    path
        File that ends in ``.nc`` (NetCDF-4) or folder that ends in ``.zarr``. Its parent must exist.
    overwrite
        Whether an existing file is replaced; of a symbolic link, what it points to.

    Raises
    ------
    InputError
        When `dataset` is of no kind, not valid, or has attributes that cannot be written.
    FormatError
        When the path has another ending, exists, lies in no folder, or cannot be written.
    MissingExtraError
        When h5netcdf or zarr is not installed.

    Notes
    -----
    The file is written under a temporary name beside `path` and then renamed: a write that fails or is
    interrupted leaves what was there before and nothing else.

    Values are compressed without loss (NetCDF: shuffle and zlib level 1). In NetCDF complex values become two
    variables, ``slc_real`` and ``slc_imag``, which :func:`open_native` joins again.

    Examples
    --------
    >>> import tempfile, numpy as np, xarray as xr
    >>> from subsidence.schema import SERIES
    >>> series = SERIES.stamp(
    ...     xr.Dataset(
    ...         {"displacement": (("time", "point"), np.array([[0.0, np.nan], [-0.01, 0.002]], np.float32))},
    ...         {"time": np.array(["2018-01-06", "2018-01-18"], "M8[ns]")},
    ...     )
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(series, f"{folder}/series.nc")
    ...     back = open_native(f"{folder}/series.nc")
    >>> back.identical(series)
    True
    """
    _check_kind(dataset)
    target = check_target(Path(path), overwrite=overwrite)
    as_netcdf = Path(path).suffix == ".nc"
    writer = write_netcdf if as_netcdf else _write_zarr
    plain = encode(dataset, split_complex=as_netcdf)
    with replacing(target) as temporary, _own_threads(plain):
        writer(plain, temporary)


def open_native(path: PathLike, *, chunks: OpenChunks = None) -> xr.Dataset:
    """
    Read what :func:`save` wrote; the library's users call it ``subsidence.open``.

    Parameters
    ----------
    path
        File that ends in ``.nc`` or folder that ends in ``.zarr``.
    chunks
        None: everything in memory, and the file closed. Otherwise variables of two or more dimensions are
        lazy (dask): ``{}`` for the chunks of the file, "auto", or sizes such as ``{"y": 512, "x": 512}``.

    Returns
    -------
    xarray.Dataset
        What was saved: values, dtypes, order of dimensions, coordinates, attributes.

    Raises
    ------
    FormatError
        When the file is absent, damaged, not one that :func:`save` wrote, or not valid for its kind.
    MissingExtraError
        When h5netcdf or zarr is not installed, or dask although `chunks` is given.

    Examples
    --------
    See :func:`save`.
    """
    source = Path(path)
    if source.suffix not in _SUFFIXES:
        raise FormatError(source, f"its name ends in {source.suffix!r}, expected .nc or .zarr")
    if not source.exists():
        raise FormatError(source, "no such file or folder")
    what, open_file = ("NetCDF-4 file", netcdf_opener()) if source.suffix == ".nc" else ("Zarr store", _zarr_opener())
    if chunks is not None:
        require("dask.array", extra="dask", purpose="opening lazily (chunks=)")
    try:
        raw = _read(source, open_file, chunks)
        result = decode(raw)
    except _UNREADABLE as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(source, f"not a readable {what}, it is damaged or something else ({error})") from error
    try:
        KINDS[raw.attrs["kind"]].check(result)
    except SchemaError as error:
        raw.close()
        raise FormatError(source, f"not a valid {raw.attrs['kind']} dataset: {'; '.join(error.faults)}") from error
    result.set_close(raw.close)
    return result


def _read(source: Path, open_file: _Opener, chunks: OpenChunks) -> xr.Dataset:
    """Everything in memory, or with `chunks` what has less than two dimensions; the rest is lazy."""
    with open_file(source) as everything:
        _check_origin(source, everything.attrs)
        large = [name for name, variable in everything.variables.items() if variable.ndim > 1 and chunks is not None]
        small = [name for name in everything.variables if name not in large]
        loaded = everything.drop_vars(large).load()
    if not large:
        return loaded
    lazy = open_file(source, drop_variables=small, chunks=chunks)
    result = loaded.assign({name: lazy.variables[name] for name in large})
    result.set_close(lazy.close)
    return result


def _check_origin(source: Path, attributes: Mapping[Any, Any]) -> None:
    kind, version = attributes.get("kind"), attributes.get(MARK)
    if version is None or kind not in KINDS:
        raise FormatError(source, f"subsidence.save did not write it: its kind is {kind!r}, expected one of {_kinds()}")
    if version > VERSION:
        raise FormatError(
            source, f"a later subsidence wrote it (layout {version}, known is {VERSION}): update subsidence"
        )


def _check_kind(dataset: object) -> None:
    kind = dataset.attrs.get("kind") if isinstance(dataset, xr.Dataset) else None
    if isinstance(dataset, xr.Dataset) and kind not in KINDS:
        msg = (
            f"dataset has the kind {kind!r} in its attrs, expected one of {_kinds()}: "
            "stamp it, as in subsidence.schema.SERIES.stamp(dataset)"
        )
        raise InputError(msg)
    KINDS.get(str(kind), SERIES).check(dataset, argument="dataset")


def _kinds() -> str:
    return ", ".join(KINDS)


def check_target(path: Path, *, overwrite: bool) -> Path:
    """Where to write: `path`, or what it points to when it is a symbolic link, which stays."""
    if path.suffix not in _SUFFIXES:
        raise FormatError(path, f"its name ends in {path.suffix!r}, expected .nc (NetCDF) or .zarr (Zarr)")
    there = os.path.lexists(path)
    if there and not overwrite:
        raise FormatError(path, "it exists already: pass overwrite=True to replace it")
    target = Path(os.path.realpath(path)) if there and path.is_symlink() else path
    if not target.parent.is_dir():
        raise FormatError(target, f"there is no folder {target.parent}: make it first")
    if not os.access(target.parent, os.W_OK):
        raise FormatError(target, f"the folder {target.parent} is not writable")
    if not os.path.lexists(target):
        return target
    if target.is_dir() != (path.suffix == ".zarr"):
        raise FormatError(
            target, f"it is a {'folder' if target.is_dir() else 'file'}: not replaced, remove it yourself"
        )
    is_store = any((target / name).exists() for name in (".zgroup", "zarr.json", ".zmetadata"))
    if target.is_dir() and not is_store and any(target.iterdir()):
        raise FormatError(target, "it is a folder of something else than Zarr: not replaced, remove it yourself")
    return target


def write_netcdf(plain: xr.Dataset, path: Path) -> None:
    """Write what :func:`subsidence.io._encoding.encode` made."""
    require("h5netcdf", extra="io", purpose="writing NetCDF")
    plain.to_netcdf(path, engine="h5netcdf", encoding=_encodings(plain, netcdf=True))


def _write_zarr(plain: xr.Dataset, path: Path) -> None:
    require("zarr", extra="io", purpose="writing Zarr")
    # Format 2 has a stable specification for text and consolidated metadata. Empty chunks are written
    # so that a store from which chunks were lost is noticed.
    plain.to_zarr(
        path,
        mode="w-",
        zarr_format=2,
        consolidated=True,
        write_empty_chunks=True,
        encoding=_encodings(plain, netcdf=False),
    )


def _encodings(plain: xr.Dataset, *, netcdf: bool) -> dict[Hashable, dict[str, Any]]:
    return {
        name: storage(variable, netcdf=netcdf, coordinate=name in plain.coords)
        for name, variable in plain.variables.items()
    }


#: Values and attributes as they lie in the file; _encoding gives them their meaning.
_RAW: dict[str, Any] = {
    "mask_and_scale": False,
    "decode_times": False,
    "decode_timedelta": False,
    "decode_coords": False,
    "cache": False,
}


def netcdf_opener() -> _Opener:
    """What opens a NetCDF file for :func:`subsidence.io._encoding.decode`."""
    require("h5netcdf", extra="io", purpose="reading NetCDF")
    return partial(xr.open_dataset, engine="h5netcdf", **_RAW)


def _zarr_opener() -> _Opener:
    zarr = require("zarr", extra="io", purpose="reading Zarr")

    def opened(path: Path, **options: Any) -> xr.Dataset:
        group = zarr.open_group(path, mode="r")
        if MARK in group.attrs:
            for name, array in group.arrays():
                if array.nchunks_initialized < array.nchunks:
                    found = f"{array.nchunks_initialized} of {array.nchunks}"
                    raise FormatError(path, f"incomplete, only {found} chunks of {name!r} are there: copy it again")
        consolidated = (path / ".zmetadata").is_file()
        return xr.open_dataset(path, engine="zarr", consolidated=consolidated, **options, **_RAW)

    return opened


@contextmanager
def _own_threads(plain: xr.Dataset) -> Iterator[None]:
    """For dask's threaded scheduler: a pool that is waited for, so that nothing writes after a failure."""
    if all(variable.chunks is None for variable in plain.variables.values()):
        yield
        return
    config = require("dask.config", extra="dask", purpose="writing a chunked dataset")
    if config.get("pool", None) is not None:
        yield
        return
    with ThreadPoolExecutor(config.get("num_workers", None) or available_cpus()) as pool, config.set(pool=pool):
        yield
