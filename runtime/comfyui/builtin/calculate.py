"""Evaluate the expressions of ComfyUI's node Math Expression: numbers, comparisons and a few functions, no other Python."""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from ...errors import NodeError

_MAX_EXPONENT, _MAX_BITS = 4000, 1 << 20
_HINT = "Use numbers, the inputs a to z, values, operators (also and, or, not, if else), and these functions: "


def _power(base: Any, exponent: Any) -> Any:
    if abs(exponent) > _MAX_EXPONENT:
        raise ValueError(f"the exponent {exponent} exceeds {_MAX_EXPONENT}")
    if isinstance(base, int) and base.bit_length() * abs(exponent) > _MAX_BITS:
        raise ValueError("a power is too large")
    return base**exponent


def _sum(*values: Any) -> Any:
    return sum(values[0]) if len(values) == 1 and hasattr(values[0], "__iter__") else sum(values)


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "sum": _sum,
    "pow": _power,
    **{function.__name__: function for function in (min, max, abs, round, int, float)},
    **{name: getattr(math, name) for name in ("sqrt", "ceil", "floor", "log", "log2", "log10", "sin", "cos", "tan")},
}
_OPERATOR_NAMES = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "truediv",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.USub: "neg",
    ast.UAdd: "pos",
    ast.Not: "not_",
    ast.Invert: "invert",
    ast.BitAnd: "and_",
    ast.BitOr: "or_",
    ast.BitXor: "xor",
    ast.RShift: "rshift",
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
}
_OPERATORS: Mapping[type, Callable[..., Any]] = {
    ast.Pow: _power,
    **{node: getattr(operator, name) for node, name in _OPERATOR_NAMES.items()},
}


def calculate(expression: str, values: Mapping[str, Any]) -> tuple[float, int, bool]:
    """Return the result of an expression as number, integer and truth value.

    ``values`` are the inputs by name; ``values`` in the expression is their list. Raises ``NodeError``.
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        result = _evaluate(tree.body, {**values, "values": list(values.values())})
        if not isinstance(result, int | float) or not math.isfinite(result):
            raise ValueError(f"the result is {result!r}, not a number")
        return float(result), int(result), bool(result)
    except (ArithmeticError, LookupError, TypeError, ValueError, SyntaxError, RecursionError, MemoryError) as error:
        what = f"The expression {expression!r} cannot be calculated: {error}."
        raise NodeError(what, f"{_HINT}{', '.join(_FUNCTIONS)}.") from error


def _evaluate(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() as value):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_evaluate(operand, names))
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_evaluate(left, names), _evaluate(right, names))
        case ast.BoolOp(op=ast.And(), values=parts):
            return next((value for part in parts if not (value := _evaluate(part, names))), _evaluate(parts[-1], names))
        case ast.BoolOp(values=parts):
            return next((value for part in parts if (value := _evaluate(part, names))), _evaluate(parts[-1], names))
        case ast.IfExp(test=test, body=body, orelse=other):
            return _evaluate(body if _evaluate(test, names) else other, names)
        case ast.Compare(left=left, ops=signs, comparators=others) if all(type(sign) in _OPERATORS for sign in signs):
            items = [_evaluate(item, names) for item in (left, *others)]
            return all(_OPERATORS[type(sign)](*pair) for sign, pair in zip(signs, pairwise(items), strict=True))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(_evaluate(argument, names) for argument in arguments))
        case ast.Subscript(value=sequence, slice=index):
            return _evaluate(sequence, names)[_evaluate(index, names)]
        case _:
            raise ValueError(f"{ast.unparse(node)} is not allowed or unknown")
