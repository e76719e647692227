"""One run of a workflow: a host, the catalog bound to it, a prompt that passed the check, and its events."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ... import nodes
from ...nodes.image import BACKENDS
from ..errors import Problem, WorkflowError, WorkflowRejected
from ..graph.check import check
from ..graph.convert import Conversion, convert
from ..graph.definitions import describe_all
from ..graph.document import Document, read
from ..graph.execute import Blocked, Finished, Started, execute
from ..graph.overrides import apply
from ..graph.plan import plan
from ..graph.prompts import Prompt
from ..host import LocalHost
from ..models.extra_model_paths import folders_from_yaml
from .display import Display

PACK_ROOT = Path(__file__).resolve().parent.parent.parent
WORKFLOWS = PACK_ROOT / "workflows"
SHIPPED_MEDIA = WORKFLOWS / "media"
_DEVICE = re.compile(r"auto|(cpu|cuda|mps|xpu)(:\d+)?")


@dataclass(frozen=True)
class Places:
    """What the command line says about folders and devices."""

    input_dir: Path | None = None
    output_dir: Path | None = None
    models_dirs: tuple[Path, ...] = ()
    extra_model_paths: Path | None = None
    device: str = "auto"
    backend: str = "auto"
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise WorkflowError(f"There is no backend called {self.backend!r}.", f"Use one of: {', '.join(BACKENDS)}.")
        if not _DEVICE.fullmatch(self.device):
            raise WorkflowError(f"{self.device!r} is not a device.", "Use auto, cpu, cuda, cuda:N, mps or xpu.")

    def model_folders(self) -> tuple[Path, ...]:
        """Ours first, then those of a ComfyUI that this checkout is a custom node of, then those of the YAML file."""
        own = self.models_dirs or (own_models_dir(),)
        comfyui = PACK_ROOT.parent.parent if PACK_ROOT.parent.name == "custom_nodes" else None
        found = [*own]
        if comfyui:
            found.append(comfyui / "models" / "upscale_models")
        extra = self.extra_model_paths or (comfyui and comfyui / "extra_model_paths.yaml")
        if extra and (self.extra_model_paths or extra.is_file()):
            found += folders_from_yaml(extra)
        return tuple(folder.absolute() for folder in found)

    def host(self, display: Display, workflow: Path) -> LocalHost:
        """The host for running ``workflow``. Media that lie beside it can be used without copying them, and so can ours: a
        result of a shipped workflow is a workflow too, and lies elsewhere.
        """
        return LocalHost(
            input_dir=self.input_dir or Path("input"),
            output_dir=self.output_dir or Path("output"),
            shipped_inputs=(workflow.resolve().parent / "media", SHIPPED_MEDIA),
            models_dirs=self.model_folders(),
            device_name=self.device,
            backend_name=self.backend,
            show_progress=display.progress,
            max_pixels=self.max_pixels,
        )


def own_models_dir() -> Path:
    """Where ``models pull`` puts weights unless told otherwise."""
    return Path(os.environ.get("UPSCALE8K_MODELS_DIR") or PACK_ROOT / "models")


@contextmanager
def opened_catalog(host: LocalHost, packs: Sequence[Path], say: Callable[[str], None]) -> Generator[dict[str, type]]:
    """The catalog bound to ``host`` and the nodes of other people's packs, for use inside: ComfyUI's modules are stood in for.

    Raises ``WorkflowError`` for a folder that is no pack or lacks something.
    """
    core = nodes.catalog(host)
    if not packs:
        yield core
        return
    from ..packs.load import load_pack
    from ..packs.modules import stand_in

    with stand_in(host, core):
        catalog = dict(core)
        for folder in packs:
            pack = load_pack(folder, host, core)
            catalog.update(pack.nodes)
            if pack.refused:
                say(f"{pack.name} also declares {', '.join(pack.refused)}; the nodes that are here already are used.")
            for node_id, reason in pack.unusable.items():
                say(f"{pack.name}: {node_id} cannot be used. {reason}")
        yield catalog


@dataclass(frozen=True)
class Prepared:
    """A workflow in API form, and everything that is wrong with it."""

    prompt: dict[str, dict[str, Any]]
    document: Document
    changed: bool
    """Whether ``--set`` made it another workflow than the document."""
    problems: list[Problem] = field(default_factory=list[Problem])

    @property
    def extra_pnginfo(self) -> dict[str, Any] | None:
        """What results carry for the canvas; it prefers this to the prompt, so it must be the graph that made them."""
        return {"workflow": self.document.ui} if self.document.ui and not self.changed else None

    def accepted(self) -> Prepared:
        """Itself; raises ``WorkflowRejected`` with every problem when there is any."""
        if self.problems:
            raise WorkflowRejected(self.problems, path=self.document.path)
        return self


def to_prompt(document: Document, definitions: Mapping[str, Any]) -> Conversion:
    """The document as an API prompt, and what could not be converted. Raises ``WorkflowError`` that names the file."""
    if document.prompt is not None:
        return Conversion(document.prompt, [], {})
    try:
        return convert(document.ui or {}, definitions)
    except WorkflowError as error:
        raise WorkflowError(f"{document.path}: {error.what}", error.hint, path=document.path) from error


def prepare(path: Path, settings: Sequence[str], catalog: Mapping[str, type]) -> Prepared:
    """Read, convert, apply ``--set`` and check. Raises ``WorkflowError`` for a file that is no workflow."""
    document = read(path)
    conversion = to_prompt(document, describe_all(catalog, nodes.TITLES))
    prompt = conversion.prompt
    for assignment in settings:
        prompt = _set(prompt, assignment, catalog)
    checked = check(prompt, catalog, packs=conversion.packs)
    reported = {(problem.node_id, problem.kind) for problem in conversion.problems}
    problems = conversion.problems + [found for found in checked.problems if (found.node_id, found.kind) not in reported]
    return Prepared(checked.prompt, document, bool(settings), problems)


def _set(prompt: Prompt, assignment: str, catalog: Mapping[str, type]) -> Prompt:
    try:
        return apply(prompt, assignment, catalog)
    except WorkflowError as error:
        raise WorkflowError(
            f"--set {assignment}: {error.what}", error.hint, node_id=error.node_id, input_name=error.input_name
        ) from error


def run(prepared: Prepared, catalog: Mapping[str, type], host: LocalHost, display: Display) -> list[Path]:
    """Run a prepared workflow; the files that it wrote, in order. Raises the first error of a node."""
    written: list[Path] = []
    for event in execute(plan(prepared.prompt, catalog), catalog, extra_pnginfo=prepared.extra_pnginfo):
        if isinstance(event, Started):
            display.node(event.title or event.class_type)
        elif isinstance(event, Blocked):
            display.say(event.message)
        elif isinstance(event, Finished):
            written += _files(event.ui, host)
    return written


def shipped(name: str) -> Path:
    """A workflow that comes with the project."""
    path = WORKFLOWS / name
    if not path.is_file():
        raise WorkflowError(f"The workflow {name} that this command runs is not here ({path}).", "Install Upscale8K again.")
    return path


def _files(ui: Mapping[str, list[Any]], host: LocalHost) -> list[Path]:
    """Results that stay: what went to the temporary folder is gone when the run ends."""
    images = [image for image in ui.get("images", []) if image.get("type") == "output"]
    return [host.folder("output") / image["subfolder"] / image["filename"] for image in images]
