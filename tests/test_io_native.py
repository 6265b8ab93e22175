"""The library's own files: exact round trips, streaming, and writes that fail without a trace."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from subsidence.errors import FormatError, InputError
from subsidence.io import open_native, save
from subsidence.schema import KINDS, SERIES, Schema

pytest.importorskip("h5netcdf", reason="the extra 'io' writes NetCDF")
pytest.importorskip("zarr", reason="the extra 'io' writes Zarr")

SUFFIXES = [".nc", ".zarr"]
EPOCHS = np.array(["2018-01-06T00:40:21.123456789", "2018-01-18", "2018-01-30T00:40:21"], "M8[ns]")


def example(kind: str) -> xr.Dataset:
    """A small valid Dataset of a kind, with NaN, infinities, minus zero and every sort of attribute."""
    rng = np.random.default_rng(len(kind))
    raster, points = ("time", "y", "x"), ("time", "point")
    values = rng.normal(size=(3, 4, 5)).astype("float32")
    values[0, 0, :4] = np.nan, np.inf, -np.inf, -0.0
    place = {"x": np.arange(5) * 30.0, "y": 1e6 - np.arange(4) * 30.0}
    if kind == "SLC":
        images = (values + 1j * rng.normal(size=values.shape)).astype("complex64")
        images[1, 1, :2] = complex(np.nan, 1), complex(np.inf, -0.0)
        data = xr.Dataset({"slc": (raster, images)}, {"time": EPOCHS, **place, "wavelength": 0.0555})
    elif kind == "INTERFEROGRAMS":
        data = xr.Dataset(
            {
                "unwrapped_phase": (("pair", "y", "x"), values),
                "coherence": (("pair", "y", "x"), np.clip(values, 0, 1)),
                "connected_component": (("pair", "y", "x"), rng.integers(0, 255, (3, 4, 5)).astype("uint8")),
            },
            {
                "reference": ("pair", EPOCHS[[0, 0, 1]]),
                "secondary": ("pair", EPOCHS[[1, 2, 2]]),
                "wavelength": np.float64(0.0554657595),
                "height": (("y", "x"), values[1]),
                "spatial_ref": ((), np.int64(0), {"crs_wkt": 'PROJCS["x"]', "semi_major_axis": 6378137.0}),
                **place,
            },
        )
    elif kind == "POINTS":
        data = xr.Dataset(
            {"phase": (points, values[:, 0])},
            {"time": EPOCHS, "row": ("point", np.arange(5, dtype="int32")), "wavelength": 0.0555},
        ).assign(
            source=("point", np.array(["classic", "", "multilook", "ü", "x"])), chosen=("point", np.eye(1, 5)[0] > 0)
        )
    elif kind == "SERIES":
        data = xr.Dataset(
            {
                "displacement": (raster, values),
                "status": (("y", "x"), rng.integers(0, 6, (4, 5)).astype("int8"), {"flag_values": [0, 1], "best": [1]}),
                "count": (("y", "x"), rng.integers(0, 2**62, (4, 5))),
            },
            {"time": EPOCHS, **place, "wavelength": 0.0555},
            {"component": "los", "reference_row": 9, "reference_lon": -99.1, "mean": np.float32(0.1), "done": True},
        )
    else:
        stations = np.array(["BM1", "BM22"])
        data = xr.Dataset(
            {"displacement": (("time", "benchmark"), values[:, 0, :2].astype("float64"))},
            {"time": EPOCHS, "benchmark": stations, "lon": ("benchmark", [-99.1, -99.0])},
        )
    data.attrs |= {"note": "ä\n", "empty": "", "nothing": None, "rows": [[1, 2], [3]], "map": {"a": [1.5, None, "b"]}}
    data.attrs |= {
        "array": np.arange(3.0),
        "one": np.array([7], "int16"),
        "words": ["a", "b"],
        "big": 2**70,
        "none": [],
    }
    data.attrs |= {"when": np.datetime64("2018-01-06T00:00:00.5", "ms"), "nan": float("nan"), "flag": np.bool_(False)}
    return KINDS[kind].stamp(data)


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def assert_same(found: xr.Dataset, expected: xr.Dataset) -> None:
    """Identical, dtypes and types of attributes included."""
    assert not np.isnan(expected.attrs.get("nan", 0.0)) or np.isnan(found.attrs["nan"])
    xr.testing.assert_identical(
        found.drop_attrs(deep=False).assign_attrs(_plain(found)),
        expected.drop_attrs(deep=False).assign_attrs(_plain(expected)),
    )
    for name, variable in expected.variables.items():
        assert found[name].dtype == variable.dtype, name
        assert found[name].dims == variable.dims
        if variable.dtype.kind in "fc":  # NaN payloads, infinities and signs of zero
            assert found[name].values.tobytes() == variable.values.tobytes()
    for name, value in expected.attrs.items():
        assert type(found.attrs[name]) is type(value), name
        if isinstance(value, np.ndarray):
            assert found.attrs[name].dtype == value.dtype


def _plain(dataset: xr.Dataset) -> dict[Any, Any]:
    return {name: value for name, value in dataset.attrs.items() if name != "nan"}


# --- round trips --------------------------------------------------------------------------------------


def from_schema(kind: Schema) -> xr.Dataset:
    """Every field of a kind, one after the other, in the dtypes and dimensions that its schema allows."""
    sizes = {"y": 2, "x": 3}
    variables: dict[str, Any] = {}
    for number, field in enumerate(kind.fields):
        place = [dims for dims in field.allowed_dims() if "point" not in dims]
        dims = max(place, key=len) if place else next(field.allowed_dims())
        shape = tuple(sizes.get(dim, 4) for dim in dims)
        code = field.variable.kinds[0]
        if code == "M":
            values = EPOCHS[0] + np.arange(np.prod(shape, dtype=int)).reshape(shape) * np.timedelta64(
                86_400_000_000_001 + number
            )
        elif code == "c":
            values = (np.ones(shape) * (1 + 2j)).astype("complex64")
        else:
            low, high = field.variable.minimum or 0.0, field.variable.maximum
            values = (
                np.linspace(low + 2, low + 60, int(np.prod(shape)))
                if high is None
                else np.full(shape, (low + high) / 2)
            )
            dtypes = {"f": "float32", "i": "int16", "u": "uint8", "b": bool, "U": str}
            values = values.reshape(shape).astype(dtypes[code])
        variables[field.name] = (dims, values)
    return kind.stamp(xr.Dataset(variables))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", list(KINDS))
def test_every_field_of_every_kind_comes_back(tmp_path: Path, kind: str, suffix: str) -> None:
    original = from_schema(KINDS[kind])
    save(original, tmp_path / f"data{suffix}")
    assert_same(open_native(tmp_path / f"data{suffix}"), original)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["SLC", "INTERFEROGRAMS", "POINTS", "SERIES", "LEVELLING", "GNSS"])
def test_every_kind_comes_back_exactly(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"data{suffix}"
    original = example(kind)
    before = original.copy(deep=True)
    save(original, path)
    assert_same(open_native(path), original)
    assert_same(original, before)
    assert listed(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["SLC", "INTERFEROGRAMS", "SERIES", "POINTS"])
def test_lazy_in_lazy_out(tmp_path: Path, kind: str, suffix: str) -> None:
    pytest.importorskip("dask", reason="the extra 'dask' makes reading lazy")
    path = tmp_path / f"data{suffix}"
    original = example(kind)
    cuts = {"y": (1, 3), "x": (3, 2)} if "y" in original.dims else {"point": 2}
    save(original.chunk(cuts), path)
    for chunks in ({}, "auto", {"time": -1}, {"pair": -1}):
        lazy = open_native(path, chunks=chunks)
        large = [name for name, variable in lazy.variables.items() if variable.ndim > 1]
        assert large
        assert all((lazy[name].chunks is not None) == (name in large) for name in lazy.variables)
        assert_same(lazy.compute(), original)
        lazy.close()


_NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda n: n not in {"dtype", "coordinates", "nan"}
)
_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=10)
_SCALARS = st.one_of(_TEXT, st.integers(), st.floats(allow_nan=False), st.booleans(), st.none())
_ATTRS = st.dictionaries(
    _NAMES,
    st.one_of(
        _SCALARS,
        st.lists(_SCALARS, max_size=3),
        st.dictionaries(_TEXT, _SCALARS, max_size=2),
        npst.arrays(
            st.sampled_from(["f4", "f8", "i2", "u8", "?"]),
            npst.array_shapes(max_dims=2, max_side=3),
            elements={"allow_nan": False},
        ),
    ),
    max_size=4,
)
_DTYPES = st.sampled_from(["f4", "f8", ">f4", "i1", "i8", "u2", "u8", "?", "c8", "c16", "U3", "M8[ns]", "m8[ns]"])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), suffix=st.sampled_from(SUFFIXES), attrs=_ATTRS, size=st.integers(1, 4))
def test_anything_comes_back(
    tmp_path: Path, data: st.DataObject, suffix: str, attrs: dict[str, Any], size: int
) -> None:
    def values(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        elements: Any = None
        if dtype.startswith("U"):
            elements = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=3)
        return data.draw(npst.arrays(dtype, shape, elements=elements))

    dataset = xr.Dataset(
        {
            "displacement": (("time", "y", "x"), values("f4", (size, 2, 3))),
            "own": (("x",), values(data.draw(_DTYPES), (3,)), data.draw(_ATTRS)),
            "square": (("y", "x"), values(data.draw(_DTYPES), (2, 3))),
            "single": ((), values(data.draw(_DTYPES), ())),
        },
        {"time": values("M8[ns]", (size,)), "extra": ("time", values(data.draw(_DTYPES), (size,)))},
        attrs,
    )
    dataset = SERIES.stamp(dataset)
    for name, variable in dataset.variables.items():
        if variable.dtype.kind in "Mm":
            dataset[name].attrs.pop("units", None)
            dataset[name].attrs.pop("calendar", None)
    path = tmp_path / f"any{suffix}"
    save(dataset, path, overwrite=True)
    assert_same(open_native(path), dataset)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_saved_file_saves_again(tmp_path: Path, suffix: str) -> None:
    """Encoding left over from one file must not disturb the next, whatever its format."""
    original = example("INTERFEROGRAMS")
    save(original, tmp_path / f"a{suffix}")
    for number, other in enumerate(SUFFIXES):
        for chunks in (None, {}):
            again = open_native(tmp_path / f"a{suffix}", chunks=chunks)
            save(again.isel(x=slice(1, 4)), tmp_path / f"b{number}{other}", overwrite=True)
            assert_same(open_native(tmp_path / f"b{number}{other}"), original.isel(x=slice(1, 4)))
            again.close()


def test_lazy_file_replaced_by_itself(tmp_path: Path) -> None:
    pytest.importorskip("dask", reason="the extra 'dask' makes reading lazy")
    original = example("SERIES")
    for suffix in SUFFIXES:
        path = tmp_path / f"a{suffix}"
        save(original, path)
        lazy = open_native(path, chunks={})
        save(lazy.isel(y=slice(2)), path, overwrite=True)
        lazy.close()
        assert_same(open_native(path), original.isel(y=slice(2)))


def test_other_programs_can_read_it(tmp_path: Path) -> None:
    """Without this library: dates, missing values and complex parts in plain CF."""
    save(example("SLC"), tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as plain:
        np.testing.assert_array_equal(plain.time, EPOCHS)
        np.testing.assert_array_equal(plain.slc_real + 0, example("SLC").slc.real)
        np.testing.assert_array_equal(plain.slc_imag + 0, example("SLC").slc.imag)
        assert plain.slc_real.attrs["units"] == "1"
    midnight = example("SERIES").assign_coords(time=EPOCHS.astype("M8[D]").astype("M8[ns]"))
    save(SERIES.stamp(midnight), tmp_path / "b.nc")
    with xr.open_dataset(tmp_path / "b.nc", engine="h5netcdf", decode_times=False) as plain:
        assert plain.time.attrs["units"] == "days since 1970-01-01"
        assert plain.time.values.tolist() == [17537, 17549, 17561]
        assert plain.displacement.encoding["complevel"] == 1


def test_file_is_smaller_than_its_values(tmp_path: Path) -> None:
    big = SERIES.stamp(
        xr.Dataset({"displacement": (("time", "point"), np.zeros((3, 100_000), "float32"))}, {"time": EPOCHS})
    )
    save(big, tmp_path / "a.nc")
    assert (tmp_path / "a.nc").stat().st_size < 0.1 * big.nbytes


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to see open files")
def test_reading_leaves_no_file_open(tmp_path: Path) -> None:
    save(example("SERIES"), tmp_path / "a.nc")
    open_native(tmp_path / "a.nc")
    handles = [path.resolve().name for path in Path("/proc/self/fd").iterdir()]
    assert "a.nc" not in handles


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_chunked_data_stream(tmp_path: Path, suffix: str) -> None:
    """256 MB of values pass through a few tens of MB: measured by the allocations numpy reports."""
    da = pytest.importorskip("dask.array", reason="the extra 'dask' makes writing lazy")
    values = da.zeros((8, 2000, 4000), chunks=(8, 250, 500), dtype="float32")
    big = SERIES.stamp(xr.Dataset({"displacement": (("time", "y", "x"), values)}, {"time": EPOCHS[0] + np.arange(8)}))
    tracemalloc.start()
    save(big, tmp_path / f"a{suffix}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.35 * big.displacement.nbytes


# --- writes that fail ---------------------------------------------------------------------------------


def _failing(error: BaseException) -> xr.Dataset:
    da = pytest.importorskip("dask.array", reason="the extra 'dask' makes writing lazy")

    def block(part: np.ndarray, block_info: Any = None) -> np.ndarray:
        if block_info and block_info[0]["chunk-location"] == (0, 3, 0):
            raise error
        return part

    values = da.map_blocks(block, da.ones((3, 8, 5), chunks=(3, 1, 5), dtype="float32"), dtype="float32")
    return SERIES.stamp(xr.Dataset({"displacement": (("time", "y", "x"), values)}, {"time": EPOCHS}))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("error", [ZeroDivisionError("deliberate"), KeyboardInterrupt(), OSError(28, "No space left")])
@pytest.mark.parametrize("there_before", [True, False])
def test_interrupted_write_leaves_the_old_file(
    tmp_path: Path, suffix: str, error: BaseException, there_before: bool
) -> None:
    path = tmp_path / f"a{suffix}"
    original = example("SERIES")
    if there_before:
        save(original, path)
    expected = FormatError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        save(_failing(error), path, overwrite=True)
    assert listed(tmp_path) == ([path.name] if there_before else [])
    if there_before:
        assert_same(open_native(path), original)


def test_failed_rename_brings_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.zarr"
    original = example("SERIES")
    save(original, path)
    rename = Path.rename

    def refused(self: Path, target: Path) -> Path:
        if self.name.startswith(".a-") and not self.name.endswith(".old"):
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(FormatError, match=r"a.zarr: cannot be written \(Permission denied\)"):
        save(original.isel(x=[0]), path, overwrite=True)
    monkeypatch.undo()
    assert listed(tmp_path) == ["a.zarr"]
    assert_same(open_native(path), original)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_existing_file_needs_overwrite(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    save(example("SERIES"), path)
    with pytest.raises(FormatError, match=r"it exists already: pass overwrite=True"):
        save(example("SLC"), path)
    assert_same(open_native(path), example("SERIES"))
    save(example("SLC"), path, overwrite=True)
    assert_same(open_native(path), example("SLC"))
    assert listed(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "runs").mkdir()
    path, link = tmp_path / "runs" / f"a{suffix}", tmp_path / f"latest{suffix}"
    save(example("SERIES"), path)
    link.symlink_to(Path("runs") / path.name)
    with pytest.raises(FormatError, match=rf"latest{suffix}: it exists already"):
        save(example("SLC"), link)
    save(example("SLC"), link, overwrite=True)
    assert link.is_symlink()
    assert not path.is_symlink()
    assert_same(open_native(path), example("SLC"))
    assert listed(tmp_path) == sorted([link.name, "runs"])
    assert listed(tmp_path / "runs") == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_link_to_nothing_gets_what_it_points_to(tmp_path: Path, suffix: str) -> None:
    link, path = tmp_path / f"latest{suffix}", tmp_path / f"a{suffix}"
    link.symlink_to(path)
    with pytest.raises(FormatError, match="it exists already"):
        save(example("SLC"), link)
    save(example("SLC"), link, overwrite=True)
    assert link.is_symlink()
    assert_same(open_native(path), example("SLC"))


def test_only_own_kind_of_thing_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.nc").mkdir()
    (tmp_path / "b.zarr").write_text("mine")
    (tmp_path / "c.zarr").mkdir()
    (tmp_path / "c.zarr" / "letter.txt").write_text("mine")
    for name, reason in (
        ("a.nc", "it is a folder"),
        ("b.zarr", "it is a file"),
        ("c.zarr", "something else than Zarr"),
    ):
        with pytest.raises(FormatError, match=reason):
            save(example("SERIES"), tmp_path / name, overwrite=True)
    assert (tmp_path / "c.zarr" / "letter.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.tif", r"its name ends in '.tif', expected .nc \(NetCDF\) or .zarr"),
        ("a", "its name ends in ''"),
        ("nowhere/a.nc", r"there is no folder .*nowhere: make it first"),
        ("nowhere/a.zarr", "there is no folder"),
    ],
)
def test_bad_targets_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        save(example("SERIES"), tmp_path / name)
    assert listed(tmp_path) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_unwritable_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere, permissions would not do
    with pytest.raises(FormatError, match="is not writable"):
        save(example("SERIES"), tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_refusal_by_the_system_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    path = tmp_path / ("a" * 300 + suffix)  # longer than file systems allow
    with pytest.raises(FormatError, match=r"cannot be written \(.*long"):
        save(example("SERIES"), path)
    assert listed(tmp_path) == []


def _with(**changes: Any) -> Callable[[], Any]:
    return lambda: example("SERIES").assign_attrs(changes)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_with(kind="PICTURE"), r"kind 'PICTURE' in its attrs, expected one of SLC, INTERFEROGRAMS.*stamp it"),
        (xr.Dataset, "kind None"),
        (lambda: example("SERIES").displacement, r"must be an xarray.Dataset .*got DataArray"),
        (lambda: example("SERIES").drop_vars("displacement"), "'displacement' is missing"),
        (_with(model=object()), r"attribute 'model' of dataset is .* cannot be written: make it text"),
        (_with(pair=(1, 2)), "attribute 'pair' of dataset is .*tuple.* cannot be written"),
        (_with(table={1: 2}), "attribute 'table'"),
        (lambda: example("SERIES").assign_attrs({3: "x"}), "attribute called 3"),
        (_with(_FillValue=3), "attribute '_FillValue', which files use"),
        (_with(subsidence_format=3), "attribute 'subsidence_format'"),
        (
            lambda: example("SERIES").assign(a=("x", np.arange(5), {"scale_factor": 2})),
            "variable 'a' has an attribute 'scale_f",
        ),
        (
            lambda: example("SERIES").assign(a=("x", EPOCHS[[0] * 5], {"units": "s"})),
            "variable 'a' has an attribute 'units'",
        ),
        (lambda: example("SERIES").assign(a=("x", [1, "b", None, 2, 3])), "objects other than text"),
        (lambda: example("SERIES").assign(a=("x", np.array([b"x"] * 5))), "dtype .S1, which cannot be written"),
        (lambda: example("SERIES").assign(a=("x", np.ones(5, "longdouble"))), "dtype float128|dtype float64"),
        (lambda: example("SERIES").assign({"a b": 3}), "called 'a b', which cannot be written"),
        (lambda: example("SERIES").assign({"a/b": 3}), "called 'a/b'"),
        (
            lambda: example("POINTS").assign_coords(xr.Coordinates.from_pandas_multiindex(_index(), "k")),
            "has the MultiIndex",
        ),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path: Path, make: Callable[[], Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        save(make(), tmp_path / "a.nc")
    assert listed(tmp_path) == []


def _index() -> Any:
    import pandas as pd

    return pd.MultiIndex.from_product([[1, 2], [3, 4]], names=("i", "j"))


def test_parts_of_complex_need_their_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="variable 'slc_real', the name needed for a part of 'slc'"):
        save(example("SLC").assign(slc_real=3.0), tmp_path / "a.nc")
    save(example("SLC").assign(slc_real=3.0), tmp_path / "a.zarr")


# --- files that are not ours ----------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [None, {}])
@pytest.mark.parametrize("keep", [0.0, 0.1, 0.6, 0.99])
def test_truncated_netcdf_is_refused(tmp_path: Path, keep: float, chunks: Any) -> None:
    save(example("SERIES"), tmp_path / "a.nc")
    content = (tmp_path / "a.nc").read_bytes()
    (tmp_path / "a.nc").write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(FormatError, match=r"a.nc: not a readable NetCDF-4 file, it is damaged or something else"):
        open_native(tmp_path / "a.nc", chunks=chunks)


@pytest.mark.parametrize("chunks", [None, {}])
@pytest.mark.parametrize("lost", ["displacement/0.0.0", "time/0", ".zattrs", ".zgroup", "time"])
def test_incomplete_zarr_is_refused(tmp_path: Path, lost: str, chunks: Any) -> None:
    path = tmp_path / "a.zarr"
    save(example("SERIES"), path)
    victim = path / lost
    assert victim.exists()
    if victim.is_dir():
        shutil.rmtree(victim)
    else:
        victim.unlink()
    with pytest.raises(FormatError, match=r"a.zarr: "):
        open_native(path, chunks=chunks)


def test_empty_chunks_are_written(tmp_path: Path) -> None:
    """Zeros are data: a chunk of nothing else must lie in the store, or its loss could not be seen."""
    zeros = SERIES.stamp(
        xr.Dataset({"displacement": (("time", "point"), np.zeros((3, 4), "float32"))}, {"time": EPOCHS})
    )
    nothing = zeros * np.float32(np.nan)
    for number, dataset in enumerate((zeros, SERIES.stamp(nothing))):
        save(dataset, tmp_path / f"{number}.zarr")
        assert_same(open_native(tmp_path / f"{number}.zarr"), dataset)


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    dataset = example("SERIES").drop_attrs()
    dataset.to_netcdf(tmp_path / "plain.nc", engine="h5netcdf")
    dataset.to_zarr(tmp_path / "plain.zarr", zarr_format=2)
    (tmp_path / "text.nc").write_text("hello")
    (tmp_path / "empty.zarr").mkdir()
    for name, reason in {
        "plain.nc": "subsidence.save did not write it: its kind is None",
        "plain.zarr": "subsidence.save did not write it",
        "text.nc": "not a readable NetCDF-4 file",
        "empty.zarr": "not a readable Zarr store",
        "absent.nc": "no such file or folder",
        "absent.tif": "expected .nc or .zarr",
    }.items():
        with pytest.raises(FormatError, match=reason):
            open_native(tmp_path / name)


def test_later_layouts_and_invalid_content_are_refused(tmp_path: Path) -> None:
    import h5py

    save(example("SERIES"), tmp_path / "a.nc")
    shutil.copy(tmp_path / "a.nc", tmp_path / "b.nc")
    with h5py.File(tmp_path / "a.nc", "r+") as file:
        file.attrs["subsidence_format"] = 99
    with h5py.File(tmp_path / "b.nc", "r+") as file:
        file["displacement"].attrs["units"] = "mm"
    with pytest.raises(FormatError, match="a later subsidence wrote it"):
        open_native(tmp_path / "a.nc")
    with pytest.raises(FormatError, match="not a valid SERIES dataset: 'displacement' is in 'mm', expected 'm'"):
        open_native(tmp_path / "b.nc")
