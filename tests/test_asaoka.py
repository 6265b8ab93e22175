"""Asaoka's line: exact on an exponential, honest about its errors, silent where nothing settles."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from subsidence.errors import InputError
from subsidence.models._asaoka import AsaokaEstimate, asaoka

YEARS = np.arange(85) * 12 / 365.25


def exponential(t, size, c):
    return size * (1 - np.exp(-c * t))


@settings(max_examples=50, deadline=None)
@given(size=st.floats(0.02, 300), sign=st.sampled_from([-1, 1]), c=st.floats(0.4, 3), level=st.floats(-2, 2))
def test_exact_on_an_exponential(size, sign, c, level):
    """Whatever the level it is counted from: the line's fixed point moves with it, its slope does not."""
    w = sign * exponential(YEARS, size, c) + level * size
    found = asaoka(w, t=YEARS)
    assert found.settles
    assert found.final_settlement == pytest.approx(sign * size + level * size, abs=1e-9 * size)
    assert found.rate == pytest.approx(c, rel=1e-8)
    assert found.b1 == pytest.approx(np.exp(-c * found.step), rel=1e-9)
    assert found.b0 / (1 - found.b1) == pytest.approx(found.final_settlement)
    assert found.noise_std < 1e-8 * size


def test_the_line_is_the_classic_regression():
    w = exponential(YEARS, -100, 1.3) + np.random.default_rng(2).normal(0, 1, 85)
    for step, every in ((12 / 365.25, 1), (60 / 365.25, 5)):
        found = asaoka(w, t=YEARS, step=step)
        line = stats.linregress(w[::every][:-1], w[::every][1:])
        assert found.b1 == pytest.approx(line.slope, rel=1e-9)
        assert found.b0 == pytest.approx(line.intercept, rel=1e-8)
        assert found.step == step


def test_default_step_is_the_shortest_that_leaves_twelve():
    w = exponential(YEARS, -100, 1.3)
    assert asaoka(w, t=YEARS).step == pytest.approx(84 / 365.25)
    assert asaoka(w[:10], t=YEARS[:10]).step == pytest.approx(12 / 365.25)
    assert asaoka(w[:14], t=YEARS[:14]).step == pytest.approx(24 / 365.25)
    # four epochs always make three steps
    few = asaoka([0.0, -5.0, -6.0, -8.0], t=[0.0, 50.0, 60.0, 100.0])
    assert few.step == pytest.approx(100 / 3)
    assert np.isfinite([few.b1, few.b1_std, few.noise_std]).all()


def test_any_unit_and_any_origin():
    w = exponential(YEARS, -100, 1.3) + np.random.default_rng(2).normal(0, 1, 85)
    a, b = asaoka(w, t=YEARS), asaoka(w / 1000, t=YEARS * 365.25 + 1e4)
    assert b.final_settlement == pytest.approx(a.final_settlement / 1000, rel=1e-9)
    assert b.final_settlement_std == pytest.approx(a.final_settlement_std / 1000, rel=1e-8)
    assert b.rate_std == pytest.approx(a.rate_std / 365.25, rel=1e-8)
    assert b.b1_std == pytest.approx(a.b1_std, rel=1e-8)


@pytest.mark.parametrize("uneven", [False, True])
def test_standard_deviations_are_what_repeated_surveys_show(uneven):
    random = np.random.default_rng(5)
    t = np.sort(random.uniform(0, YEARS[-1], 120)) if uneven else YEARS
    clean = exponential(t, -100, 1.5)
    found = [asaoka(clean + random.normal(0, 1, t.size), t=t) for _ in range(600)]
    slack = 3 * np.sqrt(0.66 * 0.34 / 600)
    truth = {"final_settlement": -100.0, "rate": 1.5}
    for name, true in truth.items():
        values = np.array([getattr(one, name) for one in found])
        stds = np.array([getattr(one, name + "_std") for one in found])
        assert np.median(stds) == pytest.approx(values.std(), rel=0.15)
        # Student's t of ten degrees of freedom, less what the noise in the regressor costs
        assert np.mean(np.abs(values - true) < stds) == pytest.approx(0.65, abs=slack)
        assert np.mean(np.abs(values - true) < 2 * stds) == pytest.approx(0.92, abs=0.04)
    assert np.sqrt(np.mean([one.noise_std**2 for one in found])) == pytest.approx(1.0, rel=0.03)


