"""One row per metric of a result: column of the report, limit of visibility, weight in a score, output of the node Artifacts.

Imports nothing heavy, so that nodes and help derive from it without torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from .artifacts import Artifacts
    from .drift import Drift
    from .fidelity import Fidelity

Group = Literal["True to the original", "True to the source", "Detail and artifacts", "Cost"]
Better = Literal["low", "high", "near zero", ""]
GROUPS: tuple[Group, ...] = ("True to the original", "True to the source", "Detail and artifacts", "Cost")
"""Titles of the tables of the report, in their order."""


CONSISTENT_DB = 32.0
"""Below it a result differs from its source; x4plus has 30 to 40 dB, interpolation more than 40."""
SHARPENED_DB, SOFTENED_DB = 3.5, -3.0
"""Gain of the finest octave of the source. True originals have up to 3.2 dB against their own reduction."""


class Cost(Protocol):
    """What upscaling one crop took."""

    @property
    def seconds(self) -> float: ...
    @property
    def megapixels(self) -> float: ...
    @property
    def peak_bytes(self) -> int | None: ...


class Measured(Protocol):
    """One measured crop of one model."""

    @property
    def drift(self) -> Drift: ...
    @property
    def area_drift(self) -> Drift: ...
    @property
    def artifacts(self) -> Artifacts: ...
    @property
    def cost(self) -> Cost | None: ...
    @property
    def fidelity(self) -> Fidelity | None: ...


def make_formatter(digits: int) -> Callable[[Any], str]:
    """Return a function that prints a number with ``digits`` decimals."""
    return lambda value: f"{value:.{digits}f}" if abs(value) < math.inf else "∞"


_format_hundredths = make_formatter(2)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number about a result."""

    key: str
    """In report.json."""
    title: str
    unit: str
    group: Group
    meaning: str
    summarize: Callable[[Sequence[Measured]], float | None]
    """The number over all crops of a model; None where no crop has one."""
    formatter: Callable[[Any], str] = _format_hundredths
    better: Better = "low"
    """Empty: more is neither good nor bad."""
    visible: float = math.inf
    """From here on the report says that it can be seen."""
    notable_difference: float = 1.0
    """Difference that tells models apart in a recommendation; smaller ones count only in part."""
    output: str = ""
    """Name of the output of the node Artifacts; empty: none."""
    output_tooltip: str = ""
    measure: Callable[[Artifacts], float | None] = lambda artifacts: None
    """The number of one image for that output; None where the image gives no answer."""


