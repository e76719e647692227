"""Which encoder writes what: codec, container, depth and chroma as data, and what each encoder is told.

At 8K the model is the slow part and the encoder's memory the large one. Presets are fast for the first reason; for the second,
pictures above ``LARGE`` are encoded with little or nothing held back (no B-frames and no look-ahead for x265, low delay for
SVT-AV1). What that costs and saves: 48 frames of 3840x2160, 4:2:0 in 10 bits (a photo that moves, with noise), two segments,
through ``write_video`` with PyAV 18.1 on two cores of a virtual machine; memory is the growth of the process's peak resident
size, queue and all, and follows the number of pixels (8K: four times). Making the test frames is not counted, and the machine
was shared: read the times as ratios. PSNR is against the photo without its noise.

=====================  =====================================  =====================================
                       as up to 4K                            as above ``LARGE``, here at 4K
encoder, preset, crf   s/frame   memory   bit/pixel  PSNR     s/frame   memory   bit/pixel  PSNR
=====================  =====================================  =====================================
x265 ultrafast 20      0.47      1.96 GB  0.010      40.7     0.61      0.96 GB  0.027      40.9
x265 superfast 20      0.65      1.94 GB  0.010      40.7     0.72      0.96 GB  0.028      40.9
x265 veryfast 20       0.99      1.96 GB  0.016      41.0     1.59      0.96 GB  0.060      41.2
x265 medium 20         1.07      1.94 GB  0.016      41.0     3.10      1.11 GB  0.061      41.2
SVT-AV1 12 28          0.19      2.00 GB  0.014      41.6     0.15      0.57 GB  0.018      41.1
SVT-AV1 10 28          0.19      1.94 GB  0.014      41.6     0.22      0.59 GB  0.018      41.3
SVT-AV1 8 28           0.21      1.99 GB  0.014      41.6     0.18      0.84 GB  0.017      41.5
x264 veryfast 18       0.11      1.33 GB  0.038      41.0     (2 B-frames and 4 of look-ahead are kept: half the memory)
ProRes 422 HQ          1.63      0.50 GB  3.728      41.1     the same
=====================  =====================================  =====================================

Without look-ahead x265 spends more bits at the same crf, not more for the same quality: measured at 1920x1080 superfast,
crf 20 with look-ahead gives 0.0171 bit/pixel at 40.98 dB, crf 24 without it 0.0155 at 40.77. So large pictures get crf 24.

At 7680x4320 in 10 bits, four frames that animevideov3 made, with noise of one 8-bit code added; processor seconds, and memory
above that of the process, one picture on its way included:

=========================  =======  ========  ==========  ==========
encoder, preset, crf       s/frame  memory    Mbit/frame  PSNR, luma
=========================  =======  ========  ==========  ==========
x265 ultrafast 24          1.4      2.30 GB   0.92        47.7
x265 superfast 24          3.2      2.30 GB   0.90        47.7
x265 ultrafast 28          1.3      2.29 GB   0.63        46.8
x265 superfast 28          3.0      2.29 GB   0.63        46.9
x265 veryfast 28           3.5      2.28 GB   0.80        47.3
SVT-AV1 10 36              0.7      1.21 GB   0.84        47.1
SVT-AV1 8 36               1.0      1.22 GB   0.84        47.2
=========================  =======  ========  ==========  ==========

So large pictures get ultrafast: the same quality takes about 4 % more bits than superfast, and half the time. Whatever the
preset, x265 holds four pictures of 536 MB each (390 MB in 8 bits): the source, its half-size copies, the reconstruction,
coefficients and motion of the one in work, of two before it and of one to be used again. No setting that was tried lowers that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Literal, cast

import av
from av.error import FFmpegError

from ...errors import HardwareMissing, OutputError
from ...media.geometry import Size
from ...media.video_stream import MasteringDisplay

Codec = Literal["hevc", "h264", "av1", "prores", "ffv1", "vp9"]
Container = Literal["mp4", "mkv", "mov", "webm"]
Bits = Literal[8, 10, 16]
Chroma = Literal["4:2:0", "4:4:4"]
HardwareEncoder = Literal["nvenc", "qsv", "amf", "videotoolbox"]
AUTO = "auto"
"""Whichever of these works here for this film, or the processor."""

LARGE_FRAME_PIXELS = 12_000_000
"""Pixels above which memory comes before the size of the file: 4K lies below, 5K and 8K above."""

MUXER_NAMES: Mapping[Container, str] = {"mp4": "mp4", "mkv": "matroska", "mov": "mov", "webm": "webm"}
"""FFmpeg's names of the containers."""
CODEC_NAMES: Mapping[Codec, str] = {
    "hevc": "HEVC",
    "h264": "H.264",
    "av1": "AV1",
    "prores": "ProRes",
    "ffv1": "FFV1",
    "vp9": "VP9",
}
CODEC_CONTAINERS: Mapping[Codec, tuple[Container, ...]] = {
    "hevc": ("mp4", "mkv", "mov"),
    "h264": ("mp4", "mkv", "mov"),
    "av1": ("mp4", "mkv", "webm"),
    "prores": ("mov", "mkv"),
    "ffv1": ("mkv",),
    "vp9": ("webm", "mp4", "mkv"),
}


