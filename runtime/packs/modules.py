"""Puts the stand-ins where packs look for ComfyUI's modules, for as long as a pack is in use."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

from ..host import Host
from . import standins
from .absent import AbsentModule
from .current import Current, stack

# Packages of ComfyUI of which only some modules stand here, and libraries that packs only need inside its server.
_PARTLY_HERE = ("comfy", "comfy_api", "comfy_execution", "comfy_extras", "comfy_api_nodes", "comfy_config", "latent_preview")
_OF_THE_SERVER = ("execution", "aiohttp")


def real_comfyui_is_here() -> bool:
    """Whether these names lead to a real ComfyUI."""
    return all(_is_real(name) for name in ("folder_paths", "comfy.model_management", "comfy_execution.graph"))


def _is_real(name: str) -> bool:
    top = name.partition(".")[0]
    if top in sys.modules and sys.modules[top].__name__.startswith(standins.__name__):
        return False
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


@contextmanager
def stand_in(host: Host, core: Mapping[str, type] | None = None) -> Generator[None]:
    """Make ComfyUI's modules importable, as far as they are here, and answer them with ``host``.

    May be nested; a real ComfyUI is left alone. What runs inside is in torch's inference mode, as packs expect.
    """
    if real_comfyui_is_here():
        yield
        return
    outermost = not stack
    core = dict(stack[-1].core if core is None and stack else core or {})
    catalog, packs = (dict(stack[-1].catalog) | core, stack[-1].packs) if stack else (dict(core), [])
    stack.append(Current(host, core, catalog, packs))
    covered = _install() if outermost else {}
    try:
        with _inference_mode():
            yield
    finally:
        stack.pop()
        if outermost:
            _remove(covered)


def _inference_mode() -> AbstractContextManager[object]:
    if find_spec("torch") is None:
        return nullcontext()
    import torch

    return torch.inference_mode()


def _names() -> dict[str, str]:
    """ComfyUI's name -> the name of the module that stands in for it."""
    prefix = f"{standins.__name__}."
    return {found.name.removeprefix(prefix): found.name for found in pkgutil.walk_packages(standins.__path__, prefix)}


def _install() -> dict[str, ModuleType]:
    """Returns the modules of other projects that happened to have one of these names."""
    modules = {name: import_module(place) for name, place in _names().items()}
    covered = {name: sys.modules[name] for name in modules if name in sys.modules}
    sys.modules.update(modules)
    sys.meta_path.append(_ABSENT)
    return covered


def _remove(covered: Mapping[str, ModuleType]) -> None:
    sys.meta_path.remove(_ABSENT)
    for name in _names():
        del sys.modules[name]
    for name in [name for name, module in sys.modules.items() if isinstance(module, AbsentModule)]:
        del sys.modules[name]
    sys.modules.update(covered)


class _AbsentFinder(Loader):
    """The last to be asked: finds an ``AbsentModule`` for what only a real ComfyUI has."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        known = name.partition(".")[0] in (*_PARTLY_HERE, *_OF_THE_SERVER)
        return ModuleSpec(name, self, is_package=True) if known else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return AbsentModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing in it."""


_ABSENT = _AbsentFinder()
