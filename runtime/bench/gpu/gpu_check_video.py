"""The part of ``bench gpu --full`` on videos: color codes, frames that stay on the device, an interrupted run, and speed."""

from dataclasses import replace
from fractions import Fraction
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch

from ...images import to_floats, to_integers
from ...media import ColorInfo, Size, VideoStream
from ...models import Descriptor
from ...progress import SilentProgress, open_silent_progress
from ...upscale import (
    ResultImage,
    TiledUpscaleSettings,
    Transfer,
    convert_to_planes,
    convert_to_rgb,
    keep_results_on,
    upscale_batch,
    upscale_video,
)
from ...video import (
    ChromaSiting,
    HardwareEncoder,
    RgbToYuv,
    VideoWriteSettings,
    WriteReport,
    YuvToRgb,
    encode_gaps,
    open_video,
    parse_pixel_format,
    write_video,
)
from ..measure import make_noise_frame
from ..video import write_test_video
from .check_row import CheckRow, Rows

_COLORED_SIZE = Size(502, 306)
"""Neither a multiple of a strip nor of what OpenCV computes at once."""
_FORMATS = ("yuv420p", "yuv420p10le", "yuv422p10le", "yuv444p", "yuv444p10le", "nv12", "p010le")
_DECODED_FORMATS = ("yuv420p", "yuv420p10le", "yuv422p", "yuv444p10le")
_MATRICES = ("bt709", "smpte170m", "bt2020nc")
_SEGMENTS, _SEGMENT_FRAMES = 3, 2
_RATE = 24


def check_color_codes(device: torch.device) -> Rows:
    """Planes that are made on ``device`` are those of the host, for every matrix, range and pixel format."""
    pixels = np.random.default_rng(4).integers(0, 65536, (_COLORED_SIZE.height, _COLORED_SIZE.width, 3)).astype(np.uint16)
    wrong = total = 0
    has_kernel = device.type == "cuda" and find_spec("triton") is not None
    for pixel_format in _FORMATS:
        for color in (ColorInfo(matrix, range_) for matrix in _MATRICES for range_ in ("tv", "pc")):
            convert = RgbToYuv(pixel_format, color, _COLORED_SIZE)
            assert convert.plane_layout
            image = ResultImage(torch.as_tensor(pixels).to(device), Transfer(device))
            ways = [image.download_planes(convert.plane_layout)()]
            if convert.plane_layout.is_interleaved:
                ways.append([plane.cpu().numpy() for plane in image.lend_planes(convert.plane_layout)()])
            if has_kernel:
                made = convert_to_planes(torch.as_tensor(pixels).to(device), convert.plane_layout, by_kernel=True)
                ways.append([plane.cpu().numpy() for plane in made])
            host = convert(pixels)
            for plane, codes in (pair for planes in ways for pair in zip(host.planes, planes, strict=True)):
                expected = np.frombuffer(memoryview(plane), codes.dtype).reshape(plane.height, -1)[:, : codes.shape[1]]
                wrong, total = wrong + int(np.count_nonzero(codes != expected)), total + codes.size
    kernel = ", those of Triton's kernel among them" if has_kernel else ""
    yield CheckRow(f"color codes: {wrong} of {total} differ from the host's{kernel}", wrong == 0)
    yield _check_decoded_codes(device)


def _check_decoded_codes(device: torch.device) -> CheckRow:
    """R'G'B' that is made of decoded planes on ``device`` is that of the host."""
    wrong = total = 0
    for name in _DECODED_FORMATS:
        frame, format_ = make_noise_frame(name, _COLORED_SIZE, 5), parse_pixel_format(name)
        for color in (ColorInfo(matrix, range_) for matrix in _MATRICES for range_ in ("tv", "pc")):
            assert format_
            convert = YuvToRgb(format_, color, ChromaSiting())
            layout = convert.find_layout(_COLORED_SIZE)
            assert layout
            planes = Transfer(device).start_upload(convert.extract_planes(frame))()
            found = convert_to_rgb(planes, layout).cpu().numpy()
            wrong, total = wrong + int(np.count_nonzero(found != convert(frame))), total + found.size
    return CheckRow(f"color codes of decoded planes: {wrong} of {total} differ from the host's", wrong == 0)


