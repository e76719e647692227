"""What a VIDEO can be asked, put to ComfyUI's classes in their process and to ours in this one. Knows neither."""

import io
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

WINDOWS = [(0, 0), (0.3, 0), (0.25, 0.4), (-0.5, 0), (-0.5, 0.2), (0.01, 5.0), (9.0, 0)]
TAGS = {"workflow": {"a": "é"}, "prompt": {"1": 2}, "text": "words"}
SAVES: list[dict[str, Any]] = [
    {},
    {"format": "mp4"},
    {"codec": "h264"},
    {"crf": 30.0},
    {"bit_depth": 8},
    {"bit_depth": 10},
    {"metadata": TAGS},
]
Notes = dict[str, Any]
Arrays = dict[str, Any]
Classes = tuple[Any, Any, Any]
"""VideoFromFile, VideoFromComponents, VideoComponents."""


def ask(classes: Classes, folder: Path, results: Path, arrays: Arrays, images: torch.Tensor) -> Notes:
    """Answers by question, ``error`` where there is none; files go to ``results``, frames and sound to ``arrays``."""
    notes: Notes = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        for key, question in _of_a_file(classes[0], path, results, arrays):
            _answer(notes, f"{path.name} {key}", question)
    sound = {"waveform": torch.sin(torch.arange(48000.0) / 20).expand(1, 2, -1), "sample_rate": 32000}
    for bits in (8, 10):
        for audio in (None, sound):
            for rate in (24, 30000 / 1001):
                made = classes[2](images=images, audio=audio, frame_rate=Fraction(rate))
                name = f"made {bits} {audio is not None} {rate:.2f}"
                for key, question in _of_a_made_one(classes[1](made, bit_depth=bits), name, results, arrays):
                    _answer(notes, f"{name} {key}", question)
    return notes


def _answer(notes: Notes, key: str, question: Callable[[], Any]) -> None:
    try:
        notes[key] = question()
    except Exception as error:  # what it is called is compared nowhere, that there is one is
        notes[key] = "error"
        notes[f"why {key}"] = f"{type(error).__name__}: {error}"


def _of_a_file(open_video: Any, path: Path, results: Path, arrays: Arrays) -> Iterator[tuple[str, Callable[[], Any]]]:
    for number, (start, duration) in enumerate(WINDOWS):
        video = open_video(str(path), start_time=start, duration=duration)
        name = f"{path.name} part{number}"
        yield f"part{number} facts", lambda video=video: _facts(video)
        yield f"part{number} components", lambda video=video, name=name: _components(arrays, name, video)
        yield f"part{number}", lambda video=video, name=name: video.save_to(str(results / f"{name}.mp4"))
    for number, how in enumerate(SAVES):
        target = str(results / f"{path.name} save{number}.mp4")
        yield f"save{number}", lambda how=how, target=target: open_video(str(path)).save_to(target, **how)
    yield "strict", lambda: open_video(str(path)).as_trimmed(0.1, 99.0, strict_duration=True)
    yield "trimmed", lambda: _trimmed_twice(open_video(str(path))).get_active_trim_window()
    yield "memory", lambda: _in_memory(open_video, path, results / f"{path.name} memory.mp4")


def _of_a_made_one(video: Any, name: str, results: Path, arrays: Arrays) -> Iterator[tuple[str, Callable[[], Any]]]:
    yield "file", lambda: video.save_to(str(results / f"{name} file.mp4"), metadata={"prompt": {"1": 2}, "text": "a"})
    how = {"crf": 33.0, "format": "mp4", "codec": "h264"}
    yield "crf", lambda: video.save_to(str(results / f"{name} crf.mp4"), **how)
    yield "facts", lambda: _facts(video)
    yield "trim", lambda: _components(arrays, name, video.as_trimmed(0.2, 0.3))
    yield "too long", lambda: video.as_trimmed(0.2, 99.0, strict_duration=False)


def _trimmed_twice(video: Any) -> Any:
    return video.as_trimmed(0.2, 0.0, strict_duration=False).as_trimmed(0.1, 0.3, strict_duration=True)


def _facts(video: Any) -> list[Any]:
    window = video.get_active_trim_window()
    facts = [*video.get_dimensions(), video.get_bit_depth(), video.get_duration(), str(video.get_frame_rate())]
    return [*facts, video.get_container_format(), *window]


def _components(arrays: Arrays, key: str, video: Any) -> list[Any]:
    parts = video.get_components()
    arrays[f"{key} images"] = parts.images.numpy()
    if parts.alpha is not None:
        arrays[f"{key} alpha"] = parts.alpha.numpy()
    if parts.audio is not None:
        arrays[f"{key} audio"] = parts.audio["waveform"].numpy()
    return [str(parts.frame_rate), parts.audio and parts.audio["sample_rate"], parts.metadata]


def _in_memory(open_video: Any, path: Path, target: Path) -> None:
    buffer = io.BytesIO()
    open_video(io.BytesIO(path.read_bytes())).save_to(buffer, crf=25.0)
    target.write_bytes(buffer.getvalue())
