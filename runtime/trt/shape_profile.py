"""The optimization profile of an engine: the smallest and largest size that it takes, and the one it is tuned for."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import WorkflowError

MIN_SIDE = 32


@dataclass(frozen=True)
class ShapeProfile:
    """(height, width) of the network's input, halo included; ``tile`` is the largest without its halo. The batch size is 1."""

    tile: int
    min: tuple[int, int]
    opt: tuple[int, int]
    max: tuple[int, int]

    @property
    def is_fixed(self) -> bool:
        return self.min == self.max


def make_profile_for_tile(tile: int, halo: int, multiple: int, *, fixed: bool) -> ShapeProfile:
    """For tiles of ``tile`` pixels with ``halo`` on each side, in a network whose input sides are multiples of ``multiple``.

    Tuned for the whole tile: most tiles of an image have that size, and none is larger. Raises ``WorkflowError`` for a tile
    below 32.
    """
    if tile < MIN_SIDE:
        raise WorkflowError(f"A tile of {tile} pixels is too small.", f"Use at least {MIN_SIDE}.")
    side = -(-(tile + 2 * halo) // multiple) * multiple
    smallest = side if fixed else -(-MIN_SIDE // multiple) * multiple
    return ShapeProfile(tile, (smallest, smallest), (side, side), (side, side))


def make_profile_for_fixed_size(size: tuple[int, int], halo: int) -> ShapeProfile:
    """For an ONNX file with one input (height, width). Raises ``WorkflowError`` where the halo leaves less than 32 pixels."""
    tile = min(size) - 2 * halo
    if tile < MIN_SIDE:
        raise WorkflowError(
            f"The ONNX file takes {size[1]}x{size[0]} pixels, of which a halo of {halo} leaves less than {MIN_SIDE}.",
            "Export it for a larger tile.",
        )
    return ShapeProfile(tile, size, size, size)
