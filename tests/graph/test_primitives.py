"""A primitive's number in the ranges of its targets; every expected value was read off ComfyUI's frontend 1.47."""

from typing import Any

import pytest
from upscale8k.runtime.graph.convert.primitives import coerce_to_widget, fit_value
from upscale8k.runtime.graph.specs import InputSpec


def number(kind: str, least: float, most: float, step: float, **more: Any) -> InputSpec:
    return InputSpec("value", kind, {"min": least, "max": most, "step": step, **more})


START = number("FLOAT", 0.0, 1.0, 0.001)
ALPHA = number("FLOAT", 0.0, 1.0, 0.01)
TAU = number("FLOAT", 1.0, 10.0, 0.01)
LEVEL = number("INT", 2, 8, 1)
GAUSSIANS = number("INT", 1024, 262144, 32)
FPS = number("FLOAT", 0.01, 1000.0, 0.01)
SIDE = number("INT", 1, 16384, 1)


@pytest.mark.parametrize(
    ("value", "specs", "shown"),
    [
        (0, [START, ALPHA, TAU], 1),  # CreateHookKeyframe and NAGuidance have only 1 in common
        (-5, [SIDE], 1),  # SolidMask.height
        (7777777, [SIDE], 16384),  # ImageCrop.x
        (3, [LEVEL, GAUSSIANS], 3),  # no range in common: the first one counts
        ("text", [SIDE], "text"),
        (5, [], 5),
    ],
)
def test_a_primitive_stays_in_what_its_targets_have_in_common(value: Any, specs: list[InputSpec], shown: Any) -> None:
    assert fit_value(value, specs) == shown


@pytest.mark.parametrize(
    ("spec", "value", "held"),
    [
        (FPS, 0, 0.01),  # SaveAnimatedPNG
        (GAUSSIANS, 3, 0),  # rounded to the step, not kept in the range
        (SIDE, 1.5, 2),
        (SIDE, None, 0),
        (ALPHA, 0.123456, 0.12),
        (InputSpec("text", "STRING", {}), 3, 3),
        (None, 3, 3),
    ],
)
def test_a_number_widget_rounds_what_is_written_into_it(spec: InputSpec | None, value: Any, held: Any) -> None:
    assert coerce_to_widget(spec, value) == held
