"""What the tiled engine must know about a network, whoever loaded it.

Sizes and alignments follow from the architecture and are derived from the descriptor alone, so a value from ComfyUI's own
loader is as good as ours. The catalog adds what somebody measured, for a file whose derived facts agree with its entry.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from .catalog import CatalogEntry
from .load import Descriptor, get_provenance
from .provenance import Provenance
from .spandrel_import import ImageModelDescriptor

DEFAULT_HALO = 64
"""For a network whose reach is not known, endless, or too wide to pay for.

Measured with real weights, against the untiled result, in the first 8 columns next to a cut:

* RRDB-23, two photographs: 70 dB, at most 0.6 of an 8-bit step beyond the halo.
* DAT-light x2 and x4, 160x64 crops of three photographs, cut at column 96: 60 to 70 dB, at most 2.5 steps. A halo of 32
  gives 57 to 63 dB and 5.3 steps, none 47 to 57 dB and 17 steps. With a halo of 60, which puts the tile off the grid of
  its windows, it is only 55 to 62 dB. Its channel attention looks at the whole tile, so no halo makes it exact: on the
  worst of three larger photographs (``bench halo DAT_light_x4.pth``) single pixels are off by 19 steps without a halo, 11
  with 32, 10 with 64, 9 with 96 and 10 with 128, at 42, 54, 57, 60 and 65 dB.
"""
SHALLOW_RRDB_BLOCKS = 6
SHALLOW_RRDB_HALO = 48
"""RRDB-6: within 0.42 of an 8-bit step beyond it."""
_PERIODS = {"SCUNet": 64}
"""Architectures whose period is written into their code and stands in no setting."""


@dataclass(frozen=True)
class UpscaleModel:
    """A loaded model and its facts. Lengths are in input pixels."""

    descriptor: Descriptor
    """Takes (N, input_channels, H, W) in 0..1 and gives (N, output_channels, H * scale, W * scale)."""
    scale: int
    input_channels: int
    output_channels: int
    minimum: int
    """Width and height below this are padded by the network itself."""
    multiple: int
    """Width and height are padded to a multiple of this."""
    window: int
    """A tile, its halo included, begins at a multiple of this; 1 for a plain convolutional network."""
    halo: int
    """Default context on each side of a tile; a multiple of ``window``."""
    exact_halo: int | None
    """From this halo on a tile equals the untiled result; a multiple of ``window``. None when that is unknown or never so."""
    half_safe: bool
    bfloat16_safe: bool
    architecture: str
    provenance: Provenance | None

    @classmethod
    def from_descriptor(cls, descriptor: Descriptor) -> UpscaleModel:
        """The facts of any spandrel image model. Raises ``TypeError`` for a value of another kind."""
        if not isinstance(descriptor, ImageModelDescriptor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"an upscale model is spandrel's ImageModelDescriptor, not {type(descriptor).__name__}")
        window, radius = _compute_window(descriptor), _compute_receptive_radius(descriptor)
        exact = None if radius is None else _round_up(radius, window)
        halo = _round_up(_choose_default_halo(descriptor, exact), window)
        provenance = get_provenance(descriptor)
        entry = _find_matching_entry(provenance, descriptor, window, exact)
        return cls(
            descriptor=descriptor,
            scale=descriptor.scale,
            input_channels=descriptor.input_channels,
            output_channels=descriptor.output_channels,
            minimum=descriptor.size_requirements.minimum,
            multiple=_compute_multiple(descriptor, window),
            window=window,
            halo=entry.halo if entry else halo,
            exact_halo=exact,
            half_safe=entry.half_safe if entry else descriptor.supports_half,
            bfloat16_safe=entry.bfloat16_safe if entry else descriptor.supports_bfloat16,
            architecture=descriptor.architecture.id,
            provenance=provenance,
        )


def _find_matching_entry(
    provenance: Provenance | None, descriptor: Descriptor, window: int, exact: int | None
) -> CatalogEntry | None:
    """The catalog entry that the file's name claims, unless the network inside is another one."""
    entry = provenance.entry if provenance else None
    if entry is None:
        return None
    claimed = (entry.architecture, entry.scale, entry.window, entry.exact_halo)
    return entry if claimed == (descriptor.architecture.id, descriptor.scale, window, exact) else None


def _compute_window(descriptor: Descriptor) -> int:
    """The period of the network in space: the grid of its attention windows and of its size multiple."""
    hyperparameters = _get_hyperparameters(descriptor)
    sizes = [descriptor.size_requirements.multiple_of, _PERIODS.get(descriptor.architecture.id, 1)]
    for name in ("window_size", "split_size"):
        sizes += _to_integers(hyperparameters.get(name))
    return math.lcm(*sizes) * _get_swinir_unshuffle_factor(hyperparameters)


def _to_integers(value: object) -> list[int]:
    values = cast("Sequence[object]", value) if isinstance(value, (list, tuple)) else (value,)
    return [number for number in values if isinstance(number, int)]


