"""Gather the arguments of a node: the lists on its links, its literals, and its hidden inputs."""

from collections.abc import Callable, Mapping
from typing import Any

from ..definitions import find_accepted_inputs, get_declared_inputs, get_hidden_inputs
from ..prompts import Edge, is_link, unwrap_literal
from .dynamic_prompt import DynamicPrompt
from .node_call import Inputs

_SERVER_INPUTS = ("AUTH_TOKEN_COMFY_ORG", "API_KEY_COMFY_ORG", "COMFY_USAGE_SOURCE")


def gather_inputs(
    node_id: str,
    cls: type,
    prompt: DynamicPrompt,
    extra_pnginfo: Mapping[str, Any] | None,
    read_link: Callable[[Edge], list[Any]],
) -> Inputs:
    """Return the inputs by name. Links are passed even if the class does not declare the input, literals only if it does."""
    values: Mapping[str, Any] = prompt.get_node(node_id)["inputs"]
    declared = get_declared_inputs(cls, values)
    hidden = get_hidden_inputs(cls)
    accepted = find_accepted_inputs(cls, declared, values)
    inputs: Inputs = {}
    for name, value in values.items():
        is_raw_link = name in declared and declared[name].options.get("rawLink")
        if is_link(value) and not is_raw_link:
            inputs[name] = read_link(Edge(name, value[0], int(value[1])))
        elif name in accepted:
            inputs[name] = [unwrap_literal(value)]
    hidden_values = {
        "PROMPT": prompt.get_original_prompt(),
        "DYNPROMPT": prompt,
        "EXTRA_PNGINFO": extra_pnginfo,
        "UNIQUE_ID": node_id,
        **dict.fromkeys(_SERVER_INPUTS),
    }
    # Other hidden inputs are set by the node that adds this one to a run.
    inputs.update(
        {name: [hidden_values[kind]] for name, kind in hidden.items() if isinstance(kind, str) and kind in hidden_values}
    )
    return inputs


def get_lazy_inputs(cls: type, inputs: Mapping[str, Any]) -> frozenset[str]:
    """Return the inputs whose links are evaluated only when ``check_lazy_status`` requests them."""
    return frozenset(name for name, spec in get_declared_inputs(cls, inputs).items() if spec.options.get("lazy"))


def read_unlinked(_: Edge) -> list[Any]:
    """Return the value of a link before the run."""
    return [None]
