"""ComfyUI's loops, for the headless runner only: ids and inputs of ComfyUI 0.38. ``graph.fold_loops`` folds their bodies."""

from collections.abc import Mapping
from typing import Any

from ...runtime import graph
from ...runtime.errors import WorkflowError
from ..declare import Node
from .image_extras import int_spec

_MOST = 10_000


def _match(name: str, **options: Any) -> tuple[str, dict[str, Any]]:
    return ("COMFY_MATCHTYPE_V3", {**options, "template": {"template_id": name, "allowed_types": "*"}})


class StartLoop(Node, title="Start Loop"):
    CATEGORY = "utilities/looping"
    DESCRIPTION = "Repeats what lies between it and End Loop: a number of times, for a range of numbers, or for each item."
    COMFYUI_VERSION = "0.38"
    RETURN_TYPES = ("INT", "BOOLEAN", "BOOLEAN", "COMFY_MATCHTYPE_V3", "COMFY_MATCHTYPE_V3")
    RETURN_NAMES = ("iteration_index", "is_first", "is_last", "list_item", "current_iteration_value")
    OUTPUT_MATCHTYPES = (None, None, None, "list_item", "carried_value")
    INPUT_IS_LIST = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        limits = (-(2**63), 2**63 - 1)
        times = {"num_iterations": int_spec(4, 0, limits[1])}
        steps = {"start_iteration_index": int_spec(0, *limits), "max_iteration": int_spec(4, limits[0], 0xFFFFFFFFFFFFFFFF)}
        modes = {"simple": times, "For": {**steps, "step": int_spec(1, 1, limits[1])}, "List": {"list": _match("list_item")}}
        options = [{"key": key, "inputs": {"required": inputs}} for key, inputs in modes.items()]
        return {
            "required": {
                "mode": ("COMFY_DYNAMICCOMBO_V3", {"options": options}),
                "cache_iterations": ("BOOLEAN", {"default": False, "advanced": True}),
            },
            "optional": {"parent_iteration": ("INT", {"forceInput": True}), "initial_iteration_value": _match("carried_value")},
        }

    @classmethod
    def IS_CHANGED(cls, **inputs: Any) -> float:
        return float("nan")

    def run(
        self,
        mode: Any,
        cache_iterations: Any = False,
        parent_iteration: Any = None,
        initial_iteration_value: Any = None,
        **inputs: Any,
    ) -> tuple[Any, ...]:
        """The first result, which only End Loop reads, holds the numbers and the items of all iterations."""
        given = {name.removeprefix("mode."): value for name, value in inputs.items()}
        items: list[Any] | None = given["list"] if mode[0] == "List" else None
        if mode[0] == "For":
            numbers = range(given["start_iteration_index"][0], given["max_iteration"][0], max(1, given["step"][0]))
        else:
            numbers = range(given["num_iterations"][0] if items is None else len(items))
        if len(numbers) > _MOST:
            raise WorkflowError(f"The loop has {len(numbers)} iterations.", f"Up to {_MOST} are possible.")
        return (numbers, items), False, not numbers, None, None


class EndLoop(Node, title="End Loop"):
    CATEGORY = "utilities/looping"
    DESCRIPTION = "Ends a loop: returns the value of the last iteration, or with accumulate those of all."
    COMFYUI_VERSION = "0.38"
    RETURN_TYPES = ("COMFY_MATCHTYPE_V3",)
    RETURN_NAMES = ("outputs",)
    OUTPUT_MATCHTYPES = ("output_value",)
    OUTPUT_IS_LIST = (True,)
    INPUT_IS_LIST = True
    ACCEPT_ALL_INPUTS = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        any_value: dict[str, Any] = {
            "input": {"required": {"termination": ("*", {})}},
            "prefix": "termination",
            "min": 0,
            "max": 50,
        }
        return {
            "required": {"accumulate": ("BOOLEAN", {"default": False})},
            "optional": {
                "output_value": _match("output_value"),
                "next_iteration_value": _match("carried_value"),
                "terminations": ("COMFY_AUTOGROW_V3", {"template": any_value}),
            },
            "hidden": {"dynprompt": "DYNPROMPT", "unique_id": "UNIQUE_ID"},
        }

    def run(
        self,
        accumulate: Any = False,
        output_value: Any = None,
        next_iteration_value: Any = None,
        dynprompt: Any = None,
        unique_id: Any = None,
        **inputs: Any,
    ) -> dict[str, Any]:
        """Add the nodes of one iteration, and an End Loop that adds those of the next."""
        loop: Mapping[str, Any] = dynprompt[0].get_node(unique_id[0])[graph.LOOP]
        if "position" not in loop:
            numbers, items = output_value[0]
            state: dict[str, Any] = {"position": 0, "base": unique_id[0], "carry": loop["initial"], "kept": []}
            loop = {**loop, **state, "numbers": numbers, "items": items}
        position, numbers, items = loop["position"], loop["numbers"], loop["items"]
        if position == len(numbers):
            kept = [inputs[f"kept{number}"] for number in range(len(inputs)) if f"kept{number}" in inputs]
            return {"result": ([value for values in kept for value in values],)}
        item = items[position] if items is not None else None
        values = {0: numbers[position], 1: position == 0, 2: position == len(numbers) - 1, 3: item, 4: loop["carry"]}
        nodes, ends = graph.link_iteration(loop, f"{loop['base']}.{position}.", values)
        carry = ends.get("next_iteration_value", loop["carry"])
        links: list[Any] = [
            *(loop["kept"] if accumulate[0] else []),
            *([ends["output_value"]] if "output_value" in ends else []),
        ]
        step: dict[str, Any] = {
            "class_type": "LoopResult",
            "override_display_id": loop["base"],
            "inputs": {
                "accumulate": accumulate[0],
                **{f"kept{number}": link for number, link in enumerate(links)},
                **{f"wait{number}": link for number, link in enumerate(ends.values())},
            },
            graph.LOOP: {**loop, "position": position + 1, "carry": carry, "kept": links},
        }
        name = f"{loop['base']}.{position + 1}"
        return {"result": ([name, 0],), "expand": {**nodes, name: step}}


class LoopResult(EndLoop, title="Loop Result"):
    """The rest of a loop, which End Loop adds: one value, the list that End Loop returns."""

    DESCRIPTION = "The rest of a loop. End Loop adds it; no workflow contains it."
    OUTPUT_IS_LIST = (False,)
