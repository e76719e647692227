"""One row per codec: its encoder, containers, pixel formats, presets and default quality. Imports neither PyAV nor numpy.

At 8K the model is the slow part and the encoder's memory the large one. Presets are fast for the first reason. For the second,
frames above ``LARGE_FRAME_PIXELS`` are encoded with little or nothing held back: no B-frames and no look-ahead for x265, low
delay for SVT-AV1. Without look-ahead x265 spends more bits at the same crf, not more for the same quality, so large frames get
crf 24; ultrafast, because the same quality takes about 4 % more bits than superfast, and half the time. The measurements are in
BENCHMARKS.md, "Encoders".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ...file_types import ANIMATION_SUFFIXES, MUXERS
from .encoder_options import (
    EncoderRequest,
    build_amf_options,
    build_ffv1_options,
    build_nvenc_options,
    build_prores_options,
    build_qsv_options,
    build_svt_av1_options,
    build_videotoolbox_options,
    build_vp9_options,
    build_x264_options,
    build_x265_options,
    count_nvenc_frames,
)

Codec: TypeAlias = str
"""A key of ``ENCODERS``."""
HardwareEncoder: TypeAlias = str
"""A key of ``HARDWARE_FAMILIES``."""
Container = Literal["mp4", "mkv", "mov", "webm", "gif", "webp", "apng"]
Bits = Literal[8, 10, 16]
Chroma = Literal["4:2:0", "4:4:4"]
PixelFormats = Mapping[tuple[Bits, Chroma], str]
BuildOptions = Callable[[EncoderRequest], dict[str, str]]
CountFrames = Callable[[Mapping[str, str]], int]

LARGE_FRAME_PIXELS = 12_000_000
"""Pixels per frame above which memory comes before file size: 4K is below, 5K and 8K are above."""

ANIMATION_CONTAINERS = tuple(dict.fromkeys(ANIMATION_SUFFIXES.values()))
MUXER_NAMES: Mapping[str, str] = {suffix.removeprefix("."): muxer for suffix, muxer in MUXERS.items()}
"""FFmpeg's muxer of a ``Container``."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A codec and the encoder of FFmpeg that writes it. Node choices, help and checks derive from these rows."""

    codec: Codec
    title: str
    good_for: str
    """For the help: ``hevc`` followed by these words."""
    containers: tuple[Container, ...]
    name: str
    """FFmpeg's name of the encoder."""
    pixel_formats: PixelFormats
    build_options: BuildOptions
    crf: int | None = None
    """Default quality; None: the encoder has no such scale."""
    crf_large: int | None = None
    """Default quality of frames above ``LARGE_FRAME_PIXELS``; None: the same."""
    crf_limit: int = 51
    preset: str = ""
    preset_large: str = ""
    """Default preset of frames above ``LARGE_FRAME_PIXELS``; empty: the same."""
    presets: tuple[str, ...] = ()
    needs_even_size: bool = True
    """Subsampled chroma requires even width and height."""
    writes_hdr_metadata: bool = False
    """Writes the mastering display and content light level of HDR10."""
    bits_per_pixel: float = 0.1
    """Rough size of a pixel at the default quality, for the estimate of disk space."""
    limited_range_only: bool = False
    """The codec cannot signal full range."""
    segment_muxer: str = "mp4"
    """FFmpeg's name of the format that segments are written in."""
    codec_tags: Mapping[Container, str] = field(default_factory=dict[Container, str])
    """Four-letter code in a container, where FFmpeg's default is not what players expect."""
    chroma_420_note: str = ""
    """Message shown when 4:2:0 is requested."""
    count_gpu_frames: CountFrames | None = None
    """Frames that the encoder keeps on the GPU, from its options; None: it is not known to share memory with a model."""
    takes_device_frames: bool = False
    """May read frames in the memory of a GPU, which is tried."""
    alpha_formats: PixelFormats = field(default_factory=dict[tuple[Bits, Chroma], str])
    """Formats with alpha; the first one where a depth and chroma is not among them. Empty: the codec holds no alpha."""
    alpha_containers: tuple[Container, ...] = ()
    alpha_segment_muxer: str = ""
    """Format of segments with alpha; empty: ``segment_muxer``."""
    hardware_crf: int | None = None
    """Default quality of hardware encoders; None: no hardware encodes this codec."""


@dataclass(frozen=True)
class HardwareFamily:
    """The encoders of one GPU vendor's API; FFmpeg calls them ``CODEC_FAMILY``."""

    name: HardwareEncoder
    build_options: BuildOptions
    preset: str
    presets: tuple[str, ...]
    requirement: str
    crf_limit: int = 51
    count_gpu_frames: CountFrames | None = None
    takes_device_frames: bool = False


_X26X_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_YUV_FORMATS: PixelFormats = {
    (8, "4:2:0"): "yuv420p",
    (10, "4:2:0"): "yuv420p10le",
    (8, "4:4:4"): "yuv444p",
    (10, "4:4:4"): "yuv444p10le",
}
_YUV420_FORMATS: PixelFormats = {(8, "4:2:0"): "yuv420p", (10, "4:2:0"): "yuv420p10le"}
HARDWARE_FORMATS: PixelFormats = {(8, "4:2:0"): "nv12", (10, "4:2:0"): "p010le"}

