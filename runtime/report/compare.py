"""Every contender on every crop, each result measured against the crop that it was made from."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import Cancelled, OutputError, Upscale8KError, WorkflowError
from ..frames.geometry import Region, Size
from ..metrics.artifacts import measure_artifacts
from ..metrics.drift import measure_drift
from ..metrics.scores import Score
from ..metrics.scoring import Scoring
from .baselines import BASELINES, enlarge
from .comparison import Case, Comparison, Contender, Cost, Measured, Rendered
from .crops import Crop, choose

Floats = NDArray[np.float32]
Upscaler = Callable[[Contender, Sequence[Floats]], Iterator[Rendered]]
"""Gives the result of one model for each crop, in order. Every result of one crop has the same size."""


class Watch(Protocol):
    """Where the comparison reports to."""

    def advance(self, steps: int = 1) -> None:
        """So many results are finished and measured. May raise, which is how a run is cancelled."""
        ...

    def say(self, text: str) -> None: ...


def colours_of(image: Floats) -> tuple[Floats, str]:
    """(H, W, 3) of a picture with 1 to 4 channels, and what there is to say about it.

    Raises ``WorkflowError`` for other channels, for no pixel, and for NaN or infinity.
    """
    channels = image.shape[2]
    if channels not in (1, 2, 3, 4):
        raise WorkflowError(f"The image has {channels} channels.", "Give grey, grey with alpha, RGB or RGBA: 1 to 4 channels.")
    if image.size == 0:
        size = f"{image.shape[1]}x{image.shape[0]}"
        raise WorkflowError(f"The image is empty: {size} pixels.", "Choose a crop that holds at least one pixel.")
    if not np.isfinite(image).all():
        raise WorkflowError(
            "The image holds NaN or infinite values.", "Look at the node that made it: it has computed nonsense."
        )
    colours = image[:, :, : 1 if channels < 3 else 3]
    note = "Transparency was left out: colours are compared." if channels in (2, 4) else ""
    return np.array(np.broadcast_to(colours, (*colours.shape[:2], 3)), np.float32), note


def crops_of(pictures: Sequence[Floats], text: str) -> list[tuple[Crop, Floats]]:
    """The crops of each picture, with their pixels; of several pictures the names begin with the number."""
    found: list[tuple[Crop, Floats]] = []
    for number, pixels in enumerate(pictures, 1):
        for crop in choose(pixels, text):
            named = replace(crop, name=f"picture {number}, {crop.name}") if len(pictures) > 1 else crop
            found.append((named, np.array(pixels[crop.region.rows, crop.region.columns])))
    return found


def compare(
    crops: Sequence[tuple[Crop, Floats]],
    sizes: Sequence[Size],
    models: Sequence[Contender],
    upscale: Upscaler,
    watch: Watch,
    scores: Sequence[Score] = (),
) -> tuple[tuple[Contender, ...], tuple[Case, ...]]:
    """Run the base lines and every model without a problem; ``sizes`` are those of the results, one for each crop.

    A model that fails gets its sentence as its problem and is left out of every crop; the rest goes on. Raises ``Cancelled``,
    and what is not an error of ours.
    """
    scoring = Scoring(scores)
    cases = tuple(Case(crop, pixels, {}) for crop, pixels in crops)
    contenders: list[Contender] = []
    for contender in (*models, *BASELINES):
        problem = contender.problem or _run(contender, cases, sizes, upscale, scoring, watch)
        contenders.append(replace(contender, problem=problem))
    return tuple(contenders), cases


def _run(
    contender: Contender, cases: Sequence[Case], sizes: Sequence[Size], upscale: Upscaler, scoring: Scoring, watch: Watch
) -> str:
    run = _baseline(sizes) if contender.baseline else upscale
    try:
        for case, rendered in zip(cases, run(contender, [case.source for case in cases]), strict=True):
            case.results[contender.id] = _put_aside(measured(case.source, rendered, scoring))
            watch.advance()
    except Cancelled:
        raise
    except Upscale8KError as error:
        for case in cases:
            case.results.pop(contender.id, None)
        watch.say(f"{contender.id} is left out: {error}")
        return str(error)
    return ""


def _put_aside(result: Measured) -> Measured:
    """The same with its picture in a temporary file that is gone with its last reader: eight results at 8K are 3 GB."""
    try:
        with tempfile.TemporaryFile() as file:
            np.ascontiguousarray(result.picture, np.float32).tofile(file)
            kept = np.memmap(file, np.float32, "r", shape=result.picture.shape)
    except OSError as error:
        folder = Path(tempfile.gettempdir())
        raise OutputError(
            f"A result cannot be put aside in {folder}: {error.strerror or error}.",
            "Make room there, or set TMPDIR to a folder on another disk.",
            path=folder,
        ) from error
    return replace(result, picture=kept)


def measured(source: Floats, rendered: Rendered, scoring: Scoring) -> Measured:
    """All numbers of one result. Raises ``WorkflowError`` where the two do not belong together."""
    return Measured(
        rendered.picture,
        rendered.cost,
        measure_drift(source, rendered.picture),
        measure_drift(source, rendered.picture, "low-frequency"),
        measure_artifacts(source, rendered.picture, *((rendered.cost.tile, rendered.cost.halo) if rendered.cost else ())),
        scoring.of(source, rendered.picture),
    )


def side_by_side(source: Floats, pictures: Sequence[tuple[str, Floats]], crop: str, date: str) -> Comparison:
    """A comparison of pictures that are there already: ``source`` (H, W, 3), and by their names (h, w, 3) of any size.

    Raises ``WorkflowError`` where a picture has other proportions than the source.
    """
    size = Size(source.shape[1], source.shape[0])
    scoring = Scoring(())
    contenders = tuple(Contender(f"{number}", name) for number, (name, _) in enumerate(pictures, 1))
    cases: list[Case] = []
    for chosen, pixels in crops_of([source], crop):
        results = {
            one.id: measured(pixels, Rendered(_part(picture, chosen.region, size, one.title), None), scoring)
            for one, (_, picture) in zip(contenders, pictures, strict=True)
        }
        cases.append(Case(chosen, pixels, results))
    return Comparison("", size, "their own sizes", contenders, tuple(cases), "", date)


def _part(picture: Floats, region: Region, size: Size, name: str) -> Floats:
    """What ``region`` of the source has become in an upscaled ``picture``."""
    across, down = picture.shape[1] / size.width, picture.shape[0] / size.height
    if abs(across - down) * max(size.width, size.height) > 1.5:
        raise WorkflowError(
            f"{name} ({picture.shape[1]}x{picture.shape[0]}) has other proportions than the source ({size}).",
            "Connect pictures that were made from this source, not cropped.",
        )
    rows = slice(round(region.y * down), max(round(region.bottom * down), 1))
    columns = slice(round(region.x * across), max(round(region.right * across), 1))
    return np.ascontiguousarray(picture[rows, columns])


def _baseline(sizes: Sequence[Size]) -> Upscaler:
    def run(contender: Contender, crops: Sequence[Floats]) -> Iterator[Rendered]:
        for pixels, size in zip(crops, sizes, strict=True):
            began = time.perf_counter()
            picture = enlarge(pixels, size, contender.id)
            yield Rendered(picture, Cost(time.perf_counter() - began, size.pixels / 1e6, None, 0))

    return run
