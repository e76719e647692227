"""Folders and devices of a command, the host, and the node catalog bound to it."""

import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ... import nodes
from ..distributed import parse_workers
from ..errors import WorkflowError
from ..graph import describe_classes
from ..host import LocalHost
from ..models import read_model_folders
from ..paths import PACK_ROOT, SHIPPED_MEDIA, WORKFLOWS_FOLDER, get_default_models_dir
from ..upscale import AUTO, get_backend_spec
from .display import Display

_DEVICE = re.compile(r"auto|(cpu|cuda|mps|xpu)(:\d+)?")


@dataclass(frozen=True)
class RunOptions:
    """The options for folders and devices."""

    input_dir: Path | None = None
    output_dir: Path | None = None
    models_dirs: tuple[Path, ...] = ()
    extra_model_paths: Path | None = None
    device: str = "auto"
    backend: str = "auto"
    max_pixels: int | None = None
    engine: Path | None = None
    """TensorRT engine to use or to build; None is the cache folder."""
    workers: str = ""

    def __post_init__(self) -> None:
        if self.backend != AUTO:
            get_backend_spec(self.backend)
        parse_workers(self.workers)
        if not _DEVICE.fullmatch(self.device):
            raise WorkflowError(f"{self.device!r} is not a device.", "Use auto, cpu, cuda, cuda:N, mps or xpu.")

    @property
    def engine_name(self) -> str | None:
        """The input ``engine`` of the TRT Build that the backend tensorrt adds to a workflow; None for other backends."""
        if self.backend != "tensorrt":
            return None
        return self.engine.name if self.engine else ""

    def resolve_model_folders(self) -> tuple[Path, ...]:
        """Return our folders, then that of the ComfyUI in which this checkout is a custom node, then those of the YAML file."""
        own = self.models_dirs or (get_default_models_dir(),)
        comfyui = PACK_ROOT.parent.parent if PACK_ROOT.parent.name == "custom_nodes" else None
        found = [*own]
        if comfyui:
            found.append(comfyui / "models" / "upscale_models")
        extra = self.extra_model_paths or (comfyui and comfyui / "extra_model_paths.yaml")
        if extra and (self.extra_model_paths or extra.is_file()):
            found += read_model_folders(extra)
        return tuple(folder.absolute() for folder in found)

    def create_host(self, display: Display, workflow: Path) -> LocalHost:
        """Create the host for running ``workflow``.

        Media next to the workflow can be used without a copy. So can the shipped media, because the result of a shipped
        workflow is a workflow in another folder.
        """
        return LocalHost(
            input_dir=self.input_dir or Path("input"),
            output_dir=self.output_dir or Path("output"),
            shipped_inputs=(workflow.resolve().parent / "media", SHIPPED_MEDIA),
            models_dirs=(*([self.engine.parent.absolute()] if self.engine else []), *self.resolve_model_folders()),
            device_name=self.device,
            backend_name=self.backend,
            show_progress=display.track_progress,
            max_pixels=self.max_pixels,
            workers_name=self.workers,
        )


@dataclass(frozen=True)
class NodeCatalog:
    """The node classes of one host, their titles, and the folders of other packs' classes."""

    classes: dict[str, type]
    titles: dict[str, str]
    packs: dict[type, Path] = field(default_factory=dict[type, Path])

    def describe_nodes(self) -> dict[str, Any]:
        """Return the catalog in the format of ComfyUI's ``/object_info``."""
        return describe_classes(self.classes, self.titles)


@contextmanager
def open_node_catalog(
    host: LocalHost, packs: Sequence[Path], show_message: Callable[[str], None], *, guarded: bool = False
) -> Generator[NodeCatalog]:
    """Open the catalog of ``host`` with the nodes of other packs, which use stubs of ComfyUI's modules.

    ``guarded``: until it is closed, packs start no program, use no network and write nothing outside their own folders.
    Raises ``WorkflowError`` for a folder that is not a pack, or one with missing requirements.
    """
    builtin_nodes = nodes.get_node_classes(host)
    if not packs:
        yield NodeCatalog(builtin_nodes, nodes.DISPLAY_NAMES)
        return
    host.packs = tuple(packs)
    from ..comfyui import guard_environment, install_stubs, load_node_pack

    with guard_environment(packs) if guarded else nullcontext(), install_stubs(host, builtin_nodes):
        catalog = NodeCatalog(dict(builtin_nodes), dict(nodes.DISPLAY_NAMES))
        for folder in packs:
            pack = load_node_pack(folder, host, builtin_nodes)
            catalog.classes.update(pack.nodes)
            catalog.titles.update(pack.titles)
            catalog.packs.update(dict.fromkeys(pack.nodes.values(), folder.resolve()))
            if pack.rejected_ids:
                show_message(f"{pack.name} also declares {', '.join(pack.rejected_ids)}; the existing nodes are used.")
            for node_id, reason in pack.unusable_nodes.items():
                show_message(f"{pack.name}: {node_id} cannot be used. {reason}")
        yield catalog


def find_workflow(path: Path) -> Path:
    """Return ``path``, or the shipped workflow that it names: ``image_8k``, ``image_8k.json``, ``workflows/image_8k.json``.

    Raises ``WorkflowError`` for a name without suffix that is neither.
    """
    if path.exists() or not path.name or path.parent not in (Path(), Path("workflows")) or path.suffix not in ("", ".json"):
        return path
    shipped = WORKFLOWS_FOLDER / path.with_suffix(".json").name
    if not path.suffix and not shipped.is_file():
        near = get_close_matches(path.name, [known.stem for known in WORKFLOWS_FOLDER.glob("*.json")])
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise WorkflowError(
            f"There is no file and no shipped workflow {path}.", f"{hint}All are listed by: python -m runtime workflows list"
        )
    return shipped if shipped.is_file() else path


def find_shipped_workflow(name: str) -> Path:
    """Return the path of a shipped workflow."""
    path = WORKFLOWS_FOLDER / name
    if not path.is_file():
        raise WorkflowError(f"The workflow {name} of this command is missing ({path}).", "Install Upscale8K again.")
    return path
