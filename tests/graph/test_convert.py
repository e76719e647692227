"""One small drawing for each rule by which the canvas turns a workflow into a prompt."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest
from upscale8k.runtime.errors import WorkflowError
from upscale8k.runtime.graph.convert.converter import WorkflowConversion, convert_workflow

Draw = Callable[[], Any]
Definitions = dict[str, dict[str, Any]]


def inputs(conversion: WorkflowConversion) -> dict[str, dict[str, Any]]:
    return {node_id: node["inputs"] for node_id, node in conversion.prompt.items()}


def kinds(conversion: WorkflowConversion) -> list[str]:
    return [problem.kind for problem in conversion.problems]


def test_widgets_come_by_position_and_links_by_name(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "LoadImage", ["b.png", "image"])
    canvas.node(12, "SaveImage", ["out"], title="The end")
    canvas.link(1, 0, 12, "images")
    prompt = convert_workflow(canvas.ui(), definitions).prompt
    assert prompt == {
        "1": {"inputs": {"image": "b.png"}, "class_type": "LoadImage", "_meta": {"title": "LoadImage"}},
        "12": {
            "inputs": {"filename_prefix": "out", "images": ["1", 0]},
            "class_type": "SaveImage",
            "_meta": {"title": "The end"},
        },
    }


def test_a_version_1_root_with_object_links_and_text_slots_converts_alike(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "LoadImage", ["b.png", "image"])
    canvas.node(2, "ImageToMask", ["green"])
    canvas.link(1, 0, 2, "image")
    ui = canvas.ui()
    expected = convert_workflow(ui, definitions).prompt
    ui["links"] = [{"id": 1, "origin_id": 1, "origin_slot": "0", "target_id": 2, "target_slot": "5", "type": "IMAGE"}]
    assert convert_workflow(ui | {"version": 1}, definitions).prompt == expected


def test_seed_control_slots_are_skipped_and_the_stored_seed_is_kept(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "KSampler", [156680208700286, "randomize", 30, "sample_heun"])
    canvas.node(2, "RandomNoise", [7, "fixed"])
    canvas.node(3, "PrimitiveInt", [5, "fixed"])
    assert inputs(convert_workflow(canvas.ui(), definitions)) == {
        "1": {"seed": 156680208700286, "steps": 30, "sampler_name": "heun"},  # the canvas strips `sample_` of old files
        "2": {"noise_seed": 7},
        "3": {"value": 5},
    }


def test_a_dict_of_values_is_read_by_name_and_foreign_keys_are_dropped(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "KSampler", {"steps": 8, "seed": 3, "videopreview": {"hidden": False}})
    assert inputs(convert_workflow(canvas.ui(), definitions))["1"] == {"seed": 3, "steps": 8, "sampler_name": "euler"}


def test_missing_values_become_defaults(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "KSampler", [4])
    canvas.node(2, "SaveVideo")
    canvas.node(3, "LoadImage", [None])
    assert inputs(convert_workflow(canvas.ui(), definitions)) == {
        "1": {"seed": 4, "steps": 20, "sampler_name": "euler"},
        "2": {"filename_prefix": "video/ComfyUI", "format": "auto", "codec": "auto"},
        "3": {"image": "a.png"},
    }


def test_slots_of_inputs_without_widget_in_old_files_are_taken_out(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "OldNode", [0, 5, "text"])
    canvas.node(2, "OldNode", [5, "text"])
    assert inputs(convert_workflow(canvas.ui(), definitions)) == {"1": {"b": 5, "c": "text"}, "2": {"b": 5, "c": "text"}}


def test_values_that_fit_no_reading_are_reported_with_the_widgets_and_the_list(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(4, "KSampler", ["euler", 3, "fixed", 20, "x"], title="Mine")
    (problem,) = convert_workflow(canvas.ui(), definitions).problems
    assert problem.kind == "widgets_values_mismatch"
    for fact in ("node 4", "Mine", "seed, steps, sampler_name", "['euler', 3, 'fixed', 20, 'x']"):
        assert fact in str(problem)


def test_a_control_slot_after_a_seed_that_declares_none_is_found_by_its_value(draw: Draw, definitions: Definitions) -> None:
    pack = {
        "Pack": {"input": {"required": {"my_seed": ["INT", {}], "text": ["STRING", {}], "n": ["INT", {}]}}, "output": ["INT"]}
    }
    canvas = draw()
    canvas.node(1, "Pack", [9, "increment", "hello", 4])
    conversion = convert_workflow(canvas.ui(), definitions | pack)
    assert inputs(conversion)["1"] == {"my_seed": 9, "text": "hello", "n": 4}
    assert conversion.problems == []


def test_children_of_dynamic_combo_boxes_follow_their_selector(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "SaveVideo", ["p", "auto", "h264", "re-encode", 18])
    canvas.node(2, "SaveVideo", ["p", "mp4", "h264", "auto"])
    canvas.node(3, "SaveVideo", ["p", "auto", "auto"])
    found = inputs(convert_workflow(canvas.ui(), definitions))
    assert found["1"] == {
        "filename_prefix": "p",
        "format": "auto",
        "codec": "h264",
        "codec.encoding": "re-encode",
        "codec.encoding.crf": 18,
    }
    assert found["2"] == {"filename_prefix": "p", "format": "mp4", "codec": "h264", "codec.encoding": "auto"}
    assert found["3"] == {"filename_prefix": "p", "format": "auto", "codec": "auto"}


def test_only_connected_inputs_of_a_growing_group_are_sent(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "LoadImage", ["a.png", "image"])
    canvas.node(2, "BatchImagesNode", [])
    canvas.link(1, 0, 2, "images.image0")
    canvas.socket(2, "images.image1")
    canvas.link(1, 0, 2, "images.image2")
    canvas.socket(2, "images.image3")
    assert inputs(convert_workflow(canvas.ui(), definitions))["2"] == {"images.image0": ["1", 0], "images.image2": ["1", 0]}


def test_values_that_only_javascript_makes_are_made(draw: Draw, definitions: Definitions) -> None:
    """As recorded from the frontend for ImageCompare and CustomCombo."""
    canvas = draw()
    canvas.node(1, "ImageCompare", [])
    canvas.node(2, "CustomCombo", ["Default", 1, "Quality", "Default", "Turbo", ""])
    canvas.node(3, "Curve", [[[0, 0], [1, 1]], ["x"]])
    assert inputs(convert_workflow(canvas.ui(), definitions)) == {
        "1": {"compare_view": {"__value__": ["", ""]}},
        "2": {"choice": "Default", "index": 1, "option1": "Quality", "option2": "Default", "option3": "Turbo", "option4": ""},
        "3": {"curve": {"__type__": "CURVE", "__value__": [[0, 0], [1, 1]]}, "many": {"__value__": ["x"]}},
    }


# ---------------------------------------------------------------------- modes


def chain(draw: Draw, muted: int, mode: int) -> Any:
    canvas = draw()
    canvas.node(1, "LoadImage", ["a.png", "image"], mode=mode if muted == 1 else 0)
    canvas.node(2, "ImageInvert", mode=mode if muted == 2 else 0)
    canvas.node(3, "ImageScaleBy", [2.0, "no"], mode=mode if muted == 3 else 0)
    canvas.node(4, "SaveImage", ["out"], mode=mode if muted == 4 else 0)
    canvas.link(1, 0, 2, "image")
    canvas.link(2, 0, 3, "image")
    canvas.link(3, 0, 4, "images")
    return canvas


@pytest.mark.parametrize(("muted", "left"), [(1, {"2", "3"}), (2, {"3"}), (3, {"1"}), (4, {"1", "2"})])
def test_a_muted_node_disappears_and_so_does_every_link_to_it(
    draw: Draw, definitions: Definitions, muted: int, left: set[str]
) -> None:
    prompt = convert_workflow(chain(draw, muted, 2).ui(), definitions).prompt
    assert str(muted) not in prompt
    links = {value[0] for node in prompt.values() for value in node["inputs"].values() if isinstance(value, list)}
    assert links == left


def test_a_bypassed_node_hands_on_what_it_gets(draw: Draw, definitions: Definitions) -> None:
    prompt = convert_workflow(chain(draw, 3, 4).ui(), definitions).prompt
    assert prompt["4"]["inputs"]["images"] == ["2", 0]
    assert "3" not in prompt


def test_modes_1_and_3_are_ordinary(draw: Draw, definitions: Definitions) -> None:
    expected = convert_workflow(chain(draw, 2, 0).ui(), definitions).prompt
    assert convert_workflow(chain(draw, 2, 1).ui(), definitions).prompt == expected
    assert convert_workflow(chain(draw, 2, 3).ui(), definitions).prompt == expected


def test_a_widget_fed_by_a_muted_node_keeps_its_own_value(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "PrimitiveInt", [99, "fixed"], mode=2)
    canvas.node(2, "KSampler", [4, "fixed", 30, "heun"])
    canvas.link(1, 0, 2, "steps", "INT", widget=True)
    assert inputs(convert_workflow(canvas.ui(), definitions))["2"]["steps"] == 30


# ---------------------------------------------------------------------- nodes that exist on the canvas only


def test_a_primitive_writes_into_the_widgets_it_is_linked_to_and_not_through_a_reroute(
    draw: Draw, definitions: Definitions
) -> None:
    canvas = draw()
    canvas.node(1, "PrimitiveNode", [77, "randomize"], outputs=["INT"])
    canvas.node(2, "Reroute", outputs=["*"])
    for node_id in (3, 4, 5):
        canvas.node(node_id, "KSampler", [4, "fixed", 30, "heun"])
    canvas.link(1, 0, 2, "", "*")
    canvas.link(1, 0, 3, "steps", "INT", widget=True)
    canvas.link(1, 0, 4, "seed", "INT", widget=True)
    canvas.link(2, 0, 5, "steps", "INT", widget=True)
    found = inputs(convert_workflow(canvas.ui(), definitions))
    assert (found["3"]["steps"], found["4"]["seed"], found["5"]["steps"]) == (77, 77, 30)
    assert set(found) == {"3", "4", "5"}


def test_a_primitive_that_writes_a_choice_resets_the_inputs_behind_it(draw: Draw, definitions: Definitions) -> None:
    """Recorded in the frontend: writing the selector, even with the same key, makes its children anew."""
    canvas = draw()
    canvas.node(1, "PrimitiveNode", ["h264", "fixed", ""], outputs=["COMBO"])
    canvas.node(2, "SaveVideo", ["p", "auto", "h264", "re-encode", 18])
    canvas.link(1, 0, 2, "codec", "COMFY_DYNAMICCOMBO_V3", widget=True)
    assert inputs(convert_workflow(canvas.ui(), definitions))["2"] == {
        "filename_prefix": "p",
        "format": "auto",
        "codec": "h264",
        "codec.encoding": "auto",
    }
    # Frontend 1.58 leaves the inputs alone when the choice is the one that is there.
    newer = inputs(convert_workflow(canvas.ui() | {"extra": {"frontendVersion": "1.58.1"}}, definitions))["2"]
    assert (newer["codec.encoding"], newer["codec.encoding.crf"]) == ("re-encode", 18)


def test_reroutes_notes_and_variables_are_seen_through(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "LoadImage", ["a.png", "image"])
    canvas.node(2, "Reroute", outputs=["*"])
    canvas.node(3, "SetNode", ["picture"], outputs=["*"])
    canvas.node(4, "GetNode", ["picture"], outputs=["IMAGE"])
    canvas.node(5, "ImageInvert")
    canvas.node(6, "Note", ["text"])
    canvas.node(7, "MarkdownNote", ["# text"])
    canvas.link(1, 0, 2, "", "*")
    canvas.link(2, 0, 3, "IMAGE")
    canvas.link(4, 0, 5, "image")
    conversion = convert_workflow(canvas.ui(), definitions)
    assert inputs(conversion) == {"1": {"image": "a.png"}, "5": {"image": ["1", 0]}}
    assert conversion.problems == []


def test_a_cycle_of_reroutes_is_refused(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "Reroute")
    canvas.node(2, "Reroute")
    canvas.node(3, "ImageInvert")
    canvas.link(1, 0, 2, "", "*")
    canvas.link(2, 0, 1, "", "*")
    canvas.link(2, 0, 3, "image")
    with pytest.raises(WorkflowError, match="form a cycle"):
        convert_workflow(canvas.ui(), definitions)


def test_a_chain_of_ten_thousand_reroutes_is_refused_in_a_sentence(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    for node_id in range(10_000):
        canvas.nodes.append(
            {"id": node_id, "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": node_id}], "outputs": []}
        )
        canvas.links.append([node_id, node_id - 1, 0, node_id, 0, "*"])
    canvas.node(10_000, "ImageInvert")
    canvas.link(9_999, 0, 10_000, "image")
    with pytest.raises(WorkflowError, match="nested too deeply"):
        convert_workflow(canvas.ui(), definitions)


# ---------------------------------------------------------------------- unknown nodes


def test_an_unknown_node_is_reported_with_its_pack_and_its_links_are_kept(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "LoadImage", ["a.png", "image"])
    canvas.node(2, "Sharpener", [1, 2], title="Crisp", properties={"cnr_id": "sharp-pack"}, outputs=["IMAGE"])
    canvas.node(3, "SaveImage", ["x"])
    canvas.link(1, 0, 2, "picture")
    canvas.link(2, 0, 3, "images")
    conversion = convert_workflow(canvas.ui(), definitions)
    (problem,) = conversion.problems
    assert (problem.kind, problem.node_id, problem.class_type, problem.title) == (
        "missing_node_type",
        "2",
        "Sharpener",
        "Crisp",
    )
    assert "sharp-pack" in str(problem)
    assert conversion.packs == {"Sharpener": "sharp-pack"}
    assert inputs(conversion)["2"] == {"picture": ["1", 0]}


@pytest.mark.parametrize("mode", [2, 4])
def test_an_unknown_node_that_is_muted_or_bypassed_is_no_problem(draw: Draw, definitions: Definitions, mode: int) -> None:
    canvas = draw()
    canvas.node(1, "LoadImage", ["a.png", "image"])
    canvas.node(2, "Sharpener", mode=mode, outputs=["IMAGE"])
    canvas.node(3, "SaveImage", ["x"])
    canvas.socket(2, "strength", "FLOAT")
    canvas.link(1, 0, 2, "picture")
    canvas.link(2, 0, 3, "images")
    conversion = convert_workflow(canvas.ui(), definitions)
    assert conversion.problems == []
    assert inputs(conversion)["3"].get("images") == (["1", 0] if mode == 4 else None)


def test_a_legacy_group_node_is_refused_by_name(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "workflow>My upscale")
    conversion = convert_workflow(canvas.ui(), definitions)
    assert kinds(conversion) == ["legacy_group_node"]
    assert "My upscale" in str(conversion.problems[0])


# ---------------------------------------------------------------------- subgraphs


def upscaler(draw: Draw, graph_id: str = "up") -> dict[str, Any]:
    """image -> [1 loader -> 2 upscale] -> image, with the loader's model_name promoted."""
    inner = draw()
    inner.node(1, "UpscaleModelLoader", ["x2.pth"])
    inner.node(2, "ImageUpscaleWithModel")
    named = inner.link(-10, 1, 1, "model_name", "COMBO", widget=True)
    image = inner.link(-10, 0, 2, "image")
    inner.link(1, 0, 2, "upscale_model", "UPSCALE_MODEL")
    out = inner.link(2, 0, -20)
    return inner.as_subgraph(
        graph_id, [("image", "IMAGE", [image]), ("model_name", "COMBO", [named])], [("IMAGE", "IMAGE", [out])]
    )


