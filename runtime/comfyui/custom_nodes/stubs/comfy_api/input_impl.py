"""``comfy_api.input_impl``: videos, under an older name."""

from typing import Any

from . import latest


def __getattr__(name: str) -> Any:
    return getattr(latest, name)
