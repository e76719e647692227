"""The map of the house, held against every import in it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GROUND = {"runtime/errors", "runtime/frames"}
ARROWS = {  # room: the rooms it may import. An arrow that is not written here is a mistake.
    "__init__": {"nodes"},
    "runtime/__init__": set(),
    "runtime/__main__": {"runtime/bootstrap"},
    "runtime/bootstrap": set(),
    "runtime/errors": set(),
    "runtime/frames": {"runtime/errors"},
    "runtime/graph": {"runtime/errors"},
    "runtime/host": {"runtime/errors"},
    "runtime/whole": {"runtime/errors"},
    "runtime/hardware": {"runtime/errors", "runtime/whole"},
    "runtime/images": GROUND | {"runtime/whole"},
    "runtime/metrics": GROUND | {"runtime/images"},
    "runtime/models": GROUND | {"runtime/whole"},
    "runtime/packs": {f"runtime/{room}" for room in ("errors", "graph", "host", "video", "whole")},
    "runtime/store": {"runtime/errors", "runtime/graph", "runtime/host", "runtime/whole"},
    "runtime/engines": {"runtime/errors", "runtime/hardware", "runtime/models", "runtime/whole"},
    "runtime/upscale": GROUND | {f"runtime/{room}" for room in ("engines", "hardware", "images", "metrics", "models", "whole")},
    "runtime/video": GROUND | {"runtime/whole"},
    "runtime/bench": GROUND | {f"runtime/{room}" for room in ("hardware", "images", "models", "upscale", "whole")},
    "runtime/report": GROUND | {"runtime/images", "runtime/metrics", "runtime/whole"},
    "runtime/cli": {
        f"runtime/{room}"
        for room in ("errors", "graph", "host", "whole", "hardware", "models", "engines", "bench", "packs", "store")
    }
    | {"nodes"},
    "nodes": GROUND
    | {
        f"runtime/{room}"
        for room in ("bench", "engines", "hardware", "host", "images", "metrics", "models", "report", "upscale", "video")
    },
}
# A node's file may be read without torch: the catalog is what `check` and `nodes` need, and they answer at once.
LIGHT = [
    "runtime.errors",
    "runtime.host",
    "runtime.whole",
    "runtime.graph",
    "runtime.hardware",
    "runtime.packs",
    "runtime.store",
    "runtime.frames.geometry",
    "runtime.upscale.tiles",
    "runtime.report.wishes",
    "runtime.engines.stamp",
    "runtime.engines.shapes",
    "runtime.engines.target",
    "nodes",
    "runtime.cli",
    "runtime.cli.commands",
]
HEAVY = ("torch", "torchvision", "numpy", "av", "cv2", "spandrel", "OpenImageIO", "PIL", "openvino")
SOURCES = [ROOT / "__init__.py", *sorted(path for top in ("runtime", "nodes") for path in (ROOT / top).rglob("*.py"))]


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0] if parts[0] in ("nodes", "__init__") else "/".join(parts[:2])


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            module = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for alias in node.names:
                inside = module / alias.name
                found = [inside, inside.with_suffix(".py"), module, module.with_suffix(".py")]
                rooms.add(room_of(next(place for place in found if place.exists())))
    return rooms - {room_of(path)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_import_follows_an_arrow(path: Path) -> None:
    assert imported_rooms(path) <= ARROWS[room_of(path)]


@pytest.mark.parametrize("room", [room for room in ARROWS if (ROOT / room / "__init__.py").is_file() and room != "nodes"])
def test_a_door_sign_names_the_rooms_that_may_be_entered(room: str) -> None:
    sign = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    _, said, rooms = sign.partition("May enter: ")
    assert said
    named = set(re.findall(r"``(\w+)``", rooms.partition(".")[0]))
    assert {name if name == "nodes" else f"runtime/{name}" for name in named} == ARROWS[room]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_imports_the_pack_by_an_absolute_name(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module]
        assert not [name for name in names if name.split(".")[0] in ("runtime", "nodes", "upscale8k")]


@pytest.mark.parametrize("room", LIGHT)
def test_a_room_stays_light(room: str) -> None:
    """Import every module of a room in a fresh interpreter; none of the heavy libraries may come along."""
    place = ROOT.joinpath(*room.split("."))
    names = (
        [room]
        if not place.is_dir()
        else [room, *(f"{room}.{path.stem}" for path in sorted(place.glob("*.py")) if path.stem != "__init__")]
    )
    script = (
        "import importlib, sys; from runtime.bootstrap import load_pack; load_pack();"
        f"[importlib.import_module('upscale8k.' + name) for name in {names!r}];"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_top_level_holds_only_what_its_owner_allows() -> None:
    allowed = {
        "__init__.py",
        "nodes",
        "runtime",
        "workflows",
        "models",
        "tests",
        "locales",
        "pyproject.toml",
        "requirements.txt",
    }
    allowed |= {"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile"}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.splitlines()
    assert {name.split("/")[0] for name in tracked if not name.startswith(".")} <= allowed
