"""Steady a video: average each frame with its neighbours where nothing moves, in constant memory.

A frame depends on at most ``REACH`` frames before and after it, never on those beyond a scene cut. So the frames of a run that
begins anywhere are those of a run from the start: it reads ``REACH`` frames more and drops them.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ...errors import UnsupportedModel
from ...images import to_floats, to_integers
from ...media import Floats, Frame, VideoStream
from ...metrics import low_pass
from .steady_network import SteadyNetwork

REACH = 3
"""Frames before and after the one in the middle: seven independent frames have 1 / sqrt(7) = 38 % of the noise of one."""

_SIGMA = 2.0
_AREA_LIMITS = (1.0, 4.0)
_PIXEL_LIMITS = (2.0, 40.0)
"""8-bit steps by which luma of an area (after a Gaussian of 2 pixels) and of a pixel may change where nothing moves; within
them 3 * 1.4826 * median(|change|), three times the noise. A change of twice as much has no weight."""
_CUT_THUMBNAIL = (128, 72)
_CUT_MARGIN = 8
_CUT_STEPS, _CUT_CORRELATION = 2.0, 0.6
_LUMA = np.array([[0.2126, 0.7152, 0.0722]], np.float32) * 255


@dataclass(frozen=True, eq=False)
class _WindowFrame:
    """A frame that is kept: (H, W, 3) float32 in 0..1, luma in 8-bit steps, the same of areas, and a small image of it."""

    frame: Frame
    pixels: Floats
    alpha: Floats
    """(H, W, 0 or 1), which stays as it is."""
    luma: Floats
    areas: Floats
    thumbnail: Floats


def steady_video(stream: VideoStream, strength: float, network: SteadyNetwork | None = None) -> VideoStream:
    """Return ``stream`` with steadier frames, uint16. ``strength`` 0..1 is the weight of a still neighbour; 0 is ``stream``.

    With a ``network`` it is the share of the network in the result. Raises ``UnsupportedModel`` for one of more frames.
    """
    if not strength:
        return stream
    if network and network.frame_count > 2 * REACH + 1:
        raise UnsupportedModel(f"{network.path} takes {network.frame_count} frames.", "Use a network of seven frames.")

    def open_at(first: int = 0) -> Iterator[Frame]:
        lead = min(first, REACH)
        with stream.frames(first - lead if lead else first) as frames:
            for index, frame in enumerate(_steady_frames(frames, strength, network)):
                if index >= lead:
                    yield frame

    info = replace(
        stream.info,
        identity=f"{stream.info.identity} | steady {float(strength)!r} of {REACH}{f' by {network.sha256}' if network else ''}",
    )
    return VideoStream(info, open_at, open_at)


def is_scene_cut(before: Floats, after: Floats) -> bool:
    """Whether a scene ends between two small images (72, 128) of luma in 8-bit steps.

    A cut changes the sorted luma by 2 steps a pixel, which motion does not, and leaves no place of ``before`` with which the
    inner part of ``after`` correlates by 0.6: flashes and fades keep the correlation, and motion moves it. On the 190 first
    images of comfyui-workflow-templates-media-image 0.3.160, which no limit was chosen with, with pans, zooms, fades and
    flashes (``tests/upscale/temporal/scene_cuts.py FOLDER``), precision is 0.989 and recall 0.996: 753 of 756 cuts, and 8
    false ones in 6080 other pairs.
    """
    if float(np.abs(np.sort(after, axis=None) - np.sort(before, axis=None)).mean()) < _CUT_STEPS:
        return False
    inner = np.ascontiguousarray(after[_CUT_MARGIN:-_CUT_MARGIN, _CUT_MARGIN:-_CUT_MARGIN])
    if min(float(inner.std()), float(before.std())) < 1:  # a plain color, such as black between two scenes
        return True
    return float(cv2.matchTemplate(before, inner, cv2.TM_CCOEFF_NORMED).max()) < _CUT_CORRELATION


def compute_luma(pixels: Floats) -> Floats:
    """Return the luma (H, W) of R'G'B' (H, W, 3) in 0..1, in 8-bit steps."""
    return np.asarray(cv2.transform(pixels, _LUMA), np.float32).reshape(pixels.shape[:2])


