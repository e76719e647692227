"""ComfyUI's IMAGE in and out: which picture of a batch is compared with which. Knows torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from ..errors import WorkflowError
from .artifacts import Artifacts, measure_artifacts
from .choices import At, Kind, Mode
from .diff import blank, diff_map, painted
from .drift import JUST_NOTICEABLE, Drift, DriftMeter, headline
from .legend import round_up
from .pictures import Floats, Pixels, paired
from .scores import Score, Scored
from .scoring import Scoring

Advance = Callable[[], None]


def pairs(reference: torch.Tensor, picture: torch.Tensor) -> list[tuple[Pixels, Pixels]]:
    """(B, H, W, C) and (B, h, w, C), picture by picture; a single one is compared with every one of the other batch.

    Raises ``WorkflowError`` for two batches of different lengths, and for one without a picture.
    """
    first, second = (list(_arrays(batch)) for batch in (reference, picture))
    if not first or not second or len(first) != len(second) != 1 != len(first):
        raise WorkflowError(
            f"The reference has {len(first)} pictures and the upscaled batch {len(second)}.",
            "Give as many of one as of the other, or a single one of either.",
        )
    count = max(len(first), len(second))
    return list(zip(first * (count // len(first)), second * (count // len(second)), strict=True))


def _arrays(batch: torch.Tensor) -> Iterator[Pixels]:
    if batch.ndim != 4:
        shape = " x ".join(str(length) for length in batch.shape)
        raise WorkflowError(
            f"An IMAGE is a batch of pictures, not {shape}.", "Connect the output of a node that gives pictures."
        )
    for image in batch:
        yield image.detach().float().cpu().numpy()


def drift_of_batch(
    reference: torch.Tensor, picture: torch.Tensor, mode: Mode, scale: float, colours: str, advance: Advance
) -> tuple[Drift, torch.Tensor]:
    """The drift over all pairs, and a heat map of each, as one batch. ``scale`` as in ``_heat_map``."""
    meter = DriftMeter(mode)
    seen: list[Floats] = []
    heights: list[int] = []
    for one, other in pairs(reference, picture):
        size = paired(one, other).size
        seen.append(blank(size.height, size.width, legend=True))
        meter.add(one, other, seen[-1][: size.height, :, 0])
        heights.append(size.height)
        advance()
    drift = meter.result()
    return drift, _as_batch([_heat_map(*it, drift, scale, colours) for it in zip(seen, heights, strict=True)])


def _heat_map(out: Floats, height: int, drift: Drift, scale: float, colours: str) -> Floats:
    """CIEDE2000 in the first channel of ``out`` becomes colours that end at ``scale``, with a legend. A scale of 0 is the next
    round number above 2.3 and p99."""
    high = scale or round_up(max(JUST_NOTICEABLE, drift.de2000.p99))
    return painted(out, height, high, colours, headline(float(out[:height, :, 0].mean(dtype=np.float64))))


def drift_of_film(values: Floats, drift: Drift, scale: float, colours: str) -> torch.Tensor:
    """The heat map of a film, as a batch of one."""
    height, width = values.shape
    out = blank(height, width, legend=True)
    out[:height, :, 0] = values
    return _as_batch([_heat_map(out, height, drift, scale, colours)])


def diff_of_batch(
    reference: torch.Tensor,
    picture: torch.Tensor,
    kind: Kind,
    gain: float,
    colours: str,
    at: At,
    advance: Advance,
    *,
    legend: bool,
) -> torch.Tensor:
    """``diff_map`` of every pair, as one batch."""
    maps: list[Floats] = []
    for one, other in pairs(reference, picture):
        maps.append(diff_map(one, other, kind, gain, colours, at, legend=legend))
        advance()
    return _as_batch(maps)


def artifacts_of_batch(
    reference: torch.Tensor, picture: torch.Tensor, tile: int, halo: int, advance: Advance
) -> list[Artifacts]:
    """Those of every pair, in order."""
    found: list[Artifacts] = []
    for one, other in pairs(reference, picture):
        found.append(measure_artifacts(one, other, tile, halo))
        advance()
    return found


def scores_of_batch(reference: torch.Tensor, picture: torch.Tensor, wanted: Sequence[Score], advance: Advance) -> list[Scored]:
    """The scores of other libraries for every pair, in order."""
    scoring = Scoring(wanted)
    found: list[Scored] = []
    for one, other in pairs(reference, picture):
        found.append(scoring.of(one, other))
        advance()
    return found


def _as_batch(maps: list[Floats]) -> Any:
    """One map is not copied: at 8K it is 400 MB."""
    return torch.as_tensor(maps[0])[None] if len(maps) == 1 else torch.as_tensor(np.stack(maps))
