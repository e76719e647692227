"""Image files as the frames of a video: integers in, integers out, sRGB."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from ..media import Samples
from . import metadata
from .image_file import ImageFile
from .read import read_image_file
from .sample_conversion import linear_image_to_srgb, to_integers
from .write import write_image_file


def make_frame_reader(max_pixels: int, on_message: Callable[[str], None]) -> Callable[[Path], Samples]:
    """Return a function from the path of an image file to (H, W, 3) R'G'B' in full range: uint8, or uint16 for deeper files.

    With alpha it is (H, W, 4). Grey becomes RGB, linear light becomes sRGB. Highlights above 1 and color profiles are dropped
    and reported to ``on_message``; scaling each image by its own highlights would make the video flicker. Raises as
    ``read_image_file``.
    """

    def read_frame(path: Path) -> Samples:
        image = read_image_file(path, max_pixels=max_pixels)
        for loss in _find_losses(image):
            on_message(f"{path.name} and perhaps others: {loss}")
        pixels = image.pixels
        if pixels.shape[2] < 3:
            pixels = pixels[:, :, [0, 0, 0, 1] if image.has_alpha else [0, 0, 0]]
        if image.transfer == "linear":
            pixels = linear_image_to_srgb(np.ascontiguousarray(pixels))
        return to_integers(pixels, 8 if image.bits == 8 else 16)

    return read_frame


def _find_losses(image: ImageFile) -> list[str]:
    losses = [f"it {loss}." for loss in image.losses]
    if image.bits == 32 and float(image.pixels[:, :, :3].max()) > 1.0:
        losses.append("highlights above 1 are clipped.")
    if image.icc and not (metadata.is_srgb(image.icc) or image.transfer == "linear"):
        losses.append("the color profile is not sRGB and is dropped.")
    return losses


def make_frame_writer(text: Mapping[str, str]) -> Callable[[Path, Samples, Literal[8, 16, 32]], None]:
    """Return a function that writes such pixels to an image file of 8, 16 or 32 bits with ``text``.

    It raises as ``write_image_file``.
    """

    def write_frame(path: Path, pixels: Samples, bits: Literal[8, 16, 32]) -> None:
        write_image_file(path, pixels, bits=bits, text=text)

    return write_frame
