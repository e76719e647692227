"""A video is the images that TiledUpscale makes of its frames, and what repeats is not computed again."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from upscale8k.runtime.errors import OutOfMemory
from upscale8k.runtime.hardware.capacity import reserve_gpu_memory
from upscale8k.runtime.hardware.cpu import Cpu
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.media.video_stream import ColorInfo, Frame, VideoInfo, VideoStream
from upscale8k.runtime.models.load import hash_weights
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.trt.get_or_build import AttachedEngine, attach_engine
from upscale8k.runtime.upscale import device, resolved_settings, video
from upscale8k.runtime.upscale.autotune import select
from upscale8k.runtime.upscale.autotune.select import BackendChoice
from upscale8k.runtime.upscale.backends.base import OnProgress, no_progress
from upscale8k.runtime.upscale.backends.null import NullBackend
from upscale8k.runtime.upscale.backends.torch import TorchBackend
from upscale8k.runtime.upscale.image_batch import upscale_batch
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings, resolve_tiling
from upscale8k.runtime.upscale.video import upscale_video

from .test_image_batch import Told

RNG = np.random.default_rng(3)


def make_stream(images: list[np.ndarray]) -> VideoStream:
    height, width = images[0].shape[:2]
    base = Fraction(1, 1000)
    info = VideoInfo(
        Size(width, height),
        Fraction(25),
        base,
        len(images),
        "header",
        None,
        ColorInfo(),
        8,
        has_alpha=images[0].shape[2] == 4,
        identity="test video",
    )

    def frames() -> Iterator[Frame]:
        for index, image in enumerate(images):
            yield Frame(image, 40 * index, 40, base)

    return VideoStream(info, frames)


def noise(height: int = 40, width: int = 90, channels: int = 3) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, channels), np.uint8)


@pytest.fixture
def model(weights: Any) -> Any:
    return weights("realesr-animevideov3")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The pixels of every batch that goes through the network."""
    seen: list[int] = []
    run = TorchBackend.run

    def counted(self: TorchBackend, batch: np.ndarray, on_progress: OnProgress = no_progress) -> np.ndarray:
        seen.append(batch.shape[0] * batch.shape[1] * batch.shape[2])
        return run(self, batch, on_progress)

    monkeypatch.setattr(TorchBackend, "run", counted)
    return seen


@pytest.mark.parametrize(("target", "channels"), [("model scale", 3), ("3x", 3), ("model scale", 4), ("3x", 4)])
def test_every_frame_is_the_image_that_the_image_node_makes(target: str, channels: int, model: Any) -> None:
    images = [noise(channels=channels) for _ in range(3)]
    images[2][:20, :20] = images[1][:20, :20]  # a tile that equals the one before
    if channels == 4:
        images[1][:, 45:, 3] = images[2][:, 45:, 3] = 0  # colors there come from what is around them
    settings = TiledUpscaleSettings(target, "cpu", tile=32, batch=2)
    upscaled = upscale_video(make_stream(images), model, settings, SilentProgress())
    for pixels, frame in zip(images, upscaled.open(), strict=True):
        image = torch.as_tensor(pixels[None].astype(np.float32) / 255)
        expected = upscale_batch(image, model, settings, lambda total, unit: SilentProgress())[0].numpy()
        np.testing.assert_array_equal(frame.pixels, np.floor(expected.astype(np.float64) * 65535 + 0.5))


def test_times_and_facts_go_along(model: Any) -> None:
    upscaled = upscale_video(make_stream([noise(), noise()]), model, TiledUpscaleSettings("2x", "cpu"), SilentProgress())
    assert upscaled.info.size == Size(180, 80)
    assert upscaled.info.bit_depth == 8  # as the source; frames are uint16
    assert [(frame.pts, frame.duration) for frame in upscaled.open()] == [(0, 40), (40, 40)]


