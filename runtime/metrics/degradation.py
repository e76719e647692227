"""Damage that an original gets before models restore it. Light: a check of a workflow parses it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ..errors import WorkflowError
from ..media import Size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..media import Floats

_STEPS = 255
"""Of 8 bits."""


@dataclass(frozen=True)
class Degradation:
    """Damage that an original gets beside its reduction; 0 is none."""

    blur: float = 0.0
    """Sigma of a Gaussian before the reduction, in pixels of the reduced image."""
    noise: float = 0.0
    """Standard deviation of Gaussian noise per channel after the reduction, in 8-bit steps."""
    jpeg: int = 0
    """Quality of a JPEG with 4:2:0 chroma after that."""

    SEED = 20_251

    @classmethod
    def parse(cls, text: str) -> Degradation:
        """Parse ``"blur=1, noise=4, jpeg=80"``; each is optional.

        Raises:
            WorkflowError: anything else, blur or noise outside of 0..50, or a quality outside of 1..100.
        """
        values: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in text.lower().split(","))):
            name, _, number = part.partition("=")
            limits = {"blur": (0, 50), "noise": (0, 50), "jpeg": (1, 100)}.get(name.strip())
            try:
                value = float(number)
            except ValueError:
                value = float("nan")
            if limits is None or not limits[0] <= value <= limits[1]:
                raise WorkflowError(f"The damage {part!r} is unknown.", "Use blur=1, noise=4 or jpeg=80, separated by commas.")
            values[name.strip()] = value
        return cls(values.get("blur", 0.0), values.get("noise", 0.0), int(values.get("jpeg", 0)))

    def describe(self) -> str:
        """Return what was done, with the seed where chance is part of it."""
        parts = [f"a Gaussian of {self.blur:g} pixels before it"] if self.blur else []
        parts += [f"noise of {self.noise:g} of 255 steps (seed {self.SEED})"] if self.noise else []
        parts += [f"JPEG of quality {self.jpeg}"] if self.jpeg else []
        return f"; {', '.join(parts)}" if parts else ""

    def reduce(self, original: Floats, factor: int, *, seed: int = SEED) -> Floats:
        """Reduce (H, W, 3), whose sides are multiples of ``factor``, by area in linear light, and damage it."""
        import cv2
        import numpy as np

        from ..images import make_area_taps, reduce_in_linear_light

        size = Size(original.shape[1] // factor, original.shape[0] // factor)
        sigma = self.blur * factor
        blurred = cast("Floats", cv2.GaussianBlur(original, (0, 0), sigma)) if sigma else original
        taps = [make_area_taps(size_of * factor, size_of) for size_of in (size.width, size.height)]
        reduced = np.asarray(reduce_in_linear_light(blurred, *taps), np.float32)
        if self.noise:
            reduced += np.random.default_rng(seed).normal(0, self.noise / _STEPS, reduced.shape).astype(np.float32)
        reduced = np.clip(reduced, 0, 1)
        return _compress(reduced, self.jpeg) if self.jpeg else reduced


def _compress(pixels: Floats, quality: int) -> Floats:
    import cv2
    import numpy as np

    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    _, data = cv2.imencode(".jpg", np.rint(pixels[:, :, ::-1] * _STEPS).astype(np.uint8), options)
    decoded = cast("NDArray[np.uint8]", cv2.imdecode(data, cv2.IMREAD_COLOR))
    return (decoded[:, :, ::-1] / np.float32(_STEPS)).astype(np.float32)
