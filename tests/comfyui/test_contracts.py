"""What each version of ComfyUI and of its frontend promises to us, and whether an obtained one still keeps what was recorded.

A new version: ``python tests/comfyui/contracts.py TREE``; what changed is in the diff, and what we lack fails here by its name.
"""

import inspect
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from upscale8k.nodes import BUILTIN_NODES, DISPLAY_NAMES, get_node_classes
from upscale8k.runtime.comfyui.builtin.video import VideoFromComponents, VideoFromFile
from upscale8k.runtime.comfyui.types.video import VideoValue
from upscale8k.runtime.graph.definitions import describe_classes
from upscale8k.runtime.host import LocalHost

from .contracts import RECORD, read_contracts
from .peer.tree import frontend, tree, tree_version

CONTRACTS: dict[str, dict[str, Any]] = json.loads(RECORD.read_text(encoding="utf-8"))
SCRIPTS = Path(__file__).resolve().parents[2] / "nodes" / "web" / "js"
# Hooks of an extension and of a node, which the frontend calls by these names.
HOOKS = ("nodeCreated", "onExecuted", "loadedGraphNode", "afterConfigureGraph", "beforeRegisterNodeDef", "setup")


@pytest.mark.parametrize("version", CONTRACTS)
@pytest.mark.parametrize("value", [VideoValue, VideoFromFile, VideoFromComponents])
def test_a_video_of_ours_has_what_comfyuis_videos_have(value: type, version: str) -> None:
    for name, parameters in CONTRACTS[version]["VideoInput"].items():
        assert list(inspect.signature(getattr(value, name)).parameters)[1:][: len(parameters)] == parameters, name


@pytest.mark.parametrize("version", CONTRACTS)
def test_our_core_nodes_know_every_input_of_comfyuis(version: str, tmp_path: Path) -> None:
    ours = describe_classes(get_node_classes(LocalHost(input_dir=tmp_path, output_dir=tmp_path)), DISPLAY_NAMES)
    for name, inputs in CONTRACTS[version]["nodes"].items():
        assert set(inputs) <= {one for section in ours[name]["input"].values() for one in section}, name


@pytest.mark.comfyui
def test_an_obtained_comfyui_is_as_it_was_recorded() -> None:
    version = tree_version(tree())
    if version is None:
        pytest.skip("No ComfyUI is here: python tests/comfyui/obtain.py")
    found = read_contracts(tree(), set(BUILTIN_NODES))
    assert found == {**CONTRACTS[version], "nodes": {name: CONTRACTS[version]["nodes"].get(name) for name in found["nodes"]}}


@pytest.mark.comfyui
def test_the_events_and_hooks_of_our_scripts_are_in_every_obtained_frontend() -> None:
    scripts = "".join(path.read_text(encoding="utf-8") for path in SCRIPTS.glob("*.js"))
    events = set(re.findall(r"api\.addEventListener\('(\w+)'", scripts))
    hooks = {name for name in HOOKS if re.search(rf"\b{name}\b", scripts)}
    assert events >= {"executing", "execution_cached", "execution_error", "execution_success"}
    installed = find_spec("comfyui_frontend_package")
    folders = [Path(installed.origin or "").parent / "static"] if installed else []
    folders = [folder for folder in (*folders, frontend()) if folder.is_dir()]
    if not folders:
        pytest.skip("No frontend is here: python tests/comfyui/obtain.py")
    for folder in folders:
        text = "".join(path.read_text(encoding="utf-8") for path in (folder / "assets").glob("*.js"))
        assert {name for name in events | hooks if not re.search(rf"\b{name}\b", text)} == set(), folder
