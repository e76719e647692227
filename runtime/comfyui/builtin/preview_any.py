"""Any value as text, as ComfyUI's PreviewAny shows it."""

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

_TENSOR_EDGE_ITEMS = 6  # torch's ``edgeitems``: what PreviewAny shows of a large tensor


def format_value(value: Any) -> str:
    """Return text as it is, numbers as Python prints them, else JSON where possible, else ``str(value)``."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, int | float):
        return str(value)
    try:
        return json.dumps(value, indent=4)
    except Exception:  # not a JSON value, or circular
        return _print_value(value)


def _print_value(value: Any) -> str:
    torch: Any = sys.modules.get("torch")  # not imported: there is no tensor to print
    # Not torch.set_printoptions, which loses the setting for scientific notation.
    print_options: AbstractContextManager[object] = (
        torch._tensor_str.printoptions(edgeitems=_TENSOR_EDGE_ITEMS) if torch else nullcontext()
    )
    try:
        with print_options:
            return str(value)
    except Exception:  # a foreign __str__ may raise anything
        return "source exists, but could not be serialized."
