"""What a person may ask for as a crop, as text. Read without numpy, so that a check answers at once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import WorkflowError
from ..frames.geometry import Size

SIDE = 512
"""Width and height of a crop where nobody says otherwise."""
KINDS = ("centre", "texture", "edges", "faces", "all")
_SPELLINGS = {"center": "centre", "middle": "centre", "face": "faces", "edge": "edges", "full": "all", "whole": "all"}
_SIZED = re.compile(r"(?:(?P<kind>[a-z]+):?)?(?:(?P<width>\d{1,6})x(?P<height>\d{1,6}))?")
_PLACED = re.compile(r"(?P<width>\d{1,6})x(?P<height>\d{1,6})\+(?P<x>\d{1,6})\+(?P<y>\d{1,6})")


@dataclass(frozen=True)
class Wish:
    """What was asked for: a kind of content or ``place``, and a size."""

    kind: str
    size: Size
    x: int = 0
    y: int = 0


def wishes(text: str) -> tuple[Wish, ...]:
    """``"512x512"``, ``"texture"``, ``"edges:256x256"``, ``"640x480+100+20"``, ``"all"``, or several with commas.

    Raises ``WorkflowError`` for anything else, and for a crop without pixels.
    """
    parts = [part.strip().lower() for part in text.split(",") if part.strip()]
    return tuple(dict.fromkeys(_wish(part, text) for part in parts or ["centre"]))


def _wish(part: str, text: str) -> Wish:
    match = _PLACED.fullmatch(part) or _SIZED.fullmatch(part)
    if match is None:
        raise _no_crop(part)
    found = match.groupdict()
    sides = [int(found["width"] or SIDE), int(found["height"] or SIDE)]
    if 0 in sides:
        raise WorkflowError(f"The crop {part!r} holds no pixel.", "Give at least 1x1.")
    if "x" in found:
        return Wish("place", Size(*sides), int(found["x"]), int(found["y"]))
    kind = _SPELLINGS.get(found["kind"] or "centre", found["kind"] or "centre")
    if kind not in KINDS:
        raise _no_crop(part)
    return Wish(kind, Size(*sides))


def _no_crop(part: str) -> WorkflowError:
    kinds = ", ".join(KINDS)
    return WorkflowError(f"{part!r} is no crop.", f"Use {kinds}, a size such as 512x512, 512x512+X+Y, or texture:256x256.")
