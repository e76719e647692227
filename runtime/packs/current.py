"""The host and the nodes that the stand-ins answer with, while they stand in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import HardwareMissing
from ..host import Host


@dataclass(frozen=True)
class Current:
    """``core`` are the nodes that no pack may overwrite; ``catalog`` also holds those of the packs loaded so far."""

    host: Host
    core: Mapping[str, type]
    catalog: dict[str, type] = field(default_factory=dict[str, type])


stack: list[Current] = []


def current() -> Current:
    """Raises ``HardwareMissing`` when a pack's node runs outside ``stand_in``."""
    if not stack:
        raise HardwareMissing(
            "A node of a ComfyUI pack was used after its run had ended.", "Start the run again.", feature="ComfyUI"
        )
    return stack[-1]


def host() -> Host:
    return current().host
