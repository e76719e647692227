"""``upscale``: which files are meant, which workflow takes each, and what each result is called."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import MediaError, OutputError, WorkflowError
from ..host import PICTURE_SUFFIXES, VIDEO_SUFFIXES, WRITABLE_FILMS, WRITABLE_SUFFIXES, is_series

_NUMBER = re.compile(r"%(?:0\d+)?d(?!ay%)")


@dataclass(frozen=True)
class Job:
    """One picture, film or series of pictures, and the file or series that it becomes."""

    source: Path
    result: Path
    workflow: str
    settings: tuple[str, ...]
    """What the workflow is told of the two."""


def jobs(source: str, out: Path, fps: float | None = None) -> list[Job]:
    """A file, a folder, a quoted glob or a pattern of numbered pictures in; a file, a folder of files of the same names, or a
    pattern out. A folder of pictures is one film where the result is a film or a pattern. ``fps`` is for numbered pictures.

    Raises ``MediaError`` when nothing is found, ``OutputError`` when a result would be one of the sources, ``WorkflowError``
    when the two do not go together.
    """
    path = Path(source)
    if (is_series(source) and not path.is_file()) or (path.is_dir() and (_is_film(out) or is_series(str(out)))):
        return [_of_a_series(path, out, fps)]
    if fps is not None:
        raise WorkflowError(f"--fps is for numbered pictures, and {source} is none.", "A film keeps its own rate.")
    if path.is_file():
        return [_checked(_of_a_film(path, out) if _is_film(path) else _of_a_picture(path, out))]
    found = _files(source)
    if not found:
        known = ", ".join((*PICTURE_SUFFIXES, *VIDEO_SUFFIXES))
        raise MediaError(f"{source}: no such picture or film, and none there.", f"Known kinds: {known}.", path=path)
    if out.is_file() or (out.suffix.lower() in WRITABLE_SUFFIXES + WRITABLE_FILMS and not out.is_dir()):
        raise WorkflowError(f"{source} names {len(found)} pictures or films, but {out} is one file.", "Give a folder with -o.")
    return _distinct([_checked(_into(file, out)) for file in found])


def _of_a_series(pattern: Path, out: Path, fps: float | None) -> Job:
    place = pattern.absolute()
    folder = place.parent if is_series(place.name) else place
    if not folder.is_dir():
        raise MediaError(f"There is no folder {pattern.parent}.", "Check the name of the pictures' folder.", path=folder)
    settings = (f"SequenceIn.pictures={place.name}", *([] if fps is None else [f"SequenceIn.frame_rate={fps}"]))
    if _is_film(out) and not out.is_dir():
        return Job(place, out, "frames_to_video.json", (*settings, *_film_settings(out)))
    result = out if is_series(str(out)) else out / (pattern.name if is_series(pattern.name) else "%05d.png")
    if result.parent.resolve() == folder.resolve():
        raise OutputError(f"{result} lies among its own sources.", "Choose another folder with -o.", path=result)
    first = f"SequenceOut.start_number={_first_number(place)}"
    return Job(place, result, "frames_any.json", (*settings, _series_setting(result), first))


def _first_number(place: Path) -> int:
    """The number of the first picture, so that results are called what their sources are."""
    if not is_series(place.name):
        return 1
    before, after = map(re.escape, _NUMBER.split(place.name, maxsplit=1))
    names = [path.name for path in place.parent.iterdir()] if place.parent.is_dir() else []
    return min((int(found[1]) for name in names if (found := re.fullmatch(f"{before}(\\d+){after}", name))), default=1)


def _of_a_picture(path: Path, out: Path) -> Job:
    if out.suffix.lower() in WRITABLE_FILMS and path.suffix.lower() not in PICTURE_SUFFIXES and not out.is_dir():
        raise MediaError(f"{path.name} is no known kind of film.", f"Known kinds: {', '.join(VIDEO_SUFFIXES)}.", path=path)
    return _picture(path, out) if _names_a(out, WRITABLE_SUFFIXES, "picture") else _into(path, out)


def _of_a_film(path: Path, out: Path) -> Job:
    if is_series(str(out)):
        return Job(path, out, "video_to_frames.json", (_film_source(path), _series_setting(out)))
    return _film(path, out) if _names_a(out, WRITABLE_FILMS, "film") else _into(path, out)


def _into(path: Path, folder: Path) -> Job:
    """Into a folder, by its own name as far as that can be written."""
    if _is_film(path):
        return _film(path, folder / _result_name(path, WRITABLE_FILMS, ".mkv"))
    return _picture(path, folder / _result_name(path, WRITABLE_SUFFIXES, ".png"))


def _picture(path: Path, result: Path) -> Job:
    settings = (f"ImageIn.image={path.resolve().name}", f"ImageOut.filename={result.name}")
    return Job(path, result, "image_any.json", settings)


def _film(path: Path, result: Path) -> Job:
    return Job(path, result, "video_any.json", (_film_source(path), *_film_settings(result)))


def _film_source(path: Path) -> str:
    return f"VideoIn.video={path.resolve().name}"


def _film_settings(result: Path) -> tuple[str, ...]:
    """WebM holds no HEVC."""
    codec = ("VideoOut.codec=av1",) if result.suffix.lower() == ".webm" else ()
    return (f"VideoOut.filename_prefix={result.name}", *codec)


def _series_setting(result: Path) -> str:
    return f"SequenceOut.filename={result.name}"


def _is_film(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _files(source: str) -> list[Path]:
    path = Path(source)
    named = path.iterdir() if path.is_dir() else map(Path, glob.glob(source, recursive=True))  # noqa: PTH207  may be absolute
    known = PICTURE_SUFFIXES + VIDEO_SUFFIXES
    try:
        return sorted(file for file in named if file.suffix.lower() in known and file.is_file())
    except OSError as error:
        raise MediaError(f"{source} cannot be read: {error.strerror}.", "Check its permissions.", path=path) from error


def _names_a(out: Path, writable: tuple[str, ...], kind: str) -> bool:
    if out.is_dir() or not out.suffix:
        return False
    if out.suffix.lower() not in writable:
        known = f"Use {', '.join(writable)}, or make the folder first."
        raise OutputError(f"{out}: {out.suffix} is no format that a {kind} can be written in.", known, path=out)
    return True


def _result_name(source: Path, writable: tuple[str, ...], otherwise: str) -> str:
    return source.name if source.suffix.lower() in writable else f"{source.stem}{otherwise}"


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
