"""Reading a folder of GAMMA: the Mexico City stack as it lies, and small folders made for the purpose."""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from subsidence.errors import FormatError
from subsidence.io import open_interferograms
from subsidence.io._gamma import table_baseline, vector_baseline
from subsidence.schema import INTERFEROGRAMS

rasterio = pytest.importorskip("rasterio", reason="the extra 'geo' reads GeoTIFFs")

FIRST = "20180106-20180130"


@pytest.fixture(scope="module")
def mexico(mexico_dir: Path) -> xr.Dataset:
    return open_interferograms(mexico_dir, format="gamma", chunks=None)


def _raw(folder: Path, pattern: str) -> np.ndarray:
    (path,) = folder.rglob(pattern)
    with rasterio.open(path) as source:
        return source.read(1)


def _par(folder: Path, name: str) -> dict[str, str]:
    text = (folder / "headers" / name).read_text()
    return {key.strip(): value for key, _, value in (line.partition(":") for line in text.splitlines())}


def test_mexico_is_30_pairs_of_13_epochs(mexico: xr.Dataset) -> None:
    INTERFEROGRAMS.check(mexico)
    assert dict(mexico.sizes) == {"pair": 30, "y": 60, "x": 100}
    assert np.unique([mexico.reference, mexico.secondary]).size == 13
    assert (mexico.reference < mexico.secondary).all()
    order = list(zip(mexico.reference.values, mexico.secondary.values, strict=True))
    assert order == sorted(order)
    assert mexico.unwrapped_phase.dtype == mexico.coherence.dtype == np.float32


def test_values_are_those_of_the_files(mexico: xr.Dataset, mexico_dir: Path) -> None:
    for number in (0, 13, 29):
        pair = mexico.isel(pair=number)
        dates = "-".join(
            np.datetime_as_string(pair[n].values, "D").replace("-", "") for n in ("reference", "secondary")
        )
        phase = _raw(mexico_dir, f"*{dates}*unw.tif")
        coherence = _raw(mexico_dir, f"*{dates}*cc.tif")
        np.testing.assert_array_equal(pair.unwrapped_phase, np.where(phase == 0, np.nan, phase))
        nothing = (phase == 0) | (coherence == 0)
        np.testing.assert_array_equal(pair.coherence, np.where(nothing, np.nan, coherence))


def test_pixels_without_data_are_the_documented_ones(mexico: xr.Dataset) -> None:
    missing = mexico.unwrapped_phase.isnull().sum("pair")
    assert int((missing == 30).sum()) == 96
    assert int(((missing > 0) & (missing < 30)).sum()) == 22
    assert not mexico.coherence.where(mexico.unwrapped_phase.isnull()).notnull().any()


def test_heights_and_place(mexico: xr.Dataset, mexico_dir: Path) -> None:
    np.testing.assert_array_equal(mexico.height, _raw(mexico_dir, "*dem.tif"))
    dem = _par(mexico_dir, "cropA_20180106_VV_8rlks_eqa_dem.par")
    corner = {key: float(dem[key].split()[0]) for key in ("corner_lat", "corner_lon", "post_lat", "post_lon")}
    # The GeoTIFFs of this set were written with the corner of dem.par as the outer corner of the first pixel.
    assert float(mexico.lon[0]) == pytest.approx(corner["corner_lon"] + corner["post_lon"] / 2, abs=1e-9)
    assert float(mexico.lat[0]) == pytest.approx(corner["corner_lat"] + corner["post_lat"] / 2, abs=1e-9)
    assert float(mexico.lat[-1]) == pytest.approx(corner["corner_lat"] + 59.5 * corner["post_lat"], abs=1e-6)
    np.testing.assert_array_equal(mexico.lon, mexico.x)
    np.testing.assert_array_equal(mexico.lat, mexico.y)
    assert mexico.x.attrs["units"] == "degrees_east"
    assert mexico.spatial_ref.dtype == np.int64
    assert rasterio.crs.CRS.from_wkt(mexico.spatial_ref.attrs["crs_wkt"]).to_epsg() == 4326
    assert mexico.unwrapped_phase.attrs["grid_mapping"] == "spatial_ref"


