"""Dates and dynamic prompts against what the frontend's own rules say."""

from datetime import datetime
from random import Random

import pytest
from upscale8k.runtime.graph.convert.text_tokens import expand_choices, format_date, format_like_javascript


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("yyyy-MM-dd", "2026-03-05"),
        ("yy.M.d", "26.3.5"),
        ("hh:mm:ss", "14:07:09"),
        ("h m s", "14 7 9"),
        ("yyy", "yyy"),
    ],
)
def test_dates_are_written_as_on_the_canvas(pattern: str, text: str) -> None:
    assert format_date(pattern, datetime(2026, 3, 5, 14, 7, 9)) == text


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (1.0, "1"), (0.5, "0.5"), (None, ""), (7, "7"), ("x", "x")])
def test_values_are_written_as_javascript_writes_them(value: object, text: str) -> None:
    assert format_like_javascript(value) == text


@pytest.mark.parametrize(
    ("text", "chosen"),
    [("{a}", "a"), ("{a", "a"), (r"\{a\|b\}", "{a|b}"), ("a}b", "a}b"), ("{}", ""), ("x // y", "x "), ("a/*\n*/b", "ab")],
)
def test_braces_without_a_choice_and_comments(text: str, chosen: str) -> None:
    assert expand_choices(text, Random(0)) == chosen
