"""Which of several time functions fits the same series best, and which foretells best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._blocks import Progress
from subsidence.errors import InputError
from subsidence.fitting._fits import model_of, place_of, without_masked
from subsidence.fitting._forecast import Horizon, Origins, forecast_error
from subsidence.models._base import TimeModel
from subsidence.schema import STATUS, Status
from subsidence.typing import AnyArray

__all__ = ["Criterion", "best_model", "check_places", "compare"]

#: What decides: lower is better.
Criterion: TypeAlias = Literal["aicc", "bic", "forecast_rmse"]

#: Fits whose residuals are the least that the time function can have, whatever its parameters mean.
_FITTED = (Status.OK, Status.AT_BOUND, Status.NOT_IDENTIFIABLE, Status.MIXED_SIGNS)
_FROM_FITS = ("rmse", "r_squared", "aicc", "bic", "status")
#: Within 2 of the lowest AICc, models are supported alike (Burnham and Anderson 2002, section 2.6).
_MARGIN: Mapping[str, float] = {"aicc": 2.0, "bic": 0.0, "forecast_rmse": 0.0}
#: Coordinates that say where a place is.
_WHERE = ("y", "x", "lat", "lon", "row", "col", "point")


def compare(
    fits: Mapping[str, xr.Dataset],
    *,
    series: xr.Dataset | None = None,
    criterion: Criterion = "aicc",
    origins: Origins = (0.6, 0.7, 0.8),
    horizon: Horizon = None,
    weights: str | xr.DataArray | None = None,
    models: Mapping[str, TimeModel] | None = None,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    Compare time functions fitted to the same series, place by place and over all places.

    Parameters
    ----------
    fits
        FITS by a name for each, as from :func:`subsidence.fit_map`: of the same places and epochs, with the same
        loss and noise.
    series
        The SERIES that were fitted, m. When given, forecasts are compared too: every time function is fitted
        to what comes before each of `origins`, with loss, noise and t = 0 as in `fits`, and foretells what comes
        after (:func:`subsidence.forecast_error`).
    criterion
        What ``best_model`` goes by: "aicc", "bic" or, with `series`, "forecast_rmse"; see :func:`best_model`.
    origins, horizon
        Of the forecasts, as of :func:`subsidence.forecast_error`.
    weights
        What the fits were weighted by, as given to :func:`subsidence.fit_map`, for the forecasts.
    models
        Time functions of fits by the same names; needed for families that are not this library's.
    threads
        Threads over blocks of places; all CPUs by default.
    progress
        True for a bar (extra ``progress``), or a function told (places done, places in all) of every forecast.

    Returns
    -------
    xarray.Dataset
        COMPARISON along ``model`` and place: ``rmse`` (m), ``r_squared`` (1 - RSS / TSS about the mean),
        ``aicc``, ``bic``, ``akaike_weight``, ``status``, ``parameter_count`` (by model alone), with `series`
        ``forecast_rmse`` (m) and ``forecast_coverage``; ``best_model`` by place; and ``rmse_all``,
        ``aicc_all``, ``bic_all``, ``akaike_weight_all``, ``forecast_rmse_all`` by model.

    Raises
    ------
    InputError
        When `fits` is empty, or differ in places, epochs, loss, noise, weights or component: their criteria then
        measure different data (epochs of lazy fits are not looked at). When `series` has other places, or the
        criterion is unknown or needs `series`.

    Notes
    -----
    With the residual sum of squares RSS of n epochs and k parameters, the variance of the noise counted,

    .. math::

        \mathrm{AICc} = n \ln\frac{\mathrm{RSS}}{n} + 2k + \frac{2k(k+1)}{n-k-1}, \qquad
        \mathrm{BIC} = n \ln\frac{\mathrm{RSS}}{n} + k \ln n, \qquad
        w_i = \frac{e^{-\Delta_i / 2}}{\sum_j e^{-\Delta_j / 2}}

    where :math:`\Delta` is the difference from the lowest AICc. A fit that did not converge, or has too few
    epochs, has weight 0; a place without any fit NaN. Only differences between models mean something, at
    one place. Both take the noise as white: where it is correlated (``noise_autocorrelation`` of the fits), n is
    smaller than it looks and curves with more parameters are favoured. With a robust loss RSS is not the least
    there is: compare such fits by their forecasts.

    What ends in ``_all`` is of the places where every time function is fitted (one that is fitted nowhere left
    out): sums of AICc and BIC, as of independent places, and RMSE over all epochs. Neighbours whose noise is
    alike count too much there.

    A time function that gives no forecast where another does has no ``forecast_rmse``: it would be judged by the
    easier epochs.

    References
    ----------
    Burnham and Anderson (2002), Model Selection and Multimodel Inference, https://doi.org/10.1007/b97636.

    Examples
    --------
    >>> from subsidence import fit_map, models, simulate
    >>> truth = models.Weibull()
    >>> series, _ = simulate.settlement_series(truth, {"w_m": -0.2, "eta": 1.5, "lam": 2.5}, seed=1)
    >>> fits = {"weibull": fit_map(truth, series), "seasonal": fit_map(truth + models.Seasonal(), series)}
    >>> table = compare(fits, series=series)
    >>> table.parameter_count.values.tolist(), table.best_model.values.tolist()
    ([4, 6], ['weibull'])
    """
    _check_criterion(criterion, has_series=series is not None)
    datasets = _checked(fits)
    names = list(datasets)
    functions = {name: model_of(dataset, (models or {}).get(name)) for name, dataset in datasets.items()}
    first = datasets[names[0]]
    place = place_of(first)
    table = xr.concat(
        [_chosen(dataset) for dataset in datasets.values()],
        dim="model",
        join="override",
        coords="minimal",
        compat="override",
    ).assign_coords(model=names)
    counts = [len(model.units) - len(model.held()) for model in functions.values()]
    table["parameter_count"] = ("model", counts)
    table["akaike_weight"] = _akaike_weight(table["aicc"].where(_fitted(table)))
    if series is not None:
        check_places(f"fits[{names[0]!r}]", first, "series", series)
        errors = [
            _forecasts(
                forecast_error(
                    functions[name],
                    series,
                    origins=origins,
                    horizon=horizon,
                    weights=weights,
                    loss=dataset.attrs.get("loss", "linear"),
                    noise=dataset.attrs.get("noise", "white"),
                    origin=dataset.attrs["origin"],
                    threads=threads,
                    progress=progress,
                )
            )
            for name, dataset in datasets.items()
        ]
        table = table.assign(_together(errors))
    table = schema.COMPARISON.stamp(table.assign(_over_places(table, first["epoch_count"], place)))
    table = table.assign(best_model=best_model(table, criterion=criterion).variable)
    table["status"].attrs |= STATUS
    table.attrs = {
        key: value for key, value in first.attrs.items() if key in ("component", "reference", "noise", "loss")
    }
    table = table.drop_vars([name for name in ("forecast_count", "epoch_count") if name in table])
    return schema.COMPARISON.stamp(table)


