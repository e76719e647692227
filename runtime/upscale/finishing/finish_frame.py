"""Finish an upscaled frame: color fix, then the blend with the plain enlargement of its source, then the source's grain."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import WorkflowError
from ...images import fill_transparent_pixels
from ...media import Floats
from ..color_fix import ColorFix, ColorFixResult, EditableImage, fix_and_measure_colors, fix_colors, make_editable
from .grain import make_grain


@dataclass(frozen=True)
class Finish:
    """What the user requested; the defaults change nothing."""

    color_fix: ColorFix = "off"
    strength: float = 1.0
    """Share of the model in the result, 0..1; the rest is the source, enlarged by a cubic or reduced by area."""
    grain: float = 0.0
    """Share of the source's own grain that is added, 0..1."""

    def __post_init__(self) -> None:
        """Raise ``WorkflowError`` for a share outside 0..1."""
        for name in ("strength", "grain"):
            if not 0 <= getattr(self, name) <= 1:
                raise WorkflowError(f"{name} is {getattr(self, name):g}.", "Use a number from 0 to 1.", input_name=name)

    @property
    def is_needed(self) -> bool:
        return self != Finish()

    def describe(self) -> str:
        """Return the text for identities: empty for the defaults. Stored by interrupted videos, so it must not change."""
        fix = "" if self.color_fix == "off" else f" colour fix {self.color_fix}"
        strength = "" if self.strength == 1 else f" strength {float(self.strength)!r}"
        return fix + strength + ("" if self.grain == 0 else f" grain {float(self.grain)!r}")


def finish_frame(
    source: Floats, out: NDArray[Any] | EditableImage, finish: Finish, *, measure: bool = False
) -> ColorFixResult | None:
    """Finish ``out`` (h, w, C), float32 in 0..1 or uint16, in place. ``source`` is (H, W, C) float32 in 0..1.

    C is one of 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; alpha is unchanged. The result depends on the pixels alone, so frames
    of equal pixels stay equal. Return the measured color fix if it ``measure``s one, which takes a third longer.
    """
    fix = fix_and_measure_colors(source, out, finish.color_fix) if measure else None
    if not measure:
        fix_colors(source, out, finish.color_fix)
    if finish.strength < 1 or finish.grain > 0:
        colors = fill_transparent_pixels(source) if source.shape[2] in (2, 4) else source
        added = colors * (1 - np.float32(finish.strength))
        if finish.grain > 0:
            added += make_grain(colors) * np.float32(finish.grain)
        make_editable(out).blend(added, finish.strength)
    return fix