def test_a_lack_of_memory_is_met_once_a_video_and_not_in_every_frame(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[int] = []
    run = TorchBackend.run

    def run_small_tiles(self: TorchBackend, batch: np.ndarray, on_progress: OnProgress = no_progress) -> np.ndarray:
        if max(batch.shape[1:3]) > 100:
            refused.append(batch.shape[2])
            raise OutOfMemory("too large", device="cpu", tile=batch.shape[2])
        return run(self, batch, on_progress)

    images = [noise(120, 120) for _ in range(4)]
    settings = TiledUpscaleSettings("model scale", "cpu", tile=96, halo=16, backend="torch", precision="fp32")
    expected = [frame.pixels.copy() for frame in upscale_video(make_stream(images), model, settings, SilentProgress()).open()]
    monkeypatch.setattr(TorchBackend, "run", run_small_tiles)
    upscaled = [frame.pixels.copy() for frame in upscale_video(make_stream(images), model, settings, SilentProgress()).open()]
    assert len(refused) == 1
    assert len(upscaled) == 4
    for small, large in zip(upscaled, expected, strict=True):
        assert np.array_equal(small, large)


def test_tiles_on_a_gpu_are_chosen_when_the_frames_are_opened_and_leave_the_memory_of_the_encoder_free(
    weights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the node and the first frame other nodes run, and NVENC needs memory of its own."""
    monkeypatch.setattr(device, "_is_available", lambda kind, index=0: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4_000_000_000, 12_000_000_000))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    requests: list[tuple[str, int]] = []
    tiles: list[int] = []

    class Opened(Exception):
        """The backend would be opened now."""

    def open_frames(model: Any, resolved: Any) -> Any:
        raise Opened

    def resolve(*arguments: Any) -> Any:
        tiling = resolve_tiling(*arguments)
        tiles.append(tiling.tile)
        return tiling

    monkeypatch.setattr(video, "open_resolved_backend", open_frames)
    monkeypatch.setattr(video, "resolve_tiling", resolve)
    settings = TiledUpscaleSettings("model scale", "cuda:0", precision="fp32", backend="torch")
    upscaled = upscale_video(
        make_stream([noise(1080, 1920)]),
        weights("realesrgan-x4plus"),
        settings,
        SilentProgress(),
        lambda *it: requests.append(it),
    )
    for reserved in (0, 2_500_000_000):
        with reserve_gpu_memory(reserved), pytest.raises(Opened):
            next(iter(upscaled.open()))
    assert tiles[1] < tiles[0]
    assert [device for device, _ in requests] == ["cuda:0"] * 3
    assert requests[2][1] - requests[1][1] == 2_500_000_000


def test_weights_that_do_not_fit_are_an_error_of_memory(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 64.00 MiB.")

    monkeypatch.setattr(TorchBackend, "_copy_to_device", fail)
    settings = TiledUpscaleSettings("model scale", "cpu", backend="torch", precision="fp32")
    upscaled = upscale_video(make_stream([noise()]), model, settings, SilentProgress())
    with pytest.raises(OutOfMemory, match="model do not fit in the memory of cpu"):
        next(upscaled.open())


def test_it_can_be_opened_twice_and_closed_early(model: Any) -> None:
    upscaled = upscale_video(
        make_stream([noise(), noise()]), model, TiledUpscaleSettings("model scale", "cpu"), SilentProgress()
    )
    first = upscaled.open()
    kept = next(first).pixels.copy()
    first.close()
    assert [np.array_equal(frame.pixels, kept) for frame in upscaled.open()] == [True, False]


def test_a_backend_stays_open_between_the_parts_of_a_video_only_inside_its_block(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    class Counted(NullBackend):
        def __init__(self, *values: Any) -> None:
            super().__init__(*values)
            events.append("opened")

        def close(self) -> None:
            events.append("closed")

    monkeypatch.setattr(resolved_settings, "open_backend", lambda _, *values: Counted(*values))
    settings = TiledUpscaleSettings("model scale", "cpu", backend="null")
    upscaled = upscale_video(make_stream([noise(), noise(), noise()]), model, settings, SilentProgress())
    with resolved_settings.keep_backends_open():
        for first in (0, 2, 1):
            with upscaled.frames(first) as frames:
                assert len(list(frames)) == 3 - first
        assert events == ["opened"]
    assert events == ["opened", "closed"]
    list(upscaled.open())
    assert events == ["opened", "closed"] * 2


def test_a_repeated_frame_is_not_computed_again(model: Any, calls: list[int]) -> None:
    image, other = noise(), noise()
    watch = Told()
    images = [image, image.copy(), other, other.copy(), other.copy(), image]
    results = [
        frame.pixels.copy()
        for frame in upscale_video(
            make_stream(images), model, TiledUpscaleSettings("model scale", "cpu", backend="torch", precision="fp32"), watch
        ).open()
    ]
    assert len(calls) == 3
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[5])
    assert not np.array_equal(results[1], results[2])
    assert watch.sentences[-1] == "3 of 6 frames repeated the one before; 50% of the work was reused."


def test_only_tiles_that_see_a_change_are_computed_and_the_result_is_the_same_to_the_last_bit(
    model: Any, calls: list[int]
) -> None:
    first = noise(64, 200)
    second = first.copy()
    second[5, 190] ^= 255  # seen by the last of three tiles alone: its neighbour's halo ends at column 148
    settings = TiledUpscaleSettings("model scale", "cpu", tile=64, backend="torch", precision="fp32")
    results = [
        frame.pixels.copy() for frame in upscale_video(make_stream([first, second]), model, settings, SilentProgress()).open()
    ]
    assert len(calls) == 3 + 1
    calls.clear()
    (alone,) = [frame.pixels.copy() for frame in upscale_video(make_stream([second]), model, settings, SilentProgress()).open()]
    np.testing.assert_array_equal(results[1], alone)


def test_the_identity_tells_every_setting_that_changes_pixels(model: Any, weights: Any) -> None:
    def identity(descriptor: Any = model, **changed: Any) -> str:
        settings = TiledUpscaleSettings(**{"target": "2x", "device": "cpu", "tile": 64, "precision": "fp32", **changed})
        return upscale_video(make_stream([noise()]), descriptor, settings, SilentProgress()).info.identity

    others = [
        identity(target="4x"),
        identity(halo=4),
        identity(precision="bf16"),
        identity(linear=True),
        identity(backend="null"),
    ]
    others.append(identity(weights("realesrgan-x4plus-anime")))
    assert len({identity(), *others}) == 7
    assert identity() == identity()
    assert identity().startswith("test video | ")


@pytest.mark.parametrize(
    ("backend", "precision", "chosen", "text"),
    [
        ("torch", "auto", None, "torch fp32"),
        ("torch", "bf16", None, "torch bf16"),
        ("auto", "auto", ("openvino", "fp32"), "openvino fp32"),
        ("auto", "auto", ("torch", "bf16"), "torch bf16"),
        ("openvino", "auto", None, "openvino auto"),
        ("openvino", "fp32", None, "openvino fp32"),
        ("onnxruntime", "auto", None, "onnxruntime auto"),
        ("null", "auto", None, "null auto"),
        ("tensorrt", "auto", None, "tensorrt auto"),
    ],
)
def test_the_identity_is_what_interrupted_videos_hold(
    backend: str, precision: Any, chosen: Any, text: str, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte: another text would start every interrupted video anew."""
    monkeypatch.setattr(select, "query_cpu", lambda: Cpu("i7", 2, 2, None, ("AVX2",)))
    if chosen:
        monkeypatch.setattr(resolved_settings, "select_backend", lambda *_: BackendChoice(*chosen))
    settings = TiledUpscaleSettings("2x", "cpu", tile=64, precision=precision, backend=backend, color_fix="mean")
    upscaled = upscale_video(make_stream([noise()]), model, settings, SilentProgress())
    weights_hash = hash_weights(model)
    identity = f"test video | upscale 180x80 {weights_hash} {text} False tile 64 halo 18 crop colour fix mean"
    assert upscaled.info.identity == identity


def test_what_auto_was_elsewhere_is_a_variant(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a video that was begun there, or by an older version, is recognized, and finished as it was begun."""
    monkeypatch.setattr(select, "query_cpu", lambda: Cpu("i7", 2, 2, None, ("AVX2",)))
    settings, stream = TiledUpscaleSettings("2x", "cpu", tile=64), make_stream([noise()])
    upscaled = upscale_video(stream, model, settings, SilentProgress())
    begun = upscaled.info.identity.replace("winograd fp32", "torch bf16").replace("halo 72", "halo 18")
    variant = upscaled.find_variant(begun)
    bf16 = upscale_video(stream, model, replace(settings, precision="bf16"), SilentProgress())
    assert (variant.info.identity, bf16.variants) == (begun, {})
    for one, other in zip(variant.open(), bf16.open(), strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
    assert upscaled.find_variant("another video") is upscaled.find_variant(None) is upscaled


def test_the_identity_tells_engines_apart_but_not_cards(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    facts: dict[str, Any] = {"weights": "a", "precision": "fp16", "least": (32, 32), "most": (100, 100)}

    def identity(**changed: Any) -> str:
        stamp = SimpleNamespace(**{**facts, "target": "sm_89", "driver": "1", "tile": 64, **changed})
        monkeypatch.setattr(resolved_settings, "read_engine_info", lambda _: stamp)
        carrier = attach_engine(model, AttachedEngine(Path("x.trt")))
        settings = TiledUpscaleSettings("2x", "cpu", tile=64, backend="tensorrt")
        return upscale_video(make_stream([noise()]), carrier, settings, SilentProgress()).info.identity

    others = [
        identity(weights="b"),
        identity(precision="fp32"),
        identity(least=(100, 100)),
        identity(least=(64, 64), most=(64, 64)),
    ]
    assert len({identity(), *others}) == 5
    assert identity(target="sm_120", driver="2") == identity()
