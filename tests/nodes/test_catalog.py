"""What every node declares: complete, consistent, and for ComfyUI's own ids what ComfyUI declares."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from upscale8k.nodes import BUILTIN_NODES, DISPLAY_NAMES, OWN_NODES, get_node_classes
from upscale8k.nodes.builtin import loop_nodes
from upscale8k.nodes.builtin import video as builtin_video
from upscale8k.nodes.declare import list_nodes
from upscale8k.runtime.graph.definitions import describe_classes
from upscale8k.runtime.host import LocalHost

from ..comfyui.peer.tree import declarations
from .builtin.core_peer import differences

ALL = {**BUILTIN_NODES, **OWN_NODES}
SECTIONS = ("required", "optional", "hidden")

# Where our built-ins may say something else than ComfyUI 0.30, and why.
ALLOWED = {
    "LoadImage": {"required.image"},  # the files of another folder
    "LoadImageMask": {"required.image"},
    "UpscaleModelLoader": {"required.model_name"},  # the models of another folder, and the ids of our catalog
    "CustomCombo": {"hidden"},  # how ``index`` comes in, which ComfyUI takes without declaring it
    # takes videos, as in ComfyUI 0.38
    "ResizeImageMaskNode": {"required.input", "required.resize_type", "display_name", "search_aliases"},
}


def inputs(node: Any, *sections: str) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Inputs by name: type and options."""
    declared = node.INPUT_TYPES()
    return {
        name: (spec[0], spec[1] if len(spec) > 1 else {})
        for section in sections
        for name, spec in declared.get(section, {}).items()
    }


@pytest.mark.parametrize("node_id", OWN_NODES)
def test_our_nodes_explain_themselves(node_id: str, host: LocalHost) -> None:
    node = get_node_classes(host)[node_id]
    assert node.CATEGORY.startswith("8K/")
    assert node.DESCRIPTION.endswith(".")
    assert len(node.DESCRIPTION) > 40
    assert len(set(node.SEARCH_ALIASES)) == len(node.SEARCH_ALIASES) > 0
    for name, (_, options) in inputs(node, "required", "optional").items():
        assert options.get("tooltip", "").endswith("."), name
    tooltips = getattr(node, "OUTPUT_TOOLTIPS", ())
    assert len(tooltips) == len(node.RETURN_TYPES)
    assert all(tooltip.endswith(".") for tooltip in tooltips)


@pytest.mark.parametrize("node_id", ALL)
def test_titles_and_outputs_are_whole(node_id: str, host: LocalHost) -> None:
    node = get_node_classes(host)[node_id]
    assert DISPLAY_NAMES[node_id]
    assert node.DESCRIPTION
    assert isinstance(node.RETURN_TYPES, tuple)
    for aligned in ("RETURN_NAMES", "OUTPUT_TOOLTIPS", "OUTPUT_IS_LIST"):
        assert len(getattr(node, aligned, node.RETURN_TYPES)) == len(node.RETURN_TYPES)
    assert node.RETURN_TYPES or node.OUTPUT_NODE


def test_no_two_nodes_have_one_title() -> None:
    assert len(set(DISPLAY_NAMES.values())) == len(DISPLAY_NAMES) == len(ALL)


@pytest.mark.parametrize("node_id", OWN_NODES)
def test_defaults_lie_in_their_ranges(node_id: str, host: LocalHost) -> None:
    for name, (kind, options) in inputs(get_node_classes(host)[node_id], "required", "optional").items():
        if isinstance(kind, list):
            assert len(set(kind)) == len(kind), name
            assert "default" not in options or options["default"] in kind, name
        elif kind in ("INT", "FLOAT"):
            assert type(options["default"]) is {"INT": int, "FLOAT": float}[kind], name
            assert options["min"] <= options["default"] <= options["max"], name
            if kind == "INT":
                assert (options["default"] - options["min"]) % options.get("step", 1) == 0, name
        elif kind in ("STRING", "BOOLEAN"):
            assert type(options["default"]) is {"STRING": str, "BOOLEAN": bool}[kind], name
        else:
            assert kind.isupper(), name
            assert "default" not in options, name


