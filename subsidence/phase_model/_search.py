"""Search of velocity and residual height along arcs: labels, checks and units around the kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from subsidence import _blocks, schema
from subsidence._blocks import Output, Progress
from subsidence._kernels import phase_pairs, phase_search
from subsidence._points import PhaseDesign, phase_design
from subsidence.errors import InputError
from subsidence.phase_model._ambiguity import LARGEST_SQUARE, log_likelihood, variance_factor
from subsidence.phase_model._box import Grid
from subsidence.phase_model._epochs import Epochs
from subsidence.phase_model._model import FEWEST, Model, model_of
from subsidence.typing import AnyArray, FloatArray, IntArray

__all__ = ["arc_ends", "search_arrays", "search_phase_model"]

_LEVEL = 0.05


def search_phase_model(
    points: xr.Dataset,
    arcs: xr.Dataset,
    *,
    velocity: tuple[float, float] = (-0.1, 0.1),
    residual_height: tuple[float, float] | None = (-40.0, 40.0),
    seasonal: float | None = None,
    thermal_expansion: tuple[float, float] | None = None,
    weights: xr.DataArray | None = None,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    Velocity and residual height along arcs from wrapped phases, with their errors and how sure they are.

    Parameters
    ----------
    points
        POINTS: wrapped ``phase`` (time, point) or (pair, point) in radians, NaN where there is no data.
    arcs
        ARCS: ``start`` and ``end``, numbers of points.
    velocity
        Lowest and highest velocity of an arc, end minus start, m/year towards the satellite.
    residual_height
        Lowest and highest residual height, m. None searches velocity without it, as do points without baselines.
    seasonal
        Largest amplitude of an annual motion, m: its sine and cosine are searched too.
    thermal_expansion
        Lowest and highest motion per kelvin, m/K; points need ``temperature``.
    weights
        Along ``time`` or ``pair``, such as inverse phase variances; only their ratios count, 0 or NaN leaves one out.
        That of a reference epoch does not count.
    threads
        None takes every CPU that this process may use.
    progress
        True for a bar, or a function that is told (arcs done, arcs in all).

    Returns
    -------
    xarray.Dataset
        ARCS: those given, with ``velocity`` (m/year), ``residual_height`` (m), and when asked for ``seasonal_sine``,
        ``seasonal_cosine`` (m) and ``thermal_expansion`` (m/K), end minus start; their standard deviations
        (``velocity_std``, ...); ``temporal_coherence``; ``peak_ratio``, the second highest peak's coherence over
        the highest's; ``ambiguity_probability``, that the highest peak is the true one; ``epoch_count``;
        ``status`` (:class:`subsidence.schema.Status`; other than OK the rest is NaN). Attributes hold the box,
        and ``noise_coherence``, which pure noise exceeds in 5 % of arcs.

    Raises
    ------
    SchemaError
        When `points` or `arcs` are not of their kind.
    InputError
        When arcs name points that are not there, a box is empty or too large to search, weights do not
        fit, temperatures are missing, or fewer than 4 epochs are usable.

    Warns
    -----
    SuspiciousDataWarning
        When all baselines are equal, so that heights leave no trace: they are NaN.

    Notes
    -----
    The phase of an arc, end minus start, is

    .. math:: \phi_i = -\frac{4 \pi}{\lambda} \left[ v t_i + \frac{B_{\perp,i}}{R \sin\theta} h + s \sin 2\pi t_i
        + c \cos 2\pi t_i + k T_i \right] + \phi_0 + \epsilon_i

    with a free constant :math:`\phi_0`, the noise of the reference epoch. Range and incidence are the mean of
    the arc's ends. The periodogram [1]_ :math:`|\sum_i w_i e^{j (\phi_i - m_i)}|` is computed on a grid of half a
    resolution cell over the whole box, all parameters jointly; its two highest peaks are refined by
    wrapped least squares and the more coherent one is returned. Standard deviations are those of wrapped least
    squares under the noise that the residuals show. The probability is the share of the likelihood
    over the box that belongs to the peak, for von Mises noise of unknown concentration, every value of the box being
    equally likely beforehand.

    Phases of pairs have no constant of their own. Once the search has unwrapped them along the arc, they are
    inverted to epochs, and the parameters fitted to these: noise of an image enters all its pairs alike, and
    the pairs themselves would weigh it wrongly.

    Memory: a float32 copy of the phases, the results, and for each thread 128 bytes for each node of the grid.

    References
    ----------
    .. [1] Ferretti A., Prati C., Rocca F. (2001) doi:10.1109/36.898661

    Examples
    --------
    >>> import xarray as xr
    >>> from subsidence import simulate
    >>> points, truth = simulate.point_scene(points=30, epochs=40, velocity=np.linspace(-0.02, 0.02, 30), seed=1)
    >>> arcs = xr.Dataset({"start": ("arc", [0, 4]), "end": ("arc", [29, 9])})
    >>> found = search_phase_model(points, arcs)
    >>> bool(np.abs(found.velocity - [0.04, 0.0069]).max() < 0.004), bool(found.ambiguity_probability.min() > 0.99)
    (True, True)
    """
    schema.POINTS.check(points, argument="points")
    schema.ARCS.check(arcs, argument="arcs", needs=("start", "end"))
    start, end = arc_ends(points, arcs)
    design = phase_design(points)
    model = model_of(
        points,
        design,
        velocity=velocity,
        residual_height=residual_height,
        seasonal=seasonal,
        thermal_expansion=thermal_expansion,
        weights=weights,
    )
    phase = points["phase"].transpose("point", design.along).values
    table = np.ascontiguousarray(phase[:, model.keep], np.float32)
    found = search_arrays(table, model, first=start, second=end, threads=threads, progress=progress)
    return _labelled(arcs, design, model, found, asked=residual_height)


