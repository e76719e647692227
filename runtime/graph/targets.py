"""Find nodes by what a user writes for them: an id, a title, or a class id that only one node has."""

from collections.abc import Mapping, Sequence

from ..errors import WorkflowError
from .definitions import is_output_class
from .prompts import Prompt, format_label, format_labels, get_title, make_natural_key


def find_nodes_by_name(prompt: Prompt, name: str) -> list[str]:
    """Return the ids of the nodes with this id, else with this title, else of this class."""
    if name in prompt:
        return [name]
    titled = [node_id for node_id, node in prompt.items() if get_title(node) == name]
    return titled or [node_id for node_id, node in prompt.items() if node.get("class_type") == name]


def list_outputs(prompt: Prompt, catalog: Mapping[str, type]) -> list[str]:
    """Return the ids of the output nodes, in natural order."""
    outputs = [node_id for node_id, node in prompt.items() if is_output_class(catalog.get(node["class_type"], object))]
    return sorted(outputs, key=make_natural_key)


def find_outputs(prompt: Prompt, names: Sequence[str], catalog: Mapping[str, type]) -> list[str]:
    """Return the output nodes with these names. Raises ``WorkflowError`` for a name that fits no output, or several."""
    return list(dict.fromkeys(_find_output(prompt, name, catalog) for name in names))


def _find_output(prompt: Prompt, name: str, catalog: Mapping[str, type]) -> str:
    matches = find_nodes_by_name(prompt, name)
    outputs = list_outputs({node_id: prompt[node_id] for node_id in matches}, catalog)
    if len(outputs) == 1:
        return outputs[0]
    if outputs:
        candidates = ", ".join(format_label(prompt, node_id) for node_id in outputs)
        raise WorkflowError(f"The output {name!r} fits several nodes: {candidates}.", "Name the node by its id.")
    if matches and prompt[matches[0]]["class_type"] not in catalog:
        what = f"{format_label(prompt, matches[0])} has a class that is not installed."
        raise WorkflowError(what, "Run `check` to see what is missing.", node_id=matches[0])
    if matches:
        what = f"{format_label(prompt, matches[0])} is not an output: it neither writes nor shows anything."
        raise WorkflowError(what, _describe_outputs(prompt, catalog), node_id=matches[0])
    raise WorkflowError(f"No node has the id, title or class {name!r}.", _describe_outputs(prompt, catalog))


def _describe_outputs(prompt: Prompt, catalog: Mapping[str, type]) -> str:
    outputs = list_outputs(prompt, catalog)
    return f"The outputs are {format_labels(prompt, outputs)}." if outputs else "The workflow has no output."
