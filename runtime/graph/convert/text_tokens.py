"""Replace ``%date:...%``, ``%Node.widget%`` and ``{red|blue}`` in text, as the canvas does for the prompt."""

import re
from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any

_TOKEN = re.compile(r"%([^%]+)%")
_DATE_PART = re.compile(r"dd?|MM?|hh?|mm?|ss?|yyy?y?")
_FORBIDDEN_IN_FILE_NAME = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')
_COMMENT = re.compile(r"/\*[\s\S]*?\*/|//.*")
_ESCAPED = re.compile(r"\\([{}|])")


def replace_tokens(text: str, find_widget_text: Callable[[str, str], str | None], now: datetime) -> str:
    """Replace ``%date:yyyy-MM-dd%`` and ``%Node.widget%``; other tokens are left for the server (``%width%``).

    ``find_widget_text(node, name)`` returns a widget's value as text, None if there is no such widget.
    """

    def replace_token(match: re.Match[str]) -> str:
        parts = match.group(1).split(".")
        if len(parts) == 2:
            value = find_widget_text(parts[0], parts[1])
            return match.group() if value is None else _FORBIDDEN_IN_FILE_NAME.sub("_", value)
        return format_date(parts[0][5:], now) if parts[0].startswith("date:") else match.group()

    return _TOKEN.sub(replace_token, text)


def format_date(pattern: str, now: datetime) -> str:
    """Format ``d M h m s`` once for the number or twice for two digits, ``yy``, ``yyyy``; hours are 0 to 23."""
    numbers = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}

    def format_part(match: re.Match[str]) -> str:
        token = match.group()
        if token in ("yy", "yyyy"):
            return f"{now.year:04}"[-len(token) :]
        return str(numbers[token[0]]).zfill(len(token)) if token[0] in numbers else token

    return _DATE_PART.sub(format_part, pattern)


def format_like_javascript(value: Any) -> str:
    """Return a widget's value as JavaScript writes it: ``true`` for True, ``1`` for 1.0, empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def expand_choices(text: str, random: Random) -> str:
    """Remove ``//`` and ``/* */`` comments and replace every ``{a|b}`` by one of its branches; ``\\{`` stays a brace."""
    return _ESCAPED.sub(r"\1", _pick_branches(_COMMENT.sub("", text), random))


def _pick_branches(text: str, random: Random) -> str:
    result = ""
    position = 0
    while position < len(text):
        if text[position] == "\\":
            result += text[position : position + 2]
            position += 2
        elif text[position] == "{":
            branches, position = _parse_branches(text, position + 1)
            result += expand_choices(random.choice(branches), random)
        else:
            result += text[position]
            position += 1
    return result


def _parse_branches(text: str, position: int) -> tuple[list[str], int]:
    """Return the branches of the group that begins at ``position``, and its end; an open group ends with the text."""
    branches = [""]
    depth = 0
    while position < len(text):
        step = 2 if text[position] == "\\" else 1
        piece = text[position : position + step]
        position += step
        if piece == "}" and not depth:
            break
        if piece == "|" and not depth:
            branches.append("")
            continue
        depth += {"{": 1, "}": -1}.get(piece, 0)
        branches[-1] += piece
    return branches, position