def with_upscaler(draw: Draw, values: Any, mode: int = 0, **more: Any) -> Any:
    canvas = draw()
    canvas.subgraphs = [upscaler(draw)]
    canvas.node(1, "LoadImage", ["a.png", "image"])
    canvas.node(13, "up", values, mode=mode, **more)
    canvas.node(3, "SaveImage", ["x"])
    canvas.link(1, 0, 13, "image")
    canvas.link(13, 0, 3, "images")
    return canvas


def test_a_subgraph_is_flattened_into_ids_with_its_path(draw: Draw, definitions: Definitions) -> None:
    found = inputs(convert_workflow(with_upscaler(draw, ["x4.pth"]).ui(), definitions))
    assert found == {
        "1": {"image": "a.png"},
        "3": {"filename_prefix": "x", "images": ["13:2", 0]},
        "13:1": {"model_name": "x4.pth"},
        "13:2": {"image": ["1", 0], "upscale_model": ["13:1", 0]},
    }


@pytest.mark.parametrize(
    ("values", "properties", "expected"),
    [
        (["x4.pth"], {}, "x4.pth"),
        ([], {}, "x2.pth"),
        ([None], {}, "x2.pth"),
        (["x4.pth"], {"proxyWidgets": [["-1", "model_name"]]}, "x4.pth"),
        (["x4.pth"], {"proxyWidgets": [["1", "model_name"]]}, "x4.pth"),
        ([None], {"proxyWidgets": [["1", "model_name"]]}, "x2.pth"),
        ([None, "x4.pth"], {"proxyWidgets": [["2", "$$canvas-image-preview"], ["1", "1: model_name"]]}, "x4.pth"),
        (["a"], {"proxyWidgetErrorQuarantine": [{"originalEntry": ["-1", "model_name"], "hostValue": "x4.pth"}]}, "x4.pth"),
    ],
)
def test_a_promoted_widget_shows_what_the_instance_says(
    draw: Draw, definitions: Definitions, values: Any, properties: Mapping[str, Any], expected: str
) -> None:
    ui = with_upscaler(draw, values, properties=properties).ui()
    assert inputs(convert_workflow(ui, definitions))["13:1"]["model_name"] == expected


