"""``convert``: convert workflows from the canvas format to the API format; a damaged file does not stop the rest."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ..atomic_write import atomic_output
from ..errors import OutputError, Upscale8KError, WorkflowError, WorkflowRejected
from ..graph import read_document
from .load_workflow import convert_document, read_video_tags


def convert_workflows(sources: Sequence[Path], out: Path | None, definitions: Mapping[str, Any]) -> list[Upscale8KError]:
    """Convert to ``out``: a file for one workflow, a folder for several, stdout for None. Return the errors.

    In a folder ``NAME.ui.json`` and ``NAME.json`` become ``NAME.api.json``.
    """
    files = find_workflow_files(sources, excluded_suffix=".api.json")
    many = len(files) > 1 or any(source.is_dir() for source in sources)
    into_folder = out is not None and (many or out.is_dir() or not out.suffix)
    if many and not into_folder:
        raise WorkflowError(f"{len(files)} workflows need an output folder.", "Set one with -o.")
    failures: list[Upscale8KError] = []
    written: dict[Path, Path] = {}
    for file in files:
        try:
            target = out / _make_api_name(file) if out and into_folder else out
            prompt = _convert_file(file, definitions)
            if target is None:
                print(json.dumps(prompt, indent=2), flush=True)
            else:
                _check_target(target, file, written.setdefault(target, file))
                _write_prompt(target, prompt)
        except Upscale8KError as error:
            failures.append(error)
    return failures


def find_workflow_files(sources: Sequence[Path], *, excluded_suffix: str | None = None) -> list[Path]:
    """Return the named files, and the ``*.json`` files of the named folders without those that end in ``excluded_suffix``.

    Raises ``WorkflowError`` if there are none.
    """
    files = [file for source in sources for file in (sorted(source.glob("*.json")) if source.is_dir() else [source])]
    found = [
        file
        for file in dict.fromkeys(files)
        if excluded_suffix is None or file in sources or not file.name.endswith(excluded_suffix)
    ]
    if not found:
        raise WorkflowError(f"There are no workflows (*.json) in {sources[0]}.", "Name a file, or a folder with workflows.")
    return found


def read_object_info(path: Path | None) -> dict[str, Any]:
    """Read the answer of a server's ``/object_info`` from a file; empty for None. Raises ``WorkflowError``."""
    if path is None:
        return {}
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        what = f"{path} cannot be read as ComfyUI's object_info: {error}."
        raise WorkflowError(what, "Save it from /object_info.", path=path) from error
    if not isinstance(content, dict):
        raise WorkflowError(f"{path} is not ComfyUI's object_info but a list.", "Save it from /object_info.", path=path)
    return cast("dict[str, Any]", content)


def _check_target(target: Path, file: Path, first_source: Path) -> None:
    if first_source != file:
        raise OutputError(
            f"{file} would replace {target}, the result of {first_source}.", "Convert it separately.", path=target
        )
    if target.exists() and target.samefile(file):
        raise OutputError(f"{file} would be replaced by its own result.", "Choose another file with -o.", path=target)


def _make_api_name(file: Path) -> str:
    return (
        f"{file.name.removesuffix('.json').removesuffix('.ui')}.api.json" if file.suffix == ".json" else f"{file.stem}.api.json"
    )


def _convert_file(file: Path, definitions: Mapping[str, Any]) -> dict[str, Any]:
    document = read_document(file, read_video_tags)
    conversion = convert_document(document, definitions)
    if conversion.problems:
        raise WorkflowRejected(conversion.problems, path=file)
    return conversion.prompt


def _write_prompt(target: Path, prompt: dict[str, Any]) -> None:
    with atomic_output(target, "Choose another file with -o.") as temp_path:
        temp_path.write_text(json.dumps(prompt, indent=2), encoding="utf-8")
