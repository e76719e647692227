"""Between picture files and ComfyUI's IMAGE: what the nodes call. The only file of this room that knows torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from . import icc_profile
from .like_comfyui import load_image, save_png
from .picture import Bits, Floats
from .read import read
from .transfer import from_display, to_display
from .write import CONTAINERS, Container, write


@dataclass(frozen=True)
class ImageSource:
    """What a file was: everything that its IMAGE does not say. What is not explained here is as in ``Picture``."""

    name: str
    """File name without its suffix."""
    suffix: str
    """In lower case."""
    grey: bool
    peak: float
    """The brightest value of a linear picture whose highlights exceed 1; 1.0 for all others."""
    bits: Bits
    icc: bytes | None
    exif: bytes | None
    resolution: tuple[float, float] | None
    chromaticities: tuple[float, ...] | None


@dataclass(frozen=True)
class Wanted:
    """How results are to be written; None means as the source was."""

    filename: str
    suffix: str | None
    bits: Bits | None
    quality: int
    text: Mapping[str, Any]


class FindOutput(Protocol):
    """``Host.output_path`` without its counter: where a result goes."""

    def __call__(self, stem: str, suffix: str, index: int, *, width: int, height: int) -> Path: ...


def read_image(path: Path, *, max_pixels: int) -> tuple[torch.Tensor, ImageSource]:
    """A picture file as IMAGE (1, H, W, 3), or (1, H, W, 4) where it has alpha, float32 in 0..1, and what else it was.

    Linear pictures are encoded as sRGB, which models are trained on; highlights above 1 are scaled down with the rest, and
    ``write_images`` scales them up again. Values below 0, and above 1 in a float file that is not linear, are cut off.
    Raises ``MediaError`` as ``read`` does.
    """
    picture = read(path, max_pixels=max_pixels)
    pixels, peak = picture.pixels, 1.0
    if picture.transfer == "linear":
        peak = max(1.0, float(pixels[:, :, : _colours(pixels)].max()))
        pixels = to_display(pixels, peak=peak)
    if picture.bits == 32:
        pixels = pixels.clip(0.0, 1.0)
    grey = _colours(pixels) == 1
    if grey:
        pixels = np.concatenate([pixels[:, :, :1]] * 3 + [pixels[:, :, 1:]], axis=2)
    source = ImageSource(
        name=path.stem,
        suffix=path.suffix.lower(),
        grey=grey,
        peak=peak,
        bits=picture.bits,
        icc=picture.icc,
        exif=picture.exif,
        resolution=picture.resolution,
        chromaticities=picture.chromaticities,
    )
    return torch.as_tensor(np.ascontiguousarray(pixels))[None], source


def write_images(images: torch.Tensor, source: ImageSource | None, wanted: Wanted, find: FindOutput) -> list[Path]:
    """Write each picture of ``images`` (B, H, W, C) to its own file; the paths.

    Depth, grey, profile and metadata follow ``source`` as far as the format holds them; what ``wanted`` says goes first, and
    a format that cannot hold that is refused (``OutputError``). Highlights above 1 are kept where the format has them.
    """
    stem, suffix = _stem_and_suffix(wanted, source)
    container = CONTAINERS[suffix.lower()]
    written: list[Path] = []
    for index, image in enumerate(images):
        height, width = image.shape[:2]
        path = find(stem, suffix, index, width=width, height=height)
        _write(path, image.detach().float().cpu().numpy(), source, wanted, container)
        written.append(path)
    return written


def _stem_and_suffix(wanted: Wanted, source: ImageSource | None) -> tuple[str, str]:
    """The suffix is what the person wrote, not what a source called ``photo.jpg.png`` brings along in its name."""
    stem, suffix = wanted.filename, Path(wanted.filename).suffix
    if suffix.lower() in CONTAINERS:
        stem = stem[: -len(suffix)]
    elif wanted.suffix:
        suffix = wanted.suffix
    else:
        suffix = source.suffix if source and source.suffix in CONTAINERS else ".png"
    return stem.replace("%name%", source.name if source else "Upscale8K"), suffix


def _write(path: Path, pixels: Floats, source: ImageSource | None, wanted: Wanted, container: Container) -> None:
    colours = _colours(pixels)
    if source and source.grey and colours == 3:
        pixels = np.concatenate([pixels[:, :, :3].mean(axis=2, keepdims=True), pixels[:, :, 3:]], axis=2)
    highlights = source is not None and source.peak > 1.0
    write(
        path,
        from_display(pixels, peak=source.peak) if source and highlights else pixels,
        bits=wanted.bits or _nearest_depth(source.bits if source else 8, container),
        transfer="linear" if highlights else "srgb",
        icc=source.icc if source and source.icc and icc_profile.fits(source.icc, pixels.shape[2]) else None,
        exif=source.exif if source else None,
        resolution=source.resolution if source else None,
        chromaticities=source.chromaticities if source else None,
        text={key: json.dumps(value) for key, value in wanted.text.items()},
        # 100 asks a format that can be lossless to be so.
        quality=None if wanted.quality == 100 and container.quality is None else wanted.quality,
    )


def _nearest_depth(bits: Bits, container: Container) -> Bits:
    """The source's depth, or the deepest that the format has below it, or its least."""
    below: list[Bits] = [depth for depth in container.bits if depth <= bits]
    return below[-1] if below else container.bits[0]


def _colours(pixels: Floats) -> int:
    return 1 if pixels.shape[2] < 3 else 3


def load_like_comfyui(path: Path, *, max_pixels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """ComfyUI's LoadImage: IMAGE (B, H, W, 3) and MASK (B, H, W), or (B, 64, 64) of zeros without alpha."""
    images, masks = load_image(path, max_pixels=max_pixels)
    return torch.as_tensor(images), torch.as_tensor(masks)


def save_like_comfyui(images: torch.Tensor, prefix: str, text: Mapping[str, Any], find: FindOutput) -> list[Path]:
    """ComfyUI's SaveImage: 8-bit PNG files, values cut to whole steps as it cuts them, ``%batch_num%`` filled in."""
    written: list[Path] = []
    for index, image in enumerate(images):
        height, width = image.shape[:2]
        path = find(prefix, ".png", index, width=width, height=height)
        save_png(path, image.detach().float().cpu().numpy(), {key: json.dumps(value) for key, value in text.items()})
        written.append(path)
    return written
