"""Install the stubs as ComfyUI's modules while a pack is in use."""

import pkgutil
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

from ...host import Host
from . import stubs
from .context import StubContext, context_stack
from .missing import MissingModule, make_missing_getattr

# Packages of ComfyUI with few or no stubs; then modules that packs only need inside its server.
_PARTIAL_PACKAGES = (
    *("comfy", "comfy_api", "comfy_execution", "comfy_extras", "comfy_api_nodes", "comfy_config", "latent_preview"),
)
_SERVER_MODULES = ("execution", "aiohttp")
_OTHER_NAMES = ("comfy_api.input", "comfy_api.input_impl", "comfy_api.util", "comfy_api.v0_0_1", "comfy_api.v0_0_2")
"""Older names of ``comfy_api.latest``, and parts of it."""


def is_real_comfyui_available() -> bool:
    """Return whether a real ComfyUI is importable."""
    return all(_is_real_module(name) for name in ("folder_paths", "comfy.model_management", "comfy_execution.graph"))


def _is_real_module(name: str) -> bool:
    top = name.partition(".")[0]
    if top in sys.modules and sys.modules[top].__name__.startswith(stubs.__name__):
        return False
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


@contextmanager
def install_stubs(host: Host, builtin_nodes: Mapping[str, type] | None = None) -> Generator[None]:
    """Make the stubs of ComfyUI's modules importable; they use ``host``. Does nothing where a real ComfyUI is importable.

    May be nested. The block runs in torch's inference mode, as packs expect.
    """
    if is_real_comfyui_available():
        yield
        return
    outermost = not context_stack
    builtin_nodes = dict(context_stack[-1].builtin_nodes if builtin_nodes is None and context_stack else builtin_nodes or {})
    catalog, packs = (
        (dict(context_stack[-1].catalog) | builtin_nodes, context_stack[-1].packs)
        if context_stack
        else (dict(builtin_nodes), [])
    )
    context_stack.append(StubContext(host, builtin_nodes, catalog, packs))
    replaced_modules = _install_modules() if outermost else {}
    try:
        with _enter_inference_mode():
            yield
    finally:
        context_stack.pop()
        if outermost:
            _remove_modules(replaced_modules)


def _enter_inference_mode() -> AbstractContextManager[object]:
    if find_spec("torch") is None:
        return nullcontext()
    import torch

    return torch.inference_mode()


def _map_stub_names() -> dict[str, str]:
    """Return ComfyUI's module name -> the module name of its stub."""
    prefix = f"{stubs.__name__}."
    names = {found.name.removeprefix(prefix): found.name for found in pkgutil.walk_packages(stubs.__path__, prefix)}
    return names | dict.fromkeys(_OTHER_NAMES, names["comfy_api.latest"])


def _install_modules() -> dict[str, ModuleType]:
    """Install the stubs; return the modules of other projects that had one of their names."""
    modules = {name: import_module(place) for name, place in _map_stub_names().items()}
    for name, module in modules.items():
        vars(module).setdefault("__getattr__", make_missing_getattr(name))
    replaced_modules = {name: sys.modules[name] for name in modules if name in sys.modules}
    sys.modules.update(modules)
    sys.meta_path.append(_MISSING_FINDER)
    return replaced_modules


def _remove_modules(replaced_modules: Mapping[str, ModuleType]) -> None:
    sys.meta_path.remove(_MISSING_FINDER)
    for name in _map_stub_names():
        del sys.modules[name]
    # A copy, because a lazy module may import others when it is asked for its class.
    for name in [name for name, module in list(sys.modules.items()) if isinstance(module, MissingModule)]:
        del sys.modules[name]
    sys.modules.update(replaced_modules)


class _MissingModuleFinder(Loader):
    """The last finder: finds a ``MissingModule`` for what only a real ComfyUI has."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        known = name.partition(".")[0] in (*_PARTIAL_PACKAGES, *_SERVER_MODULES)
        return ModuleSpec(name, self, is_package=True) if known else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return MissingModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module is empty."""


_MISSING_FINDER = _MissingModuleFinder()