# affine's own advice to rioxarray, not to us
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
def test_rioxarray_understands_the_place(mexico: xr.Dataset, mexico_dir: Path) -> None:
    pytest.importorskip("rioxarray", reason="the extra 'geo' has rioxarray")
    with rasterio.open(next(mexico_dir.rglob("*unw.tif"))) as source:
        assert mexico.unwrapped_phase.rio.crs == source.crs
        assert mexico.unwrapped_phase.rio.transform().almost_equals(source.transform, precision=1e-12)


def test_wavelength_uses_the_exact_speed_of_light(mexico: xr.Dataset) -> None:
    assert float(mexico.wavelength) == pytest.approx(299_792_458 / 5.4050005e9, rel=1e-12)
    assert float(mexico.wavelength) != pytest.approx(3e8 / 5.4050005e9, rel=1e-4)


def test_geometry_agrees_with_orbit_and_ellipsoid(mexico: xr.Dataset, mexico_dir: Path) -> None:
    """Incidence, range and heading from the state vectors and the centre's coordinates, nothing of GAMMA's."""
    header = _par(mexico_dir, "r20180106_VV_8rlks_mli.par")

    def numbers(key: str) -> np.ndarray:
        return np.array([float(word) for word in header[key].split()[:3] if not word.isalpha()])

    start, centre = numbers("time_of_first_state_vector")[0], numbers("center_time")[0]
    step = numbers("state_vector_interval")[0]
    times = start + step * np.arange(6)
    positions = np.array([numbers(f"state_vector_position_{n}") for n in range(1, 7)])
    velocities = np.array([numbers(f"state_vector_velocity_{n}") for n in range(1, 7)])
    satellite, velocity = (
        np.array([np.polyval(np.polyfit(times - centre, values[:, axis], 4), 0.0) for axis in range(3)])
        for values in (positions, velocities)
    )
    lat, lon = np.deg2rad(numbers("center_latitude")[0]), np.deg2rad(numbers("center_longitude")[0])
    a, f = 6378137.0, 1 / 298.257223563
    e2 = f * (2 - f)
    n = a / np.sqrt(1 - e2 * np.sin(lat) ** 2)
    target = np.array([n * np.cos(lat) * np.cos(lon), n * np.cos(lat) * np.sin(lon), n * (1 - e2) * np.sin(lat)])
    up = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    sight = satellite - target
    assert float(mexico.slant_range) == pytest.approx(np.linalg.norm(sight), abs=200.0)
    incidence = np.rad2deg(np.arccos(sight @ up / np.linalg.norm(sight)))
    assert float(mexico.incidence) == pytest.approx(incidence, abs=0.05)
    azimuth = np.arctan2(satellite[1], satellite[0])
    colatitude = np.arcsin(satellite[2] / np.linalg.norm(satellite))
    east = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    north = np.array([-np.sin(colatitude) * np.cos(azimuth), -np.sin(colatitude) * np.sin(azimuth), np.cos(colatitude)])
    # clockwise from north; the direction of flight turns by some tenths of a degree between nadir and target
    assert float(mexico.heading) == pytest.approx(np.rad2deg(np.arctan2(velocity @ east, velocity @ north)), abs=1.0)
    assert np.sign(float(mexico.heading)) == -1


def test_independent_looks_are_fewer_than_nominal(mexico: xr.Dataset) -> None:
    # 8 x 2 looks; resolution c / (2 * 56.5 MHz) in range, one over 327 Hz in azimuth time
    in_range = 8 * 2.329562 / (299_792_458 / (2 * 56.5e6))
    in_azimuth = 2 * 2.0555563e-3 * 327.0
    assert float(mexico.looks) == pytest.approx(in_range * in_azimuth, rel=1e-3)


