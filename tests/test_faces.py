"""Each package has a face, the names that others may import from it; everything else in it is private to it.

``UPSCALE8K_WRITE_FACES=1 python -m pytest tests/test_faces.py`` records a face that was changed on purpose.
"""

import ast
import importlib
import json
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RECORD = Path(__file__).with_name("faces.json")
PACKAGES = sorted(path.parent.name for path in (ROOT / "runtime").glob("*/__init__.py") if path.parent.name != "cli")
SOURCES = sorted(path for top in ("runtime", "nodes") for path in (ROOT / top).rglob("*.py"))


def declared(package: str) -> dict[str, str]:
    """Name to module, as type checkers see the face."""
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse((ROOT / "runtime" / package / "__init__.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {alias.name: node.module or "" for alias in node.names}
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_a_face_is_what_is_recorded_and_every_name_loads(package: str) -> None:
    face = declared(package)
    if os.environ.get("UPSCALE8K_WRITE_FACES") == "1":
        recorded = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
        RECORD.write_text(json.dumps({**recorded, package: sorted(face)}, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    assert sorted(face) == json.loads(RECORD.read_text(encoding="utf-8"))[package]
    module = importlib.import_module(f"upscale8k.runtime.{package}")
    for name, place in face.items():
        assert getattr(module, name) is getattr(importlib.import_module(f"{module.__name__}.{place}"), name)
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        _ = module.no_such_name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_other_packages_are_entered_by_their_face(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    own = parts[1] if parts[0] == "runtime" else ""
    inside = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level and node.module:
            target = path.parents[node.level - 1].joinpath(*node.module.split(".")).relative_to(ROOT).parts
            if len(target) > 2 and target[0] == "runtime" and target[1] in PACKAGES and target[1] != own:
                inside.append(ast.unparse(node))
    assert inside == []
