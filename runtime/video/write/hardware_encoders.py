"""Which hardware encoders work on this machine, found out by opening them."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import NamedTuple, cast

import av
from av.error import FFmpegError

from ...errors import HardwareMissing
from ...media import Size
from .encoders import ENCODERS, HARDWARE_FAMILIES, HARDWARE_FORMATS, Bits, Chroma, Codec, Encoder, HardwareEncoder


class EncoderTrial(NamedTuple):
    """What an encoder is opened with: all that it is then used with."""

    size: Size
    pixel_format: str
    options: tuple[tuple[str, str], ...] = ()
    bitrate: int | None = None


_PROBE = EncoderTrial(Size(256, 256), "nv12")
"""Every hardware encoder takes such frames."""


def get_encoder(codec: Codec, hardware: HardwareEncoder | None) -> Encoder:
    """Return the encoder of ``codec``; with ``hardware`` one that opens here. Raises ``HardwareMissing``."""
    row = ENCODERS[codec]
    if hardware is None:
        return row
    name = f"{codec}_{hardware}"
    no_encoder = f"there is no {hardware} encoder for {row.title}"
    reason = no_encoder if row.hardware_crf is None else _find_unusable_reason(name)
    if reason:
        usable = ", ".join(list_hardware_encoders()) or "none"
        raise HardwareMissing(
            f"The hardware encoder {name} does not work here: {reason}.",
            f"Hardware encoders that work here: {usable}. Set hardware to none to encode on the CPU.",
            feature=name,
        )
    family = HARDWARE_FAMILIES[hardware]
    return replace(
        row,
        name=name,
        pixel_formats=HARDWARE_FORMATS,
        alpha_formats={},
        alpha_containers=(),
        build_options=family.build_options,
        crf=row.hardware_crf,
        crf_large=None,
        crf_limit=family.crf_limit,
        preset=family.preset,
        preset_large="",
        presets=family.presets,
        needs_even_size=True,
        writes_hdr_metadata=False,
        bits_per_pixel=0.1,
        count_gpu_frames=family.count_gpu_frames,
        takes_device_frames=family.takes_device_frames,
    )


def fit_options(name: str, trial: EncoderTrial) -> dict[str, str]:
    """Return the options with which ``name`` opens for ``trial``: those requested, or these without B-frames.

    Some NVENC chips have no B-frames for HEVC. Raises ``HardwareMissing`` where neither opens.
    """
    options = dict(trial.options)
    for candidate in (options, {**options, "bf": "0"}) if "bf" in options else (options,):
        if not _find_unusable_reason(name, trial._replace(options=tuple(candidate.items()))):
            return candidate
    bits = 10 if trial.pixel_format == "p010le" else 8
    raise HardwareMissing(
        f"The hardware encoder {name} does not take frames of {trial.size} with {bits} bits.",
        "Choose hevc or av1, 8 bits, or a smaller target; or set hardware to none to encode on the CPU.",
        feature=name,
    )


def list_hardware_encoders() -> list[str]:
    """Return FFmpeg's names of the hardware encoders that open on this machine."""
    return [
        name
        for codec, row in ENCODERS.items()
        for hardware in HARDWARE_FAMILIES
        if row.hardware_crf is not None and not _find_unusable_reason(name := f"{codec}_{hardware}")
    ]


def select_hardware(
    codec: Codec, bits: Bits, chroma: Chroma, *, crf: int | None, preset: str, make_trial: Callable[[Encoder], EncoderTrial]
) -> tuple[HardwareEncoder | None, str]:
    """Resolve ``auto``: the first hardware encoder that can write this video as requested, else None; and a message.

    Encoders that do not know ``preset`` or ``crf``, cannot write ``chroma``, or do not open for their trial, are passed over.
    """
    row = ENCODERS[codec]
    reason = f"No hardware encoder for {row.title} works here"
    for hardware, family in HARDWARE_FAMILIES.items():
        name = f"{codec}_{hardware}"
        if row.hardware_crf is None or _find_unusable_reason(name):
            continue
        if (preset and preset not in family.presets) or (crf is not None and crf > family.crf_limit):
            reason = f"{name} does not have the requested preset or crf"
            continue
        trial = make_trial(get_encoder(codec, hardware))
        reason = f"{name} does not take {trial.size} with {bits} bit {chroma}"
        if (bits, chroma) in HARDWARE_FORMATS:
            with suppress(HardwareMissing):
                fit_options(name, trial)
                return hardware, f"{name} encodes, on the graphics card."
    return None, f"{reason}, so the CPU encodes."


@cache
def _find_unusable_reason(name: str, trial: EncoderTrial = _PROBE) -> str:
    """Open a hardware encoder for ``trial`` and return why it cannot be used; empty when it can."""
    try:
        context = cast("av.VideoCodecContext", av.CodecContext.create(name, "w"))
        context.width, context.height = trial.size.width, trial.size.height
        context.pix_fmt, context.options = trial.pixel_format, dict(trial.options)
        if trial.bitrate:
            context.bit_rate = trial.bitrate
        context.time_base = Fraction(1, 25)
        context.framerate = Fraction(25)
        context.open()
    except ValueError:  # UnknownCodecError is one
        return "this build of FFmpeg has none"
    except FFmpegError as error:
        detail = f" ({error.strerror.lower()})" if error.strerror else ""
        return f"it needs {HARDWARE_FAMILIES[name.partition('_')[2]].requirement}{detail}"
    return ""
