"""Each video file comes out right in colors, times and number of frames, or is refused in a sentence: nothing else."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from upscale8k.runtime.errors import MediaError
from upscale8k.runtime.video.read.video_reader import open_video

from .video_cases import COLORS, LUMA, VideoCase, iterate_cases

CASES = list(iterate_cases())
SHORT = CASES[::9]


def judge(case: VideoCase, folder: Path) -> str:
    """Return what the case came to: ``right``, ``refused``, ``not made``, or what is wrong."""
    path = folder / f"a.{case.suffix}"
    try:
        case.make(path)
    except (av.error.FFmpegError, ValueError):  # FFmpeg cannot write this combination
        return "not made"
    try:
        frames = [
            (frame.seconds, frame.pixels[20:28, 28:36].astype(np.float64) / np.iinfo(frame.pixels.dtype).max)
            for frame in open_video(path).open()
        ]
    except MediaError as error:
        return "refused" if error.hint else f"WRONG: refused without a next step: {error}"
    except Exception as error:
        return f"WRONG: {type(error).__name__}: {error}"
    if len(frames) != len(COLORS):
        return f"WRONG: {len(frames)} frames"
    return _compare_times(case, [seconds - frames[0][0] for seconds, _ in frames]) or _compare_colors(
        case, [each for _, each in frames]
    )


def _compare_times(case: VideoCase, times: list[Fraction]) -> str:
    expected = [time / (3 * case.rate) for time in case.times]
    worst = max(abs(float(a - b)) for a, b in zip(times, expected, strict=True))
    return "" if worst <= (1.01e-3 if case.suffix in ("mkv", "webm") else 2e-5) else f"WRONG: times are off by {worst:.4f} s"


def _compare_colors(case: VideoCase, patches: list[np.ndarray]) -> str:
    red, blue = LUMA[case.matrix]
    expected = np.array(COLORS) / 255
    if case.pixel_format.startswith("gray"):
        expected = np.repeat((expected @ np.array([red, 1 - red - blue, blue]))[:, None], 3, axis=1)
    worst = max(float(np.abs(patch - color).max()) for patch, color in zip(patches, expected, strict=True))
    lossless = case.codec in ("ffv1", "png", "huffyuv", "utvideo", "rawvideo")
    return "right" if worst <= (3.1 if lossless else 5.0) / 255 else f"WRONG: colors are off by {255 * worst:.1f} of 255"


def run(cases: list[VideoCase], folder: Path) -> None:
    results = {case.name: judge(case, folder) for case in cases}
    wrong = {name: result for name, result in results.items() if result.startswith("WRONG")}
    counts = {kind: list(results.values()).count(kind) for kind in ("right", "refused", "not made")}
    print(f"{len(results)} video files tried, {len(wrong)} wrong: {counts}")
    assert not wrong, "\n".join(f"{name}: {result}" for name, result in wrong.items())
    assert counts["right"] > len(results) / 3


def test_video_files_in_short(tmp_path: Path) -> None:
    run(SHORT, tmp_path)


@pytest.mark.slow
@pytest.mark.full
def test_video_files_in_full(tmp_path: Path) -> None:
    assert len(CASES) >= 300
    run(CASES, tmp_path)
