"""Parse the text that selects crops. Light: needs no numpy."""

import re
from dataclasses import dataclass

from ..errors import WorkflowError
from ..media import Size

DEFAULT_CROP_SIDE = 512
"""Default width and height of a crop."""
CROP_KINDS = ("centre", "texture", "edges", "faces", "all")
_KIND_ALIASES = {"center": "centre", "middle": "centre", "face": "faces", "edge": "edges", "full": "all", "whole": "all"}
_SIZE_PATTERN = re.compile(r"(?:(?P<kind>[a-z]+):?)?(?:(?P<width>\d{1,6})x(?P<height>\d{1,6}))?")
_POSITION_PATTERN = re.compile(r"(?P<width>\d{1,6})x(?P<height>\d{1,6})\+(?P<x>\d{1,6})\+(?P<y>\d{1,6})")


@dataclass(frozen=True)
class CropSpec:
    """A requested crop: a kind of content or ``place``, and a size."""

    kind: str
    size: Size
    x: int = 0
    y: int = 0


def parse_crop_specs(text: str) -> tuple[CropSpec, ...]:
    """Parse ``"512x512"``, ``"texture"``, ``"edges:256x256"``, ``"640x480+100+20"``, ``"all"``, or several with commas.

    Raises:
        WorkflowError: anything else, or an empty crop.
    """
    parts = [part.strip().lower() for part in text.split(",") if part.strip()]
    return tuple(dict.fromkeys(_parse_crop_spec(part, text) for part in parts or ["centre"]))


def _parse_crop_spec(part: str, text: str) -> CropSpec:
    match = _POSITION_PATTERN.fullmatch(part) or _SIZE_PATTERN.fullmatch(part)
    if match is None:
        raise _unknown_crop_error(part)
    groups = match.groupdict()
    sides = [int(groups["width"] or DEFAULT_CROP_SIDE), int(groups["height"] or DEFAULT_CROP_SIDE)]
    if 0 in sides:
        raise WorkflowError(f"The crop {part!r} is empty.", "Give at least 1x1.")
    if "x" in groups:
        return CropSpec("place", Size(*sides), int(groups["x"]), int(groups["y"]))
    kind = _KIND_ALIASES.get(groups["kind"] or "centre", groups["kind"] or "centre")
    if kind not in CROP_KINDS:
        raise _unknown_crop_error(part)
    return CropSpec(kind, Size(*sides))


def _unknown_crop_error(part: str) -> WorkflowError:
    kinds = ", ".join(CROP_KINDS)
    return WorkflowError(f"Unknown crop {part!r}.", f"Use {kinds}, a size such as 512x512, 512x512+X+Y, or texture:256x256.")
