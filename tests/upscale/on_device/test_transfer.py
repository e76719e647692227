"""Copies run beside the work of a device: the order of calls at the driver's boundary, of which only the streams are fakes."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from threading import current_thread
from typing import Any
from weakref import WeakSet

import pytest
import torch
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.upscale.on_device import device_types, transfer
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings
from upscale8k.runtime.upscale.video import upscale_video
from upscale8k.runtime.video.read.video_reader import open_video
from upscale8k.runtime.video.write import segments
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, write_video

from .test_planes_to_rgb import write_clip

FRAMES = 7


class Driver:
    """Records what is asked of it; the copies themselves are made at once."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.current = Stream("compute", self)
        self.pinned: WeakSet[torch.Tensor] = WeakSet()
        self.most_pinned = 0

    def open_streams(self, device: torch.device) -> list["Stream"]:
        return [Stream("up", self), Stream("down", self)]

    @contextmanager
    def use(self, stream: "Stream") -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        self.current = before

    def allocate(self, *shape: Any, pin_memory: bool = False, **options: Any) -> torch.Tensor:
        tensor = torch.zeros(*shape, **options)
        if pin_memory:
            self.pinned.add(tensor)
            self.most_pinned = max(self.most_pinned, len(self.pinned))
        return tensor


class Stream:
    def __init__(self, name: str, driver: Driver) -> None:
        self.name, self.driver, self.events = name, driver, 0

    def record_event(self, event: torch.cuda.Event) -> "Event":
        self.events += 1
        self.driver.calls.append(f"{self.name} {self.events - 1}")
        return Event(f"{self.name} {self.events - 1}", self.driver)

    def wait_event(self, event: "Event") -> None:
        self.driver.calls.append(f"{self.name} waits for {event.name}")

    def wait_stream(self, other: "Stream") -> None:
        self.driver.calls.append(f"{self.name} waits for {other.name}")


class Event:
    def __init__(self, name: str, driver: Driver) -> None:
        self.name, self.driver = name, driver

    def synchronize(self) -> None:
        self.driver.calls.append(f"{current_thread().name} waits for {self.name}")


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver()
    monkeypatch.setattr(transfer, "_open_streams", driver.open_streams)
    monkeypatch.setattr(transfer.torch.cuda, "stream", driver.use)
    monkeypatch.setattr(transfer.torch.cuda, "current_stream", lambda device: driver.current)
    monkeypatch.setattr(transfer.torch, "empty", driver.allocate)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: None)
    return driver


def write(source: Path, path: Path, model: Any, monkeypatch: pytest.MonkeyPatch, device: str) -> bytes:
    monkeypatch.setattr(device_types, "DEVICE_TYPES", {device})
    settings = TiledUpscaleSettings("model scale", "cpu", tile=32, backend="torch", precision="fp32")
    stream = upscale_video(open_video(source), model, settings, SilentProgress())
    write_video(stream, path, VideoWriteSettings("h264", bits=8, segment_seconds=Fraction(1, 10)), SilentProgress())
    return path.read_bytes()


def test_a_frame_goes_up_before_the_one_before_it_comes_down(
    driver: Driver, tmp_path: Path, weights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, model = write_clip(tmp_path / "clip.mkv", FRAMES), weights("realesr-animevideov3")
    expected = write(source, tmp_path / "host.mp4", model, monkeypatch, "none")
    assert driver.calls == []
    assert write(source, tmp_path / "device.mp4", model, monkeypatch, "cpu") == expected
    at = driver.calls.index
    for number in range(FRAMES):
        assert at(f"up {number}") < at(f"compute waits for up {number}") < at(f"down {number}")
        assert at(f"down {number}") < at(f"video encoder waits for down {number}")  # and nobody else does
        assert driver.calls[at(f"down {number}") - 1] == "down waits for compute"
        if number + 1 < FRAMES:  # work on a frame does not wait for the next one, which is on its way meanwhile
            assert at(f"up {number + 1}") < at(f"compute waits for up {number}")
            assert at(f"down {number}") < at(f"compute waits for up {number + 1}")
    waits = [call for call in driver.calls if call.startswith("MainThread")]  # for its own work, once a frame
    assert waits == [f"MainThread waits for compute {number}" for number in range(FRAMES)]


def test_pinned_memory_does_not_grow_with_the_video(
    driver: Driver, tmp_path: Path, weights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "get_queue_byte_limit", lambda: 1)
    model = weights("realesr-animevideov3")
    for count in (FRAMES, 3 * FRAMES):
        write(write_clip(tmp_path / f"{count}.mkv", count), tmp_path / f"{count}.mp4", model, monkeypatch, "cpu")
        # Three planes of the source ahead and of the one in work; of results one in the queue, one being encoded, one to come.
        assert driver.most_pinned <= 3 * 2 + 3 * 3, count
