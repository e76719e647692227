"""``check``: files and folders, each fine or with everything that is missing; one bad file never stops the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import Problem, Upscale8KError
from ..graph.definitions import declared_classes
from .display import Display
from .prepared import prepare
from .session import Catalog, Places, opened_catalog


@dataclass(frozen=True)
class Verdict:
    """``sentence`` is why the file is no workflow at all, or what else keeps it from being checked."""

    path: Path
    nodes: int = 0
    problems: list[Problem] = field(default_factory=list[Problem])
    sentence: str = ""

    @property
    def fine(self) -> bool:
        return not self.problems and not self.sentence

    def __str__(self) -> str:
        if self.fine:
            return f"{self.path}: {self.nodes} nodes, no problem."
        if self.sentence:
            return self.sentence
        count = f"{len(self.problems)} problem{'' if len(self.problems) == 1 else 's'}"
        return "\n".join([f"{self.path} has {count}:", *(f"  - {problem}" for problem in self.problems)])

    def as_json(self) -> dict[str, Any]:
        """For a program: ``error`` is null unless the file is no workflow."""
        problems = [asdict(problem) for problem in self.problems]
        return {
            "file": str(self.path),
            "fine": self.fine,
            "nodes": self.nodes,
            "error": self.sentence or None,
            "problems": problems,
        }


def check_all(
    files: Sequence[Path],
    settings: Sequence[str],
    places: Places,
    packs: Sequence[Path],
    object_info: Mapping[str, Any],
    display: Display,
) -> Iterator[Verdict]:
    """Check every file. The catalog is made once for each folder, because the media beside a workflow are its inputs too.

    ``object_info`` describes nodes that are not here; they are checked by it.
    """
    declared = declared_classes(object_info)
    for folder, inside in _by_folder(files).items():
        with closing(places.host(display, folder / "any")) as host, opened_catalog(host, packs, display.say) as catalog:
            known = Catalog({**declared, **catalog.classes}, catalog.titles)
            definitions = {**object_info, **catalog.definitions()}
            for file in inside:
                yield _checked(file, settings, known.classes, definitions)


def _checked(file: Path, settings: Sequence[str], classes: Mapping[str, type], definitions: Mapping[str, Any]) -> Verdict:
    try:
        prepared = prepare(file, settings, classes, definitions)
    except Upscale8KError as error:
        return Verdict(file, sentence=str(error))
    return Verdict(file, len(prepared.prompt), prepared.problems)


def _by_folder(files: Sequence[Path]) -> dict[Path, list[Path]]:
    folders: dict[Path, list[Path]] = {}
    for file in files:
        folders.setdefault(file.resolve().parent, []).append(file)
    return folders
