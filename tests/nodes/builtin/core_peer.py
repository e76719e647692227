"""ComfyUI 0.30's own node classes, run in a process of their own, and its recorded declarations."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...comfyui.peer.tree import declarations, require_tree

# Calls every case of cases.json with the arrays of arrays.npz, and leaves results.npz and results.json beside them.
DRIVER = """
import asyncio, json, os, sys, types
from pathlib import Path
tree, folder = sys.argv[1], Path(sys.argv[2])
sys.argv = [sys.argv[0], "--cpu"]
sys.path.insert(0, tree)
os.chdir(tree)
import comfy.options
comfy.options.enable_args_parsing()
import folder_paths, nodes, torch, importlib
import numpy as np
from comfy_api.latest import _io
folder_paths.set_input_directory(str(folder / "input"))
folder_paths.set_output_directory(str(folder / "output"))
folder_paths.set_temp_directory(str(folder / "temp"))
arrays = np.load(folder / "arrays.npz")
results, described = {}, []

def find(name, module):
    if name in nodes.NODE_CLASS_MAPPINGS:
        return nodes.NODE_CLASS_MAPPINGS[name]
    loaded = importlib.import_module(module)
    if hasattr(loaded, "NODE_CLASS_MAPPINGS"):
        return loaded.NODE_CLASS_MAPPINGS[name]
    members = vars(loaded).values()
    v3 = [m for m in members if isinstance(m, type) and issubclass(m, _io.ComfyNode) and m.__module__ == module]
    (cls,) = [m for m in v3 if m.GET_SCHEMA().node_id == name]
    return cls

def given(value):
    if isinstance(value, dict):
        if "array" in value:
            return torch.from_numpy(arrays[value["array"]])
        return {key: given(one) for key, one in value.items()}
    if isinstance(value, list):
        return [given(one) for one in value]
    return value

def note(key, value):
    if isinstance(value, torch.Tensor):
        results[key] = value.numpy()
        return {"array": key}
    if isinstance(value, (list, tuple)):
        return [note(f"{key}.{i}", one) for i, one in enumerate(value)]
    if isinstance(value, dict):
        return {name: note(f"{key}.{name}", one) for name, one in value.items()}
    return value if isinstance(value, (int, float, str, bool, type(None))) else str(value)

for number, (name, module, inputs) in enumerate(json.loads((folder / "cases.json").read_text())):
    cls = find(name, module)
    inputs = {key: given(value) for key, value in inputs.items()}
    try:
        if hasattr(cls, "GET_SCHEMA"):
            carried = {"prompt": {"1": {"a": "\\u00e9"}}, "extra_pnginfo": {"workflow": {"b": 1}}}
            cls.hidden = types.SimpleNamespace(unique_id=None, **carried)
            _, _, v3 = _io.get_finalized_class_inputs(cls.INPUT_TYPES(), inputs)
            inputs = _io.build_nested_inputs(inputs, v3)
            output = cls.execute(**inputs)
            answer, ui = output.args, output.ui
            ui = ui.as_dict() if hasattr(ui, "as_dict") else ui
        else:
            answer = getattr(cls(), cls.FUNCTION)(**inputs)
            ui = answer.get("ui") if isinstance(answer, dict) else None
            answer = answer["result"] if isinstance(answer, dict) else answer
        described.append({"result": note(str(number), answer), "ui": ui})
    except Exception as error:
        described.append({"error": f"{type(error).__name__}: {error}"})
