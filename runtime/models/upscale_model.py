"""The properties of a network that the tiled engine needs.

Sizes and alignments are derived from the descriptor alone, so a descriptor from ComfyUI's loader works as well as ours. For a
file whose derived properties match its catalog entry, the measured values of the catalog are added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from .catalog import CatalogEntry
from .chain import ChainNetwork, combine_periods
from .load import Descriptor, get_provenance
from .locate import Provenance
from .spandrel_import import ImageModelDescriptor

DEFAULT_HALO = 64
"""For a network whose receptive field is unknown, infinite, or too large to compute.

Measured with real weights, against the untiled result, in the first 8 columns next to a cut:

* RRDB-23, two photographs: 70 dB, at most 0.6 of an 8-bit step beyond the halo.
* DAT-light x2 and x4, 160x64 crops of three photographs, cut at column 96: 60 to 70 dB, at most 2.5 steps. A halo of 32
  gives 57 to 63 dB and 5.3 steps, no halo 47 to 57 dB and 17 steps. A halo of 60, which moves the tile off its window grid,
  gives only 55 to 62 dB. Its channel attention covers the whole tile, so no halo makes it exact: on the worst of three
  larger photographs (``bench halo DAT_light_x4.pth``) single pixels are off by 19 steps without a halo, 11 with 32, 10 with
  64, 9 with 96 and 10 with 128, at 42, 54, 57, 60 and 65 dB.
