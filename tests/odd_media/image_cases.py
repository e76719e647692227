"""Image files of every depth, layout and tag, made by tifffile, Pillow and OpenImageIO, each with the pixels that it holds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import tifffile
from PIL import Image, ImageOps

HEIGHT, WIDTH = 36, 52


@dataclass(frozen=True)
class ImageCase:
    """``make`` writes the file and returns its pixels (H, W, C) in 0..1 as another program reads them, or None if it cannot."""

    name: str
    make: Callable[[Path], np.ndarray | None]
    tolerance: float = 1e-6


def iterate_cases() -> Iterator[ImageCase]:
    yield from _iterate_tiff()
    yield from _iterate_pillow()
    yield from _iterate_orientations()
    yield from _iterate_oiio()


def _scene(channels: int, seed: int = 3) -> np.ndarray:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    ramps = [
        columns / WIDTH,
        rows / HEIGHT,
        (rows + columns) / (HEIGHT + WIDTH),
        1 - columns / WIDTH,
        rows * 0 + 0.5,
        rows / 99,
    ]
    noise = np.random.default_rng(seed).random((HEIGHT, WIDTH, channels))
    return np.clip(0.8 * np.stack(ramps[:channels], axis=-1) + 0.2 * noise, 0, 1)


def _quantize(scene: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return np.rint(scene * np.iinfo(dtype).max).astype(dtype) if dtype.kind in "ui" else scene.astype(dtype)


def _iterate_tiff() -> Iterator[ImageCase]:
    """Written by tifffile. What it is given is what the file holds."""
    dtypes = ("uint8", "uint16", "uint32", "int16", "float16", "float32", "float64")
    layouts = ("grey", "white", "grey+a", "rgb", "rgb+a", "rgb+assoc", "rgb+2", "separate", "cmyk")
    storages: tuple[dict[str, Any], ...] = ({}, {"compression": "zlib"}, {"tile": (16, 16)}, {"rowsperstrip": 5})
    for dtype, layout, storage, (order, big) in product(dtypes, layouts, storages, (("<", False), (">", False), ("<", True))):
        name = f"tiff {dtype} {layout} {'-'.join(map(str, storage)) or 'strips'} {order}{' big' * big}"
        yield ImageCase(name, lambda path, case=(dtype, layout, storage, order, big): _make_tiff(path, *case), 2e-5)


def _make_tiff(path: Path, dtype: str, layout: str, storage: dict[str, Any], order: str, big: bool) -> np.ndarray | None:
    channels = {"grey": 1, "white": 1, "grey+a": 2, "rgb+a": 4, "rgb+assoc": 4, "rgb+2": 5, "cmyk": 4}.get(layout, 3)
    scene = _scene(channels)
    if layout == "rgb+assoc":
        scene[:, :, :3] *= scene[:, :, 3:]
    samples = _quantize(scene, np.dtype(dtype))
    photometric = {"grey": "minisblack", "white": "miniswhite", "grey+a": "minisblack", "cmyk": "separated"}.get(layout, "rgb")
    extra = {"grey+a": [2], "rgb+a": [2], "rgb+assoc": [1], "rgb+2": [0, 0]}.get(layout)
    stored = np.moveaxis(samples, 2, 0) if layout == "separate" else samples[:, :, 0] if channels == 1 else samples
    options = {"planarconfig": "separate" if layout == "separate" else "contig"} if channels > 1 else {}
    tifffile.imwrite(
        path,
        stored,
        photometric=photometric,
        extrasamples=extra,
        byteorder=order,
        bigtiff=big,
        metadata=None,
        **options,
        **storage,
    )
    full = float(np.iinfo(dtype).max) if samples.dtype.kind in "ui" else 1.0
    pixels = samples.astype(np.float64) / full
    if layout == "white":
        return 1 - pixels
    if layout == "rgb+assoc":
        pixels[:, :, :3] = np.minimum(pixels[:, :, :3] / np.maximum(pixels[:, :, 3:], 1e-9), 1)
    return None if layout == "cmyk" else pixels[:, :, :3] if layout == "rgb+2" else pixels


def _iterate_pillow() -> Iterator[ImageCase]:
    """Written by Pillow, and read back by it."""
    modes = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16")
    formats: tuple[tuple[str, dict[str, Any]], ...] = (
        *(("png", options) for options in ({}, {"optimize": True}, {"compress_level": 0}, {"bits": 4})),
        *(
            ("tif", {"compression": name})
            for name in ("raw", "packbits", "tiff_lzw", "tiff_deflate", "group3", "group4", "jpeg")
        ),
        *(("jpg", {"quality": 90, "subsampling": sub, "progressive": p}) for sub in (0, 1, 2) for p in (False, True)),
        *(("webp", {"lossless": lossless, "quality": 90}) for lossless in (True, False)),
        *((suffix, {}) for suffix in ("gif", "bmp", "avif")),
    )
    for mode, (suffix, options) in product(modes, formats):
        lossy = suffix in ("jpg", "avif") or options.get("compression") == "jpeg" or options.get("lossless") is False
        name = f"{suffix} {mode} {' '.join(f'{key}={value}' for key, value in options.items())}"
        make = lambda path, case=(mode, options): _make_pillow(path, *case)  # noqa: E731
        # Pillow multiplies the 8 bits of a TIFF's palette by 256 and not by 257.
        yield ImageCase(name, make, 3.01 / 255 if lossy else 1.01 / 255 if (mode, suffix) == ("P", "tif") else 2e-5)


def _make_pillow(path: Path, mode: str, options: dict[str, Any]) -> np.ndarray | None:
    rgba = Image.fromarray(np.rint(_scene(4) * 255).astype(np.uint8), "RGBA")
    grey16 = Image.fromarray(np.rint(_scene(1)[:, :, 0] * 65535).astype(np.uint16))
    image = (
        grey16
        if mode == "I;16"
        else rgba.convert("RGB").convert(mode)
        if mode in ("1", "P", "CMYK", "RGB")
        else rgba.convert(mode)
    )
    image.save(path, **options)
    return None if image.mode == "CMYK" and path.suffix in (".tif", ".jpg") else _read_with_pillow(path)


def _read_with_pillow(path: Path, *, upright: bool = False) -> np.ndarray:
    with Image.open(path) as image:
        image.load()
        shown = ImageOps.exif_transpose(image) if upright else image
        if shown.mode.startswith("I"):
            return np.asarray(shown, np.float64)[:, :, None] / 65535
        mode = {"1": "L", "P": "RGBA" if "transparency" in image.info else "RGB"}.get(shown.mode, shown.mode)
        pixels = np.asarray(shown.convert(mode), np.float64) / 255
        return pixels.reshape(*pixels.shape[:2], -1)


def _iterate_orientations() -> Iterator[ImageCase]:
    for suffix, orientation in product(("jpg", "png", "webp", "tif", "avif"), range(1, 9)):
        make = lambda path, orientation=orientation: _make_oriented(path, orientation)  # noqa: E731
        yield ImageCase(f"{suffix} orientation {orientation}", make, 3.01 / 255)


def _make_oriented(path: Path, orientation: int) -> np.ndarray:
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    Image.fromarray(np.rint(_scene(3) * 255).astype(np.uint8)).save(path, exif=exif, **lossless)
    return _read_with_pillow(path, upright=True)


def _iterate_oiio() -> Iterator[ImageCase]:
    """Written by OpenImageIO. What it is given is what the file holds."""
    names = (("Y",), ("Y", "A"), ("R", "G", "B"), ("R", "G", "B", "A"), ("R", "G", "B", "Z"), ("B", "G", "R"))
    for sample_type, channels, compression, tile in product(
        ("half", "float"), names, ("none", "zip", "zips", "piz", "rle", "pxr24"), (0, 16)
    ):
        exact = sample_type == "half" or compression != "pxr24"
        make = lambda path, case=(sample_type, channels, compression, tile): _make_exr(path, *case)  # noqa: E731
        yield ImageCase(f"exr {sample_type} {''.join(channels)} {compression} tile {tile}", make, 2e-3 if exact else 4e-3)
    for sample_type, channels in product(("uint8", "uint16", "float"), (1, 2, 3, 4)):
        yield ImageCase(
            f"jxl {sample_type} {channels}", lambda path, case=(sample_type, channels): _make_jxl(path, *case), 2e-5
        )


def _make_exr(path: Path, sample_type: str, names: tuple[str, ...], compression: str, tile: int) -> np.ndarray:
    pixels = _scene(len(names)).astype(np.float32)
    if "A" in names:
        pixels[:, :, :-1] *= pixels[:, :, -1:]  # OpenEXR's alpha is associated
    spec = oiio.ImageSpec(WIDTH, HEIGHT, len(names), sample_type)
    spec.channelnames, spec.alpha_channel = names, names.index("A") if "A" in names else -1
    spec.tile_width = spec.tile_height = tile
    spec.attribute("compression", compression)
    _write_oiio(path, spec, pixels)
    if "A" in names:
        return np.concatenate([pixels[:, :, :-1] / pixels[:, :, -1:], pixels[:, :, -1:]], axis=2)
    return pixels[:, :, ::-1] if names[0] == "B" else pixels[:, :, :3]


def _make_jxl(path: Path, sample_type: str, channels: int) -> np.ndarray:
    samples = (
        _scene(channels).astype(np.float32) if sample_type == "float" else _quantize(_scene(channels), np.dtype(sample_type))
    )
    spec = oiio.ImageSpec(WIDTH, HEIGHT, channels, sample_type)
    spec.attribute("compression", "jpegxl:100")
    spec.attribute("oiio:UnassociatedAlpha", 1)
    _write_oiio(path, spec, samples)
    return samples / (1.0 if sample_type == "float" else np.iinfo(sample_type).max)


def _write_oiio(path: Path, spec: oiio.ImageSpec, samples: np.ndarray) -> None:
    out = oiio.ImageOutput.create(str(path))
    if not out or not out.open(str(path), spec):
        raise OSError(oiio.geterror() if not out else out.geterror())
    samples = np.ascontiguousarray(samples)
    write = (
        (lambda: out.write_tiles(0, WIDTH, 0, HEIGHT, 0, 1, samples)) if spec.tile_width else (lambda: out.write_image(samples))
    )
    if not write() or not out.close():
        raise OSError(out.geterror())
