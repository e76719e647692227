"""Images to write and read: small, no side a multiple of another, every channel different."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import pytest
from PIL import ImageCms

HEIGHT, WIDTH = 61, 83


def _scene() -> np.ndarray:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    channels = [columns / WIDTH, rows / HEIGHT, (rows + columns) / (HEIGHT + WIDTH)]
    noise = np.random.default_rng(8).random((HEIGHT, WIDTH, 3))
    return 0.7 * np.stack(channels, axis=-1) + 0.3 * noise


@pytest.fixture(scope="session")
def rgb() -> np.ndarray:
    """float32 (61, 83, 3) in 0..1."""
    return _scene().astype(np.float32)


@pytest.fixture(scope="session")
def alpha() -> np.ndarray:
    """float32 (61, 83, 1): rows of 0, rows of 1, and a ramp."""
    ramp = np.broadcast_to(np.linspace(0, 1, WIDTH, dtype=np.float32)[None, :, None], (HEIGHT, WIDTH, 1)).copy()
    ramp[:10], ramp[10:20] = 0, 1
    return ramp


@pytest.fixture(scope="session")
def rgba(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.concatenate([rgb, alpha], axis=2)


@pytest.fixture(scope="session")
def icc() -> bytes:
    """Little CMS's own sRGB profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="session")
def write_oiio() -> Callable[..., None]:
    """Write samples as they are with OpenImageIO."""

    def write(path: Path, samples: np.ndarray, sample_type: str, *, x: int = 0, y: int = 0, **attributes: Any) -> None:
        spec = oiio.ImageSpec(samples.shape[1], samples.shape[0], samples.shape[2], sample_type)
        spec.x, spec.y = x, y
        names, tile, display = (attributes.pop(key, None) for key in ("channelnames", "tile", "display"))
        if names:
            spec.channelnames = names
            spec.alpha_channel = names.index("A") if "A" in names else -1
        if tile:
            spec.tile_width = spec.tile_height = tile
        if display:
            spec.full_x = spec.full_y = 0
            spec.full_width, spec.full_height = display
        for key, value in attributes.items():
            name = key.replace("__", ":")
            if name == "chromaticities":
                spec.attribute(name, oiio.TypeDesc("float[8]"), value)
            else:
                spec.attribute(name, value)
        spec.attribute("tiff:write_exif", 0)
        target = oiio.ImageOutput.create(str(path))
        assert target.open(str(path), spec), target.geterror()
        data = np.ascontiguousarray(samples)
        assert target.write_tiles(0, spec.width, 0, spec.height, 0, 1, data) if tile else target.write_image(data), (
            target.geterror()
        )
        target.close()

    return write


@pytest.fixture(scope="session")
def png_bytes() -> Callable[..., bytes]:
    """A PNG by hand: one scanline, filter 0."""

    def chunk(kind: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))

    def make(width: int, depth: int, color: int, row: bytes, *extra: tuple[bytes, bytes], height: int = 1) -> bytes:
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
        body = b"".join(chunk(*pair) for pair in extra) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + head + body

    return make
