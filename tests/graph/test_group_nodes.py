"""Group nodes of older ComfyUI, converted: what runs is what their inner nodes say with the values of the instance.

``AGREED`` are files and prompts recorded from ComfyUI's frontend 1.47, which turns group nodes into subgraphs. Where it
loses links or shifts values itself (classes with V1 combo boxes, inputs that primitives feed, muted group nodes), what
is expected is read off the file: the frontends that saved such files showed exactly these widgets, in this order.
"""

import copy
from typing import Any

import pytest
from upscale8k.runtime.graph.convert.converter import WorkflowConversion, convert_workflow

IMAGE = "IMAGE"
BLEND = {
    "required": {
        "image1": [IMAGE, {}],
        "image2": [IMAGE, {}],
        "blend_factor": ["FLOAT", {"default": 0.5}],
        "blend_mode": ["COMBO", {"options": ["normal", "multiply", "screen", "overlay"]}],
    }
}
EMPTY = {name: ["INT", {"default": 1}] for name in ("width", "height", "batch_size", "color")}
SAMPLER = {
    "model": ["MODEL", {}],
    "seed": ["INT", {"default": 0, "control_after_generate": True}],
    "steps": ["INT", {"default": 20}],
    "cfg": ["FLOAT", {"default": 8.0}],
    "sampler_name": [["euler", "dpmpp_2m"], {}],
    "scheduler": [["normal", "karras"], {}],
    "positive": ["CONDITIONING", {}],
    "negative": ["CONDITIONING", {}],
    "latent_image": ["LATENT", {}],
    "denoise": ["FLOAT", {"default": 1.0}],
}
GROWN = {"template": {"input": {"required": {"image": [IMAGE, {}]}}, "prefix": "image", "min": 1, "max": 50}}
DEFINITIONS: dict[str, dict[str, Any]] = {
    "LoadImage": {"input": {"required": {"image": [["a.png", "b.png"], {"image_upload": True}]}}, "output": [IMAGE, "MASK"]},
    "ImageInvert": {"input": {"required": {"image": [IMAGE, {}]}}, "output": [IMAGE]},
    "ImageBlend": {"input": BLEND, "output": [IMAGE]},
    "EmptyImage": {"input": {"required": EMPTY}, "output": [IMAGE]},
    "PreviewImage": {"input": {"required": {"images": [IMAGE, {}]}}, "output": []},
    "PreviewAny": {"input": {"required": {"source": ["*", {}]}}, "output": []},
    "RandomNoise": {"input": {"required": {"noise_seed": ["INT", {"control_after_generate": True}]}}, "output": ["NOISE"]},
    "PrimitiveInt": {"input": {"required": {"value": ["INT", {"control_after_generate": "fixed"}]}}, "output": ["INT"]},
    "PrimitiveFloat": {"input": {"required": {"value": ["FLOAT", {}]}}, "output": ["FLOAT"]},
    "Checkpoint": {"input": {"required": {"name": [["x"], {}]}}, "output": ["MODEL", "CLIP", "VAE"]},
    "CLIPTextEncode": {"input": {"required": {"text": ["STRING", {}], "clip": ["CLIP", {}]}}, "output": ["CONDITIONING"]},
    "KSampler": {"input": {"required": SAMPLER}, "output": ["LATENT"]},
    "VAEDecode": {"input": {"required": {"samples": ["LATENT", {}], "vae": ["VAE", {}]}}, "output": [IMAGE]},
    "BatchImagesNode": {"input": {"required": {"images": ["COMFY_AUTOGROW_V3", GROWN]}}, "output": [IMAGE]},
}


def socket(name: str, kind: str = IMAGE, link: int | None = None, *, widget: bool = False, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "link": link, **({"widget": {"name": name}} if widget else {}), **more}


def node(
    node_id: int, kind: str, values: Any = None, inputs: Any = (), outputs: Any = (IMAGE,), mode: int = 0, **more: Any
) -> dict[str, Any]:
    sockets = {"inputs": list(inputs), "outputs": [{"name": one, "type": one} for one in outputs]}
    return {"id": node_id, "type": kind, "mode": mode, "widgets_values": values, **sockets, **more}


