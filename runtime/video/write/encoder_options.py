"""Options of each encoder, as FFmpeg takes them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ...hardware import count_usable_cores, query_cpu

if TYPE_CHECKING:
    from ...media import MasteringDisplay


_X264_THREADS = 8


@dataclass(frozen=True)
class EncoderRequest:
    """Everything that the options of an encoder depend on."""

    crf: int | None
    bitrate: int | None
    preset: str
    keyframe_interval: int
    """Frames from one key frame to the next, at most."""
    is_large: bool
    """Save memory: the encoder must hold back as few frames as it can."""
    mastering_display: MasteringDisplay | None = None
    content_light: tuple[int, int] | None = None


def _build_crf_option(request: EncoderRequest) -> dict[str, str]:
    return {} if request.crf is None else {"crf": str(request.crf)}


def build_x265_options(request: EncoderRequest) -> dict[str, str]:
    parameters: dict[str, int | str] = {
        "rc-lookahead": 0 if request.is_large else 10,
        "bframes": 0 if request.is_large else 3,
        "frame-threads": 1,
        "pools": count_usable_cores(),
        "open-gop": 0,
        "keyint": request.keyframe_interval,
        "min-keyint": 1,
        "info": 0,
        "log-level": "none",
    }
    if request.mastering_display:
        parameters["master-display"] = _format_mastering_display(request.mastering_display, 50_000, 10_000)
    if request.content_light:
        parameters["max-cll"] = f"{request.content_light[0]},{request.content_light[1]}"
    text = ":".join(f"{name}={value}" for name, value in parameters.items())
    return {"preset": request.preset, "x265-params": text, **_build_crf_option(request)}


def _format_mastering_display(display: MasteringDisplay, chromaticity: int, luminance: int) -> str:
    """Format SMPTE ST 2086 as x265 and SVT-AV1 read it; ``chromaticity`` and ``luminance`` are steps per unit."""

    def format_point(name: str, coordinates: tuple[Fraction, Fraction]) -> str:
        return f"{name}({_format_steps(coordinates[0], chromaticity)},{_format_steps(coordinates[1], chromaticity)})"

    primaries = zip("GBR", (display.green, display.blue, display.red), strict=True)
    limits = f"L({_format_steps(display.max_luminance, luminance)},{_format_steps(display.min_luminance, luminance)})"
    return (
        "".join(format_point(name, coordinates) for name, coordinates in primaries) + format_point("WP", display.white) + limits
    )


def _format_steps(value: Fraction, unit: int) -> str:
    return str(round(value * unit)) if unit > 1 else f"{float(value):.6f}"


def build_x264_options(request: EncoderRequest) -> dict[str, str]:
    # Threads share one frame in slices, so none holds a frame of its own. Without any look-ahead x264 needs five times the
    # bits for the same crf. Their number changes x264's bytes, so it is that of no machine: a video that was interrupted on one
    # goes on with the same bytes on another.
    buffering = "sliced-threads=1:rc-lookahead=4:bframes=2" if request.is_large else "rc-lookahead=10:bframes=3"
    if request.mastering_display:
        buffering += f":mastering-display={_format_mastering_display(request.mastering_display, 50_000, 10_000)}"
    if request.content_light:
        buffering += f":cll={request.content_light[0]},{request.content_light[1]}"
    # Its AVX-512 code makes other bytes of the same frames in every run, in 8 bits at widths such as 176, 400 and 658: twelve
    # of fourteen runs differed. AVX2 gives those of a machine without AVX-512.
    if "AVX-512" in query_cpu().sets:
        buffering += ":asm=avx2"
    return {
        "preset": request.preset,
        "g": str(request.keyframe_interval),
        "x264-params": f"open-gop=0:threads={_X264_THREADS}:sync-lookahead=0:{buffering}",
        **_build_crf_option(request),
    }


def build_svt_av1_options(request: EncoderRequest) -> dict[str, str]:
    os.environ.setdefault("SVT_LOG", "1")  # errors only; it would print its settings for every segment
    # Key frames instead of forward key frames close the group. A level of parallelism changes no byte; it holds more frames,
    # but none where a frame refers to earlier ones only: five of 8K took 2.00 GB at levels 2, 4 and 6.
    text = f"lp={min(count_usable_cores(), 6)}:pred-struct=1" if request.is_large else f"lp={min(count_usable_cores(), 3)}"
    if request.mastering_display:
        text += f":mastering-display={_format_mastering_display(request.mastering_display, 1, 1)}"
    if request.content_light:
        text += f":content-light={request.content_light[0]},{request.content_light[1]}"
    return {
        "preset": request.preset,
        "g": str(request.keyframe_interval),
        "svtav1-params": f"irefresh-type=2:lookahead=0:{text}",
        **_build_crf_option(request),
    }


def build_vp9_options(request: EncoderRequest) -> dict[str, str]:
    return {
        "deadline": "good",
        "cpu-used": request.preset,
        "row-mt": "1",
        "tile-columns": "4",
        "threads": str(min(count_usable_cores(), 16)),
        "lag-in-frames": "0" if request.is_large else "10",
        "g": str(request.keyframe_interval),
        **_build_crf_option(request),
    }


def build_prores_options(request: EncoderRequest) -> dict[str, str]:
    return {"profile": request.preset, "vendor": "apl0"}


def build_ffv1_options(request: EncoderRequest) -> dict[str, str]:
    return {"level": "3", "g": "1", "slicecrc": "1", "threads": str(min(count_usable_cores(), 8))}


def build_nvenc_options(request: EncoderRequest) -> dict[str, str]:
    quality = {} if request.crf is None else {"rc": "vbr", "cq": str(request.crf)}
    return {
        "preset": request.preset,
        "g": str(request.keyframe_interval),
        "bf": "3",
        "rc-lookahead": "10",
        "strict_gop": "1",
        **quality,
    }


_REFERENCE_FRAMES = 6


def count_nvenc_frames(options: Mapping[str, str]) -> int:
    """Return how many frames NVENC keeps on the GPU: FFmpeg's input surfaces (``nvenc_recalc_surfaces``), and references."""
    group = int(options["bf"]) + 1
    return max(4 * group, int(options["rc-lookahead"]) + group + 5) + _REFERENCE_FRAMES


def build_qsv_options(request: EncoderRequest) -> dict[str, str]:
    quality = {} if request.crf is None else {"global_quality": str(request.crf)}
    return {"preset": request.preset, "g": str(request.keyframe_interval), "idr_interval": "0", **quality}


def build_amf_options(request: EncoderRequest) -> dict[str, str]:
    quality = {} if request.crf is None else {"rc": "cqp", "qp_i": str(request.crf), "qp_p": str(request.crf)}
    return {"quality": request.preset, "g": str(request.keyframe_interval), **quality}


def build_videotoolbox_options(request: EncoderRequest) -> dict[str, str]:
    # Its quality runs from 1 to 100, better upwards.
    quality = {} if request.crf is None else {"q": str(max(1, 100 - 2 * request.crf))}
    return {"g": str(request.keyframe_interval), "allow_sw": "0", **quality}
