"""The stubs are importable while a pack is in use, and at no other time."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from upscale8k.runtime.comfyui.custom_nodes.stub_modules import install_stubs
from upscale8k.runtime.errors import HardwareMissing
from upscale8k.runtime.host import LocalHost

NAMES = [
    *("folder_paths", "nodes", "server", "node_helpers", "comfy", "comfy.utils", "comfy.model_management", "comfy.cli_args"),
    *("comfy.comfy_types", "comfy.comfy_types.node_typing", "comfy_execution.graph", "comfy_execution.graph_utils"),
    *("comfy_api.latest", "comfy_api.v0_0_1", "comfy_api.v0_0_2"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_module_of_comfyui_is_there_only_inside(host: LocalHost, name: str) -> None:
    with install_stubs(host):
        assert importlib.import_module(name) is sys.modules[name]
        with install_stubs(host):
            assert name in sys.modules
        assert name in sys.modules
    assert name not in sys.modules
    with pytest.raises(ImportError):
        importlib.import_module(name)


def test_nothing_is_installed_by_importing_the_package(root: Path) -> None:
    script = (
        "import sys; from runtime.bootstrap import load_pack; load_pack();"
        "import upscale8k.runtime.comfyui.custom_nodes.pack_loader;"
        f"print([name for name in {NAMES!r} if name in sys.modules], len(sys.meta_path))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    plain = subprocess.run(
        [sys.executable, "-c", "import sys; print(len(sys.meta_path))"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["[]", *plain.stdout.split()]


def test_another_projects_module_of_the_same_name_comes_back(host: LocalHost, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = ModuleType("server")
    monkeypatch.setitem(sys.modules, "server", mine)
    with install_stubs(host):
        assert hasattr(importlib.import_module("server"), "PromptServer")
    assert sys.modules["server"] is mine


def test_a_real_comfyui_is_left_alone(host: LocalHost, tmp_path: Path) -> None:
    for file in ("folder_paths.py", "nodes.py", "server.py", "comfy/model_management.py", "comfy_execution/graph.py"):
        (tmp_path / "real" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "real" / file).write_text("REAL = True\n", encoding="utf-8")
    script = (
        "import sys; from runtime.bootstrap import load_pack; load_pack();"
        f"sys.path.insert(0, {str(tmp_path / 'real')!r});"
        "from upscale8k.runtime.host import LocalHost\n"
        "from upscale8k.runtime.comfyui.custom_nodes.stub_modules import install_stubs\n"
        "with install_stubs(LocalHost()):\n import folder_paths, server, comfy.model_management as m\n"
        "print(folder_paths.REAL, server.REAL, m.REAL)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 3


def test_torch_is_in_inference_mode_inside(host: LocalHost) -> None:
    with install_stubs(host):
        assert torch.is_inference_mode_enabled()
    assert not torch.is_inference_mode_enabled()


def test_a_stand_in_that_outlives_its_run_says_so(host: LocalHost) -> None:
    with install_stubs(host):
        folder_paths = importlib.import_module("folder_paths")
    with pytest.raises(HardwareMissing, match="after its run had ended"):
        folder_paths.get_input_directory()
