"""Between picture files and ComfyUI's IMAGE: what the nodes call. The only file of this room that knows torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch

from .like_comfyui import load_image, save_png
from .picture import Bits, Floats, Picture
from .read import read
from .transfer import from_display, to_display
from .write import CONTAINERS, Container, write

OutputFolder = Literal["output", "temp"]


@dataclass(frozen=True)
class ImageSource:
    """What a file was: everything that its IMAGE does not say."""

    name: str
    """File name without its suffix."""
    suffix: str
    grey: bool
    peak: float
    """The brightest value of a linear picture whose highlights exceed 1; 1.0 for all others."""
    picture: Picture
    """The file's facts; its pixels are an empty array."""


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

    Linear pictures are encoded as sRGB, which models are trained on; highlights above 1 are scaled down with the rest and
    come back when the result is written in linear light again. Raises ``MediaError`` as ``read`` does.
    """
    picture = read(path, max_pixels=max_pixels)
    pixels, peak = picture.pixels, 1.0
    if picture.transfer == "linear":
        peak = max(1.0, float(pixels[:, :, : _colours(picture)].max()))
        pixels = to_display(pixels, peak=peak)
    if picture.bits == 32:
        pixels = pixels.clip(0.0, 1.0)
    grey = _colours(picture) == 1
    if grey:
        pixels = np.concatenate([pixels[:, :, :1]] * 3 + [pixels[:, :, 1:]], axis=2)
    facts = Picture(
        np.zeros((0, 0, picture.pixels.shape[2]), np.float32),
        picture.bits,
        picture.format,
        picture.transfer,
        picture.icc,
        picture.exif,
        picture.resolution,
        picture.chromaticities,
    )
    source = ImageSource(path.stem, path.suffix.lower(), grey, peak, facts)
    return torch.as_tensor(np.ascontiguousarray(pixels))[None], source


def write_images(images: torch.Tensor, source: ImageSource | None, wanted: Wanted, find: FindOutput) -> list[Path]:
    """Write each picture of ``images`` (B, H, W, C) to its own file; the paths.

    Depth, grey, profile and metadata follow ``source`` as far as the format holds them; what ``wanted`` says goes first, and
    a format that cannot hold that is refused (``OutputError``).
    """
    stem, suffix = _stem_and_suffix(wanted, source)
    container = CONTAINERS[suffix]
    written: list[Path] = []
    for index, image in enumerate(images):
        height, width = image.shape[:2]
        path = find(stem, suffix, index, width=width, height=height)
        _write(path, image.detach().float().cpu().numpy(), source, wanted, container)
        written.append(path)
    return written


def _stem_and_suffix(wanted: Wanted, source: ImageSource | None) -> tuple[str, str]:
    stem = wanted.filename.replace("%name%", source.name if source else "Upscale8K")
    named = Path(stem).suffix.lower()
    if named in CONTAINERS:
        return stem[: -len(named)], Path(stem).suffix
    of_source = source.suffix if source and source.suffix in CONTAINERS else ".png"
    return stem, wanted.suffix or of_source


def _write(path: Path, pixels: Floats, source: ImageSource | None, wanted: Wanted, container: Container) -> None:
    if source and source.grey:
        pixels = np.concatenate([pixels[:, :, :3].mean(axis=2, keepdims=True), pixels[:, :, 3:]], axis=2)
    bits = wanted.bits or _nearest_depth(source.picture.bits if source else 8, container)
    linear = source is not None and source.peak > 1.0 and bits == 32
    quality = None if wanted.quality == 100 and container.quality is None else wanted.quality
    facts = source.picture if source else None
    write(
        path,
        from_display(pixels, peak=source.peak) if source and linear else pixels,
        bits=bits,
        transfer="linear" if linear else "srgb",
        icc=facts.icc if facts else None,
        exif=facts.exif if facts else None,
        resolution=facts.resolution if facts else None,
        chromaticities=facts.chromaticities if facts else None,
        text={key: json.dumps(value) for key, value in wanted.text.items()},
        quality=quality,
    )


def _nearest_depth(bits: Bits, container: Container) -> Bits:
    """The source's depth, or the deepest that the format has below it, or its least."""
    below: list[Bits] = [depth for depth in container.bits if depth <= bits]
    return below[-1] if below else container.bits[0]


def _colours(picture: Picture) -> int:
    return 1 if picture.pixels.shape[2] < 3 else 3


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
