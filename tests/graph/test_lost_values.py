"""Every saved value reaches its own input or is named: nodes that are not here, newer files, JavaScript of other packs."""

from collections.abc import Callable
from typing import Any

import pytest
from upscale8k.runtime.graph.check import check_prompt
from upscale8k.runtime.graph.convert.converter import WorkflowConversion, convert_workflow
from upscale8k.runtime.graph.convert.match_types import find_common_type

Draw = Callable[[], Any]
Definitions = dict[str, dict[str, Any]]
IMAGE = "IMAGE"


def inputs(conversion: WorkflowConversion, node_id: str) -> dict[str, Any]:
    return conversion.prompt[node_id]["inputs"]


def blur_and_scale(draw: Draw, mode: int, *, has_widget: bool = True, values: Any = (0.5, 3), **more: Any) -> dict[str, Any]:
    """A subgraph that promotes `sigma` of a blur that is not here, then `scale_by` of a known node."""
    inner = draw()
    inner.node(11, "FancyBlur", [1, 1], mode=mode, outputs=[IMAGE])
    inner.node(12, "ImageScaleBy", [1, "no"])
    image = inner.link(-10, 0, 11, "image")
    sigma = inner.link(-10, 1, 11, "sigma", "FLOAT", widget=has_widget)
    scale = inner.link(-10, 2, 12, "scale_by", "FLOAT", widget=True)
    inner.link(11, 0, 12, "image")
    out = inner.link(12, 0, -20)
    canvas = draw()
    ports = [("image", IMAGE, [image]), ("sigma", "FLOAT", [sigma]), ("scale_by", "FLOAT", [scale])]
    canvas.subgraphs = [inner.as_subgraph("both", ports, [(IMAGE, IMAGE, [out])])]
    canvas.node(1, "LoadImage", ["a.png", "image"])
    canvas.node(2, "both", list(values), **more)
    canvas.node(3, "SaveImage", ["x"])
    canvas.link(1, 0, 2, "image")
    canvas.link(2, 0, 3, "images")
    return canvas.ui()


@pytest.mark.parametrize("mode", [2, 4])
def test_an_unknown_node_in_a_subgraph_keeps_its_promoted_value(draw: Draw, definitions: Definitions, mode: int) -> None:
    """Both frontends give scale_by 3 where the blur is known; counting without it made 0.5 of it."""
    conversion = convert_workflow(blur_and_scale(draw, mode), definitions)
    assert conversion.problems == []
    assert inputs(conversion, "2:12")["scale_by"] == 3


def test_a_hole_in_the_values_keeps_the_inner_value(draw: Draw, definitions: Definitions) -> None:
    conversion = convert_workflow(blur_and_scale(draw, 4, values=(None, None)), definitions)
    assert inputs(conversion, "2:12")["scale_by"] == 1


def test_named_values_replace_what_an_unknown_node_does_not_say(draw: Draw, definitions: Definitions) -> None:
    named = {"sigma": 0.5, "scale_by": 3}
    conversion = convert_workflow(blur_and_scale(draw, 4, has_widget=False, widgets_values_named=named), definitions)
    assert inputs(conversion, "2:12")["scale_by"] == 3


def test_values_that_cannot_be_assigned_are_refused_with_the_unknown_class(draw: Draw, definitions: Definitions) -> None:
    (problem,) = convert_workflow(blur_and_scale(draw, 4, has_widget=False), definitions).problems
    assert (problem.kind, problem.node_id) == ("widgets_values_mismatch", "2")
    assert "'FancyBlur'" in problem.what


def test_one_input_of_an_unknown_and_a_known_node_leaves_the_known_its_value(draw: Draw, definitions: Definitions) -> None:
    inner = draw()
    inner.node(11, "FancyBlur", [1, 1], mode=4)
    inner.node(12, "ImageScaleBy", [7, "no"])
    both = [inner.link(-10, 0, node, "scale_by", "FLOAT", widget=True) for node in (11, 12)]
    canvas = draw()
    canvas.subgraphs = [inner.as_subgraph("one", [("scale_by", "FLOAT", both)], [])]
    canvas.node(2, "one", [])
    assert inputs(convert_workflow(canvas.ui(), definitions), "2:12")["scale_by"] == 7


def test_a_node_of_a_newer_version_is_refused_by_the_names_of_its_inputs(draw: Draw, definitions: Definitions) -> None:
    named = {"scale_by": "auto", "crop": "no", "antialias": True, "linear": False}
    canvas = draw()
    properties = {"cnr_id": "comfy-core", "ver": "0.39.0"}
    canvas.node(1, "ImageScaleBy", list(named.values()), widgets_values_named=named, properties=properties)
    (problem,) = convert_workflow(canvas.ui(), definitions).problems
    assert "saved by a newer ComfyUI (0.39.0) than this runner knows" in problem.what
    assert "antialias, linear" in problem.what


def test_a_list_in_another_order_is_read_by_its_names(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "ImageScaleBy", ["yes", 2.5], widgets_values_named={"crop": "yes", "scale_by": 2.5})
    conversion = convert_workflow(canvas.ui(), definitions)
    assert conversion.problems == []
    assert inputs(conversion, "1") == {"scale_by": 2.5, "crop": "yes"}


