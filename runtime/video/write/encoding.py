"""From what a user requests to one encoder with all its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import av

from ...errors import OutputError
from ...media import Size
from .encoder_options import EncoderRequest
from .encoders import ENCODERS, LARGE_FRAME_PIXELS, MUXER_NAMES, Bits, Chroma, Codec, Container, Encoder, HardwareEncoder
from .hardware_encoders import EncoderTrial, fit_options, get_encoder, select_hardware

if TYPE_CHECKING:
    from ...media import MasteringDisplay

AUTO = "auto"
"""The first hardware encoder that works here for this video, or the CPU."""


@dataclass(frozen=True)
class Encoding:
    """An encoder with everything decided."""

    encoder: Encoder
    codec: Codec
    pixel_format: str
    options: dict[str, str]
    bitrate: int | None
    codec_tag: str
    """Four-letter code of the codec in the container; empty for FFmpeg's default."""
    notes: tuple[str, ...]
    gpu_bytes: int = 0
    """Memory that the encoder takes on the GPU."""
    has_alpha: bool = False

    @property
    def segment_muxer(self) -> str:
        """FFmpeg's name of the format that segments are written in."""
        return (self.has_alpha and self.encoder.alpha_segment_muxer) or self.encoder.segment_muxer

    def get_coded_size(self, size: Size) -> Size:
        """Return the size of the coded frame: one column and row more where only even sizes can be coded."""
        return _get_coded_size(self.encoder, self.pixel_format, size)


def _get_coded_size(encoder: Encoder, pixel_format: str, size: Size) -> Size:
    if not encoder.needs_even_size or "444" in pixel_format:
        return size
    height = size.height if "422" in pixel_format else size.height + size.height % 2
    return Size(size.width + size.width % 2, height)


def resolve_encoding(
    codec: Codec,
    container: Container,
    bits: Bits,
    chroma: Chroma,
    *,
    size: Size,
    keyframe_interval: int,
    hardware: HardwareEncoder | None = None,
    crf: int | None = None,
    bitrate: int | None = None,
    preset: str = "",
    mastering_display: MasteringDisplay | None = None,
    content_light: tuple[int, int] | None = None,
    alpha: bool = False,
) -> Encoding:
    """Choose the encoder and its options. ``hardware`` is a family, ``auto``, or None for the CPU.

    With ``alpha`` the encoding has alpha where codec and container can hold it, and a note where they cannot.

    Raises ``OutputError`` for values that cannot be combined, ``HardwareMissing`` for hardware that does not work here.
    """
    _check_arguments(codec, container, crf, bitrate)
    notes: list[str] = []
    is_large = size.pixel_count > LARGE_FRAME_PIXELS

    def make_trial(encoder: Encoder) -> EncoderTrial:
        request = EncoderRequest(
            _resolve_crf(encoder, crf, bitrate, is_large=is_large),
            bitrate,
            preset or (is_large and encoder.preset_large) or encoder.preset,
            keyframe_interval,
            is_large,
            mastering_display,
            content_light,
        )
        pixel_format = _find_pixel_format(encoder, bits, chroma, alpha=alpha and container in encoder.alpha_containers)
        coded_size = _get_coded_size(encoder, pixel_format, size)
        accepted_bitrate = bitrate if encoder.crf is not None else None
        return EncoderTrial(coded_size, pixel_format, tuple(encoder.build_options(request).items()), accepted_bitrate)

    if hardware == AUTO:
        hardware, reason = select_hardware(codec, bits, chroma, crf=crf, preset=preset, make_trial=make_trial)
        notes.append(reason)
    encoder = get_encoder(codec, hardware)
    if preset and preset not in encoder.presets:
        known = f"Presets of {encoder.name}: {', '.join(encoder.presets)}." if encoder.presets else "Leave the preset empty."
        raise OutputError(f"{encoder.name} has no preset {preset}.", known)
    has_alpha = alpha and container in encoder.alpha_containers
    notes += _list_alpha_notes(encoder, container, bits, chroma) if alpha else []
    if encoder.chroma_420_note and chroma == "4:2:0" and not has_alpha:
        notes.append(encoder.chroma_420_note)
    if (mastering_display or content_light) and not encoder.writes_hdr_metadata:
        notes.append(f"{encoder.name} does not write HDR10 brightness metadata. Use HEVC or AV1 to keep it.")
    if encoder.crf is None and (crf is not None or bitrate is not None):
        notes.append(f"{encoder.name} has neither crf nor bitrate: they are ignored.")
    pixel_format = _select_pixel_format(encoder, bits, chroma, alpha=has_alpha)
    trial = make_trial(encoder)
    options = fit_options(encoder.name, trial) if hardware else dict(trial.options)
    if options != dict(trial.options):
        notes.append(f"{encoder.name} has no B-frames on this card, so the file becomes somewhat larger.")
    gpu_frames = encoder.count_gpu_frames(options) if encoder.count_gpu_frames else 0
    frame_bytes = trial.size.pixel_count * 3 // 2 * (1 if bits == 8 else 2)
    return Encoding(
        encoder,
        codec,
        pixel_format,
        options,
        trial.bitrate,
        encoder.codec_tags.get(container, ""),
        tuple(notes),
        gpu_frames * frame_bytes,
        has_alpha,
    )


