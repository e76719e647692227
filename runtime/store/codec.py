"""Values as JSON and a list of tensors. Only what comes back exactly as it was is taken; everything else is ``Unstorable``."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any, cast


class Unstorable(Exception):
    """A value has no safe form: a model, a film, an object of some class."""


def pack(value: Any, tensors: list[Any]) -> Any:
    """JSON for a value made of numbers, text, lists, tuples, dicts and CPU tensors; the tensors are added to the list.

    A tensor goes into the list with its axes in the order in which they lie in memory, one after the other without gaps: how
    they lie decides which kernels run on it, and so its last bits. Raises ``Unstorable``.
    """
    kind = cast("type[Any]", type(value))
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if kind in (list, tuple):
        return {kind.__name__: [pack(one, tensors) for one in cast("Sequence[Any]", value)]}
    if kind is dict:
        items = cast("dict[Any, Any]", value)
        if not all(type(key) is str for key in items):
            raise Unstorable("a dict with keys that are not text")
        return {"dict": [[key, pack(one, tensors)] for key, one in items.items()]}
    order, flat = _laid_out(value)
    tensors.append(flat)
    return {"tensor": len(tensors) - 1, "axes": order}


def unpack(packed: Any, tensors: Sequence[Any]) -> Any:
    """What ``pack`` was given. Raises ``ValueError`` and its like for anything that ``pack`` does not write."""
    if packed is None or isinstance(packed, bool | int | float | str):
        return packed
    if not isinstance(packed, dict):
        raise ValueError(f"{type(packed).__name__} is no kind of value")
    fields = cast("dict[str, Any]", packed)
    if "tensor" in fields:
        return _as_it_was(tensors[fields["tensor"]], fields["axes"])
    ((kind, content),) = fields.items()
    if kind == "float":
        return float(content)
    if kind == "dict":
        return {key: unpack(one, tensors) for key, one in content}
    items = [unpack(one, tensors) for one in content]
    if kind not in ("list", "tuple"):
        raise ValueError(f"{kind} is no kind of value")
    return items if kind == "list" else tuple(items)


def dtype_names() -> dict[Any, str]:
    """torch's types that are kept, and safetensors' names for them."""
    import torch

    return {
        torch.float64: "F64",
        torch.float32: "F32",
        torch.float16: "F16",
        torch.bfloat16: "BF16",
        torch.int64: "I64",
        torch.int32: "I32",
        torch.int16: "I16",
        torch.int8: "I8",
        torch.uint8: "U8",
        torch.bool: "BOOL",
    }


def _laid_out(value: Any) -> tuple[list[int], Any]:
    """The axes in the order of memory, and the tensor so permuted. A view with gaps is copied without them."""
    torch: Any = sys.modules.get("torch")
    if torch is None or type(value) is not torch.Tensor:
        raise Unstorable(type(value).__name__)
    if value.layout != torch.strided or value.device.type != "cpu" or value.requires_grad or value.is_neg():
        raise Unstorable("a tensor that is not plain memory")
    if value.dtype not in dtype_names():
        raise Unstorable(f"a tensor of {value.dtype}")
    strides = value.stride()
    order = sorted(range(value.dim()), key=lambda axis: -strides[axis])
    if not value.permute(order).is_contiguous():
        order = list(range(value.dim()))
    permuted = value.permute(order).contiguous()
    # Through one axis: the strides of axes of length 1 are free, and must not depend on where the tensor came from.
    return order, permuted.reshape(-1).view(permuted.shape)


def _as_it_was(tensor: Any, order: Sequence[int]) -> Any:
    back = sorted(range(len(order)), key=lambda place: order[place])
    return tensor.permute(back) if order else tensor
