"""Measure results against references: two files, two folders, or two videos, whoever upscaled them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import MediaError, WorkflowError
from ..file_types import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from ..images import read_image_file
from ..media import Pixels
from ..metrics import (
    METRICS,
    METRICS_BY_KEY,
    VIDEO_METRICS,
    Artifacts,
    Drift,
    Fidelity,
    FlickerMeter,
    mean_of_known,
    measure_artifacts,
    measure_drift,
    measure_fidelity,
)
from ..progress import OpenProgress, Progress
from ..video import open_video

MEASURED = (*(metric for metric in METRICS if metric.group != "Cost"), *VIDEO_METRICS)
"""What two files can be asked for: time and memory of the upscaler are not in them."""


@dataclass(frozen=True)
class _MeasuredPair:
    """One pair of images, as ``Metric.summarize`` takes it."""

    drift: Drift
    area_drift: Drift
    artifacts: Artifacts
    fidelity: Fidelity | None
    cost: None = None


@dataclass(frozen=True)
class FileMetrics:
    """The metrics of one result. None: not measurable on this pair; those against a true original need its size."""

    reference: Path
    result: Path
    values: Mapping[str, float | None]
    """By the keys of ``METRICS``; of a video, means over its frames."""
    findings: tuple[str, ...]
    """Visible artifacts, as sentences."""
    frames: int = 1

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "reference": str(self.reference),
            "result": str(self.result),
            "frames": self.frames,
            "metrics": dict(self.values),
            "findings": list(self.findings),
        }


@dataclass(frozen=True)
class Limit:
    """A metric and the largest or smallest value that passes."""

    metric: str
    value: float
    is_maximum: bool

    @classmethod
    def parse(cls, text: str, *, is_maximum: bool) -> Limit:
        """Parse ``drift=1.0``. Raises ``WorkflowError`` for an unknown metric or a value that is not a number."""
        name, _, value = text.partition("=")
        known = [metric.key for metric in MEASURED]
        if name.strip() not in known:
            raise WorkflowError(f"{name.strip()!r} is not a metric.", f"Use one of: {', '.join(known)}.")
        try:
            return cls(name.strip(), float(value), is_maximum)
        except ValueError:
            raise WorkflowError(f"{text!r} has no number for the limit.", f"Write it as {name.strip()}=1.0.") from None

    def describe_failure(self, measured: FileMetrics) -> str | None:
        """Return why ``measured`` fails; None if it passes. What cannot be measured fails, because it was not checked."""
        value = measured.values[self.metric]
        what = f"{measured.result.name}: {METRICS_BY_KEY[self.metric].title} ({self.metric})"
        if value is None:
            return f"{what} cannot be measured on this pair."
        if (value > self.value) if self.is_maximum else (value < self.value):
            return f"{what} is {value:.4g}, {'above' if self.is_maximum else 'below'} {self.value:g}."
        return None


def measure_files(
    reference: Path, result: Path, open_progress: OpenProgress, *, tile: int = 0, halo: int = 0, every_nth: int = 1
) -> list[FileMetrics]:
    """Measure ``result`` against ``reference``: two images, two videos, or two folders whose files have the same names.

    In folders a result may have an ending after the name of its reference (``photo_8k.png``). ``tile`` and ``halo`` of the
    upscaler, in pixels of the reference, are where seams are searched. Of a video every ``every_nth`` frame is measured.

    Raises:
        MediaError: a file is missing or cannot be read, or a file of a folder has no partner.
        WorkflowError: an image and a video, HDR, or images of different shape.
    """
    pairs = _pair_files(reference, result)
    found: list[FileMetrics] = []
    with open_progress(0 if any(map(_is_video, pairs[0])) else len(pairs), "image") as progress:
        for one, other in pairs:
            found.append(_measure_pair(one, other, tile, halo, every_nth, progress))
    return found


def mean_metrics(measured: Sequence[FileMetrics]) -> dict[str, float | None]:
    """Return the mean of each metric over the results that have it."""
    return {metric.key: mean_of_known(one.values[metric.key] for one in measured) for metric in MEASURED}


def measure_pair(
    reference: Pixels, result: Pixels, *, tile: int = 0, halo: int = 0
) -> tuple[dict[str, float | None], Artifacts]:
    """Measure (H, W, C) against a reference; return the value of each metric and the artifacts. Raises as ``pair_images``."""
    same_size = reference.shape[:2] == result.shape[:2]
    drift = measure_drift(reference, result)
    pair = _MeasuredPair(
        drift,
        measure_drift(reference, result, "low-frequency"),
        artifacts := measure_artifacts(reference, result, tile, halo),
        measure_fidelity(reference, result, drift.de2000.mean) if same_size else None,
    )
    return {metric.key: metric.summarize([pair]) for metric in MEASURED}, artifacts


def _measure_pair(reference: Path, result: Path, tile: int, halo: int, every_nth: int, progress: Progress) -> FileMetrics:
    if _is_video(reference) != _is_video(result):
        raise WorkflowError(f"{result.name} cannot be compared with {reference.name}.", "Give two images, or two videos.")
    measured: list[dict[str, float | None]] = []
    findings: dict[str, None] = {}
    meter = FlickerMeter()
    pairs = _read_video_frames(reference, result, every_nth, meter, progress)
    for one, other in pairs if _is_video(reference) else _read_images(reference, result):
        values, artifacts = measure_pair(one, other, tile=tile, halo=halo)
        measured.append(values)
        findings |= dict.fromkeys(artifacts.sentences)
        progress.advance()
    if not measured:
        raise MediaError(f"{result.name} has no frames.", "Check it in a player.", path=result)
    means = {metric.key: mean_of_known(values[metric.key] for values in measured) for metric in MEASURED}
    means["flicker"] = meter.flicker
    return FileMetrics(reference, result, means, tuple(findings), len(measured))


def _read_images(reference: Path, result: Path) -> Iterator[tuple[Pixels, Pixels]]:
    yield read_image_file(reference).pixels, read_image_file(result).pixels


def _read_video_frames(
    reference: Path, result: Path, every_nth: int, meter: FlickerMeter, progress: Progress
) -> Iterator[tuple[Pixels, Pixels]]:
    """Yield every ``every_nth`` pair of frames; ``meter`` gets each of them and the one after it."""
    streams = [open_video(path, on_message=progress.message) for path in (reference, result)]
    for stream, path in zip(streams, (reference, result), strict=True):
        if stream.info.color.is_hdr:
            raise WorkflowError(f"{path.name} is HDR, and metrics are computed in sRGB.", "Compare its SDR version.")
    with streams[0].frames() as first, streams[1].frames() as second:
        number = 0
        while True:
            one, other = next(first, None), next(second, None)
            if one is None or other is None:
                break
            if number % every_nth <= 1:
                meter.add(one.pixels, other.pixels, is_next=number % every_nth == 1 or every_nth == 1)
            if number % every_nth == 0:
                yield one.pixels, other.pixels
            number += 1
        if one is not other:
            progress.message(f"One video is longer than the other: the first {number} frames were compared.")


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _pair_files(reference: Path, result: Path) -> list[tuple[Path, Path]]:
    for path in (reference, result):
        if not path.exists():
            raise MediaError(f"{path} does not exist.", "Check the name.", path=path)
    if reference.is_dir() != result.is_dir():
        raise WorkflowError(f"One of {reference} and {result} is a folder.", "Give two files, or two folders.")
    if not reference.is_dir():
        return [(reference, result)]
    references, results = _list_media(reference), _list_media(result)
    pairs = [(one, _find_partner(one, reference, results, result)) for one in references]
    unpaired = set(results) - {other for _, other in pairs}
    if not pairs or unpaired:
        what = f"{min(unpaired)} has no reference in {reference}." if unpaired else f"{reference} has no images or videos."
        raise MediaError(what, "A result has the name of its reference, or that with an ending such as _8k.", path=reference)
    return pairs


def _list_media(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
    return sorted(path for path in found if path.is_file())


def _find_partner(reference: Path, folder: Path, results: Sequence[Path], result_folder: Path) -> Path:
    name = re.compile(rf"{re.escape(str(reference.relative_to(folder).with_suffix('')))}(_[^/\\]*)?")
    found = [path for path in results if name.fullmatch(str(path.relative_to(result_folder).with_suffix("")))]
    exact = [path for path in found if path.stem == reference.stem]
    if len(exact or found) == 1:
        return (exact or found)[0]
    what = f"{reference.name} has {len(found)} results in {result_folder}." if found else f"{reference.name} has no result."
    raise MediaError(what, f"Give one, named {reference.stem}.png or {reference.stem}_8k.png.", path=reference)
