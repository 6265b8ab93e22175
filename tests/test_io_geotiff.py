"""Folders of plain GeoTIFFs: names, signs, no data, lazy windows, and every way a folder can be wrong."""

from __future__ import annotations

import datetime as dt
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subsidence.errors import FormatError, InputError, SubsidenceError, SuspiciousDataWarning
from subsidence.io import open_interferograms
from subsidence.io._cube import Cube, chunk_shape
from subsidence.io._names import dates_in
from subsidence.io._raster import inspect
from subsidence.schema import INTERFEROGRAMS

rasterio = pytest.importorskip("rasterio", reason="the extra 'geo' reads GeoTIFFs")

UTM: dict[str, Any] = {"crs": "EPSG:32614", "transform": rasterio.Affine(30, 0, 5e5, 0, -30, 2.1e6)}
NAMES = ("20180106_20180130", "20180130_20180307", "20180106_20180307")
SHAPE = (6, 7)


def write(path: Path, values: np.ndarray, **options: Any) -> Path:
    profile = {**UTM, **options}
    path.parent.mkdir(parents=True, exist_ok=True)
    stacked = values if values.ndim == 3 else values[np.newaxis]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            "GTiff",
            stacked.shape[2],
            stacked.shape[1],
            stacked.shape[0],
            dtype=stacked.dtype.name,
            **{key: value for key, value in profile.items() if value is not None},
        ) as file:
            file.write(stacked)
    return path


