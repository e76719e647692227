"""The catalog as ComfyUI's ``/object_info`` says it: one dict per node class, from the class alone.

The converter reads this shape, so it does the same with classes that are here and with a file saved from a server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast


def describe(class_id: str, cls: type, title: str | None = None) -> dict[str, Any]:
    """The ``/object_info`` entry of one V1 node class; ``title`` is its display name."""
    declared = cast("Mapping[str, Mapping[str, Any]]", getattr(cls, "INPUT_TYPES")())  # noqa: B009
    outputs = cast("Sequence[Any]", getattr(cls, "RETURN_TYPES", ()))
    entry: dict[str, Any] = {
        "input": declared,
        "input_order": {category: list(inputs) for category, inputs in declared.items()},
        "is_input_list": getattr(cls, "INPUT_IS_LIST", False),
        "output": list(outputs),
        "output_is_list": list(getattr(cls, "OUTPUT_IS_LIST", [False] * len(outputs))),
        "output_name": list(getattr(cls, "RETURN_NAMES", outputs)),
        "name": class_id,
        "display_name": title or class_id,
        "description": getattr(cls, "DESCRIPTION", ""),
        "python_module": getattr(cls, "RELATIVE_PYTHON_MODULE", cls.__module__),
        "category": getattr(cls, "CATEGORY", "sd"),
        "output_node": is_output(cls),
        "has_intermediate_output": getattr(cls, "HAS_INTERMEDIATE_OUTPUT", False) is True,
        "search_aliases": list(getattr(cls, "SEARCH_ALIASES", [])),
    }
    if hasattr(cls, "OUTPUT_TOOLTIPS"):
        entry["output_tooltips"] = list(cast("Any", cls).OUTPUT_TOOLTIPS)
    entry.update({name.lower(): True for name in ("DEPRECATED", "EXPERIMENTAL", "DEV_ONLY") if getattr(cls, name, False)})
    entry.update({name.lower(): getattr(cls, name) for name in ("API_NODE", "ESSENTIALS_CATEGORY") if hasattr(cls, name)})
    return entry


def describe_all(catalog: Mapping[str, type], titles: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """``describe`` for every class of a catalog."""
    return {class_id: describe(class_id, cls, titles.get(class_id)) for class_id, cls in catalog.items()}


def is_output(cls: type) -> bool:
    """True for classes whose nodes are the reason to run a workflow."""
    return getattr(cls, "OUTPUT_NODE", False) is True