"""
SHALLOW_RRDB_BLOCKS = 6
SHALLOW_RRDB_HALO = 48
"""RRDB-6: within 0.42 of an 8-bit step beyond it."""
_PERIODS = {"SCUNet": 64}
"""Architectures whose period is constant in their code and not a hyperparameter."""


@dataclass(frozen=True)
class UpscaleModel:
    """A loaded model and its properties. Lengths are in input pixels."""

    descriptor: Descriptor
    """Maps (N, input_channels, H, W) in 0..1 to (N, output_channels, H * scale, W * scale)."""
    scale: int
    input_channels: int
    output_channels: int
    minimum: int
    """The network itself pads a smaller width or height."""
    multiple: int
    """Width and height are padded to a multiple of this."""
    window: int
    """A tile with its halo starts at a multiple of this; 1 for a plain convolutional network."""
    halo: int
    """Default context on each side of a tile; a multiple of ``window``."""
    exact_halo: int | None
    """Smallest halo with which a tile equals the untiled result, a multiple of ``window``. None if unknown or impossible."""
    half_safe: bool
    bfloat16_safe: bool
    architecture: str
    provenance: Provenance | None
    inner_scale: int = 1
    """Enlargement before the last stage of a chain, whose tiles are larger by it."""

    @classmethod
    def from_descriptor(cls, descriptor: Descriptor) -> UpscaleModel:
        """Derive the properties of any spandrel image model. Raises ``TypeError`` for another type of value."""
        if not isinstance(descriptor, ImageModelDescriptor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"an upscale model must be spandrel's ImageModelDescriptor, not {type(descriptor).__name__}")
        if isinstance(descriptor.model, ChainNetwork):
            return _combine_stages(descriptor, descriptor.model)
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


def _combine_stages(descriptor: Descriptor, network: ChainNetwork) -> UpscaleModel:
    """Return the properties of a chain: the context of each stage counts in the source's pixels, rounded up."""
    scales = list(network.iterate_scales())
    stages = [UpscaleModel.from_descriptor(stage) for stage in network.stages]
    window = combine_periods([stage.window for stage in stages], scales)

    def total(halos: Sequence[int]) -> int:
        return _round_up(sum(-(-halo // before) for halo, before in zip(halos, scales, strict=True)), window)

    exact = [stage.exact_halo for stage in stages if stage.exact_halo is not None]
    return UpscaleModel(
        descriptor=descriptor,
        scale=descriptor.scale,
        input_channels=3,
        output_channels=3,
        minimum=descriptor.size_requirements.minimum,
        multiple=descriptor.size_requirements.multiple_of,
        window=window,
        halo=total([stage.halo for stage in stages]),
        exact_halo=total(exact) if len(exact) == len(stages) else None,
        half_safe=all(stage.half_safe for stage in stages),
        bfloat16_safe=all(stage.bfloat16_safe for stage in stages),
        architecture=descriptor.architecture.id,
        provenance=get_provenance(descriptor),
        inner_scale=scales[-1],
    )


def _find_matching_entry(
    provenance: Provenance | None, descriptor: Descriptor, window: int, exact: int | None
) -> CatalogEntry | None:
    """Return the catalog entry of the file's name; None if the network in the file is another one."""
    entry = provenance.entry if provenance else None
    if entry is None:
        return None
    expected = (entry.architecture, entry.scale, entry.window, entry.exact_halo)
    return entry if expected == (descriptor.architecture.id, descriptor.scale, window, exact) else None


def _compute_window(descriptor: Descriptor) -> int:
    """Return the spatial period of the network: the grid of its attention windows and its size multiple."""
    hyperparameters = _get_hyperparameters(descriptor)
    sizes = [descriptor.size_requirements.multiple_of, _PERIODS.get(descriptor.architecture.id, 1)]
    for name in ("window_size", "split_size"):
        sizes += _to_integers(hyperparameters.get(name))
    return math.lcm(*sizes) * _get_swinir_unshuffle_factor(hyperparameters)


def _to_integers(value: object) -> list[int]:
    values = cast("Sequence[object]", value) if isinstance(value, (list, tuple)) else (value,)
    return [number for number in values if isinstance(number, int)]


def _compute_multiple(descriptor: Descriptor, window: int) -> int:
    """Return spandrel's multiple, except for SwinIR with pixel unshuffle, which pads too early to get whole windows."""
    return (
        window
        if _get_swinir_unshuffle_factor(_get_hyperparameters(descriptor)) > 1
        else descriptor.size_requirements.multiple_of
    )


def _compute_receptive_radius(descriptor: Descriptor) -> int | None:
    """Return the receptive field on its larger side; None if it is infinite or unknown."""
    hyperparameters = _get_hyperparameters(descriptor)
    architecture = descriptor.architecture.id
    if architecture == "Compact":
        return int(hyperparameters["num_conv"]) + 2  # every 3x3 convolution adds one pixel
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
    """Return RRDBNet's radius: 15 convolutions in each block, one before and one after them, then the tail."""
    return 15 * blocks + 2 + _compute_nearest_tail_radius(scale)


def _compute_nearest_tail_radius(scale: int) -> int:
    """Return the radius of RRDBNet's and SwinIR's tail: (nearest x2, convolution) steps, two convolutions at full size."""
    interval = _widen(_widen((0, scale - 1)))
    for _ in range(scale.bit_length() - 1):
        interval = _shrink(_widen(interval), 2)
    return max(-interval[0], interval[1])


def _compute_shuffle_tail_radius(scale: int) -> int:
    """Return the radius of SwinIR's tail: (convolution, pixel shuffle) steps and one convolution at full size."""
    interval = _widen((0, scale - 1))
    for factor in [3] if scale == 3 else [2] * (scale.bit_length() - 1):
        interval = _widen(_shrink(interval, factor))
    return max(-interval[0], interval[1])


# A radius is found by propagating the output interval of one input pixel back through the network.


def _widen(interval: tuple[int, int]) -> tuple[int, int]:
    """Propagate an interval back through a 3x3 convolution."""
    return interval[0] - 1, interval[1] + 1


def _shrink(interval: tuple[int, int], factor: int) -> tuple[int, int]:
    """Propagate an interval back through an enlargement by ``factor``."""
    return interval[0] // factor, interval[1] // factor


def _compute_swinir_radius(hyperparameters: dict[str, Any]) -> int:
    """Return SwinIR's radius: the largest over all positions of a tile's edge in the window grid.

    A convolution adds one pixel. Plain window attention extends to the edge of the window, shifted attention (every second
    layer) to the edge of a grid that is moved by half a window.
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
    """Return the arguments with which spandrel built the network; all of its architectures store them."""
    return cast("dict[str, Any]", getattr(descriptor.model, "hyperparameters", {}))


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step
