"""Import a pack of ComfyUI nodes by its path, as ComfyUI does."""

import asyncio
import inspect
import sys
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from importlib.abc import Loader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from ...errors import Upscale8KError, WorkflowError
from ...graph import get_declared_inputs
from ...host import Host
from .context import context_stack, get_context, importing
from .stub_modules import install_stubs
from .v3_adapter import V3_BASE, convert_to_v1


@dataclass(frozen=True)
class NodePack:
    """``nodes`` in ComfyUI's V1 contract.

    ``rejected_ids`` belong to built-in nodes, which packs cannot replace; ``unusable_nodes`` maps nodes whose declaration
    fails to the reason, a sentence.
    """

    name: str
    nodes: dict[str, type] = field(default_factory=dict[str, type])
    titles: dict[str, str] = field(default_factory=dict[str, str])
    rejected_ids: tuple[str, ...] = ()
    unusable_nodes: dict[str, str] = field(default_factory=dict[str, str])


def load_node_pack(folder: Path, host: Host, builtin_nodes: Mapping[str, type] | None = None) -> NodePack:
    """Import a pack: a folder with ``__init__.py``, or one ``.py`` file. It cannot replace ``builtin_nodes``.

    Call this, and run its nodes, inside ``install_stubs``. Raises ``WorkflowError`` that names the pack and what it lacks.
    """
    folder = folder.resolve()
    name = folder.stem if folder.suffix == ".py" else folder.name
    with install_stubs(host, builtin_nodes):
        if context_stack:
            get_context().packs.append(folder)
        classes, titles = _import_pack(folder, name)
        rejected_ids = sorted(set(classes) & set(get_context().builtin_nodes if context_stack else builtin_nodes or {}))
        pack = NodePack(name, rejected_ids=tuple(rejected_ids))
        for node_id in [node_id for node_id in classes if node_id not in rejected_ids]:
            try:
                pack.nodes[node_id] = _adapt_node_class(classes[node_id], name)
                pack.titles[node_id] = titles.get(node_id) or node_id
            except Upscale8KError as error:
                pack.unusable_nodes[node_id] = error.what
            except Exception as error:
                pack.unusable_nodes[node_id] = f"Its declaration failed with {type(error).__name__}: {error}."
    if context_stack:
        get_context().catalog.update(pack.nodes)
    return pack


def _adapt_node_class(cls: type, pack: str) -> type:
    """Return a class in the V1 contract and declare its inputs once. Raises what its declaration raises."""
    node: Any = convert_to_v1(cls) if issubclass(cls, V3_BASE) else cls
    get_declared_inputs(node, {})
    if not callable(getattr(node, node.FUNCTION)):
        raise WorkflowError(f"Its FUNCTION {node.FUNCTION!r} is not callable.")
    node.RELATIVE_PYTHON_MODULE = f"custom_nodes.{pack}"
    return node


def _import_pack(folder: Path, name: str) -> tuple[dict[str, type], dict[str, str]]:
    """Return the node classes of a pack and their titles."""
    entry_file = folder if folder.suffix == ".py" else folder / "__init__.py"
    if not entry_file.is_file():
        raise WorkflowError(
            f"{folder} is not a ComfyUI pack: {entry_file} does not exist.", "Name the folder of the pack.", path=folder
        )
    # The path without dots as the module name: relative imports work, and packs do not collide.
    module_name = str(folder.with_suffix("") if folder.suffix == ".py" else folder).replace(".", "_x_")
    spec = spec_from_file_location(module_name, entry_file)
    if spec is None or spec.loader is None:
        raise WorkflowError(f"{entry_file} cannot be imported.", "Name the folder of the pack.", path=folder)
    module = module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        _execute_module(spec.loader, module)
        return _read_node_classes(module)
    except BaseException as error:
        _remove_modules(module_name)
        if isinstance(error, Exception | SystemExit):
            raise _make_load_error(name, error) from error
        raise


def _execute_module(loader: Loader, module: ModuleType) -> None:
    token = importing.set(True)
    try:
        loader.exec_module(module)
    finally:
        importing.reset(token)


def _remove_modules(module_name: str) -> None:
    for found in [found for found in sys.modules if found == module_name or found.startswith(f"{module_name}.")]:
        del sys.modules[found]


def _make_load_error(name: str, error: BaseException) -> WorkflowError:
    if isinstance(error, Upscale8KError):
        return WorkflowError(f"The pack {name} cannot be loaded: {error.what}", error.hint)
    if isinstance(error, ModuleNotFoundError):
        what = f"The pack {name} cannot be loaded: it needs the Python package {error.name}."
        return WorkflowError(what, "Install the packages in its requirements.txt.")
    return WorkflowError(
        f"The pack {name} cannot be loaded: {type(error).__name__}: {error}",
        "This is a bug in the pack: report it to its author.",
    )


def _read_node_classes(module: ModuleType) -> tuple[dict[str, type], dict[str, str]]:
    """Return ``NODE_CLASS_MAPPINGS``, else the nodes of ``comfy_entrypoint``, and their titles."""
    mappings: Mapping[str, type] | None = getattr(module, "NODE_CLASS_MAPPINGS", None)
    if mappings is not None:
        titles: Mapping[str, str] = getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", None) or {}
        return dict(mappings), {node_id: str(title) for node_id, title in titles.items()}
    entrypoint = getattr(module, "comfy_entrypoint", None)
    if entrypoint is None:
        raise WorkflowError("it has neither NODE_CLASS_MAPPINGS nor comfy_entrypoint.", "Check that the folder is a node pack.")
    return asyncio.run(_call_entrypoint(entrypoint))


async def _call_entrypoint(entrypoint: Any) -> tuple[dict[str, type], dict[str, str]]:
    extension = await _await_if_awaitable(entrypoint())
    await _await_if_awaitable(extension.on_load())
    classes: dict[str, type] = {}
    titles: dict[str, str] = {}
    for cls in await _await_if_awaitable(extension.get_node_list()):
        try:
            schema = cls.define_schema()
        except Exception:  # raised again when its inputs are declared
            classes[cls.__name__] = cls
            continue
        classes[schema.node_id] = cls
        titles[schema.node_id] = schema.display_name or schema.node_id
    return classes, titles


async def _await_if_awaitable(answer: Any) -> Any:
    return await cast("Coroutine[Any, Any, Any]", answer) if inspect.isawaitable(answer) else answer
