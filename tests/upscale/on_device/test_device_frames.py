"""Frames that stay on the device are those of the host, bit for bit; the processor takes the place of the device."""

import hashlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from upscale8k.runtime.errors import OutOfMemory
from upscale8k.runtime.media.geometry import Region, Size
from upscale8k.runtime.media.video_stream import DeviceFrame, VideoStream
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.upscale.backends.torch import TorchBackend
from upscale8k.runtime.upscale.on_device import device_buffer, device_types
from upscale8k.runtime.upscale.on_device.device_tile_loop import DeviceTileLoop
from upscale8k.runtime.upscale.output_buffer import ReducingBuffer
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings
from upscale8k.runtime.upscale.video import upscale_video
from upscale8k.runtime.video.write import video_writer
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from ..test_image_batch import Told
from ..test_video import make_stream, noise

FP32 = {"backend": "torch", "precision": "fp32"}


@pytest.fixture
def model(weights: Any) -> Any:
    return weights("realesr-animevideov3")


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that opens a stream whose results stay on the device."""

    def force(stream: VideoStream) -> VideoStream:
        monkeypatch.setattr(device_types, "DEVICE_TYPES", {"cpu"})
        return stream

    return force


def read_pixels(stream: VideoStream, first: int = 0) -> list[np.ndarray]:
    with stream.frames(first) as frames:
        return [frame.pixels.copy() for frame in frames]


def moving(count: int, dtype: type = np.uint8) -> list[np.ndarray]:
    """Frames of which only a corner changes, and one that repeats the one before."""
    still = np.random.default_rng(1).integers(0, np.iinfo(dtype).max + 1, (70, 110, 3)).astype(dtype)
    frames = [still.copy() for _ in range(count)]
    for number, frame in enumerate(frames):
        frame[:9, : 5 + number] = number
    return [*frames[:2], frames[1].copy(), *frames[2:]]


@pytest.mark.parametrize(
    ("images", "settings"),
    [
        (moving(4), {"target": "model scale", "tile": 32}),
        (moving(2, np.uint16), {"target": "model scale"}),
        (moving(2), {"target": "model scale", "tile": 32, "batch": 3}),
        ([noise(12, 16) for _ in range(5)], {"target": "model scale", "tile": 64, "batch": 4}),
        ([noise(9, 11)], {"target": "176x144", "tile": 32}),
        (moving(2), {"target": "model scale", "tile": 32, "color_fix": "low-frequency"}),
        (moving(2, np.uint16), {"target": "model scale", "tile": 64, "color_fix": "mean", "strength": 0.7, "grain": 0.5}),
        ([noise(20, 31), noise(20, 31)], {"target": "100x65", "tile": 32}),
        ([noise(9, 12)], {"target": "100x75", "tile": 32, "color_fix": "low-frequency", "strength": 0.5}),
        ([noise(24, 40)], {"target": "120x72", "tile": 32, "linear": True}),
    ],
    ids=[
        *("tiles are reused", "16 bits", "tiles in batches", "frames in batches", "two passes", "color fix"),
        *("all that finishes", "reduced", "two passes reduced and finished", "linear light stays on the host"),
    ],
)
def test_pixels_are_those_of_the_host(images: list[np.ndarray], settings: dict[str, Any], model: Any, on_device: Any) -> None:
    stream = upscale_video(make_stream(images), model, TiledUpscaleSettings(device="cpu", **settings, **FP32), SilentProgress())
    expected = read_pixels(stream)
    found = read_pixels(on_device(stream))
    assert len(found) == len(images)
    np.testing.assert_array_equal(found, expected)
    if settings.get("batch") != 4:  # the last bit depends on which frames run together, on the host as well
        np.testing.assert_array_equal(read_pixels(stream, 1), expected[1:])  # as after a kill
    assert isinstance(next(stream.open()), DeviceFrame) == ("linear" not in settings)


@pytest.mark.parametrize(
    ("codec", "bits", "chroma"), [("h264", 8, "4:2:0"), ("hevc", 10, "4:2:0"), ("prores", 10, "4:2:0"), ("hevc", 8, "4:4:4")]
)
def test_a_written_video_has_the_bytes_of_the_host(
    codec: Any, bits: Any, chroma: Any, model: Any, on_device: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container: Any = "mov" if codec == "prores" else "mp4"
    settings = VideoWriteSettings(codec, container, bits, chroma, segment_seconds=Fraction(1, 10))
    upscaling = TiledUpscaleSettings("model scale", "cpu", tile=32, **FP32)
    stream = upscale_video(make_stream(moving(4)), model, upscaling, SilentProgress())
    hashes = []
    for name in ("host", "device"):
        path = write_video(stream, tmp_path / f"{name}.{container}", settings, SilentProgress()).path
        hashes.append(hashlib.sha256(path.read_bytes()).hexdigest())
        on_device(stream)
        monkeypatch.setattr(video_writer.RgbToYuv, "__call__", None)  # from now on the host packs nothing
    assert hashes[0] == hashes[1]


def test_planes_of_a_repeated_frame_are_made_once(
    model: Any, on_device: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    convert = device_buffer.convert_to_planes
    monkeypatch.setattr(device_buffer, "convert_to_planes", lambda *values: made.append(1) or convert(*values))
    settings = TiledUpscaleSettings("model scale", "cpu", **FP32)
    stream = upscale_video(make_stream([noise(32, 32)] * 6), model, settings, SilentProgress())
    write_video(on_device(stream), tmp_path / "still.mp4", VideoWriteSettings("h264", bits=8), SilentProgress())
    assert len(made) == 1


def test_a_lack_of_memory_makes_tiles_smaller_once(model: Any, on_device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    refused, run = [], TorchBackend.run_on_device

    def run_small_tiles(self: TorchBackend, tiles: torch.Tensor, *, checked: bool) -> Any:
        if max(tiles.shape[2:]) > 100:
            refused.append(tiles.shape[2:])
            raise OutOfMemory("too large", device="cpu", tile=tiles.shape[3])
        return run(self, tiles, checked=checked)

    stream = upscale_video(
        make_stream([noise(120, 120) for _ in range(3)]),
        model,
        TiledUpscaleSettings("model scale", "cpu", tile=96, halo=16, **FP32),
        SilentProgress(),
    )
    expected = read_pixels(stream)
    monkeypatch.setattr(TorchBackend, "run_on_device", run_small_tiles)
    np.testing.assert_array_equal(read_pixels(on_device(stream)), expected)
    assert len(refused) == 1


def test_a_lack_of_memory_beside_the_network_is_one_too(model: Any, on_device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch raises it: where a tile is rounded a smaller one is tried, and where the result is finished it is a sentence."""
    put = device_buffer.DeviceBuffer.put

    def round_small_tiles(self: Any, region: Region, *values: Any) -> None:
        if region.width > 4 * 64:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        put(self, region, *values)

    def raise_out_of_memory(self: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    told, settings = Told(), TiledUpscaleSettings("model scale", "cpu", tile=96, halo=16, **FP32)
    stream = upscale_video(make_stream([noise(40, 90)]), model, settings, told)
    expected = read_pixels(stream)
    monkeypatch.setattr(device_buffer.DeviceBuffer, "put", round_small_tiles)
    np.testing.assert_array_equal(read_pixels(on_device(stream)), expected)
    assert any("Out of memory with 1 x 96 px tiles" in message for message in told.sentences)
    monkeypatch.setattr(DeviceTileLoop, "is_all_valid", raise_out_of_memory)
    with pytest.raises(OutOfMemory, match="A result of 360x160 pixels does not fit"):
        read_pixels(on_device(stream))


def test_a_frame_that_overflows_is_computed_again_and_waited_for_once_otherwise(
    model: Any, on_device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second frame's second tile is NaN in half precision, and right where the backend checks it."""
    waits, calls, run, is_all_valid = [], [], TorchBackend.run_on_device, DeviceTileLoop.is_all_valid

    def overflow(self: TorchBackend, tiles: torch.Tensor, *, checked: bool) -> Any:
        calls.append(checked)
        upscaled, _ = run(self, tiles, checked=checked)
        if len(calls) == 6 and not checked:
            return torch.full_like(upscaled, torch.nan), torch.tensor(False)
        return upscaled, torch.tensor(True)

    images = [noise(40, 120) for _ in range(3)]
    settings, progress = TiledUpscaleSettings("model scale", "cpu", tile=32, **FP32), Told()
    stream = upscale_video(make_stream(images), model, settings, progress)
    expected = read_pixels(stream)
    monkeypatch.setattr(TorchBackend, "run_on_device", overflow)
    monkeypatch.setattr(DeviceTileLoop, "is_all_valid", lambda self: waits.append(1) or is_all_valid(self))
    np.testing.assert_array_equal(read_pixels(on_device(stream)), expected)
    tiles = len(calls) // 4
    assert calls == [False] * 2 * tiles + [True] * tiles + [False] * tiles
    assert len(waits) == 4


def test_nan_of_the_network_is_an_error(model: Any, on_device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: TorchBackend, tiles: torch.Tensor, *, checked: bool) -> Any:
        return torch.full((1, 3, 4 * tiles.shape[2], 4 * tiles.shape[3]), torch.nan), None

    stream = upscale_video(make_stream([noise()]), model, TiledUpscaleSettings("model scale", "cpu", **FP32), SilentProgress())
    monkeypatch.setattr(TorchBackend, "run_on_device", run)
    with pytest.raises(ValueError, match="NaN"):
        read_pixels(on_device(stream))


def test_rounding_is_the_host_s() -> None:
    from upscale8k.runtime.images import to_integers

    codes = np.arange(65536) + 0.5
    values = np.concatenate([codes / 65535, np.nextafter(codes / 65535, 0), [-1, 2, 0, 1]]).astype(np.float32)
    for given in (values, values.astype(np.float16).astype(np.float32)):
        rounded = device_buffer.round_to_codes(torch.as_tensor(given)).to(torch.uint16).numpy()
        np.testing.assert_array_equal(rounded, to_integers(given[None], 16)[0])


@pytest.mark.parametrize(
    ("source", "final"),
    [((101, 77), (63, 50)), ((64, 48), (64, 30)), ((97, 50), (31, 50)), ((300, 240), (277, 167)), ((40, 30), (40, 30))],
)
def test_a_reduction_of_blended_tiles_is_the_host_s(source: tuple[int, int], final: tuple[int, int]) -> None:
    """In rows and columns, whatever rows arrive together; ``ReducingBuffer`` is that of Pillow."""
    (width, height), (final_width, final_height) = source, final
    pixels = (np.random.default_rng(0).random((height, width, 3)) * 1.2 - 0.1).astype(np.float32)
    host = np.zeros((final_height, final_width, 3), np.uint16)
    device = torch.zeros((3, final_height, final_width), dtype=torch.uint16).permute(1, 2, 0)
    buffers = (ReducingBuffer(Size(width, height), host), device_buffer.DeviceReducingBuffer(Size(width, height), device))
    top = 0
    for bottom in (height // 3, height // 3 + 5, height):
        for left, right in ((0, width // 2), (width // 2, width)):
            part = pixels[top:bottom, left:right].copy()
            region, weights = Region(left, top, right - left, bottom - top), np.linspace(0, 1, part.shape[1], dtype=np.float32)
            for share in (weights[None, :, None], 1 - weights[None, :, None]):  # as two tiles that are blended
                for buffer, tile in zip(buffers, (part, torch.from_numpy(part)), strict=True):
                    buffer.put(region, tile, share.repeat(len(part), 0))  # type: ignore[arg-type]
        for buffer in buffers:
            buffer.finish_rows(bottom)
        top = bottom
    assert host.std() > 1000
    np.testing.assert_array_equal(device.numpy(), host)
