"""Whether the memory holds a result, asked before the first tile: a system that is short of memory ends a process unasked."""

from __future__ import annotations

from collections.abc import Sequence

import psutil

from ..errors import OutOfMemory
from ..frames.geometry import Size
from ..hardware.memory import memory
from ..models.facts import UpscaleModel
from ..models.load import Descriptor
from .target import route

_FLOAT = 4  # bytes


def bytes_of_result(shape: Sequence[int], scale: int, target: str) -> int:
    """What images (B, H, W, C) take at ``target`` as float32, with the picture before the last pass. Raises as ``route``."""
    count, height, width, channels = shape
    steps = route(Size(width, height), scale, target)
    before = (width * height * scale ** (2 * (steps.passes - 1))) if steps.passes > 1 else 0
    return (count * steps.final.pixels + before) * channels * _FLOAT


def expect_room(shape: Sequence[int], descriptor: Descriptor, target: str) -> None:
    """Raise ``OutOfMemory`` where the result of images (B, H, W, C) is larger than what is free."""
    wanted = bytes_of_result(shape, UpscaleModel.of(descriptor).scale, target)
    free = _free()
    if wanted > free:
        raise OutOfMemory(
            f"At {target} the result takes {wanted / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free.",
            "Choose a smaller target, or give fewer pictures at once." if shape[0] > 1 else "Choose a smaller target.",
            device="cpu",
            tile=0,
        )


def _free() -> int:
    """Bytes of memory, and of swap where no container has a limit: the machine's swap says nothing of what a limit allows."""
    found = memory()
    return found.available if found.limited else found.available + psutil.swap_memory().free
