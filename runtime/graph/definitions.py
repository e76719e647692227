"""What node classes declare: their inputs, and the class as an entry of ComfyUI's ``/object_info``.

The converter reads ``/object_info`` entries, so it treats installed classes and a file saved from a server alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from ..errors import NODE_BUG_HINT, NodeError, Upscale8KError, WorkflowError
from .specs import AUTOGROW, DYNAMIC_COMBO, InputSpec, get_dynamic_children, parse_autogrow, parse_specs


def describe_class(class_id: str, cls: type, title: str | None = None) -> dict[str, Any]:
    """Return the ``/object_info`` entry of one V1 node class; ``title`` is its display name."""
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
    if any(getattr(cls, "OUTPUT_MATCHTYPES", ())):
        entry["output_matchtypes"] = list(cast("Any", cls).OUTPUT_MATCHTYPES)
    if hasattr(cls, "OUTPUT_TOOLTIPS"):
        entry["output_tooltips"] = list(cast("Any", cls).OUTPUT_TOOLTIPS)
    entry.update({name.lower(): True for name in ("DEPRECATED", "EXPERIMENTAL", "DEV_ONLY") if getattr(cls, name, False)})
    entry.update(
        {
            name.lower(): getattr(cls, name)
            for name in ("API_NODE", "ESSENTIALS_CATEGORY", "COMFYUI_VERSION")
            if hasattr(cls, name)
        }
    )
    return entry


def describe_classes(catalog: Mapping[str, type], titles: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the ``/object_info`` entries of all classes of a catalog."""
    return {class_id: describe_class(class_id, cls, titles.get(class_id)) for class_id, cls in catalog.items()}


def is_output_class(cls: type) -> bool:
    """Return whether the nodes of a class are outputs, for whose sake a workflow runs."""
    return getattr(cls, "OUTPUT_NODE", False) is True


def get_declared_inputs(cls: type, inputs: Mapping[str, Any]) -> dict[str, InputSpec]:
    """Return the declared inputs of a class by name; ``inputs`` holds the choices of its dynamic combo boxes."""
    found: dict[str, InputSpec] = {}
    pending = parse_specs(get_input_types(cls))
    while pending:
        spec = pending.pop(0)
        if spec.type == AUTOGROW:
            pending = [*parse_autogrow(spec).get_all_inputs(), *pending]
            continue
        found[spec.name] = spec
        if spec.type == DYNAMIC_COMBO:
            pending = [*get_dynamic_children(spec, inputs.get(spec.name)), *pending]
    return found


def find_accepted_inputs(cls: type, declared: Mapping[str, InputSpec], names: Iterable[str]) -> set[str]:
    """Return those of ``names`` whose values a class takes: declared and hidden ones, or all.

    A class takes all if it sets ``ACCEPT_ALL_INPUTS``. A group of its ``INPUT_TYPES`` may also say that it contains any name.
    """
    groups = list(get_input_types(cls).values())
    takes_all = getattr(cls, "ACCEPT_ALL_INPUTS", False) is True
    return {name for name in names if takes_all or name in declared or any(name in group for group in groups)}


def get_hidden_inputs(cls: type) -> Mapping[str, Any]:
    """Return the hidden inputs by name: ``PROMPT``, ``EXTRA_PNGINFO``, ``UNIQUE_ID``, ``DYNPROMPT``, ..."""
    return cast("Mapping[str, Any]", get_input_types(cls).get("hidden") or {})


def get_input_types(cls: type) -> Mapping[str, Any]:
    """Return ``INPUT_TYPES()`` of a class. Raises ``NodeError`` when it fails; it may read folders."""
    try:
        return cast("Mapping[str, Any]", cast("Any", cls).INPUT_TYPES())
    except Upscale8KError:
        raise
    except Exception as error:
        what = f"INPUT_TYPES of the node class {cls.__name__} failed with {type(error).__name__}: {error}."
        raise NodeError(what, NODE_BUG_HINT) from error


def build_declared_classes(object_info: Mapping[str, Mapping[str, Any]]) -> dict[str, type]:
    """Build classes that can be checked but not run from ``/object_info`` entries.

    Raises ``WorkflowError`` for an entry that ComfyUI does not write.
    """
    return {class_id: _build_declared_class(class_id, entry) for class_id, entry in object_info.items()}


def _build_declared_class(class_id: str, entry: Any) -> type:
    fields: Mapping[str, Any] = cast("Mapping[str, Any]", entry) if isinstance(entry, Mapping) else {}
    input_field: Any = fields.get("input")
    outputs: Any = fields.get("output")
    if not isinstance(input_field, Mapping) or not isinstance(outputs, list):
        raise WorkflowError(
            f"The entry {class_id!r} of object_info has no input or no output.", "Save the file from /object_info again."
        )

    def return_input_types(_: type) -> Mapping[str, Any]:
        return cast("Mapping[str, Any]", input_field)

    body: dict[str, Any] = {
        "INPUT_TYPES": classmethod(return_input_types),
        "RETURN_TYPES": tuple(cast("list[Any]", outputs)),
        "OUTPUT_NODE": fields.get("output_node") is True,
    }
    return type(class_id, (), body)