def search_arrays(
    phases: AnyArray,
    model: Model,
    *,
    first: IntArray | None = None,
    second: IntArray | None = None,
    heights: FloatArray | None = None,
    height_scale: FloatArray | None = None,
    threads: int | None = None,
    progress: Progress = False,
) -> dict[str, AnyArray]:
    """
    Search arrays of phases: what :func:`search_phase_model` does once labels are off.

    Parameters
    ----------
    phases
        ``(row, n)`` float32, contiguous, the n epochs or pairs that ``model.keep`` names, NaN for no data.
    model
        See :func:`model_of`.
    first, second
        Row of each arc's start and end; its phase is ``phases[second] - phases[first]``. A `first` of -1
        stands for phase zero. None for both: each row is the phase of an arc already.
    heights
        ``(row, n)`` design of the residual height by row (an arc takes its ends' mean); by default
        the model's, whose rows are points.
    height_scale
        ``(row,)``, likewise.
    threads, progress
        See :func:`search_phase_model`.

    Returns
    -------
    dict
        ``value`` and ``std`` (parameter, arc) in SI units, ``temporal_coherence``, ``peak_ratio``,
        ``ambiguity_probability``, ``epoch_count``, ``status`` (arc), and ``box`` (parameter, 2), the box as searched.
    """
    if second is None:
        second = np.arange(phases.shape[0])
    first = np.full(second.size, -1) if first is None else first
    heights = model.heights if heights is None else heights
    height_scale = model.height_scale if height_scale is None else height_scale
    scale = np.where(first >= 0, 0.5 * (height_scale[first] + height_scale[second]), height_scale[second])
    has_height = "residual_height" in model.names
    box = model.box.copy()
    if has_height:  # one grid serves all arcs: it covers the box of each
        low, high = box[1]
        box[1] = np.min(low / scale), np.max(high / scale)
    grid = Grid.plan(model.columns, box, offset_known=model.offset_known, by_arc=heights)
    rows = np.empty((0, 0), np.float32) if heights is None else (heights * grid.unit[1]).astype(np.float32)
    n = model.weights.size
    parameters = len(model.names)
    counts = np.arange(n + 1)
    effective = counts * (model.independent / n)
    unknowns = parameters + (not model.offset_known)
    job = _Job(
        phases=phases,
        heights=rows,
        weight=model.weights.astype(np.float32),
        grid=grid,
        offset_known=model.offset_known,
        passes=2 if parameters <= 2 else 4,
        tapered=2,
        fewest=max(FEWEST, unknowns + 1),
        likelihood=log_likelihood(effective, offset_known=model.offset_known),
        spread=variance_factor(counts, unknowns),
        epochs=model.epochs,
        epoch_design=np.empty((0, 0))
        if model.epochs is None
        else (model.columns @ model.epochs.inverse.T) * grid.unit[:, None],
        epoch_heights=np.empty((0, 0)) if model.epochs is None or heights is None else rows @ model.epochs.inverse.T,
    )
    inputs = [xr.Variable("arc", np.asarray(each, np.int64)) for each in (first, second)]
    outputs = (
        Output(("parameter",), (parameters,), np.float32),
        Output(("parameter",), (parameters,), np.float32),
        Output((), (), np.float32),
        Output((), (), np.float32),
        Output((), (), np.float32),
        Output((), (), np.int32),
        Output((), (), np.int8),
    )
    solved = _blocks.run(
        job, inputs, outputs, place=("arc",), threads=threads, progress=progress, label="phase model search"
    )
    names = ("value", "std", "temporal_coherence", "peak_ratio", "ambiguity_probability", "epoch_count", "status")
    found: dict[str, AnyArray] = {name: variable.values for name, variable in zip(names, solved, strict=True)}
    for name in ("value", "std"):
        found[name] *= grid.unit[:, None].astype(np.float32)
        if has_height:
            found[name][1] *= scale.astype(np.float32)
    found["box"] = box
    return found