@dataclass(frozen=True)
class EncoderRequest:
    """What an encoder is asked for, beside the picture itself."""

    crf: int | None
    bitrate: int | None
    preset: str
    keyframe_interval: int
    """At least every so many frames one that needs no other."""
    is_large: bool
    """No picture may be held back."""
    mastering_display: MasteringDisplay | None = None
    content_light: tuple[int, int] | None = None


@dataclass(frozen=True)
class Encoder:
    """One encoder of FFmpeg's."""

    name: str
    pixel_formats: Mapping[tuple[Bits, Chroma], str]
    options: Callable[[EncoderRequest], dict[str, str]]
    crf: int | None
    """The quality where none is asked for; None: it has no such scale."""
    crf_large: int | None = None
    """The same for pictures above ``LARGE``; None: the same number."""
    crf_limit: int = 51
    preset: str = ""
    preset_large: str = ""
    """The same for pictures above ``LARGE``; empty: the same word."""
    presets: tuple[str, ...] = ()
    needs_even_size: bool = True
    """Subsampled chroma is for even widths and heights only."""
    writes_hdr_metadata: bool = False
    """It can write what HDR10 says of the screen and the brightest pixel."""
    bits_per_pixel: float = 0.1
    """What a pixel takes at the default quality, roughly, for the estimate of disk space."""


@dataclass(frozen=True)
class Encoding:
    """An encoder with everything decided."""

    encoder: Encoder
    codec: Codec
    pixel_format: str
    options: dict[str, str]
    bitrate: int | None
    codec_tag: str
    """The four letters the codec goes by in the container; empty for its usual ones."""
    notes: tuple[str, ...]

    def get_coded_size(self, size: Size) -> Size:
        """The size of the coded picture: one column and one row more where only even sizes can be coded."""
        if not self.encoder.needs_even_size or "444" in self.pixel_format:
            return size
        height = size.height if "422" in self.pixel_format else size.height + size.height % 2
        return Size(size.width + size.width % 2, height)


