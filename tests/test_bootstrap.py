"""One package under two names: ComfyUI imports the folder by its path, the command line as ``upscale8k``."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# What ComfyUI 0.30's nodes.load_custom_node does with a folder of custom_nodes: the module is called after its path.
AS_COMFYUI = """
import importlib.util, sys
path = sys.argv[1]
name = path.replace('.', '_x_')
spec = importlib.util.spec_from_file_location(name, path + '/__init__.py')
module = importlib.util.module_from_spec(spec)
sys.modules[name] = module
spec.loader.exec_module(module)
"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """The checkout under a name that no import statement could say."""
    folder = tmp_path / "custom_nodes/upscale8k-checkout.2"
    folder.mkdir(parents=True)
    for name in ("__init__.py", "nodes", "runtime", "models"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def comfyui_import(pack: Path, script: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", AS_COMFYUI + script, str(pack)]
    return subprocess.run(command, cwd=pack.parent, capture_output=True, text=True, check=False)


def test_importing_the_pack_runs_nothing(pack: Path) -> None:
    done = comfyui_import(pack, "print(sorted(key for key in sys.modules if key.startswith(name) or key == 'torch') == [name])")
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_the_entry_point_loads_as_a_plain_module() -> None:
    """As pytest loads it in a checkout whose name is no identifier, such as the ``upscale8k-main`` of an archive."""
    assert runpy.run_path(str(ROOT / "__init__.py"))["WEB_DIRECTORY"] == "./nodes/web"


def test_the_mappings_are_answered_when_they_are_asked_for(pack: Path) -> None:
    """ComfyUI's own ids are not among them, its modules are not needed to answer, and torch stays out."""
    script = """
print(hasattr(module, 'NODE_CLASS_MAPPINGS'), sorted(module.NODE_CLASS_MAPPINGS) == sorted(module.NODE_DISPLAY_NAME_MAPPINGS))
print('TiledUpscale' in module.NODE_CLASS_MAPPINGS, 'LoadImage' in module.NODE_CLASS_MAPPINGS)
print(module.NODE_DISPLAY_NAME_MAPPINGS['TiledUpscale'])
print([heavy for heavy in ('torch', 'numpy', 'av', 'cv2', 'nodes', 'folder_paths') if heavy in sys.modules])
print({key.split('.')[0] for key in sys.modules if 'tiles' in key or 'upscale8k' in key} == {name.split('.')[0]})
"""
    done = comfyui_import(pack, script)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["True True", "True False", "Tiled Upscale", "[]", "True"]


def test_what_comfyui_may_ask_for_and_is_not_there_is_an_attribute_error(pack: Path) -> None:
    script = "print([hasattr(module, word) for word in ('comfy_entrypoint', 'EXTENSION_NAME', '__path__')])"
    assert comfyui_import(pack, script).stdout == "[False, False, True]\n"


def test_a_mistake_inside_nodes_is_never_taken_for_a_missing_attribute(pack: Path) -> None:
    """hasattr() swallows an AttributeError, and ComfyUI would skip the pack without a word."""
    (pack / "nodes").unlink()
    (pack / "nodes").mkdir()
    (pack / "nodes/__init__.py").write_text("import os\nos.no_such_thing\n")
    done = comfyui_import(pack, "hasattr(module, 'NODE_CLASS_MAPPINGS')")
    assert done.returncode == 1
    assert "AttributeError: module 'os' has no attribute 'no_such_thing'" in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert "nodes did not import: module 'os' has no attribute 'no_such_thing'" in last


def test_the_command_line_gives_the_checkout_its_name_once() -> None:
    """A second call gives the same package, and our folders do not answer to the names of others."""
    script = """
import sys
from runtime.bootstrap import load_pack
pack = load_pack()
print(pack.__name__, load_pack() is pack, pack is sys.modules['upscale8k'])
for name in ('nodes', 'models', 'workflows'):
    try:
        __import__(name)
        print(name, 'is importable')
    except ImportError:
        pass
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("upscale8k True True\n", "")


def test_python_m_runtime_knows_the_package_by_one_name_only() -> None:
    """Errors raised in one copy of errors.py would not be caught in the other."""
    script = """
import runpy, sys
sys.argv = ['runtime', 'nodes', '--json']
try:
    runpy.run_module('runtime', run_name='__main__')
except SystemExit as end:
    print('\\nexit', end.code, sorted(key for key in sys.modules if key.split('.')[0] == 'runtime'))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "exit 0 ['runtime', 'runtime.bootstrap']"
