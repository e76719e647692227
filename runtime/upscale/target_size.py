"""The requested size, and how to reach it: passes through the model, then one exact reduction."""

import re
from dataclasses import dataclass
from fractions import Fraction

from ..errors import WorkflowError
from ..media import Size

BOXES = {"4K": Size(3840, 2160), "8K": Size(7680, 4320), "16K": Size(15360, 8640)}
MODEL_SCALE = "model scale"
TARGET_NAMES = (MODEL_SCALE, "2x", "3x", "4x", "8x", *BOXES)
"""What a node input offers; ``WIDTHxHEIGHT`` and factors such as ``2.5x`` are valid too."""

_FACTOR = re.compile(r"(\d+(?:\.\d+)?)\s*x", re.IGNORECASE)
_BOX = re.compile(r"(\d{1,6})\s*[x×]\s*(\d{1,6})", re.IGNORECASE)
MAX_SIDE = 131072
"""Pixels; no format in use stores a longer side."""


@dataclass(frozen=True)
class ScalePlan:
    """``passes`` through the model lead to ``model_size``, which is then reduced to ``final_size`` where they differ."""

    passes: int
    model_size: Size
    final_size: Size


def compute_final_size(source: Size, scale: int, target: str) -> Size:
    """Return the size that ``target`` means.

    ``"model scale"`` multiplies by the model's scale, ``"2x"`` or ``"2.5x"`` by that factor. ``"4K"``, ``"8K"``, ``"16K"`` and
    ``"WxH"`` are boxes: the largest image of the source's aspect ratio that fits, the named ones turned for a portrait.
    Raises ``WorkflowError`` for anything else.
    """
    text = target.strip()
    if text.lower() == MODEL_SCALE:
        return source * scale
    if (factor := _FACTOR.fullmatch(text)) and Fraction(factor.group(1)):
        return _check_size(_scale_size(source, Fraction(factor.group(1))), target)
    if text.upper() in BOXES:
        box = BOXES[text.upper()]
        return _fit_into_box(source, box if source.width >= source.height else Size(box.height, box.width))
    if (box_text := _BOX.fullmatch(text)) and int(box_text.group(1)) and int(box_text.group(2)):
        return _check_size(_fit_into_box(source, Size(int(box_text.group(1)), int(box_text.group(2)))), target)
    raise WorkflowError(
        f"{target!r} is not a size to upscale to.",
        f"Use one of {', '.join(TARGET_NAMES)}, a factor such as 2.5x, or a box such as 5120x2880.",
    )


def plan_scale(source: Size, scale: int, target: str) -> ScalePlan:
    """Plan as many passes as the target needs, none where the source is large enough.

    Raises ``WorkflowError`` for an invalid target or one that a model of scale 1 cannot reach.
    """
    final_size = compute_final_size(source, scale, target)
    passes, model_size = 0, source
    while model_size.width < final_size.width or model_size.height < final_size.height:
        if scale < 2:
            raise WorkflowError(
                f"A model of scale {scale}x cannot enlarge {source} to {final_size}.",
                f"Choose a model that enlarges, or the target {MODEL_SCALE!r}.",
            )
        passes, model_size = passes + 1, model_size * scale
    if final_size == source and passes == 0 and target.strip().lower() == MODEL_SCALE:
        passes = 1  # a 1x model restores without enlarging
    return ScalePlan(passes, model_size, final_size)


def _fit_into_box(source: Size, box: Size) -> Size:
    return _scale_size(source, min(Fraction(box.width, source.width), Fraction(box.height, source.height)))


def _scale_size(source: Size, factor: Fraction) -> Size:
    return Size(max(_round_half_up(source.width * factor), 1), max(_round_half_up(source.height * factor), 1))


def _round_half_up(value: Fraction) -> int:
    return int(value + Fraction(1, 2))


def _check_size(size: Size, target: str) -> Size:
    if max(size.width, size.height) > MAX_SIDE:
        raise WorkflowError(f"The target {target!r} is an image of {size} pixels.", f"No side may exceed {MAX_SIDE} pixels.")
    return size
