"""``check``: report every problem of many workflows; a damaged file does not stop the rest."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import Problem, Upscale8KError
from ..graph import build_declared_classes
from .display import Display
from .load_workflow import load_workflow
from .run_options import NodeCatalog, RunOptions, open_node_catalog


@dataclass(frozen=True)
class WorkflowCheckResult:
    """The problems of one file. ``error`` says why it could not be checked, for instance because it is not a workflow."""

    path: Path
    node_count: int = 0
    problems: list[Problem] = field(default_factory=list[Problem])
    error: str = ""
    notes: list[Problem] = field(default_factory=list[Problem])
    """What a run would ignore; such a file is valid."""

    @property
    def is_valid(self) -> bool:
        return not self.problems and not self.error

    def __str__(self) -> str:
        if self.error:
            return self.error
        notes = [f"  - Note: {note}" for note in self.notes]
        if self.is_valid:
            return "\n".join([f"{self.path}: {self.node_count} nodes, no problems.", *notes])
        count = f"{len(self.problems)} problem{'' if len(self.problems) == 1 else 's'}"
        return "\n".join([f"{self.path} has {count}:", *(f"  - {problem}" for problem in self.problems), *notes])

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON; ``error`` is null if the file could be checked."""
        return {
            "file": str(self.path),
            "fine": self.is_valid,
            "nodes": self.node_count,
            "error": self.error or None,
            "problems": [asdict(problem) for problem in self.problems],
            "notes": [asdict(note) for note in self.notes],
        }


def check_workflows(
    files: Sequence[Path],
    settings: Sequence[str],
    run_options: RunOptions,
    packs: Sequence[Path],
    object_info: Mapping[str, Any],
    display: Display,
) -> Iterator[WorkflowCheckResult]:
    """Check every file. The catalog is created once per folder, because media next to a workflow are also its inputs.

    ``object_info`` describes nodes that are not installed, which are checked by it.
    """
    declared_nodes = build_declared_classes(object_info)
    for folder, folder_files in _group_by_folder(files).items():
        with (
            closing(run_options.create_host(display, folder / "any")) as host,
            open_node_catalog(host, packs, display.show_message, guarded=True) as catalog,
        ):
            known_nodes = NodeCatalog({**declared_nodes, **catalog.classes}, catalog.titles)
            definitions = {**object_info, **catalog.describe_nodes()}
            for file in folder_files:
                yield _check_file(file, settings, known_nodes.classes, definitions)


def _check_file(
    file: Path, settings: Sequence[str], classes: Mapping[str, type], definitions: Mapping[str, Any]
) -> WorkflowCheckResult:
    try:
        loaded = load_workflow(file, settings, classes, definitions)
    except Upscale8KError as error:
        return WorkflowCheckResult(file, error=str(error))
    return WorkflowCheckResult(file, len(loaded.prompt), loaded.problems, notes=loaded.notes)


def _group_by_folder(files: Sequence[Path]) -> dict[Path, list[Path]]:
    folders: dict[Path, list[Path]] = {}
    for file in files:
        folders.setdefault(file.resolve().parent, []).append(file)
    return folders
