"""Nodes by the names that people give them: an id, a title, or a class id that only one node has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import WorkflowError
from .definitions import is_output_class
from .prompts import Prompt, format_label, get_title, make_natural_key


def find_nodes_by_name(prompt: Prompt, name: str) -> list[str]:
    """An id comes before a title, a title before a class."""
    if name in prompt:
        return [name]
    titled = [node_id for node_id, node in prompt.items() if get_title(node) == name]
    return titled or [node_id for node_id, node in prompt.items() if node.get("class_type") == name]


def find_outputs(prompt: Prompt, names: Sequence[str], catalog: Mapping[str, type]) -> list[str]:
    """The output nodes of these names. Raises ``WorkflowError`` for a name that is none, or that several have."""
    return list(dict.fromkeys(_find_output(prompt, name, catalog) for name in names))


def _find_output(prompt: Prompt, name: str, catalog: Mapping[str, type]) -> str:
    matches = find_nodes_by_name(prompt, name)
    outputs = [node_id for node_id in matches if is_output_class(catalog.get(prompt[node_id]["class_type"], object))]
    if len(outputs) == 1:
        return outputs[0]
    if outputs:
        candidates = ", ".join(format_label(prompt, node_id) for node_id in outputs)
        raise WorkflowError(f"The output {name!r} may be any of {candidates}.", "Name the node by its id.")
    if matches and prompt[matches[0]]["class_type"] not in catalog:
        what = f"{format_label(prompt, matches[0])} is of a class that is not here."
        raise WorkflowError(what, "Run `check` to see what is missing.", node_id=matches[0])
    if matches:
        what = f"{format_label(prompt, matches[0])} writes and shows nothing, so it is no output."
        raise WorkflowError(what, _list_outputs(prompt, catalog), node_id=matches[0])
    raise WorkflowError(f"No node is called {name!r}.", _list_outputs(prompt, catalog))


def _list_outputs(prompt: Prompt, catalog: Mapping[str, type]) -> str:
    outputs = [node_id for node_id, node in prompt.items() if is_output_class(catalog.get(node["class_type"], object))]
    labels = ", ".join(format_label(prompt, node_id) for node_id in sorted(outputs, key=make_natural_key)[:20])
    more = f" and {len(outputs) - 20} more" if len(outputs) > 20 else ""
    return f"The outputs are {labels}{more}." if outputs else "The workflow has no output."