def list_alpha_codecs() -> str:
    """Return the codecs that hold alpha, and their containers, for a message."""
    rows = [(codec, row.alpha_containers) for codec, row in ENCODERS.items() if row.alpha_formats]
    return ", ".join(f"{codec} ({' or '.join(containers)})" for codec, containers in rows)


def _list_alpha_notes(encoder: Encoder, container: Container, bits: Bits, chroma: Chroma) -> list[str]:
    if container not in encoder.alpha_containers:
        what = f"The video has an alpha channel, which {encoder.title} in {container} cannot hold: it is left out."
        return [f"{what} These codecs keep it: {list_alpha_codecs()}."]
    if (bits, chroma) in encoder.alpha_formats:
        return []
    (depth, name), *_ = encoder.alpha_formats
    return [f"{encoder.title} with alpha is written in {depth} bits {name}."]


def _find_pixel_format(encoder: Encoder, bits: Bits, chroma: Chroma, *, alpha: bool) -> str:
    """Return the format of a depth and chroma, or an empty text; with ``alpha`` at least the first one."""
    if alpha:
        return encoder.alpha_formats.get((bits, chroma)) or next(iter(encoder.alpha_formats.values()))
    return encoder.pixel_formats.get((bits, chroma), "")


def _check_arguments(codec: Codec, container: Container, crf: int | None, bitrate: int | None) -> None:
    if codec not in ENCODERS:
        raise OutputError(f"Unknown codec {codec!r}.", f"Codecs: {', '.join(ENCODERS)}.")
    if container not in MUXER_NAMES:
        raise OutputError(f"Unknown container {container!r}.", f"Containers: {', '.join(MUXER_NAMES)}.")
    row = ENCODERS[codec]
    if container not in row.containers:
        codecs = ", ".join(name for name, other in ENCODERS.items() if container in other.containers)
        raise OutputError(
            f"{container} cannot hold {row.title}.",
            f"Choose {' or '.join(row.containers)}, or for {container} one of these codecs: {codecs}.",
        )
    if crf is not None and bitrate is not None:
        raise OutputError("Quality (crf) and bitrate are both set.", "Set one of them.")
    if bitrate is not None and bitrate < 1000:
        raise OutputError(f"A bitrate of {bitrate} bits per second is too low.", "The number is bits per second, not megabits.")


def _resolve_crf(encoder: Encoder, crf: int | None, bitrate: int | None, *, is_large: bool) -> int | None:
    if encoder.crf is None:
        return None
    if crf is not None and not 0 <= crf <= encoder.crf_limit:
        raise OutputError(f"crf {crf} is out of range for {encoder.name}.", f"Choose 0 (best) to {encoder.crf_limit}.")
    if bitrate or crf is not None:
        return crf
    return encoder.crf_large if is_large and encoder.crf_large is not None else encoder.crf


def _select_pixel_format(encoder: Encoder, bits: Bits, chroma: Chroma, *, alpha: bool) -> str:
    found = _find_pixel_format(encoder, bits, chroma, alpha=alpha)
    supported = {format_.name for format_ in av.Codec(encoder.name, "w").video_formats or ()}
    if found and (not supported or found in supported):
        return found
    possible = [
        f"{depth} bit {name}"
        for (depth, name), pixel_format in encoder.pixel_formats.items()
        if not supported or pixel_format in supported
    ]
    raise OutputError(
        f"{encoder.name} does not write {encoder.title} with {bits} bit {chroma}.", f"It writes {', '.join(possible)}."
    )
