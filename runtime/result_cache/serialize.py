"""Serialize values to JSON and a list of tensors. Values that would not come back identical are rejected."""

import math
import sys
from collections.abc import Sequence
from typing import Any, cast


class UnserializableError(Exception):
    """A value has no safe form: a model, a video, an object of some class."""


def serialize_value(value: Any, tensors: list[Any]) -> Any:
    """Return JSON for a value made of numbers, text, lists, tuples, dicts and CPU tensors; append the tensors to the list.

    A tensor is appended contiguous, with its axes in memory order: the memory layout decides which kernels later run on it,
    and so the last bits of their results. Raises ``UnserializableError``.
    """
    kind = cast("type[Any]", type(value))
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if kind in (list, tuple):
        return {kind.__name__: [serialize_value(one, tensors) for one in cast("Sequence[Any]", value)]}
    if kind is dict:
        items = cast("dict[Any, Any]", value)
        if not all(type(key) is str for key in items):
            raise UnserializableError("a dict with keys that are not text")
        return {"dict": [[key, serialize_value(one, tensors)] for key, one in items.items()]}
    order, flat = _flatten_tensor(value)
    tensors.append(flat)
    return {"tensor": len(tensors) - 1, "axes": order}


def deserialize_value(serialized: Any, tensors: Sequence[Any]) -> Any:
    """Return the value that ``serialize_value`` got. Raises ``ValueError`` and the like for damaged input."""
    if serialized is None or isinstance(serialized, bool | int | float | str):
        return serialized
    if not isinstance(serialized, dict):
        raise ValueError(f"unknown kind of value: {type(serialized).__name__}")
    fields = cast("dict[str, Any]", serialized)
    if "tensor" in fields:
        return _restore_axes(tensors[fields["tensor"]], fields["axes"])
    ((kind, content),) = fields.items()
    if kind == "float":
        return float(content)
    if kind == "dict":
        return {key: deserialize_value(one, tensors) for key, one in content}
    items = [deserialize_value(one, tensors) for one in content]
    if kind not in ("list", "tuple"):
        raise ValueError(f"unknown kind of value: {kind}")
    return items if kind == "list" else tuple(items)


def get_dtype_names() -> dict[Any, str]:
    """Return the supported torch dtypes with their safetensors names."""
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


def _flatten_tensor(value: Any) -> tuple[list[int], Any]:
    """Return the axes in memory order, and the tensor permuted so. A non-contiguous view is copied."""
    torch: Any = sys.modules.get("torch")
    if torch is None or type(value) is not torch.Tensor:
        raise UnserializableError(type(value).__name__)
    if value.layout != torch.strided or value.device.type != "cpu" or value.requires_grad or value.is_neg():
        raise UnserializableError("a tensor that is not plain memory")
    if value.dtype not in get_dtype_names():
        raise UnserializableError(f"a tensor of {value.dtype}")
    strides = value.stride()
    order = sorted(range(value.dim()), key=lambda axis: -strides[axis])
    if not value.permute(order).is_contiguous():
        order = list(range(value.dim()))
    permuted = value.permute(order).contiguous()
    # Reshaping to one axis and back normalizes the strides of axes of length 1, which torch leaves undefined.
    return order, permuted.reshape(-1).view(permuted.shape)


def _restore_axes(tensor: Any, order: Sequence[int]) -> Any:
    back = sorted(range(len(order)), key=lambda position: order[position])
    return tensor.permute(back) if order else tensor
