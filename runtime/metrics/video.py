"""Color drift of a video, frame by frame, in constant memory."""

from collections.abc import Iterator

import numpy as np

from ..errors import WorkflowError
from ..media import Floats, Frame, VideoStream
from ..progress import Progress
from .choices import DriftMode
from .drift import Drift, DriftMeter
from .pairing import pair_images


def measure_video_drift(
    reference: VideoStream, video: VideoStream, mode: DriftMode, progress: Progress, every_nth: int = 1
) -> tuple[Drift, Floats]:
    """Return the drift over every ``every_nth`` frame, and its mean per pixel, (h, w) at the size of the smaller video.

    Frames are compared in their order, as sRGB. If one video is longer, its rest is ignored and ``progress`` gets a message.

    Raises:
        WorkflowError: a video is HDR or has no frame, or see ``DriftMeter.add``.
    """
    for stream in (reference, video):
        if stream.info.color.is_hdr:
            raise WorkflowError(
                "Color drift is measured in sRGB, and this video is HDR (PQ or HLG).",
                "Compare its SDR version, or single images.",
            )
    meter = DriftMeter(mode)
    total: Floats | None = None
    count = 0
    with reference.frames() as reference_frames, video.frames() as video_frames:
        for index, (one, other) in enumerate(_pair_frames(reference_frames, video_frames, progress)):
            if index % every_nth == 0:
                delta_e_map = _allocate_map(one, other)
                meter.add(one.pixels, other.pixels, delta_e_map)
                total = delta_e_map if total is None else np.add(total, delta_e_map, out=total)
                count += 1
            progress.advance()
    if total is None:
        raise WorkflowError("One of the videos has no frame.", "Check how it was trimmed.")
    return meter.compute_result(), np.divide(total, np.float32(count), out=total)


def _allocate_map(one: Frame, other: Frame) -> Floats:
    size = pair_images(one.pixels, other.pixels).size
    return np.empty((size.height, size.width), np.float32)


def _pair_frames(
    reference_frames: Iterator[Frame], video_frames: Iterator[Frame], progress: Progress
) -> Iterator[tuple[Frame, Frame]]:
    count = 0
    while True:
        one, other = next(reference_frames, None), next(video_frames, None)
        if one is None or other is None:
            break
        count += 1
        yield one, other
    if one is not other:
        progress.message(f"One video is longer than the other: the first {count} frames were compared.")
