"""``--set`` in the words people use, and what it answers to wrong ones."""

import copy
from typing import Any

import pytest
from upscale8k.runtime.errors import WorkflowError
from upscale8k.runtime.graph.overrides import apply_override

CODEC = {
    "options": [
        {"key": "auto", "inputs": {"required": {}}},
        {"key": "h264", "inputs": {"required": {"crf": ("INT", {"default": 23})}, "optional": {"mask": ("MASK",)}}},
    ]
}


class Node:
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "count": ("INT", {}),
                "scale": ("FLOAT", {}),
                "name": ("STRING", {}),
                "flag": ("BOOLEAN", {}),
                "size": ([8, 16],),
                "codec": ("COMFY_DYNAMICCOMBO_V3", CODEC),
                "image": ("IMAGE",),
            }
        }


CATALOG: dict[str, type] = {"Node": Node, "Other": Node}
PROMPT: dict[str, Any] = {
    "1": {"class_type": "Node", "inputs": {"count": ["2", 0], "codec": "auto"}, "_meta": {"title": "The first. One"}},
    "2": {"class_type": "Node", "inputs": {"codec": "h264", "codec.crf": 5}, "_meta": {"title": "Twin"}},
    "13:1": {"class_type": "Other", "inputs": {}, "_meta": {"title": "Twin"}},
}


@pytest.mark.parametrize(
    ("assignment", "node", "name", "value"),
    [
        ("1.count=7", "1", "count", 7),  # replaces a link
        ("1.scale=0.5", "1", "scale", 0.5),
        ("1.name=a=b.c", "1", "name", "a=b.c"),
        ("1.name=", "1", "name", ""),
        ("1.flag=off", "1", "flag", False),
        ("1.flag=True", "1", "flag", True),
        ("1.size=16", "1", "size", 16),
        ("1.size=5", "1", "size", "5"),  # left for `check`, which names the choices
        ("13:1.count=-2", "13:1", "count", -2),
        ("Other.count=3", "13:1", "count", 3),
        ("The first. One.count=3", "1", "count", 3),
        ("2.codec.crf=18", "2", "codec.crf", 18),
        ('1.image=["2", 0]', "1", "image", ["2", 0]),
    ],
)
def test_a_value_is_set_by_id_title_or_class(assignment: str, node: str, name: str, value: Any) -> None:
    before = copy.deepcopy(PROMPT)
    changed = apply_override(PROMPT, assignment, CATALOG)
    assert changed[node]["inputs"][name] == value
    assert type(changed[node]["inputs"][name]) is type(value)
    assert before == PROMPT


def test_another_choice_brings_its_inputs_with_their_defaults_and_takes_the_old_ones_away() -> None:
    assert apply_override(PROMPT, "1.codec=h264", CATALOG)["1"]["inputs"] == {
        "count": ["2", 0],
        "codec": "h264",
        "codec.crf": 23,
    }
    assert apply_override(PROMPT, "2.codec=h264", CATALOG)["2"]["inputs"] == {"codec": "h264", "codec.crf": 5}
    assert apply_override(PROMPT, "2.codec=auto", CATALOG)["2"]["inputs"] == {"codec": "auto"}


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("count", "NODE.INPUT=VALUE"),
        ("count=5", "NODE.INPUT=VALUE"),
        ("9.count=5", 'The workflow has node 1 (Node "The first. One"), node 2 (Node "Twin"), node 13:1'),
        ("1.color=red", "It has count, scale, name, flag, size, codec, image."),
        ("1.codec.crf=5", "It has count"),
        ("Twin.count=5", 'node 2 (Node "Twin"), node 13:1 (Other "Twin")'),
        ("Node.count=5", "Name the node by its id"),
        ("1.count=5.5", "must be an integer"),
        ("1.scale=nan", "must be a number"),
        ("1.flag=maybe", "must be true or false"),
        ("1.image={", "must be JSON"),
    ],
)
def test_what_cannot_be_set_is_refused_with_what_can(assignment: str, says: str) -> None:
    with pytest.raises(WorkflowError) as caught:
        apply_override(PROMPT, assignment, CATALOG)
    assert says in str(caught.value)


def test_a_node_of_an_unknown_class_cannot_be_set() -> None:
    with pytest.raises(WorkflowError, match="not installed"):
        apply_override({"1": {"class_type": "Foreign", "inputs": {"x": 1}}}, "1.x=2", CATALOG)
