"""VMAF and CAMBI by Netflix's libvmaf (https://github.com/Netflix/vmaf), which is built into the ffmpeg of the package
imageio-ffmpeg together with its models: nothing is downloaded.

Images are passed as one frame of 16-bit RGB and compared as Y'CbCr of BT.709 in 10 bits, so that rounding adds no bands.
libvmaf's ``ciede2000`` is not used: it is 45 - 20 log10(mean), another quantity than that of ``drift``.
"""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from ...errors import HardwareMissing, MediaError
from ...images import iter_strips, to_integers
from ...media import Floats
from .score_table import Score

_INSTALL_HINT = "Install it with: pip install upscale8k[scores]"
_UNSET_HINT = "Unset IMAGEIO_FFMPEG_EXE to use the one of imageio-ffmpeg."
_LOG_NAME = "scores.json"
_MODELS = {"vmaf": "version=vmaf_v0.6.1", "vmaf_neg": "version=vmaf_v0.6.1neg\\:name=vmaf_neg"}
_FEATURES = {"cambi": "name=cambi"}
_YUV_FILTER = "scale=out_color_matrix=bt709:out_range=tv,format=yuv444p10le"
_TIMEOUT_SECONDS = 600
"""An 8K image takes a few seconds."""


class _FfmpegLibrary:
    def __init__(self, program: str) -> None:
        self._program = program

    def measure(self, scores: Sequence[Score], image: Floats, reference: Floats | None) -> dict[str, float]:
        images = [image] if reference is None else [image, reference]
        try:
            with tempfile.TemporaryDirectory(prefix="upscale8k-") as folder:
                work_folder = Path(folder)
                for number, pixels in enumerate(images):
                    _write_raw_video(pixels, work_folder / f"{number}.rgb")
                self._run(_build_command(scores, f"{image.shape[1]}x{image.shape[0]}", len(images)), work_folder)
                log = (work_folder / _LOG_NAME).read_text(encoding="utf-8", errors="replace")
                return {score.key: _parse_log(log, score.key) for score in scores}
        except OSError as error:
            if isinstance(error, MediaError):
                raise
            raise MediaError(f"A temporary file cannot be written: {error.strerror or error}.") from error

    def _run(self, arguments: Sequence[str], work_folder: Path) -> None:
        command = [self._program, "-hide_banner", "-nostdin", "-loglevel", "error", *arguments]
        try:
            result = subprocess.run(command, cwd=work_folder, capture_output=True, timeout=_TIMEOUT_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise MediaError(f"ffmpeg took longer than {_TIMEOUT_SECONDS} s.") from error
        except OSError as error:
            raise HardwareMissing(
                f"{self._program} cannot be started: {error.strerror or error}.", _UNSET_HINT, feature="ffmpeg"
            ) from error
        stderr_text = result.stderr.decode(errors="replace").strip()
        if "libvmaf" in stderr_text and "No such filter" in stderr_text:
            raise HardwareMissing(
                f"It needs an ffmpeg with libvmaf; {Path(self._program).name} is built without.", _UNSET_HINT, feature="libvmaf"
            )
        if result.returncode or not (work_folder / _LOG_NAME).is_file():
            raise MediaError(f"ffmpeg failed: {stderr_text.splitlines()[-1] if stderr_text else 'no result'}.")


def open_library() -> _FfmpegLibrary:
    """Open ffmpeg. Raises ``HardwareMissing`` if imageio-ffmpeg or its program is missing."""
    try:
        import imageio_ffmpeg  # pyright: ignore[reportMissingImports]

        return _FfmpegLibrary(cast(Any, imageio_ffmpeg).get_ffmpeg_exe())
    except ImportError as error:
        raise HardwareMissing(
            "The package imageio-ffmpeg is not installed.", _INSTALL_HINT, feature="imageio-ffmpeg"
        ) from error
    except RuntimeError as error:
        raise HardwareMissing(
            "imageio-ffmpeg has no ffmpeg for this machine.", "Set IMAGEIO_FFMPEG_EXE.", feature="ffmpeg"
        ) from error


def _build_command(scores: Sequence[Score], size: str, image_count: int) -> list[str]:
    """Build the arguments of ffmpeg that compute ``scores``, and only these, of one or two files in one run.

    File names have no folder, because filters give colons and backslashes in a path a meaning of their own.
    """
    inputs = [word for number in range(image_count) for word in (*_build_raw_input_options(size), "-i", f"{number}.rgb")]
    models = "|".join(_MODELS[score.key] for score in scores if score.key in _MODELS)
    features = "|".join(_FEATURES[score.key] for score in scores if score.key in _FEATURES)
    filter_options = f"model='{models}'" + (f":feature='{features}'" if features else "")
    inputs_filter = f"[0:v]{_YUV_FILTER},split[a][b]" if image_count == 1 else f"[0:v]{_YUV_FILTER}[a];[1:v]{_YUV_FILTER}[b]"
    filter_graph = f"{inputs_filter};[a][b]libvmaf={filter_options}:log_fmt=json:log_path={_LOG_NAME}"
    return [*inputs, "-lavfi", filter_graph, "-f", "null", "-"]


def _parse_log(text: str, key: str) -> float:
    """Return the value of the only frame in libvmaf's log."""
    try:
        return float(json.loads(text)["frames"][0]["metrics"][key])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise MediaError(f"libvmaf's log has no {key}.", "Use the ffmpeg that comes with imageio-ffmpeg.") from error


def _write_raw_video(pixels: Floats, path: Path) -> None:
    with path.open("wb") as file:
        for rows in iter_strips(pixels.shape):
            to_integers(pixels[rows], 16).tofile(file)


def _build_raw_input_options(size: str) -> list[str]:
    return ["-f", "rawvideo", "-pixel_format", "rgb48le", "-video_size", size, "-framerate", "1"]