def test_values_after_the_last_widget_are_noted(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "ImageScaleBy", [2.5, "no", "x", 9])
    conversion = convert_workflow(canvas.ui(), definitions)
    assert conversion.problems == []
    assert [(note.node_id, "['x', 9]" in note.what) for note in conversion.notes] == [("1", True)]


def test_values_that_javascript_of_a_pack_stores_by_name_are_sent(draw: Draw, definitions: Definitions) -> None:
    """As VHS_VideoCombine: crf belongs to the format and no definition declares it."""
    definitions["Combine"] = {"input": {"required": {"format": [["h264", "gif"], {}]}}, "output": [], "output_node": True}
    canvas = draw()
    saved = {"format": "h264", "crf": 45, "pix_fmt": "yuv420p", "save_metadata": True, "videopreview": {"hidden": False}}
    canvas.node(1, "Combine", saved | {"choose video to upload": "image"})
    sent = {"format": "h264", "crf": 45, "pix_fmt": "yuv420p", "save_metadata": True}
    assert inputs(convert_workflow(canvas.ui(), definitions), "1") == sent


class _AnyName(dict[str, Any]):
    def __contains__(self, name: object) -> bool:
        return True


class _Save:
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"level": ("INT", {})}}


class _SaveAny(_Save):
    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"level": ("INT", {})}, "optional": _AnyName()}


class _SaveAll(_Save):
    ACCEPT_ALL_INPUTS = True


@pytest.mark.parametrize(("cls", "noted"), [(_Save, ["crf"]), (_SaveAny, []), (_SaveAll, [])])
def test_an_input_that_a_class_does_not_have_is_noted(cls: type, noted: list[str]) -> None:
    prompt = {"1": {"class_type": "S", "inputs": {"level": 1, "crf": 45, "upload": "image"}}}
    checked = check_prompt(prompt, {"S": cls})
    assert checked.problems == []
    assert [note.input_name for note in checked.notes] == noted


def test_links_of_use_everywhere_are_followed(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "LoadImage", ["a.png", "image"])
    canvas.node(2, "Anything Everywhere")
    canvas.node(3, "ImageScaleBy", [2, "no"])
    canvas.node(4, "SaveImage", ["x"])
    canvas.node(5, "LoadImage", ["b.png", "image"])
    canvas.node(6, "SaveImage", ["y"])
    canvas.link(1, 0, 2, "anything")
    canvas.link(3, 0, 4, "images")
    canvas.link(5, 0, 6, "images")
    broadcast = {"upstream": "1", "upstream_slot": 0, "controller": 2, "type": IMAGE, "downstream_slot": 0}
    extra = {"ue_links": [broadcast | {"downstream": 3}, broadcast | {"downstream": 6}]}
    conversion = convert_workflow(canvas.ui() | {"extra": extra}, definitions)
    assert conversion.problems == []
    assert inputs(conversion, "3")["image"] == ["1", 0]
    assert inputs(conversion, "6")["images"] == ["5", 0]
    assert "2" not in conversion.prompt


def switched(draw: Draw, definitions: Definitions, second: tuple[int, str]) -> WorkflowConversion:
    """A bypassed node in front of a switch whose other input is linked to an output of LoadImage."""
    either = ["COMFY_MATCHTYPE_V3", {"template": {"template_id": "t", "allowed_types": "*"}}]
    definitions["Switch"] = {
        "input": {"required": {"on_false": either, "on_true": either}},
        "output": ["COMFY_MATCHTYPE_V3"],
        "output_matchtypes": ["t"],
    }
    definitions["Split"] = {"input": {"required": {"image": [IMAGE], "mask": ["MASK"]}}, "output": [IMAGE, "MASK"]}
    canvas = draw()
    canvas.node(1, "LoadImage", ["a.png", "image"], outputs=[IMAGE, "MASK"])
    canvas.node(2, "Split", mode=4, outputs=[IMAGE, "MASK"])
    canvas.node(3, "Switch", outputs=["*"])
    canvas.link(1, 0, 2, "image")
    canvas.link(1, 1, 2, "mask", "MASK")
    canvas.link(2, 0, 3, "on_false")
    canvas.link(1, second[0], 3, "on_true", second[1])
    return convert_workflow(canvas.ui(), definitions)


def test_a_bypassed_node_before_a_switch_hands_on_the_type_of_its_other_input(draw: Draw, definitions: Definitions) -> None:
    """The canvas resolves the type of a switch: with a mask on one side, a mask passes on the other."""
    assert inputs(switched(draw, definitions, (1, "MASK")), "3")["on_false"] == ["1", 1]
    assert inputs(switched(draw, definitions, (0, IMAGE)), "3")["on_false"] == ["1", 0]


def test_common_types_are_those_of_the_canvas() -> None:
    assert find_common_type("*", "*") == "*"
    assert find_common_type("IMAGE,MASK", "*", "MASK") == "MASK"
    assert find_common_type("IMAGE", "MASK") is None
