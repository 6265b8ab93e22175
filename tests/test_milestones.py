"""When a curve changes its stage and when it has settled, against closed forms and simulated fits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subsidence.errors import InputError
from subsidence.models import Logistic, Seasonal, Weibull

PARAMS = {"w_m": -0.2, "eta": 0.068, "lam": 2.5}


@settings(max_examples=40, deadline=None)
@given(eta=st.floats(1e-3, 5), lam=st.floats(0.6, 5), t0=st.floats(-3, 3), share=st.floats(0.02, 0.999))
def test_time_of_a_fraction_is_the_inverse_of_the_curve(eta, lam, t0, share):
    found = Weibull().stabilisation_time({"w_m": 3.0, "eta": eta, "lam": lam, "t0": t0}, fraction=share)
    expected = t0 + (-np.log(1 - share) / eta) ** (1 / lam)
    assert found.value == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert np.isnan(found.std)


def test_time_of_a_velocity_is_after_the_peak():
    model = Weibull()
    found = model.stabilisation_time(PARAMS, velocity=0.01)
    assert found.value > model.time_of_peak(PARAMS)
    assert model.velocity(found.value, PARAMS) == pytest.approx(-0.01, rel=1e-9)
    assert model.stabilisation_time({**PARAMS, "t0": 1.5}, velocity=1e3).value == 1.5
    assert np.isnan(model.stabilisation_time({**PARAMS, "w_m": 0.0}).value)


@pytest.mark.parametrize("criterion", [{"fraction": 0.9}, {"velocity": 0.02}])
def test_its_standard_deviation_is_what_repeated_surveys_show(criterion):
    t = np.arange(85) * 12 / 365.25
    truth = {"w_m": -0.2, "eta": 0.6, "lam": 2.2, "offset": 0.0, "t0": 0.0}
    model = Weibull()
    clean = model.eval(t=t, **truth)
    random = np.random.default_rng(5)
    found = [
        model.stabilisation_time(model.fit(clean + random.normal(0, 0.002, t.size), t=t), **criterion)
        for _ in range(60)
    ]
    values, stds = np.array(found).T
    expected = model.stabilisation_time(truth, **criterion).value
    assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(60)
    assert stds.mean() == pytest.approx(values.std(), rel=0.3)


def test_stages_of_the_paper():
    model = Weibull()
    t = np.linspace(0.01, 6, 300)
    stage = model.stages(t, PARAMS)
    acceleration = -model.acceleration(t, PARAMS)
    assert list(dict.fromkeys(stage)) == ["initial", "accelerating", "stable"]
    assert t[stage == "accelerating"][0] == pytest.approx(t[np.argmax(acceleration)], abs=0.03)
    assert t[stage == "stable"][0] == pytest.approx(2.389, abs=0.03)
    # the paper asks lam > 2 for an acceleration that rises first
    assert "initial" not in model.stages(t, {**PARAMS, "lam": 1.8})


def test_a_curve_on_the_whole_axis_has_stages_before_time_zero():
    # a logistic accelerates most where its share is (3 - sqrt(3)) / 6, ln(2 + sqrt(3)) / c before its peak
    params = {"b": -1.0, "a": 1.0, "c": 2.0}
    rise = -np.log(2 + np.sqrt(3)) / 2.0
    t = np.array([rise - 1e-3, rise + 1e-3, -1e-3, 1e-3])
    assert Logistic().stages(t, params).tolist() == ["initial", "accelerating", "accelerating", "stable"]
    in_sum = Seasonal() + Logistic(prefix="l_")
    named = {f"l_{name}": value for name, value in params.items()} | {"sine": 0.0, "cosine": 0.0}
    assert in_sum.stages(t[1:], named).tolist() == ["accelerating", "accelerating", "stable"]


def test_what_is_still_to_come():
    model = Weibull()
    t = np.array([0.0, 2.0, 1e3])
    left = model.residual_settlement(t, {**PARAMS, "offset": 0.05})
    np.testing.assert_allclose(left, -0.2 * np.exp(-0.068 * t**2.5), atol=1e-15)
    assert model.final_settlement(PARAMS) == -0.2


def test_a_tied_parameter_counts():
    t = np.arange(85) * 12 / 365.25
    model = Weibull()
    data = model.eval(t=t, w_m=-0.2, eta=0.6, lam=2.2) + np.random.default_rng(1).normal(0, 0.002, 85)
    free = model.fit(data, t=t)
    params = model.guess(data, t)
    params.add("theta", value=1.2, min=1e-6)
    params["eta"].set(expr="theta**-lam")
    tied = model.fit(data, params, t=t)
    a, b = (model.stabilisation_time(result, fraction=0.9) for result in (free, tied))
    assert b.value == pytest.approx(a.value, rel=1e-3)
    assert b.std == pytest.approx(a.std, rel=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fraction": 0.9, "velocity": 0.1}, "give fraction or velocity, got both"),
        ({"fraction": 1.0}, "between 0 and 1, got 1.0"),
        ({"velocity": 0.0}, "above zero, got 0.0"),
    ],
)
def test_bad_thresholds(options, message):
    with pytest.raises(InputError, match=message):
        Weibull().stabilisation_time(PARAMS, **options)