INHERITED = {"PreviewImage": {"filename_prefix"}, "MaskPreview": {"filename_prefix"}}
"""Core's PreviewImage is a SaveImage with its inputs taken away; packs derive from both and call them with a prefix."""
NUMBERED = {f"image_{number}" for number in range(2, 9)}
"""Inputs of Comparison Sheet, which takes them together."""


@pytest.mark.parametrize("node_id", ALL)
def test_the_function_takes_what_is_declared(node_id: str, host: LocalHost) -> None:
    node = get_node_classes(host)[node_id]
    parameters = dict(inspect.signature(getattr(node, node.FUNCTION)).parameters)
    parameters.pop("self")
    parameters = {name: parameter for name, parameter in parameters.items() if name not in INHERITED.get(node_id, set())}
    grown = {name for name, (kind, _) in inputs(node, *SECTIONS).items() if kind == "COMFY_AUTOGROW_V3" or name in NUMBERED}
    if grown or any(kind == "COMFY_DYNAMICCOMBO_V3" for kind, _ in inputs(node, *SECTIONS).values()):
        # What a growing group or a choice brings along has names of its own.
        (rest,) = [name for name, parameter in parameters.items() if parameter.kind is parameter.VAR_KEYWORD]
        parameters.pop(rest)
    assert set(parameters) == set(inputs(node, *SECTIONS)) - grown
    required = inputs(node, "required")
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty:
            assert name in required, f"{name} may be missing and has no default"
        else:
            declared = inputs(node, "required", "optional").get(name, (None, {}))[1].get("default")
            assert parameter.default == declared, name


@pytest.mark.parametrize("node_id", ALL)
def test_what_comfyui_asks_before_a_run_names_inputs_of_the_node(node_id: str, host: LocalHost) -> None:
    node = get_node_classes(host)[node_id]
    for question in ("VALIDATE_INPUTS", "IS_CHANGED"):
        if hasattr(node, question):
            parameters = inspect.signature(getattr(node, question)).parameters.values()
            asked = {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
            assert asked - INHERITED.get(node_id, set()) <= set(inputs(node, "required", "optional")), question


# These follow ComfyUI 0.38, see tests/nodes/builtin/test_video.py and tests/comfyui/test_contracts.py.
NEWER = {*list_nodes(builtin_video, loop_nodes), "ComfySwitchNode"} - {"Video Slice"}


@pytest.mark.parametrize("node_id", [node_id for node_id in BUILTIN_NODES if node_id not in NEWER])
def test_a_core_id_is_declared_as_in_comfyui(node_id: str, host: LocalHost) -> None:
    found = differences(describe_classes(get_node_classes(host), DISPLAY_NAMES)[node_id], declarations()[node_id])
    assert found <= ALLOWED.get(node_id, set()), "a workflow from the canvas would be read differently here"


def test_two_catalogs_in_one_process_do_not_mix(tmp_path: Path) -> None:
    homes = {}
    for name, grey in (("first", 10), ("second", 200)):
        folder = tmp_path / name
        folder.mkdir()
        Image.new("RGB", (32, 32), (grey, grey, grey)).save(folder / f"{name}.png")
        Image.new("RGB", (32, 32), (grey, grey, grey)).save(folder / "same.png")
        homes[name] = get_node_classes(LocalHost(input_dir=folder, output_dir=tmp_path))
    for name, grey in (("first", 10), ("second", 200), ("first", 10)):
        node = homes[name]["LoadImage"]
        assert node.INPUT_TYPES()["required"]["image"][0] == sorted([f"{name}.png", "same.png"])
        assert (node.VALIDATE_INPUTS(image="first.png") is True) == (name == "first")
        image, _ = node().load_image("same.png")
        np.testing.assert_allclose(image.numpy(), grey / 255, atol=1e-7)
    assert homes["first"]["LoadImage"] is not homes["second"]["LoadImage"]


def test_inside_comfyui_the_core_ids_stay_comfyuis(host: LocalHost) -> None:
    assert set(get_node_classes(host, with_builtin=False)) == set(OWN_NODES)
    assert not set(OWN_NODES) & set(BUILTIN_NODES)