def test_two_instances_have_values_of_their_own(draw: Draw, definitions: Definitions) -> None:
    canvas = with_upscaler(draw, ["x4.pth"])
    canvas.node(14, "up", [])
    canvas.link(13, 0, 14, "image")
    found = inputs(convert_workflow(canvas.ui(), definitions))
    assert (found["13:1"]["model_name"], found["14:1"]["model_name"]) == ("x4.pth", "x2.pth")
    assert found["14:2"]["image"] == ["13:2", 0]


def test_a_link_into_a_promoted_widget_wins_over_its_value(draw: Draw, definitions: Definitions) -> None:
    canvas = with_upscaler(draw, ["x4.pth"])
    canvas.node(9, "CustomCombo", ["x2.pth", 0, "x2.pth", ""])
    canvas.link(9, 0, 13, "model_name", "COMBO", widget=True)
    assert inputs(convert_workflow(canvas.ui(), definitions))["13:1"]["model_name"] == ["9", 0]


def test_one_promoted_value_goes_to_every_widget_that_its_input_feeds(draw: Draw, definitions: Definitions) -> None:
    inner = draw()
    inner.node(1, "KSampler", [1, "fixed", 11, "euler"])
    inner.node(2, "KSampler", [2, "fixed", 22, "euler"])
    links = [inner.link(-10, 0, node_id, "steps", "INT", widget=True) for node_id in (1, 2)]
    canvas = draw()
    canvas.subgraphs = [inner.as_subgraph("two", [("steps", "INT", links)], [])]
    canvas.node(5, "two", [])
    canvas.node(6, "two", [33])
    found = inputs(convert_workflow(canvas.ui(), definitions))
    assert [found[node_id]["steps"] for node_id in ("5:1", "5:2", "6:1", "6:2")] == [11, 11, 33, 33]


