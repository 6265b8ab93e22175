"""Velocity and its error, the atmosphere of each epoch, the reference of a series."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special, stats

from subsidence.errors import InputError, SchemaError
from subsidence.series import add_atmospheric_variance, confidence_interval, estimate_velocity, set_reference

START = np.datetime64("2018-01-06", "ns")
DAY = np.timedelta64(1, "D")
ESTIMATES = [
    {},
    {"seasonal": True, "acceleration": True},
    {"robust": True},
    {"noise": "autocorrelated"},
    {"noise": "autocorrelated", "seasonal": True},
]


def make(values: np.ndarray, revisits: np.ndarray | None = None) -> xr.Dataset:
    revisits = np.arange(len(values)) if revisits is None else revisits
    dims = ("time", "y", "x")[: values.ndim] if values.ndim != 2 else ("time", "point")
    return xr.Dataset({"displacement": (dims, values)}, {"time": START + revisits * 12 * DAY})


def years(series: xr.Dataset) -> np.ndarray:
    return (series.time.values - series.time.values[0]) / DAY / 365.25


def ar1(rng: np.random.Generator, revisits: np.ndarray, rho: float, count: int) -> np.ndarray:
    noise = rng.standard_normal((revisits.size, count))
    for i in range(1, revisits.size):
        a = rho ** (revisits[i] - revisits[i - 1])
        noise[i] = a * noise[i - 1] + np.sqrt(1 - a * a) * noise[i]
    return noise


@pytest.fixture(scope="module")
def gappy() -> xr.Dataset:
    """40 epochs of 90 points at uneven times, correlated noise, a fifth NaN."""
    rng = np.random.default_rng(7)
    revisits = np.concatenate([[0], np.sort(rng.choice(np.arange(1, 60), 39, replace=False))])
    values = 0.004 * ar1(rng, revisits, 0.4, 90) + rng.normal(0, 0.03, 90) * revisits[:, None] * 12 / 365.25
    values[1:][rng.random((39, 90)) < 0.2] = np.nan
    values[:, 5] = np.nan
    values[2:, 6] = np.nan
    return make(values, revisits)


# White noise


def test_mexico(mexico_dir):
    reference = mexico_dir / "reference"
    dates = sorted(
        {part for path in (mexico_dir / "geotiffs").glob("*unw.tif") for part in path.name.split("_")[1].split("-")}
    )
    time = np.array([f"{d[:4]}-{d[4:6]}-{d[6:]}" for d in dates], "M8[ns]")
    series = xr.Dataset({"displacement": (("time", "y", "x"), np.load(reference / "disp_m_none.npy"))}, {"time": time})
    assert series.sizes["time"] == 13
    result = estimate_velocity(series)
    velocity = np.load(reference / "vel_mmyr_none.npy")
    np.testing.assert_array_equal(np.isnan(result.velocity), np.isnan(velocity))
    np.testing.assert_allclose(1e3 * result.velocity, velocity, rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        1e3 * result.velocity_std, np.load(reference / "velstd_mmyr_none.npy"), rtol=0, atol=1e-9
    )
    assert (result.velocity_dof.where(result.velocity.notnull(), 11) == 11).all()
    single = estimate_velocity(series.astype("f4"))
    assert single.velocity.dtype == np.float32
    np.testing.assert_allclose(1e3 * single.velocity, velocity, rtol=0, atol=1e-4)


def test_linear_is_scipys(gappy):
    result = estimate_velocity(gappy)
    t = years(gappy)
    for point in range(gappy.sizes["point"]):
        d = gappy.displacement.values[:, point]
        ok = np.isfinite(d)
        one = result.isel(point=point)
        if ok.sum() < 3:
            assert all(np.isnan(one[name]) for name in ("velocity", "velocity_std", "velocity_dof", "rms_residual"))
            continue
        line = stats.linregress(t[ok], d[ok])
        np.testing.assert_allclose(one.velocity, line.slope, rtol=1e-9)
        np.testing.assert_allclose(one.velocity_std, line.stderr, rtol=1e-9)
        assert one.velocity_dof == ok.sum() - 2
        rms = np.sqrt(np.mean((d[ok] - line.intercept - line.slope * t[ok]) ** 2))
        np.testing.assert_allclose(one.rms_residual, rms, rtol=1e-9)


def test_all_terms_are_scipys_and_recover_truth():
    rng = np.random.default_rng(2)
    series = make(np.zeros((70, 1)))
    t = years(series)
    middle = t - t[-1] / 2
    since_january = (series.time.values - np.datetime64("2000-01-01")) / DAY / 365.25

    def motion(t, c, v, a, amplitude, phase):
        return c + v * middle + a * middle**2 / 2 + amplitude * np.cos(2 * np.pi * since_january - phase)

    truth = (0.001, -0.05, 0.02, 0.006, 2.0)
    d = motion(t, *truth) + rng.normal(0, 0.001, 70)
    result = estimate_velocity(make(d[:, None]), seasonal=True, acceleration=True).isel(point=0)
    best, cov = optimize.curve_fit(motion, t, d, p0=truth)
    std = np.sqrt(np.diag(cov))
    for i, name in ((1, "velocity"), (2, "acceleration"), (3, "seasonal_amplitude"), (4, "seasonal_phase")):
        np.testing.assert_allclose(result[name], best[i], rtol=1e-5)
        np.testing.assert_allclose(result[f"{name}_std"], std[i], rtol=1e-4)
        assert abs(result[name] - truth[i]) < 4 * std[i]
    assert result.velocity_dof == 65


def test_seasonal_phase_counts_from_january():
    series = make(np.zeros((92, 1)))
    day_of_year = series.time.dt.dayofyear.values - 1
    values = 0.01 * np.cos(2 * np.pi * (day_of_year - 91) / 365.25)  # largest on 2 April
    result = estimate_velocity(make(values[:, None]), seasonal=True)
    np.testing.assert_allclose(result.seasonal_phase, 2 * np.pi * 91 / 365.25, atol=0.02)
    np.testing.assert_allclose(result.seasonal_amplitude, 0.01, rtol=0.01)
    assert result.seasonal_amplitude.attrs["units"] == "m"


def test_what_comes_out(gappy):
    before = gappy.copy(deep=True)
    gappy.displacement.values.flags.writeable = False
    result = estimate_velocity(gappy, noise="autocorrelated", seasonal=True)
    xr.testing.assert_identical(gappy, before)
    assert result.velocity.attrs["units"] == "m/year"
    assert result.velocity_dof.attrs["units"] == "1"
    assert result.attrs["velocity_model"] == "linear + annual"
    assert result.attrs["velocity_noise"] == "autocorrelated"
    again = estimate_velocity(result)  # earlier estimates do not linger
    assert not {"seasonal_amplitude", "noise_autocorrelation"} & set(again.variables)
    xr.testing.assert_identical(again.drop_attrs(), estimate_velocity(gappy).drop_attrs())
    interval = confidence_interval(result, level=0.9)
    assert interval.attrs["velocity_level"] == 0.9
    assert estimate_velocity(interval).attrs == estimate_velocity(gappy).attrs


@pytest.mark.parametrize("options", ESTIMATES)
def test_one_place_is_one_of_many(gappy, options):
    many = estimate_velocity(gappy, **options)
    for point in (0, 5, 40):
        alone = estimate_velocity(gappy.isel(point=point, drop=True), **options)
        assert alone.velocity.dims == ()
        for name in set(many.data_vars) - {"displacement"}:
            np.testing.assert_array_equal(alone[name].values, many[name].values[point])


@pytest.mark.parametrize("options", [*ESTIMATES, {"windows": [("2018", "2018"), ("2019-01-01", "2019-12-31")]}])
def test_serial_threaded_and_lazy_give_the_same_bits(gappy, options):
    pytest.importorskip("dask", reason="dask is not installed")
    wide = xr.concat([gappy] * 100, dim="point").astype("f4").transpose("point", "time")  # two blocks, odd layout
    serial = estimate_velocity(wide, threads=1, **options)
    threaded = estimate_velocity(wide, threads=2, **options)
    xr.testing.assert_identical(serial, threaded)
    lazy = estimate_velocity(wide.chunk(point=1700, time=16), **options)
    assert lazy.velocity.chunks is not None
    xr.testing.assert_equal(serial.drop_vars("displacement"), lazy.drop_vars("displacement").compute())


def test_raster_and_progress():
    rng = np.random.default_rng(4)
    cube = rng.normal(size=(12, 3, 5))
    seen = []
    result = estimate_velocity(make(cube), progress=lambda done, total: seen.append((done, total)))
    assert result.velocity.dims == ("y", "x")
    assert seen[-1] == (15, 15)
    flat = estimate_velocity(make(cube.reshape(12, 15)))
    np.testing.assert_array_equal(result.velocity.values.ravel(), flat.velocity.values)


# Invariants


@pytest.mark.parametrize("options", ESTIMATES)
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    shift=st.floats(-1, 1),
    slope=st.floats(-1, 1),
    factor=st.floats(0.01, 100),
    negate=st.booleans(),
)
def test_shift_slope_scale_and_order(options, seed, shift, slope, factor, negate):
    rng = np.random.default_rng(seed)
    values = 0.01 * ar1(rng, np.arange(25), rng.uniform(0, 0.8), 6)
    values[rng.random(values.shape) < 0.1] = np.nan
    series = make(values)
    base = estimate_velocity(series, **options)
    size = base.velocity_std
    line = slope * years(series)[:, None]
    moved = estimate_velocity(make(values + shift + line), **options)
    assert (abs(moved.velocity - slope - base.velocity) <= 1e-6 * size + 1e-12).all()
    np.testing.assert_allclose(moved.velocity_std, size, rtol=1e-5)
    factor = -factor if negate else factor
    scaled = estimate_velocity(make(factor * values), **options)
    assert (abs(scaled.velocity / factor - base.velocity) <= 1e-6 * size).all()
    np.testing.assert_allclose(scaled.velocity_std, abs(factor) * size, rtol=1e-6)
    np.testing.assert_allclose(scaled.velocity_dof, base.velocity_dof, rtol=1e-6)
    order = rng.permutation(6)
    turned = estimate_velocity(series.isel(point=order), **options)
    xr.testing.assert_identical(turned, base.isel(point=order))


@pytest.mark.parametrize("options", ESTIMATES)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 8))
def test_nan_is_an_epoch_that_is_not_there(options, seed, count):
    rng = np.random.default_rng(seed)
    values = 0.01 * ar1(rng, np.arange(30), 0.4, 4)
    lost = rng.choice(np.arange(1, 29), count, replace=False)
    holed = values.copy()
    holed[lost] = np.nan
    kept = np.setdiff1d(np.arange(30), lost)
    masked, dropped = (estimate_velocity(s, **options) for s in (make(holed), make(values[kept], kept)))
    # Fewer nodes of rho where epochs are dropped: the quadrature differs, not the answer.
    tolerance = 3e-3 if "noise" in options else 1e-6
    assert (abs(masked.velocity - dropped.velocity) <= tolerance * dropped.velocity_std).all()
    np.testing.assert_allclose(masked.velocity_std, dropped.velocity_std, rtol=tolerance)
    np.testing.assert_allclose(masked.velocity_dof, dropped.velocity_dof, rtol=10 * tolerance)


def test_noiseless_line_is_exact():
    series = make(np.zeros((20, 1)))
    line = 0.3 * years(series)[:, None] * np.array([1.0, -1.0, 0.0])
    for options in ESTIMATES:
        result = estimate_velocity(make(line), **options)
        np.testing.assert_allclose(result.velocity, [0.3, -0.3, 0.0], atol=1e-14)
        np.testing.assert_allclose(result.velocity_std, 0.0, atol=1e-13)


# Autocorrelated noise


def dense_reml(t, d, X, revisits, steps=4001):
    """Everything with dense covariance matrices on a fine grid of rho: velocity, std, dof, best rho."""
    n, p = X.shape
    gap = np.rint(np.abs(revisits[:, None] - revisits[None, :]))
    angle = (np.arange(steps) + 0.5) / steps * np.pi - np.pi / 2
    likelihood, velocity, variance = np.full((3, steps), np.nan)
    for j, rho in enumerate(np.sin(angle)):
        inverse = np.linalg.inv(rho**gap)
        normal = X.T @ inverse @ X
        cov = np.linalg.inv(normal)
        beta = cov @ X.T @ inverse @ d
        residual = d - X @ beta
        rss = residual @ inverse @ residual
        likelihood[j] = 0.5 * (np.linalg.slogdet(inverse)[1] - np.linalg.slogdet(normal)[1] - (n - p) * np.log(rss))
        velocity[j], variance[j] = beta[1], rss / (n - p) * cov[1, 1]
    weight = np.exp(likelihood - likelihood.max()) * np.cos(angle) / np.sqrt(1 + np.sin(angle))
    weight /= weight.sum()
    precision = (weight / variance).sum()
    second = (weight / variance**2).sum() * (1 + 2 / (n - p))
    share = weight / variance / precision
    mean = (share * velocity).sum()
    std = np.sqrt(1 / precision + (share * (velocity - mean) ** 2).sum())
    return mean, std, 2 / (second / precision**2 - 1), np.sin(angle[likelihood.argmax()])


@pytest.mark.parametrize("rho", [-0.3, 0.0, 0.5, 0.85])
@pytest.mark.parametrize("seasonal", [False, True])
def test_autocorrelated_is_dense_algebra(rho, seasonal):
    rng = np.random.default_rng(int(100 * rho) + 200 + seasonal)
    revisits = np.concatenate([[0], np.sort(rng.choice(np.arange(1, 70), 44, replace=False))])
    d = -0.02 * revisits * 12 / 365.25 + 0.005 * ar1(rng, revisits, rho, 1)[:, 0]
    holed = d.copy()
    holed[[3, 17, 18]] = np.nan
    series = make(np.stack([d, holed], axis=1), revisits)
    result = estimate_velocity(series, noise="autocorrelated", seasonal=seasonal)
    t = years(series)
    columns = [np.ones_like(t), t]
    if seasonal:
        columns += [np.sin(2 * np.pi * t), np.cos(2 * np.pi * t)]
    X = np.stack(columns, axis=1)
    step = np.median(np.diff(revisits))
    for point, ok in ((0, np.ones(45, bool)), (1, np.isfinite(holed))):
        mean, std, dof, best = dense_reml(t[ok], d[ok], X[ok], revisits[ok] / step, steps=801)
        one = result.isel(point=point)
        assert abs(one.velocity - mean) < 1e-3 * std
        np.testing.assert_allclose(one.velocity_std, std, rtol=3e-3)
        np.testing.assert_allclose(one.velocity_dof, dof, rtol=1e-2)
        assert abs(one.noise_autocorrelation - best) < 0.02  # a parabola between nodes: a sixth of its own std


@pytest.mark.parametrize("seasonal", [False, True])
@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6])
def test_autocorrelated_coverage(rho, seasonal):
    draws = 4000
    rng = np.random.default_rng(21)
    series = make(0.005 * ar1(rng, np.arange(60), rho, draws))
    result = estimate_velocity(series, noise="autocorrelated", seasonal=seasonal)
    for level, within in ((0.68, 0.03), (0.95, 0.02)):
        bounds = confidence_interval(result, level=level)
        inside = float(((bounds.velocity_lower <= 0) & (bounds.velocity_upper >= 0)).mean())
        assert abs(inside - level) < within
    assert abs(result.noise_autocorrelation.median() - rho) < 0.08
    naive = estimate_velocity(series, seasonal=seasonal)
    if rho:  # what the option is for
        inside = float((abs(naive.velocity) < stats.t.ppf(0.975, naive.velocity_dof) * naive.velocity_std).mean())
        assert inside < 0.9


def test_seasonal_std_under_autocorrelated_noise():
    rng = np.random.default_rng(5)
    series = make(0.005 * ar1(rng, np.arange(90), 0.5, 3000))
    motion = 0.02 * np.cos(2 * np.pi * years(series) - 1.0)
    result = estimate_velocity(series + motion[:, None], noise="autocorrelated", seasonal=True)
    for name in ("seasonal_amplitude", "seasonal_phase"):
        np.testing.assert_allclose(result[name].std(), np.sqrt((result[f"{name}_std"] ** 2).mean()), rtol=0.1)


# Robust


def test_huber_solves_its_equations(gappy):
    series = gappy.isel(point=slice(8, 20))
    values = series.displacement.values.copy()
    values[np.isfinite(values) & (np.random.default_rng(1).random(values.shape) < 0.1)] += 0.03
    series = series.assign(displacement=(("time", "point"), values))
    result = estimate_velocity(series, robust=True)
    t = years(series)
    for point in range(12):
        ok = np.isfinite(values[:, point])
        X, d = np.stack([np.ones(ok.sum()), t[ok]], axis=1), values[ok, point]
        one = result.isel(point=point)

        def scale_of(residual):
            return np.median(np.abs(residual)) / special.ndtri(0.75)

        def solve(scale, X=X, d=d):  # scipy's Huber loss at a fixed scale
            fit = optimize.least_squares(
                lambda b: (d - X @ b) / scale,
                [0.0, 0.0],
                loss="huber",
                f_scale=1.345,
                xtol=1e-14,
                ftol=1e-14,
                gtol=1e-12,
            )
            return fit.x

        scale = scale_of(d - X @ np.linalg.lstsq(X, d, rcond=None)[0])
        for _ in range(60):
            scale = scale_of(d - X @ solve(scale))
        assert abs(one.velocity - solve(scale)[1]) < 1e-3 * one.velocity_std


def test_huber_is_right_under_outliers():
    rng = np.random.default_rng(8)
    noise = rng.normal(0, 0.003, (50, 3000))
    dirty = noise + (rng.random(noise.shape) < 0.06) * 0.028 * rng.choice([-1, 1], noise.shape)
    clean, plain, robust = (
        estimate_velocity(make(noise), robust=True),
        estimate_velocity(make(dirty)),
        estimate_velocity(make(dirty), robust=True),
    )
    assert robust.velocity.std() < 0.65 * plain.velocity.std()
    for result in (clean, robust):
        np.testing.assert_allclose(result.velocity.std(), np.sqrt((result.velocity_std**2).mean()), rtol=0.06)
    # 95 % efficient without outliers
    assert 0.9 < estimate_velocity(make(noise)).velocity.var() / clean.velocity.var() < 1.0


# Windows


def test_windows_are_series_of_their_own(gappy):
    windows = [("2018-01-01", "2018-12-31"), ("2019-03", "2019-10"), (np.datetime64("2018-06-01"), "2019-06-01")]
    result = estimate_velocity(gappy, windows=windows, noise="autocorrelated")
    assert result.velocity.dims == ("window", "point")
    assert result.window_start.values.astype("M8[D]").astype(str).tolist() == ["2018-01-01", "2019-03-01", "2018-06-01"]
    assert result.window_end.values.astype("M8[D]").astype(str).tolist() == ["2018-12-31", "2019-10-31", "2019-06-01"]
    for number, (first, last) in enumerate(windows):
        alone = estimate_velocity(gappy.sel(time=slice(str(first), str(last))), noise="autocorrelated")
        for name in ("velocity", "velocity_std", "velocity_dof"):
            np.testing.assert_array_equal(result[name].values[number], alone[name].values)
    bounds = confidence_interval(result)
    assert bounds.velocity_lower.dims == ("window", "point")
    assert estimate_velocity(gappy.isel(point=0), windows=windows).velocity.dims == ("window",)
    assert "window" not in estimate_velocity(result).dims


def test_windows_may_reach_as_far_as_nanoseconds_do(gappy):
    wide = estimate_velocity(gappy, windows=[("1678", "2261-12-31"), ("1678-01-01", "2261")])
    whole = estimate_velocity(gappy)
    for number in (0, 1):
        np.testing.assert_array_equal(wide.velocity.values[number], whole.velocity.values)


def test_last_day_of_a_window_belongs_to_it():
    series = make(np.arange(9.0)[:, None])
    series["time"] = series.time + np.timedelta64(12, "h")
    last = str(series.time.values[4].astype("M8[D]"))
    result = estimate_velocity(series, windows=[("2018-01-01", last)])
    assert result.velocity_dof.item() == 5 - 2


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ([("2018-06-01", "2018-01-01")], r"windows\[0\] ends on 2018-01-01, not after its start 2018-06-01"),
        ([("2018-06-01", "2018-06-01")], "not after its start"),
        ([("2018", "2018"), ("2018-01-01", "2018-01-20")], r"windows\[1\] .* holds 2 epochs, expected at least 3"),
        ([("2030", "2031")], "holds 0 epochs"),
        ([("2018-03-01", "9999")], r"windows\[0\] must hold dates between 1678 and 2261, got '9999': .* open end"),
        ([("2018", "2019"), ("0001-01-01", "2018")], r"windows\[1\] must hold dates between 1678 and 2261"),
        ([("2018", "soon")], r"windows\[0\] must hold dates such as '2018-06-30', got 'soon'"),
        ([("2018", "NaT")], "must hold dates"),
        (["2018"], r"windows\[0\] must be \(first day, last day\), got '2018'"),
        ([("2018", "2019", "2020")], "must be \\(first day, last day\\)"),
        ([], "windows must be a sequence"),
        ("2018", "windows must be a sequence"),
    ],
)
def test_windows_refused(gappy, windows, message):
    with pytest.raises(InputError, match=message):
        estimate_velocity(gappy, windows=windows)


# Intervals


def test_confidence_interval_is_students(gappy):
    result = confidence_interval(estimate_velocity(gappy), level=0.9)
    low, high = stats.t.interval(0.9, result.velocity_dof, loc=result.velocity, scale=result.velocity_std)
    np.testing.assert_allclose(result.velocity_lower, low, rtol=1e-9)
    np.testing.assert_allclose(result.velocity_upper, high, rtol=1e-9)
    assert result.velocity_upper.attrs["units"] == "m/year"
    assert result.attrs["velocity_level"] == 0.9


def test_confidence_interval_refused(gappy):
    with pytest.raises(SchemaError, match="'velocity_dof' is missing"):
        confidence_interval(gappy)
    lost = confidence_interval(estimate_velocity(gappy.isel(point=5)))  # no data there
    assert np.isnan(lost.velocity_upper)
    with pytest.raises(InputError, match="level must lie between 0 and 1, got 95"):
        confidence_interval(estimate_velocity(gappy), level=95)


# Bad series


def test_series_refused(gappy):
    with pytest.raises(InputError, match=r"series must be an xarray\.Dataset"):
        estimate_velocity(gappy.displacement)
    with pytest.raises(SchemaError, match="'displacement' is missing"):
        estimate_velocity(gappy.rename(displacement="d"))
    with pytest.raises(SchemaError, match="'displacement' is in 'mm', expected 'm'"):
        estimate_velocity(gappy.assign(displacement=gappy.displacement.assign_attrs(units="mm")))
    with pytest.raises(InputError, match="series has 2 epochs, expected at least 3"):
        estimate_velocity(gappy.isel(time=slice(2)))
    with pytest.raises(InputError, match=r"series has 4 epochs between .* but 4 parameters need 5"):
        estimate_velocity(gappy.isel(time=slice(4)), seasonal=True)
    with pytest.raises(InputError, match="has epoch 2018-01-06 out of order"):
        estimate_velocity(gappy.isel(time=[1, 0, 2, 3]))
    with pytest.raises(InputError, match="has epoch 2018-01-06 twice"):
        estimate_velocity(gappy.isel(time=[0, 0, 2, 3]))
    holed = gappy.time.values.copy()
    holed[3] = np.datetime64("NaT")
    with pytest.raises(InputError, match=r"no date \(NaT\) at epoch 3"):
        estimate_velocity(gappy.assign_coords(time=holed))
    with pytest.raises(InputError, match="noise must be 'white' or 'autocorrelated', got 'flicker'"):
        estimate_velocity(gappy, noise="flicker")
    with pytest.raises(InputError, match="robust=True needs noise='white'"):
        estimate_velocity(gappy, noise="autocorrelated", robust=True)
    with pytest.raises(InputError, match="threads must be a positive whole number"):
        estimate_velocity(gappy, threads=0)
    yearly = make(np.zeros((9, 1)))
    yearly["time"] = np.datetime64("2010-03-01", "ns") + np.arange(9) * np.timedelta64(int(365.25 * 86400), "s")
    with pytest.raises(InputError, match=r"9 epochs over 8\.00 years do not tell the 4 terms of the model apart"):
        estimate_velocity(yearly, seasonal=True)


# Atmosphere


def atmosphere_scene(seed: int, *, epochs: int = 30, places: int = 3000, network: float = 0.0) -> tuple:
    rng = np.random.default_rng(seed)
    std = np.exp(rng.normal(np.log(0.006), 0.6, epochs))
    t = np.arange(epochs)[:, None] * 12 / 365.25
    truth = rng.normal(0, 0.03, places) * t + rng.normal(0, 0.01, places) * t**2
    delay = rng.standard_normal((epochs, places)) * std[:, None]
    own = network * rng.standard_normal((epochs, places))
    own[0] = 0.0
    series = make(truth + delay - delay[0] + own)
    stated = np.full(truth.shape, network)
    stated[0] = 0.0
    return series.assign(displacement_std=(("time", "point"), stated)), truth, std


@pytest.mark.parametrize("network", [0.0, 0.004])
def test_atmosphere_covers_the_error(network):
    series, truth, std = atmosphere_scene(3, network=network)
    result = add_atmospheric_variance(series)
    np.testing.assert_allclose(result.atmospheric_std, std, rtol=0.1, atol=4e-4 + network / 4)
    error = np.abs(series.displacement.values - truth)[1:]
    for level in (0.68, 0.95):
        inside = (error < special.ndtri(0.5 + level / 2) * result.displacement_std.values[1:]).mean()
        assert abs(inside - level) < 0.02
    assert (result.displacement_std.values[0] == 0).all()
    expected = np.sqrt(network**2 + result.atmospheric_std.values[1:] ** 2 + result.atmospheric_std.values[0] ** 2)
    np.testing.assert_allclose(result.displacement_std.values[1:, 0], expected)
    assert result.atmospheric_std.attrs["units"] == "m"


def test_atmosphere_where_only_a_mask_is_stable():
    series, _, std = atmosphere_scene(4)
    moving = series.displacement.values.copy()
    moving[:, :1000] += 0.1 * (np.arange(30)[:, None] > 14)  # a jump no parabola follows
    moving[4, 1000:1500] = np.nan  # incomplete places are left out
    series = series.assign(displacement=(("time", "point"), moving))
    mask = xr.DataArray(np.arange(3000) >= 1000, dims="point")
    np.testing.assert_allclose(add_atmospheric_variance(series, mask=mask).atmospheric_std, std, rtol=0.12, atol=4e-4)
    spoiled = add_atmospheric_variance(series).atmospheric_std
    assert (spoiled[12:17] > 2 * std[12:17]).any()


def test_atmosphere_without_std_with_an_empty_epoch_and_lazily():
    pytest.importorskip("dask", reason="dask is not installed")
    series, _, std = atmosphere_scene(5)
    series = series.drop_vars("displacement_std")
    series["displacement"][7] = np.nan
    result = add_atmospheric_variance(series)
    assert np.isnan(result.atmospheric_std[7])
    assert np.isnan(result.displacement_std[7]).all()
    others = np.arange(30) != 7
    np.testing.assert_allclose(result.atmospheric_std[others], std[others], rtol=0.12, atol=4e-4)
    lazy = add_atmospheric_variance(series.chunk(point=700))
    assert lazy.displacement_std.chunks is not None
    np.testing.assert_allclose(lazy.displacement_std, result.displacement_std, rtol=1e-9)


@pytest.mark.parametrize("lazy", [False, True])
def test_atmosphere_where_the_network_says_nothing_of_its_noise(lazy):
    # Without redundant pairs: zero at the reference epoch, NaN at all others.
    series, truth, _ = atmosphere_scene(9, network=0.004)
    unknown = xr.full_like(series.displacement_std, np.nan)
    unknown[0] = 0.0
    series = series.assign(displacement_std=unknown)
    series["displacement"][7] = np.nan
    if lazy:
        pytest.importorskip("dask", reason="dask is not installed")
    result = add_atmospheric_variance(series.chunk(point=700) if lazy else series)
    without = add_atmospheric_variance(series.drop_vars("displacement_std"))
    xr.testing.assert_allclose(result.compute(), without, rtol=1e-9)
    assert (result.displacement_std[0] == 0).all()
    epoch = result.atmospheric_std
    np.testing.assert_allclose(result.displacement_std[3], np.hypot(epoch[3], epoch[0]))
    others = np.delete(np.arange(30), [0, 7])
    error = np.abs(series.displacement.values - truth)[others]
    assert abs((error < result.displacement_std.values[others]).mean() - 0.683) < 0.02


def test_atmosphere_counts_from_the_reference_epoch():
    series, _, std = atmosphere_scene(6, places=4000)
    series["displacement"] = series.displacement - series.displacement[9]
    day = str(series.time.values[9].astype("M8[D]"))
    result = add_atmospheric_variance(series.assign_attrs(reference_time=day))
    assert (result.displacement_std[9] == 0).all()
    np.testing.assert_allclose(result.displacement_std[0], np.hypot(std[0], std[9]), rtol=0.1)
    with pytest.raises(InputError, match="'reference_time'] is 2017-01-01, which is none of its epochs"):
        add_atmospheric_variance(series.assign_attrs(reference_time="2017-01-01"))
    with pytest.raises(InputError, match="must be an ISO 8601 date, got 'first'"):
        add_atmospheric_variance(series.assign_attrs(reference_time="first"))


def test_atmosphere_with_a_seasonal_model():
    series, _, std = atmosphere_scene(7, epochs=62)
    swing = 0.03 * np.sin(2 * np.pi * years(series))[:, None]
    series["displacement"] = series.displacement + swing - swing[0]
    good = add_atmospheric_variance(series, seasonal=True).atmospheric_std
    np.testing.assert_allclose(good, std, rtol=0.12, atol=4e-4)
    assert add_atmospheric_variance(series).atmospheric_std.mean() > 1.2 * good.mean()


def test_atmosphere_refused():
    series, _, _ = atmosphere_scene(8, epochs=12, places=50)
    ones = xr.DataArray(np.ones(50, bool), dims="point")
    with pytest.raises(InputError, match="series must have dims of place"):
        add_atmospheric_variance(series.isel(point=0))
    with pytest.raises(InputError, match="mask is a mask of dtype int64, expected boolean"):
        add_atmospheric_variance(series, mask=ones.astype(int))
    with pytest.raises(InputError, match=r"mask is a mask with sizes \{'point': 9\}, expected \{'point': 50\}"):
        add_atmospheric_variance(series, mask=ones[:9])
    with pytest.raises(InputError, match="mask without any True"):
        add_atmospheric_variance(series, mask=~ones)
    for other in ({"point": 3}, ones.values):
        with pytest.raises(InputError, match=r"mask must be a boolean DataArray .* got (dict|ndarray)"):
            add_atmospheric_variance(series, mask=other)
    raster = make(series.displacement.values.reshape(12, 10, 5)).assign_coords(
        y=np.arange(10.0)[::-1], x=np.arange(5.0)
    )
    stable = raster.displacement[0].notnull()
    add_atmospheric_variance(raster, mask=stable.transpose("x", "y"))
    with pytest.raises(InputError, match="mask whose coordinate 'y' differs"):
        add_atmospheric_variance(raster, mask=stable.sortby("y"))
    with pytest.raises(InputError, match="degree must be a whole number from 0, got -1"):
        add_atmospheric_variance(series, degree=-1)
    with pytest.raises(InputError, match="too few to tell their variances apart beside 10 terms"):
        add_atmospheric_variance(series, degree=9)
    with pytest.raises(InputError, match="already holds 'atmospheric_std'"):
        add_atmospheric_variance(add_atmospheric_variance(series))
    holed = series.copy(deep=True)
    holed["displacement"].values[np.arange(50) % 11 + 1, np.arange(50)] = np.nan
    with pytest.raises(InputError, match="no place with data at every epoch"):
        add_atmospheric_variance(holed)
    with pytest.raises(InputError, match="data at 0 epochs"):
        add_atmospheric_variance(series.assign(displacement=series.displacement * np.nan))


# Reference


def test_set_reference():
    rng = np.random.default_rng(1)
    cube = make(rng.normal(size=(6, 3, 4)).astype("f4"))
    cube = estimate_velocity(cube.assign(residual_height=(("y", "x"), rng.normal(size=(3, 4)))))
    cube.attrs |= {
        "reference": "pixel row 0, col 0",
        "reference_row": 0,
        "reference_lon": 3.0,
        "reference_time": "2018",
    }
    before = cube.copy(deep=True)
    result = set_reference(cube, {"row": 1, "col": 2})
    xr.testing.assert_identical(cube, before)
    assert (result.displacement[:, 1, 2] == 0).all()
    assert result.residual_height[1, 2] == 0
    assert result.displacement.dtype == np.float32
    difference = cube.displacement - result.displacement
    np.testing.assert_allclose(difference - difference[:, 0, 0], 0, atol=1e-6)
    assert not {"velocity", "rms_residual"} & set(result.variables)
    assert result.attrs["reference"] == "pixel row 1, col 2"
    assert (result.attrs["reference_row"], result.attrs["reference_col"]) == (1, 2)
    assert result.attrs["reference_time"] == "2018"
    assert "reference_lon" not in result.attrs
    assert {"velocity_model", "velocity_noise"} <= set(cube.attrs)
    again = set_reference(confidence_interval(cube), {"row": 1, "col": 2})
    for attrs in (result.attrs, again.attrs):
        assert not [key for key in attrs if str(key).startswith("velocity")]


def test_set_reference_to_an_area():
    pytest.importorskip("dask", reason="dask is not installed")
    values = np.random.default_rng(2).normal(size=(6, 3, 4))
    values[2, 0, 0] = np.nan
    cube = make(values)
    area = xr.DataArray(np.arange(12).reshape(3, 4) < 5, dims=("y", "x"))
    result = set_reference(cube, area)
    np.testing.assert_allclose(result.displacement.where(area).mean(("y", "x")), 0, atol=1e-15)
    lazy = set_reference(cube.chunk(x=2), area)
    assert lazy.displacement.chunks is not None
    np.testing.assert_allclose(lazy.displacement, result.displacement, atol=1e-15)
    with pytest.raises(InputError, match=r"reference \(pixel row 0, col 0\) has no data: .* NaN at 1 of 6 epochs"):
        set_reference(cube, {"row": 0, "col": 0})
    with pytest.raises(InputError, match="outside the dataset"):
        set_reference(cube, {"row": 0, "col": 9})
    with pytest.raises(InputError, match="set the reference before add_atmospheric_variance"):
        set_reference(cube.assign(atmospheric_std=("time", np.ones(6))), {"row": 1, "col": 0})
