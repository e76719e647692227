"""What a run says while it runs.

``node_id`` is the node that ran: one of the workflow, or one that joined during the run. ``shown_as`` is always a node of
the workflow. ``title`` is that of the canvas.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...errors import Upscale8KError


@dataclass(frozen=True)
class NodeEvent:
    node_id: str
    class_type: str
    title: str | None
    display_node_id: str


@dataclass(frozen=True)
class NodeStarted(NodeEvent):
    """A node is called. Async ones may overlap: another may start before this one has finished."""


@dataclass(frozen=True)
class NodeCached(NodeEvent):
    """A node need not run: an equal node has, in this run or in an earlier one. ``ui`` as for ``Finished``."""

    ui: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])


@dataclass(frozen=True)
class NodeBlocked(NodeEvent):
    """A node was not called, because an ``ExecutionBlocker`` with this message reached it. The run goes on."""

    message: str


@dataclass(frozen=True)
class NodeFinished(NodeEvent):
    """``ui`` is what the node shows, such as ``{"images": [{"filename": ..., "subfolder": ..., "type": ...}]}``."""

    seconds: float
    ui: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])


@dataclass(frozen=True)
class NodeFailed(NodeEvent):
    """A node failed. ``lost`` are the outputs of the workflow that cannot be had without it."""

    error: Upscale8KError
    lost_outputs: tuple[str, ...] = ()
