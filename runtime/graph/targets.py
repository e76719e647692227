"""Nodes by the names that people give them: an id, a title, or a class id that only one node has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import WorkflowError
from .definitions import is_output
from .prompts import Prompt, label_of, natural_key, title_of


def nodes_called(prompt: Prompt, name: str) -> list[str]:
    """An id comes before a title, a title before a class."""
    if name in prompt:
        return [name]
    titled = [node_id for node_id, node in prompt.items() if title_of(node) == name]
    return titled or [node_id for node_id, node in prompt.items() if node.get("class_type") == name]


def find_outputs(prompt: Prompt, names: Sequence[str], catalog: Mapping[str, type]) -> list[str]:
    """The output nodes of these names. Raises ``WorkflowError`` for a name that is none, or that several have."""
    return list(dict.fromkeys(_find_output(prompt, name, catalog) for name in names))


def _find_output(prompt: Prompt, name: str, catalog: Mapping[str, type]) -> str:
    called = nodes_called(prompt, name)
    outputs = [node_id for node_id in called if is_output(catalog.get(prompt[node_id]["class_type"], object))]
    if len(outputs) == 1:
        return outputs[0]
    if outputs:
        candidates = ", ".join(label_of(prompt, node_id) for node_id in outputs)
        raise WorkflowError(f"The output {name!r} may be any of {candidates}.", "Name the node by its id.")
    if called and prompt[called[0]]["class_type"] not in catalog:
        what = f"{label_of(prompt, called[0])} is of a class that is not here."
        raise WorkflowError(what, "Run `check` to see what is missing.", node_id=called[0])
    if called:
        what = f"{label_of(prompt, called[0])} writes and shows nothing, so it is no output."
        raise WorkflowError(what, _possible(prompt, catalog), node_id=called[0])
    raise WorkflowError(f"No node is called {name!r}.", _possible(prompt, catalog))


def _possible(prompt: Prompt, catalog: Mapping[str, type]) -> str:
    outputs = [node_id for node_id, node in prompt.items() if is_output(catalog.get(node["class_type"], object))]
    named = ", ".join(label_of(prompt, node_id) for node_id in sorted(outputs, key=natural_key)[:20])
    more = f" and {len(outputs) - 20} more" if len(outputs) > 20 else ""
    return f"The outputs are {named}{more}." if outputs else "The workflow has no output."
