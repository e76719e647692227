"""Planes that an encoder reads in the memory of a device; the processor is the device, and libx264 takes its NV12."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import pytest
import torch
from upscale8k.runtime.errors import OutOfMemory
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.media.video_stream import ColorInfo, DeviceFrame, VideoInfo, VideoStream
from upscale8k.runtime.upscale.on_device import device_buffer, plane_ring
from upscale8k.runtime.upscale.on_device.device_buffer import ResultImage
from upscale8k.runtime.upscale.on_device.transfer import Transfer
from upscale8k.runtime.video.color import rgb_to_yuv
from upscale8k.runtime.video.color.rgb_to_yuv import RgbToYuv
from upscale8k.runtime.video.write import segments, video_writer
from upscale8k.runtime.video.write.encoding import resolve_encoding
from upscale8k.runtime.video.write.video_writer import VideoWriteSettings, encode_gaps, write_video

from ...video.helpers import Seen
from .test_rgb_to_planes import assert_equal_frames, hostile_pixels

# libx264 gives some of hundreds of smaller videos other bytes, whatever memory their frames are in.
SIZE, COUNT, DELAY = Size(256, 144), 26, 9
SETTINGS = VideoWriteSettings("h264", "mp4", 8, preset="ultrafast", segment_seconds=Fraction(20, 25))
CPU = torch.device("cpu")


def device_video(transfer: Transfer) -> VideoStream:
    """Frames that are written to one buffer after another, as those of a network are; the fifth is repeated."""
    info = VideoInfo(SIZE, Fraction(25), Fraction(1, 25), COUNT, "header", None, ColorInfo(), 8, identity="on the device")

    def frames(first: int = 0) -> Iterator[DeviceFrame]:
        out = torch.zeros((SIZE.height, SIZE.width, 3), dtype=torch.uint16)
        image = ResultImage(out, transfer)
        for number in range(first, COUNT):
            if number != 5 or number == first:
                out.copy_(torch.as_tensor(hostile_pixels(SIZE.height, SIZE.width)).roll(7 * number, 1))
                image = ResultImage(out, transfer)
            yield DeviceFrame(image, number, 1, Fraction(1, 25))

    return VideoStream(info, frames, frames)


@pytest.fixture
def nvenc(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder that takes NV12 of the device, and returns the packet of a frame nine frames later."""

    def resolve(*arguments: Any, **more: Any) -> Any:
        encoding = resolve_encoding(*arguments, **more)
        return replace(encoding, encoder=replace(encoding.encoder, takes_device_frames=True), pixel_format="nv12")

    held: dict[object, deque[av.VideoFrame]] = {}

    def encode_late(stream: Any, frame: av.VideoFrame | None) -> list[Any]:
        waiting = held.setdefault(stream.codec_context, deque())
        if frame is not None:
            waiting.append(frame)
            return stream.encode(waiting.popleft()) if len(waiting) > DELAY else []
        del held[stream.codec_context]
        return [packet for each in (*waiting, None) for packet in stream.encode(each)]

    monkeypatch.setattr(video_writer, "resolve_encoding", resolve)
    monkeypatch.setattr(segments, "encode_frame", encode_late)
    monkeypatch.setattr(segments, "get_queue_byte_limit", lambda: 1)


def write(
    path: Path, *, may_lend: bool = True, stream: VideoStream | None = None, limit: int | None = None
) -> tuple[bytes, str]:
    """Return the bytes of a video, and what is said about the way to the encoder."""
    seen = Seen(limit=limit)

    def encode(*values: Any) -> None:
        encode_gaps(*values, may_lend=may_lend)

    write_video(stream or device_video(Transfer(CPU)), path, SETTINGS, seen, encode=encode)
    return path.read_bytes(), next((each for each in seen.messages if "libx264" in each), "")


def count_slots(transfer: Transfer) -> int:
    return sum(map(len, transfer.ring._slots.values()))


@pytest.mark.usefixtures("nvenc")
def test_planes_are_not_written_to_while_an_encoder_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transfer = Transfer(CPU)
    copied, said = write(tmp_path / "copied.mp4", may_lend=False, stream=device_video(transfer))
    assert (count_slots(transfer), said) == (0, "")
    lent, said = write(tmp_path / "lent.mp4", stream=device_video(transfer))
    assert lent == copied
    assert said == "What libx264 encodes stays in the memory of the graphics card."
    # Those that the encoder holds back, one in its queue, one in work, and what the repeated frame has.
    assert 2 <= count_slots(transfer) <= DELAY + 4
    monkeypatch.setattr(plane_ring._Slot, "is_free", True)
    assert write(tmp_path / "overwritten.mp4")[0] != copied


