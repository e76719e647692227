"""What ComfyUI 0.30 makes of a decoded frame, of a picture file or a film: integers or floats by FFmpeg's own conversion."""

from __future__ import annotations

from typing import Any, cast

import av
import av.filter
import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[Any]

# Frames in these formats become 8-bit integers and are divided by 255; FFmpeg turns all others into floats itself.
_EIGHT_BIT = ("yuvj420p", "yuvj422p", "yuvj444p", "rgb24", "rgba", "pal8")
_ALIGNMENT = 32


class FrameConverter:
    """A decoded frame as (H, W, 3 or 4), uint8 or float32 0..1, turned upright; the first frame decides for all."""

    def __init__(self, first: av.VideoFrame, stream: av.VideoStream) -> None:
        name = first.format.name
        alpha = name == "pal8" or any(component.is_alpha for component in first.format.components)
        if name in _EIGHT_BIT:
            self._format = "rgba" if alpha else "rgb24"
        else:
            self._format = "gbrapf32le" if alpha else "gbrpf32le"
        self._stream = stream
        self._pad: _Padding | None = None

    def __call__(self, frame: av.VideoFrame) -> Samples:
        turns = round(frame.rotation // 90) if frame.rotation else 0
        return np.ascontiguousarray(np.rot90(self._samples(frame), k=turns, axes=(0, 1)))

    def _samples(self, frame: av.VideoFrame) -> Samples:
        # swscale's float output depends on what lies behind the end of a row unless the width is a multiple of 32.
        if not self._format.endswith("f32le") or frame.width % _ALIGNMENT == 0:
            return cast(Samples, frame.to_ndarray(format=self._format))
        self._pad = self._pad or _Padding(frame, self._stream)
        padded = cast(Samples, self._pad(frame).to_ndarray(format=self._format))
        return padded[: frame.height, : frame.width]


class _Padding:
    """A filter that pads frames to multiples of 32 on the right and below, repeating the last pixel."""

    def __init__(self, like: av.VideoFrame, stream: av.VideoStream) -> None:
        width, height = (-(-side // _ALIGNMENT) * _ALIGNMENT for side in (like.width, like.height))
        border = f"left=0:right={width - like.width}:top=0:bottom={height - like.height}:mode=smear"
        self._graph = av.filter.Graph()  # kept: its ends do not keep it alive, and crash without it
        self._source = self._graph.add_buffer(None, like.width, like.height, like.format, time_base=stream.time_base)
        pad = self._graph.add("pad", f"{width}:{height}:0:0")
        smear = self._graph.add("fillborders", border)
        self._sink = self._graph.add("buffersink")
        for left, right in ((self._source, pad), (pad, smear), (smear, self._sink)):
            left.link_to(right)
        self._graph.configure()

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        self._source.push(frame)
        return cast(av.VideoFrame, self._sink.pull())
