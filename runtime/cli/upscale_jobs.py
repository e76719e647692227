"""``upscale``: find the input files, the workflow for each, and the name of each result."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import MediaError, OutputError, WorkflowError
from ..file_types import (
    IMAGE_SUFFIXES,
    SEQUENCE_NUMBER,
    VIDEO_SUFFIXES,
    WRITABLE_IMAGE_SUFFIXES,
    WRITABLE_VIDEO_SUFFIXES,
    is_sequence_pattern,
)


@dataclass(frozen=True)
class UpscaleJob:
    """One image, video or image sequence, and the file or sequence that it becomes."""

    source: Path
    result: Path
    workflow: str
    settings: tuple[str, ...]
    """Assignments for ``--set`` with both names."""


def find_jobs(source: str, out: Path, fps: float | None = None) -> list[UpscaleJob]:
    """Return the jobs for ``source``: a file, a folder, a quoted glob or the pattern of an image sequence.

    ``out`` is a file, a folder for files of the same names, or a pattern. A folder of images is one image sequence if the
    result is a video or a pattern. ``fps`` is allowed for image sequences only.

    Raises:
        MediaError: No input was found.
        OutputError: A result would replace a source.
        WorkflowError: ``source``, ``out`` and ``fps`` do not fit together.
    """
    path = Path(source)
    if (is_sequence_pattern(source) and not path.is_file()) or (
        path.is_dir() and (_is_video(out) or is_sequence_pattern(str(out)))
    ):
        return [_plan_sequence(path, out, fps)]
    if fps is not None:
        raise WorkflowError(f"--fps is for image sequences, and {source} is not one.", "A video keeps its frame rate.")
    if path.is_file():
        return [_reject_overwrite(_plan_video(path, out) if _is_video(path) else _plan_image(path, out))]
    found = _find_media_files(source)
    if not found:
        known = ", ".join((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
        raise MediaError(f"{source}: no image or video was found.", f"Supported formats: {known}.", path=path)
    if out.is_file() or (out.suffix.lower() in WRITABLE_IMAGE_SUFFIXES + WRITABLE_VIDEO_SUFFIXES and not out.is_dir()):
        raise WorkflowError(f"{source} names {len(found)} images or videos, but {out} is one file.", "Set a folder with -o.")
    return _reject_duplicate_results([_reject_overwrite(_plan_into_folder(file, out)) for file in found])


def _plan_sequence(pattern: Path, out: Path, fps: float | None) -> UpscaleJob:
    absolute_pattern = pattern.absolute()
    folder = absolute_pattern.parent if is_sequence_pattern(absolute_pattern.name) else absolute_pattern
    if not folder.is_dir():
        raise MediaError(f"There is no folder {pattern.parent}.", "Check the folder of the images.", path=folder)
    settings = (f"SequenceIn.pictures={absolute_pattern.name}", *([] if fps is None else [f"SequenceIn.frame_rate={fps}"]))
    if _is_video(out) and not out.is_dir():
        return UpscaleJob(absolute_pattern, out, "frames_to_video.json", (*settings, *_format_video_output(out)))
    result = out if is_sequence_pattern(str(out)) else out / (pattern.name if is_sequence_pattern(pattern.name) else "%05d.png")
    if result.parent.resolve() == folder.resolve():
        raise OutputError(f"{result} is in the folder of its sources.", "Choose another folder with -o.", path=result)
    first = f"SequenceOut.start_number={_find_first_number(absolute_pattern)}"
    return UpscaleJob(absolute_pattern, result, "frames_any.json", (*settings, _format_sequence_output(result), first))


def _find_first_number(pattern: Path) -> int:
    """Return the number of the first image, so that results have the names of their sources."""
    number = SEQUENCE_NUMBER.search(pattern.name)
    if number is None:
        return 1
    before, after = re.escape(pattern.name[: number.start()]), re.escape(pattern.name[number.end() :])
    names = [path.name for path in pattern.parent.iterdir()] if pattern.parent.is_dir() else []
    return min((int(found[1]) for name in names if (found := re.fullmatch(f"{before}(\\d+){after}", name))), default=1)


def _plan_image(path: Path, out: Path) -> UpscaleJob:
    if out.suffix.lower() in WRITABLE_VIDEO_SUFFIXES and path.suffix.lower() not in IMAGE_SUFFIXES and not out.is_dir():
        raise MediaError(
            f"{path.name} is not a supported video.", f"Supported formats: {', '.join(VIDEO_SUFFIXES)}.", path=path
        )
    return (
        _make_image_job(path, out) if _is_output_file(out, WRITABLE_IMAGE_SUFFIXES, "image") else _plan_into_folder(path, out)
    )


def _plan_video(path: Path, out: Path) -> UpscaleJob:
    if is_sequence_pattern(str(out)):
        return UpscaleJob(path, out, "video_to_frames.json", (_format_video_input(path), _format_sequence_output(out)))
    return (
        _make_video_job(path, out) if _is_output_file(out, WRITABLE_VIDEO_SUFFIXES, "video") else _plan_into_folder(path, out)
    )


def _plan_into_folder(path: Path, folder: Path) -> UpscaleJob:
    """Plan a result in a folder, with the source's name and its format if that can be written."""
    if _is_video(path):
        return _make_video_job(path, folder / _make_result_name(path, WRITABLE_VIDEO_SUFFIXES, ".mkv"))
    return _make_image_job(path, folder / _make_result_name(path, WRITABLE_IMAGE_SUFFIXES, ".png"))


