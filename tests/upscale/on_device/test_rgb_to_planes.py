"""Planes made by torch are those that the host makes, code for code."""

import av
import numpy as np
import pytest
import torch
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.media.video_stream import ColorInfo
from upscale8k.runtime.upscale.on_device.rgb_to_planes import convert_to_planes
from upscale8k.runtime.video.color.color_codes import LUMA_WEIGHTS
from upscale8k.runtime.video.color.rgb_to_yuv import RgbToYuv

FORMATS = [f"yuv{sampling}p{depth}" for sampling in ("420", "422", "444") for depth in ("", "10le")]


def hostile_pixels(height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint16: noise, ramps, extremes, and neighbours of codes."""
    rng = np.random.default_rng(4)
    pixels = rng.integers(0, 65536, (height, width, 3)).astype(np.uint16)
    pixels[: height // 8] = rng.choice([0, 1, 65534, 65535], (height // 8, width, 3))
    pixels[height // 8 : height // 4] = np.linspace(0, 65535, width)[None, :, None]
    return pixels


def read_planes(frame: av.VideoFrame, bits: int) -> list[np.ndarray]:
    dtype = np.dtype(np.uint8 if bits == 8 else np.uint16)
    width = [plane.line_size // dtype.itemsize for plane in frame.planes]
    lines = [np.frombuffer(plane, dtype).reshape(plane.height, -1) for plane in frame.planes]
    interleaved = len(lines) == 2
    return [
        line[:, : frame.width if interleaved else min(plane.width, stride)]
        for line, plane, stride in zip(lines, frame.planes, width, strict=True)
    ]


def assert_equal_frames(first: av.VideoFrame, second: av.VideoFrame, bits: int) -> None:
    assert (first.width, first.height, first.format.name) == (second.width, second.height, second.format.name)
    tags = ("colorspace", "color_range", "color_trc", "color_primaries")
    assert [getattr(first, tag) for tag in tags] == [getattr(second, tag) for tag in tags]
    for one, other in zip(read_planes(first, bits), read_planes(second, bits), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", [*FORMATS, "nv12", "p010le"])
@pytest.mark.parametrize("range_", ["tv", "pc"])
@pytest.mark.parametrize("matrix", list(LUMA_WEIGHTS))
def test_every_code_is_the_host_s(matrix: str, range_: str, name: str) -> None:
    pixels = hostile_pixels(306, 502)  # neither a multiple of a strip nor of what OpenCV computes at once
    convert = RgbToYuv(name, ColorInfo(matrix, "pc" if range_ == "pc" else "tv"), Size(502, 306))
    assert convert.plane_layout
    planes = [plane.numpy() for plane in convert_to_planes(torch.from_numpy(pixels), convert.plane_layout)]
    assert_equal_frames(convert.wrap_planes(planes), convert(pixels), 10 if name.endswith("10le") else 8)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("size", [Size(51, 37), Size(33, 16), Size(7, 5), Size(1, 1)])
def test_edges_are_repeated_as_on_the_host(size: Size, name: str) -> None:
    pixels = hostile_pixels(size.height, size.width)
    convert = RgbToYuv(name, ColorInfo(), Size(size.width + size.width % 2, size.height + size.height % 2))
    assert convert.plane_layout
    planes = [plane.numpy() for plane in convert_to_planes(torch.from_numpy(pixels), convert.plane_layout)]
    assert_equal_frames(convert.wrap_planes(planes), convert(pixels), 10 if name.endswith("10le") else 8)


@pytest.mark.parametrize("name", ["bgr0", "gbrp10le", "gbrp16le"])
def test_rgb_formats_are_left_to_the_host(name: str) -> None:
    assert RgbToYuv(name, ColorInfo(), Size(16, 16)).plane_layout is None
    assert RgbToYuv("yuv420p", ColorInfo(), Size(15, 16)).plane_layout is None