def best_model(
    comparison: xr.Dataset, *, criterion: Criterion = "aicc", margin: float | None = None, together: bool = False
) -> xr.DataArray:
    r"""
    Name of the time function that is best at each place: the simplest of those that are as good as the best.

    Parameters
    ----------
    comparison
        COMPARISON from :func:`compare`.
    criterion
        "aicc", "bic" or "forecast_rmse"; the lowest is best.
    margin
        How much above the lowest still counts as equally good, in units of the criterion (m for
        "forecast_rmse"). Among those the one with the fewest parameters is taken, of several the lowest. 0 takes
        the lowest whatever its parameters. When None: 2 for "aicc", 0 for the others.
    together
        One time function for all places, from ``aicc_all`` and so on.

    Returns
    -------
    xarray.DataArray
        Text by place, empty where no time function was fitted (or foretold).

    Raises
    ------
    InputError
        When the criterion is unknown or not in `comparison`, or `margin` is negative.

    Notes
    -----
    A superfluous parameter lowers :math:`n \ln(\mathrm{RSS}/n)` by about the square of a normal deviate, and AICc
    charges 2 for it: where the simpler of two models is true, the larger one has the lower AICc in 16 % of all
    cases with one parameter more, in 14 % with two, and every further model adds its own. Models within 2 of the
    lowest have substantial support, so a larger one must win by more than that: 5 % in both cases.

    Forecasts of one series tell nested models apart badly: what separates them is less than the noise of the
    epochs foretold, and a criterion that uses every epoch sees more. Let every epoch be foretold from those
    before it (``origins=series.time[n:]``, `horizon` one revisit) rather than the rest from a few dates, and let
    places of one kind decide `together`. Three Weibull curves, plain, segmented and with frost heave, 104 epochs
    with noise of 3 % of the settlement: the true one is found by AICc in 87 to 100 % from one place and 99 to
    100 % from five, by forecasts of the next epoch in 76 to 98 % and 97 to 100 %, by three forecasts to the end in
    53 to 84 % and 43 to 99 % (``benchmarks/freeze_thaw.py``).

    References
    ----------
    Burnham and Anderson (2002), Model Selection and Multimodel Inference, https://doi.org/10.1007/b97636.
    Arnold (2010), Uninformative parameters and model selection, https://doi.org/10.2193/2009-367.

    Examples
    --------
    >>> import xarray as xr
    >>> table = xr.Dataset(
    ...     {
    ...         "aicc": (("model", "point"), [[-900.0, -700.0], [-901.0, -750.0]]),
    ...         "status": (("model", "point"), [[0, 0], [0, 0]]),
    ...         "parameter_count": ("model", [4, 6]),
    ...     },
    ...     {"model": ["weibull", "segmented"]},
    ... )
    >>> best_model(table).values.tolist()
    ['weibull', 'segmented']
    >>> best_model(table, margin=0.0).values.tolist()
    ['segmented', 'segmented']
    """
    _check_criterion(criterion)
    name = f"{criterion}_all" if together else criterion
    schema.COMPARISON.check(comparison, argument="comparison", needs=(name, "parameter_count"))
    width = _MARGIN[criterion] if margin is None else margin
    if not width >= 0:
        msg = f"margin must not be negative, got {margin!r}"
        raise InputError(msg)
    values = comparison[name]
    if criterion != "forecast_rmse" and not together and "status" in comparison:
        values = values.where(_fitted(comparison))
    names = comparison["model"].values.astype(str)
    found: xr.DataArray = xr.apply_ufunc(
        _simplest,
        values,
        comparison["parameter_count"],
        input_core_dims=[["model"], ["model"]],
        kwargs={"names": names, "margin": float(width)},
        dask="parallelized",
        dask_gufunc_kwargs={"allow_rechunk": True},
        output_dtypes=[names.dtype],
    )
    found.name = "best_model"
    found.attrs = {"criterion": name, "margin": float(width)}
    return found