def test_a_proxy_reaches_an_inner_widget_that_no_input_feeds(draw: Draw, definitions: Definitions) -> None:
    inner = draw()
    inner.node(1, "KSampler", [1, "fixed", 11, "euler"])
    inner.node(2, "PrimitiveNode", [3, "fixed"], outputs=["INT"])
    inner.link(2, 0, 1, "seed", "INT", widget=True)
    canvas = draw()
    canvas.subgraphs = [inner.as_subgraph("one", [], [])]
    proxies = {"proxyWidgets": [["1", "steps"], ["2", "value"], ["1", "control_after_generate"], ["99", "gone"]]}
    canvas.node(5, "one", [50, 8, "randomize", 1], properties=proxies)
    canvas.node(6, "one", [])
    found = inputs(convert_workflow(canvas.ui(), definitions))
    assert found["5:1"] == {"seed": 8, "steps": 50, "sampler_name": "euler"}
    assert found["6:1"] == {"seed": 3, "steps": 11, "sampler_name": "euler"}


def nested(draw: Draw, *, mode: int = 0, values: Any = None) -> Any:
    """Root 7 -> outer 4 -> upscaler 13's definition; the model is promoted through both."""
    middle = draw()
    middle.node(4, "up", values if values is not None else [], mode=mode)
    image = middle.link(-10, 0, 4, "image")
    named = middle.link(-10, 1, 4, "model_name", "COMBO", widget=True)
    out = middle.link(4, 0, -20)
    ports = [("image", "IMAGE", [image]), ("model", "COMBO", [named])]
    canvas = draw()
    definition = middle.as_subgraph("outer", ports, [("IMAGE", "IMAGE", [out])])
    definition["definitions"] = {"subgraphs": [upscaler(draw)]}  # definitions may hold definitions
    canvas.subgraphs = [definition]
    canvas.node(1, "LoadImage", ["a.png", "image"])
    canvas.node(3, "SaveImage", ["x"])
    return canvas