def make_thumbnail(luma: Floats) -> Floats:
    """Return luma (H, W) as a small image (72, 128), reduced by area."""
    return np.asarray(cv2.resize(luma, _CUT_THUMBNAIL, interpolation=cv2.INTER_AREA), np.float32)


def _steady_frames(frames: Iterable[Frame], strength: float, network: SteadyNetwork | None) -> Iterator[Frame]:
    window: deque[_WindowFrame] = deque()
    middle = 0
    for frame in frames:
        window.append(_measure(frame))
        if len(window) - middle <= REACH:
            continue
        yield _steady(window, middle, strength, network)
        middle += 1
        if middle > REACH:
            window.popleft()
            middle -= 1
    for index in range(middle, len(window)):
        yield _steady(window, index, strength, network)


def _measure(frame: Frame) -> _WindowFrame:
    pixels, alpha = to_floats(frame.pixels[:, :, :3]), to_floats(frame.pixels[:, :, 3:])
    luma = compute_luma(pixels)
    return _WindowFrame(frame, pixels, alpha, luma, low_pass(luma[:, :, None], _SIGMA)[:, :, 0], make_thumbnail(luma))


def _steady(window: deque[_WindowFrame], middle: int, strength: float, network: SteadyNetwork | None) -> Frame:
    own = window[middle]
    before, after = (_list_neighbours(window, middle, step) for step in (-1, 1))
    if network is None:
        pixels = _average(own, [*before, *after], strength)
    else:  # where a scene begins or ends, its last frame stands for those beyond
        reach = network.frame_count // 2
        sides = [
            [one.pixels for one in [own, *side, *[(side or [own])[-1]] * reach][1 : reach + 1]] for side in (before, after)
        ]
        found = network.run([*reversed(sides[0]), own.pixels, *sides[1]])
        pixels = found * np.float32(strength) + own.pixels * np.float32(1 - strength)
    frame = own.frame
    pixels = np.concatenate((pixels, own.alpha), axis=2) if own.alpha.size else pixels
    return Frame(to_integers(pixels, 16), frame.pts, frame.duration, frame.time_base)


def _average(own: _WindowFrame, neighbours: Iterable[_WindowFrame], strength: float) -> Floats:
    total, weights = own.pixels.copy(), np.ones((*own.luma.shape, 1), np.float32)
    for neighbour in neighbours:
        weight = (_weigh(neighbour.areas - own.areas, _AREA_LIMITS) * _weigh(neighbour.luma - own.luma, _PIXEL_LIMITS))[
            ..., None
        ]
        weight *= np.float32(strength)
        total += neighbour.pixels * weight
        weights += weight
    return np.divide(total, weights, out=total)


def _list_neighbours(window: deque[_WindowFrame], middle: int, step: int) -> list[_WindowFrame]:
    """Return the frames after (``step`` 1) or before (-1) the one in the middle, nearest first, up to the next scene cut."""
    found: list[_WindowFrame] = []
    index = middle + step
    while 0 <= index < len(window) and abs(index - middle) <= REACH:
        if is_scene_cut(window[index - step].thumbnail, window[index].thumbnail):
            break
        found.append(window[index])
        index += step
    return found


def _weigh(change: Floats, limits: tuple[float, float]) -> Floats:
    """Return 1 for a change within three times the noise, falling to 0 at six times."""
    size = np.abs(change)
    limit = np.float32(np.clip(3 * 1.4826 * float(np.median(size)), *limits))
    return np.asarray(np.clip(2 - size / limit, 0, 1), np.float32)
