"""``bench halo``: how wide a halo a model needs, measured on pictures: the error next to a cut, by halo.

A picture is upscaled whole, and again from ``halo`` pixels before a cut on, as the tile behind that cut is. Both must agree
behind the cut. Whose weights were used is a part of the result: a network that has learned nothing reaches less far.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from math import log10
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..images.read import read_image_file
from ..media.geometry import Size
from ..models.upscale_model import UpscaleModel
from ..upscale.backends import open_backend
from ..upscale.backends.base import Backend
from ..upscale.device import resolve_device
from .model_speed import load_or_generate, make_test_image

Pixels = NDArray[np.float32]

HALOS = (0, 8, 16, 24, 32, 48, 64, 80, 96, 128)
SEAM_COLUMNS = 8
"""Source columns behind the cut that are the seam."""
_COLUMNS_BEHIND = 64
_ROWS = 48
_MAX_DB = 150.0
"""Beyond the precision of float32."""


@dataclass(frozen=True)
class HaloError:
    """At one halo, the worst of all pictures."""

    halo: int
    seam_db: float
    """PSNR of the seam against the untiled result."""
    worst_steps: float
    """Largest difference anywhere behind the cut, in 8-bit steps."""


@dataclass(frozen=True)
class HaloProfile:
    """The errors of one model, by halo. ``default`` and ``exact`` are the halos that its facts state."""

    model: str
    architecture: str
    weights: str
    default: int
    exact: int | None
    errors: tuple[HaloError, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        exact = f"exact from {self.exact}" if self.exact is not None else "no halo is known to be exact"
        head = f"{self.model} ({self.architecture}, {self.weights} weights): default halo {self.default}, {exact}"
        rows = (f"{one.halo:6} {one.seam_db:10.1f} {one.worst_steps:14.4f}" for one in self.errors)
        return "\n".join([head, f"{'halo':>6} {'seam, dB':>10} {'worst, steps':>14}", *rows])


def measure_halo_errors(
    name: str,
    model: UpscaleModel,
    weights: str,
    device: torch.device,
    images: Sequence[Pixels] = (),
    halos: Sequence[int] = HALOS,
) -> HaloProfile:
    """Measure ``model`` in fp32 on the upper left of each picture (H, W, 3), 48 rows of it; on one of ours where none is given.

    Halos are rounded up to the model's window; those for which a picture is too narrow are left out.
    """
    rounded_halos = sorted({-(-halo // model.window) * model.window for halo in halos})
    cut = max(rounded_halos) + model.window
    strips = [
        strip
        for one in images or [_make_test_strip(cut)]
        if (strip := one[:_ROWS, : cut + _COLUMNS_BEHIND]).shape[1] == cut + _COLUMNS_BEHIND
    ]
    with closing(open_backend("torch", model, device, "fp32")) as backend:
        found = list(_iterate_errors(backend, model, strips, rounded_halos, cut))
    return HaloProfile(name, model.architecture, weights, model.halo, model.exact_halo, tuple(found))


def profile_model(name: str, folders: Sequence[Path], device: str, images: Sequence[Path]) -> HaloProfile:
    """``profile`` of a model by its name. Raises what ``weights_of``, ``read`` and ``resolve`` raise."""
    descriptor, is_generated = load_or_generate(name, folders)
    pixels = [_to_rgb(read_image_file(path).pixels) for path in images]
    weights = "generated" if is_generated else "its own"
    return measure_halo_errors(name, UpscaleModel.from_descriptor(descriptor), weights, resolve_device(device), pixels)


def _to_rgb(pixels: Pixels) -> Pixels:
    """(H, W, 3) of a picture with 1 to 4 channels."""
    channels = pixels.shape[2]
    return np.array(np.broadcast_to(pixels[:, :, : 1 if channels < 3 else 3], (*pixels.shape[:2], 3)), np.float32)


def _make_test_strip(cut: int) -> Pixels:
    return make_test_image(Size(cut + _COLUMNS_BEHIND, _ROWS))


def _iterate_errors(
    backend: Backend, model: UpscaleModel, strips: Sequence[Pixels], halos: Sequence[int], cut: int
) -> Iterator[HaloError]:
    scale = model.scale
    untiled = [backend.run(strip[None])[0][:, cut * scale :] for strip in strips]
    for halo in halos:
        seam, worst = _MAX_DB, 0.0
        for strip, expected in zip(strips, untiled, strict=True):
            difference = backend.run(strip[None, :, cut - halo :])[0][:, halo * scale :] - expected
            seam_difference: Pixels = difference[:, : SEAM_COLUMNS * scale]
            seam = min(seam, _to_decibels(float(np.square(seam_difference, dtype=np.float64).mean())))
            worst = max(worst, float(np.abs(difference).max()) * 255)
        yield HaloError(halo, seam, worst)


def _to_decibels(mean_square: float) -> float:
    return min(-10 * log10(mean_square), _MAX_DB) if mean_square > 0 else _MAX_DB
