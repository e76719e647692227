"""Y'CbCr of real files against the equations of BT.601-7, BT.709-6 and BT.2020-2, and against published color bars."""

from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from upscale8k.runtime.errors import MediaError
from upscale8k.runtime.media.video_stream import ColorInfo, VideoStream
from upscale8k.runtime.video.color.yuv_to_rgb import ChromaSiting, PixelFormat, YuvToRgb, parse_pixel_format
from upscale8k.runtime.video.read.probe import probe
from upscale8k.runtime.video.read.video_reader import open_video

from ..clips import image, write

KR_KB = {"smpte170m": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020nc": (0.2627, 0.0593)}
FORMATS = [f"yuv{sampling}p{depth}" for sampling, depth in product(("420", "422", "444"), ("", "10le"))]


def quantize(rgb: NDArray[np.float64], matrix: str, range_: str, bits: int) -> list[NDArray[np.float64]]:
    """Whole Y', Cb, Cr codes of R'G'B' in 0..1 (BT.709-6 items 3.2 to 3.4; H.273 for full range)."""
    kr, kb = KR_KB[matrix]
    y = kr * rgb[..., 0] + (1 - kr - kb) * rgb[..., 1] + kb * rgb[..., 2]
    cb, cr = (rgb[..., 2] - y) / (2 - 2 * kb), (rgb[..., 0] - y) / (2 - 2 * kr)
    if range_ == "pc":
        top = 2**bits - 1
        codes = [y * top, cb * top + 2 ** (bits - 1), cr * top + 2 ** (bits - 1)]
    else:
        step = 2 ** (bits - 8)
        codes = [(219 * y + 16) * step, (224 * cb + 128) * step, (224 * cr + 128) * step]
    return [np.clip(np.floor(code + 0.5), 0, 2**bits - 1) for code in codes]


def to_rgb(codes: list[NDArray[np.float64]], matrix: str, range_: str, bits: int) -> NDArray[np.float64]:
    """R'G'B' in 0..1 of whole codes: the same equations the other way."""
    kr, kb = KR_KB[matrix]
    if range_ == "pc":
        top, middle = 2**bits - 1, 2 ** (bits - 1)
        y, cb, cr = codes[0] / top, (codes[1] - middle) / top, (codes[2] - middle) / top
    else:
        step = 2 ** (bits - 8)
        y, cb, cr = (codes[0] / step - 16) / 219, (codes[1] / step - 128) / 224, (codes[2] / step - 128) / 224
    red, blue = y + (2 - 2 * kr) * cr, y + (2 - 2 * kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.stack([red, green, blue], axis=-1), 0, 1)


def subsample(codes: list[NDArray[np.float64]], name: str) -> list[NDArray[np.float64]]:
    """Every second chroma sample; only right where chroma is flat."""
    across, down = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}[name[3:6]]
    return [codes[0], codes[1][::down, ::across], codes[2][::down, ::across]]


def only_frame(stream: VideoStream) -> NDArray[np.uint8] | NDArray[np.uint16]:
    (frame,) = stream.open()
    return frame.pixels


@pytest.mark.parametrize(("matrix", "range_", "name"), [*product(KR_KB, ("tv", "pc"), FORMATS)])
def test_flat_patches_are_the_published_equations(tmp_path: Path, matrix: str, range_: str, name: str) -> None:
    bits = 10 if "10" in name else 8
    patches = np.random.default_rng(7).random((8, 8, 3))
    patches[0, :4] = [[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 0, 1]]
    codes = quantize(np.kron(patches, np.ones((16, 16, 1))), matrix, range_, bits)
    tags = {"matrix": matrix, "range": range_}
    pixels = only_frame(open_video(write(tmp_path / "flat.mkv", [image(subsample(codes, name), name)], tags=tags)))
    peak = 255 if bits == 8 else 65535
    assert pixels.dtype == (np.uint8 if bits == 8 else np.uint16)
    error = pixels.astype(float) - to_rgb(codes, matrix, range_, bits) * peak
    inside = error.reshape(8, 16, 8, 16, 3)[:, 4:12, :, 4:12]
    assert np.abs(inside).max() < 0.52  # half a code is rounding; the rest is float32


@pytest.mark.parametrize(
    ("matrix", "range_", "name"), [*product(KR_KB, ("tv", "pc"), ("yuv444p", "yuv444p10le", "yuv444p12le"))]
)
def test_rounding_has_no_bias(tmp_path: Path, matrix: str, range_: str, name: str) -> None:
    bits = int(name[7:9] or 8)
    codes = quantize(np.random.default_rng(3).random((256, 256, 3)), matrix, range_, bits)
    tags = {"matrix": matrix, "range": range_}
    pixels = only_frame(open_video(write(tmp_path / "noise.mkv", [image(codes, name)], tags=tags)))
    exact = to_rgb(codes, matrix, range_, bits) * (255 if bits == 8 else 65535)
    assert np.abs((pixels - exact).mean(axis=(0, 1))).max() < 0.01


