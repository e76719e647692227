"""Picture files as the frames of a film: integers in, integers out, sRGB."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from . import icc_profile
from .picture import Picture
from .quantize import to_integers
from .read import read
from .transfer import to_display
from .write import write

Samples = NDArray[np.uint8] | NDArray[np.uint16]


def frame_reader(max_pixels: int, say: Callable[[str], None]) -> Callable[[Path], Samples]:
    """A function from a picture file to (H, W, 3) R'G'B' in full range: uint8, or uint16 for deeper files.

    Grey becomes colour, linear light sRGB. What a film cannot carry is told to ``say`` and left out: alpha, highlights above 1
    (to scale each picture by its own would make the film flicker), colour profiles. The function raises as ``read`` does.
    """

    def frame(path: Path) -> Samples:
        picture = read(path, max_pixels=max_pixels)
        for loss in _losses(picture):
            say(f"{path.name} and perhaps others: {loss}")
        pixels = picture.pixels[:, :, :3] if picture.pixels.shape[2] >= 3 else picture.pixels[:, :, :1].repeat(3, axis=2)
        if picture.transfer == "linear":
            pixels = to_display(np.ascontiguousarray(pixels))
        return to_integers(pixels, 8 if picture.bits == 8 else 16)

    return frame


def _losses(picture: Picture) -> list[str]:
    losses: list[str] = []
    if picture.has_alpha:
        losses.append("the alpha channel is left out, for films have none.")
    if picture.bits == 32 and float(picture.pixels[:, :, :3].max()) > 1.0:
        losses.append("highlights above 1 are cut off.")
    if picture.icc and not (icc_profile.is_srgb(picture.icc) or picture.transfer == "linear"):
        losses.append("the colour profile is not sRGB, and is left out.")
    return losses


def frame_writer(text: Mapping[str, str]) -> Callable[[Path, Samples, Literal[8, 16, 32]], None]:
    """A function that writes such pixels to a picture file of so many bits, with ``text``; it raises as ``write`` does."""

    def picture(path: Path, pixels: Samples, bits: Literal[8, 16, 32]) -> None:
        write(path, pixels, bits=bits, text=text)

    return picture