def _simplest(values: AnyArray, counts: AnyArray, *, names: AnyArray, margin: float) -> AnyArray:
    """Of the models (last axis) within `margin` of the lowest the one of fewest parameters, then the lowest."""
    known = np.where(np.isfinite(values), values, np.inf)
    good = known <= known.min(-1, keepdims=True) + margin
    fewest = np.where(good, counts, np.iinfo(np.int64).max).min(-1, keepdims=True)
    chosen = np.where(good & (counts == fewest), known, np.inf).argmin(-1)
    return np.where(np.isfinite(known).any(-1), names[chosen], "")


def _check_criterion(criterion: object, *, has_series: bool = True) -> None:
    if criterion not in get_args(Criterion):
        msg = f"criterion must be one of {', '.join(map(repr, get_args(Criterion)))}, got {criterion!r}"
        raise InputError(msg)
    if criterion == "forecast_rmse" and not has_series:
        msg = "criterion='forecast_rmse' needs the series that were fitted: give series="
        raise InputError(msg)


def _checked(fits: object) -> dict[str, xr.Dataset]:
    """`fits` by name, or an error that says which two do not go together."""
    if not isinstance(fits, Mapping) or isinstance(fits, xr.Dataset) or not fits:
        words = "an empty one" if isinstance(fits, Mapping) and not fits else type(fits).__name__
        msg = f"fits must be a mapping of names to FITS, as {{'weibull': fit_map(...)}}, got {words}"
        raise InputError(msg)
    found = {
        str(name): without_masked(dataset) if isinstance(dataset, xr.Dataset) else dataset
        for name, dataset in fits.items()
    }
    for name, dataset in found.items():
        schema.FITS.check(dataset, argument=f"fits[{name!r}]", needs=("r_squared", "aicc", "bic"))
    (name, first), *others = found.items()
    for other, dataset in others:
        left, right = f"fits[{name!r}]", f"fits[{other!r}]"
        check_places(left, first, right, dataset)
        for key, default in (("loss", "linear"), ("noise", "white"), ("weights", ""), ("component", None)):
            one, two = first.attrs.get(key, default), dataset.attrs.get(key, default)
            if one != two:
                msg = f"fits must agree in {key}, got {one!r} in {left} and {two!r} in {right}: fit them alike"
                raise InputError(msg)
        _check_epochs(left, first, right, dataset)
    return found


def check_places(left: str, first: xr.Dataset, right: str, second: xr.Dataset) -> None:
    one = {dim: first.sizes[dim] for dim in place_of(first)}
    two = {dim: second.sizes[dim] for dim in place_of(second)}
    if one != two:
        msg = f"{left} and {right} must be of the same places, got sizes {one or 1} and {two or 1}"
        raise InputError(msg)
    for name in _WHERE:
        if name not in first.coords or name not in second.coords:
            continue
        here, there = first[name], second[name]
        if here.dims == there.dims and not np.array_equal(here.values, there.values):
            msg = f"{left} and {right} must be of the same places, got other values of {name!r}"
            raise InputError(msg)