@pytest.mark.parametrize(
    ("matrix", "bars"),
    [  # 75 % color bars in 8-bit Y' Cb Cr, as in ITU-R BT.1729 and Poynton, "Digital Video and HD", chapter 29
        (
            "bt709",
            [(180, 128, 128), (168, 44, 136), (145, 147, 44), (133, 63, 52), (63, 193, 204), (51, 109, 212), (28, 212, 120)],
        ),
        (
            "smpte170m",
            [(180, 128, 128), (162, 44, 142), (131, 156, 44), (112, 72, 58), (84, 184, 198), (65, 100, 212), (35, 212, 114)],
        ),
    ],
)
def test_published_color_bars_give_75_percent_primaries(tmp_path: Path, matrix: str, bars: list[tuple[int, int, int]]) -> None:
    codes = [np.repeat([[bar[i] for bar in bars]], 32, 0).repeat(32, 1) for i in range(3)]
    video = write(tmp_path / "bars.mkv", [image(codes, "yuv444p")], tags={"matrix": matrix, "range": "tv"})
    pixels = only_frame(open_video(video))[0, 16::32].astype(int)
    on = 191  # 0.75 * 255
    expected = [(on, on, on), (on, on, 0), (0, on, on), (0, on, 0), (on, 0, on), (on, 0, 0), (0, 0, on)]
    assert np.abs(pixels - expected).max() <= 1


@pytest.mark.parametrize("name", ["yuv444p", "yuv444p10le"])
def test_values_outside_the_range_are_clipped_not_wrapped(tmp_path: Path, name: str) -> None:
    step, top = (1, 255) if name == "yuv444p" else (4, 65535)
    planes = [np.full((32, 32), value * step) for value in (250, 128, 128)]
    below = [np.full((32, 32), value * step) for value in (4, 128, 128)]
    video = write(tmp_path / "super.mkv", [image(planes, name), image(below, name)], tags={"matrix": "bt709", "range": "tv"})
    white, black = (frame.pixels for frame in open_video(video).open())
    assert (white == top).all()
    assert (black == 0).all()


@pytest.mark.parametrize(("location", "across", "down"), [(0, 0.0, 0.25), (1, 0.25, 0.25), (2, 0.0, 0.0)])
def test_chroma_is_interpolated_from_the_siting_of_the_video(tmp_path: Path, location: int, across: float, down: float) -> None:
    """H.264's chroma_sample_loc_type (figure E-1): 0 left, 1 centre, 2 top left; distances in chroma samples."""
    for axis, offset in ((1, across), (0, down)):
        luma, gray = np.full((64, 64), 120), np.full((32, 32), 128)
        ramp = np.broadcast_to(np.arange(32) * 3 + 80, (32, 32))
        planes = [luma, gray, ramp.T if axis == 0 else ramp]
        video = write(
            tmp_path / f"ramp{axis}.mp4",
            [image(planes, "yuv420p")],
            codec="libx264",
            options={"qp": "0", "preset": "ultrafast", "x264-params": f"chromaloc={location}"},
            tags={"matrix": "bt709", "range": "tv"},
        )
        red = only_frame(open_video(video))[..., 0]
        line = red[:, 32] if axis == 0 else red[32]
        cr = (np.arange(8, 56) / 2 - offset) * 3 + 80
        expected = ((120 - 16) / 219 + 1.5748 * (cr - 128) / 224) * 255  # BT.709: 2 (1 - Kr) = 1.5748
        assert np.abs(line[8:56] - expected).max() < 0.55


def test_a_codec_without_signaled_siting_is_read_like_mpeg_2(tmp_path: Path) -> None:
    gray = [np.full((64, 64), 120), np.full((32, 32), 128), np.full((32, 32), 128)]
    assert probe(write(tmp_path / "unsaid.mkv", [image(gray, "yuv420p")])).chroma_siting == ChromaSiting(False, True)
    jpeg = write(tmp_path / "jpeg.avi", [image(gray, "yuvj420p")], codec="mjpeg")
    assert probe(jpeg).chroma_siting == ChromaSiting(True, True)


def test_420_is_restored_up_to_its_corners(tmp_path: Path) -> None:
    """Odd size: the last luma column has a chroma sample of its own, and flat edges stay flat."""
    planes = [np.full((33, 35), 126), np.full((17, 18), 90), np.full((17, 18), 180)]
    pixels = only_frame(open_video(write(tmp_path / "odd.mkv", [image(planes, "yuv420p")], tags={"matrix": "bt709"})))
    assert pixels.shape == (33, 35, 3)
    assert (pixels == pixels[0, 0]).all()


