"""The shape of /object_info, against the entries of a real server."""

import json
from typing import Any

import pytest
from upscale8k.runtime.graph.definitions import describe_class, describe_classes

from ..comfyui.peer.tree import declarations


class ImageInvert:
    """Declared as ComfyUI's class of this name is, in its own words."""

    ESSENTIALS_CATEGORY = "Image Tools"
    SEARCH_ALIASES: tuple[str, ...] = ("reverse colors",)
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "invert"
    CATEGORY = "image/color"
    RELATIVE_PYTHON_MODULE = "nodes"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": ("IMAGE",)}}


class Plain:
    RETURN_TYPES = ("IMAGE", "MASK")
    RETURN_NAMES = ("picture", "mask")
    OUTPUT_IS_LIST = (True, False)
    OUTPUT_TOOLTIPS = ("a", "b")
    OUTPUT_NODE = True
    DEPRECATED = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"b": ("INT", {"default": 1}), "a": (["x"],)}, "hidden": {"p": "PROMPT"}}


@pytest.mark.comfyui
def test_an_entry_equals_the_servers() -> None:
    server = declarations()["ImageInvert"]
    ImageInvert.CATEGORY = server["category"]
    ImageInvert.SEARCH_ALIASES = tuple(server["search_aliases"])
    ImageInvert.ESSENTIALS_CATEGORY = server["essentials_category"]
    assert json.loads(json.dumps(describe_class("ImageInvert", ImageInvert, server["display_name"]))) == server


def test_what_a_class_says_of_itself_is_in_its_entry() -> None:
    entry = json.loads(json.dumps(describe_classes({"Plain": Plain}, {})["Plain"]))
    assert entry["input"]["required"] == {"b": ["INT", {"default": 1}], "a": [["x"]]}
    assert entry["input_order"] == {"required": ["b", "a"], "hidden": ["p"]}
    assert (entry["output"], entry["output_name"], entry["output_is_list"]) == (
        ["IMAGE", "MASK"],
        ["picture", "mask"],
        [True, False],
    )
    assert (entry["name"], entry["display_name"], entry["category"]) == ("Plain", "Plain", "sd")
    assert (entry["output_node"], entry["deprecated"], entry["output_tooltips"]) == (True, True, ["a", "b"])
    assert "experimental" not in entry
