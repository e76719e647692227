"""Metrics of IMAGE batches, which are torch tensors (B, H, W, C)."""

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import WorkflowError
from ..media import Floats, Pixels
from ..progress import OpenProgress
from .artifacts import measure_artifacts
from .choices import AUTO_COLORMAP, DiffKind, DriftMode, MapSize
from .colormaps import round_up
from .diff_map import allocate_map, draw_diff_map, paint_map
from .drift import JUST_NOTICEABLE, Drift, DriftMeter, format_headline
from .external_scores.score_runner import ScoreRunner
from .external_scores.score_table import parse_scores
from .metric_table import ARTIFACT_METRICS, mean_outputs
from .pairing import pair_images
from .video import FlickerMeter

Advance = Callable[[], None]
Result = TypeVar("Result")

_MAP_WIDTH = 512
"""Columns that a map with named boxes has at least."""


def pair_batches(reference: torch.Tensor, image: torch.Tensor) -> list[tuple[Pixels, Pixels]]:
    """Pair (B, H, W, C) with (B, h, w, C) image by image; a single image is paired with every one of the other batch.

    Raises:
        WorkflowError: the batches have different lengths, or one is empty.
    """
    first, second = (list(_iter_arrays(batch)) for batch in (reference, image))
    if not first or not second or len(first) != len(second) != 1 != len(first):
        raise WorkflowError(
            f"The reference has {len(first)} images and the upscaled batch has {len(second)}.",
            "Connect batches of the same length, or a single image as one of them.",
        )
    count = max(len(first), len(second))
    return list(zip(first * (count // len(first)), second * (count // len(second)), strict=True))


def _iter_arrays(batch: torch.Tensor) -> Iterator[Pixels]:
    if batch.ndim != 4:
        shape = " x ".join(str(length) for length in batch.shape)
        raise WorkflowError(f"An IMAGE has 4 dimensions, not {shape}.", "Connect the output of a node that returns IMAGE.")
    for image in batch:
        yield image.detach().float().cpu().numpy()


def measure_batch_drift(
    reference: torch.Tensor, image: torch.Tensor, mode: DriftMode, scale: float, colormap: str, advance: Advance
) -> tuple[Drift, torch.Tensor]:
    """Return the drift over all pairs, and a batch with the heat map of each. ``scale`` as in ``_draw_heat_map``."""
    meter = DriftMeter(mode)
    maps: list[Floats] = []
    heights: list[int] = []
    for one, other in pair_batches(reference, image):
        size = pair_images(one, other).size
        maps.append(allocate_map(size.height, size.width, legend=True))
        meter.add(one, other, maps[-1][: size.height, :, 0])
        heights.append(size.height)
        advance()
    drift = meter.compute_result()
    return drift, _stack_maps([_draw_heat_map(*it, drift, scale, colormap) for it in zip(maps, heights, strict=True)])


def _draw_heat_map(out: Floats, height: int, drift: Drift, scale: float, colormap: str) -> Floats:
    """Turn CIEDE2000 in the first channel of ``out`` into colors from 0 to ``scale``, with a legend. A scale of 0 selects the
    next round number above 2.3 and p99."""
    colormap = "" if colormap == AUTO_COLORMAP else colormap
    high = scale or round_up(max(JUST_NOTICEABLE, drift.de2000.p99))
    return paint_map(out, height, high, colormap, format_headline(float(out[:height, :, 0].mean(dtype=np.float64))))


def draw_video_heat_map(values: Floats, drift: Drift, scale: float, colormap: str) -> torch.Tensor:
    """Return the heat map of a video, (h, w) of CIEDE2000, as a batch of one."""
    height, width = values.shape
    out = allocate_map(height, width, legend=True)
    out[:height, :, 0] = values
    return _stack_maps([_draw_heat_map(out, height, drift, scale, colormap)])


def draw_batch_diff_maps(
    reference: torch.Tensor,
    image: torch.Tensor,
    kind: DiffKind,
    gain: float,
    colormap: str,
    map_size: MapSize,
    advance: Advance,
    *,
    legend: bool,
) -> torch.Tensor:
    """Return the difference maps of all pairs as one batch."""
    colormap = "" if colormap == AUTO_COLORMAP else colormap
    maps: list[Floats] = []
    for one, other in pair_batches(reference, image):
        maps.append(draw_diff_map(one, other, kind, gain, colormap, map_size, legend=legend))
        advance()
    return _stack_maps(maps)


def measure_artifact_report(
    reference: torch.Tensor, image: torch.Tensor, tile: int, halo: int, scores: str, open_progress: OpenProgress
) -> tuple[str, str, list[float]]:
    """Return the findings of all pairs as lines, all numbers as JSON, and the means of ``ARTIFACT_METRICS``.

    ``scores`` is a list of scores of external libraries, separated by commas. Raises ``WorkflowError`` for an unknown one.
    """
    requested_scores = parse_scores(scores)
    with open_progress(max(len(reference), len(image)) * (2 if requested_scores else 1), "image") as progress:
        found = _measure_pairs(reference, image, lambda one, other: measure_artifacts(one, other, tile, halo), progress.advance)
        runner = ScoreRunner(requested_scores)
        scored = _measure_pairs(reference, image, runner.measure_pair, progress.advance) if requested_scores else []
        sentences = [*(sentence for one in found for sentence in one.sentences), *(one.sentence for one in scored)]
        findings = "\n".join(dict.fromkeys(sentence for sentence in sentences if sentence))
        progress.message(findings)
    numbers = [one.as_dict() for one in found]
    for entry, one in zip(numbers, scored, strict=False):
        entry["scores"] = one.values
    meter, means = FlickerMeter(), mean_outputs(found)
    for entry, (one, other) in zip(numbers, pair_batches(reference, image) if len(found) > 1 else (), strict=False):
        entry["flicker"] = meter.add(one, other)
    means[[metric.output for metric in ARTIFACT_METRICS].index("flicker")] = meter.flicker or 0.0
    return findings, json.dumps(numbers, indent=2), means


def draw_fault_maps(reference: torch.Tensor, image: torch.Tensor, report: str) -> list[NDArray[np.uint8]]:
    """Draw the map of Delta E of every pair, with a named box around each fault in the JSON of ``measure_artifact_report``.

    Maps are as large as the smaller image, or a multiple of it where that has fewer than 512 columns.
    """
    maps: list[NDArray[np.uint8]] = []
    for (one, other), entry in zip(pair_batches(reference, image), json.loads(report), strict=False):
        columns = int(entry["cells"].split("x")[0])
        drawn = draw_diff_map(one, other, "delta e", zoom=-(-_MAP_WIDTH // columns))
        maps.append(np.asarray(cv2.convertScaleAbs(drawn, alpha=255), np.uint8))
        for finding in entry["findings"]:
            if finding["region"]:
                _draw_box(maps[-1], finding["sentence"].split(":")[0], finding["region"], maps[-1].shape[1] / columns)
    return maps


def _draw_box(drawn: NDArray[np.uint8], name: str, region: dict[str, int], zoom: float) -> None:
    """Draw a white frame, and its name in its upper left corner, inside of the map."""
    line = max(drawn.shape[1] // 512, 1)
    left, top, across, down = (round(zoom * region[key]) for key in ("x", "y", "width", "height"))
    cv2.rectangle(drawn, (left, top), (left + across - 1, top + down - 1), (255, 255, 255), line)
    (width, height), _ = cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, 0.5 * line, line)
    place = (max(min(left + 3 * line, drawn.shape[1] - width - 2 * line), 0), top + height + 4 * line)
    for color, thickness in (((0, 0, 0), 3 * line), ((255, 255, 255), line)):
        cv2.putText(drawn, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5 * line, color, thickness, cv2.LINE_AA)


def _measure_pairs(
    reference: torch.Tensor, image: torch.Tensor, measure: Callable[[Pixels, Pixels], Result], advance: Advance
) -> list[Result]:
    found: list[Result] = []
    for one, other in pair_batches(reference, image):
        found.append(measure(one, other))
        advance()
    return found


def _stack_maps(maps: list[Floats]) -> Any:
    """Stack maps to a batch; a single map is not copied, because it has 400 MB at 8K."""
    return torch.as_tensor(maps[0])[None] if len(maps) == 1 else torch.as_tensor(np.stack(maps))