def test_subgraphs_nest_and_pass_their_promoted_widgets_on(draw: Draw, definitions: Definitions) -> None:
    canvas = nested(draw, values=["x4.pth"])
    canvas.node(7, "outer", [])
    canvas.link(1, 0, 7, "image")
    canvas.link(7, 0, 3, "images")
    found = inputs(convert_workflow(canvas.ui(), definitions))
    assert found["7:4:1"]["model_name"] == "x4.pth"
    assert found["7:4:2"]["image"] == ["1", 0]
    assert found["3"]["images"] == ["7:4:2", 0]


def test_the_outermost_instance_decides_a_promoted_value(draw: Draw, definitions: Definitions) -> None:
    canvas = nested(draw, values=["x4.pth"])
    canvas.node(7, "outer", ["x2.pth"])
    assert inputs(convert_workflow(canvas.ui(), definitions))["7:4:1"]["model_name"] == "x2.pth"


def test_a_muted_instance_is_gone_and_a_bypassed_one_hands_its_input_on(draw: Draw, definitions: Definitions) -> None:
    muted = inputs(convert_workflow(with_upscaler(draw, ["x4.pth"], mode=2).ui(), definitions))
    assert muted == {"1": {"image": "a.png"}, "3": {"filename_prefix": "x"}}
    bypassed = inputs(convert_workflow(with_upscaler(draw, ["x4.pth"], mode=4).ui(), definitions))
    assert bypassed == {"1": {"image": "a.png"}, "3": {"filename_prefix": "x", "images": ["1", 0]}}