np.savez(folder / "results.npz", **results)
(folder / "results.json").write_text(json.dumps(described))
"""

Case = tuple[str, dict[str, Any]]


def run_core(cases: list[Case], folder: Path) -> list[dict[str, Any]]:
    """What core's nodes make of ``cases``: ``result``, with arrays as tensors, and ``ui``, or ``error``.

    A case is a node's id and its inputs as they stand in a prompt; tensors may be among them.
    """
    place = require_tree()
    modules = {name: entry["python_module"] for name, entry in declarations().items()}
    arrays: dict[str, np.ndarray] = {}
    written = [(name, modules[name], {key: _stored(value, arrays) for key, value in inputs.items()}) for name, inputs in cases]
    for name in ("input", "output", "temp"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "cases.json").write_text(json.dumps(written))
    np.savez(folder / "arrays.npz", **arrays)
    command = [sys.executable, "-c", DRIVER, str(place), str(folder)]
    # The last bit of torch's bilinear enlargement depends on the number of threads.
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    results = np.load(folder / "results.npz")
    described = json.loads((folder / "results.json").read_text())
    return [{**one, "result": _loaded(one.get("result"), results)} for one in described]


def _stored(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, torch.Tensor):
        arrays[f"a{len(arrays)}"] = value.numpy()
        return {"array": f"a{len(arrays) - 1}"}
    if isinstance(value, dict):
        return {key: _stored(one, arrays) for key, one in value.items()}
    return [_stored(one, arrays) for one in value] if isinstance(value, list) else value


def _loaded(value: Any, results: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"array"}:
        return torch.from_numpy(results[value["array"]])
    if isinstance(value, dict):
        return {key: _loaded(one, results) for key, one in value.items()}
    return [_loaded(one, results) for one in value] if isinstance(value, list) else value


def call(cls: Any, inputs: dict[str, Any]) -> Any:
    """Our node's results, as the executor gets them."""
    answer = getattr(cls(), cls.FUNCTION)(**inputs)
    return answer.get("result") if isinstance(answer, dict) else answer


def same(ours: Any, theirs: Any) -> bool:
    """Equal to the last bit, shapes and types included."""
    if isinstance(theirs, torch.Tensor):
        alike = ours.shape == theirs.shape and ours.dtype == theirs.dtype
        return alike and ours.contiguous().numpy().tobytes() == theirs.contiguous().numpy().tobytes()
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(same(*pair) for pair in zip(ours, theirs, strict=True))
    if isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in theirs)
    return type(ours) is type(theirs) and ours == theirs


def comparable(declared: Any, *, named: bool = False) -> Any:
    """A declaration in one form for both generations of nodes, without what only people read; ``named``: order counts."""
    if isinstance(declared, list | tuple):
        kind = declared[0] if declared else None
        if isinstance(kind, list | tuple) and all(isinstance(one, dict) for one in declared[1:]):
            return comparable(["COMBO", {**(declared[1] if len(declared) > 1 else {}), "options": list(kind)}])
        if len(declared) == 1 and isinstance(kind, str) and kind.isupper():
            return [kind, []]  # ("IMAGE",) and ("IMAGE", {}) say the same
        return [comparable(one) for one in declared]
    if isinstance(declared, dict):
        items = [
            (key, comparable(value, named=key in ("required", "optional")))
            for key, value in declared.items()
            if key != "tooltip"
        ]
        return items if named else sorted(items, key=lambda item: item[0])
    return declared


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> set[str]:
    """Where two entries of an object_info differ in what the converter and the check read; hidden inputs are by name."""
    found = {
        f"{section}.{name}"
        for section in ("required", "optional")
        for name in {**ours["input"].get(section, {}), **theirs["input"].get(section, {})}
        if comparable(ours["input"].get(section, {}).get(name)) != comparable(theirs["input"].get(section, {}).get(name))
    }
    for section in ("required", "optional"):
        if list(ours["input"].get(section, {})) != list(theirs["input"].get(section, {})):
            found.add(f"order of {section}")
    if set(ours["input"].get("hidden", {})) != set(theirs["input"].get("hidden", {})):
        found.add("hidden")
    equal = ("is_input_list", "output", "output_is_list", "output_name", "display_name", "category", "output_node")
    found |= {key for key in equal if ours[key] != theirs[key]}
    found |= {key for key in ("experimental", "deprecated") if bool(ours.get(key)) != bool(theirs.get(key))}
    return found | {"search_aliases" for _ in range(1) if ours["search_aliases"] != (theirs["search_aliases"] or [])}
