"""The layout of the code, checked against every import in it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx
import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOT_MODULES = {f"runtime/{name}" for name in ("errors", "file_types", "lazy_exports", "paths", "progress")}
BASE = ROOT_MODULES | {"runtime/media"}
BACKEND_TABLE = "runtime/upscale/backends/base"  # a leaf of its own: it imports nothing but errors, so that anyone may read it
ALLOWED_IMPORTS = {  # package or root module: what it may import. An import that is not written here is a mistake.
    "__init__": {"nodes", "runtime/api", "runtime/paths"},
    "runtime/entry": set(),
    "runtime/api": ROOT_MODULES | {f"runtime/{name}" for name in ("cli", "comfyui", "images", "models", "report", "upscale")},
    "runtime/__init__": set(),
    "runtime/__main__": {"runtime/bootstrap"},
    "runtime/bootstrap": set(),
    "runtime/errors": set(),
    "runtime/file_types": set(),
    "runtime/lazy_exports": set(),
    "runtime/paths": {"runtime/errors"},
    "runtime/progress": set(),
    "runtime/media": {"runtime/errors", "runtime/lazy_exports"},
    BACKEND_TABLE: {"runtime/errors"},
    "runtime/graph": {"runtime/errors", "runtime/file_types", "runtime/lazy_exports"},
    "runtime/atomic_write": {"runtime/errors"},
    "runtime/checksum": set(),
    "runtime/file_lock": {"runtime/errors"},
    "runtime/host": ROOT_MODULES | {"runtime/atomic_write"},
    "runtime/hardware": ROOT_MODULES | {"runtime/atomic_write", BACKEND_TABLE},
    "runtime/images": BASE | {"runtime/atomic_write", "runtime/hardware"},
    "runtime/metrics": BASE | {"runtime/hardware", "runtime/images"},
    "runtime/models": BASE | {"runtime/atomic_write", "runtime/checksum", "runtime/file_lock"},
    "runtime/comfyui": BASE
    | {f"runtime/{name}" for name in ("atomic_write", "graph", "host", "images", "metrics", "models", "upscale", "video")},
    "runtime/result_cache": {
        f"runtime/{name}" for name in ("errors", "graph", "lazy_exports", "paths", "atomic_write", "checksum")
    }
    | {BACKEND_TABLE},
    "runtime/trt": ROOT_MODULES | {"runtime/hardware", "runtime/models", "runtime/atomic_write"},
    "runtime/upscale": BASE
    | {f"runtime/{name}" for name in ("trt", "hardware", "images", "metrics", "models", "atomic_write", "checksum")},
    "runtime/video": BASE
    | {f"runtime/{name}" for name in ("atomic_write", "checksum", "file_lock", "hardware", "images", "progress")},
    "runtime/distributed": BASE
    | {
        f"runtime/{name}"
        for name in ("atomic_write", "checksum", "file_lock", "hardware", "host", "models", "upscale", "video")
    },
    "runtime/bench": BASE
    | {
        f"runtime/{name}"
        for name in [
            "atomic_write",
            "checksum",
            "comfyui",
            "hardware",
            "host",
            "images",
            "metrics",
            "models",
            "report",
            "upscale",
            "video",
        ]
    },
    "runtime/report": BASE | {"runtime/images", "runtime/metrics", "runtime/atomic_write", "runtime/video"},
    "runtime/tune": BASE | {f"runtime/{name}" for name in ("images", "metrics", "models", "upscale", "video")},
    "runtime/cli": ROOT_MODULES
    | {
        f"runtime/{name}"
        for name in [
            "tune",
            "images",
            "graph",
            "host",
            "atomic_write",
            "checksum",
            "file_lock",
            "hardware",
            "metrics",
            "models",
            "report",
            "trt",
            "bench",
            "comfyui",
            "distributed",
            "result_cache",
            "upscale",
            "video",
        ]
    }
    | {"nodes", BACKEND_TABLE},
    "nodes": BASE
    | {
        f"runtime/{name}"
        for name in [
            "bench",
            "comfyui",
            "distributed",
            "graph",
            "hardware",
            "host",
            "images",
            "metrics",
            "models",
            "report",
            "trt",
            "tune",
            "upscale",
            "video",
        ]
    },
}
# The declarations are what `check` and `nodes` need: they answer at once, without torch.
LIGHT = [
    "runtime.errors",
    "runtime.file_types",
    "runtime.paths",
    "runtime.progress",
    "runtime.host",
    "runtime.atomic_write",
    "runtime.file_lock",
    "runtime.graph",
    "runtime.hardware",
    "runtime.comfyui.custom_nodes",
    "runtime.result_cache",
    "runtime.media.geometry",
    "runtime.upscale.tiles",
    "runtime.report.crop_spec",
    "runtime.trt.engine_info",
    "runtime.trt.target_gpu",
    "nodes",
    "runtime.cli",
]
HEAVY = ("torch", "torchvision", "numpy", "av", "cv2", "spandrel", "OpenImageIO", "PIL", "openvino")
SOURCES = [ROOT / "__init__.py", *sorted(path for top in ("runtime", "nodes") for path in (ROOT / top).rglob("*.py"))]


def package_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    if "/".join(parts) == BACKEND_TABLE:
        return BACKEND_TABLE
    return parts[0] if parts[0] in ("nodes", "__init__") else "/".join(parts[:2])


@cache
def face_of(package: Path) -> dict[str, Path]:
    """The names that a package's ``__init__.py`` exports, and the module of each."""
    if package.name != "__init__.py":
        return {}
    tree = ast.parse(package.read_text(encoding="utf-8"))
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module]
    modules = {alias.name: package.parent.joinpath(*str(node.module).split(".")) for node in statements for alias in node.names}
    return {name: module.with_suffix(".py") for name, module in modules.items() if module.with_suffix(".py").exists()}