_ENCODER_ROWS = (
    Encoder(
        codec="hevc",
        title="HEVC",
        good_for="for 8K that players and televisions support",
        containers=("mp4", "mkv", "mov"),
        name="libx265",
        pixel_formats=_YUV_FORMATS,
        build_options=build_x265_options,
        crf=20,
        crf_large=24,
        preset="superfast",
        preset_large="ultrafast",
        presets=_X26X_PRESETS,
        writes_hdr_metadata=True,
        bits_per_pixel=0.06,
        codec_tags={"mp4": "hvc1", "mov": "hvc1"},
        hardware_crf=22,
    ),
    Encoder(
        codec="av1",
        title="AV1",
        good_for="for smaller files",
        containers=("mp4", "mkv", "webm"),
        name="libsvtav1",
        pixel_formats=_YUV420_FORMATS,
        build_options=build_svt_av1_options,
        crf=28,
        crf_limit=63,
        preset="10",
        presets=tuple(map(str, range(14))),
        writes_hdr_metadata=True,
        bits_per_pixel=0.05,
        hardware_crf=28,
    ),
    Encoder(
        codec="h264",
        title="H.264",
        good_for="for old players, up to 4K",
        containers=("mp4", "mkv", "mov"),
        name="libx264",
        pixel_formats=_YUV_FORMATS,
        build_options=build_x264_options,
        crf=18,
        preset="veryfast",
        presets=_X26X_PRESETS,
        writes_hdr_metadata=True,
        hardware_crf=20,
    ),
    Encoder(
        codec="prores",
        title="ProRes",
        good_for="for editing",
        containers=("mov", "mkv"),
        name="prores_ks",
        pixel_formats={(10, "4:2:0"): "yuv422p10le", (10, "4:4:4"): "yuv444p10le"},
        build_options=build_prores_options,
        preset="auto",
        presets=("auto", "proxy", "lt", "standard", "hq", "4444", "4444xq"),
        bits_per_pixel=3.5,
        limited_range_only=True,
        segment_muxer="mov",
        alpha_formats={(10, "4:4:4"): "yuva444p10le"},
        alpha_containers=("mov", "mkv"),
        chroma_420_note="ProRes has no 4:2:0: the video is written as 4:2:2.",
    ),
    Encoder(
        codec="ffv1",
        title="FFV1",
        good_for="without any loss",
        containers=("mkv",),
        name="ffv1",
        # 4:4:4 is RGB: nothing is lost but the depth.
        pixel_formats={
            (8, "4:2:0"): "yuv420p",
            (10, "4:2:0"): "yuv420p10le",
            (8, "4:4:4"): "bgr0",
            (10, "4:4:4"): "gbrp10le",
            (16, "4:4:4"): "gbrp16le",
        },
        alpha_formats={
            (8, "4:2:0"): "yuva420p",
            (10, "4:2:0"): "yuva420p10le",
            (8, "4:4:4"): "bgra",
            (10, "4:4:4"): "gbrap10le",
            (16, "4:4:4"): "gbrap16le",
        },
        alpha_containers=("mkv",),
        build_options=build_ffv1_options,
        needs_even_size=False,
        bits_per_pixel=14.0,
    ),
    Encoder(
        codec="vp9",
        title="VP9",
        good_for="for WebM",
        containers=("webm", "mp4", "mkv"),
        name="libvpx-vp9",
        pixel_formats=_YUV_FORMATS,
        build_options=build_vp9_options,
        crf=28,
        crf_limit=63,
        preset="5",
        presets=tuple(map(str, range(9))),
        alpha_formats={(8, "4:2:0"): "yuva420p"},
        alpha_containers=("webm", "mkv"),
        alpha_segment_muxer="matroska",  # where alpha is a block beside the packet's
        needs_even_size=False,
        bits_per_pixel=0.06,
    ),
)
AUTO_CODEC = "auto"
"""The codec that suits the container, and its alpha if the video has one."""
_ALPHA_CODECS: Mapping[Container, Codec] = {"mov": "prores", "mkv": "ffv1", "webm": "vp9"}

ENCODERS: Mapping[Codec, Encoder] = {row.codec: row for row in _ENCODER_ROWS}
"""By codec, in the order of the choices of Video Out."""


def choose_codec(codec: Codec, container: Container, *, alpha: bool) -> Codec:
    """Return ``codec``, or what ``auto`` means: the codec of the container that keeps alpha, or the first that it can hold."""
    if codec != AUTO_CODEC:
        return codec
    fitting = (name for name, row in ENCODERS.items() if container in row.containers)
    return (alpha and _ALPHA_CODECS.get(container)) or next(fitting, "hevc")


_HARDWARE_ROWS = (
    HardwareFamily(
        "nvenc",
        build_nvenc_options,
        "p4",
        tuple(f"p{number}" for number in range(1, 8)),
        "an NVIDIA card that has an encoder, and its driver",
        count_gpu_frames=count_nvenc_frames,
        takes_device_frames=True,
    ),
    HardwareFamily("qsv", build_qsv_options, "medium", _X26X_PRESETS[2:], "an Intel graphics chip, and its driver"),
    HardwareFamily(
        "amf", build_amf_options, "balanced", ("speed", "balanced", "quality"), "an AMD graphics card, and its driver"
    ),
    HardwareFamily("videotoolbox", build_videotoolbox_options, "", (), "macOS"),
)
HARDWARE_FAMILIES: Mapping[HardwareEncoder, HardwareFamily] = {row.name: row for row in _HARDWARE_ROWS}
"""By name, in the order in which ``auto`` tries them."""