@pytest.mark.parametrize(
    ("name", "planes"),
    [
        ("nv12", lambda y, u, v: [y, np.stack([u, v], -1).reshape(len(u), -1)]),
        ("nv21", lambda y, u, v: [y, np.stack([v, u], -1).reshape(len(u), -1)]),
    ],
)
def test_interleaved_chroma_is_the_same_image(name: str, planes: object) -> None:
    rng = np.random.default_rng(5)
    y, u, v = rng.integers(16, 236, (16, 16)), rng.integers(16, 240, (8, 8)), rng.integers(16, 240, (8, 8))
    packed = av.VideoFrame(16, 16, name)
    for plane, values in zip(packed.planes, planes(y, u, v), strict=True):  # type: ignore[operator]
        lines = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)
        lines[:, : values.shape[1]] = values
    color = color_709()
    same = YuvToRgb(find_format(name), color, ChromaSiting())(packed)
    assert (same == YuvToRgb(find_format("yuv420p"), color, ChromaSiting())(image([y, u, v], "yuv420p"))).all()


def test_p010_keeps_all_ten_bits() -> None:
    y, u, v = np.arange(256).reshape(16, 16) * 3 + 64, np.full((8, 8), 400), np.full((8, 8), 700)
    packed = av.VideoFrame(16, 16, "p010le")
    for plane, values in zip(packed.planes, [y << 6, np.stack([u << 6, v << 6], -1).reshape(8, 16)], strict=True):
        np.frombuffer(plane, np.uint16).reshape(plane.height, -1)[:, : values.shape[1]] = values
    same = YuvToRgb(find_format("p010le"), color_709(), ChromaSiting())(packed)
    assert (same == YuvToRgb(find_format("yuv420p10le"), color_709(), ChromaSiting())(image([y, u, v], "yuv420p10le"))).all()


@pytest.mark.parametrize("name", ["rgb24", "bgr24", "rgba", "bgra", "gbrp", "rgb48le", "rgba64le", "gbrp16le"])
def test_rgb_sources_pass_unchanged(name: str) -> None:
    deep = "48" in name or "64" in name or "16" in name
    pixels = np.random.default_rng(1).integers(0, 65536 if deep else 256, (20, 30, 3)).astype(np.uint16 if deep else np.uint8)
    if name.startswith("gbrp"):
        frame = image([pixels[..., i] for i in (1, 2, 0)], name)
    else:
        order = [2, 1, 0] if name.startswith("bgr") else [0, 1, 2]
        packed = pixels[..., order]
        if "a" in name:
            packed = np.concatenate([packed, np.zeros_like(packed[..., :1])], -1)
        frame = av.VideoFrame(30, 20, name)
        lines = np.frombuffer(frame.planes[0], packed.dtype).reshape(20, -1)
        lines[:, : packed[0].size] = packed.reshape(20, -1)
    assert (YuvToRgb(find_format(name), color_709("gbr"), ChromaSiting())(frame) == pixels).all()


def test_ten_bit_rgb_fills_the_whole_range() -> None:
    planes = [np.array([[0, 1, 512, 1023]])] * 3
    pixels = YuvToRgb(find_format("gbrp10le"), color_709("gbr"), ChromaSiting())(image(planes, "gbrp10le"))
    assert pixels[0, :, 0].tolist() == [0, 64, 32800, 65535]  # round(65535 * v / 1023)


@pytest.mark.parametrize(("range_", "expected"), [("tv", [0, 0, 128, 255]), ("pc", [0, 16, 126, 235])])
def test_gray_follows_its_range(range_: str, expected: list[int]) -> None:
    codes = np.array([[0, 16, 126, 235]])
    pixels = YuvToRgb(find_format("gray"), color_709("bt709", range_), ChromaSiting())(image([codes], "gray"))
    assert pixels[0, :, 1].tolist() == expected


@pytest.mark.parametrize("name", ["gbrpf32le", "xyz12le", "bayer_rggb8", "cuda", "gbrpf16le"])
def test_formats_without_integer_codes_are_not_guessed(name: str) -> None:
    assert parse_pixel_format(name) is None


def test_a_color_matrix_that_needs_linear_light_is_refused(tmp_path: Path) -> None:
    gray = [np.full((32, 32), 120), np.full((16, 16), 128), np.full((16, 16), 128)]
    video = write(
        tmp_path / "ictcp.mkv",
        [image(gray, "yuv420p")],
        codec="libx264",
        options={"x264-params": "colormatrix=bt2020c", "preset": "ultrafast"},
    )
    with pytest.raises(MediaError, match=r"ictcp\.mkv: its color matrix bt2020c cannot be converted\. .*convert it first"):
        open_video(video)


def find_format(name: str) -> PixelFormat:
    found = parse_pixel_format(name)
    assert found
    return found


def color_709(matrix: str = "bt709", range_: str = "tv") -> ColorInfo:
    return ColorInfo(matrix=matrix, range="pc" if range_ == "pc" else "tv")