def _make_image_job(path: Path, result: Path) -> UpscaleJob:
    settings = (f"ImageIn.image={path.resolve().name}", f"ImageOut.filename={result.name}")
    return UpscaleJob(path, result, "image_any.json", settings)


def _make_video_job(path: Path, result: Path) -> UpscaleJob:
    return UpscaleJob(path, result, "video_any.json", (_format_video_input(path), *_format_video_output(result)))


def _format_video_input(path: Path) -> str:
    return f"VideoIn.video={path.resolve().name}"


def _format_video_output(result: Path) -> tuple[str, ...]:
    """Return the inputs of VideoOut; WebM needs AV1 because it does not support HEVC."""
    codec = ("VideoOut.codec=av1",) if result.suffix.lower() == ".webm" else ()
    return (f"VideoOut.filename_prefix={result.name}", *codec)


def _format_sequence_output(result: Path) -> str:
    return f"SequenceOut.filename={result.name}"


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _find_media_files(source: str) -> list[Path]:
    path = Path(source)
    candidates = path.iterdir() if path.is_dir() else map(Path, glob.glob(source, recursive=True))  # noqa: PTH207  may be absolute
    known = IMAGE_SUFFIXES + VIDEO_SUFFIXES
    try:
        return sorted(file for file in candidates if file.suffix.lower() in known and file.is_file())
    except OSError as error:
        raise MediaError(f"{source} cannot be read: {error.strerror}.", "Check its permissions.", path=path) from error


def _is_output_file(out: Path, writable: tuple[str, ...], kind: str) -> bool:
    if out.is_dir() or not out.suffix:
        return False
    if out.suffix.lower() not in writable:
        hint = f"Use {', '.join(writable)}, or create the folder first."
        raise OutputError(f"{out}: {kind}s cannot be written as {out.suffix}.", hint, path=out)
    return True


def _make_result_name(source: Path, writable: tuple[str, ...], fallback_suffix: str) -> str:
    return source.name if source.suffix.lower() in writable else f"{source.stem}{fallback_suffix}"


def _reject_overwrite(job: UpscaleJob) -> UpscaleJob:
    if job.result.exists() and job.result.samefile(job.source):
        raise OutputError(
            f"{job.source} would be replaced by its own result.", "Choose another file or folder with -o.", path=job.result
        )
    return job


def _reject_duplicate_results(jobs: list[UpscaleJob]) -> list[UpscaleJob]:
    seen: dict[Path, Path] = {}
    for job in jobs:
        if job.result in seen:
            raise OutputError(
                f"{seen[job.result]} and {job.source} would both become {job.result}.",
                "Upscale them one by one.",
                path=job.result,
            )
        seen[job.result] = job.source
    return jobs
