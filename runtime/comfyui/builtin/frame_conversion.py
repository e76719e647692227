"""Convert decoded frames of images and videos as ComfyUI 0.30 does: to integers or floats by FFmpeg's own conversion."""

from typing import Any, cast

import av
import av.filter
import numpy as np
import numpy.typing as npt

ConvertedSamples = npt.NDArray[Any]

# Frames in these formats become 8-bit integers and are divided by 255; FFmpeg turns all others into floats itself.
_EIGHT_BIT_FORMATS = ("yuvj420p", "yuvj422p", "yuvj444p", "rgb24", "rgba", "pal8")
_WIDTH_ALIGNMENT = 32


class FrameConverter:
    """Converts frames to (H, W, 3 or 4), uint8 or float32 in 0..1, rotated upright. The first frame decides the format."""

    def __init__(self, first_frame: av.VideoFrame, stream: av.VideoStream) -> None:
        name = first_frame.format.name
        has_alpha = name == "pal8" or any(component.is_alpha for component in first_frame.format.components)
        if name in _EIGHT_BIT_FORMATS:
            self._format = "rgba" if has_alpha else "rgb24"
        else:
            self._format = "gbrapf32le" if has_alpha else "gbrpf32le"
        self._stream = stream
        self._padding_filter: _PaddingFilter | None = None

    def __call__(self, frame: av.VideoFrame) -> ConvertedSamples:
        quarter_turns = round(frame.rotation // 90) if frame.rotation else 0
        return np.ascontiguousarray(np.rot90(self._to_array(frame), k=quarter_turns, axes=(0, 1)))

    def _to_array(self, frame: av.VideoFrame) -> ConvertedSamples:
        # swscale's float output depends on the bytes after the end of a row unless the width is a multiple of 32.
        if not self._format.endswith("f32le") or frame.width % _WIDTH_ALIGNMENT == 0:
            return cast(ConvertedSamples, frame.to_ndarray(format=self._format))
        self._padding_filter = self._padding_filter or _PaddingFilter(frame, self._stream)
        padded = cast(ConvertedSamples, self._padding_filter(frame).to_ndarray(format=self._format))
        return padded[: frame.height, : frame.width]


class _PaddingFilter:
    """Pads frames to multiples of 32 on the right and below by repeating the last pixel."""

    def __init__(self, template: av.VideoFrame, stream: av.VideoStream) -> None:
        width, height = (-(-side // _WIDTH_ALIGNMENT) * _WIDTH_ALIGNMENT for side in (template.width, template.height))
        border = f"left=0:right={width - template.width}:top=0:bottom={height - template.height}:mode=smear"
        self._graph = av.filter.Graph()  # kept: its source and sink hold no reference to it and crash without it
        self._source = self._graph.add_buffer(
            None, template.width, template.height, template.format, time_base=stream.time_base
        )
        pad = self._graph.add("pad", f"{width}:{height}:0:0")
        smear = self._graph.add("fillborders", border)
        self._sink = self._graph.add("buffersink")
        for left, right in ((self._source, pad), (pad, smear), (smear, self._sink)):
            left.link_to(right)
        self._graph.configure()

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        self._source.push(frame)
        return cast(av.VideoFrame, self._sink.pull())
