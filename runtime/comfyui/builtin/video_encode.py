"""Write videos as ComfyUI 0.38 does, with its frames, timestamps and settings.

Packets are copied, or frames encoded as H.264 or AV1 in MP4, Matroska or WebM, with AAC, in WebM Opus. ``sRGB`` is BT.709,
``HDR`` BT.2020 with HLG, ``HDR PQ`` BT.2020 with PQ.
"""

import json
import logging
import math
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc
from av.video.stream import VideoStream

from ...atomic_write import atomic_write, explain_os_error, publish_file, temp_path
from ...errors import OutputError, Upscale8KError
from ...file_types import MUXERS
from ...video import demux_packets
from .video_decode import FloatArray

OutputTarget = Path | BytesIO
# PyAV's type stubs for writing are incomplete.
Output: TypeAlias = Any
Track: TypeAlias = Any

AUDIO_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
_RATE_STEP = 1000  # ComfyUI rounds frame rates to thousandths
_ENCODER_NAMES = {"h264": "h264", "av1": "libsvtav1"}
_MUXERS = {"mp4": "mp4", "mkv": "matroska", "webm": "webm"}
_WEBM_CODECS = {"video": ("av1", "vp8", "vp9"), "audio": ("opus", "vorbis"), "subtitle": ("webvtt",)}
_OPUS_RATE = 48000
_BT709, _BT2020_NCL = 1, 9  # matrices, ITU-T H.273, table 4
_TRANSFERS = {"sRGB": ColorTrc.IEC61966_2_1, "HDR": ColorTrc.ARIB_STD_B67, "HDR PQ": ColorTrc.SMPTE2084}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoEncoding:
    """How frames are encoded. ``color_space`` None writes no color tags, ``crf`` None the encoder's default quality."""

    container: str
    codec: str
    bits: int
    crf: float | None = None
    color_space: str | None = None
    preset: str | None = None

    @property
    def muxer(self) -> str:
        return _MUXERS[self.container]

    @property
    def pixel_format(self) -> str:
        return "yuv420p10le" if self.bits >= 10 else "yuv420p"

    @property
    def matrix(self) -> int | None:
        """The number of the matrix from RGB; None for the encoder's default."""
        return None if self.color_space is None else _BT709 if self.color_space == "sRGB" else _BT2020_NCL

    def add_video_stream(self, target: Output, rate: Fraction, size: tuple[int, int]) -> Track:
        track = target.add_stream(_ENCODER_NAMES[self.codec], rate=rate)
        track.width, track.height = size
        track.pix_fmt = self.pixel_format
        track.options = self._build_options()
        self.apply_color(track.codec_context)
        return track

    def _build_options(self) -> dict[str, str]:
        options = {"preset": self.preset} if self.preset and self.codec == "h264" else {}
        if self.codec == "av1" and self.crf == 0:
            return {"svtav1-params": "lossless=1"}
        return options if self.crf is None else {**options, "crf": str(self.crf)}

    def apply_color(self, target: Any) -> None:
        """Tag a frame or a codec context with the color space."""
        if self.color_space is not None:
            target.color_primaries = ColorPrimaries.BT709 if self.color_space == "sRGB" else ColorPrimaries.BT2020
            target.color_trc = _TRANSFERS[self.color_space]
            target.colorspace, target.color_range = self.matrix, ColorRange.MPEG

    def get_audio_rate(self, rate: int) -> int:
        return _OPUS_RATE if self.container == "webm" else rate

    def add_audio_stream(self, target: Output, rate: int, layout: str) -> Track:
        return target.add_stream("libopus" if self.container == "webm" else "aac", rate=rate, layout=layout)


def select_container_and_codec(target: OutputTarget, format: object, codec: object) -> tuple[str, str]:
    """Return container and codec for ``auto`` and other choices. Raises ``OutputError`` for what cannot be written."""
    container, encoder = to_string(format), to_string(codec)
    if container == "auto":
        suffix = "" if isinstance(target, BytesIO) else target.suffix.lower().removeprefix(".")
        container = suffix if suffix in ("mkv", "webm") else "mp4"
    if encoder == "auto":
        encoder = "av1" if container == "webm" else "h264"
    if container not in _MUXERS or encoder not in _ENCODER_NAMES:
        what = f"Videos are not encoded as {encoder} in {container} here."
        raise OutputError(what, "Choose mp4, mkv or webm with h264 or av1, or use VideoOut, which writes other codecs.")
    if container == "webm" and encoder != "av1":
        raise OutputError("A webm file holds AV1, not H.264.", "Set codec to av1, or format to mp4 or mkv.")
    return container, encoder


def check_color_space(color_space: str | None) -> None:
    """Raise ``OutputError`` for a color space that ComfyUI does not have."""
    if color_space is not None and color_space not in _TRANSFERS:
        raise OutputError(f"Unknown color space {color_space!r}.", f"Use {', '.join(_TRANSFERS)}.")