def phases(number: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(number).normal(0, 6, shape).astype("float32")


def coherences(number: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(100 + number).uniform(0.05, 1, shape).astype("float32")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        write(tmp_path / f"{name}_unw.tif", phases(number))
        write(tmp_path / f"{name}_cc.tif", coherences(number))
    return tmp_path


def opened(path: Any, **options: Any) -> xr.Dataset:
    return open_interferograms(path, **{"wavelength": 0.0555, "chunks": None, "format": "geotiff", **options})


# --- what is read -------------------------------------------------------------------------------------


def test_pairs_are_sorted_and_values_kept(folder: Path) -> None:
    stack = opened(folder)
    INTERFEROGRAMS.check(stack)
    days = [tuple(str(stack[n].values[i])[:10] for n in ("reference", "secondary")) for i in range(3)]
    assert days == [("2018-01-06", "2018-01-30"), ("2018-01-06", "2018-03-07"), ("2018-01-30", "2018-03-07")]
    for position, number in enumerate((0, 2, 1)):
        np.testing.assert_array_equal(stack.unwrapped_phase[position], phases(number))
        np.testing.assert_array_equal(stack.coherence[position], coherences(number))
    np.testing.assert_allclose(stack.x, 5e5 + 30 * (np.arange(7) + 0.5))
    np.testing.assert_allclose(stack.y, 2.1e6 - 30 * (np.arange(6) + 0.5))
    assert "lon" not in stack.variables
    assert stack.x.attrs["units"] == "m"
    assert "EPSG" in stack.spatial_ref.attrs["crs_wkt"]
    assert stack.attrs["source_format"] == "geotiff"


@pytest.mark.parametrize(
    "name",
    [
        "20180106_20180130",
        "2018-01-06_2018-01-30",
        "geo_2018-01-06--2018-01-30.unw",
        "S1_20180106T004021_20180130T004020_VV_unw_phase",
        "track5.20180106.20180130",
        "x_2018_01_06__2018_01_30",
        "20180106_20180130/filt_fine_unw",
    ],
)
def test_dates_in_any_common_spelling(tmp_path: Path, name: str) -> None:
    write(tmp_path / f"{name}.tif", phases(1))
    stack = opened(tmp_path)
    assert str(stack.reference.values[0])[:10] == "2018-01-06"
    assert str(stack.secondary.values[0])[:10] == "2018-01-30"


@given(st.dates(dt.date(1990, 1, 1), dt.date(2099, 12, 31)), st.sampled_from(["", "-", "_", "."]))
def test_every_calendar_date_is_found(date: dt.date, mark: str) -> None:
    text = date.strftime(f"%Y{mark}%m{mark}%d")
    assert dates_in(f"a_{text}_b.tif") == [np.datetime64(date)]
    assert dates_in(f"9{text}7") == []


def test_impossible_dates_do_not_count() -> None:
    assert dates_in("20180230_20181301_20180131") == [np.datetime64("2018-01-31")]


def test_sign_towards_is_negated(folder: Path) -> None:
    np.testing.assert_array_equal(opened(folder, sign="towards").unwrapped_phase, -opened(folder).unwrapped_phase)
    assert opened(folder, sign="towards").attrs["source_sign"] == "towards"


def test_wrapped_phase_keeps_its_name(tmp_path: Path) -> None:
    wrapped = np.angle(np.exp(1j * phases(1))).astype("float32")
    write(tmp_path / "20180106_20180130_wrapped.tif", wrapped)
    stack = opened(tmp_path, unwrapped=False)
    np.testing.assert_array_equal(stack.phase[0], wrapped)
    assert "unwrapped_phase" not in stack


def test_nodata_of_the_file_of_the_caller_and_of_arithmetic(tmp_path: Path) -> None:
    values = phases(1)
    values[0, 0], values[0, 1], values[0, 2], values[0, 3] = -9999, 0, np.nan, np.inf
    write(tmp_path / "20180106_20180130.tif", values, nodata=-9999)
    with pytest.warns(SuspiciousDataWarning, match="exactly 0 at up to 2.4%"):
        nothing = np.isnan(opened(tmp_path).unwrapped_phase.values[0])
    assert np.argwhere(nothing).tolist() == [[0, 0], [0, 2], [0, 3]]
    nothing = np.isnan(opened(tmp_path, nodata=0).unwrapped_phase.values[0])
    assert np.argwhere(nothing).tolist() == [[0, 0], [0, 1], [0, 2], [0, 3]]


@pytest.mark.parametrize("side", ["YES", "NO"], ids=["inside", "beside"])
def test_mask_of_the_file_is_no_data(tmp_path: Path, side: str) -> None:
    values = phases(1, (40, 30))
    values[:3, :4] = -77  # what a writer leaves under its mask
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=side):
        path = write(tmp_path / "20180106_20180130_unw.tif", values, blockysize=7)
        with rasterio.open(path, "r+") as file:
            file.write_mask(values != -77)
    assert path.with_name(f"{path.name}.msk").exists() == (side == "NO")
    np.testing.assert_array_equal(opened(tmp_path).unwrapped_phase[0], np.where(values == -77, np.nan, values))
    window = np.where(values == -77, np.nan, values)[1:9, 2:]
    np.testing.assert_array_equal(Cube((inspect(path),), (1.0,))[0, 1:9, 2:], window)


def test_coherence_is_masked_with_the_phase(folder: Path) -> None:
    values = phases(0)
    values[2, 3] = 0
    write(folder / f"{NAMES[0]}_unw.tif", values, nodata=0)
    stack = opened(folder)
    assert np.argwhere(stack.coherence.isnull().values).tolist() == [[0, 2, 3]]


def test_scaled_coherence_of_uint8(folder: Path) -> None:
    for number, name in enumerate(NAMES):
        write(folder / f"{name}_cc.tif", np.rint(coherences(number) * 255).astype("uint8"))
    stack = opened(folder, coherence_scale=255)
    np.testing.assert_allclose(stack.coherence[0], coherences(0), atol=0.5 / 255 + 1e-6)


def test_integer_phase_with_scale_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "20180106_20180130.tif", (phases(1) * 100).astype("int16"), nodata=0)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (0.01,), (1.0,)
    np.testing.assert_allclose(
        opened(tmp_path).unwrapped_phase[0], (phases(1) * 100).astype("int16") * 0.01 + 1, rtol=1e-5
    )


