"""``bench halo``: measure the error next to a cut by halo, to find the halo that a model needs.

An image is upscaled untiled, and again from ``halo`` pixels before a cut on, like the tile after that cut. The two must agree
after the cut. The result names the weights, because a network with random weights has a smaller effective receptive field.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..images import read_image_file
from ..media import Floats, Size
from ..models import DEFAULT_HALO, UpscaleModel
from ..paths import SAMPLE_IMAGE
from ..upscale import Backend, open_backend, resolve_device
from .measure import compute_psnr, make_test_image
from .model_speed import load_or_generate

HALOS = (0, 8, 16, 24, 32, 48, 64, 80, 96, 128)
SEAM_COLUMNS = 8
"""Source columns after the cut that count as the seam."""
_COLUMNS_BEHIND = 64
_ROWS = 48
_NEEDED_HALOS = (8, 16, 32, 48, 64, 96)
_MOST_STEPS = 0.5
_SAMPLE_TOP = 96
_MAX_DB = 150.0
"""Upper limit, beyond the precision of float32."""


@dataclass(frozen=True)
class HaloError:
    """The largest error of all images at one halo."""

    halo: int
    seam_db: float
    """PSNR of the seam against the untiled result."""
    worst_steps: float
    """Largest difference anywhere after the cut, in 8-bit steps."""


@dataclass(frozen=True)
class HaloProfile:
    """The errors of one model by halo. ``default`` and ``exact`` are the halos of its ``UpscaleModel``."""

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
        rows = (f"{error.halo:6} {error.seam_db:10.1f} {error.worst_steps:14.4f}" for error in self.errors)
        return "\n".join([head, f"{'halo':>6} {'seam, dB':>10} {'worst, steps':>14}", *rows])


def measure_halo_errors(
    name: str,
    model: UpscaleModel,
    weights: str,
    device: torch.device,
    images: Sequence[Floats] = (),
    halos: Sequence[int] = HALOS,
) -> HaloProfile:
    """Measure ``model`` in fp32 on the top left 48 rows of each image (H, W, 3), or on a synthetic image.

    Halos are rounded up to the model's window. Images that are too narrow are skipped.
    """
    rounded_halos = sorted({-(-halo // model.window) * model.window for halo in halos})
    cut = max(rounded_halos) + model.window
    strips = [
        strip
        for image in images or [make_test_image(Size(cut + _COLUMNS_BEHIND, _ROWS))]
        if (strip := image[:_ROWS, : cut + _COLUMNS_BEHIND]).shape[1] == cut + _COLUMNS_BEHIND
    ]
    with closing(open_backend("torch", model, device, "fp32")) as backend:
        found = list(_iterate_errors(backend, model, strips, rounded_halos, cut))
    return HaloProfile(name, model.architecture, weights, model.halo, model.exact_halo, tuple(found))


def measure_needed_halo(name: str, model: UpscaleModel) -> tuple[int, str]:
    """Return the halo that ``model`` needs, and how it is known, in words.

    Where the receptive field is known and small it is that; else the smallest halo that leaves at most half an 8-bit step
    behind a cut in the sample photograph.
    """
    if model.exact_halo is not None and model.exact_halo <= DEFAULT_HALO:
        return model.exact_halo, "its receptive field, so tiles are exact"
    sample = _to_rgb(read_image_file(SAMPLE_IMAGE).pixels)
    strip = np.ascontiguousarray(sample[_SAMPLE_TOP:])
    errors = measure_halo_errors(name, model, "its own", torch.device("cpu"), [strip], _NEEDED_HALOS).errors
    for error in errors:
        if error.worst_steps <= _MOST_STEPS:
            return error.halo, f"measured, at most {error.worst_steps:.2f} steps of 255 beside a cut"
    worst = errors[-1]
    return worst.halo, f"measured, but {worst.worst_steps:.1f} steps of 255 remain beside a cut: it looks at the whole tile"


def profile_model(name: str, folders: Sequence[Path], device: str, images: Sequence[Path]) -> HaloProfile:
    """Measure a model by its name on image files.

    Raises what ``load_or_generate``, ``read_image_file`` and ``resolve_device`` raise.
    """
    descriptor, is_generated = load_or_generate(name, folders)
    pixels = [_to_rgb(read_image_file(path).pixels) for path in images]
    weights = "generated" if is_generated else "its own"
    return measure_halo_errors(name, UpscaleModel.from_descriptor(descriptor), weights, resolve_device(device), pixels)


def _to_rgb(pixels: Floats) -> Floats:
    """Return (H, W, 3) of an image with 1 to 4 channels."""
    channels = pixels.shape[2]
    return np.array(np.broadcast_to(pixels[:, :, : 1 if channels < 3 else 3], (*pixels.shape[:2], 3)), np.float32)


def _iterate_errors(
    backend: Backend, model: UpscaleModel, strips: Sequence[Floats], halos: Sequence[int], cut: int
) -> Iterator[HaloError]:
    scale = model.scale
    untiled = [backend.run(strip[None])[0][:, cut * scale :] for strip in strips]
    for halo in halos:
        seam, worst = _MAX_DB, 0.0
        for strip, expected in zip(strips, untiled, strict=True):
            tile = backend.run(strip[None, :, cut - halo :])[0][:, halo * scale :]
            columns = slice(SEAM_COLUMNS * scale)
            seam = min(seam, compute_psnr(tile[:, columns], expected[:, columns]))
            worst = max(worst, float(np.abs(tile - expected).max()) * 255)
        yield HaloError(halo, seam, worst)
