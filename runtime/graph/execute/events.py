"""The events of a run.

``node_id`` is the node that ran: of the workflow, or added during the run. ``display_node_id`` is always a node of the
workflow. ``title`` comes from the canvas.
"""

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
    """A node is called. Async nodes may overlap: another can start before this one has finished."""


@dataclass(frozen=True)
class NodeCached(NodeEvent):
    """A node need not run, because an equal node did, in this run or an earlier one. ``ui`` as in ``NodeFinished``."""

    ui: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])


@dataclass(frozen=True)
class NodeBlocked(NodeEvent):
    """A node was not called, because an ``ExecutionBlocker`` with this message reached it. The run continues."""

    message: str


@dataclass(frozen=True)
class NodeFinished(NodeEvent):
    """A node has run. ``ui`` is what it displays: ``{"images": [{"filename": ..., "subfolder": ..., "type": ...}]}``."""

    seconds: float
    ui: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])


@dataclass(frozen=True)
class NodeFailed(NodeEvent):
    """A node failed. ``lost_outputs`` are the outputs of the workflow that depend on it."""

    error: Upscale8KError
    lost_outputs: tuple[str, ...] = ()
