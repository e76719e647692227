"""The planes that encoders get, against the published equations."""

import av
import numpy as np
import pytest
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.media.video_stream import ColorInfo
from upscale8k.runtime.video.color.rgb_to_yuv import RgbToYuv, resolve_encoded_color

# Kr and Kb: BT.601-7 section 2.5.1, BT.709-6 item 3.2, BT.2020-2 table 4.
WEIGHTS = {"smpte170m": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020nc": (0.2627, 0.0593)}


def published(pixels: np.ndarray, matrix: str, range_: str, bits: int) -> np.ndarray:
    """Y'CbCr before rounding, written out from BT.709-6 items 3.2 to 3.5 and H.273 equations 20 to 25."""
    kr, kb = WEIGHTS[matrix]
    red, green, blue = np.moveaxis(pixels.astype(np.float64) / np.iinfo(pixels.dtype).max, -1, 0)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    if range_ == "tv":
        step = 2 ** (bits - 8)
        return np.stack([(219 * luma + 16) * step, (224 * cb + 128) * step, (224 * cr + 128) * step], axis=-1)
    top = 2**bits - 1
    codes = np.stack([top * luma, top * cb + 2 ** (bits - 1), top * cr + 2 ** (bits - 1)], axis=-1)
    return np.minimum(codes, top)


def planes(frame: av.VideoFrame, bits: int) -> list[np.ndarray]:
    dtype = np.uint8 if bits == 8 else np.uint16
    found = []
    for plane in frame.planes:
        lines = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // np.dtype(dtype).itemsize)
        found.append(lines[: plane.height, : plane.width].astype(np.float64))
    return found


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("range_", ["tv", "pc"])
@pytest.mark.parametrize("matrix", list(WEIGHTS))
def test_every_sample_is_the_published_equation_rounded(matrix: str, range_: str, bits: int, dtype: type) -> None:
    pixels = np.random.default_rng(1).integers(0, np.iinfo(dtype).max + 1, (128, 192, 3)).astype(dtype)
    frame = RgbToYuv("yuv444p10le" if bits == 10 else "yuv444p", ColorInfo(matrix, range_), Size(192, 128))(pixels)
    exact = published(pixels, matrix, range_, bits)
    error = np.stack(planes(frame, bits), axis=-1) - exact
    assert np.abs(error).max() < 0.51  # half a code is rounding, the rest float32
    assert np.abs(error.mean(axis=(0, 1))).max() < 0.05


@pytest.mark.parametrize(
    ("matrix", "color", "codes"),
    [  # white, black, the known red of both standards, and SMPTE RP 219's 75 % yellow
        ("bt709", (255, 255, 255), (235, 128, 128)),
        ("bt709", (0, 0, 0), (16, 128, 128)),
        ("bt709", (255, 0, 0), (63, 102, 240)),
        ("smpte170m", (255, 0, 0), (81, 90, 240)),
        ("bt709", (191, 191, 0), (168, 44, 136)),
    ],
)
def test_known_colors_have_their_known_codes(matrix: str, color: tuple[int, ...], codes: tuple[int, ...]) -> None:
    pixels = np.full((16, 16, 3), color, np.uint8)
    for name in ("yuv420p", "yuv444p"):
        frame = RgbToYuv(name, ColorInfo(matrix), Size(16, 16))(pixels)
        assert [set(plane.ravel().astype(int)) for plane in planes(frame, 8)] == [{code} for code in codes]


def test_chroma_of_a_ramp_is_sited_on_the_even_columns_and_between_two_lines() -> None:
    """Left siting: a ramp of Cr across keeps the value of the even column, one downwards the mean of its two lines."""
    columns, rows = np.meshgrid(np.arange(64), np.arange(32))
    for ramp, expected in ((columns, lambda x, y: 2 * x), (rows, lambda x, y: 2 * y + 0.5)):
        pixels = np.zeros((32, 64, 3), np.uint16)
        pixels[:, :, 0] = ramp * 900
        frame = RgbToYuv("yuv420p10le", ColorInfo(), Size(64, 32))(pixels)
        cr = planes(frame, 10)[2]
        x, y = np.meshgrid(np.arange(32), np.arange(16))
        exact = _cr_of_red(expected(x, y) * 900 / 65535)
        assert np.abs(cr - exact)[:, 1:].max() < 0.51  # the first column has no neighbour on its left


def _cr_of_red(red: np.ndarray) -> np.ndarray:
    return (224 * (red - 0.2126 * red) / (2 - 2 * 0.2126) + 128) * 4


@pytest.mark.parametrize("name", ["yuv420p10le", "yuv422p10le"])
def test_flat_patches_keep_their_chroma_up_to_every_edge_of_odd_sizes(name: str) -> None:
    pixels = np.full((37, 51, 3), (200, 30, 90), np.uint8)
    exact = published(pixels, "bt709", "tv", 10)[0, 0]
    for stored in (Size(51, 37), Size(52, 38)):
        frame = RgbToYuv(name, ColorInfo(), stored)(pixels)
        assert (frame.width, frame.height) == (stored.width, stored.height)
        for plane, code in zip(planes(frame, 10), exact, strict=True):
            assert np.abs(plane - code).max() < 0.51


@pytest.mark.parametrize(("name", "carrier"), [("nv12", "yuv420p"), ("p010le", "yuv420p10le")])
def test_formats_of_hardware_encoders_hold_the_same_samples(name: str, carrier: str) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (48, 64, 3), np.uint8)
    dtype, bits = (np.uint8, 8) if name == "nv12" else (np.uint16, 10)
    plain = planes(RgbToYuv(carrier, ColorInfo(), Size(64, 48))(pixels), bits)
    frame = RgbToYuv(name, ColorInfo(), Size(64, 48))(pixels)
    shift = 0 if bits == 8 else 6  # P010 keeps its ten bits at the top
    luma, chroma = (
        np.frombuffer(plane, dtype).reshape(-1, plane.line_size // np.dtype(dtype).itemsize)[: plane.height, :64] >> shift
        for plane in frame.planes
    )
    assert np.array_equal(luma, plain[0])
    assert np.array_equal(chroma[:, 0::2], plain[1])
    assert np.array_equal(chroma[:, 1::2], plain[2])


def test_rgb_formats_contain_the_pixels_themselves() -> None:
    eight = np.random.default_rng(3).integers(0, 256, (48, 50, 3), np.uint8)
    packed = RgbToYuv("bgr0", ColorInfo(), Size(50, 48))(eight)
    assert np.array_equal(packed.to_ndarray(format="rgb24"), eight)
    deep = np.random.default_rng(3).integers(0, 65536, (48, 50, 3), np.uint16)
    green, blue, red = planes(RgbToYuv("gbrp16le", ColorInfo(), Size(50, 48))(deep), 16)
    assert np.array_equal(np.stack([red, green, blue], axis=-1), deep)
    green, blue, red = planes(RgbToYuv("gbrp10le", ColorInfo(), Size(50, 48))(deep), 10)
    assert np.abs(np.stack([red, green, blue], axis=-1) - deep * (1023 / 65535)).max() < 0.501


@pytest.mark.parametrize("name", ["rgb24", "yuv411p", "yuv420p12le", "gray"])
def test_a_format_that_cannot_be_made_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"cannot be converted to '{name}'"):
        RgbToYuv(name, ColorInfo("bt709"), Size(16, 16))


