"""How a bypassed node chooses the input it hands on, and in which order a live node has its inputs."""

from collections.abc import Callable
from typing import Any

import pytest
from upscale8k.runtime.graph.convert.sockets import build_sockets, can_connect, find_bypass_slot
from upscale8k.runtime.graph.convert.ui_workflow import InputSocket, read_ui_workflow
from upscale8k.runtime.graph.convert.widgets import read_widgets


@pytest.mark.parametrize(
    ("inputs", "output", "slot", "wanted", "chosen"),
    [
        (["IMAGE", "MASK"], "IMAGE", 0, "IMAGE", 0),  # the same place
        (["MASK", "IMAGE", "IMAGE"], "IMAGE", 0, "IMAGE", 1),  # the first of the very type
        (["MASK", "IMAGE,MASK", "IMAGE"], "IMAGE", 0, "IMAGE", 2),  # the very type before one that merely fits
        (["LATENT", "IMAGE,MASK"], "IMAGE", 0, "IMAGE", 1),  # one that fits
        (["LATENT", "MODEL"], "IMAGE", 0, "IMAGE", None),  # none
        (["LATENT", "MODEL"], "IMAGE", 1, "*", 1),  # a reader of anything: the same place
        (["LATENT", "MODEL"], "IMAGE", 5, "*", 0),  # or the first
        ([], "IMAGE", 0, "*", None),
        (["*"], "MASK", 0, "MASK", 0),
        (["LATENT", "image"], "Image", 0, "IMAGE", 1),  # case does not matter for fitting
    ],
)
def test_a_bypassed_node_hands_on_the_input_that_the_frontend_chooses(
    inputs: list[str], output: str, slot: int, wanted: str, chosen: int | None
) -> None:
    sockets = [InputSocket(f"in{index}", kind) for index, kind in enumerate(inputs)]
    assert find_bypass_slot(sockets, output, slot, wanted) == chosen


@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [
        ("IMAGE", "image", True),
        ("IMAGE", "MASK", False),
        ("A,B", "B,C", True),
        ("A,B", "C", False),
        ("*", "X", True),
        ("", "X", True),
    ],
)
def test_sockets_fit_as_on_the_canvas(first: str, second: str, fits: bool) -> None:
    assert can_connect(first, second) is fits
    assert can_connect(second, first) is fits


def names(
    draw: Callable[[], Any], definitions: dict[str, Any], kind: str, values: Any, saved: list[tuple[str, bool]]
) -> list[str]:
    canvas = draw()
    canvas.node(1, kind, values)
    for name, widget in saved:
        canvas.socket(1, name, widget=widget)
    node = read_ui_workflow(canvas.ui()).root.nodes["1"]
    widgets = read_widgets(kind, definitions[kind], node.values)
    return [socket.name for socket in build_sockets(node, definitions[kind], widgets.values)]


def test_plain_sockets_stand_before_those_of_widgets(draw: Callable[[], Any], definitions: dict[str, Any]) -> None:
    assert names(draw, definitions, "KSampler", [], []) == ["model", "seed", "steps", "sampler_name"]
    assert names(draw, definitions, "CLIPTextEncode", [], []) == ["clip", "text"]


def test_sockets_of_a_choice_follow_their_selector(draw: Callable[[], Any], definitions: dict[str, Any]) -> None:
    values = ["p", "auto", "h264", "re-encode", 18]
    expected = ["video", "filename_prefix", "format", "codec", "codec.encoding", "codec.encoding.crf"]
    assert names(draw, definitions, "SaveVideo", values, []) == expected


def test_a_growing_group_shows_one_step_more_than_it_needs(draw: Callable[[], Any], definitions: dict[str, Any]) -> None:
    assert names(draw, definitions, "BatchImagesNode", [], []) == ["images.image0", "images.image1"]


def test_extra_saved_sockets_stay_unless_their_widget_is_gone(draw: Callable[[], Any], definitions: dict[str, Any]) -> None:
    saved = [("grown_by_javascript", False), ("widget_of_an_older_version", True)]
    assert names(draw, definitions, "ImageInvert", [], saved) == ["image", "grown_by_javascript"]
