"""VMAF and CAMBI by Netflix's libvmaf (https://github.com/Netflix/vmaf), which the ffmpeg of the package imageio-ffmpeg has
built in together with its models: nothing is downloaded.

Pictures go there as one frame of 16-bit RGB and are seen as Y'CbCr of BT.709 in 10 bits, so that rounding makes no bands of its
own. libvmaf's own ``ciede2000`` is not asked for: it is 45 - 20 log10(mean), another quantity than ``drift``'s.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from ..errors import HardwareMissing, MediaError
from ..images.quantize import strips, to_integers
from .pictures import Floats
from .scores import Score

_INSTALL = "Install it with: pip install upscale8k[scores]"
_UNSET = "Unset IMAGEIO_FFMPEG_EXE, so that the one of imageio-ffmpeg is used."
_LOG = "scores.json"
_MODELS = {"vmaf": "version=vmaf_v0.6.1", "vmaf_neg": "version=vmaf_v0.6.1neg\\:name=vmaf_neg"}
_FEATURES = {"cambi": "name=cambi"}
_AS_VIDEO = "scale=out_color_matrix=bt709:out_range=tv,format=yuv444p10le"
_LONGEST = 600
"""Seconds. A picture of 8K takes a few."""


class _Ffmpeg:
    def __init__(self, program: str) -> None:
        self._program = program

    def measure(self, scores: Sequence[Score], picture: Floats, reference: Floats | None) -> dict[str, float]:
        pictures = [picture] if reference is None else [picture, reference]
        try:
            with tempfile.TemporaryDirectory(prefix="upscale8k-") as folder:
                place = Path(folder)
                for number, pixels in enumerate(pictures):
                    _write(pixels, place / f"{number}.rgb")
                self._run(_command(scores, f"{picture.shape[1]}x{picture.shape[0]}", len(pictures)), place)
                log = (place / _LOG).read_text(encoding="utf-8", errors="replace")
                return {score.key: _logged(log, score.key) for score in scores}
        except OSError as error:
            if isinstance(error, MediaError):
                raise
            raise MediaError(f"A temporary file could not be written: {error.strerror or error}.") from error

    def _run(self, arguments: Sequence[str], place: Path) -> None:
        command = [self._program, "-hide_banner", "-nostdin", "-loglevel", "error", *arguments]
        try:
            done = subprocess.run(command, cwd=place, capture_output=True, timeout=_LONGEST, check=False)
        except subprocess.TimeoutExpired as error:
            raise MediaError(f"ffmpeg took longer than {_LONGEST} s.") from error
        except OSError as error:
            raise HardwareMissing(
                f"{self._program} cannot be started: {error.strerror or error}.", _UNSET, feature="ffmpeg"
            ) from error
        said = done.stderr.decode(errors="replace").strip()
        if "libvmaf" in said and "No such filter" in said:
            raise HardwareMissing(
                f"It needs an ffmpeg with libvmaf, and {Path(self._program).name} has none.",
                _UNSET,
                feature="libvmaf",
            )
        if done.returncode or not (place / _LOG).is_file():
            raise MediaError(f"ffmpeg gave up: {said.splitlines()[-1] if said else 'no result'}.")


def open_library() -> _Ffmpeg:
    """Raises ``HardwareMissing`` where imageio-ffmpeg or its program is not there."""
    try:
        import imageio_ffmpeg  # pyright: ignore[reportMissingImports]

        return _Ffmpeg(cast(Any, imageio_ffmpeg).get_ffmpeg_exe())
    except ImportError as error:
        raise HardwareMissing("The package imageio-ffmpeg is not installed.", _INSTALL, feature="imageio-ffmpeg") from error
    except RuntimeError as error:
        raise HardwareMissing(
            "imageio-ffmpeg has no ffmpeg for this machine.", "Set IMAGEIO_FFMPEG_EXE.", feature="ffmpeg"
        ) from error


def _command(scores: Sequence[Score], size: str, pictures: int) -> list[str]:
    """What ffmpeg computes of one or two files: all ``scores`` in one run, and no model that nobody asked for.

    The files have names without a folder: a filter has its own ideas about colons and backslashes in a path.
    """
    inputs = [word for number in range(pictures) for word in (*_raw(size), "-i", f"{number}.rgb")]
    models = "|".join(_MODELS[score.key] for score in scores if score.key in _MODELS)
    features = "|".join(_FEATURES[score.key] for score in scores if score.key in _FEATURES)
    wishes = f"model='{models}'" + (f":feature='{features}'" if features else "")
    ends = f"[0:v]{_AS_VIDEO},split[a][b]" if pictures == 1 else f"[0:v]{_AS_VIDEO}[a];[1:v]{_AS_VIDEO}[b]"
    graph = f"{ends};[a][b]libvmaf={wishes}:log_fmt=json:log_path={_LOG}"
    return [*inputs, "-lavfi", graph, "-f", "null", "-"]


def _logged(text: str, key: str) -> float:
    """The number of the only frame in libvmaf's log."""
    try:
        return float(json.loads(text)["frames"][0]["metrics"][key])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise MediaError(f"libvmaf's log has no {key} in it.", "Use the ffmpeg that comes with imageio-ffmpeg.") from error


def _write(pixels: Floats, path: Path) -> None:
    with path.open("wb") as file:
        for rows in strips(pixels.shape):
            to_integers(pixels[rows], 16).tofile(file)


def _raw(size: str) -> list[str]:
    return ["-f", "rawvideo", "-pixel_format", "rgb48le", "-video_size", size, "-framerate", "1"]
