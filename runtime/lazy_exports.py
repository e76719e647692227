"""The face of a package: the names that other packages may import, loaded from their modules when they are first used."""

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def lazy_exports(package: str, init_file: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of ``package``, which imports a module only when one of its names is used.

    The names are those that ``init_file`` imports under TYPE_CHECKING, so type checkers and readers see the same face.
    """
    modules: dict[str, str] = {}
    for node in ast.parse(Path(init_file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                if isinstance(statement, ast.ImportFrom):
                    modules |= dict.fromkeys((alias.name for alias in statement.names), f".{statement.module}")

    def get_export(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(modules[name], package), name)

    return get_export
