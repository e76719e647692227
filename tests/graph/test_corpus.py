"""The converter against prompts recorded from ComfyUI's own frontend, where the recordings lie beside the checkout."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from upscale8k.nodes import DISPLAY_NAMES, get_node_classes
from upscale8k.runtime.graph import document
from upscale8k.runtime.graph.convert.converter import convert_workflow
from upscale8k.runtime.graph.definitions import describe_classes
from upscale8k.runtime.host import LocalHost

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "conformance"
# The frontend takes the value of a promoted primitive from the wrong widget of its target ("gemini-3-pro-image-preview" as
# an aspect ratio), because at that moment the primitive has no widget yet. We send the primitive's own value.
FRONTEND_IS_WRONG = {"templates_graphic_design_recomposer.json.ui.json"}

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded corpus ../shared/conformance is not here")


def read(path: Path) -> document.Document:
    return document.read_document(path, lambda video: {})  # no video is among them


@pytest.fixture(scope="module")
def score() -> ModuleType:
    spec = spec_from_file_location("score", CORPUS / "score.py")
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def object_info() -> dict[str, Any]:
    return json.loads((CORPUS / "object_info.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("folder", ["ui_to_api", "fuzz"])
def test_every_recorded_workflow_converts_to_the_graph_that_the_frontend_sent(
    folder: str, score: ModuleType, object_info: dict[str, Any]
) -> None:
    paths = sorted((CORPUS / folder).glob("*.ui.json"))
    assert paths
    different = set()
    for path in paths:
        expected = json.loads(path.with_name(path.name.replace(".ui.json", ".api.json")).read_text(encoding="utf-8"))
        ui = read(path).ui
        assert ui is not None
        conversion = convert_workflow(ui, object_info)
        assert conversion.problems == []
        if sorted(score.hashes(expected).values()) != sorted(score.hashes(conversion.prompt).values()):
            different.add(path.name)
    assert different <= FRONTEND_IS_WRONG


# It sends null where an instance of a subgraph holds no value; we keep the inner one, as 1.47 did.
FRONTEND_SENDS_NULL = {
    "bp_canny_to_video_ltx_2_0.ui.json",
    "bp_depth_to_video_ltx_2_0.ui.json",
    "bp_pose_to_image_z_image_turbo.ui.json",
}
# Their classes are known, but have inputs of a later version than the definitions: the frontend drops those values in silence.
# The values of Load3D are those of a view in the browser.
SAVED_BY_A_NEWER_VERSION = {
    "3d_pixal3d_trellis2_image_to_model.ui.json",
    "api_bytedance_seedream_5_0_flash_t2i.ui.json",
    "api_bytedance_seedream_5_0_lite_image_edit.ui.json",
    "api_hunyuan3d_smart_topology.ui.json",
    "api_meshy_image_to_model.ui.json",
    "api_recraft_v4_1_flash_t2i.ui.json",
}


@pytest.mark.parametrize(
    ("folder", "version", "equal"), [("oracle", "0.30", 52), ("fuzz", "0.30", 43), ("oracle33", "0.33", 20)]
)
def test_every_workflow_that_frontend_1_58_converts_is_equal_or_its_own_fault(
    folder: str, version: str, equal: int, score: ModuleType
) -> None:
    """What is refused has a class that the definitions lack (the frontend sends null for it) or a newer version's inputs."""
    recorded = CORPUS / "frontend_1_58"
    object_info = json.loads((recorded / f"object_info_{version}.json").read_text(encoding="utf-8"))
    same = 0
    for path in sorted((recorded / folder).glob("*.ui.json")):
        expected = json.loads(path.with_name(path.name.replace(".ui.json", ".api.json")).read_text(encoding="utf-8"))
        ui = read(path).ui
        assert ui is not None
        conversion = convert_workflow(ui, object_info)
        if conversion.problems:
            unknown = any(node["class_type"] is None for node in expected.values())
            assert unknown != (path.name in SAVED_BY_A_NEWER_VERSION), path.name
            continue
        is_same = sorted(score.hashes(expected).values()) == sorted(score.hashes(conversion.prompt).values())
        assert is_same != (path.name in FRONTEND_SENDS_NULL), path.name
        same += is_same
    assert same == equal


@pytest.fixture
def own_definitions() -> dict[str, Any]:
    """What the headless runner knows: no ImageBlur, and the video nodes of ComfyUI 0.38."""
    return describe_classes(get_node_classes(LocalHost()), DISPLAY_NAMES)


@pytest.mark.parametrize("name", ["saved_n47", "saved_n58"])
def test_values_behind_an_unknown_bypassed_node_stay_where_they_were(own_definitions: dict[str, Any], name: str) -> None:
    conversion = convert_workflow(read(CORPUS / "frontend_1_58" / "shift" / f"{name}.json").ui or {}, own_definitions)
    assert "ImageBlur" not in own_definitions
    assert conversion.problems == conversion.notes == []
    (scale,) = [node["inputs"] for node in conversion.prompt.values() if node["class_type"] == "ImageScaleBy"]
    assert (scale["upscale_method"], scale["scale_by"]) == ("nearest-exact", 3)  # 128x96 becomes 384x288


@pytest.mark.parametrize("name", ["crf", "defaults", "mkv_av1", "mp4_h264"])
def test_save_video_of_0_33_keeps_every_value(own_definitions: dict[str, Any], name: str) -> None:
    """What the files become is in tests/nodes/builtin/test_video.py."""
    path = CORPUS / "frontend_1_58" / "video33" / f"v33_{name}.json"
    conversion = convert_workflow(read(path).ui or {}, own_definitions)
    assert conversion.problems == conversion.notes == []
    sent = json.loads(path.with_name(f"v33_{name}.api.json").read_text(encoding="utf-8"))
    ours, theirs = ({node["class_type"]: node["inputs"] for node in prompt.values()} for prompt in (conversion.prompt, sent))
    assert ours["SaveVideo"] == theirs["SaveVideo"]
    assert theirs["CreateVideo"].items() <= ours["CreateVideo"].items()  # 0.33 has neither color space nor codec there


def test_the_gan_upscale_blueprint_keeps_the_ids_that_the_frontend_gives(object_info: dict[str, Any]) -> None:
    """The blueprint lies on a canvas as node 13, so its inner nodes are 13:1, 13:2, 13:10 and 13:11 in the recording."""
    ui = read(CORPUS / "ui_to_api" / "Video_Upscale_GAN_x4_.json.ui.json").ui
    assert ui is not None
    recorded = json.loads((CORPUS / "ui_to_api" / "Video_Upscale_GAN_x4_.json.api.json").read_text(encoding="utf-8"))
    assert convert_workflow(ui, object_info).prompt.keys() == recorded.keys()


def test_permuted_target_slots_and_native_reroutes_change_nothing(object_info: dict[str, Any]) -> None:
    paths = sorted((CORPUS / "fuzz").glob("*.ui.json"))[:25]
    assert len(paths) == 25
    for path in paths:
        ui = read(path).ui
        assert ui is not None
        before = convert_workflow(ui, object_info).prompt
        for link in ui["links"]:
            link[4] += 7
        ui.setdefault("extra", {})["reroutes"] = [{"id": 1, "pos": [0, 0], "linkIds": [link[0] for link in ui["links"]]}]
        ui["floatingLinks"] = [{"id": 900, "origin_id": 1, "origin_slot": 0, "target_id": -1, "target_slot": -1, "type": "*"}]
        assert convert_workflow(ui, object_info).prompt == before
