"""Read image files as ComfyUI's IMAGE, and write IMAGE to files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from ...images import (
    OUTPUT_FORMATS,
    BitDepth,
    OutputFormat,
    is_profile_for,
    linear_image_to_srgb,
    read_image_file,
    srgb_image_to_linear,
    write_image_file,
)
from ...media import Floats, Size
from ...progress import OpenProgress, open_silent_progress
from ..builtin.load_save_image import load_image, save_png


@dataclass(frozen=True)
class ImageSource:
    """The properties of a file that its IMAGE does not hold. Undocumented fields are those of ``ImageFile``."""

    name: str
    """File name without its suffix"""
    suffix: str
    """In lower case"""
    grey: bool
    peak: float
    """The brightest value of a linear image whose highlights exceed 1; 1.0 for all others"""
    bits: BitDepth
    icc: bytes | None
    exif: bytes | None
    resolution: tuple[float, float] | None
    chromaticities: tuple[float, ...] | None
    color_chunks: Mapping[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    xmp: bytes | None = None
    iptc: bytes | None = None


@dataclass(frozen=True)
class ImageSaveOptions:
    """How to write results; None means like the source."""

    filename: str
    suffix: str | None
    bits: BitDepth | None
    quality: int
    text: Mapping[str, Any]
    overwrite: bool = True
    """False: the paths have numbers that we chose, and an existing file is kept."""
    exclusive: bool = False
    """The paths are exact, and an existing file is an error."""


class FindOutputPath(Protocol):
    """``Host.output_path`` without its counter: the path of a result."""

    def __call__(self, stem: str, suffix: str, index: int, *, width: int, height: int) -> Path: ...


def read_image(
    path: Path, *, max_pixels: int, open_progress: OpenProgress = open_silent_progress
) -> tuple[torch.Tensor, ImageSource]:
    """Read an image file as IMAGE (1, H, W, 3), or (1, H, W, 4) with alpha, float32 in 0..1, and its other properties.

    Linear images are encoded as sRGB, which models are trained on; highlights above 1 are scaled down with the rest, and
    ``write_images`` scales them up again. Values below 0, and above 1 in a float file that is not linear, are clipped;
    this and everything else that is lost is a message.
    Raises ``MediaError`` as ``read_image_file`` does.
    """
    image = read_image_file(path, max_pixels=max_pixels)
    pixels, peak, losses = image.pixels, 1.0, list(image.losses)
    if image.transfer == "linear":
        peak = max(1.0, float(pixels[:, :, : _count_color_channels(pixels)].max()))
        pixels = linear_image_to_srgb(pixels, peak=peak)
    if image.bits == 32:
        lowest, highest = float(pixels.min()), float(pixels.max())
        losses += ["has values below 0; they become 0"] if lowest < 0 else []
        losses += [f"has values up to {highest:g}; those above 1 become 1"] if highest > 1.0001 else []
        pixels = pixels.clip(0.0, 1.0)
    grey = _count_color_channels(pixels) == 1
    if grey:
        pixels = np.concatenate([pixels[:, :, :1]] * 3 + [pixels[:, :, 1:]], axis=2)
    source = ImageSource(
        name=path.stem,
        suffix=path.suffix.lower(),
        grey=grey,
        peak=peak,
        bits=image.bits,
        icc=image.icc,
        exif=image.exif,
        resolution=image.resolution,
        chromaticities=image.chromaticities,
        color_chunks=image.color_chunks,
        xmp=image.xmp,
        iptc=image.iptc,
    )
    _report(open_progress, [f"{path.name} {loss}." for loss in losses])
    return torch.as_tensor(np.ascontiguousarray(pixels))[None], source


def _report(open_progress: OpenProgress, messages: list[str]) -> None:
    if messages:
        with open_progress(1, "image") as progress:
            for message in messages:
                progress.message(message)
            progress.advance()


def write_images(
    images: torch.Tensor,
    source: ImageSource | None,
    options: ImageSaveOptions,
    find_output_path: FindOutputPath,
    open_progress: OpenProgress = open_silent_progress,
) -> list[Path]:
    """Write each image of ``images`` (B, H, W, C) to its own file; return the paths.

    ``options`` take precedence; bit depth, gray, profile and metadata otherwise follow ``source`` as far as the format holds
    them; depth and highlights above 1 that it cannot hold are a message. So is another format, where that of ``source``,
    which no user named, does not hold the images. Raises ``OutputError`` for options that a requested format cannot hold.
    """
    stem, suffix = _resolve_stem_and_suffix(options)
    stem = stem.replace("%name%", source.name if source else "Upscale8K")
    messages: list[str] = []
    if not suffix:
        suffix, misfit = _choose_suffix(images, source, options.bits)
        messages += [f"{stem}: {misfit}. It is written as {OUTPUT_FORMATS[suffix].name}."] if misfit else []
    output_format = OUTPUT_FORMATS[suffix.lower()]
    written: list[Path] = []
    if source:
        messages += _find_depth_losses(stem + suffix, source, options, output_format)
    _report(open_progress, messages)
    for index, image in enumerate(images):
        height, width = image.shape[:2]
        path = find_output_path(stem, suffix, index, width=width, height=height)
        written.append(_write_image(path, image.detach().float().cpu().numpy(), source, options, output_format))
    return written


def _resolve_stem_and_suffix(options: ImageSaveOptions) -> tuple[str, str]:
    """Return stem and requested suffix, "" where the source decides. A source named ``photo.jpg.png`` asks for no format."""
    suffix = Path(options.filename).suffix
    if suffix.lower() in OUTPUT_FORMATS:
        return options.filename[: -len(suffix)], suffix
    return options.filename, options.suffix or ""


_LOSSLESS_SUFFIXES = ".png", ".tiff"
"""The last one holds every image."""


def _choose_suffix(images: torch.Tensor, source: ImageSource | None, bits: BitDepth | None) -> tuple[str, str | None]:
    """Return the suffix of ``source``, or a lossless one if that format does not hold ``images``, and why it does not."""
    size, alpha = Size(images.shape[2], images.shape[1]), images.shape[3] in (2, 4)

    def find_misfit(suffix: str) -> str | None:
        return OUTPUT_FORMATS[suffix].describe_misfit(size, alpha=alpha, bits=bits)

    first = source.suffix if source and source.suffix in OUTPUT_FORMATS else _LOSSLESS_SUFFIXES[0]
    return next(suffix for suffix in (first, *_LOSSLESS_SUFFIXES) if not find_misfit(suffix)), find_misfit(first)


def _write_image(
    path: Path, pixels: Floats, source: ImageSource | None, options: ImageSaveOptions, output_format: OutputFormat
) -> Path:
    color_count = _count_color_channels(pixels)
    if source and source.grey and color_count == 3:
        pixels = np.concatenate([pixels[:, :, :3].mean(axis=2, keepdims=True), pixels[:, :, 3:]], axis=2)
    highlights = source is not None and source.peak > 1.0
    return write_image_file(
        path,
        srgb_image_to_linear(pixels, peak=source.peak) if source and highlights else pixels,
        bits=options.bits or _choose_bit_depth(source.bits if source else 8, output_format),
        transfer="linear" if highlights else "srgb",
        icc=source.icc if source and source.icc and is_profile_for(source.icc, pixels.shape[2]) else None,
        exif=source.exif if source else None,
        resolution=source.resolution if source else None,
        chromaticities=source.chromaticities if source else None,
        text={key: json.dumps(value) for key, value in options.text.items()},
        # 100 selects lossless compression in formats that have it.
        quality=None if options.quality == 100 and output_format.default_quality is None else options.quality,
        numbered=not options.overwrite,
        color_chunks=source.color_chunks if source else None,
        exclusive=options.exclusive,
        xmp=source.xmp if source else None,
        iptc=source.iptc if source else None,
    )


def _find_depth_losses(name: str, source: ImageSource, options: ImageSaveOptions, output_format: OutputFormat) -> list[str]:
    bits = options.bits or _choose_bit_depth(source.bits, output_format)
    losses: list[str] = []
    if options.bits is None and bits < source.bits:
        losses.append(f"{name}: {output_format.name} stores {bits} bits; the source has {source.bits}.")
    if source.peak > 1.0 and bits < 32 and output_format.name != "EXR":
        losses.append(f"{name}: highlights up to {source.peak:g} are cut at 1; EXR, and TIFF with 32 bits, keep them.")
    left_out = [("XMP", source.xmp, output_format.max_xmp_bytes), ("IPTC", source.iptc, output_format.max_iptc_bytes)]
    for kind, block, limit in left_out:
        if block and len(block) > limit:
            losses.append(f"{name}: {output_format.name} stores no {kind} of {len(block)} bytes here; it is left out.")
    return losses


def _choose_bit_depth(bits: BitDepth, output_format: OutputFormat) -> BitDepth:
    """Return the largest bit depth of the format up to the source's, else its smallest."""
    below: list[BitDepth] = [depth for depth in output_format.bits if depth <= bits]
    return below[-1] if below else output_format.bits[0]


