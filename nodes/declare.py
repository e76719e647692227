"""How an input is declared: ComfyUI's V1 tuples, said in one line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Input = tuple[Any, dict[str, Any]]


def wire_input(wire_type: str, tooltip: str) -> Input:
    """A value that only another node can give."""
    return wire_type, {"tooltip": tooltip}


def choice_input(options: Sequence[str], default: str, tooltip: str, **extra: Any) -> Input:
    """One of several words."""
    return list(options), {"default": default, "tooltip": tooltip, **extra}


def int_input(default: int, minimum: int, maximum: int, tooltip: str, **extra: Any) -> Input:
    """A whole number from ``least`` to ``most``."""
    return "INT", {"default": default, "min": minimum, "max": maximum, "tooltip": tooltip, **extra}


def seconds_input(default: float, tooltip: str, **extra: Any) -> Input:
    """A time from the beginning, to the millisecond."""
    return "FLOAT", {"default": default, "min": 0.0, "max": 1e6, "step": 0.001, "round": 0.001, "tooltip": tooltip, **extra}


def text_input(default: str, tooltip: str, **extra: Any) -> Input:
    """One line of text."""
    return "STRING", {"default": default, "tooltip": tooltip, **extra}