def count_cores() -> int:
    """The processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _build_crf_option(request: EncoderRequest) -> dict[str, str]:
    return {} if request.crf is None else {"crf": str(request.crf)}


def _build_x265_options(request: EncoderRequest) -> dict[str, str]:
    parameters: dict[str, int | str] = {
        "rc-lookahead": 0 if request.is_large else 10,
        "bframes": 0 if request.is_large else 3,
        "frame-threads": 1,
        "pools": count_cores(),
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
    """x265's and SVT-AV1's way to write SMPTE ST 2086, in so many steps per unit."""

    def format_point(name: str, coordinates: tuple[Fraction, Fraction]) -> str:
        return f"{name}({_format_steps(coordinates[0], chromaticity)},{_format_steps(coordinates[1], chromaticity)})"

    primaries = zip("GBR", (display.green, display.blue, display.red), strict=True)
    limits = f"L({_format_steps(display.max_luminance, luminance)},{_format_steps(display.min_luminance, luminance)})"
    return (
        "".join(format_point(name, coordinates) for name, coordinates in primaries) + format_point("WP", display.white) + limits
    )


def _format_steps(value: Fraction, unit: int) -> str:
    return str(round(value * unit)) if unit > 1 else f"{float(value):.6f}"


def _build_x264_options(request: EncoderRequest) -> dict[str, str]:
    # Slices instead of pictures side by side: a thread then holds no picture of its own. Without any look-ahead x264 needs
    # five times the bits for the same crf.
    buffering = "sliced-threads=1:rc-lookahead=4:bframes=2" if request.is_large else "rc-lookahead=10:bframes=3"
    if request.mastering_display:
        buffering += f":mastering-display={_format_mastering_display(request.mastering_display, 50_000, 10_000)}"
    if request.content_light:
        buffering += f":cll={request.content_light[0]},{request.content_light[1]}"
    return {
        "preset": request.preset,
        "g": str(request.keyframe_interval),
        "x264-params": f"open-gop=0:threads={min(count_cores(), 8)}:sync-lookahead=0:{buffering}",
        **_build_crf_option(request),
    }


def _build_svt_av1_options(request: EncoderRequest) -> dict[str, str]:
    os.environ.setdefault("SVT_LOG", "1")  # errors only; it would print its settings for every segment
    # Key frames instead of forward ones close the group; each level of parallelism holds more pictures.
    text = f"lp={min(count_cores(), 2)}:pred-struct=1" if request.is_large else f"lp={min(count_cores(), 3)}"
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


def _build_vp9_options(request: EncoderRequest) -> dict[str, str]:
    return {
        "deadline": "good",
        "cpu-used": request.preset,
        "row-mt": "1",
        "tile-columns": "4",
        "threads": str(min(count_cores(), 16)),
        "lag-in-frames": "0" if request.is_large else "10",
        "g": str(request.keyframe_interval),
        **_build_crf_option(request),
    }


def _build_prores_options(request: EncoderRequest) -> dict[str, str]:
    return {"profile": request.preset, "vendor": "apl0"}


def _build_ffv1_options(request: EncoderRequest) -> dict[str, str]:
    return {"level": "3", "g": "1", "slicecrc": "1", "threads": str(min(count_cores(), 8))}


def _build_nvenc_options(request: EncoderRequest) -> dict[str, str]:
    quality = {} if request.crf is None else {"rc": "vbr", "cq": str(request.crf)}
    return {
        "preset": request.preset,
        "g": str(request.keyframe_interval),
        "bf": "3",
        "rc-lookahead": "10",
        "strict_gop": "1",
        **quality,
    }


def _build_qsv_options(request: EncoderRequest) -> dict[str, str]:
    quality = {} if request.crf is None else {"global_quality": str(request.crf)}
    return {"preset": request.preset, "g": str(request.keyframe_interval), "idr_interval": "0", **quality}


def _build_amf_options(request: EncoderRequest) -> dict[str, str]:
    quality = {} if request.crf is None else {"rc": "cqp", "qp_i": str(request.crf), "qp_p": str(request.crf)}
    return {"quality": request.preset, "g": str(request.keyframe_interval), **quality}


def _build_videotoolbox_options(request: EncoderRequest) -> dict[str, str]:
    # Its quality runs from 1 to 100, better upwards.
    quality = {} if request.crf is None else {"q": str(max(1, 100 - 2 * request.crf))}
    return {"g": str(request.keyframe_interval), "allow_sw": "0", **quality}


_X26X_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_YUV_FORMATS: dict[tuple[Bits, Chroma], str] = {
    (8, "4:2:0"): "yuv420p",
    (10, "4:2:0"): "yuv420p10le",
    (8, "4:4:4"): "yuv444p",
    (10, "4:4:4"): "yuv444p10le",
}
_YUV420_FORMATS: dict[tuple[Bits, Chroma], str] = {(8, "4:2:0"): "yuv420p", (10, "4:2:0"): "yuv420p10le"}
_HARDWARE_FORMATS: dict[tuple[Bits, Chroma], str] = {(8, "4:2:0"): "nv12", (10, "4:2:0"): "p010le"}

SOFTWARE_ENCODERS: Mapping[Codec, Encoder] = {
    "hevc": Encoder(
        "libx265",
        _YUV_FORMATS,
        _build_x265_options,
        20,
        24,
        51,
        "superfast",
        "ultrafast",
        _X26X_PRESETS,
        writes_hdr_metadata=True,
        bits_per_pixel=0.06,
    ),
    "h264": Encoder(
        "libx264",
        _YUV_FORMATS,
        _build_x264_options,
        18,
        None,
        51,
        "veryfast",
        "",
        _X26X_PRESETS,
        writes_hdr_metadata=True,
        bits_per_pixel=0.1,
    ),
    "av1": Encoder(
        "libsvtav1",
        _YUV420_FORMATS,
        _build_svt_av1_options,
        28,
        None,
        63,
        "10",
        "",
        tuple(map(str, range(14))),
        writes_hdr_metadata=True,
        bits_per_pixel=0.05,
    ),
    "vp9": Encoder(
        "libvpx-vp9",
        _YUV_FORMATS,
        _build_vp9_options,
        28,
        None,
        63,
        "5",
        "",
        tuple(map(str, range(9))),
        needs_even_size=False,
        bits_per_pixel=0.06,
    ),
    # ProRes has no 4:2:0: what is asked for as 4:2:0 keeps more.
    "prores": Encoder(
        "prores_ks",
        {(10, "4:2:0"): "yuv422p10le", (10, "4:4:4"): "yuv444p10le"},
        _build_prores_options,
        None,
        preset="auto",
        presets=("auto", "proxy", "lt", "standard", "hq", "4444", "4444xq"),
        bits_per_pixel=3.5,
    ),
    # 4:4:4 is RGB as it stands: nothing is lost but the depth.
    "ffv1": Encoder(
        "ffv1",
        {
            (8, "4:2:0"): "yuv420p",
            (10, "4:2:0"): "yuv420p10le",
            (8, "4:4:4"): "bgr0",
            (10, "4:4:4"): "gbrp10le",
            (16, "4:4:4"): "gbrp16le",
        },
        _build_ffv1_options,
        None,
        needs_even_size=False,
        bits_per_pixel=14.0,
    ),
}
_HARDWARE_ENCODERS: Mapping[HardwareEncoder, tuple[Callable[[EncoderRequest], dict[str, str]], str, tuple[str, ...]]] = {
    "nvenc": (_build_nvenc_options, "p4", tuple(f"p{number}" for number in range(1, 8))),
    "qsv": (_build_qsv_options, "medium", _X26X_PRESETS[2:]),
    "amf": (_build_amf_options, "balanced", ("speed", "balanced", "quality")),
    "videotoolbox": (_build_videotoolbox_options, "", ()),
}
_HARDWARE_REQUIREMENTS = {
    "nvenc": "an NVIDIA card that has an encoder, and its driver",
    "qsv": "an Intel graphics chip, and its driver",
    "amf": "an AMD graphics card, and its driver",
    "videotoolbox": "macOS",
}
_HARDWARE_CRF: Mapping[Codec, int] = {"hevc": 22, "h264": 20, "av1": 28}
_HARDWARE_CRF_LIMIT = 51
_PROBE_SIZE = Size(256, 256)
"""A picture that every hardware encoder takes."""


def get_encoder(
    codec: Codec, hardware: HardwareEncoder | None, size: Size = _PROBE_SIZE, pixel_format: str = "nv12"
) -> Encoder:
    """The encoder; for ``hardware`` only one that opens here, for pictures of this size and format.

    Raises ``HardwareMissing``.
    """
    if hardware is None:
        return SOFTWARE_ENCODERS[codec]
    name = f"{codec}_{hardware}"
    reason = (
        _find_unusable_reason(name) if codec in _HARDWARE_CRF else f"there is no {hardware} encoder for {CODEC_NAMES[codec]}"
    )
    if not reason and _find_unusable_reason(name, size, pixel_format):
        bits = 10 if pixel_format == "p010le" else 8
        raise HardwareMissing(
            f"The hardware encoder {name} does not take pictures of {size} with {bits} bits.",
            "Choose hevc or av1, 8 bits, or a smaller target; or set hardware to none to encode on the processor.",
            feature=name,
        )
    if reason:
        usable = ", ".join(list_hardware_encoders()) or "none"
        raise HardwareMissing(
            f"The hardware encoder {name} does not work here: {reason}.",
            f"Hardware encoders that work here: {usable}. Set hardware to none to encode on the processor.",
            feature=name,
        )
    options, preset, presets = _HARDWARE_ENCODERS[hardware]
    return Encoder(
        name,
        _HARDWARE_FORMATS,
        options,
        _HARDWARE_CRF[codec],
        None,
        _HARDWARE_CRF_LIMIT,
        preset,
        "",
        presets,
        bits_per_pixel=0.1,
    )


def list_hardware_encoders() -> list[str]:
    """FFmpeg's names of those that this machine has, as far as opening each of them tells."""
    return [
        name
        for codec in _HARDWARE_CRF
        for hardware in _HARDWARE_ENCODERS
        if not _find_unusable_reason(name := f"{codec}_{hardware}")
    ]


