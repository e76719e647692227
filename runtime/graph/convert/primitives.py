"""Compute what a PrimitiveNode writes: its value, fitted into the ranges of the number widgets that it feeds.

Two rules of ComfyUI's canvas change the saved number. A primitive clips its number to the range of its first target,
narrowed by the ranges of the others where they overlap. A number widget rounds what is written into it to its own step, and a
FLOAT widget also clips it to its own range.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..specs import InputSpec
from .widgets import get_widget_type

_NUMBER_TYPES = ("INT", "FLOAT")
_IGNORED_OPTIONS = frozenset(
    {"default", "forceInput", "defaultInput", "control_after_generate", "multiline", "tooltip", "dynamicPrompts"}
)
_DEFAULT_MIN, _DEFAULT_MAX = 0, 2048
"""The range of a number widget that declares none"""


def fit_value(value: Any, specs: Sequence[InputSpec]) -> Any:
    """Return the value of a primitive that feeds the widgets with these specs, in the order of its links."""
    if not _is_finite(value) or not specs or get_widget_type(specs[0]) not in _NUMBER_TYPES:
        return value
    common = specs[0]
    for spec in specs:
        merged = _merge_specs(common, spec)
        if merged is not None:
            common = merged
            minimum, maximum = _get_range(common)
            value = coerce_to_widget(common, min(max(value, minimum), maximum))
    return value


def coerce_to_widget(spec: InputSpec | None, value: Any) -> Any:
    """Return what a widget holds after ``value`` is written into it."""
    kind = get_widget_type(spec) if spec is not None else ""
    if spec is None or kind not in _NUMBER_TYPES:
        return value
    if value is None:
        value = 0
    if not _is_finite(value):
        return value
    return _round_int(spec, value) if kind == "INT" else _round_float(spec, value)


def _round_int(spec: InputSpec, value: float) -> int:
    step = spec.options.get("step") or 1
    offset = 0 if step == 1 else math.fmod(_get_range(spec)[0], step)
    return _simplify_number(_round_half_up((value - offset) / step) * step + offset)


def _round_float(spec: InputSpec, value: float) -> float:
    step = spec.options.get("step")
    step = 0.5 if step is None else step
    precision = max(0, -math.floor(math.log10(step))) if step > 0 else 0
    unit = spec.options.get("round") or (10.0**-precision if precision else 0)
    if not unit:
        return value
    minimum, maximum = _get_range(spec)
    rounded = float(f"{_round_half_up(value / unit) * unit:.{precision}f}")
    return _simplify_number(min(max(rounded, minimum), maximum))


def _merge_specs(first: InputSpec, second: InputSpec) -> InputSpec | None:
    """Return the spec that fits both; None when their ranges do not overlap or other options differ."""
    if get_widget_type(first) != get_widget_type(second):
        return None
    ranges = [(spec.options.get("min", -math.inf), spec.options.get("max", math.inf)) for spec in (first, second)]
    minimum, maximum = max(low for low, _ in ranges), min(high for _, high in ranges)
    keys = {*first.options, *second.options} - _IGNORED_OPTIONS - {"min", "max", "step"}
    if minimum > maximum or not all(_is_same_option(first.options, second.options, key) for key in keys):
        return None
    step = _compute_common_step(first.options.get("step") or 1, second.options.get("step") or 1)
    return replace(first, options={**first.options, **second.options, "min": minimum, "max": maximum, "step": step})


def _is_same_option(first: Mapping[str, Any], second: Mapping[str, Any], key: str) -> bool:
    """Compare options like JavaScript's ``===``: lists and objects are never equal."""
    one, other = first.get(key), second.get(key)
    return one is other or (one == other and type(one) is type(other) and not isinstance(one, list | dict))


def _compute_common_step(first: float, second: float) -> float:
    """Return the least common multiple, for fractions too."""
    one, other = abs(first), abs(second)
    while other > 1e-10:
        one, other = other, math.fmod(one, other)
    return abs(first * second) / one


def _get_range(spec: InputSpec) -> tuple[float, float]:
    minimum, maximum = spec.options.get("min"), spec.options.get("max")
    return (_DEFAULT_MIN if minimum is None else minimum), (_DEFAULT_MAX if maximum is None else maximum)


def _round_half_up(value: float) -> float:
    return math.floor(value + 0.5) if abs(value) < 2**52 else value


def _simplify_number(value: float) -> Any:
    """Return 2 for 2.0, as JavaScript writes it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53