def test_a_bypassed_instance_inside_another_hands_on_and_its_nodes_stay_as_in_the_frontend(
    draw: Draw, definitions: Definitions
) -> None:
    canvas = nested(draw, mode=4)
    canvas.node(7, "outer", [])
    canvas.link(1, 0, 7, "image")
    canvas.link(7, 0, 3, "images")
    found = inputs(convert_workflow(canvas.ui(), definitions))
    assert found["3"]["images"] == ["1", 0]
    assert "7:4:1" in found  # recorded: 112:55:117 of flux1_dev_uso_reference_image_gen is sent though its host is muted


def test_an_output_wired_straight_to_an_input_passes_through(draw: Draw, definitions: Definitions) -> None:
    inner = draw()
    through = inner.link(-10, 0, -20)
    canvas = draw()
    canvas.subgraphs = [inner.as_subgraph("wire", [("in", "IMAGE", [through])], [("out", "IMAGE", [through])])]
    canvas.node(1, "LoadImage", ["a.png", "image"])
    canvas.node(2, "wire")
    canvas.node(3, "SaveImage", ["x"])
    canvas.link(1, 0, 2, "in")
    canvas.link(2, 0, 3, "images")
    assert inputs(convert_workflow(canvas.ui(), definitions))["3"]["images"] == ["1", 0]


