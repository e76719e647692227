"""Settings of single files, from a job file: TOML (tables ``[[job]]``) or CSV (one line per file below a line of column names).

Keys: ``source`` (required), ``output``, ``to``, ``model``, ``batch``, ``tile``, ``fps``, ``denoise``, ``strength``, ``grain``,
``steady``, ``to_fps``, and ``NODE.INPUT`` as in ``--set``. What is missing or empty is that of the command line. Paths are
relative to the job file.
"""

import csv
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from ...errors import WorkflowError
from .upscale_jobs import JobOptions, UpscaleJob, find_jobs, reject_duplicate_results

_KEYS = ("source", "output", "to", "model", "batch", "tile", "fps", "denoise", "strength", "grain", "steady", "to_fps")


def read_job_file(path: Path, out: Path | None, options: JobOptions, *, recursive: bool = False) -> list[UpscaleJob]:
    """Return the jobs of a file; ``out`` and ``options`` are those of the command line.

    Raises ``WorkflowError`` that names the file and the job, and what ``find_jobs`` raises.
    """
    jobs: list[UpscaleJob] = []
    for number, row in enumerate(_read_rows(path), 1):
        try:
            jobs += _plan_row(path.parent, row, out, options, recursive=recursive)
        except WorkflowError as error:
            raise WorkflowError(f"{path}, job {number}: {error.what}", error.hint, path=path) from error
    if not jobs:
        raise WorkflowError(f"{path} names no file.", "Add a table [[job]] with a source, or a line.", path=path)
    return reject_duplicate_results(jobs)


def _read_rows(path: Path) -> Sequence[Mapping[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            rows: object = list(csv.DictReader(text.splitlines(), strict=True))
        else:
            rows = tomllib.loads(text).get("job", [])
    except OSError as error:
        raise WorkflowError(f"{path} cannot be read: {error.strerror}.", "Check its name.", path=path) from error
    except (ValueError, csv.Error) as error:
        raise WorkflowError(f"{path} is not a job file: {error}.", "Write TOML with [[job]], or CSV.", path=path) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in cast("list[object]", rows)):
        raise WorkflowError(f"{path}: job is not a list of tables.", "Write [[job]] before each job.", path=path)
    return cast("list[dict[str, Any]]", rows)


def _plan_row(
    folder: Path, row: Mapping[str, Any], out: Path | None, options: JobOptions, *, recursive: bool
) -> list[UpscaleJob]:
    values = {str(key).strip(): str(value).strip() for key, value in row.items() if value not in (None, "")}
    if unknown := [key for key in values if key not in _KEYS and "." not in key]:
        raise WorkflowError(f"Unknown setting {unknown[0]!r}.", f"Use {', '.join(_KEYS)} or NODE.INPUT.")
    if "source" not in values:
        raise WorkflowError("It has no source.", "Name a file, a folder or a glob.")
    changed = replace(
        options,
        to=values.get("to", options.to),
        model=values.get("model", options.model),
        batch=_parse_number(values, "batch", int, options.batch),
        tile=_parse_number(values, "tile", int, options.tile),
        denoise=_parse_number(values, "denoise", float, options.denoise),
        strength=_parse_number(values, "strength", float, options.strength),
        grain=_parse_number(values, "grain", float, options.grain),
        steady=_parse_number(values, "steady", float, options.steady),
        to_fps=values.get("to_fps", options.to_fps),
        settings=(*options.settings, *(f"{key}={value}" for key, value in values.items() if key not in _KEYS)),
    )
    result = folder / values["output"] if "output" in values else out
    fps = _parse_number(values, "fps", float, None)
    return find_jobs([str(folder / values["source"])], result, changed, fps=fps, recursive=recursive)


def _parse_number(values: Mapping[str, str], key: str, kind: Any, default: Any) -> Any:
    try:
        number = kind(values[key]) if key in values else default
    except ValueError:
        number = -1
    if number is not None and number < 0:
        raise WorkflowError(f"{key} is {values[key]!r}.", "Use a number from 0.")
    return number
