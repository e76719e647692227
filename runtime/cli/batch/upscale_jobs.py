"""``upscale``: find the input files, the workflow for each, and the name of each result."""

import glob
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import MediaError, OutputError, Upscale8KError, WorkflowError, WorkflowRejected
from ...file_types import (
    ANIMATION_SUFFIXES,
    IMAGE_SUFFIXES,
    MUXERS,
    SEQUENCE_NUMBER,
    VIDEO_SUFFIXES,
    WRITABLE_IMAGE_SUFFIXES,
    WRITABLE_VIDEO_SUFFIXES,
    is_sequence_pattern,
)
from ...images import is_animation
from ...models import AUTO_MODEL, DENOISE_MODELS

_RESULT_STEM = re.compile(r"(.+)_(?:\d+k|\d+(?:\.\d+)?x|\d+x\d+|upscaled)", re.IGNORECASE)
"""The name of a result beside its source; group 1 is the stem of the source."""


@dataclass(frozen=True)
class JobOptions:
    """The options of one image or video."""

    to: str
    model: str
    batch: int = 0
    tile: int = 0
    settings: tuple[str, ...] = ()
    """Assignments for ``--set``."""
    denoise: float | None = None
    """Share of the strong one of ``DENOISE_MODELS``, 0 to 1; None takes ``model`` alone."""
    strength: float | None = None
    grain: float | None = None
    steady: float | None = None
    skip_borders: bool = False
    """This, ``steady`` and ``to_fps``: of videos and image sequences only."""
    to_fps: str | None = None
    """Frames per second of the result."""

    def __post_init__(self) -> None:
        """Raise ``WorkflowError`` for a share outside 0..1, or a model that has no denoise strength."""
        for name in ("denoise", "strength", "grain", "steady"):
            value: float | None = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise WorkflowError(f"{name} is {value:g}.", "Use a number from 0 to 1.")
        if self.denoise is not None and self.model.rpartition(",")[2].strip() not in ("", AUTO_MODEL, DENOISE_MODELS[0]):
            raise WorkflowError(
                f"The model {self.model} has no denoise strength.",
                f"Leave out -m, or mix two models: --set UpscaleModel.second_model=NAME. denoise is for {DENOISE_MODELS[0]}.",
            )

    @property
    def second_model(self) -> str | None:
        return None if self.denoise is None else DENOISE_MODELS[1]

    def format_settings(self, upscale_node: str, model: str) -> list[str]:
        """Return everything as assignments; ``model`` is what ``self.model`` stands for."""
        values: dict[str, object] = {
            "target": self.to,
            "batch": self.batch,
            "tile": self.tile,
            "strength": self.strength,
            "grain": self.grain,
        }
        if upscale_node == "TiledUpscaleVideo":
            skip_borders = True if self.skip_borders else None
            values |= {"steady": self.steady, "skip_borders": skip_borders, "frame_rate": self.to_fps}
        given = (f"{upscale_node}.{name}={value}" for name, value in values.items() if value is not None)
        settings = [f"UpscaleModel.model={model}", *given]
        if self.denoise is not None:
            weight = round(1 - self.denoise, 6)
            settings += [f"UpscaleModel.second_model={self.second_model}", f"UpscaleModel.second_weight={weight}"]
        return [*settings, *self.settings]


@dataclass(frozen=True)
class UpscaleJob:
    """One image, video or image sequence, and the file or sequence that it becomes."""

    source: Path
    result: Path
    workflow: str
    settings: tuple[str, ...]
    """Assignments for ``--set`` that name source and result."""
    options: JobOptions
    is_named_by_user: bool = False
    """Whether the user named ``result`` itself: then an existing file is replaced."""

    @property
    def is_file(self) -> bool:
        """Whether the result is one file, not an image sequence."""
        return not is_sequence_pattern(str(self.result))


def name_options(error: WorkflowRejected, options: JobOptions) -> Upscale8KError:
    """Return ``error`` in terms of the options of ``upscale``, as ``name_typed`` does."""
    typed = {"model": ("-m", options.model), "target": ("--to", options.to)}
    typed |= {"tile": ("--tile", options.tile), "batch": ("-b", options.batch), "frame_rate": ("--to-fps", options.to_fps)}
    return name_typed(error, typed, options.settings)


