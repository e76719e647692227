"""The sizes that an engine takes: from the smallest, tuned for the best, to the largest."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import WorkflowError

MIN_SIDE = 32


@dataclass(frozen=True)
class ShapeProfile:
    """(height, width) of what the network sees, halo included; ``tile`` is the core of the largest. Batches are of one."""

    tile: int
    min: tuple[int, int]
    opt: tuple[int, int]
    max: tuple[int, int]

    @property
    def is_fixed(self) -> bool:
        return self.min == self.max


def make_profile_for_tile(tile: int, halo: int, multiple: int, *, fixed: bool) -> ShapeProfile:
    """For tiles of ``tile`` pixels with ``halo`` on each side, in a network that takes multiples of ``multiple``.

    Tuned for the whole tile: most tiles of a picture are of that size, and none is larger. Raises ``WorkflowError``.
    """
    if tile < MIN_SIDE:
        raise WorkflowError(f"A tile of {tile} pixels is too small.", f"Use at least {MIN_SIDE}.")
    side = -(-(tile + 2 * halo) // multiple) * multiple
    smallest = side if fixed else -(-MIN_SIDE // multiple) * multiple
    return ShapeProfile(tile, (smallest, smallest), (side, side), (side, side))


def make_profile_for_fixed_size(size: tuple[int, int], halo: int) -> ShapeProfile:
    """Of an ONNX file that takes one (height, width) only. Raises ``WorkflowError`` where the halo leaves nothing of it."""
    tile = min(size) - 2 * halo
    if tile < MIN_SIDE:
        raise WorkflowError(
            f"The ONNX file takes {size[1]}x{size[0]} pixels; a halo of {halo} leaves too little of that.",
            "Export it for a larger tile.",
        )
    return ShapeProfile(tile, size, size, size)