def select_hardware(
    codec: Codec, bits: Bits, chroma: Chroma, size: Size, *, crf: int | None, preset: str
) -> tuple[HardwareEncoder | None, str]:
    """What ``AUTO`` stands for: the first hardware encoder that takes this film as it is asked for; and why not, or which.

    None is taken that would have to be told other words (``preset``) or that gives less (``chroma``) than was asked for.
    """
    pixel_format, reason = _HARDWARE_FORMATS.get((bits, chroma)), f"No hardware encoder for {CODEC_NAMES[codec]} works here"
    for hardware, (_, _, presets) in _HARDWARE_ENCODERS.items():
        name = f"{codec}_{hardware}"
        if codec not in _HARDWARE_CRF or _find_unusable_reason(name):
            continue
        if pixel_format is None or _find_unusable_reason(name, size, pixel_format):
            reason = f"{name} does not take {size} with {bits} bit {chroma}"
        elif (preset and preset not in presets) or (crf is not None and crf > _HARDWARE_CRF_LIMIT):
            reason = f"{name} does not know what is asked for"
        else:
            return hardware, f"{name} encodes, on the graphics card."
    return None, f"{reason}, so the processor encodes."


@cache
def _find_unusable_reason(name: str, size: Size = _PROBE_SIZE, pixel_format: str = "nv12") -> str:
    """Why a hardware encoder cannot be used, found out by opening one for small pictures or these; empty when it can."""
    try:
        context = cast("av.VideoCodecContext", av.CodecContext.create(name, "w"))
        context.width, context.height = size.width, size.height
        context.pix_fmt = pixel_format
        context.time_base = Fraction(1, 25)
        context.framerate = Fraction(25)
        context.open()
    except ValueError:  # UnknownCodecError is one
        return "this build of FFmpeg has none"
    except FFmpegError as error:
        detail = f" ({error.strerror.lower()})" if error.strerror else ""
        return f"it needs {_HARDWARE_REQUIREMENTS[name.partition('_')[2]]}{detail}"
    return ""