def test_baseline_of_one_pair_by_hand(mexico: xr.Dataset, mexico_dir: Path) -> None:
    text = (mexico_dir / "geometry" / f"{FIRST}_VV_8rlks_bperp.par").read_text()
    assert "interferogram lines: 4541   range samples/line: 8514" in text

    def bperp(line: int, sample: int) -> float:
        (row,) = re.findall(rf"^\s*{line}\s+{sample}\s+(.*)$", text, flags=re.MULTILINE)
        return float(row.split()[-2])

    down, right = (4541 / 2 - 2000) / 500, (8514 / 2 - 4200) / 200
    upper = bperp(2000, 4200) * (1 - right) + bperp(2000, 4400) * right
    lower = bperp(2500, 4200) * (1 - right) + bperp(2500, 4400) * right
    expected = upper * (1 - down) + lower * down
    assert float(mexico.perpendicular_baseline[0]) == pytest.approx(expected, abs=1e-9)
    assert expected == pytest.approx(30.19, abs=0.01)


def test_tables_and_vectors_agree_on_every_pair(mexico: xr.Dataset, mexico_dir: Path) -> None:
    look = np.rad2deg(np.arcsin(6375868.94 / 7073899.2 * np.sin(np.deg2rad(39.7044))))
    tables = sorted((mexico_dir / "geometry").glob("*bperp.par"))
    assert len(tables) == 30
    for number, path in enumerate(tables):
        vector = vector_baseline(path.with_name(path.name.replace("bperp", "base")), look)
        assert vector == pytest.approx(table_baseline(path), abs=0.1)
        assert float(mexico.perpendicular_baseline[number]) == table_baseline(path)


def test_baselines_close_around_triplets(mexico: xr.Dataset) -> None:
    """A wrong sign for some pairs would break the sums; the precision refinement leaves a metre at most."""
    known = {
        (first, second): float(value)
        for first, second, value in zip(
            mexico.reference.values, mexico.secondary.values, mexico.perpendicular_baseline.values, strict=True
        )
    }
    sums = [known[a, b] + known[b, c] - known[a, c] for a, b in known for x, c in known if x == b and (a, c) in known]
    assert len(sums) > 5
    assert np.abs(sums).max() < 1.5


def test_lazy_equals_memory_and_survives_schedulers(mexico: xr.Dataset, mexico_dir: Path) -> None:
    dask = pytest.importorskip("dask", reason="the extra 'dask' makes reading lazy")
    lazy = open_interferograms(mexico_dir, chunks={"y": 25, "x": 40})
    assert lazy.unwrapped_phase.chunksizes == {"pair": (30,), "y": (25, 25, 10), "x": (40, 40, 20)}
    xr.testing.assert_identical(lazy.compute(), mexico)
    with dask.config.set(scheduler="processes", num_workers=1):
        xr.testing.assert_identical(
            lazy.isel(pair=3, y=slice(20, 30), x=slice(50, 0, -7)).compute(),
            mexico.isel(pair=3, y=slice(20, 30), x=slice(50, 0, -7)),
        )


def test_lazy_reads_on_a_cluster_of_processes(mexico: xr.Dataset, mexico_dir: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra 'dask' brings distributed")
    lazy = open_interferograms(mexico_dir, chunks={"y": 30})
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster,
        distributed.Client(cluster),
    ):
        xr.testing.assert_identical(lazy.compute(), mexico)


def test_auto_is_lazy_and_whole_pairs_in_one_chunk(mexico_dir: Path) -> None:
    pytest.importorskip("dask", reason="the extra 'dask' makes reading lazy")
    lazy = open_interferograms(mexico_dir)
    assert lazy.unwrapped_phase.chunks is not None
    assert lazy.unwrapped_phase.chunksizes["pair"] == (30,)
    assert isinstance(lazy.perpendicular_baseline.data, np.ndarray)


def test_mexico_as_plain_geotiffs_is_the_same(mexico: xr.Dataset, mexico_dir: Path) -> None:
    plain = open_interferograms(mexico_dir, format="geotiff", wavelength=0.0555, chunks=None)
    np.testing.assert_array_equal(plain.unwrapped_phase, mexico.unwrapped_phase)
    np.testing.assert_array_equal(plain.coherence, mexico.coherence)
    assert float(plain.wavelength) == 0.0555
    assert "perpendicular_baseline" not in plain.variables


