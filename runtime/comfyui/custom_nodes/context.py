"""The host and the nodes that the stubs use while they are installed."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import HardwareMissing
from ...host import Host


@dataclass(frozen=True)
class StubContext:
    """``builtin_nodes`` cannot be replaced by packs; ``catalog`` also holds the nodes of the packs loaded so far, and
    ``packs`` their folders or files."""

    host: Host
    builtin_nodes: Mapping[str, type]
    catalog: dict[str, type] = field(default_factory=dict[str, type])
    packs: list[Path] = field(default_factory=list[Path])


context_stack: list[StubContext] = []
importing: ContextVar[bool] = ContextVar("upscale8k_importing", default=False)
"""Whether a pack is being imported"""


def get_context() -> StubContext:
    """Return the current context. Raises ``HardwareMissing`` outside ``install_stubs``."""
    if not context_stack:
        raise HardwareMissing(
            "A node of a ComfyUI pack was used after its run had ended.", "Start the run again.", feature="ComfyUI"
        )
    return context_stack[-1]


def get_host() -> Host:
    return get_context().host