def name_typed(
    error: WorkflowRejected, typed: Mapping[str, tuple[str, object]], settings: Sequence[str] = ()
) -> Upscale8KError:
    """Return ``error`` in terms of what was typed; unchanged where one of its problems has another cause.

    ``typed`` has option and value by input; ``settings`` are those of ``--set``, which come first.
    """
    parts: list[str] = []
    for problem in error.problems:
        said = {name: repr(value) for name, (_, value) in typed.items() if isinstance(value, str)}
        said |= {"tile": f"A tile of {typed['tile'][1]} pixels"} if "tile" in typed else {}
        name = problem.input_name or next((name for name, words in said.items() if words in problem.what), "")
        matching = (text for text in settings if text.partition("=")[0].endswith(f".{name}"))
        option = next((f"--set {text}" for text in matching), " ".join(map(str, typed[name])) if name in typed else None)
        if option is None:
            return error
        parts.append(f"{option}: {problem.what} {problem.hint}".strip())
    return WorkflowError("\n".join(parts))


@dataclass(frozen=True)
class _Source:
    """An input file, and the folder below the results that it belongs to."""

    path: Path
    subfolder: Path = Path()


def find_jobs(
    sources: Sequence[str], out: Path | None, options: JobOptions, *, fps: float | None = None, recursive: bool = False
) -> list[UpscaleJob]:
    """Return the jobs for ``sources``: files, folders, quoted globs and patterns of image sequences.

    ``out`` is a file, a folder for files of the same names, a pattern, or None for results beside their sources
    (``photo_8k.png``). A folder of images is one image sequence if the result is a video or a pattern. ``fps`` is allowed for
    image sequences only. ``recursive`` includes sub-folders, and the results keep them.

    Raises:
        MediaError: No input was found.
        OutputError: A result would replace a source, or two results have one name.
        WorkflowError: ``sources``, ``out`` and ``fps`` do not fit together.
    """
    sequences = [source for source in sources if _is_sequence(source, out, is_alone=len(sources) == 1)]
    if sequences and out is None:
        raise WorkflowError(
            f"{sequences[0]} is an image sequence, and its result has no name.", "Set -o to out.mp4 or out/%05d.png."
        )
    jobs = [_plan_sequence(Path(source), out, options, fps) for source in sequences if out is not None]
    names = [source for source in sources if source not in sequences]
    if names and fps is not None:
        raise WorkflowError(
            f"--fps is for image sequences, and {names[0]} is not one.", "Another frame rate of a video is --to-fps."
        )
    files = list(
        {file.path.resolve(): file for name in names for file in _find_sources(name, out, recursive=recursive)}.values()
    )
    if len(sources) == 1 and len(files) == 1 and out is not None and Path(names[0]).is_file():
        path = files[0].path
        is_still = path.suffix.lower() in IMAGE_SUFFIXES and _is_still(out)
        plan_file = _plan_video if _is_moving(path) and not is_still else _plan_image
        jobs.append(plan_file(path, out, options))
    else:
        if files and out is not None and _is_one_file(out):
            what = f"{names[0] if len(names) == 1 else 'The input'} names {len(files)} images or videos, but {out} is one file."
            raise WorkflowError(what, "Set a folder with -o.")
        jobs += [_plan_named_by_us(file, out, options) for file in _drop_results(files, out)]
    return reject_duplicate_results([_reject_overwrite(job) for job in jobs])


def _is_sequence(source: str, out: Path | None, *, is_alone: bool) -> bool:
    path = Path(source)
    if is_sequence_pattern(source) and not path.is_file():
        return True
    return is_alone and path.is_dir() and out is not None and (_names_video(out) or is_sequence_pattern(str(out)))


def _is_one_file(out: Path) -> bool:
    return out.is_file() or (out.suffix.lower() in WRITABLE_IMAGE_SUFFIXES + WRITABLE_VIDEO_SUFFIXES and not out.is_dir())


def _plan_sequence(pattern: Path, out: Path, options: JobOptions, fps: float | None) -> UpscaleJob:
    absolute_pattern = pattern.absolute()
    folder = absolute_pattern.parent if is_sequence_pattern(absolute_pattern.name) else absolute_pattern
    if not folder.is_dir():
        raise MediaError(f"There is no folder {pattern.parent}.", "Check the folder of the images.", path=folder)
    settings = (f"SequenceIn.pictures={absolute_pattern.name}", *([] if fps is None else [f"SequenceIn.frame_rate={fps}"]))
    if _names_video(out) and not out.is_dir():
        settings = (*settings, _format_video_output(out))
        return UpscaleJob(absolute_pattern, out, "frames_to_video.json", settings, options, is_named_by_user=True)
    result = out if is_sequence_pattern(str(out)) else out / (pattern.name if is_sequence_pattern(pattern.name) else "%05d.png")
    if result.parent.resolve() == folder.resolve():
        raise OutputError(f"{result} is in the folder of its sources.", "Choose another folder with -o.", path=result)
    settings = (*settings, _format_sequence_output(result), f"SequenceOut.start_number={_find_first_number(absolute_pattern)}")
    return UpscaleJob(absolute_pattern, result, "frames_any.json", settings, options, is_named_by_user=True)