def test_what_the_caller_gives_goes_before_the_headers(mexico_dir: Path) -> None:
    stack = open_interferograms(mexico_dir, wavelength=0.0556, incidence=31.0, slant_range=803e3, chunks=None)
    assert [float(stack[name]) for name in ("wavelength", "incidence", "slant_range")] == [0.0556, 31.0, 803e3]


# --- small folders ------------------------------------------------------------------------------------

HEADER = """Gamma Interferometric SAR Processor (ISP) - Image Parameter File
date:      2018 01 06
azimuth_line_time:     4.1111126e-03   s
range_samples:                  100
azimuth_lines:                  50
range_looks:                       8
azimuth_looks:                     2
heading:                 -12.2742586   degrees
range_pixel_spacing:       18.636496   m
center_range_slc:         878314.5356  m
incidence_angle:             39.7036   degrees
radar_frequency:        5.4050005e+09  Hz
chirp_bandwidth:        5.6500000e+07  Hz
azimuth_proc_bandwidth:     327.00000  Hz
sar_to_earth_center:             7073899.1954   m
earth_radius_below_sensor:       6375868.9414   m
"""
VECTOR = """initial_baseline(TCN):         -0.1  100.0  10.0   m   m   m
initial_baseline_rate:          0.0  0.06  0.01   m/s m/s m/s
precision_baseline(TCN):        0.0  {c}  {n}   m   m   m
"""
COS, SIN = np.cos(np.deg2rad(35.1526)), np.sin(np.deg2rad(35.1526))


def write_tif(path: Path, values: np.ndarray, **options: object) -> Path:
    profile = {"crs": "EPSG:32614", "transform": rasterio.Affine(30, 0, 5e5, 0, -30, 2.1e6), **options}
    values = np.atleast_2d(values)
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", "GTiff", values.shape[1], values.shape[0], 1, dtype=values.dtype.name, **profile
    ) as file:
        file.write(values, 1)
    return path


@pytest.fixture
def gamma(tmp_path: Path) -> Path:
    """Two pairs, one of them reversed in its name, with base.par only."""
    rng = np.random.default_rng(1)
    for name in (FIRST, "20180211-20180130"):
        write_tif(tmp_path / f"{name}_unw.tif", rng.normal(0, 5, (4, 5)).astype("float32"))
        write_tif(tmp_path / f"{name}_cc.tif", rng.uniform(0.1, 1, (4, 5)).astype("float32"))
        (tmp_path / f"{name}_base.par").write_text(VECTOR.format(c=50.0, n=-20.0))
    (tmp_path / "r20180106.mli.par").write_text(HEADER)
    return tmp_path


def _opened(folder: Path) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return open_interferograms(folder, chunks=None)


def test_reversed_pair_is_put_in_order(gamma: Path) -> None:
    with pytest.warns(UserWarning, match=r"1 of 2 names give the later date first \(20180211-20180130_unw.tif\)"):
        stack = open_interferograms(gamma, chunks=None)
    assert stack.secondary.values[1] == np.datetime64("2018-02-11")
    np.testing.assert_array_equal(stack.unwrapped_phase[1], -_raw(gamma, "20180211*unw.tif"))
    forward = 50.0 * COS + 20.0 * SIN
    np.testing.assert_allclose(stack.perpendicular_baseline, [forward, -forward], atol=1e-3)
    assert stack.attrs["swapped_pairs"] == "2018-01-30 2018-02-11"


def test_initial_baseline_when_precision_was_never_set(gamma: Path) -> None:
    (gamma / f"{FIRST}_base.par").write_text(VECTOR.format(c=0.0, n=0.0))
    assert float(_opened(gamma).perpendicular_baseline[0]) == pytest.approx(100 * COS - 10 * SIN, abs=1e-2)


