"""Test images, and what a file on disk holds."""

from pathlib import Path

import numpy
from PIL import Image


def make_image(path: Path, width: int, height: int) -> None:
    """Smooth color with hard edges and noise: what a tile border or a rounding would show in."""
    y, x = numpy.mgrid[0:height, 0:width]
    image = numpy.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], axis=2)
    image[height // 4 : height // 2, width // 3 : 2 * width // 3] = (250, 10, 40)
    image += numpy.random.default_rng(8).normal(0, 6, image.shape)
    Image.fromarray(image.clip(0, 255).astype(numpy.uint8)).save(path)


def pixels(path: Path) -> numpy.ndarray:
    """The values in a file, (H,W,C) uint8."""
    with Image.open(path) as image:
        return numpy.asarray(image)


def only_png(folder: Path) -> Path:
    """The one PNG below a folder."""
    (path,) = folder.rglob("*.png")
    return path
