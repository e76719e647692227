"""V1 node classes around plain functions, and runs of prompts made of them."""

from collections.abc import Mapping
from typing import Any

from upscale8k.runtime.graph.execute import Event, Finished, Started, execute
from upscale8k.runtime.graph.plan import plan


def node(
    function: Any, returns: tuple[str, ...] = ("X",), required: Mapping[str, Any] | None = None, **attributes: Any
) -> type:
    """A V1 node class around a function."""
    declared = {"required": dict(required or {}), "hidden": attributes.pop("hidden", {})}
    body = {"FUNCTION": "run", "RETURN_TYPES": returns, "run": lambda self, **kwargs: function(**kwargs)}
    return type("Node", (), body | {"INPUT_TYPES": classmethod(lambda cls: declared)} | attributes)


def run(prompt: dict[str, Any], catalog: Mapping[str, type], **more: Any) -> list[Event]:
    return list(execute(plan(prompt, catalog), catalog, **more))


def shown(events: list[Event]) -> dict[str, Any]:
    return {event.node_id: event.ui for event in events if isinstance(event, Finished)}


NUMBERS = node(lambda: ([1, 2, 3],), OUTPUT_IS_LIST=(True,))
SHOW = node(lambda value: {"ui": {"seen": [value]}}, (), {"value": ("*",)}, OUTPUT_NODE=True)


def started(events: list[Event]) -> list[str]:
    return [event.node_id for event in events if isinstance(event, Started)]


class Picture:
    """Stands for 400 MB."""