@pytest.mark.usefixtures("nvenc")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("refuses", "the encoder does not take it from there (no frame of kind cuda)"),
        ("differs", "its packets would differ"),
    ],
)
def test_an_encoder_that_does_not_take_them_as_they_are_gets_copies(
    change: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied, _ = write(tmp_path / "copied.mp4", may_lend=False)
    wrap = RgbToYuv.wrap_planes

    def wrap_wrongly(self: RgbToYuv, planes: Any) -> av.VideoFrame:
        if isinstance(planes[0], torch.Tensor):
            if change == "refuses":
                raise ValueError("no frame of kind cuda")
            planes = [plane + 1 for plane in planes]
        return wrap(self, planes)

    monkeypatch.setattr(RgbToYuv, "wrap_planes", wrap_wrongly)
    found, said = write(tmp_path / "found.mp4")
    assert said == f"What libx264 encodes goes through host memory, because {reason}."
    assert found == copied


@pytest.mark.usefixtures("nvenc")
@pytest.mark.parametrize("ways", [(True, False), (False, True)])
def test_a_run_that_is_interrupted_may_go_on_the_other_way(ways: tuple[bool, bool], tmp_path: Path) -> None:
    expected, _ = write(tmp_path / "whole.mp4")
    path = tmp_path / "resumed.mp4"
    with pytest.raises(KeyboardInterrupt):
        write(path, may_lend=ways[0], limit=24)
    assert write(path, may_lend=ways[1])[0] == expected


@pytest.mark.parametrize("name", ["nv12", "p010le"])
def test_lent_planes_are_those_of_the_host_in_one_block(name: str) -> None:
    pixels = hostile_pixels(48, 66)
    convert = RgbToYuv(name, ColorInfo("bt2020nc"), Size(66, 48))
    assert convert.plane_layout
    image = ResultImage(torch.as_tensor(pixels), Transfer(CPU))
    luma, chroma = image.lend_planes(convert.plane_layout)()
    assert luma.stride() == chroma.stride()
    assert luma.stride(0) * luma.itemsize % 512 == 0
    assert chroma.data_ptr() == luma.data_ptr() + 48 * luma.stride(0) * luma.itemsize
    frames = [convert.wrap_planes([luma, chroma]), convert(pixels)]
    assert_equal_frames(*frames, 10 if name == "p010le" else 8)
    packets = []
    for frame in frames:  # of an encoder that takes any format
        context = cast("Any", av.CodecContext.create("rawvideo", "w"))
        context.width, context.height, context.pix_fmt, context.time_base = 66, 48, name, Fraction(1, 25)
        packets.append(bytes(context.encode(frame)[0]))
    assert packets[0] == packets[1]


class CudaPlane:
    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 1)


def test_planes_of_a_card_come_with_the_context_that_torch_has_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg refuses a primary context with other flags than its own; every frame has the same, so the same session."""
    contexts: list[Any] = []
    frame = SimpleNamespace()
    convert = RgbToYuv("nv12", ColorInfo(), SIZE)
    found = SimpleNamespace(from_dlpack=lambda planes, name, cuda_context=None: contexts.append(cuda_context) or frame)
    monkeypatch.setattr(rgb_to_yuv, "av", SimpleNamespace(VideoFrame=found))
    for _ in range(2):
        convert.wrap_planes([CudaPlane(), CudaPlane()])
    assert contexts[0] is contexts[1]
    assert (contexts[0].device_id, contexts[0].primary_ctx, contexts[0].current_ctx) == (1, False, True)


def test_work_is_waited_for_in_the_thread_of_the_encoder_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of calls at the driver's boundary: nothing comes down, and the device of the thread is set first."""
    from .test_transfer import Driver

    driver = Driver()
    monkeypatch.setattr("upscale8k.runtime.upscale.on_device.transfer._open_streams", driver.open_streams)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: driver.current)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: driver.calls.append(f"set {device}"))
    layout = RgbToYuv("nv12", ColorInfo(), SIZE).plane_layout
    assert layout
    image = ResultImage(torch.zeros((SIZE.height, SIZE.width, 3), dtype=torch.uint16), Transfer(CPU))
    wait = image.lend_planes(layout)
    assert driver.calls == ["compute 0"]
    assert [tuple(plane.shape) for plane in wait()] == [(144, 256), (72, 256)]
    assert driver.calls == ["compute 0", "set cpu", "MainThread waits for compute 0"]


@pytest.mark.parametrize("way", ["lend_planes", "download_planes"])
def test_a_lack_of_memory_for_planes_is_a_sentence(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_out_of_memory(*values: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 96.00 MiB.")

    monkeypatch.setattr(device_buffer, "convert_to_planes", raise_out_of_memory)
    image = ResultImage(torch.zeros((SIZE.height, SIZE.width, 3), dtype=torch.uint16), Transfer(CPU))
    with pytest.raises(OutOfMemory, match="A result of 256x144 pixels does not fit"):
        getattr(image, way)(RgbToYuv("nv12", ColorInfo(), SIZE).plane_layout)
