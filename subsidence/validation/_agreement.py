"""Agreement of InSAR with ground truth, in numbers that can be published."""

from __future__ import annotations

from collections.abc import Callable

import xarray as xr

from subsidence import schema
from subsidence.errors import InputError
from subsidence.validation import metrics

__all__ = ["agreement"]

#: Function, long name, and whether it has no unit.
_MEASURES: dict[str, tuple[Callable[..., float], str, bool]] = {
    "n": (metrics.count, "number of values compared", True),
    "bias": (metrics.bias, "mean of InSAR minus truth", False),
    "std": (metrics.std, "standard deviation of InSAR minus truth about the bias, over n", False),
    "rmse": (metrics.rmse, "root mean square of InSAR minus truth, over n", False),
    "mae": (metrics.mae, "mean absolute value of InSAR minus truth", False),
    "pearson_r": (metrics.pearson_r, "coefficient of linear correlation", True),
    "r2_pearson": (metrics.r2_pearson, "square of the coefficient of linear correlation", True),
    "r2_one_to_one": (metrics.r2_one_to_one, "share of the truth's variance explained, about the 1:1 line", True),
}


def agreement(matched: xr.Dataset, *, quantity: str = "velocity") -> xr.Dataset:
    r"""
    Measures of agreement between InSAR and ground truth.

    Parameters
    ----------
    matched
        MATCHED, of :func:`subsidence.validation.match`.
    quantity
        "velocity" (one value per benchmark) or "displacement" (one per benchmark and campaign; the first
        campaign of each benchmark, zero by definition in both, is left out).

    Returns
    -------
    xarray.Dataset
        Along ``datum``, "none" and, where `matched` has a datum shift, "shift": ``n``, ``bias``, ``std``,
        ``rmse`` and ``mae`` in m/year or m, ``pearson_r``, ``r2_pearson``, ``r2_one_to_one``. Residuals are
        InSAR minus truth, positive where InSAR lies above it.

    Raises
    ------
    InputError
        When `matched` is not MATCHED, or `quantity` is neither of the two.

    Notes
    -----
    ``std`` is divided by n, so that :math:`rmse^2 = bias^2 + std^2` holds. After the shift the bias of velocity
    is zero by construction and n - 1 residuals are free. The two measures called R2 in the literature differ:
    ``r2_pearson`` does not see a bias or a wrong scale, ``r2_one_to_one`` does.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> time = ("time", np.array(["2019-01-01", "2020-01-01"], "datetime64[ns]"))
    >>> zero = (("time", "benchmark"), np.zeros((2, 3)))
    >>> matched = xr.Dataset(
    ...     {
    ...         "insar_velocity": ("benchmark", [-0.011, -0.019, -0.033]),
    ...         "truth_velocity": ("benchmark", [-0.010, -0.020, -0.030]),
    ...         "insar_displacement": zero,
    ...         "truth_displacement": zero,
    ...     },
    ...     {"time": time},
    ... )
    >>> report = agreement(matched)
    >>> float(report.rmse.item() * 1000)  # mm/year
    1.91...
    """
    schema.MATCHED.check(matched, argument="matched")
    if quantity not in {"velocity", "displacement"}:
        msg = f"quantity must be 'velocity' or 'displacement', got {quantity!r}"
        raise InputError(msg)
    estimate, truth = matched[f"insar_{quantity}"], matched[f"truth_{quantity}"]
    if quantity == "displacement":
        known = (estimate.notnull() & truth.notnull()).transpose("time", "benchmark")
        later = known.cumsum("time") > 1
        estimate, truth = estimate.where(later), truth.where(later)
    versions = {"none": estimate}
    shift = matched.get(f"{quantity}_shift")
    if shift is not None:
        versions = {"none": estimate + shift, "shift": estimate}
    units = schema.VARIABLES[quantity].units
    columns = {}
    for name, (function, long_name, unitless) in _MEASURES.items():
        column = [function(version.values, truth.values) for version in versions.values()]
        columns[name] = ("datum", column, {"long_name": long_name, "units": "1" if unitless else units})
    report = xr.Dataset(columns, {"datum": list(versions)})
    report.attrs = {"quantity": quantity, "residual": "InSAR minus truth"}
    return report
