"""What the source of an upscale is: a file, an IMAGE or a VIDEO, by the classifier of ``metrics``."""

from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import torch

from ...errors import MediaError
from ...file_types import VIDEO_SUFFIXES
from ...images import is_animation, read_image_file, read_image_size, to_floats
from ...media import Floats, Size, VideoStream
from ...metrics import classify_image
from ...models import ImageKind
from ...progress import ProgressRelay
from ...video import list_sequence_frames, open_video
from .foreign_video import make_range_opener
from .video import VideoValue

_FRAMES = 5
"""Frames of a video that are looked at, spread over its length."""


def classify_file(path: Path, *, max_pixels: int) -> ImageKind:
    """Return the kind of an image or a video; ``photograph`` for a file that cannot be read, whose error a node will raise."""
    try:
        if _is_moving(path):
            return _classify_video(open_video(path, deinterlace="keep", on_message=lambda _: None))
        return _classify([read_image_file(path, max_pixels=max_pixels).pixels])
    except MediaError:
        return "photograph"


def read_source_size(path: Path, *, max_pixels: int) -> tuple[Size, int]:
    """Return size and number of images of an image, a video, or an image sequence given as its folder or pattern.

    Raises ``MediaError`` for what cannot be read.
    """
    if _is_moving(path):
        info = open_video(path, deinterlace="keep", on_message=lambda _: None).info
        return info.size, info.frame_count or 1
    if path.is_file():
        return read_image_size(path, max_pixels=max_pixels), 1
    frames = list_sequence_frames(path, "close up")
    return read_image_size(frames[0].path, max_pixels=max_pixels), len(frames)


def _is_moving(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES or is_animation(path)


def classify_source(image: Any = None, video: Any = None) -> ImageKind:
    """Return the kind of an IMAGE (B, H, W, C), its first image, or of a VIDEO; ``photograph`` without either."""
    if isinstance(image, torch.Tensor):
        return _classify([image[0].detach().float().cpu().numpy()])
    if video is None:
        return "photograph"
    open_range = video.open_range if isinstance(video, VideoValue) else make_range_opener(video, ProgressRelay().message)
    return _classify_video(open_range(Fraction(0), None))


def _classify_video(stream: VideoStream) -> ImageKind:
    count = stream.info.frame_count or 1
    frames: list[Floats] = []
    for number in sorted({count * (2 * place + 1) // (2 * _FRAMES) for place in range(_FRAMES)}):
        with stream.frames(number) as opened:
            frames += [to_floats(frame.pixels) for frame in [next(opened, None)] if frame is not None]
    return _classify(frames) if frames else "photograph"


def _classify(images: list[Floats]) -> ImageKind:
    return cast("ImageKind", classify_image(images))
