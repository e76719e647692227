"""Color drift and flicker of a video, frame by frame, in constant memory."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import WorkflowError
from ..images import to_floats
from ..media import Floats, Frame, Pixels, VideoStream
from ..progress import Progress
from .choices import DriftMode
from .drift import Drift, DriftMeter, low_pass
from .luma import STEPS, compute_luma
from .pairing import pair_images

_STILL_SIGMA = 2.0
_LEAST_STILL, _MOST_STILL = 2.0, 6.0
"""8-bit steps by which a still pixel may change; within them three times the noise that the frames have."""
_MIN_STILL_SHARE = 0.01


class FlickerMeter:
    """Measures how much a result changes from frame to frame where its reference does not move.

    Still is a pixel where luma of the reference, after a Gaussian of 2 pixels, changes by less than three times
    1.4826 * median(|change|), at least 2 and at most 6 steps of 8 bits, and so do its neighbours. Flicker is
    sqrt(mean(change ** 2) / 2) of luma of the result over these pixels and all pairs of frames, in 8-bit steps: the standard
    deviation in time, if frames are independent.
    """

    def __init__(self) -> None:
        self._previous: tuple[Floats, Floats] | None = None
        self._squares, self._count = 0.0, 0

    def add(self, reference: Pixels, result: Pixels, *, is_next: bool = True) -> float | None:
        """Add a frame (H, W, C) and its result (h, w, C); return the flicker since the one before.

        None without a frame before, where it has another size, where under 1 % is still, or where ``is_next`` is False.
        """
        planes = [compute_luma(_drop_alpha(to_floats(pixels))) for pixels in (reference, result)]
        previous, self._previous = self._previous, (low_pass(planes[0][:, :, None], _STILL_SIGMA)[:, :, 0], planes[1])
        if not is_next or previous is None or [one.shape for one in previous] != [one.shape for one in planes]:
            return None
        still = _find_still(np.abs(self._previous[0] - previous[0]) * STEPS)
        if still.mean() < _MIN_STILL_SHARE:
            return None
        height, width = planes[1].shape
        mask = cv2.resize(still, (width, height), interpolation=cv2.INTER_NEAREST) > 0
        squares = float((((planes[1] - previous[1])[mask] * STEPS) ** 2).sum(dtype=np.float64))
        count = int(np.count_nonzero(mask))
        self._squares, self._count = self._squares + squares, self._count + count
        return float(np.sqrt(squares / count / 2))

    @property
    def flicker(self) -> float | None:
        """The flicker so far, in 8-bit steps; None where nothing was still."""
        return float(np.sqrt(self._squares / self._count / 2)) if self._count else None


def _drop_alpha(pixels: Floats) -> Floats:
    return np.ascontiguousarray(pixels[:, :, : 3 if pixels.shape[2] > 2 else 1])


def _find_still(change: Floats) -> NDArray[np.uint8]:
    """Return 1 where ``change`` (h, w), in steps, is that of a still pixel with still neighbours."""
    limit = np.clip(3 * 1.4826 * float(np.median(change)), _LEAST_STILL, _MOST_STILL)
    return np.asarray(cv2.erode((change < limit).astype(np.uint8), np.ones((5, 5), np.uint8)), np.uint8)


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
