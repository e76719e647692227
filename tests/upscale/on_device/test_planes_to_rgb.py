"""R'G'B' that torch makes of decoded planes is that of the host, code for code."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any
from weakref import WeakSet

import av
import numpy as np
import pytest
import torch
from upscale8k.runtime.errors import MediaError
from upscale8k.runtime.media.geometry import Region, Size
from upscale8k.runtime.media.video_stream import ColorInfo, Frame, PlanarFrame, VideoStream
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.upscale.frame_result import prepare_groups
from upscale8k.runtime.upscale.on_device import device_types
from upscale8k.runtime.upscale.on_device.planes_to_rgb import convert_to_rgb
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings
from upscale8k.runtime.upscale.video import upscale_video
from upscale8k.runtime.video.color.color_codes import LUMA_WEIGHTS
from upscale8k.runtime.video.color.yuv_to_rgb import ChromaSiting, YuvToRgb, parse_pixel_format
from upscale8k.runtime.video.read.video_reader import open_video

from ...video.clips import image, write

SUBSAMPLED = [f"yuv{sampling}p{depth}" for sampling in ("420", "422", "440", "444") for depth in ("", "10le", "12le")]
FORMATS = [*SUBSAMPLED, "yuv420p16le", "yuv444p16le", "yuv411p", "yuva420p", "nv12", "p010le"]
OTHERS = ["gbrp", "gbrp10le", "gbrp16le", "rgb24", "yuvj420p", "yuvj444p"]
SITINGS = [ChromaSiting(across, down) for across, down in product((False, True), repeat=2)]


def hostile_frame(name: str, size: Size) -> av.VideoFrame:
    """Noise of all codes, extremes, ramps."""
    frame = av.VideoFrame(size.width, size.height, name)
    bits = max(component.bits for component in frame.format.components)
    rng = np.random.default_rng(len(name))
    for plane in frame.planes:
        dtype = np.dtype(np.uint8 if bits == 8 else np.uint16)
        rows = np.frombuffer(plane, dtype).reshape(plane.height, -1)  # type: ignore[call-overload]
        codes = rng.integers(0, 2**bits, rows.shape)
        codes[: len(codes) // 4] = rng.choice([0, 1, 2**bits - 2, 2**bits - 1], codes[: len(codes) // 4].shape)
        codes[-len(codes) // 4 :] = np.linspace(0, 2**bits - 1, rows.shape[1])
        rows[:] = codes << (16 - bits if name == "p010le" else 0)
    return frame


def assert_same_codes(name: str, color: ColorInfo, siting: ChromaSiting, size: Size) -> None:
    format_ = parse_pixel_format(name)
    assert format_
    convert, frame = YuvToRgb(format_, color, siting), hostile_frame(name, size)
    layout = convert.find_layout(size)
    assert layout
    found = convert_to_rgb([torch.as_tensor(plane) for plane in convert.extract_planes(frame)], layout)
    expected = convert(frame)
    assert expected.std() > 20
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("name", FORMATS)
def test_every_code_is_the_host_s(name: str) -> None:
    """For all matrices and ranges, and all sitings of chroma."""
    ranges: tuple[Any, ...] = ("tv", "pc")
    for matrix, range_ in product(LUMA_WEIGHTS, ranges):
        assert_same_codes(name, ColorInfo(matrix, range_), SITINGS[0], Size(70, 61))
    for siting in SITINGS[1:]:
        assert_same_codes(name, ColorInfo(), siting, Size(131, 125))


@pytest.mark.parametrize("name", OTHERS)
def test_rgb_and_full_range_are_the_host_s_too(name: str) -> None:
    for size in (Size(131, 125), Size(5, 3), Size(18, 7)):
        assert_same_codes(name, ColorInfo("gbr" if "rgb" in name or "gbr" in name else "bt709"), ChromaSiting(), size)


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "yuv444p", "yuv411p"])
@pytest.mark.parametrize("size", [Size(8, 2), Size(9, 5), Size(33, 17), Size(7, 1300)])
def test_edges_and_strips_are_the_host_s(size: Size, name: str) -> None:
    assert_same_codes(name, ColorInfo(), ChromaSiting(), size)


@pytest.mark.parametrize("name", ["yuv410p", "gray", "gray10le"])
def test_what_is_rare_and_not_exact_is_left_to_the_host(name: str) -> None:
    format_ = parse_pixel_format(name)
    assert format_
    assert YuvToRgb(format_, ColorInfo(), ChromaSiting()).find_layout(Size(64, 64)) is None


def write_clip(path: Path, count: int, *, still: int = 0, name: str = "yuv420p") -> Path:
    """Frames of which a corner changes; the last ``still`` ones repeat the one before."""
    rng = np.random.default_rng(1)
    planes = [rng.integers(16, 236, shape) for shape in ((48, 64), (24, 32), (24, 32))]
    images = []
    for number in range(count):
        planes[0][:6, :10] = 16 + 5 * min(number, count - still - 1)
        images.append(image([plane.copy() for plane in planes], name))
    return write(path, images, tags={"matrix": "bt709", "range": "tv"})


def read_both(stream: VideoStream, first: int = 0) -> list[list[Frame]]:
    found = []
    for planes in (False, True):
        with stream.frames(first, planes=planes) as frames:
            found.append(list(frames))
    return found


def test_a_video_gives_its_planes_to_those_who_ask(tmp_path: Path) -> None:
    stream = open_video(write_clip(tmp_path / "clip.mkv", 4))
    for first in (0, 2):
        plain, planar = read_both(stream, first)
        assert len(planar) == len(plain) == 4 - first
        for one, other in zip(plain, planar, strict=True):
            assert isinstance(other, PlanarFrame)
            assert not isinstance(one, PlanarFrame)
            assert (one.pts, one.duration, one.time_base, one.size) == (other.pts, other.duration, other.time_base, other.size)
            np.testing.assert_array_equal(one.pixels, other.pixels)


def test_planes_tell_which_regions_are_the_same(tmp_path: Path) -> None:
    """A region is the same only if all chroma samples that it is made of are."""
    stream = open_video(write_clip(tmp_path / "clip.mkv", 2))
    (_, (first, second)) = read_both(stream)
    assert not first.is_same(second)
    assert first.is_same(second, Region(10, 0, 54, 48))
    assert not first.is_same(second, Region(9, 0, 4, 4))
    rng = np.random.default_rng(3)
    for _ in range(40):
        x, y = rng.integers(0, 60), rng.integers(0, 44)
        region = Region(int(x), int(y), int(rng.integers(1, 65 - x)), int(rng.integers(1, 49 - y)))
        row, column = rng.integers(0, 24), rng.integers(0, 32)
        planes = tuple(plane.copy() for plane in first.planes)
        planes[1][row, column] ^= 64
        other = PlanarFrame(first.layout, planes, lambda: first.pixels, 0, 0, Fraction(1))
        one, changed = (
            convert_to_rgb([torch.as_tensor(each) for each in made], first.layout) for made in (first.planes, planes)
        )
        if first.is_same(other, region):
            assert torch.equal(one[region.rows, region.columns], changed[region.rows, region.columns])


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_types, "DEVICE_TYPES", {"cpu"})


@pytest.mark.parametrize("settings", [{"tile": 32}, {"target": "100x75"}, {"batch": 4, "tile": 96}, {"color_fix": "mean"}])
def test_a_video_whose_planes_go_up_has_the_pixels_of_the_host(
    settings: dict[str, Any], tmp_path: Path, weights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded = []
    monkeypatch.setattr(
        "upscale8k.runtime.upscale.on_device.device_tile_loop.convert_to_rgb",
        lambda *values: uploaded.append(1) or convert_to_rgb(*values),
    )
    chosen = TiledUpscaleSettings(
        **{"target": "model scale", "device": "cpu", "backend": "torch", "precision": "fp32", **settings}
    )
    stream = upscale_video(
        open_video(write_clip(tmp_path / "clip.mkv", 5, still=2)), weights("realesr-animevideov3"), chosen, SilentProgress()
    )
    found = []
    for types in (set(), {"cpu"}):
        monkeypatch.setattr(device_types, "DEVICE_TYPES", types)
        with stream.frames() as frames:
            found.append([(frame.pixels.copy(), frame.is_repeat) for frame in frames])
        assert bool(uploaded) == (bool(types) and "color_fix" not in settings)
    assert [repeat for _, repeat in found[0]] == [repeat for _, repeat in found[1]] == [False] * 3 + [True] * 2
    for (one, _), (other, _) in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_frames_in_memory_do_not_grow_with_the_video(
    tmp_path: Path, weights: Any, monkeypatch: pytest.MonkeyPatch, on_device: None
) -> None:
    alive: WeakSet[PlanarFrame] = WeakSet()
    made = PlanarFrame.__init__

    def count(self: PlanarFrame, *values: Any) -> None:
        made(self, *values)
        alive.add(self)

    monkeypatch.setattr(PlanarFrame, "__init__", count)
    settings = TiledUpscaleSettings("model scale", "cpu", backend="null")
    most = []
    for number in (12, 36):
        stream = upscale_video(
            open_video(write_clip(tmp_path / f"{number}.mkv", number), prefetch_bytes=1),
            weights("realesr-animevideov3"),
            settings,
            SilentProgress(),
        )
        with stream.frames() as frames:
            most.append(max(len(alive) for _ in frames))
    assert most[0] == most[1] <= 6, most


def test_frames_before_a_damaged_one_are_not_lost() -> None:
    frames = [Frame(np.zeros((2, 2, 3), np.uint8), number, 1, Fraction(1)) for number in range(3)]

    def read() -> Iterator[list[tuple[Frame, bool]]]:
        for frame in frames:
            yield [(frame, True)]
        raise MediaError("damaged")

    seen = []
    with pytest.raises(MediaError, match="damaged"):
        for group in prepare_groups(read(), lambda frame: frame.pts, ahead=True):
            seen.append(group[0][1])
    assert seen == [0, 1, 2]