def test_lent_pixels_may_change_after_packing() -> None:
    pixels = np.full((16, 16, 3), 255, np.uint8)
    frame = RgbToYuv("yuv420p", ColorInfo(), Size(16, 16))(pixels)
    pixels[:] = 0
    assert planes(frame, 8)[0].min() == 235


@pytest.mark.parametrize(
    ("color", "pixel_format", "limited", "matrix", "range_"),
    [
        (ColorInfo("bt2020nc", "tv", "smpte2084", "bt2020"), "yuv420p10le", False, "bt2020nc", "tv"),
        (ColorInfo("bt709", "pc"), "yuv420p", False, "bt709", "pc"),
        (ColorInfo("bt709", "pc"), "yuv422p10le", True, "bt709", "tv"),
        (ColorInfo("gbr", "pc", "iec61966-2-1", "bt709"), "yuv420p", False, "bt709", "tv"),
        (ColorInfo("ictcp", "tv", "smpte2084", "bt2020"), "yuv420p10le", False, "bt2020nc", "tv"),
        (ColorInfo("bt709", "tv"), "bgr0", False, "gbr", "pc"),
    ],
)
def test_the_written_matrix_is_one_that_can_be_computed_and_tagged(
    color: ColorInfo, pixel_format: str, limited: bool, matrix: str, range_: str
) -> None:
    written = resolve_encoded_color(color, pixel_format, limited_range_only=limited)
    assert (written.matrix, written.range) == (matrix, range_)
    assert (written.transfer, written.primaries) == (color.transfer, color.primaries)