def test_a_subgraph_that_contains_itself_is_refused(draw: Draw, definitions: Definitions) -> None:
    inner = draw()
    inner.node(1, "loop")
    link = inner.link(-10, 0, 1, "image")
    canvas = draw()
    canvas.subgraphs = [inner.as_subgraph("loop", [("image", "IMAGE", [link])], [])]
    canvas.node(5, "loop")
    with pytest.raises(WorkflowError, match="contains itself"):
        convert_workflow(canvas.ui(), definitions)


def test_subgraphs_that_unfold_without_end_are_refused(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    for level in range(12):
        inner = draw()
        for node_id in range(10):
            inner.node(node_id, f"level{level + 1}")
        canvas.subgraphs.append(inner.as_subgraph(f"level{level}", [], []))
    canvas.node(1, "level0")
    with pytest.raises(WorkflowError, match="100000 nodes"):
        convert_workflow(canvas.ui(), definitions)


# ---------------------------------------------------------------------- text


def test_the_date_and_other_widgets_are_written_into_file_names(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "LoadImage", ["a/b.png", "image"], properties={"Node name for S&R": "LoadImage"})
    canvas.node(2, "SaveImage", ["%date:yyyy-MM-dd%/%LoadImage.image%_%width%_%Unknown.x%"])
    canvas.node(3, "CLIPTextEncode", ["%date:yyyy%"])
    conversion = convert_workflow(canvas.ui(), definitions, now=datetime(2026, 3, 5, 14, 7, 9))
    assert inputs(conversion)["2"]["filename_prefix"] == "2026-03-05/a_b.png_%width%_%Unknown.x%"
    assert inputs(conversion)["3"]["text"] == "%date:yyyy%"


def test_dynamic_prompts_take_one_branch_and_the_seed_fixes_which(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "CLIPTextEncode", ["a {red|{light |dark }blue} car // comment\n/* more */!"])
    texts = [inputs(convert_workflow(canvas.ui(), definitions, seed=seed))["1"]["text"] for seed in range(20)]
    assert set(texts) == {"a red car \n!", "a light blue car \n!", "a dark blue car \n!"}
    assert texts == [inputs(convert_workflow(canvas.ui(), definitions, seed=seed))["1"]["text"] for seed in range(20)]


# ---------------------------------------------------------------------- broken files


@pytest.mark.parametrize(
    "ui",
    [
        {"nodes": [{"id": 1, "type": "LoadImage", "inputs": [{"link": 3}]}]},
        {"nodes": [{"id": 1, "type": "LoadImage"}], "links": [[1, 2]]},
        {"nodes": [{"id": 1, "type": "LoadImage", "mode": "loud"}]},
        {"nodes": [{"id": 1, "type": "LoadImage", "outputs": 5}]},
        {"nodes": [], "definitions": {"subgraphs": [{"nodes": []}]}},
    ],
)
def test_a_damaged_workflow_is_refused_in_a_sentence(ui: dict[str, Any], definitions: Definitions) -> None:
    with pytest.raises(WorkflowError, match=r"damaged|shape that ComfyUI does not write"):
        convert_workflow(ui, definitions)


def test_a_link_that_is_not_there_is_no_link(draw: Draw, definitions: Definitions) -> None:
    canvas = draw()
    canvas.node(1, "ImageInvert")
    canvas.socket(1, "image", link=77)
    assert inputs(convert_workflow(canvas.ui(), definitions)) == {"1": {}}