def iterate_imports(path: Path, skipped: frozenset[int] = frozenset()) -> Iterator[Path]:
    """The modules of the pack that a module imports, at the top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level and node.lineno not in skipped:
            module = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for alias in node.names:
                inside = module / alias.name
                found = [inside.with_suffix(".py"), inside, module.parent / f"{module.name}.py", module]
                target = next(each for each in found if each.exists())
                target = target / "__init__.py" if target.is_dir() else target
                yield face_of(target).get(alias.name, target)


def imported_packages(path: Path) -> set[str]:
    return {package_of(target.parent if target.name == "__init__.py" else target) for target in iterate_imports(path)} - {
        package_of(path)
    }


def lines_for_type_checkers(path: Path) -> frozenset[int]:
    """Lines under ``if TYPE_CHECKING``, which never run."""
    blocks = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    return frozenset(line for block in blocks for line in range(block.lineno, (block.body[-1].end_lineno or 0) + 1))


def test_no_import_cycle() -> None:
    """Lazy imports count: a cycle of them works, but its modules can only be understood together."""
    graph = networkx.DiGraph()
    for path in SOURCES:
        for target in iterate_imports(path, lines_for_type_checkers(path)):
            graph.add_edge(path.relative_to(ROOT).as_posix(), target.relative_to(ROOT).as_posix())
    cycles = [sorted(modules) for modules in networkx.strongly_connected_components(graph) if len(modules) > 1]
    assert cycles == []
    assert list(networkx.selfloop_edges(graph)) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_import_is_allowed(path: Path) -> None:
    allowed = ALLOWED_IMPORTS[package_of(path)]
    table = {BACKEND_TABLE} if "runtime/upscale" in {*allowed, package_of(path)} else set()
    assert imported_packages(path) <= allowed | table


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_of_the_pack_are_relative(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module]
        assert not [name for name in names if name.split(".")[0] in ("runtime", "nodes", "upscale8k")]


@pytest.mark.parametrize("package", LIGHT)
def test_package_imports_no_heavy_library(package: str) -> None:
    """Import every module of a package in a fresh interpreter: none of the heavy libraries is imported with it."""
    folder = ROOT.joinpath(*package.split("."))
    modules = [path for path in folder.rglob("*.py") if "stubs" not in path.parts] if folder.is_dir() else []
    parts = [path.relative_to(ROOT).with_suffix("").parts for path in sorted(modules)]
    names = [".".join(part[:-1] if part[-1] == "__init__" else part) for part in parts] or [package]
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