def test_coherence_elsewhere_as_pattern_or_not_at_all(folder: Path) -> None:
    expected = opened(folder).coherence
    for name in NAMES:
        target = folder.parent / f"{folder.name}-quality" / f"{name}.quality.tif"
        target.parent.mkdir(exist_ok=True)
        (folder / f"{name}_cc.tif").rename(target)
    assert "coherence" not in opened(folder)
    xr.testing.assert_identical(opened(folder, coherence=target.parent).coherence, expected)
    xr.testing.assert_identical(opened(folder, coherence=sorted(target.parent.glob("*"))).coherence, expected)
    for path in target.parent.glob("*.tif"):
        path.rename(folder / path.name)
    xr.testing.assert_identical(opened(folder, coherence="*.quality.tif", phase="*_unw.tif").coherence, expected)
    assert "coherence" not in opened(folder, coherence=False, phase="*_unw.tif")


def test_list_of_files(folder: Path) -> None:
    stack = opened([folder / f"{NAMES[1]}_unw.tif", str(folder / f"{NAMES[1]}_cc.tif")])
    assert stack.sizes["pair"] == 1
    np.testing.assert_array_equal(stack.coherence[0], coherences(1))


def test_other_rasters_beside_are_left_alone(folder: Path) -> None:
    for name in ("amp", "conncomp", "lv_theta", "water_mask", "dem"):
        write(folder / f"{NAMES[0]}_{name}.tif", np.ones((3, 3), "float32"))
    write(folder / "mask.tif", np.ones((3, 3), "uint8"))
    assert opened(folder).sizes["pair"] == 3


def test_height_and_scalars(folder: Path) -> None:
    write(folder / "dem.tif", np.arange(42, dtype="int16").reshape(SHAPE), nodata=41)
    stack = opened(folder, height=folder / "dem.tif", incidence=39, slant_range=880e3, heading=-12, looks=9.4)
    assert stack.height.dtype == np.float32
    assert stack.height.values.ravel()[:3].tolist() == [0, 1, 2]
    assert np.isnan(stack.height.values[-1, -1])
    assert [float(stack[n]) for n in ("incidence", "slant_range", "heading", "looks")] == [39, 880e3, -12, 9.4]


def test_baselines_as_mapping_or_csv(folder: Path) -> None:
    given_ = {
        ("20180106", "20180130"): 30.0,
        "2018-03-07_2018-01-30": -5.0,  # the other order: negated
        (np.datetime64("2018-01-06"), np.datetime64("2018-03-07")): 35.5,
    }
    stack = opened(folder, perpendicular_baseline=given_)
    assert stack.perpendicular_baseline.values.tolist() == [30.0, 35.5, 5.0]
    table = folder / "baselines.csv"
    table.write_text(
        "reference, secondary, perpendicular_baseline\n20180106,2018-01-30,30\n"
        "20180307,20180130,-5\n20180106,20180307,35.5\n"
    )
    xr.testing.assert_identical(opened(folder, perpendicular_baseline=table), stack)


def test_raster_in_radar_coordinates_has_no_place_and_gives_no_warning(tmp_path: Path) -> None:
    write(tmp_path / "20180106_20180130.tif", phases(1), crs=None, transform=None)
    assert not {"x", "y", "spatial_ref"} & set(opened(tmp_path).variables)
    lazy = pytest.importorskip("dask", reason="the extra 'dask' makes reading lazy")
    assert lazy is not None
    np.testing.assert_array_equal(opened(tmp_path, chunks={"y": 2}).unwrapped_phase[0], phases(1))


def test_format_is_recognised(folder: Path) -> None:
    assert opened(folder, format=None).attrs["source_format"] == "geotiff"
    (folder / "notes.par").write_text("colour: blue\n")
    with pytest.raises(FormatError, match=r"found 6 GeoTIFFs \(.tif\) and 1 GAMMA parameter files.*format=\"gamma\""):
        opened(folder, format=None)


# --- lazy reading -------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_window_equals_the_whole(folder: Path, data: st.DataObject) -> None:
    cube = Cube(tuple(inspect(folder / f"{name}_unw.tif") for name in NAMES), (1.0, -1.0, 2.0))
    whole = np.stack([phases(n) * f for n, f in enumerate((1, -1, 2))]).astype("float32")
    key = tuple(data.draw(st.one_of(st.slices(size), st.integers(0, size - 1))) for size in whole.shape)
    np.testing.assert_array_equal(cube[key], whole[key])
    assert cube[key].shape == whole[key].shape


