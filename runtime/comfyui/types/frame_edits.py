"""Crop and resize the frames of a video stream one by one, as ComfyUI's VIDEO does.

A step is ``("crop", x, y, width, height)`` in exact pixels, ``("crop_aligned", ...)`` on even pixels inside the frame, or
``("scale", width, height, method, crop)`` by ComfyUI's ``common_upscale``. Frames have 16 bits after a scale.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ...media import Frame, Size, VideoStream
from ..builtin.common_upscale import common_upscale
from ..builtin.video import normalize_crop

Step = tuple[Any, ...]
_MAX_CODE = 65535


def edit_frames(stream: VideoStream, steps: Sequence[Step]) -> VideoStream:
    """Return the stream with the steps applied, each when a frame is read."""
    for step in steps:
        stream = _scale(stream, *step[1:]) if step[0] == "scale" else _crop(stream, *step[1:], aligned=step[0] != "crop")
    return stream


def _crop(stream: VideoStream, x: int, y: int, width: int, height: int, *, aligned: bool) -> VideoStream:
    size = stream.info.size
    rectangle = normalize_crop(x, y, width, height, (size.width, size.height)) if aligned else (x, y, width, height)
    if rectangle is None:
        return stream
    left, top, width, height = map(int, rectangle)

    def change(frame: Frame) -> Frame:
        return replace(frame, pixels=np.ascontiguousarray(frame.pixels[top : top + height, left : left + width]))

    return stream.map(change, f"crop {left},{top} {width}x{height}", size=Size(width, height))


def _scale(stream: VideoStream, width: int, height: int, method: str, crop: str = "disabled") -> VideoStream:
    def change(frame: Frame) -> Frame:
        pixels = torch.as_tensor(np.divide(frame.pixels, np.float32(np.iinfo(frame.pixels.dtype).max), dtype=np.float32))
        scaled = common_upscale(pixels.movedim(-1, 0)[None], int(width), int(height), method, crop)[0].movedim(0, -1)
        codes = (scaled.clamp(0, 1).double() * _MAX_CODE + 0.5).numpy().astype(np.uint16)
        return replace(frame, pixels=np.ascontiguousarray(codes))

    return stream.map(change, f"scale {width}x{height} {method} {crop}", size=Size(int(width), int(height)))
