"""``upscale``: which files are meant, and what each result is called."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path

from ..errors import MediaError, OutputError, WorkflowError
from ..host import PICTURE_SUFFIXES, WRITABLE_SUFFIXES


@dataclass(frozen=True)
class Job:
    """One picture and the file that it becomes."""

    source: Path
    result: Path


def jobs(source: str, out: Path) -> list[Job]:
    """A file, a folder or a quoted glob in; a file, or a folder of files of the same names, out.

    Raises ``MediaError`` when nothing is found, ``OutputError`` when a result would be one of the sources.
    """
    path = Path(source)
    if path.is_file():
        result = out if _names_a_file(out) else out / _result_name(path)
        return [_checked(Job(path, result))]
    found = _pictures(source)
    if not found:
        raise MediaError(
            f"{source}: no such picture, and no pictures there.", f"Known kinds: {', '.join(PICTURE_SUFFIXES)}.", path=path
        )
    if out.is_file() or (out.suffix.lower() in WRITABLE_SUFFIXES and not out.is_dir()):
        raise WorkflowError(f"{source} names {len(found)} pictures, but {out} is one file.", "Give a folder with -o.")
    return _distinct([_checked(Job(file, out / _result_name(file))) for file in found])


def _pictures(source: str) -> list[Path]:
    path = Path(source)
    named = path.iterdir() if path.is_dir() else map(Path, glob.glob(source, recursive=True))  # noqa: PTH207  may be absolute
    try:
        return sorted(file for file in named if file.suffix.lower() in PICTURE_SUFFIXES and file.is_file())
    except OSError as error:
        raise MediaError(f"{source} cannot be read: {error.strerror}.", "Check its permissions.", path=path) from error


def _names_a_file(out: Path) -> bool:
    if out.is_dir() or not out.suffix:
        return False
    if out.suffix.lower() not in WRITABLE_SUFFIXES:
        raise OutputError(
            f"{out}: {out.suffix} is no format that can be written.",
            f"Use {', '.join(WRITABLE_SUFFIXES)}, or make the folder first.",
            path=out,
        )
    return True


def _result_name(source: Path) -> str:
    return source.name if source.suffix.lower() in WRITABLE_SUFFIXES else f"{source.stem}.png"


def _checked(job: Job) -> Job:
    if job.result.exists() and job.result.samefile(job.source):
        raise OutputError(
            f"{job.source} would be replaced by its own result.", "Choose another file or folder with -o.", path=job.result
        )
    return job


def _distinct(found: list[Job]) -> list[Job]:
    seen: dict[Path, Path] = {}
    for job in found:
        if job.result in seen:
            raise OutputError(
                f"{seen[job.result]} and {job.source} would both become {job.result}.",
                "Upscale them one by one.",
                path=job.result,
            )
        seen[job.result] = job.source
    return found
