"""The catalog as ComfyUI's ``/object_info`` says it: one dict per node class, from the class alone.

The converter reads this shape, so it does the same with classes that are here and with a file saved from a server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ..errors import WorkflowError


def describe_class(class_id: str, cls: type, title: str | None = None) -> dict[str, Any]:
    """The ``/object_info`` entry of one V1 node class; ``title`` is its display name."""
    input_types = cast("Mapping[str, Mapping[str, Any]]", getattr(cls, "INPUT_TYPES")())  # noqa: B009
    outputs = cast("Sequence[Any]", getattr(cls, "RETURN_TYPES", ()))
    entry: dict[str, Any] = {
        "input": input_types,
        "input_order": {category: list(inputs) for category, inputs in input_types.items()},
        "is_input_list": getattr(cls, "INPUT_IS_LIST", False),
        "output": list(outputs),
        "output_is_list": list(getattr(cls, "OUTPUT_IS_LIST", [False] * len(outputs))),
        "output_name": list(getattr(cls, "RETURN_NAMES", outputs)),
        "name": class_id,
        "display_name": title or class_id,
        "description": getattr(cls, "DESCRIPTION", ""),
        "python_module": getattr(cls, "RELATIVE_PYTHON_MODULE", cls.__module__),
        "category": getattr(cls, "CATEGORY", "sd"),
        "output_node": is_output_class(cls),
        "has_intermediate_output": getattr(cls, "HAS_INTERMEDIATE_OUTPUT", False) is True,
        "search_aliases": list(getattr(cls, "SEARCH_ALIASES", [])),
    }
    if hasattr(cls, "OUTPUT_TOOLTIPS"):
        entry["output_tooltips"] = list(cast("Any", cls).OUTPUT_TOOLTIPS)
    entry.update({name.lower(): True for name in ("DEPRECATED", "EXPERIMENTAL", "DEV_ONLY") if getattr(cls, name, False)})
    entry.update({name.lower(): getattr(cls, name) for name in ("API_NODE", "ESSENTIALS_CATEGORY") if hasattr(cls, name)})
    return entry


def describe_classes(catalog: Mapping[str, type], titles: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """``describe`` for every class of a catalog."""
    return {class_id: describe_class(class_id, cls, titles.get(class_id)) for class_id, cls in catalog.items()}


def is_output_class(cls: type) -> bool:
    """True for classes whose nodes are the reason to run a workflow."""
    return getattr(cls, "OUTPUT_NODE", False) is True


def build_declared_classes(object_info: Mapping[str, Mapping[str, Any]]) -> dict[str, type]:
    """Classes that can be checked but not run, from ``/object_info`` entries.

    Raises ``WorkflowError`` for an entry that ComfyUI does not write.
    """
    return {class_id: _build_declared_class(class_id, entry) for class_id, entry in object_info.items()}


def _build_declared_class(class_id: str, entry: Any) -> type:
    fields: Mapping[str, Any] = cast("Mapping[str, Any]", entry) if isinstance(entry, Mapping) else {}
    input_field: Any = fields.get("input")
    outputs: Any = fields.get("output")
    if not isinstance(input_field, Mapping) or not isinstance(outputs, list):
        raise WorkflowError(f"object_info describes {class_id!r} without input and output.", "Save it from /object_info.")

    def get_input_types(_: type) -> Mapping[str, Any]:
        return cast("Mapping[str, Any]", input_field)

    body: dict[str, Any] = {
        "INPUT_TYPES": classmethod(get_input_types),
        "RETURN_TYPES": tuple(cast("list[Any]", outputs)),
        "OUTPUT_NODE": fields.get("output_node") is True,
    }
    return type(class_id, (), body)