def resolve_encoding(
    codec: Codec,
    container: Container,
    bits: Bits,
    chroma: Chroma,
    *,
    size: Size,
    keyframe_interval: int,
    hardware: HardwareEncoder | Literal["auto"] | None = None,
    crf: int | None = None,
    bitrate: int | None = None,
    preset: str = "",
    mastering_display: MasteringDisplay | None = None,
    content_light: tuple[int, int] | None = None,
) -> Encoding:
    """Decide on the encoder and what it is told.

    Raises ``OutputError`` for what does not go together, ``HardwareMissing`` for hardware that is not here.
    """
    _check_arguments(codec, container, crf, bitrate)
    notes: list[str] = []
    if hardware == AUTO:
        hardware, reason = select_hardware(codec, bits, chroma, size, crf=crf, preset=preset)
        notes.append(reason)
    encoder = get_encoder(codec, hardware, size, _HARDWARE_FORMATS.get((bits, chroma), "nv12"))
    if preset and preset not in encoder.presets:
        known = f"Presets of {encoder.name}: {', '.join(encoder.presets)}." if encoder.presets else "Leave the preset empty."
        raise OutputError(f"{encoder.name} has no preset {preset}.", known)
    if codec == "prores" and chroma == "4:2:0":
        notes.append("ProRes has no 4:2:0: the film is written as 4:2:2.")
    if (mastering_display or content_light) and not encoder.writes_hdr_metadata:
        notes.append(f"{encoder.name} does not write what HDR10 says of brightness: use HEVC or AV1 to keep it.")
    is_large = size.pixel_count > LARGE_FRAME_PIXELS
    request = EncoderRequest(
        _resolve_crf(encoder, crf, bitrate, notes, is_large=is_large),
        bitrate,
        preset or (is_large and encoder.preset_large) or encoder.preset,
        keyframe_interval,
        is_large,
        mastering_display,
        content_light,
    )
    return Encoding(
        encoder,
        codec,
        _select_pixel_format(encoder, codec, bits, chroma),
        encoder.options(request),
        bitrate if encoder.crf is not None else None,
        "hvc1" if codec == "hevc" and container in ("mp4", "mov") else "",
        tuple(notes),
    )


