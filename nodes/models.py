"""The node that loads a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ..runtime.models import find_model, list_selector_names
from .declare import choice_input
from .validate import model_is_there

if TYPE_CHECKING:
    from ..runtime.host import Host

MODEL_TOOLTIP = (
    "realesrgan-x4plus for photographs, realesrgan-x4plus-anime for drawings, realesr-animevideov3 for speed. "
    "`python -m runtime models` lists more models to pull."
)


class UpscaleModelNode:
    """Loads weights by catalog id or file name."""

    host: ClassVar[Host]
    CATEGORY = "8K/models"
    DESCRIPTION = (
        "Loads a super-resolution model: Real-ESRGAN weights that come with this pack, or any file in models/upscale_models "
        "that spandrel reads (Real-ESRGAN, BSRGAN, SwinIR, DAT, HAT and about forty more). It downloads nothing."
    )
    SEARCH_ALIASES: ClassVar = [
        "upscale model",
        "esrgan",
        "realesrgan",
        "swinir",
        "bsrgan",
        "super resolution",
        "load upscaler",
    ]
    RETURN_TYPES = ("UPSCALE_MODEL",)
    RETURN_NAMES = ("upscale_model",)
    OUTPUT_TOOLTIPS = ("For Tiled Upscale, and for any other node that takes an upscale model.",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        names = list_selector_names(cls.host.model_folders())
        return {"required": {"model": choice_input(names, "realesr-animevideov3", MODEL_TOOLTIP)}}

    @classmethod
    def VALIDATE_INPUTS(cls, model: str) -> bool | str:
        return model_is_there(cls.host, model)

    @classmethod
    def IS_CHANGED(cls, model: str) -> str:
        path = find_model(model, cls.host.model_folders()).path
        return f"{path}:{path.stat().st_mtime_ns}"

    def run(self, model: str) -> tuple[Any]:
        from ..runtime.models import load_model

        return (self.host.register_model(load_model(find_model(model, self.host.model_folders()))),)


NODES: dict[str, tuple[type, str]] = {"UpscaleModel": (UpscaleModelNode, "Upscale Model")}