@pytest.mark.parametrize("tiling", [{}, {"tiled": True, "blockxsize": 16, "blockysize": 16}, {"compress": "deflate"}])
def test_chunked_equals_memory(tmp_path: Path, tiling: dict[str, Any]) -> None:
    pytest.importorskip("dask", reason="the extra 'dask' makes reading lazy")
    for number, name in enumerate(NAMES):
        values = phases(number, (50, 41))
        values[10:20, number] = 0
        write(tmp_path / f"{name}_unw.tif", values, nodata=0, **tiling)
        write(tmp_path / f"{name}_cc.tif", coherences(number, (50, 41)), **tiling)
    lazy = opened(tmp_path, chunks={"pair": 2, "y": 16, "x": -1})
    assert lazy.coherence.chunks == ((2, 1), (16, 16, 16, 2), (41,))
    assert int(lazy.coherence.isnull().sum()) == 30
    xr.testing.assert_identical(lazy.compute(), opened(tmp_path))


def test_automatic_chunks_hold_all_pairs_and_stay_bounded() -> None:
    assert chunk_shape("auto", (30, 60, 100), (20, 100)) == (30, 60, 100)
    strips = chunk_shape("auto", (174, 2000, 2000), (8, 2000))
    assert strips is not None
    assert strips[0] == 174
    assert strips[2] == 2000
    assert strips[1] % 8 == 0
    tiles = chunk_shape("auto", (174, 20000, 20000), (256, 256))
    assert tiles is not None
    assert tiles[1] % 256 == tiles[2] % 256 == 0
    for shape in (strips, tiles, chunk_shape("auto", (500, 30000, 30000), (30000, 30000))):
        assert shape is not None
        assert 2**24 < np.prod(shape) * 4 <= 2**26


def test_nothing_is_read_before_it_is_asked_for(folder: Path) -> None:
    pytest.importorskip("dask", reason="the extra 'dask' makes reading lazy")
    lazy = opened(folder, chunks={"pair": 1})
    (folder / f"{NAMES[0]}_unw.tif").unlink()
    assert lazy.isel(pair=2).unwrapped_phase.compute().notnull().all()
    with pytest.raises(FormatError, match=f"{NAMES[0]}_unw.tif: cannot be read"):
        lazy.isel(pair=0).unwrapped_phase.compute()


def test_a_file_that_changed_since_it_was_opened_is_refused(folder: Path) -> None:
    pytest.importorskip("dask", reason="the extra 'dask' makes reading lazy")
    lazy = opened(folder, chunks={"pair": 1})
    path = folder / f"{NAMES[0]}_unw.tif"
    before = path.stat()
    write(path, phases(7))  # as many bytes as before
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))
    write(folder / f"{NAMES[1]}_unw.tif", phases(8, (60, 70)))
    for pair, name in ((0, NAMES[0]), (2, NAMES[1])):  # pairs are sorted by date
        with pytest.raises(FormatError, match=f"{name}_unw.tif: it changed since it was opened .*: open the stack ag"):
            lazy.isel(pair=pair).unwrapped_phase.compute()
    np.testing.assert_array_equal(lazy.isel(pair=1).unwrapped_phase, phases(2))


def test_coherence_out_of_range_is_noticed_when_read(tmp_path: Path) -> None:
    pytest.importorskip("dask", reason="the extra 'dask' makes reading lazy")
    shape = (3000, 1000)
    values = np.full(shape, 0.5, "float32")
    values[1500, 10] = 77.0  # between the bands that are looked at when the file is opened
    write(tmp_path / f"{NAMES[0]}_unw.tif", np.ones(shape, "float32"), compress="deflate")
    path = write(tmp_path / f"{NAMES[0]}_cc.tif", values, compress="deflate", blockysize=1)
    lazy = opened(tmp_path, chunks={"y": 500})
    assert float(lazy.coherence[0, 0, 0].compute()) == 0.5
    with pytest.raises(FormatError, match=f"{path.name}: coherence lies between 0.5 and 77, expected 0..1"):
        lazy.coherence.compute()


# --- what is refused ----------------------------------------------------------------------------------


