"""Any VIDEO of ComfyUI's or of another pack as a recipe: its file is read frame by frame, its pictures one after the other."""

from __future__ import annotations

import hashlib
import inspect
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from ..errors import WorkflowError
from ..frames.geometry import Size
from ..frames.stream import Frame, FrameStream, VideoInfo
from .muxer import encode, open_output
from .read import open_video
from .sequence import PICTURE_COLOUR, pictures_between, usual_rate

Part = Callable[[Fraction, Fraction | None], FrameStream]
"""The film from so many seconds on, and so many seconds long; None: to its end."""
Say = Callable[[str], None]

_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


def exact_seconds(seconds: float) -> Fraction:
    """To the microsecond: what a person typed, not its binary neighbour."""
    return Fraction(seconds).limit_denominator(1_000_000)


def folder_of(owner: object) -> Path:
    """A temporary folder that is removed when nobody needs ``owner`` any more."""
    folder = tempfile.mkdtemp(prefix="upscale8k-video-")
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def part_of(value: Any, say: Say) -> Part:
    """The way to any part of a VIDEO that is not ours. Raises ``WorkflowError`` for what is no VIDEO."""
    if not hasattr(value, "get_components"):
        raise WorkflowError(f"A VIDEO was expected, not {type(value).__name__}.", "Connect Video In or Load Video.")
    if _is_pictures(value):
        return _Pictures(value.get_components(), say)
    return _of_a_file(value, say)


def _is_pictures(value: Any) -> bool:
    """Whether its frames are in memory. Asked for a file it would encode them, and lose some of each.

    ComfyUI's VideoFromComponents is told by the ``get_stream_source`` that it has of its abstract base class; ours, and packs
    that have been told of this question, by what their frames still cost.
    """
    if hasattr(value, "memory_of_components"):
        return value.memory_of_components() == 0
    owner = next((base for base in type(value).__mro__ if "get_stream_source" in vars(base)), None)
    return owner is None or inspect.isabstract(owner)


def _of_a_file(value: Any, say: Say) -> Part:
    begin, length = value.get_active_trim_window()

    def part(start: Fraction, duration: Fraction | None) -> FrameStream:
        rest = exact_seconds(length) - start if length else None
        limits = [limit for limit in (duration, rest) if limit is not None]
        return open_video(path, start=exact_seconds(begin) + start, duration=min(limits, default=None), say=say)

    source = value.get_stream_source()
    path = Path(cast(str, source)) if isinstance(source, str | PathLike) else _spooled(source, folder_of(part))
    return part


def _spooled(source: Any, folder: Path) -> Path:
    """A film in memory as a file: FFmpeg opens it more than once."""
    path = folder / "film"
    source.seek(0)
    with path.open("wb") as file:
        shutil.copyfileobj(source, file)
    return path


class _Pictures:
    """Frames that somebody holds as one IMAGE (B, H, W, C), and their sound. They become uint16 one by one."""

    def __init__(self, parts: Any, say: Say) -> None:
        self._images, self._rate = parts.images, usual_rate(parts.frame_rate)
        if not len(self._images):
            raise WorkflowError("The video has no frames.", "Connect at least one picture to Create Video.")
        if self._images.shape[-1] > 3 or getattr(parts, "alpha", None) is not None:
            say("The video has an alpha channel; films are upscaled without it.")
        self._sound = folder_of(self) / "sound.flac" if parts.audio else None
        if self._sound:
            _write_sound(self._sound, parts.audio)
        digest = hashlib.sha256(str(self._images.dtype).encode())
        for image in self._images:
            digest.update(np.ascontiguousarray(_array(image)).data)
        self._identity = digest.hexdigest()

    def __call__(self, start: Fraction, duration: Fraction | None) -> FrameStream:
        chosen = range(len(self._images))[pictures_between(self._rate, start, duration)]
        if not chosen:
            raise WorkflowError(f"The video has no frame at {float(start):g} s.", "Choose an earlier start.")
        _, height, width, _ = self._images.shape
        info = VideoInfo(
            size=Size(width, height),
            frame_rate=self._rate,
            time_base=1 / self._rate,
            frame_count=len(chosen),
            frame_count_from="files",
            duration=len(chosen) / self._rate,
            colour=PICTURE_COLOUR,
            bits=16,
            source=self._sound,
            start=chosen[0] / self._rate,
            end=(chosen[-1] + 1) / self._rate,
            audio_streams=1 if self._sound else 0,
            identity=f"{self._identity} | pictures {chosen[0]}:{chosen[-1]}",
        )

        def frames(first: int = 0) -> Iterator[Frame]:
            for number, index in enumerate(chosen[first:], first):
                yield Frame(_codes(_array(self._images[index])), number, 1, 1 / self._rate)

        return FrameStream(info, frames, frames)


def _array(image: Any) -> NDArray[np.float32]:
    return image.detach().float().cpu().numpy()


def _codes(image: NDArray[np.float32]) -> NDArray[np.uint16]:
    """(H, W, C) in 0..1, rounded to 16 bits: k / 255 becomes k * 257 exactly."""
    colours = image[..., :3] if image.shape[-1] >= 3 else np.repeat(image[..., :1], 3, axis=-1)
    return (np.nan_to_num(colours).clip(0.0, 1.0).astype(np.float64) * 65535 + 0.5).astype(np.uint16)


def _write_sound(path: Path, audio: Any) -> None:
    """A waveform (1, C, samples) in -1..1 as FLAC with 24 bits, which every container but WebM and MOV takes as it is."""
    samples = audio["waveform"][0].detach().float().cpu().numpy()
    layout = _LAYOUTS.get(len(samples), "stereo")
    samples = samples[: av.AudioLayout(layout).nb_channels]
    steps = (np.nan_to_num(samples).clip(-1.0, 1.0 - 2.0**-23) * 2.0**23).round().astype(np.int32) << 8
    rate = int(audio["sample_rate"])
    with open_output(path, "flac", {}) as out:
        stream = out.add_stream("flac", rate=rate)
        assert isinstance(stream, AudioStream)
        stream.codec_context.layout, stream.codec_context.format = layout, "s32"
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(steps.T).reshape(1, -1), format="s32", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for packet in [*encode(stream, frame), *encode(stream, None)]:
            out.mux(packet)