def format_seconds(value: float) -> str:
    """Format a time with about three digits."""
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def format_speed(value: float) -> str:
    """Format megapixels per second with at least two digits."""
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """Return the mean of the finite values; None where there is none."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return fmean(known) if known else None


def _mean(read: Callable[[Measured], float | None]) -> Callable[[Sequence[Measured]], float | None]:
    return lambda results: mean_of_known(read(result) for result in results)


def _sum_seconds(results: Sequence[Measured]) -> float | None:
    costs = [result.cost for result in results if result.cost]
    return sum(cost.seconds for cost in costs) if costs else None


def _compute_speed(results: Sequence[Measured]) -> float | None:
    seconds = _sum_seconds(results)
    return sum(result.cost.megapixels for result in results if result.cost) / seconds if seconds else None


def _find_peak(results: Sequence[Measured]) -> int | None:
    return max((one.cost.peak_bytes for one in results if one.cost and one.cost.peak_bytes is not None), default=None)


def _format_percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _make_truth_metric(
    name: str, title: str, unit: str, meaning: str, digits: int, notable: float, *, better: Better = "low"
) -> Metric:
    """Declare a metric against the true original, where there is one: the field ``name`` of ``Fidelity``."""
    return Metric(
        key=f"truth_{name}",
        title=title,
        unit=unit,
        group="True to the original",
        meaning=meaning,
        formatter=make_formatter(digits),
        summarize=_mean(lambda one: one.fidelity and getattr(one.fidelity, name)),
        better=better,
        notable_difference=notable,
    )


METRICS = (
    _make_truth_metric(
        "texture",
        "Texture error",
        "steps",
        "Difference of the local strength of fine detail, 8-bit steps: smoothed and invented texture (hallucination).",
        2,
        0.5,
    ),
    _make_truth_metric(
        "gmsd", "GMSD", "0..0.5", "Deviation of edges from those of the original (Xue et al. 2014); 0 is identical.", 3, 0.01
    ),
    _make_truth_metric(
        "drift", "Delta E", "ΔE2000", "Mean CIEDE2000 of every pixel of the original; below 1.0 not visible.", 2, 0.3
    ),
    _make_truth_metric(
        "psnr_db", "PSNR", "dB", "Peak signal-to-noise ratio; rewards blur, so it never decides alone.", 2, 1.0, better="high"
    ),
    _make_truth_metric("ssim", "SSIM", "0..1", "Structural similarity of luma (Wang et al. 2004).", 4, 0.02, better="high"),
    Metric(
        key="drift",
        title="Color drift",
        unit="ΔE2000",
        group="True to the source",
        meaning="Detail and color together: mean CIEDE2000 against the source, at its size. Below 1.0 it is not visible.",
        summarize=_mean(lambda one: one.drift.de2000.mean),
    ),
    Metric(
        key="drift_p95",
        title="p95",
        unit="ΔE2000",
        group="True to the source",
        meaning="95 % of the pixels drift less than this.",
        summarize=_mean(lambda one: one.drift.de2000.p95),
    ),
    Metric(
        key="area_drift",
        title="Area drift",
        unit="ΔE2000",
        group="True to the source",
        meaning="The color of areas: the same of low frequencies only. color_fix is judged by it.",
        summarize=_mean(lambda one: one.area_drift.de2000.mean),
    ),
    Metric(
        key="consistency",
        title="Consistency",
        unit="dB",
        group="True to the source",
        meaning="PSNR of the reduced result against the source; high means that little was redrawn.",
        formatter=make_formatter(1),
        summarize=_mean(lambda one: min(one.artifacts.consistency.psnr_db, 99.0)),
        better="high",
        output="consistency_db",
        output_tooltip="PSNR of the reduced image against the original, in dB; higher is better.",
        measure=lambda one: one.consistency.psnr_db,
    ),
    Metric(
        key="halo",
        title="Halo",
        unit="%",
        group="True to the source",
        meaning="Overshoot beside edges, as a share of their contrast, of the worst fifth of them; Lanczos has up to 7 %.",
        formatter=_format_percent,
        summarize=_mean(lambda one: one.artifacts.halo and one.artifacts.halo.relative),
        visible=0.08,
        output="halo",
        output_tooltip="Overshoot beside edges, as a share of their contrast.",
        measure=lambda one: one.halo and one.halo.relative,
    ),
    Metric(
        key="sharpening",
        title="Fine detail",
        unit="dB",
        group="Detail and artifacts",
        meaning="Gain of the finest octave that the source has: above 0 sharpened, below 0 softened.",
        formatter=lambda value: f"{value:+.1f}",
        summarize=_mean(lambda one: one.artifacts.spectrum.sharpening_db),
        better="near zero",
    ),
    Metric(
        key="invented",
        title="New detail",
        unit="steps",
        group="Detail and artifacts",
        meaning="Detail finer than the source can hold, RMS in 8-bit steps: crisp edges, and invention.",
        formatter=make_formatter(1),
        summarize=_mean(lambda one: one.artifacts.spectrum.invented),
        better="",
        output="invented",
        output_tooltip="Detail that no image of the original's size can hold, in 8-bit steps.",
        measure=lambda one: one.spectrum.invented,
    ),
    Metric(
        key="noise",
        title="Noise",
        unit="steps",
        group="Detail and artifacts",
        meaning="In flat areas, against the source. Any enlargement softens noise: compare with the baselines.",
        formatter=lambda value: f"{value:+.2f}",
        summarize=_mean(lambda one: one.artifacts.noise and one.artifacts.noise.excess),
        visible=1.5,
        output="noise",
        output_tooltip="Noise where the original is flat, in 8-bit steps.",
        measure=lambda one: one.noise and one.noise.image,
    ),
    Metric(
        key="banding",
        title="Banding",
        unit="%",
        group="Detail and artifacts",
        meaning="Share of the smooth area that has become steps.",
        formatter=_format_percent,
        summarize=_mean(lambda one: one.artifacts.banding and one.artifacts.banding.share),
        visible=0.05,
        output="banding",
        output_tooltip="Mean height of steps in smooth areas, in 8-bit steps.",
        measure=lambda one: one.banding and one.banding.step,
    ),
    Metric(
        key="seams",
        title="Seams",
        unit="steps",
        group="Detail and artifacts",
        meaning="Steps from tile to tile; up to 0.4 by chance. – where tiles cannot differ.",
        summarize=_mean(lambda one: one.artifacts.seams and one.artifacts.seams.height),
        visible=0.5,
        output="seams",
        output_tooltip="Steps from tile to tile, in 8-bit steps.",
        measure=lambda one: one.seams and one.seams.height,
    ),
    Metric(
        key="seconds",
        title="Time",
        unit="s",
        group="Cost",
        meaning="Of upscaling, over all crops.",
        formatter=format_seconds,
        summarize=_sum_seconds,
    ),
    Metric(
        key="speed",
        title="Speed",
        unit="Mpx/s",
        group="Cost",
        meaning="Megapixels of the result per second.",
        formatter=format_speed,
        summarize=_compute_speed,
        better="high",
    ),
    Metric(
        key="peak_bytes",
        title="Peak memory",
        unit="MB",
        group="Cost",
        meaning="Peak memory beyond what was held before.",
        formatter=lambda value: f"{value / 1e6:.0f}",
        summarize=_find_peak,
    ),
)
VIDEO_METRICS = (
    Metric(
        key="flicker",
        title="Flicker",
        unit="steps",
        group="Detail and artifacts",
        meaning="Change of a video from frame to frame where its source does not move, in 8-bit steps.",
        summarize=lambda results: None,
        output="flicker",
        output_tooltip="Change from image to image where the original does not move, in 8-bit steps; for frames of a video.",
    ),
)
"""Metrics of successive frames; a single image has none of them."""
METRICS_BY_KEY = {metric.key: metric for metric in (*METRICS, *VIDEO_METRICS)}
_FIRST_OUTPUTS = ("halo", "consistency_db", "invented", "noise", "banding", "seams", "flicker")
"""Saved workflows hold the numbers of these outputs; those of later metrics follow them."""
ARTIFACT_METRICS = tuple(
    sorted(
        (metric for metric in METRICS_BY_KEY.values() if metric.output),
        key=lambda metric: _FIRST_OUTPUTS.index(metric.output) if metric.output in _FIRST_OUTPUTS else len(_FIRST_OUTPUTS),
    )
)
"""The outputs of the node Artifacts, in their order."""


def mean_outputs(found: Sequence[Artifacts]) -> list[float]:
    """Return the outputs of the node Artifacts: means over the images that give an answer, 0 where none does."""
    means: list[float] = []
    for metric in ARTIFACT_METRICS:
        numbers = [value for one in found if (value := metric.measure(one)) is not None]
        means.append(sum(numbers) / len(numbers) if numbers else 0.0)
    return means