def rewrite(name: str, **options: Any) -> Callable[[Path], object]:
    return lambda folder: write(folder / name, phases(9), **options)


def cut(name: str, keep: float) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * keep)])

    return change


SECOND = f"{NAMES[1]}_unw.tif"
ELSEWHERE = rasterio.Affine(30, 0, 5e5 + 15, 0, -30, 2.1e6)
FINER = rasterio.Affine(15, 0, 5e5, 0, -15, 2.1e6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (cut(SECOND, 0.9), rf"{SECOND}: truncated: its last strip or tile ends at byte \d+, the file has \d+"),
        (cut(SECOND, 0.1), rf"{SECOND}: not a whole GeoTIFF, it is truncated or damaged"),
        (cut(f"{NAMES[2]}_cc.tif", 0.9), rf"{NAMES[2]}_cc.tif: truncated"),
        (lambda f: (f / SECOND).write_bytes(b""), rf"{SECOND}: not a GeoTIFF"),
        (lambda f: (f / SECOND).write_text("hello, world"), rf"{SECOND}: not a GeoTIFF"),
        (lambda f: write(f / SECOND, phases(1, (5, 7))), rf"{SECOND}: its grid differs .*{NAMES[0]}_unw.tif: 5 x 7"),
        (rewrite(SECOND, transform=ELSEWHERE), rf"{SECOND}: its grid differs .*{NAMES[0]}_unw.tif: transform"),
        (rewrite(SECOND, transform=FINER), "its grid differs"),
        (rewrite(SECOND, crs="EPSG:32615"), "coordinate system WGS 84 / UTM zone 15N, expected WGS 84 / UTM zone 14N"),
        (rewrite(SECOND, crs=None), "coordinate system none, expected"),
        (rewrite(f"{NAMES[1]}_cc.tif", transform=ELSEWHERE), rf"{NAMES[1]}_cc.tif: its grid differs"),
        (rewrite(SECOND, transform=rasterio.Affine.rotation(10) @ ELSEWHERE), "its grid is rotated"),
        (lambda f: write(f / SECOND, np.stack([phases(1)] * 2)), "it has 2 bands, expected one"),
        (lambda f: write(f / SECOND, phases(1).astype("complex64")), "its values are complex64, expected real"),
        (rewrite(f"again/{NAMES[1]}_unw.tif"), rf"pair 2018-01-30 to 2018-03-07 is there twice, also in .*{SECOND}"),
        (rewrite("20180307_20180130_unw.tif"), "is there twice"),
        (rewrite(f"again/{NAMES[1]}_cc.tif"), "is there twice"),
        (rewrite("20180106_20180106_unw.tif"), "carries the date 2018-01-06 twice"),
        (rewrite("final_unw.tif"), r"final_unw.tif: its name carries 0 date\(s\), expected the two of a pair"),
        (rewrite("20180106_20180130_20180307_unw.tif"), r"its name carries 3 date\(s\)"),
        (lambda f: (f / f"{NAMES[1]}_cc.tif").unlink(), "1 of 3 pairs have a phase but no coherence .2018-01-30 to"),
        (
            lambda f: write(f / f"{NAMES[1]}_cc.tif", (coherences(1) * 255).astype("uint8")),
            rf"{NAMES[1]}_cc.tif: coherence is stored as uint8.*coherence_scale",
        ),
        (
            lambda f: write(f / f"{NAMES[1]}_cc.tif", coherences(1) * 255),
            "coherence lies between .* expected 0..1; it looks like 0..255: pass coherence_scale=255",
        ),
        (lambda f: write(f / f"{NAMES[1]}_cc.tif", phases(1)), "is it coherence"),
        (
            lambda f: [write(f / f"{n}_unw.tif", np.full(SHAPE, np.nan, "float32")) for n in NAMES],
            "every pixel of all 3",
        ),
        (
            lambda f: [write(f / f"{n}_unw.tif", np.zeros(SHAPE, "float32"), nodata=0) for n in NAMES],
            "every pixel of all",
        ),
        (lambda f: [p.unlink() for p in f.iterdir()], r"no GeoTIFF \(.tif\) in the folder"),
        (
            lambda f: [p.rename(f / f"{n}.tif") for n, p in enumerate(sorted(f.iterdir()))],
            "none of its 6 GeoTIFFs is a ph",
        ),
    ],
)
def test_bad_folders_are_refused(folder: Path, change: Callable[[Path], object], reason: str) -> None:
    change(folder)
    for chunks in (None, "auto"):
        with pytest.raises(FormatError, match=reason):
            opened(folder, chunks=chunks)