def test_short_steps_are_biased_as_stated():
    random = np.random.default_rng(1)
    clean = exponential(YEARS, -100, 1.5)
    noisy = [clean + random.normal(0, 2, 85) for _ in range(300)]
    short = [asaoka(w, t=YEARS, step=12 / 365.25) for w in noisy]
    default = [asaoka(w, t=YEARS) for w in noisy]
    assert np.median([one.final_settlement for one in short]) + 100 == pytest.approx(2.6, abs=0.3)
    assert np.median([one.final_settlement_std for one in short]) == pytest.approx(1.1, abs=0.1)
    assert np.median([one.final_settlement for one in default]) + 100 == pytest.approx(0.3, abs=0.25)
    # slope too small by b1 sigma^2 / var(S)
    slope = np.exp(-1.5 * 12 / 365.25)
    expected = slope * 4 / clean[:-1].var()
    assert slope - np.mean([one.b1 for one in short]) == pytest.approx(expected, rel=0.15)


def test_what_does_not_settle_has_no_end():
    faster = asaoka(np.exp(YEARS), t=YEARS)
    assert faster.b1 > 1
    assert not faster.settles
    names = ("final_settlement", "final_settlement_std", "rate", "rate_std")
    assert np.isnan([getattr(faster, name) for name in names]).all()
    assert np.isfinite([faster.b0, faster.b0_std, faster.b1_std, faster.noise_std]).all()
    shaken = asaoka(np.tile([1.0, -1.0], 10) + 1e-3 * np.arange(20), t=np.arange(20.0), step=1.0)
    assert shaken.b1 < 0
    assert not shaken.settles
    assert np.isnan(shaken.final_settlement)
    flat = asaoka(np.full(20, 0.3), t=np.arange(20.0))
    assert not flat.settles
    assert np.isnan([flat.b0, flat.b1, flat.final_settlement, flat.noise_std]).all()
    assert not asaoka(np.zeros(20), t=np.arange(20.0)).settles


def test_missing_epochs_are_left_out_and_inputs_kept():
    w = exponential(YEARS, -0.1, 1.3)
    w[[0, 7, 84]] = np.nan
    w.flags.writeable = False
    kept = np.isfinite(w)
    found = asaoka(w, t=YEARS)
    assert found == asaoka(w[kept], t=YEARS[kept])
    assert pickle.loads(pickle.dumps(found)) == found
    assert isinstance(found, AsaokaEstimate)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.b1 = 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"t": np.arange(20).astype("M8[D]")}, "t must be numbers in one unit of time, got dates: use to_elapsed"),
        ({"t": np.arange(19.0)}, r"one series of one length, got shapes \(20,\) and \(19,\)"),
        ({"w": np.zeros((4, 5)), "t": np.zeros((4, 5))}, r"got shapes \(4, 5\)"),
        ({"w": np.full(20, np.nan)}, "w must hold 4 finite values or more, got 0"),
        ({"t": np.arange(20.0)[::-1]}, "t must be finite and increase"),
        ({"t": np.r_[0.0, np.arange(19.0)]}, "t must be finite and increase"),
        ({"t": np.r_[np.arange(19.0), np.nan]}, "t must be finite and increase"),
        ({"step": 0.0}, "step must be a length of time above zero, got 0.0"),
        ({"step": np.nan}, "step must be a length of time above zero, got nan"),
        ({"step": "year"}, "step must be a length of time above zero, got 'year'"),
        ({"step": 0.5}, "step must not be below 1, the median spacing of the epochs, got 0.5"),
        ({"step": 7.0}, "step must leave 4 values or more of a record of 19, got 7.0: at most 6.33333"),
    ],
)
def test_bad_input(change, message):
    given_ = {"w": -np.arange(20.0), "t": np.arange(20.0), **change}
    with pytest.raises(InputError, match=message):
        asaoka(given_.pop("w"), **given_)
