"""Write videos as ComfyUI 0.30 does, with its frames, timestamps and settings: packets copied, or images as H.264 and AAC."""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias, cast

import av
import av.error
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.subtitles.stream import SubtitleStream
from av.video.stream import VideoStream

from ...atomic_write import atomic_write, explain_os_error, publish_file, temp_path
from ...errors import OutputError, Upscale8KError
from ...file_types import MUXERS
from .video_decode import FloatArray

OutputTarget = Path | BytesIO
# PyAV's type stubs for writing are incomplete.
Output: TypeAlias = Any
Track: TypeAlias = Any

AUDIO_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
_RATE_STEP = 1000  # ComfyUI rounds frame rates to thousandths

_log = logging.getLogger(__name__)


@contextmanager
def create_container(target: OutputTarget, muxer: str | None) -> Generator[Output, None, None]:
    """Open a container to write into; a file has its final name after the block.

    ``muxer`` None: by the suffix of the name. Raises ``OutputError`` when the video cannot be written.
    """
    if isinstance(target, BytesIO):
        with av.open(target, "w", format=muxer, options={"movflags": "use_metadata_tags"}) as container:
            yield container
        return
    muxer = muxer or _select_muxer(target)
    flags = "use_metadata_tags+faststart" if target.suffix.lower() == ".mp4" else "use_metadata_tags"
    try:
        with (
            atomic_write(target) as temp,
            av.open(str(temp.absolute()), "w", format=muxer, options={"movflags": flags}) as container,
        ):
            yield container
    except Upscale8KError:
        raise
    except (av.error.FFmpegError, OSError, ValueError) as error:
        hint = "Set codec to h264 to encode the video again, and check that the disk has free space and can be written."
        raise OutputError(f"{target.name} cannot be written: {explain_os_error(error)[0]}.", hint, path=target) from error


def save_numbered(video: Any, path: Path, **options: Any) -> Path:
    """Call ``save_to`` of any VIDEO, and return the final path: the next free number where another run has taken ``path``.

    ``save_to`` accepts a path only, so the video is written into a temporary folder beside ``path``.
    """
    folder = temp_path(path)
    folder.mkdir()
    try:
        video.save_to(str(folder / path.name), **options)
        return publish_file(folder / path.name, path, numbered=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _select_muxer(path: Path) -> str:
    muxer = MUXERS.get(path.suffix.lower())
    if muxer is None:
        raise OutputError(f"{path.name} has no suffix of a video format.", f"Use one of {' '.join(MUXERS)}.", path=path)
    return muxer


def write_tags(target: Output, metadata: Mapping[str, Any] | None, source: InputContainer | None = None) -> None:
    """Write the tags of the source and the given ones, as JSON, or as plain text where a source already has tags."""
    given = metadata or {}
    if source is not None:
        target.metadata.update({key: value for key, value in source.metadata.items() if key not in given})
    for key, value in given.items():
        target.metadata[key] = value if source is not None and isinstance(value, str) else json.dumps(value)


def remux(source: InputContainer, target: Output, metadata: Mapping[str, Any] | None) -> None:
    """Copy all video, audio and subtitle streams packet by packet."""
    write_tags(target, metadata, source)
    tracks: dict[Any, Any] = {}
    for stream in source.streams:
        if not isinstance(stream, VideoStream | AudioStream | SubtitleStream):
            continue
        if cast(Any, stream.codec_context) is None:
            _log.warning("Track %d of the video has a codec that FFmpeg does not know: it is left out.", stream.index)
            continue
        tracks[stream] = target.add_stream_from_template(template=stream, opaque=True)
    for packet in source.demux():
        if packet.stream in tracks and packet.dts is not None:
            packet.stream = tracks[packet.stream]
            target.mux(packet)


def encode_images(
    target: Output, images: Any, rate: Fraction, audio: Mapping[str, Any] | None, bits: int, crf: float | None
) -> None:
    """Encode images (N, H, W, 3) and their audio (1, C, samples) as H.264 and AAC."""
    rate = Fraction(round(rate * _RATE_STEP), _RATE_STEP)
    video = target.add_stream("h264", rate=rate)
    video.height, video.width = images.shape[1:3]
    video.pix_fmt = get_pixel_format(bits)
    if crf is not None:
        video.options = {"crf": str(crf)}
    track, waveform = None, None
    if audio:
        sample_rate = int(audio["sample_rate"])
        waveform = audio["waveform"][0, :, : math.ceil(sample_rate / rate * len(images))]
        track = target.add_stream("aac", rate=sample_rate, layout=AUDIO_LAYOUTS.get(len(waveform), "stereo"))
    for image in images:
        target.mux(video.encode(_to_video_frame(image, bits).reformat(format=video.pix_fmt)))
    target.mux(video.encode(None))
    if track is not None and waveform is not None:
        samples = waveform.float().cpu().contiguous().numpy()
        target.mux(track.encode(make_audio_frame(samples, track.sample_rate, AUDIO_LAYOUTS.get(len(samples), "stereo"), 0)))
        target.mux(track.encode(None))


def _to_video_frame(image: Any, bits: int) -> av.VideoFrame:
    """Return an image as a frame: truncated, not rounded; more than 8 bits are passed as 16."""
    if bits >= 10:
        samples = (image.float() * 65535).clamp(0, 65535).cpu().numpy().astype(np.uint16)
        return av.VideoFrame.from_ndarray(samples, format="rgb48le")
    return av.VideoFrame.from_ndarray((image * 255).clamp(0, 255).byte().cpu().numpy(), format="rgb24")


def get_pixel_format(bits: int) -> str:
    return "yuv420p10le" if bits >= 10 else "yuv420p"


def make_audio_frame(samples: FloatArray, rate: int, layout: str, pts: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
    frame.sample_rate = rate
    frame.pts = pts
    frame.time_base = Fraction(1, rate)
    return frame


def make_odd_size_error(width: int, height: int) -> OutputError:
    return OutputError(
        f"H.264 holds only even sizes, and this video would be {width}x{height}.",
        "Make width and height even with ImageScale or ImageCrop before CreateVideo, or use TiledUpscaleVideo with VideoOut.",
    )
