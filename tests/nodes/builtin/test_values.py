"""ComfyUI's values, switch and texts: declared as there, and with its results."""

from pathlib import Path
from typing import Any

import pytest
import torch
from upscale8k.nodes import DISPLAY_NAMES
from upscale8k.nodes.builtin import values
from upscale8k.nodes.declare import list_nodes
from upscale8k.runtime.graph.check import check_prompt
from upscale8k.runtime.graph.definitions import describe_classes
from upscale8k.runtime.graph.execute.events import NodeFinished
from upscale8k.runtime.graph.execute.executor import execute_plan
from upscale8k.runtime.graph.execute.plan import make_plan

from ...comfyui.peer.tree import declarations
from .core_peer import Case, call, differences, run_core, same

CATALOG = list_nodes(values)

CASES: list[Case] = [
    ("PrimitiveInt", {"value": -(2**62)}),
    ("PrimitiveFloat", {"value": 0.1}),
    ("PrimitiveString", {"value": "café"}),
    ("PrimitiveStringMultiline", {"value": "a\nb"}),
    ("PrimitiveBoolean", {"value": True}),
    ("PreviewAny", {"source": "as it is\n"}),
    ("PreviewAny", {"source": 3}),
    ("PreviewAny", {"source": 0.1}),
    ("PreviewAny", {"source": True}),
    ("PreviewAny", {"source": None}),
    ("PreviewAny", {"source": ["é", {"a": [1, 2.5, None]}]}),
    ("PreviewAny", {"source": torch.arange(0, 4000, dtype=torch.float32).reshape(2, 40, 50)}),
    ("StringConcatenate", {"string_a": "a", "string_b": "b", "delimiter": ", "}),
    ("StringReplace", {"string": "a.b.c", "find": ".", "replace": "--"}),
    ("CustomCombo", {"choice": "second"}),
    ("ComfySwitchNode", {"switch": True, "on_false": "no", "on_true": "yes"}),
    ("ComfySwitchNode", {"switch": False, "on_false": "no", "on_true": "yes"}),
]


@pytest.mark.parametrize("node_id", CATALOG)
def test_it_is_declared_as_in_comfyui(node_id: str) -> None:
    ours, theirs = describe_classes(CATALOG, DISPLAY_NAMES)[node_id], declarations()[node_id]
    allowed = {"hidden"} if node_id == "CustomCombo" else set()  # how ``index`` comes in, which core takes without declaring
    if node_id == "ComfySwitchNode":  # optional since ComfyUI 0.34
        allowed = {f"{group}.on_{side}" for group in ("required", "optional") for side in ("true", "false")}
        allowed |= {"order of required", "order of optional"}
    assert differences(ours, theirs) <= allowed


@pytest.mark.comfyui
def test_every_result_is_cores(tmp_path: Path) -> None:
    for (name, inputs), core in zip(CASES, run_core(CASES, tmp_path), strict=True):
        assert "error" not in core, (name, core)
        assert same(list(call(CATALOG[name], inputs)), core["result"]), (name, inputs)


@pytest.mark.parametrize("edge", [3, 2])
def test_a_preview_leaves_torchs_way_to_print_as_it_was(edge: int, request: pytest.FixtureRequest) -> None:
    request.addfinalizer(lambda: torch.set_printoptions(profile="default"))
    torch.set_printoptions(edgeitems=edge)
    before = str(torch.arange(5000))
    assert before.count(".") == 3
    assert len(before.split(",")) == 2 * edge + 1
    assert str(call(CATALOG["PreviewAny"], {"source": torch.arange(5000)})[0]) != before
    assert str(torch.arange(5000)) == before


def test_a_preview_leaves_scientific_notation_as_it_was(request: pytest.FixtureRequest) -> None:
    request.addfinalizer(lambda: torch.set_printoptions(profile="default"))
    torch.set_printoptions(sci_mode=True)
    call(CATALOG["PreviewAny"], {"source": torch.ones(1)})
    assert str(torch.ones(1)) == "tensor([1.0000e+00])"


def test_a_preview_survives_a_value_that_cannot_be_text() -> None:
    class Silent:
        def __str__(self) -> str:
            raise RuntimeError

    assert call(CATALOG["PreviewAny"], {"source": Silent()}) == ("source exists, but could not be serialized.",)


def _run(prompt: dict[str, Any], extra: dict[str, type] | None = None) -> dict[str, Any]:
    """ui by node id."""
    catalog = {**CATALOG, **(extra or {})}
    checked = check_prompt(prompt, catalog)
    assert not checked.problems, checked.problems
    return {
        event.node_id: event.ui
        for event in execute_plan(make_plan(checked.prompt, catalog), catalog)
        if isinstance(event, NodeFinished)
    }


def test_the_side_that_is_not_taken_is_not_run() -> None:
    class Fails:
        RETURN_TYPES = ("STRING",)
        FUNCTION = "run"

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {}

        def run(self) -> None:
            raise AssertionError

    prompt = {
        "1": {"class_type": "Fails", "inputs": {}},
        "2": {"class_type": "PrimitiveString", "inputs": {"value": "taken"}},
        "3": {"class_type": "PrimitiveBoolean", "inputs": {"value": True}},
        "4": {"class_type": "ComfySwitchNode", "inputs": {"switch": ["3", 0], "on_false": ["1", 0], "on_true": ["2", 0]}},
        "5": {"class_type": "PreviewAny", "inputs": {"source": ["4", 0]}},
    }
    assert _run(prompt, {"Fails": Fails})["5"] == {"text": ["taken"]}


def test_a_custom_combo_gives_the_word_and_the_place_that_the_canvas_sends() -> None:
    sent = {"choice": "two", "index": 1, "option1": "one", "option2": "two", "option3": ""}
    prompt = {
        "1": {"class_type": "CustomCombo", "inputs": sent},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
        "3": {"class_type": "PreviewAny", "inputs": {"source": ["1", 1]}},
    }
    shown = _run(prompt)
    assert (shown["2"], shown["3"]) == ({"text": ["two"]}, {"text": ["1"]})
