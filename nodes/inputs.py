"""How an input is declared: ComfyUI's V1 tuples, said in one line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Input = tuple[Any, dict[str, Any]]


def wire(kind: str, tooltip: str) -> Input:
    """A value that only another node can give."""
    return kind, {"tooltip": tooltip}


def choice(options: Sequence[str], default: str, tooltip: str, **more: Any) -> Input:
    """One of several words."""
    return list(options), {"default": default, "tooltip": tooltip, **more}


def integer(default: int, least: int, most: int, tooltip: str, **more: Any) -> Input:
    """A whole number from ``least`` to ``most``."""
    return "INT", {"default": default, "min": least, "max": most, "tooltip": tooltip, **more}


def seconds(default: float, tooltip: str, **more: Any) -> Input:
    """A time from the beginning, to the millisecond."""
    return "FLOAT", {"default": default, "min": 0.0, "max": 1e6, "step": 0.001, "round": 0.001, "tooltip": tooltip, **more}


def text(default: str, tooltip: str, **more: Any) -> Input:
    """One line of text."""
    return "STRING", {"default": default, "tooltip": tooltip, **more}