def _find_first_number(pattern: Path) -> int:
    """Return the number of the first image, so that results have the names of their sources."""
    number = SEQUENCE_NUMBER.search(pattern.name)
    if number is None:
        return 1
    before, after = re.escape(pattern.name[: number.start()]), re.escape(pattern.name[number.end() :])
    names = [path.name for path in pattern.parent.iterdir()] if pattern.parent.is_dir() else []
    return min((int(found[1]) for name in names if (found := re.fullmatch(f"{before}(\\d+){after}", name))), default=1)


def find_first_image(pattern: Path) -> Path:
    """Return an image of a sequence, given as its pattern or folder; the pattern itself if there is none."""
    folder = pattern if pattern.is_dir() else pattern.parent
    suffixes = IMAGE_SUFFIXES if pattern.is_dir() else (pattern.suffix.lower(),)
    return min((path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file()), default=pattern)


def _plan_image(path: Path, out: Path, options: JobOptions) -> UpscaleJob:
    if out.suffix.lower() in MUXERS and path.suffix.lower() not in IMAGE_SUFFIXES and not out.is_dir():
        raise MediaError(
            f"{path.name} is not a supported video.", f"Supported formats: {', '.join(VIDEO_SUFFIXES)}.", path=path
        )
    if _is_output_file(out, WRITABLE_IMAGE_SUFFIXES, "image"):
        return replace(_make_job(path, out, options), is_named_by_user=True)
    return _plan_named_by_us(_Source(path), out, options)


def _plan_video(path: Path, out: Path, options: JobOptions) -> UpscaleJob:
    if is_sequence_pattern(str(out)):
        settings = (_format_video_input(path), _format_sequence_output(out))
        return UpscaleJob(path, out, "video_to_frames.json", settings, options, is_named_by_user=True)
    # A video with the name of one image is a mistake more often than an animation, which .apng names.
    writable = (
        WRITABLE_VIDEO_SUFFIXES if is_animation(path) else tuple(each for each in WRITABLE_VIDEO_SUFFIXES if each != ".png")
    )
    if _is_output_file(out, writable, "video"):
        return replace(_make_job(path, out, options), is_named_by_user=True)
    return _plan_named_by_us(_Source(path), out, options)


def _plan_named_by_us(source: _Source, out: Path | None, options: JobOptions) -> UpscaleJob:
    """Plan a result in the folder ``out`` with the source's name, or beside the source with the target in its name."""
    path = source.path
    writable, fallback = (WRITABLE_VIDEO_SUFFIXES, ".mkv") if _is_moving(path) else (WRITABLE_IMAGE_SUFFIXES, ".png")
    suffix = path.suffix if path.suffix.lower() in writable else fallback
    target = re.sub(r"[^\w.]+", "", options.to.lower()) if options.to.lower() != "model scale" else "upscaled"
    result = path.with_name(f"{path.stem}_{target}{suffix}") if out is None else out / source.subfolder / f"{path.stem}{suffix}"
    return _make_job(path, result, options)


def _make_job(path: Path, result: Path, options: JobOptions) -> UpscaleJob:
    if _is_moving(path) and not _is_still(result):
        return UpscaleJob(path, result, "video_any.json", (_format_video_input(path), _format_video_output(result)), options)
    settings = (f"ImageIn.image={path.resolve().name}", f"ImageOut.filename={result.name}")
    return UpscaleJob(path, result, "image_any.json", settings, options)


def _format_video_input(path: Path) -> str:
    return f"VideoIn.video={path.resolve().name}"


def _format_video_output(result: Path) -> str:
    return f"VideoOut.filename_prefix={result.name}"


def _format_sequence_output(result: Path) -> str:
    return f"SequenceOut.filename={result.name}"


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _names_video(out: Path) -> bool:
    """Return whether the frames of a folder or pattern become one video or animated image; a PNG is taken for a folder."""
    return _is_video(out) or (out.suffix.lower() in ANIMATION_SUFFIXES and out.suffix.lower() != ".png")


def _is_moving(source: Path) -> bool:
    """Return whether a source becomes a video or an animated image: also an animated GIF, PNG or WebP."""
    return _is_video(source) or is_animation(source)


def _is_still(out: Path) -> bool:
    """Return whether a result can only be an image, which then is the first frame of an animated image."""
    suffix = out.suffix.lower()
    is_image = suffix in WRITABLE_IMAGE_SUFFIXES and suffix not in ANIMATION_SUFFIXES
    return is_image and not out.is_dir() and not is_sequence_pattern(str(out))


