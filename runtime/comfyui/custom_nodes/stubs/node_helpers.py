"""``node_helpers``: small functions that packs call."""

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

Opened = TypeVar("Opened")


def pillow(fn: Callable[[Any], Opened], arg: Any) -> Opened:
    """Open an image; if that fails, try again with truncated files allowed."""
    from PIL import ImageFile

    try:
        return fn(arg)
    except (OSError, SyntaxError, ValueError):
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            return fn(arg)
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def hasher() -> Callable[..., Any]:
    return hashlib.sha256


def string_to_torch_dtype(string: str) -> Any:
    import torch

    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}.get(string)


def conditioning_set_values(conditioning: Any, values: dict[str, Any] | None = None, append: bool = False) -> list[Any]:
    """Return a copy of a conditioning, a list of ``[tensor, options]``, with options set or appended."""
    changed: list[Any] = []
    for tensor, options in conditioning:
        merged = dict(options)
        for key, value in (values or {}).items():
            merged[key] = [*merged[key], *value] if append and merged.get(key) is not None else value
        changed.append([tensor, merged])
    return changed


def image_alpha_fix(destination: Any, source: Any) -> tuple[Any, Any]:
    """Give the source the channels of the destination (B, H, W, C): add opaque alpha or drop channels."""
    import torch

    missing = destination.shape[-1] - source.shape[-1]
    if missing < 0:
        source = source[..., : destination.shape[-1]]
    elif missing > 0:
        source = torch.nn.functional.pad(source, (0, missing), value=1.0)
    return destination, source
