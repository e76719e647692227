"""Each image file comes out right, or is refused in a sentence, or what is missing is said: nothing else."""

from pathlib import Path

import numpy as np
import pytest
from upscale8k.runtime.errors import MediaError
from upscale8k.runtime.images.read import read_image_file

from .image_cases import ImageCase, iterate_cases

CASES = list(iterate_cases())
SHORT = CASES[::11]


def judge(case: ImageCase, folder: Path) -> str:
    """Return what the case came to: ``right``, ``said``, ``refused``, ``not made``, or what is wrong."""
    path = folder / f"a.{case.name.split()[0].replace('tiff', 'tif')}"
    try:
        expected = case.make(path)
    except (OSError, ValueError, KeyError, RuntimeError):  # the maker cannot write this combination
        return "not made"
    try:
        image = read_image_file(path)
    except MediaError as error:
        return "refused" if error.hint else f"WRONG: refused without a next step: {error}"
    except Exception as error:
        return f"WRONG: {type(error).__name__}: {error}"
    if expected is None or image.pixels.shape[2] < expected.shape[2]:
        return "said" if image.losses else f"WRONG: {image.pixels.shape[2]} channels, and nothing is said"
    difference = _compare(image.pixels, expected)
    return "right" if difference <= case.tolerance else f"WRONG: differs by {difference:g}"


def _compare(pixels: np.ndarray, expected: np.ndarray) -> float:
    if pixels.shape[2] > expected.shape[2]:  # a grey image read as RGB, or an alpha of 1
        expected = np.concatenate([np.repeat(expected[:, :, :1], 3, axis=2) if expected.shape[2] < 3 else expected], axis=2)
        pixels = pixels[:, :, : expected.shape[2]]
    if pixels.shape != expected.shape:
        return float("inf")
    visible = expected[:, :, -1:] > 0.05 if expected.shape[2] in (2, 4) else np.ones_like(expected[:, :, :1], bool)
    return float(np.abs((pixels - expected) * visible).max())


def run(cases: list[ImageCase], folder: Path) -> None:
    results = {case.name: judge(case, folder) for case in cases}
    wrong = {name: result for name, result in results.items() if result.startswith("WRONG")}
    counts = {kind: list(results.values()).count(kind) for kind in ("right", "said", "refused", "not made")}
    print(f"{len(results)} image files tried, {len(wrong)} wrong: {counts}")
    assert not wrong, "\n".join(f"{name}: {result}" for name, result in wrong.items())
    assert counts["right"] > len(results) / 3


def test_image_files_in_short(tmp_path: Path) -> None:
    run(SHORT, tmp_path)


@pytest.mark.slow
@pytest.mark.full
def test_image_files_in_full(tmp_path: Path) -> None:
    assert len(CASES) >= 400
    run(CASES, tmp_path)
