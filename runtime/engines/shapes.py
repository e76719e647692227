"""The sizes that an engine takes: from the smallest, tuned for the best, to the largest."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import WorkflowError

SMALLEST_SIDE = 32


@dataclass(frozen=True)
class Shapes:
    """(height, width) of what the network sees, halo included; ``tile`` is the core of the largest. Batches are of one."""

    tile: int
    least: tuple[int, int]
    best: tuple[int, int]
    most: tuple[int, int]

    @property
    def fixed(self) -> bool:
        return self.least == self.most


def shapes_for(tile: int, halo: int, multiple: int, *, fixed: bool) -> Shapes:
    """For tiles of ``tile`` pixels with ``halo`` on each side, in a network that takes multiples of ``multiple``.

    Tuned for the whole tile: most tiles of a picture are of that size, and none is larger. Raises ``WorkflowError``.
    """
    if tile < SMALLEST_SIDE:
        raise WorkflowError(f"A tile of {tile} pixels is too small.", f"Use at least {SMALLEST_SIDE}.")
    side = -(-(tile + 2 * halo) // multiple) * multiple
    smallest = side if fixed else -(-SMALLEST_SIDE // multiple) * multiple
    return Shapes(tile, (smallest, smallest), (side, side), (side, side))


def shapes_of_file(size: tuple[int, int], halo: int) -> Shapes:
    """Of an ONNX file that takes one (height, width) only. Raises ``WorkflowError`` where the halo leaves nothing of it."""
    tile = min(size) - 2 * halo
    if tile < SMALLEST_SIDE:
        raise WorkflowError(
            f"The ONNX file takes {size[1]}x{size[0]} pixels; a halo of {halo} leaves too little of that.",
            "Export it for a larger tile.",
        )
    return Shapes(tile, size, size, size)
