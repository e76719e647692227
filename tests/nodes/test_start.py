"""What a start of ComfyUI pays for this pack: few modules, all of them light."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# As ComfyUI loads a pack: by its path, which is also its name, with its folder not on sys.path; then it asks every node.
LOAD = """
import importlib.util, json, sys
root, name = sys.argv[1], sys.argv[1] + "-checkout"
before = set(sys.modules)
spec = importlib.util.spec_from_file_location(name, root + "/__init__.py", submodule_search_locations=[root])
pack = importlib.util.module_from_spec(spec)
sys.modules[name] = pack
spec.loader.exec_module(pack)
classes, titles = pack.NODE_CLASS_MAPPINGS, pack.NODE_DISPLAY_NAME_MAPPINGS
assert set(classes) == set(titles)
print(json.dumps(sorted(set(sys.modules) - before)))
"""
LIGHT = {"psutil", "platformdirs"}
"""What comes along from other people. ComfyUI itself needs psutil; platformdirs is a few kilobytes."""
OURS_AT_MOST = 67


def test_comfyui_loads_few_modules_and_no_heavy_one_to_know_our_nodes(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", LOAD, str(ROOT)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    loaded = json.loads(done.stdout)
    ours = [name for name in loaded if name.startswith(str(ROOT))]
    assert 0 < len(ours) <= OURS_AT_MOST, ours
    others = {name.split(".")[0] for name in loaded if name not in ours} - set(sys.stdlib_module_names)
    assert others <= LIGHT
