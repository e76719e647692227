"""Which model ``auto`` means for a kind of image. Imports nothing heavy."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import ModelNotFound
from .locate import find_model

AUTO_MODEL = "auto"
AUTO_FAST_MODEL = "auto fast"
AUTO_MODELS = (AUTO_MODEL, AUTO_FAST_MODEL)

ImageKind = Literal["photograph", "drawing", "text"]

_PHOTOGRAPH = ("realesrgan-x4plus", "realesrgan-x4plus")
_FAST_PHOTOGRAPH = ("realesr-general-x4v3", "realesr-animevideov3")
_CANDIDATES: dict[tuple[ImageKind, bool], tuple[str, str]] = {
    ("drawing", False): ("realesrgan-x4plus-anime", "realesrgan-x4plus"),
    ("drawing", True): ("realesr-animevideov3", "realesrgan-x4plus-anime"),
}
"""By kind and ``fast``: the model, and the one in its place where it is missing."""


@dataclass(frozen=True)
class ModelChoice:
    """A model for an image, and why."""

    name: str
    reason: str
    """A sentence for the user."""
    advice: str = ""
    """Which missing model suits such images better, and the command that downloads it."""


def choose_model(kind: ImageKind, mode: str, folders: Sequence[Path], *, is_animation: bool = False) -> ModelChoice:
    """Return the model that ``mode``, one of ``AUTO_MODELS``, means for ``kind``; ``is_animation`` is for drawn videos.

    Raises ``ModelNotFound`` that names the command which downloads the model: a photograph never gets a model for drawings,
    unless ``auto fast`` asks for speed.
    """
    fast = mode == AUTO_FAST_MODEL or (is_animation and kind == "drawing")
    wanted, substitute = _CANDIDATES.get((kind, fast), _FAST_PHOTOGRAPH if fast else _PHOTOGRAPH)
    seen = {"photograph": "a photograph", "drawing": "a drawing", "text": "text or a screenshot"}[kind]
    try:
        find_model(wanted, folders)
    except ModelNotFound:
        find_model(substitute, folders)
        advice = f"{wanted} suits it better: python -m runtime models pull {wanted}"
        return ModelChoice(substitute, f"It looks like {seen}: {substitute}.", advice)
    return ModelChoice(wanted, f"It looks like {seen}: {wanted}.")
