"""``comfy.comfy_types.node_typing``: wire type names, and base classes that document the V1 contract."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from ....missing import make_missing_getattr

__getattr__ = make_missing_getattr("comfy.comfy_types.node_typing")

InputTypeDict = InputTypeOptions = HiddenInputTypeDict = FileLocator = dict[str, Any]


class IO(StrEnum):
    """Names of wire types. A combined type ``A,B`` compares equal to each of its parts under ``!=``."""

    STRING = "STRING"
    IMAGE = "IMAGE"
    MASK = "MASK"
    LATENT = "LATENT"
    BOOLEAN = "BOOLEAN"
    INT = "INT"
    FLOAT = "FLOAT"
    COMBO = "COMBO"
    CONDITIONING = "CONDITIONING"
    SAMPLER = "SAMPLER"
    SIGMAS = "SIGMAS"
    GUIDER = "GUIDER"
    NOISE = "NOISE"
    CLIP = "CLIP"
    CONTROL_NET = "CONTROL_NET"
    VAE = "VAE"
    MODEL = "MODEL"
    LORA_MODEL = "LORA_MODEL"
    LOSS_MAP = "LOSS_MAP"
    CLIP_VISION = "CLIP_VISION"
    CLIP_VISION_OUTPUT = "CLIP_VISION_OUTPUT"
    STYLE_MODEL = "STYLE_MODEL"
    GLIGEN = "GLIGEN"
    UPSCALE_MODEL = "UPSCALE_MODEL"
    AUDIO = "AUDIO"
    WEBCAM = "WEBCAM"
    POINT = "POINT"
    FACE_ANALYSIS = "FACE_ANALYSIS"
    BBOX = "BBOX"
    SEGS = "SEGS"
    VIDEO = "VIDEO"
    ANY = "*"
    NUMBER = "FLOAT,INT"
    PRIMITIVE = "STRING,FLOAT,INT,BOOLEAN"

    def __ne__(self, value: object) -> bool:
        if not isinstance(value, str):
            return True
        mine, theirs = set(self.value.split(",")), set(value.split(","))
        return not ("*" in (self.value, value) or mine <= theirs or theirs <= mine)

    __hash__ = str.__hash__


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
