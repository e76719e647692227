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
from numpy.typing import NDArray

from ..frames.geometry import Size
from ..images.read import read
from ..models.facts import UpscaleModel
from ..upscale.backends import Backend, open_backend
from ..upscale.device import resolve
from .models import picture, weights_of

Pixels = NDArray[np.float32]

HALOS = (0, 8, 16, 24, 32, 48, 64, 80, 96, 128)
SEAM = 8
"""Source columns behind the cut that are the seam."""
_BEHIND = 64
_ROWS = 48
_SILENCE_DB = 150.0
"""Beyond the precision of float32."""


@dataclass(frozen=True)
class Error:
    """At one halo, the worst of all pictures."""

    halo: int
    seam_db: float
    """PSNR of the seam against the untiled result."""
    worst_steps: float
    """Largest difference anywhere behind the cut, in 8-bit steps."""


@dataclass(frozen=True)
class Profile:
    """The errors of one model, by halo. ``default`` and ``exact`` are the halos that its facts state."""

    model: str
    architecture: str
    weights: str
    default: int
    exact: int | None
    errors: tuple[Error, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        exact = f"exact from {self.exact}" if self.exact is not None else "no halo is known to be exact"
        head = f"{self.model} ({self.architecture}, {self.weights} weights): default halo {self.default}, {exact}"
        rows = (f"{one.halo:6} {one.seam_db:10.1f} {one.worst_steps:14.4f}" for one in self.errors)
        return "\n".join([head, f"{'halo':>6} {'seam, dB':>10} {'worst, steps':>14}", *rows])


def profile(
    name: str, model: UpscaleModel, weights: str, device: str, pictures: Sequence[Pixels] = (), halos: Sequence[int] = HALOS
) -> Profile:
    """Measure ``model`` in fp32 on the upper left of each picture (H, W, 3), 48 rows of it; on one of ours where none is given.

    Halos are rounded up to the model's window; those for which a picture is too narrow are left out.
    """
    wanted = sorted({-(-halo // model.window) * model.window for halo in halos})
    cut = max(wanted) + model.window
    strips = [strip for one in pictures or [_own(cut)] if (strip := one[:_ROWS, : cut + _BEHIND]).shape[1] == cut + _BEHIND]
    with closing(open_backend("torch", model, device, "fp32")) as backend:
        found = list(_errors(backend, model, strips, wanted, cut))
    return Profile(name, model.architecture, weights, model.halo, model.exact_halo, tuple(found))


def measure(name: str, folders: Sequence[Path], device: str, pictures: Sequence[Path]) -> Profile:
    """``profile`` of a model by its name. Raises what ``weights_of``, ``read`` and ``resolve`` raise."""
    descriptor, made_up = weights_of(name, folders)
    pixels = [_colours(read(path).pixels) for path in pictures]
    weights = "generated" if made_up else "its own"
    return profile(name, UpscaleModel.of(descriptor), weights, str(resolve(device)), pixels)


def _colours(pixels: Pixels) -> Pixels:
    """(H, W, 3) of a picture with 1 to 4 channels."""
    channels = pixels.shape[2]
    return np.array(np.broadcast_to(pixels[:, :, : 1 if channels < 3 else 3], (*pixels.shape[:2], 3)), np.float32)


def _own(cut: int) -> Pixels:
    return picture(Size(cut + _BEHIND, _ROWS))


def _errors(backend: Backend, model: UpscaleModel, strips: Sequence[Pixels], halos: Sequence[int], cut: int) -> Iterator[Error]:
    scale = model.scale
    whole = [backend.run(strip[None])[0][:, cut * scale :] for strip in strips]
    for halo in halos:
        seam, worst = _SILENCE_DB, 0.0
        for strip, expected in zip(strips, whole, strict=True):
            difference = backend.run(strip[None, :, cut - halo :])[0][:, halo * scale :] - expected
            beside: Pixels = difference[:, : SEAM * scale]
            seam = min(seam, _decibels(float(np.square(beside, dtype=np.float64).mean())))
            worst = max(worst, float(np.abs(difference).max()) * 255)
        yield Error(halo, seam, worst)


def _decibels(square: float) -> float:
    return min(-10 * log10(square), _SILENCE_DB) if square > 0 else _SILENCE_DB