def check_video(
    name: str, descriptor: Descriptor, device: torch.device, size: Size, encoders: tuple[HardwareEncoder | None, ...]
) -> Rows:
    """Frames that stay on the device, a run that is interrupted and resumed, and the speed with each of ``encoders``."""
    # Memory that is free decides an automatic tile, and with it the last bit.
    settings = TiledUpscaleSettings("model scale", str(device), tile=max(size.width // 2, 32), backend="torch")
    if device.type == "cpu":
        settings = replace(settings, precision="fp32")
    with TemporaryDirectory(prefix="upscale8k-bench-") as scratch, keep_results_on(device.type):
        folder, count = Path(scratch), _SEGMENTS * _SEGMENT_FRAMES
        write_test_video(folder / "source.mp4", size, count)
        source = open_video(folder / "source.mp4")
        yield from _compare_with_image(name, descriptor, source, settings)
        reduced = replace(settings, target=f"{3 * size.width}x{3 * size.height}", color_fix="low-frequency")
        yield from _compare_with_image(f"{name}, reduced and corrected", descriptor, source, reduced)
        stream = upscale_video(source, descriptor, settings, SilentProgress())
        for hardware in encoders:
            began = perf_counter()
            whole = _write(stream, folder / f"whole {hardware}.mp4", hardware)
            seconds = perf_counter() - began
            title = f"{name}, encoder {whole.encoder}"
            yield CheckRow(f"{title}: {count / seconds:.2f} frames per second from file to file, {count} frames")
            for note in whole.notes:
                if note.startswith(f"What {whole.encoder} "):
                    began = perf_counter()
                    copied = _write(stream, folder / f"copied {hardware}.mp4", hardware, may_lend=False)
                    times = f"{seconds:.2f} s, by copies in host memory {perf_counter() - began:.2f} s"
                    same = copied.path.read_bytes() == whole.path.read_bytes()
                    yield CheckRow(f"{title}: {note.removesuffix('.')}: {times}, the same bytes", same)
            resumed, path = 0, folder / f"resumed {hardware}.mp4"
            try:
                _write(stream, path, hardware, _StopAfter(count - 1))
            except _InterruptedRun:
                resumed = _write(stream, path, hardware).resumed_frames
            same = path.read_bytes() == whole.path.read_bytes()
            yield CheckRow(f"{title}: interrupted and resumed after {resumed} frames, the same bytes", same and resumed > 0)


def _compare_with_image(title: str, descriptor: Descriptor, source: VideoStream, settings: TiledUpscaleSettings) -> Rows:
    """A frame that stays on the device has the codes of the same image, whose result is in the memory of the host."""
    with source.frames() as frames:
        image = torch.as_tensor(to_floats(next(frames).pixels))[None]
    with upscale_video(source, descriptor, settings, SilentProgress()).frames() as frames:
        found = next(frames).pixels
    with keep_results_on():
        result = upscale_batch(image, descriptor, settings, open_silent_progress)[0].numpy()
    difference = np.abs(to_integers(result, 16).astype(np.int32) - found)
    # Both round to 16 bits, an image before and after its color fix only once.
    allowed = 0 if settings.color_fix == "off" else 2
    wrong = int(np.count_nonzero(difference > allowed))
    yield CheckRow(f"{title}: {wrong} of {found.size} codes of a frame differ from those of an image", wrong == 0)


def _write(
    stream: VideoStream,
    path: Path,
    hardware: HardwareEncoder | None,
    progress: SilentProgress | None = None,
    *,
    may_lend: bool = True,
) -> WriteReport:
    settings = VideoWriteSettings("hevc", hardware=hardware, segment_seconds=Fraction(_SEGMENT_FRAMES, _RATE))
    encode = partial(encode_gaps, may_lend=may_lend)
    return write_video(stream, path, settings, progress or SilentProgress(), encode=encode)


class _InterruptedRun(Exception):
    """As if the program had been stopped."""


class _StopAfter(SilentProgress):
    def __init__(self, frames: int) -> None:
        self._left = frames

    def advance(self, steps: int = 1) -> None:
        self._left -= steps
        if self._left <= 0:
            raise _InterruptedRun