def to_string(choice: object) -> str:
    """Return the value of a ``str`` enumeration member, which other packs pass."""
    return str(getattr(choice, "value", choice))


def fits_webm(source: InputContainer) -> bool:
    """Return whether a WebM file can hold all streams of a video as they are."""
    streams = [stream for stream in source.streams if stream.type in _WEBM_CODECS and cast(Any, stream.codec_context)]
    return all(cast(Any, stream).codec.canonical_name in _WEBM_CODECS[stream.type] for stream in streams)


@contextmanager
def create_container(target: OutputTarget, muxer: str | None) -> Generator[Output, None, None]:
    """Open a container to write into; a file has its final name after the block.

    ``muxer`` None: by the suffix of the name. Raises ``OutputError`` when the video cannot be written.
    """
    if isinstance(target, BytesIO):
        with av.open(target, "w", format=muxer, options=_make_muxer_options(muxer, "use_metadata_tags")) as container:
            yield container
        return
    muxer = muxer or _select_muxer(target)
    flags = "use_metadata_tags+faststart" if target.suffix.lower() == ".mp4" else "use_metadata_tags"
    try:
        with (
            atomic_write(target) as temp,
            av.open(str(temp.absolute()), "w", format=muxer, options=_make_muxer_options(muxer, flags)) as container,
        ):
            yield container
    except Upscale8KError:
        raise
    except (av.error.FFmpegError, OSError, ValueError) as error:
        hint = "Set codec to h264 to encode the video again, and check that the disk has free space and can be written."
        raise OutputError(f"{target.name} cannot be written: {explain_os_error(error)[0]}.", hint, path=target) from error


def _make_muxer_options(muxer: str | None, flags: str) -> dict[str, str]:
    """Return the options with which MP4 and its relatives keep tags of any name; other muxers do not know them."""
    return {} if muxer in ("matroska", "webm") else {"movflags": flags}


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
    for packet in demux_packets(source, *tracks):
        if packet.dts is not None:
            packet.stream = tracks[packet.stream]
            target.mux(packet)


def encode_images(
    target: Output, images: Any, rate: Fraction, audio: Mapping[str, Any] | None, encoding: VideoEncoding
) -> None:
    """Encode images (N, H, W, 3) and their audio (1, C, samples)."""
    rate = Fraction(round(rate * _RATE_STEP), _RATE_STEP)
    height, width = images.shape[1:3]
    video = encoding.add_video_stream(target, rate, (width, height))
    track, waveform = None, None
    if audio:
        sample_rate = int(audio["sample_rate"])
        waveform = audio["waveform"][0, :, : math.ceil(sample_rate / rate * len(images))]
        layout = AUDIO_LAYOUTS.get(len(waveform), "stereo")
        track = encoding.add_audio_stream(target, encoding.get_audio_rate(sample_rate), layout)
    matrix: dict[str, Any] = {} if encoding.matrix is None else {"dst_colorspace": encoding.matrix}
    for image in images:
        frame = _to_video_frame(image, encoding.bits).reformat(format=video.pix_fmt, **matrix)
        encoding.apply_color(frame)
        target.mux(video.encode(frame))
    target.mux(video.encode(None))
    if audio and track is not None and waveform is not None:
        _encode_samples(target, track, waveform.float().cpu().contiguous().numpy(), int(audio["sample_rate"]))


def _encode_samples(target: Output, track: Track, samples: FloatArray, rate: int) -> None:
    layout = AUDIO_LAYOUTS.get(len(samples), "stereo")
    frames = [make_audio_frame(samples, rate, layout, 0)]
    if track.sample_rate != rate:
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=track.sample_rate)
        frames = [*resampler.resample(frames[0]), *resampler.resample(None)]
    for frame in frames:
        target.mux(track.encode(frame))
    target.mux(track.encode(None))


def _to_video_frame(image: Any, bits: int) -> av.VideoFrame:
    """Return an image as a frame: truncated, not rounded; more than 8 bits are passed as 16."""
    if bits >= 10:
        samples = (image.float() * 65535).clamp(0, 65535).cpu().numpy().astype(np.uint16)
        return av.VideoFrame.from_ndarray(samples, format="rgb48le")
    return av.VideoFrame.from_ndarray((image * 255).clamp(0, 255).byte().cpu().numpy(), format="rgb24")


def make_audio_frame(samples: FloatArray, rate: int, layout: str, pts: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
    frame.sample_rate = rate
    frame.pts = pts
    frame.time_base = Fraction(1, rate)
    return frame


def make_odd_size_error(width: int, height: int) -> OutputError:
    return OutputError(
        f"H.264 and AV1 hold only even sizes, and this video would be {width}x{height}.",
        "Make width and height even with ImageScale or ImageCrop before CreateVideo, or use TiledUpscaleVideo with VideoOut.",
    )