def _check_arguments(codec: Codec, container: Container, crf: int | None, bitrate: int | None) -> None:
    if codec not in SOFTWARE_ENCODERS:
        raise OutputError(f"There is no codec {codec!r}.", f"Codecs: {', '.join(SOFTWARE_ENCODERS)}.")
    if container not in MUXER_NAMES:
        raise OutputError(f"There is no container {container!r}.", f"Containers: {', '.join(MUXER_NAMES)}.")
    if container not in CODEC_CONTAINERS[codec]:
        allowed = " or ".join(CODEC_CONTAINERS[codec])
        codecs = ", ".join(name for name, containers in CODEC_CONTAINERS.items() if container in containers)
        raise OutputError(
            f"{CODEC_NAMES[codec]} does not go into {container}.",
            f"Choose {allowed}, or for {container} one of these codecs: {codecs}.",
        )
    if crf is not None and bitrate is not None:
        raise OutputError("Quality (crf) and bitrate are both set.", "Set one of them.")
    if bitrate is not None and bitrate < 1000:
        raise OutputError(f"A bitrate of {bitrate} bits per second is too low.", "The number is bits per second, not megabits.")


def _resolve_crf(encoder: Encoder, crf: int | None, bitrate: int | None, notes: list[str], *, is_large: bool) -> int | None:
    if encoder.crf is None:
        if crf is not None or bitrate is not None:
            notes.append(f"{encoder.name} has neither crf nor bitrate: they are left out.")
        return None
    if crf is not None and not 0 <= crf <= encoder.crf_limit:
        raise OutputError(f"crf {crf} is outside of what {encoder.name} knows.", f"Choose 0 (best) to {encoder.crf_limit}.")
    if bitrate or crf is not None:
        return crf
    return encoder.crf_large if is_large and encoder.crf_large is not None else encoder.crf


def _select_pixel_format(encoder: Encoder, codec: Codec, bits: Bits, chroma: Chroma) -> str:
    found = encoder.pixel_formats.get((bits, chroma))
    supported = {format_.name for format_ in av.Codec(encoder.name, "w").video_formats or ()}
    if found and (not supported or found in supported):
        return found
    possible = [
        f"{depth} bit {name}"
        for (depth, name), pixel_format in encoder.pixel_formats.items()
        if not supported or pixel_format in supported
    ]
    raise OutputError(
        f"{encoder.name} does not write {CODEC_NAMES[codec]} with {bits} bit {chroma}.", f"It writes {', '.join(possible)}."
    )
