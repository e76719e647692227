"""Which hardware encoders work on this machine, found out by opening them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import cast

import av
from av.error import FFmpegError

from ...errors import HardwareMissing
from ...media import Size
from .encoders import ENCODERS, HARDWARE_FAMILIES, HARDWARE_FORMATS, Bits, Chroma, Codec, Encoder, HardwareEncoder

_PROBE_SIZE = Size(256, 256)
"""A frame size that every hardware encoder takes."""


def get_encoder(
    codec: Codec, hardware: HardwareEncoder | None, size: Size = _PROBE_SIZE, pixel_format: str = "nv12"
) -> Encoder:
    """Return the encoder of ``codec``; with ``hardware`` one that opens here for frames of this size and format.

    Raises ``HardwareMissing``.
    """
    row = ENCODERS[codec]
    if hardware is None:
        return row
    name = f"{codec}_{hardware}"
    no_encoder = f"there is no {hardware} encoder for {row.title}"
    reason = no_encoder if row.hardware_crf is None else _find_unusable_reason(name)
    if not reason and _find_unusable_reason(name, size, pixel_format):
        bits = 10 if pixel_format == "p010le" else 8
        raise HardwareMissing(
            f"The hardware encoder {name} does not take frames of {size} with {bits} bits.",
            "Choose hevc or av1, 8 bits, or a smaller target; or set hardware to none to encode on the CPU.",
            feature=name,
        )
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
    codec: Codec, bits: Bits, chroma: Chroma, size: Size, *, crf: int | None, preset: str
) -> tuple[HardwareEncoder | None, str]:
    """Resolve ``auto``: the first hardware encoder that can write this video as requested, else None; and a message.

    An encoder that does not know ``preset`` or ``crf``, or cannot write ``chroma``, is passed over.
    """
    row = ENCODERS[codec]
    pixel_format, reason = HARDWARE_FORMATS.get((bits, chroma)), f"No hardware encoder for {row.title} works here"
    for hardware, family in HARDWARE_FAMILIES.items():
        name = f"{codec}_{hardware}"
        if row.hardware_crf is None or _find_unusable_reason(name):
            continue
        if pixel_format is None or _find_unusable_reason(name, size, pixel_format):
            reason = f"{name} does not take {size} with {bits} bit {chroma}"
        elif (preset and preset not in family.presets) or (crf is not None and crf > family.crf_limit):
            reason = f"{name} does not have the requested preset or crf"
        else:
            return hardware, f"{name} encodes, on the graphics card."
    return None, f"{reason}, so the CPU encodes."


@cache
def _find_unusable_reason(name: str, size: Size = _PROBE_SIZE, pixel_format: str = "nv12") -> str:
    """Open a hardware encoder for frames of this size and return why it cannot be used; empty when it can."""
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
        return f"it needs {HARDWARE_FAMILIES[name.partition('_')[2]].requirement}{detail}"
    return ""