def _find_sources(name: str, out: Path | None, *, recursive: bool) -> list[_Source]:
    """Return the files that ``name`` stands for. Raises ``MediaError`` if there are none."""
    path = Path(name)
    if path.is_file():
        return [_Source(path)]
    pattern, root = (path, path) if path.is_dir() else (path, _find_glob_root(path))
    try:
        candidates: Iterable[Path]
        if path.is_dir():
            candidates = path.rglob("*") if recursive else path.iterdir()
        else:
            candidates = map(Path, glob.glob(str(pattern), recursive=True))  # noqa: PTH207  may be absolute
        files = sorted(file for file in candidates if _is_media_file(file) and not (recursive and _is_result(file, root, out)))
    except OSError as error:
        raise MediaError(f"{name} cannot be read: {error.strerror}.", "Check its permissions.", path=path) from error
    if not files and not path.exists() and not glob.has_magic(name):
        raise MediaError(f"There is no file or folder {name}.", "Check the name and its folder.", path=path)
    if not files:
        known = ", ".join((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
        raise MediaError(f"{name}: no image or video was found.", f"Supported formats: {known}.", path=path)
    return [_Source(file, file.parent.relative_to(root) if recursive else Path()) for file in files]


def describe_left_out(sources: Sequence[str], *, recursive: bool) -> str:
    """Return a sentence on what ``find_jobs`` leaves out of folders: other files, sub-folders with images; "" for nothing."""
    folders = [Path(source) for source in sources if Path(source).is_dir()]
    entries = [entry for folder in folders for entry in sorted(folder.rglob("*") if recursive else folder.iterdir())]
    files = [entry.name for entry in entries if entry.is_file() and not _is_media_file(entry) and entry.name[0] != "."]
    subfolders = [
        entry.name for entry in entries if not recursive and entry.is_dir() and any(map(_is_media_file, entry.glob("*")))
    ]
    parts = [f"no image or video: {_list_some(files)}"] if files else []
    parts += [f"without -r: the folder{'s' if len(subfolders) > 1 else ''} {_list_some(subfolders)}"] if subfolders else []
    return f"Left out, {'; '.join(parts)}." if parts else ""


def _list_some(names: Sequence[str]) -> str:
    return ", ".join([*names[:3], *([f"{len(names) - 3} more"] if len(names) > 3 else [])])


def _is_media_file(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES + VIDEO_SUFFIXES and path.is_file()


def _find_glob_root(pattern: Path) -> Path:
    """Return the part of a pattern before its first wildcard."""
    plain = [part for part in pattern.parents if not glob.has_magic(str(part))]
    return plain[0] if plain else Path()


def _is_result(file: Path, root: Path, out: Path | None) -> bool:
    """Return whether a file below ``root`` is in the folder of results, which is also below it."""
    return out is not None and out.resolve() != root.resolve() and file.resolve().is_relative_to(out.resolve())


def _drop_results(sources: list[_Source], out: Path | None) -> list[_Source]:
    """Without ``out``, leave out the results of earlier runs: ``a_8k.png`` beside ``a.png``."""
    stems = {(source.path.parent, source.path.stem) for source in sources}

    def is_earlier_result(path: Path) -> bool:
        name = _RESULT_STEM.fullmatch(path.stem)
        return name is not None and (path.parent, name[1]) in stems

    return sources if out is not None else [source for source in sources if not is_earlier_result(source.path)]


def _is_output_file(out: Path, writable: tuple[str, ...], kind: str) -> bool:
    if out.is_dir() or not out.suffix:
        return False
    if out.suffix.lower() not in writable:
        hint = f"Use {', '.join(writable)}, or create the folder first."
        raise OutputError(f"{out}: {kind}s cannot be written as {out.suffix}.", hint, path=out)
    return True


def _reject_overwrite(job: UpscaleJob) -> UpscaleJob:
    if job.result.exists() and job.result.samefile(job.source):
        raise OutputError(
            f"{job.source} would be replaced by its own result.", "Choose another file or folder with -o.", path=job.result
        )
    return job


def reject_duplicate_results(jobs: list[UpscaleJob]) -> list[UpscaleJob]:
    seen: dict[Path, Path] = {}
    for job in jobs:
        if job.result in seen:
            raise OutputError(
                f"{seen[job.result]} and {job.source} would both become {job.result}.",
                "Use --recursive to keep the folders, or upscale them one by one.",
                path=job.result,
            )
        seen[job.result] = job.source
    return jobs
