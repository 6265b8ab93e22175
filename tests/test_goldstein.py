"""The Goldstein filter: what it takes away, what it leaves, and that no cut of the scene changes it."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from subsidence.errors import InputError, SchemaError
from subsidence.stack import goldstein_filter

DATES = np.array(["2018-01-06", "2018-01-18", "2018-01-30"], "M8[ns]")


def wrap(phase):
    return np.angle(np.exp(1j * np.asarray(phase, np.float64)))


def stack_of(phase, coherence=None) -> xr.Dataset:
    phase = np.asarray(phase, np.float32)
    variables = {"phase": (("pair", "y", "x"), phase)}
    if coherence is not None:
        variables["coherence"] = (("pair", "y", "x"), np.asarray(coherence, np.float32))
    ends = [(0, 1), (1, 2), (0, 2)][: phase.shape[0]]
    coords = {
        "reference": ("pair", DATES[[first for first, _ in ends]]),
        "secondary": ("pair", DATES[[second for _, second in ends]]),
        "wavelength": 0.0555,
    }
    return xr.Dataset(variables, coords)


def fringes(shape=(90, 110), noise=1.0, seed=0):
    """A smooth wrapped surface without and with noise."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    truth = 0.25 * x - 0.1 * y + 3 * np.exp(-((x - 50) ** 2 + (y - 40) ** 2) / 600)
    random = np.random.default_rng(seed)
    return wrap(truth), wrap(truth + random.normal(0, noise, shape))


@pytest.fixture(scope="module")
def noisy() -> xr.Dataset:
    random = np.random.default_rng(1)
    phases = np.array([fringes(seed=seed)[1] for seed in range(3)])
    phases[1, 20:33, 40:60] = np.nan
    phases[:, -1, :5] = np.nan
    return stack_of(phases, random.uniform(0, 1, phases.shape))


def test_noise_goes_and_fringes_stay():
    truth, seen = fringes(noise=0.8)
    before = wrap(seen - truth).std()
    last = before
    for alpha in (0.3, 0.6, 1.0):
        filtered = goldstein_filter(stack_of(seen[None]), alpha=alpha).phase.values[0]
        error = wrap(filtered - truth)
        assert error.std() < 0.8 * last
        assert abs(error.mean()) < 0.05
        last = error.std()
    assert last < 0.25 * before


def test_strength_zero_changes_nothing(noisy):
    filtered = goldstein_filter(noisy, alpha=0.0)
    assert np.nanmax(abs(wrap(filtered.phase - noisy.phase))) < 1e-5


def test_a_pure_fringe_is_left_alone():
    y, x = np.mgrid[:64, :64]
    phase = wrap(2 * np.pi * (3 * x + 5 * y) / 32)  # a whole number of cycles in a patch of 32
    filtered = goldstein_filter(stack_of(phase[None]), alpha=1.0, window=32)
    inner = slice(24, -24)
    assert abs(wrap(filtered.phase.values[0] - phase)[inner, inner]).max() < 1e-4


def test_a_constant_phase_turns_with_its_result(noisy):
    turned = noisy.assign(phase=noisy.phase.copy(data=wrap(noisy.phase + 1.3).astype(np.float32)))
    first, second = goldstein_filter(noisy), goldstein_filter(turned)
    assert np.nanmax(abs(wrap(second.phase - first.phase - 1.3))) < 1e-3
    mirrored = goldstein_filter(noisy.assign(phase=-noisy.phase))
    assert np.nanmax(abs(wrap(mirrored.phase + first.phase))) < 1e-3


def test_no_data_stays_where_it_was(noisy):
    for alpha in (0.5, "coherence"):
        filtered = goldstein_filter(noisy, alpha=alpha)
        np.testing.assert_array_equal(np.isnan(filtered.phase), np.isnan(noisy.phase))
        assert abs(filtered.phase).max() <= np.pi + 1e-6
    nothing = stack_of(np.full((1, 20, 20), np.nan), np.full((1, 20, 20), np.nan))
    assert np.isnan(goldstein_filter(nothing, alpha="coherence").phase).all()


def test_coherence_decides_how_strong(noisy):
    clear = noisy.assign(coherence=xr.ones_like(noisy.coherence))
    assert np.nanmax(abs(wrap(goldstein_filter(clear, alpha="coherence").phase - noisy.phase))) < 1e-5
    lost = noisy.assign(coherence=xr.zeros_like(noisy.coherence))
    np.testing.assert_allclose(
        goldstein_filter(lost, alpha="coherence").phase, goldstein_filter(noisy, alpha=1.0).phase, atol=1e-6
    )
    half = noisy.assign(coherence=xr.full_like(noisy.coherence, 0.5))
    found, expected = goldstein_filter(half, alpha="coherence"), goldstein_filter(noisy, alpha=0.5)
    assert np.nanmax(abs(wrap(found.phase - expected.phase))) < 1e-5
    assert set(found.variables) == set(expected.variables)
    assert found.phase.dtype == expected.phase.dtype == np.float32


