"""A small comparison whose numbers are known, and names that want to be more than names."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from skimage import data
from upscale8k.runtime.errors import OutOfMemory
from upscale8k.runtime.frames.geometry import Size
from upscale8k.runtime.report.baselines import enlarge
from upscale8k.runtime.report.compare import compare, crops_of
from upscale8k.runtime.report.comparison import Comparison, Contender, Cost, Rendered

HOSTILE = "<img src=x onerror=alert(1)>|[a](javascript:b) \"'`*_</script>"


class Bar:
    """Counts, and keeps what was said."""

    def __init__(self) -> None:
        self.done = 0
        self.said: list[str] = []

    def advance(self, steps: int = 1) -> None:
        self.done += steps

    def say(self, text: str) -> None:
        self.said.append(text)


def tinted(pixels: np.ndarray) -> np.ndarray:
    """Twice as large by Lanczos, and a little redder."""
    size = Size(pixels.shape[1] * 2, pixels.shape[0] * 2)
    return np.clip(enlarge(pixels, size, "lanczos") + np.array([0.05, 0, 0], np.float32), 0, 1)


def upscale(contender: Contender, crops: Sequence[np.ndarray]) -> Iterator[Rendered]:
    """``red`` tints, ``plain`` is Lanczos and slow, ``full`` runs out of memory on its second crop."""
    for number, pixels in enumerate(crops):
        if contender.id == "full" and number:
            raise OutOfMemory("It does not fit.", "Use a smaller tile.", device="cpu", tile=32)
        size = Size(pixels.shape[1] * 2, pixels.shape[0] * 2)
        picture = tinted(pixels) if contender.id == "red" else enlarge(pixels, size, "lanczos")
        seconds = {"red": 0.5, "plain": 5.0}.get(contender.id, 1.0)
        yield Rendered(picture, Cost(seconds, size.pixels / 1e6, 1_000_000, 0))


@pytest.fixture(scope="session")
def photograph() -> np.ndarray:
    """(200, 300, 3) float32 of the coffee cup that scikit-image carries."""
    return np.ascontiguousarray(data.coffee()[50:250, 100:400], np.float32) / 255


@pytest.fixture(scope="session")
def make(photograph: np.ndarray) -> Callable[..., Comparison]:
    def comparison(text: str = "centre:48x40", names: Sequence[str] = ("red", "plain"), source: str = "cup.png") -> Comparison:
        models = [Contender(name, name.title()) for name in names]
        models.append(Contender("gone", "Gone", problem="Its weights are not here. Get them with: models pull gone"))
        crops = crops_of([photograph], text)
        sizes = [Size(pixels.shape[1] * 2, pixels.shape[0] * 2) for _, pixels in crops]
        contenders, cases = compare(crops, sizes, models, upscale, Bar())
        return Comparison(source, Size(300, 200), "2x", contenders, cases, "a machine", "2026-11-23")

    return comparison