def test_damage_inside_a_file_is_refused(folder: Path) -> None:
    path = write(folder / SECOND, phases(1), compress="deflate")
    content = bytearray(path.read_bytes())
    content[-60:] = b"\x55" * 60
    path.write_bytes(content)
    with pytest.raises(FormatError, match=f"{SECOND}: cannot be read: missing, truncated or damaged"):
        opened(folder)


def test_feet_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "20180106_20180130.tif", phases(1), crs="EPSG:2263")
    with pytest.raises(FormatError, match="counts in US survey foot, expected metres"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"wavelength": None}, r"a GeoTIFF does not tell the radar wavelength: pass wavelength= in metres"),
        ({"wavelength": 5.55}, "wavelength must be in metres, between 0.005 and 2, got 5.55"),
        ({"wavelength": -1}, "wavelength must be positive"),
        ({"wavelength": "short"}, "wavelength must be a finite number"),
        ({"incidence": np.deg2rad(39)}, "looks like radians"),
        ({"incidence": 120}, "incidence must be in degrees from the vertical, up to 90"),
        ({"slant_range": 0}, "slant_range must be positive"),
        ({"slant_range": 880}, "'slant_range' lies between 880 and 880"),
        ({"heading": np.nan}, "heading must be a finite number"),
        ({"sign": "up"}, "sign must be 'away' or 'towards', got 'up'"),
        ({"format": "isce"}, "format must be 'gamma' or 'geotiff', got 'isce'"),
        ({"coherence_scale": 0}, "coherence_scale must be positive"),
        ({"nodata": "zero"}, "nodata must be a finite number"),
        ({"chunks": 512}, "chunks must be 'auto', None or sizes for 'pair', 'y', 'x'"),
        ({"chunks": {"time": 3}}, "chunks must be"),
        ({"chunks": {"y": 0}}, "chunks must be"),
        ({"chunks": {"y": "big"}}, "chunks must be"),
        ({"phase": "*_nothing.tif"}, "names like '\\*_nothing.tif'"),
        ({"coherence": "*_nothing.tif"}, "no GeoTIFF matches coherence="),
        ({"height": "nowhere/dem.tif"}, "cannot be opened"),
        ({"perpendicular_baseline": {("20180106", "20180130"): 1.0}}, "perpendicular_baseline lacks 2 of 3 pairs"),
        ({"perpendicular_baseline": {"20180106": 1.0}}, "needs pairs of dates as keys"),
        ({"perpendicular_baseline": {"20180106_20180130": "far"}}, "must be a number of metres"),
        ({"perpendicular_baseline": {"20180106_20180130": np.nan}}, "one finite number of metres"),
        ({"perpendicular_baseline": "nowhere.csv"}, "nowhere.csv: cannot be read as CSV"),
        ({"unwrapped": False, "phase": "*unw.tif"}, "wrapped phase stays within"),
    ],
)
def test_bad_arguments_are_refused(folder: Path, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(SubsidenceError, match=reason):
        opened(folder, **options)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,b\n1,2\n", r"its columns are \['a', 'b'\], expected reference, secondary"),
        ("reference,secondary,perpendicular_baseline\n20180106,20180130,far\n", "is 'far', expected metres"),
        ("reference,secondary,perpendicular_baseline\n" + "20180106,20180130,1\n" * 2, "is there twice"),
        ("", "its columns are None"),
    ],
)
def test_bad_baseline_tables_are_refused(folder: Path, text: str, reason: str) -> None:
    (folder / "b.csv").write_text(text)
    with pytest.raises(FormatError, match=reason):
        opened(folder, perpendicular_baseline=folder / "b.csv")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nowhere", "no such file or folder"),
        (["nowhere.tif"], "no such file"),
        ([], "path is an empty list"),
        (3, "path must be a folder or a list of files"),
        ([3], "path must be a folder or a list of files"),
    ],
)
def test_bad_paths_are_refused(path: Any, reason: str) -> None:
    with pytest.raises(SubsidenceError, match=reason):
        opened(path)


