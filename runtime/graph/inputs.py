"""What a node is given: the lists on its links, its constants, and the hidden inputs that it asks the runner for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .calls import Inputs
from .live import LivePrompt
from .prompts import Edge, declared_inputs, hidden_inputs, is_link, unwrap

_OF_A_SERVER = ("AUTH_TOKEN_COMFY_ORG", "API_KEY_COMFY_ORG", "COMFY_USAGE_SOURCE")


def gather(
    node_id: str, cls: type, live: LivePrompt, extra_pnginfo: Mapping[str, Any] | None, received: Callable[[Edge], list[Any]]
) -> Inputs:
    """Links are passed even where the class declares no such input, constants only where it does."""
    values: Mapping[str, Any] = live.get_node(node_id)["inputs"]
    declared = declared_inputs(cls, values)
    hidden = hidden_inputs(cls)
    inputs: Inputs = {}
    for name, value in values.items():
        raw = name in declared and declared[name].options.get("rawLink")
        if is_link(value) and not raw:
            inputs[name] = received(Edge(name, value[0], int(value[1])))
        elif name in declared or name in hidden:
            inputs[name] = [unwrap(value)]
    answers = {
        "PROMPT": live.get_original_prompt(),
        "DYNPROMPT": live,
        "EXTRA_PNGINFO": extra_pnginfo,
        "UNIQUE_ID": node_id,
        **dict.fromkeys(_OF_A_SERVER),
    }
    # Anything else that is declared as hidden is for the node that adds this one to a run to fill in.
    inputs.update({name: [answers[kind]] for name, kind in hidden.items() if isinstance(kind, str) and kind in answers})
    return inputs


def lazy_inputs(cls: type, inputs: Mapping[str, Any]) -> frozenset[str]:
    """The inputs whose links are followed only when ``check_lazy_status`` asks for them."""
    return frozenset(name for name, spec in declared_inputs(cls, inputs).items() if spec.options.get("lazy"))


def not_linked(_: Edge) -> list[Any]:
    """What arrives by every link before the run: nothing yet."""
    return [None]