def _check_epochs(left: str, first: xr.Dataset, right: str, second: xr.Dataset) -> None:
    for name in ("epoch_count", "record_start", "record_end"):
        if name not in first or name not in second or first[name].chunks or second[name].chunks:
            continue  # to look at lazy fits would be to make them
        one, two = first[name].values, second[name].transpose(*first[name].dims).values
        differ = np.atleast_1d(one != two)
        if one.dtype.kind == "M":
            differ &= ~np.atleast_1d(np.isnat(one) & np.isnat(two))
        if differ.any():
            here, there = np.atleast_1d(one)[differ][0], np.atleast_1d(two)[differ][0]
            msg = (
                f"fits must be of the same epochs at every place, got {name} {here} in {left} and {there} in {right} "
                f"at {np.count_nonzero(differ)} places: criteria of different data cannot be compared"
            )
            raise InputError(msg)


def _chosen(dataset: xr.Dataset) -> xr.Dataset:
    """What of a fit a comparison has, without the parameters."""
    kept = dataset[list(_FROM_FITS)]
    return kept.drop_vars([name for name in kept.coords if str(name).startswith("parameter")])


def _fitted(table: xr.Dataset) -> xr.DataArray:
    """Whether the residuals of each model are the least it can have."""
    found: xr.DataArray = table["status"].isin([int(status) for status in _FITTED])
    return found


def _akaike_weight(aicc: xr.DataArray) -> xr.DataArray:
    """Weights along ``model``: zero where there is no criterion, NaN where no model has one."""
    known = aicc.where(np.isfinite(aicc))
    likelihood: xr.DataArray = xr.apply_ufunc(np.exp, -0.5 * (known - known.min("model")), dask="allowed")
    return (likelihood / likelihood.sum("model")).fillna(0.0).where(known.notnull().any("model"))


def _forecasts(errors: xr.Dataset) -> xr.Dataset:
    """Errors of the time function over all origins."""
    count = errors["forecast_count"]
    square = errors["forecast_rmse"].sel(forecaster="model", drop=True) ** 2
    total = count.sum("origin").where(lambda number: number > 0)
    return xr.Dataset(
        {
            "forecast_rmse": ((square * count).sum("origin") / total) ** 0.5,
            "forecast_coverage": (errors["forecast_coverage"] * count).sum("origin", min_count=1) / total,
            "forecast_count": count.sum("origin"),
        }
    )


def _together(errors: list[xr.Dataset]) -> dict[str, xr.Variable]:
    """Forecasts of all models; NaN for those that leave out epochs which another foretells."""
    table = xr.concat(errors, dim="model", join="override", coords="minimal", compat="override")
    whole = table["forecast_count"] == table["forecast_count"].max("model")
    kept = table[["forecast_rmse", "forecast_coverage"]].where(whole)
    return {str(name): kept[name].variable for name in kept} | {"forecast_count": table["forecast_count"].variable}


def _over_places(table: xr.Dataset, epochs: xr.DataArray, place: tuple[str, ...]) -> dict[str, xr.DataArray]:
    """Sums over the places where every model that is fitted anywhere is fitted."""
    aicc = table["aicc"].where(_fitted(table) & np.isfinite(table["aicc"]))
    common, used = _common(aicc, place)

    def total(values: xr.DataArray, where: xr.DataArray) -> xr.DataArray:
        return values.where(where).sum(place, min_count=1)

    found = {f"{name}_all": total(table[name], common).where(used) for name in ("aicc", "bic")}
    squares = total(table["rmse"] ** 2 * epochs, common) / total(epochs.where(common), common)
    found |= {"rmse_all": (squares**0.5).where(used), "akaike_weight_all": _akaike_weight(found["aicc_all"])}
    if "forecast_rmse" in table:
        common, used = _common(table["forecast_rmse"], place)
        count = table["forecast_count"]
        squares = total(table["forecast_rmse"] ** 2 * count, common) / total(count, common)
        found["forecast_rmse_all"] = (squares**0.5).where(used)
    return found


def _common(values: xr.DataArray, place: tuple[str, ...]) -> tuple[xr.DataArray, xr.DataArray]:
    """Places that every usable model has a value at; usable models, which have one anywhere."""
    known = values.notnull()
    used = known.any(place)
    return (known | ~used).all("model"), used