def _compute_multiple(descriptor: Descriptor, window: int) -> int:
    """spandrel's own, but for a SwinIR with pixel unshuffle: it pads before the unshuffle and then finds no whole windows."""
    return (
        window
        if _get_swinir_unshuffle_factor(_get_hyperparameters(descriptor)) > 1
        else descriptor.size_requirements.multiple_of
    )


def _compute_receptive_radius(descriptor: Descriptor) -> int | None:
    """The receptive field on the worse side, for the architectures where it is finite and known."""
    hyperparameters = _get_hyperparameters(descriptor)
    architecture = descriptor.architecture.id
    if architecture == "Compact":
        return int(hyperparameters["num_conv"]) + 2  # every 3x3 convolution reaches one pixel further
    if architecture == "ESRGAN":
        return _compute_rrdb_radius(int(hyperparameters["num_blocks"]), int(hyperparameters["scale"])) * _get_unshuffle_factor(
            descriptor
        )
    if architecture == "SwinIR":
        return _compute_swinir_radius(hyperparameters)
    return None


def _choose_default_halo(descriptor: Descriptor, exact: int | None) -> int:
    architecture = descriptor.architecture.id
    halo = DEFAULT_HALO
    if architecture == "Compact" and exact is not None:
        return exact
    if architecture == "ESRGAN":
        shallow = int(_get_hyperparameters(descriptor)["num_blocks"]) <= SHALLOW_RRDB_BLOCKS
        halo = (SHALLOW_RRDB_HALO if shallow else DEFAULT_HALO) * _get_unshuffle_factor(descriptor)
    return halo if exact is None else min(halo, exact)


def _compute_rrdb_radius(blocks: int, scale: int) -> int:
    """RRDBNet: 15 convolutions in each block, one before and one after them, then the tail."""
    return 15 * blocks + 2 + _compute_nearest_tail_radius(scale)


def _compute_nearest_tail_radius(scale: int) -> int:
    """A tail of (nearest x2, convolution) steps and two convolutions at full size, as RRDBNet and SwinIR have it."""
    interval = _widen(_widen((0, scale - 1)))
    for _ in range(scale.bit_length() - 1):
        interval = _shrink(_widen(interval), 2)
    return max(-interval[0], interval[1])


def _compute_shuffle_tail_radius(scale: int) -> int:
    """A tail of (convolution, pixel shuffle) steps and one convolution at full size, as SwinIR has it."""
    interval = _widen((0, scale - 1))
    for factor in [3] if scale == 3 else [2] * (scale.bit_length() - 1):
        interval = _widen(_shrink(interval, factor))
    return max(-interval[0], interval[1])


# A reach is found by following the interval that one input pixel becomes in the output back through the network.


def _widen(interval: tuple[int, int]) -> tuple[int, int]:
    """Back through a 3x3 convolution."""
    return interval[0] - 1, interval[1] + 1


def _shrink(interval: tuple[int, int], factor: int) -> tuple[int, int]:
    """Back through an enlargement by ``factor``."""
    return interval[0] // factor, interval[1] // factor


def _compute_swinir_radius(hyperparameters: dict[str, Any]) -> int:
    """SwinIR: followed back from each position that a tile's edge may have in the window grid; the worst one counts.

    A convolution reaches one pixel further. Plain window attention reaches to the edge of the window, the shifted one
    (every second layer) to the edge of a grid that is moved by half a window.
    """
    window = int(hyperparameters["window_size"])
    per_group = 1 if hyperparameters["resi_connection"] == "1conv" else 2  # 3x3, or 3x3 - 1x1 - 3x3
    tail = per_group + _compute_swinir_tail_radius(str(hyperparameters["upsampler"]), int(hyperparameters["upscale"]))
    worst = 0
    for edge in range(window):
        left = edge - tail
        for depth in reversed(cast("Sequence[int]", hyperparameters["depths"])):
            left -= per_group
            for layer in reversed(range(depth)):
                shift = window // 2 if layer % 2 else 0
                left = (left - shift) // window * window + shift
        worst = max(worst, edge - (left - 1))
    return worst * _get_swinir_unshuffle_factor(hyperparameters)


def _compute_swinir_tail_radius(upsampler: str, upscale: int) -> int:
    if upsampler == "nearest+conv":  # one convolution before, then as RRDBNet
        return 1 + _compute_nearest_tail_radius(upscale)
    if upsampler == "pixelshuffle":  # one before; each step's convolution comes before its shuffle
        return 1 + _compute_shuffle_tail_radius(upscale)
    return 1  # "pixelshuffledirect" and restoration: one convolution at input size


def _get_unshuffle_factor(descriptor: Descriptor) -> int:
    return int(_get_hyperparameters(descriptor).get("shuffle_factor") or 1)


def _get_swinir_unshuffle_factor(hyperparameters: dict[str, Any]) -> int:
    return int(hyperparameters.get("start_unshuffle", 1))


def _get_hyperparameters(descriptor: Descriptor) -> dict[str, Any]:
    """The arguments that spandrel built the network with; every one of its architectures keeps them."""
    return cast("dict[str, Any]", getattr(descriptor.model, "hyperparameters", {}))


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step
