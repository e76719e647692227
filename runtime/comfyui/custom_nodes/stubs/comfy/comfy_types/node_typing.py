"""``comfy.comfy_types.node_typing``: wire type names, and base classes that document the V1 contract."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

InputTypeDict = InputTypeOptions = HiddenInputTypeDict = FileLocator = dict[str, Any]


class _WireType(StrEnum):
    """A combined type ``A,B`` compares equal to each of its parts under ``!=``."""

    def __ne__(self, value: object) -> bool:
        if not isinstance(value, str):
            return True
        mine, theirs = set(self.value.split(",")), set(value.split(","))
        return not ("*" in (self.value, value) or mine <= theirs or theirs <= mine)

    __hash__ = str.__hash__


_SIMPLE_TYPES = """
    STRING IMAGE MASK LATENT BOOLEAN INT FLOAT COMBO CONDITIONING SAMPLER SIGMAS GUIDER NOISE CLIP CONTROL_NET VAE MODEL
    LORA_MODEL LOSS_MAP CLIP_VISION CLIP_VISION_OUTPUT STYLE_MODEL GLIGEN UPSCALE_MODEL AUDIO WEBCAM POINT FACE_ANALYSIS
    BBOX SEGS VIDEO
"""
_OTHER_TYPES = {"ANY": "*", "NUMBER": "FLOAT,INT", "PRIMITIVE": "STRING,FLOAT,INT,BOOLEAN"}
IO: Any = _WireType("IO", {name: name for name in _SIMPLE_TYPES.split()} | _OTHER_TYPES)
"""Names of wire types."""


class ComfyNodeABC:
    """An optional base class of V1 nodes."""

    DESCRIPTION = ""
    CATEGORY = ""
    EXPERIMENTAL = False
    DEPRECATED = False


class CheckLazyMixin:
    """Requests every lazy input that is still missing."""

    def check_lazy_status(self, **kwargs: Any) -> Sequence[str]:
        return [name for name, value in kwargs.items() if value is None]