def inner(kind: str, values: Any = None, inputs: Any = (), outputs: Any = (IMAGE,), **more: Any) -> dict[str, Any]:
    """As the clipboard held it: without an id."""
    return {key: value for key, value in node(0, kind, values, inputs, outputs, **more).items() if key != "id"}


def workflow(nodes: list[Any], links: list[Any], **groups: Any) -> dict[str, Any]:
    return {"version": 0.4, "nodes": nodes, "links": links, "extra": {"groupNodes": groups}}


def group(nodes: list[Any], links: list[Any], external: Any = (), **more: Any) -> dict[str, Any]:
    return {"nodes": nodes, "links": links, "external": list(external), **more}


def inputs_of(conversion: WorkflowConversion) -> dict[str, dict[str, Any]]:
    assert conversion.problems == []
    return {node_id: node["inputs"] for node_id, node in conversion.prompt.items()}


def converted(ui: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return inputs_of(convert_workflow(ui, DEFINITIONS))


INVERT_AND_BLEND = group(
    [
        inner("ImageInvert", None, [socket("image")]),
        inner("ImageBlend", [0.25, "normal"], [socket("image1"), socket("image2")]),
    ],
    [[0, 0, 1, 0, 7, IMAGE], [None, 0, 0, 0, 1, IMAGE]],
    [[1, 0, IMAGE]],
)
NUMBERS = group(
    [
        inner("RandomNoise", [1, "randomize"], (), ("NOISE",)),
        inner("PrimitiveInt", [3, "fixed"], (), ("INT",)),
        inner("PrimitiveFloat", [2.5], (), ("FLOAT",)),
    ],
    [],
    [[0, 0, "NOISE"]],
)
AGREED = {
    "values and inputs go to the inner nodes": (
        workflow(
            [
                node(1, "LoadImage", ["a.png", "image"], (), (IMAGE, "MASK")),
                node(2, "workflow>g", [0.75, "multiply"], [socket("image", link=1), socket("image2", link=2)]),
                node(3, "PreviewImage", None, [socket("images", link=3)], ()),
            ],
            [[1, 1, 0, 2, 0, IMAGE], [2, 1, 0, 2, 1, IMAGE], [3, 2, 0, 3, 0, IMAGE]],
            g=INVERT_AND_BLEND,
        ),
        {
            "1": {"image": "a.png"},
            "2:0": {"image": ["1", 0]},
            "2:1": {"blend_factor": 0.75, "blend_mode": "multiply", "image1": ["2:0", 0], "image2": ["1", 0]},
            "3": {"images": ["2:1", 0]},
        },
    ),
    "control slots are counted": (
        workflow(
            [
                node(2, "workflow>s", [11, "fixed", 12, "increment", 13.5], (), ("NOISE", "INT", "FLOAT")),
                node(3, "PreviewAny", None, [socket("source", "*", 1)], ()),
                node(4, "PreviewAny", None, [socket("source", "*", 2)], ()),
            ],
            [[1, 2, 1, 3, 0, "INT"], [2, 2, 2, 4, 0, "FLOAT"]],
            s=NUMBERS,
        ),
        {
            "2:0": {"noise_seed": 11},
            "2:1": {"value": 12},
            "2:2": {"value": 13.5},
            "3": {"source": ["2:1", 0]},
            "4": {"source": ["2:2", 0]},
        },
    ),
}


@pytest.mark.parametrize("name", AGREED)
def test_a_group_node_becomes_what_the_frontend_makes_of_it(name: str) -> None:
    ui, expected = AGREED[name]
    assert converted(ui) == expected


def test_a_text_to_image_group_keeps_its_model_its_prompts_and_its_sampler() -> None:
    """Sampler and scheduler are V1 combo boxes: frontend 1.47 takes them for sockets and sends denoise "dpmpp_2m"."""
    kind = group(
        [
            inner("CLIPTextEncode", ["a cat"], [socket("clip", "CLIP")], ("CONDITIONING",)),
            inner("CLIPTextEncode", ["bad"], [socket("clip", "CLIP")], ("CONDITIONING",), title="Negative"),
            inner(
                "KSampler",
                [5, "randomize", 20, 8, "euler", "normal", 1],
                [
                    socket("model", "MODEL"),
                    socket("positive", "CONDITIONING"),
                    socket("negative", "CONDITIONING"),
                    socket("latent_image", "LATENT"),
                ],
                ("LATENT",),
            ),
            inner("VAEDecode", None, [socket("samples", "LATENT"), socket("vae", "VAE")]),
        ],
        [[0, 0, 2, 1, 1, "CONDITIONING"], [1, 0, 2, 2, 1, "CONDITIONING"], [2, 0, 3, 0, 1, "LATENT"]],
        [[3, 0, IMAGE]],
    )
    sockets = [
        socket("clip", "CLIP", 2),
        socket("Negative clip", "CLIP", 3),
        socket("model", "MODEL", 1),
        socket("vae", "VAE", 4),
    ]
    values = ["a dog", "ugly", 42, "fixed", 30, 7.5, "dpmpp_2m", "karras", 0.5]
    ui = workflow(
        [
            node(1, "Checkpoint", ["x"], (), ("MODEL", "CLIP", "VAE")),
            node(2, "workflow>ks", values, sockets),
            node(3, "PreviewImage", None, [socket("images", link=5)], ()),
        ],
        [
            [1, 1, 0, 2, 2, "MODEL"],
            [2, 1, 1, 2, 0, "CLIP"],
            [3, 1, 1, 2, 1, "CLIP"],
            [4, 1, 2, 2, 3, "VAE"],
            [5, 2, 0, 3, 0, IMAGE],
        ],
        ks=kind,
    )
    prompt = converted(ui)
    assert prompt["2:0"] == {"text": "a dog", "clip": ["1", 1]}
    assert prompt["2:1"] == {"text": "ugly", "clip": ["1", 1]}
    assert prompt["2:2"] == {
        **{"seed": 42, "steps": 30, "cfg": 7.5, "sampler_name": "dpmpp_2m", "scheduler": "karras", "denoise": 0.5},
        **{"model": ["1", 0], "positive": ["2:0", 0], "negative": ["2:1", 0]},
    }
    assert prompt["2:3"] == {"samples": ["2:2", 0], "vae": ["1", 2]}
    assert prompt["3"] == {"images": ["2:3", 0]}


def two_sheets(kind: str) -> dict[str, Any]:
    """Two instances of one group node with the same inner nodes and different values."""
    made = group(
        [
            inner("EmptyImage", [64, 32, 1, 255]),
            inner("EmptyImage", [65, 33, 2, 1], title="Second"),
            inner("ImageInvert", None, [socket("image")]),
        ],
        [[0, 0, 2, 0, 7, IMAGE]],
    )
    return workflow(
        [
            node(2, kind, [8, 9, 1, 3, 10, 11, 2, 4], (), (IMAGE, IMAGE)),
            node(5, kind, [18, 19, 1, 13, 20, 21, 2, 14], (), (IMAGE, IMAGE)),
            node(3, "PreviewImage", None, [socket("images", link=1)], ()),
            node(4, "PreviewImage", None, [socket("images", link=2)], ()),
        ],
        [[1, 2, 0, 3, 0, IMAGE], [2, 5, 1, 4, 0, IMAGE]],
        mk=made,
    )


@pytest.mark.parametrize("kind", ["workflow>mk", "workflow/mk"])
def test_two_instances_have_their_own_values_and_only_open_outputs(kind: str) -> None:
    names = ("width", "height", "batch_size", "color")
    prompt = converted(two_sheets(kind))
    assert prompt["2:0"] == dict(zip(names, (8, 9, 1, 3), strict=True))
    assert prompt["2:1"] == dict(zip(names, (10, 11, 2, 4), strict=True))
    assert prompt["5:1"] == dict(zip(names, (20, 21, 2, 14), strict=True))
    assert prompt["3"] == {"images": ["2:1", 0]}  # the first sheet's output is used inside
    assert prompt["4"] == {"images": ["5:2", 0]}


def test_an_inner_primitive_and_a_converted_widget_stay_in_their_places() -> None:
    """The group node shows: value, its control, batch_size, color, and last height, which has a socket."""
    kind = group(
        [
            inner("PrimitiveNode", [77, "fixed"], (), ("INT",)),
            inner("EmptyImage", [64, 32, 1, 255], [socket("width", "INT", widget=True), socket("height", "INT", widget=True)]),
        ],
        [[0, 0, 1, 0, 7, "INT"]],
    )

    def with_height(link: int | None) -> dict[str, Any]:
        return workflow(
            [
                node(1, "PrimitiveInt", [99, "fixed"], (), ("INT",)),
                node(2, "workflow>p", [78, "increment", 1, 5, 31], [socket("height", "INT", link)]),
                node(3, "PreviewImage", None, [socket("images", link=2)], ()),
            ],
            [[1, 1, 0, 2, 0, "INT"], [2, 2, 0, 3, 0, IMAGE]],
            p=kind,
        )

    assert converted(with_height(None))["2:1"] == {"width": 78, "height": 31, "batch_size": 1, "color": 5}
    assert converted(with_height(1))["2:1"] == {"width": 78, "height": ["1", 0], "batch_size": 1, "color": 5}


def test_names_given_in_the_manager_hidden_inputs_and_hidden_outputs_are_respected() -> None:
    blend = [socket("image1"), socket("image2")]
    kind = group(
        [
            inner("ImageBlend", [0.25, "normal"], blend),
            inner("ImageBlend", [0.25, "normal"], blend, title="Middle"),
            inner("ImageBlend", [0.25, "normal"], [socket("image1"), socket("image2", label="the mask")]),
        ],
        [[0, 0, 1, 1, 5, IMAGE], [1, 0, 2, 0, 5, IMAGE]],
        config={
            "0": {"input": {"blend_factor": {"name": "first factor"}, "image2": {"visible": False}}},
            "1": {"output": {"0": {"visible": True}}},
        },
    )
    ui = workflow(
        [
            node(1, "EmptyImage", [5, 6, 1, 0]),
            node(
                2,
                "workflow>three",
                [0.1, "multiply", 0.2, "screen", 0.3, "overlay"],
                [socket("image1", link=1), socket("Middle image1", link=2), socket("the mask", link=3)],
                (IMAGE, IMAGE),
            ),
            node(3, "PreviewImage", None, [socket("images", link=4)], ()),
            node(4, "PreviewImage", None, [socket("images", link=5)], ()),
        ],
        [
            *([[link, 1, 0, 2, slot, IMAGE] for slot, link in enumerate((1, 2, 3))]),
            *([[4, 2, 0, 3, 0, IMAGE], [5, 2, 1, 4, 0, IMAGE]]),
        ],
        three=kind,
    )
    prompt = converted(ui)
    assert prompt["2:0"] == {"blend_factor": 0.1, "blend_mode": "multiply", "image1": ["1", 0]}
    assert prompt["2:1"] == {"blend_factor": 0.2, "blend_mode": "screen", "image1": ["1", 0], "image2": ["2:0", 0]}
    assert prompt["2:2"] == {"blend_factor": 0.3, "blend_mode": "overlay", "image1": ["2:1", 0], "image2": ["1", 0]}
    assert (prompt["3"], prompt["4"]) == ({"images": ["2:1", 0]}, {"images": ["2:2", 0]})


def test_a_reroute_passes_through_and_an_upload_button_holds_its_slot() -> None:
    kind = group(
        [
            inner("LoadImage", ["a.png", "image"], (), (IMAGE, "MASK")),
            inner("Reroute", None, [socket("", "*")]),
            inner("ImageInvert", None, [socket("image")]),
            inner("EmptyImage", [1, 2, 3, 4]),
        ],
        [[0, 0, 2, 0, 1, IMAGE], [None, 0, 1, 0, 1, IMAGE]],
        [[1, 0, IMAGE], [2, 0, IMAGE]],
    )
    ui = workflow(
        [
            node(1, "EmptyImage", [5, 6, 1, 0]),
            node(2, "workflow>r", ["b.png", "image", 7, 8, 1, 9], [socket(IMAGE, link=1)], ("MASK", IMAGE, IMAGE, IMAGE)),
            node(3, "PreviewImage", None, [socket("images", link=2)], ()),
            node(4, "PreviewImage", None, [socket("images", link=3)], ()),
        ],
        [[1, 1, 0, 2, 0, IMAGE], [2, 2, 1, 3, 0, IMAGE], [3, 2, 3, 4, 0, IMAGE]],
        r=kind,
    )
    prompt = converted(ui)
    assert prompt["2:0"] == {"image": "b.png"}
    assert prompt["3"] == {"images": ["1", 0]}
    assert prompt["4"] == {"images": ["2:3", 0]}
    assert prompt["2:3"] == {"width": 7, "height": 8, "batch_size": 1, "color": 9}


@pytest.mark.parametrize(("mode", "reaches"), [(2, None), (4, ["1", 0])])
def test_a_muted_group_node_is_off_and_a_bypassed_one_passes_on(mode: int, reaches: Any) -> None:
    ui = copy.deepcopy(AGREED["values and inputs go to the inner nodes"][0])
    ui["nodes"][1]["mode"] = mode
    prompt = converted(ui)
    assert prompt.keys() == {"1", "3"}
    assert prompt["3"].get("images") == reaches


def test_a_group_node_inside_a_subgraph_is_converted_there() -> None:
    inside = {
        "id": "graph-1",
        "name": "Around",
        "nodes": [node(2, "workflow>s", [11, "fixed", 12, "increment", 13.5], (), ("NOISE", "INT", "FLOAT"))],
        "links": [{"id": 1, "origin_id": 2, "origin_slot": 1, "target_id": -20, "target_slot": 0, "type": "INT"}],
        "inputs": [],
        "outputs": [{"name": "INT", "type": "INT", "linkIds": [1]}],
    }
    ui = workflow(
        [node(9, "graph-1", None, (), ("INT",)), node(3, "PreviewAny", None, [socket("source", "*", 1)], ())],
        [[1, 9, 0, 3, 0, "INT"]],
        s=NUMBERS,
    )
    prompt = converted(ui | {"definitions": {"subgraphs": [inside]}})
    assert prompt["3"] == {"source": ["9:2:1", 0]}
    assert prompt["9:2:1"] == {"value": 12}


def refusal(ui: dict[str, Any]) -> str:
    (problem,) = convert_workflow(ui, DEFINITIONS).problems
    assert problem.kind == "legacy_group_node"
    return str(problem)


def test_what_cannot_be_converted_is_refused_by_name() -> None:
    ui = two_sheets("workflow>mk")
    del ui["nodes"][1:], ui["links"][1:]
    without = copy.deepcopy(ui) | {"extra": {}}
    assert "'mk'" in refusal(without) and "not in the file" in refusal(without)
    nested = copy.deepcopy(ui)
    nested["extra"]["groupNodes"]["mk"]["nodes"][1]["type"] = "workflow>mk"
    assert "another group node, 'mk'" in refusal(nested)
    growing = copy.deepcopy(ui)
    growing["extra"]["groupNodes"]["mk"]["nodes"][1]["type"] = "BatchImagesNode"
    assert "the growing input 'images'" in refusal(growing)
    short = copy.deepcopy(ui)
    short["nodes"][0]["widgets_values"] = ["text", *range(11)]
    assert "do not fit its widgets width, height" in refusal(short)
    foreign = copy.deepcopy(ui)
    foreign["nodes"][0]["inputs"] = [socket("mystery", link=1)]
    assert "the input 'mystery'" in refusal(foreign)
    beyond = copy.deepcopy(ui)
    beyond["links"] = [[1, 2, 7, 3, 0, IMAGE]]
    beyond["nodes"].append(node(3, "PreviewImage", None, [socket("images", link=1)], ()))
    assert "its output 7" in refusal(beyond)


def test_an_unknown_class_inside_is_named_with_its_pack() -> None:
    ui = two_sheets("workflow>mk")
    ui["extra"]["groupNodes"]["mk"]["nodes"][0] |= {"type": "Sharpen+", "properties": {"cnr_id": "sharp-pack"}}
    conversion = convert_workflow(ui, DEFINITIONS)
    assert {(problem.kind, problem.node_id) for problem in conversion.problems} == {
        ("missing_node_type", "2:0"),
        ("missing_node_type", "5:0"),
    }
    assert "It belongs to the pack sharp-pack." in str(conversion.problems[0])