def test_own_file_is_pointed_to_open(tmp_path: Path) -> None:
    (tmp_path / "series.nc").write_bytes(b"x")
    with pytest.raises(FormatError, match=r"is read with subsidence.open"):
        opened(tmp_path / "series.nc")


def test_errors_name_the_path_and_survive_pickling(folder: Path) -> None:
    cut(SECOND, 0.9)(folder)
    with pytest.raises(FormatError) as caught:
        opened(folder)
    assert caught.value.path == folder / SECOND
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_missing_wavelength_is_no_input_of_zero(folder: Path) -> None:
    with pytest.raises(InputError):
        opened(folder, wavelength=0)


# --- what is doubted ----------------------------------------------------------------------------------


def test_reversed_name_negates(tmp_path: Path) -> None:
    write(tmp_path / "20180130_20180106_unw.tif", phases(1))
    with pytest.warns(SuspiciousDataWarning, match=r"later date first \(20180130_20180106_unw.tif\)") as caught:
        stack = opened(tmp_path, sign="towards")
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(stack.unwrapped_phase[0], phases(1))
    assert stack.reference.values[0] < stack.secondary.values[0]


def test_many_undeclared_zeros_are_doubted(tmp_path: Path) -> None:
    values = phases(1, (100, 100))
    values[:2, :10] = 0
    write(tmp_path / "20180106_20180130_unw.tif", values)
    with pytest.warns(SuspiciousDataWarning, match=r"exactly 0 at up to 0.2% .*20180106_20180130_unw.tif.*nodata=0"):
        stack = opened(tmp_path)
    assert stack.unwrapped_phase.notnull().all()
    assert int(opened(tmp_path, nodata=0).unwrapped_phase.isnull().sum()) == 20
    values[:2, :10] = 1
    values[0, :10] = 0  # 0.1 %: as chance may have it
    write(tmp_path / "20180106_20180130_unw.tif", values)
    opened(tmp_path)


@pytest.mark.parametrize("declared", [np.nan, -9999.0])
def test_zeros_are_doubted_where_another_nodata_is_declared(tmp_path: Path, declared: float) -> None:
    for number, name in enumerate(NAMES):
        values = phases(number, (30, 40))
        values[5:9, 5:9] = 0 if number < 2 else values[5:9, 5:9]
        values[20, 20] = declared
        write(tmp_path / f"{name}_unw.tif", values, nodata=declared)
    with pytest.warns(SuspiciousDataWarning, match=r"2 of 3 phases are exactly 0 at up to 1.3% .*nodata=0"):
        stack = opened(tmp_path)
    assert stack.unwrapped_phase.isnull().sum(["y", "x"]).values.tolist() == [1, 1, 1]
    stack = opened(tmp_path, nodata=0)
    assert stack.unwrapped_phase.isnull().sum(["y", "x"]).values.tolist() == [17, 1, 17], "sorted by date"
    opened([tmp_path / f"{NAMES[2]}_unw.tif"])  # no zeros, no doubt


def test_wrapped_phase_given_as_unwrapped_is_doubted(tmp_path: Path) -> None:
    write(tmp_path / "20180106_20180130.tif", np.angle(np.exp(1j * phases(1, (50, 50)))).astype("float32"))
    with pytest.warns(SuspiciousDataWarning, match="as wrapped phase does: pass unwrapped=False"):
        opened(tmp_path)


def test_all_nan_is_found_beyond_what_is_looked_at_on_opening(tmp_path: Path) -> None:
    values = np.full((3000, 1000), np.nan, "float32")
    values[1500, 3] = 1.0
    write(tmp_path / "20180106_20180130.tif", values, compress="deflate", blockysize=1)
    assert int(opened(tmp_path).unwrapped_phase.notnull().sum()) == 1
