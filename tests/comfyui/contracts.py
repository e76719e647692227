"""Record what a ComfyUI promises to us: ``python tests/comfyui/contracts.py TREE...`` adds it to contracts.json.

These are the methods of VideoInput and the inputs of the nodes that the headless runner has too, read from the source without
running it. A version that cannot be obtained here was recorded elsewhere, by the same script.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RECORD = Path(__file__).with_name("contracts.json")
VIDEO_INPUT = Path("comfy_api/latest/_input/video_types.py")
Facts = dict[str, Any]


def read_contracts(tree: Path, node_ids: set[str]) -> Facts:
    """Return ``VideoInput``, method -> parameters, and ``nodes``, id -> inputs in their order."""
    files = [tree / "nodes.py", *sorted((tree / "comfy_extras").glob("*.py"))]
    nodes = {name: inputs for file in files for name, inputs in _iterate_nodes(file) if name in node_ids}
    return {"VideoInput": _read_methods(tree / VIDEO_INPUT), "nodes": dict(sorted(nodes.items()))}


def _read_methods(file: Path) -> dict[str, list[str]]:
    (cls,) = [one for one in ast.walk(_parse(file)) if isinstance(one, ast.ClassDef) and one.name == "VideoInput"]
    methods = [one for one in cls.body if isinstance(one, ast.FunctionDef)]
    return {one.name: [argument.arg for argument in one.args.args[1:]] for one in methods}


def _iterate_nodes(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield id and inputs of every node: V3 by its schema, V1 by its class name."""
    for one in ast.walk(_parse(file)):
        if isinstance(one, ast.Call) and getattr(one.func, "attr", "") == "Schema":
            given = {keyword.arg: keyword.value for keyword in one.keywords}
            inputs, node_id = given.get("inputs"), given.get("node_id")
            if isinstance(inputs, ast.List) and isinstance(node_id, ast.Constant):
                yield str(node_id.value), [_find_name(value) for value in inputs.elts]
        elif isinstance(one, ast.ClassDef):
            for method in one.body:
                if isinstance(method, ast.FunctionDef) and method.name == "INPUT_TYPES":
                    yield one.name, list(_iterate_v1_inputs(method))


def _find_name(value: ast.expr) -> str:
    """Return the first text of a declaration; the codec of Save Video is made by a function of its own."""
    texts = [node.value for node in ast.walk(value) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    called = getattr(getattr(value, "func", None), "id", "")
    return "codec" if called == "_save_video_codec_input" else texts[0] if texts else ""


def _iterate_v1_inputs(method: ast.FunctionDef) -> Iterator[str]:
    for one in ast.walk(method):
        if isinstance(one, ast.Dict):
            for key, value in zip(one.keys, one.values, strict=True):
                if getattr(key, "value", "") in ("required", "optional") and isinstance(value, ast.Dict):
                    yield from (name.value for name in value.keys if isinstance(name, ast.Constant))


def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    from peer.tree import tree_version

    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from runtime.bootstrap import load_pack

    load_pack()
    from upscale8k.nodes import BUILTIN_NODES

    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    for name in sys.argv[1:]:
        record[tree_version(Path(name))] = read_contracts(Path(name), set(BUILTIN_NODES))
    lines = [f"{json.dumps(version)}: {json.dumps(record[version], sort_keys=True)}" for version in sorted(record)]
    RECORD.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")
