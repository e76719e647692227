"""V1 node classes around plain functions, and runs of prompts made of them."""

from collections.abc import Mapping
from typing import Any

from upscale8k.runtime.graph.execute.events import NodeEvent, NodeFinished, NodeStarted
from upscale8k.runtime.graph.execute.executor import execute_plan
from upscale8k.runtime.graph.execute.plan import make_plan


def node(
    function: Any, returns: tuple[str, ...] = ("X",), required: Mapping[str, Any] | None = None, **attributes: Any
) -> type:
    """A V1 node class around a function."""
    declared = {"required": dict(required or {}), "hidden": attributes.pop("hidden", {})}
    body = {"FUNCTION": "run", "RETURN_TYPES": returns, "run": lambda self, **kwargs: function(**kwargs)}
    return type("Node", (), body | {"INPUT_TYPES": classmethod(lambda cls: declared)} | attributes)


def run(prompt: dict[str, Any], catalog: Mapping[str, type], **more: Any) -> list[NodeEvent]:
    return list(execute_plan(make_plan(prompt, catalog), catalog, **more))


def shown(events: list[NodeEvent]) -> dict[str, Any]:
    return {event.node_id: event.ui for event in events if isinstance(event, NodeFinished)}


NUMBERS = node(lambda: ([1, 2, 3],), OUTPUT_IS_LIST=(True,))
SHOW = node(lambda value: {"ui": {"seen": [value]}}, (), {"value": ("*",)}, OUTPUT_NODE=True)


def started(events: list[NodeEvent]) -> list[str]:
    return [event.node_id for event in events if isinstance(event, NodeStarted)]


class Image:
    """Stands for 400 MB."""