def test_zero_is_no_data_even_when_undeclared(gamma: Path) -> None:
    values = np.arange(20, dtype="float32").reshape(4, 5)
    write_tif(gamma / f"{FIRST}_unw.tif", values)
    stack = _opened(gamma)
    assert np.isnan(stack.unwrapped_phase.values[0, 0, 0])
    assert np.isnan(stack.coherence.values[0, 0, 0])
    assert int(stack.unwrapped_phase[0].isnull().sum()) == 1


def test_baselines_are_optional_but_not_for_some_pairs_only(gamma: Path) -> None:
    (gamma / f"{FIRST}_base.par").unlink()
    with pytest.raises(FormatError, match=r"1 of 2 pairs have no base.par or bperp.par \(2018-01-06 to 2018-01-30\)"):
        _opened(gamma)
    (gamma / "20180211-20180130_base.par").unlink()
    assert "perpendicular_baseline" not in _opened(gamma).variables


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda f: (f / "r20180106.mli.par").write_text(HEADER.replace("radar_frequency", "colour")),
            "cannot tell its",
        ),
        (
            lambda f: (f / "r2.slc.par").write_text(HEADER.replace("5.4050005e+09", "1.27e+09")),
            "two sensors in one stack",
        ),
        (
            lambda f: (f / "r2.mli.par").write_text(HEADER.replace("incidence_angle", "angle")),
            "incidence_angle is miss",
        ),
        (lambda f: (f / "r20180106.mli.par").write_text(HEADER.replace("sar_to", "far_to")), "look angle"),
        (lambda f: (f / f"{FIRST}_base.par").write_text("nothing\n"), "holds no baseline vector"),
        (lambda f: (f / f"{FIRST}_bperp.par").write_text("nothing\n"), "not a table of perpendicular baselines"),
        (lambda f: (f / f"{FIRST}_cc.tif").unlink(), "1 of 2 pairs have a phase but no coherence"),
        (lambda f: [write_tif(f / f"{n}_dem.tif", np.ones((4, 5), "float32")) for n in "ab"], "2 rasters of height"),
        (lambda f: write_tif(f / "a_dem.tif", np.ones((3, 5), "float32")), "3 x 5 pixels, expected 4 x 5"),
        (lambda f: [p.unlink() for p in f.glob("*.tif")], "cannot tell|no GeoTIFF"),
    ],
)
def test_bad_folders_are_refused(gamma: Path, change: object, reason: str) -> None:
    change(gamma)  # type: ignore[operator]  # a callable from the table above
    with pytest.raises(FormatError, match=reason):
        _opened(gamma)


def test_folder_of_raw_binaries_is_refused(gamma: Path) -> None:
    for path in gamma.glob("*.tif"):
        path.rename(path.with_suffix(".unw"))
    with pytest.raises(
        FormatError, match=r"no GeoTIFF \(.tif\) in the folder: GAMMA's raw binary rasters are not read"
    ):
        open_interferograms(gamma)


def test_gamma_without_header_is_refused(gamma: Path) -> None:
    (gamma / "r20180106.mli.par").unlink()
    with pytest.raises(FormatError, match=r"no parameter file .* radar_frequency, so the wavelength is unknown"):
        open_interferograms(gamma, format="gamma")


def test_truncated_table_is_refused(mexico_dir: Path, tmp_path: Path) -> None:
    name = f"{FIRST}_VV_8rlks_bperp.par"
    lines = (mexico_dir / "geometry" / name).read_text().splitlines(keepends=True)
    (tmp_path / name).write_text("".join(lines[:200]))
    with pytest.raises(FormatError, match="its table is not whole"):
        table_baseline(tmp_path / name)


def test_truncated_phase_in_mexico_is_refused(mexico_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mexico"
    shutil.copytree(mexico_dir, folder, copy_function=shutil.copyfile)
    victim = next((folder / "geotiffs").glob("*unw.tif"))
    (folder / "geotiffs").chmod(0o755)
    victim.write_bytes(victim.read_bytes()[:-500])
    with pytest.raises(FormatError, match=rf"{victim.name}: truncated"):
        open_interferograms(folder)
