"""What a PrimitiveNode writes: its value, fitted into the ranges of the number widgets that it feeds.

Two rules of ComfyUI's canvas make numbers other than the saved one. A primitive keeps its number in the range of its first
target, narrowed by the others as far as they have one in common. And a number widget rounds what is written into it to its
own step, a FLOAT one also keeps it in its own range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .specs import InputSpec
from .widgets import widget_type

_NUMBERS = ("INT", "FLOAT")
_MAY_DIFFER = frozenset(
    {"default", "forceInput", "defaultInput", "control_after_generate", "multiline", "tooltip", "dynamicPrompts"}
)
_LEAST, _MOST = 0, 2048
"""The range of a number widget that declares none."""


def fitted(value: Any, specs: Sequence[InputSpec]) -> Any:
    """The value of a primitive that feeds the widgets of these specs, the first of them first."""
    if not _is_finite(value) or not specs or widget_type(specs[0]) not in _NUMBERS:
        return value
    common = specs[0]
    for spec in specs:
        merged = _merged(common, spec)
        if merged is not None:
            common = merged
            least, most = _range(common)
            value = written(common, min(max(value, least), most))
    return value


def written(spec: InputSpec | None, value: Any) -> Any:
    """What a widget holds after ``value`` is written into it."""
    kind = widget_type(spec) if spec is not None else ""
    if spec is None or kind not in _NUMBERS:
        return value
    if value is None:
        value = 0
    if not _is_finite(value):
        return value
    return _whole(spec, value) if kind == "INT" else _rounded(spec, value)


def _whole(spec: InputSpec, value: float) -> int:
    step = spec.options.get("step") or 1
    offset = 0 if step == 1 else math.fmod(_range(spec)[0], step)
    return _plain(_half_up((value - offset) / step) * step + offset)


def _rounded(spec: InputSpec, value: float) -> float:
    step = spec.options.get("step")
    step = 0.5 if step is None else step
    precision = max(0, -math.floor(math.log10(step))) if step > 0 else 0
    unit = spec.options.get("round") or (10.0**-precision if precision else 0)
    if not unit:
        return value
    least, most = _range(spec)
    near = float(f"{_half_up(value / unit) * unit:.{precision}f}")
    return _plain(min(max(near, least), most))


def _merged(first: InputSpec, second: InputSpec) -> InputSpec | None:
    """The spec that fits both; None when they have no range in common or differ in more than their ranges."""
    if widget_type(first) != widget_type(second):
        return None
    ranges = [(spec.options.get("min", -math.inf), spec.options.get("max", math.inf)) for spec in (first, second)]
    least, most = max(low for low, _ in ranges), min(high for _, high in ranges)
    keys = {*first.options, *second.options} - _MAY_DIFFER - {"min", "max", "step"}
    if least > most or not all(_same(first.options, second.options, key) for key in keys):
        return None
    step = _common_step(first.options.get("step") or 1, second.options.get("step") or 1)
    return replace(first, options={**first.options, **second.options, "min": least, "max": most, "step": step})


def _same(first: Mapping[str, Any], second: Mapping[str, Any], key: str) -> bool:
    """JavaScript's ``===``: lists and objects are never the same."""
    one, other = first.get(key), second.get(key)
    return one is other or (one == other and type(one) is type(other) and not isinstance(one, list | dict))


def _common_step(first: float, second: float) -> float:
    """The least common multiple, for fractions too."""
    one, other = abs(first), abs(second)
    while other > 1e-10:
        one, other = other, math.fmod(one, other)
    return abs(first * second) / one


def _range(spec: InputSpec) -> tuple[float, float]:
    least, most = spec.options.get("min"), spec.options.get("max")
    return (_LEAST if least is None else least), (_MOST if most is None else most)


def _half_up(value: float) -> float:
    return math.floor(value + 0.5) if abs(value) < 2**52 else value


def _plain(value: float) -> Any:
    """JavaScript knows one kind of number and writes 2.0 as 2."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53
