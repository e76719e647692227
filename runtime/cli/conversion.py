"""``convert``: files and folders from the canvas format to the API format; one bad file never stops the rest."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import OutputError, Upscale8KError, WorkflowError, WorkflowRejected
from ..graph.document import read
from .session import to_prompt


def convert_all(sources: Sequence[Path], out: Path | None, definitions: Mapping[str, Any]) -> list[tuple[Path, Upscale8KError]]:
    """Convert to ``out``: a file for one workflow, a folder for many, stdout for None. Returns what failed, with its error.

    Into a folder ``NAME.ui.json`` and ``NAME.json`` become ``NAME.api.json``.
    """
    files = [file for source in sources for file in _files(source)]
    many = len(files) > 1 or any(source.is_dir() for source in sources)
    into_folder = out is not None and (many or out.is_dir() or not out.suffix)
    if many and not into_folder:
        raise WorkflowError(f"{len(files)} workflows need a folder to go to.", "Give one with -o.")
    failures: list[tuple[Path, Upscale8KError]] = []
    for file in files:
        try:
            target = out / _api_name(file) if out and into_folder else out
            _write(target, _converted(file, definitions))
        except Upscale8KError as error:
            failures.append((file, error))
    return failures


def _files(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    return sorted(file for file in source.glob("*.json") if not file.name.endswith(".api.json"))


def _api_name(file: Path) -> str:
    return (
        f"{file.name.removesuffix('.json').removesuffix('.ui')}.api.json" if file.suffix == ".json" else f"{file.stem}.api.json"
    )


def _converted(file: Path, definitions: Mapping[str, Any]) -> dict[str, Any]:
    document = read(file)
    conversion = to_prompt(document, definitions)
    if conversion.problems:
        raise WorkflowRejected(conversion.problems, path=file)
    return conversion.prompt


def _write(target: Path | None, prompt: dict[str, Any]) -> None:
    text = json.dumps(prompt, indent=2)
    if target is None:
        sys.stdout.write(f"{text}\n")
        return
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(
            f"{target} cannot be written: {error.strerror}.", "Choose another place with -o.", path=target
        ) from error