def _count_color_channels(pixels: Floats) -> int:
    return 1 if pixels.shape[2] < 3 else 3


def load_image_tensors(path: Path, *, max_pixels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Run ComfyUI's LoadImage: IMAGE (B, H, W, 3) and MASK (B, H, W), or zeros (B, 64, 64) without alpha."""
    images, masks = load_image(path, max_pixels=max_pixels)
    return torch.as_tensor(images), torch.as_tensor(masks)


def save_image_tensors(
    images: torch.Tensor, prefix: str, text: Mapping[str, Any], find_output_path: FindOutputPath
) -> list[Path]:
    """Run ComfyUI's SaveImage: 8-bit PNG files, values truncated as there, ``%batch_num%`` replaced."""
    written: list[Path] = []
    for index, image in enumerate(images):
        height, width = image.shape[:2]
        path = find_output_path(prefix, ".png", index, width=width, height=height)
        texts = {key: json.dumps(value) for key, value in text.items()}
        written.append(save_png(path, image.detach().float().cpu().numpy(), texts))
    return written


def to_image_tensor(image: Any) -> torch.Tensor:
    """Return an RGB image of Pillow as IMAGE (1, H, W, 3), float32 in 0..1."""
    pixels = np.asarray(image, np.float32) / np.float32(255)
    return torch.from_numpy(pixels)[None]  # pyright: ignore[reportUnknownMemberType]