@dataclass(frozen=True, eq=False)
class _Job:
    """The kernel with everything but arcs and outputs."""

    phases: AnyArray
    heights: AnyArray
    weight: AnyArray
    grid: Grid
    offset_known: bool
    passes: int
    tapered: int
    fewest: int
    likelihood: FloatArray
    spread: FloatArray
    epochs: Epochs | None
    epoch_design: FloatArray
    epoch_heights: FloatArray

    def __call__(self, start: int, stop: int, first: AnyArray, second: AnyArray, *outputs: AnyArray) -> None:
        grid = self.grid
        phase_search.search(
            start,
            stop,
            self.phases,
            self.heights,
            first,
            second,
            self.weight,
            grid.design,
            grid.lowest,
            grid.spacing,
            np.full(grid.lowest.size, np.pi / 2),
            grid.steps,
            grid.outer,
            grid.velocities,
            grid.fine,
            grid.index,
            grid.reach,
            self.offset_known,
            self.passes,
            self.tapered,
            self.fewest,
            self.likelihood,
            self.spread,
            LARGEST_SQUARE,
            *outputs,
        )
        if self.epochs is None:
            return
        value, std, coherence, _, _, _, status = outputs
        phase_pairs.fit_epochs(
            start,
            stop,
            self.phases,
            self.heights,
            first,
            second,
            self.weight,
            grid.design,
            self.epoch_design,
            self.epoch_heights,
            self.epochs.lower,
            self.epochs.upper,
            self.epochs.sign,
            self.epochs.bandwidth,
            value,
            std,
            coherence,
            status,
        )


def arc_ends(points: xr.Dataset, arcs: xr.Dataset) -> tuple[IntArray, IntArray]:
    """Start and end of every arc, checked against the points."""
    start, end = (np.asarray(arcs[name].values, np.int64) for name in ("start", "end"))
    count = points.sizes["point"]
    if start.size == 0:
        msg = "arcs is empty: there is nothing to search"
        raise InputError(msg)
    for name, numbers in (("start", start), ("end", end)):
        if numbers.min() < 0 or numbers.max() >= count:
            msg = (
                f"arcs: {name} must number points 0..{count - 1}, got {numbers.min()}..{numbers.max()}: "
                "were the arcs drawn between other points?"
            )
            raise InputError(msg)
    return start, end


def _labelled(
    arcs: xr.Dataset,
    design: PhaseDesign,
    model: Model,
    found: dict[str, AnyArray],
    *,
    asked: tuple[float, float] | None,
) -> xr.Dataset:
    variables: dict[str, tuple[str, AnyArray]] = {}
    for number, name in enumerate(model.names):
        variables[name] = ("arc", found["value"][number])
        variables[f"{name}_std"] = ("arc", found["std"][number])
    if asked is not None and design.height is not None and "residual_height" not in model.names:
        for name in ("residual_height", "residual_height_std"):
            variables[name] = ("arc", np.full(arcs.sizes["arc"], np.nan, np.float32))
    for name in ("temporal_coherence", "peak_ratio", "ambiguity_probability", "epoch_count", "status"):
        variables[name] = ("arc", found[name])
    kept = [name for name in ("start", "end", "length") if name in arcs.variables]
    result = arcs[kept].reset_coords(drop=False).assign(variables)
    result["status"].attrs = dict(schema.STATUS)
    result.attrs = {
        **arcs.attrs,
        **{
            f"{name}_box": [float(each) for each in limits] for name, limits in zip(model.names, model.box, strict=True)
        },
        "noise_coherence": model.noise_coherence(_LEVEL),
    }
    return schema.ARCS.stamp(result)