def reference_filter(phase, alpha, window, step):
    """The filter patch by patch, written plainly."""
    rows, cols = phase.shape
    valid = np.isfinite(phase)
    phasor = np.where(valid, np.exp(1j * np.where(valid, phase, 0)), 0)
    padded = np.pad(phasor, window)
    total = np.zeros_like(padded)
    fall = 1 - abs((np.arange(window) + 0.5) / (window / 2) - 1)
    for top in range(step, rows + window, step):
        for left in range(step, cols + window, step):
            patch = padded[top : top + window, left : left + window]
            if patch.shape != (window, window) or not patch.any():
                continue
            spectrum = np.fft.fft2(patch)
            strength = sum(
                np.roll(abs(spectrum), (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)
            ) / 9  # fmt: skip
            result = np.fft.ifft2(spectrum * (strength / strength.mean()) ** alpha)
            total[top : top + window, left : left + window] += result * fall[:, None] * fall
    filtered = np.angle(total[window : window + rows, window : window + cols])
    return np.where(valid, filtered, np.nan)


@pytest.mark.parametrize(("window", "overlap"), [(32, 0.75), (16, 0.5), (24, 0.875)])
def test_against_patch_by_patch(noisy, window, overlap):
    step = round(window * (1 - overlap))
    # so that the padding is a whole number of steps
    assert window % step == 0
    found = goldstein_filter(noisy, alpha=0.7, window=window, overlap=overlap)
    for pair in range(2):
        expected = reference_filter(noisy.phase.values[pair].astype(float), 0.7, window, step)
        error = abs(wrap(found.phase.values[pair] - expected))
        assert np.nanquantile(error, 0.999) < 1e-4
        np.testing.assert_array_equal(np.isnan(expected), np.isnan(found.phase.values[pair]))


@settings(max_examples=8, deadline=None, phases=[Phase.generate])  # shrinking computes for minutes
@given(
    chunks=st.tuples(st.integers(1, 3), st.integers(7, 90), st.integers(7, 110)),
    window=st.sampled_from([8, 16, 32]),
    overlap=st.sampled_from([0.5, 0.75]),
    alpha=st.sampled_from([0.5, "coherence"]),
)
def test_chunks_do_not_matter(noisy, chunks, window, overlap, alpha):
    whole = goldstein_filter(noisy, alpha=alpha, window=window, overlap=overlap)
    lazy = noisy.chunk(dict(zip(("pair", "y", "x"), chunks, strict=True)))
    found = goldstein_filter(lazy, alpha=alpha, window=window, overlap=overlap)
    assert found.phase.chunks is not None
    assert np.nanmax(abs(wrap(found.phase.values - whole.phase.values))) < 1e-5


def test_threads_do_not_matter():
    seen = np.random.default_rng(0).uniform(-np.pi, np.pi, (1, 400, 210))
    told = []
    first = goldstein_filter(stack_of(seen), threads=1, window=16)
    second = goldstein_filter(stack_of(seen), threads=3, window=16, progress=lambda done, total: told.append(total))
    assert first.identical(second)
    assert len(told) == 6


def test_what_is_returned(noisy):
    frozen = noisy.copy(deep=True)
    for variable in frozen.variables.values():
        variable.data.setflags(write=False)
    kept = frozen.copy(deep=True)
    filtered = goldstein_filter(frozen, alpha=0.4)
    assert frozen.identical(kept)
    assert filtered.coherence.identical(goldstein_filter(noisy).coherence)
    assert filtered.attrs["filter"] == "Goldstein, alpha 0.4, window 32, overlap 0.75"
    twice = goldstein_filter(filtered, alpha="coherence", window=16, overlap=0.5)
    assert twice.attrs["filter"].count("Goldstein") == 2
    turned = goldstein_filter(noisy.transpose("x", "pair", "y"), alpha=0.4)
    np.testing.assert_array_equal(turned.phase, filtered.phase)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"alpha": 1.5}, "alpha must be a number 0..1"),
        ({"alpha": -0.1}, "alpha must be a number 0..1"),
        ({"alpha": "strong"}, "alpha must be a number 0..1"),
        ({"alpha": True}, "alpha must be a number 0..1"),
        ({"window": 4}, "8 or more"),
        ({"window": 32.0}, "8 or more"),
        ({"window": 18, "overlap": 0.75}, "multiple of 4"),
        ({"overlap": 0.6}, "0.5, 0.75 or 0.875"),
    ],
)
def test_bad_options(noisy, options, match):
    with pytest.raises(InputError, match=match):
        goldstein_filter(noisy, **options)


def test_bad_stacks(noisy):
    with pytest.raises(SchemaError, match="'coherence' is missing"):
        goldstein_filter(noisy.drop_vars("coherence"), alpha="coherence")
    with pytest.raises(SchemaError, match="'phase' is missing"):
        goldstein_filter(noisy.rename(phase="unwrapped_phase"))
    points = noisy.stack(point=("y", "x")).reset_index("point").drop_vars(["y", "x"])
    with pytest.raises(InputError, match="must be a raster"):
        goldstein_filter(points)
