"""The host and the nodes that the stand-ins answer with, while they stand in."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import HardwareMissing
from ...host import Host


@dataclass(frozen=True)
class StubContext:
    """``core`` are the nodes that no pack may overwrite; ``catalog`` also holds those of the packs loaded so far, and
    ``packs`` are the folders, or files, of these."""

    host: Host
    builtin_nodes: Mapping[str, type]
    catalog: dict[str, type] = field(default_factory=dict[str, type])
    packs: list[Path] = field(default_factory=list[Path])


context_stack: list[StubContext] = []
importing: ContextVar[bool] = ContextVar("upscale8k_importing", default=False)
"""Whether a pack is being imported, and has not yet been asked for its nodes."""


def get_context() -> StubContext:
    """Raises ``HardwareMissing`` when a pack's node runs outside ``stand_in``."""
    if not context_stack:
        raise HardwareMissing(
            "A node of a ComfyUI pack was used after its run had ended.", "Start the run again.", feature="ComfyUI"
        )
    return context_stack[-1]


def get_host() -> Host:
    return get_context().host
