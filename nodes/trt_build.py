"""The node that builds a TensorRT engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ..runtime.errors import WorkflowError
from ..runtime.paths import resolve_inside
from .declare import choice_input, int_input, text_input, wire_input

if TYPE_CHECKING:
    from pathlib import Path

    from ..runtime.host import Host

PRECISION_TOOLTIP = "auto is fp16 where the model is safe in it. TensorRT takes half precision from the exported graph."
TILE_TOOLTIP = "The largest tile that the engine takes, in source pixels without halo; the upscaler then uses this tile."
STATIC_TOOLTIP = "For this one size. Models that work in windows (SwinIR) always are. Can be a little faster."
WORKSPACE_TOOLTIP = "Memory in MB that the builder may take on the GPU; 0 is all there is."
TARGET_TOOLTIP = "Compute capabilities such as sm_89,sm_120, for an engine for other machines (TensorRT for RTX only)."
FALLBACK_TOOLTIP = "Go on with torch, and say so, where TensorRT or the GPU is not here. Off: that is an error."
ENGINE_TOOLTIP = "Name of a .trt file in a models folder, built there or taken from there; empty uses the cache folder."


class TRTBuild:
    """A model with a TensorRT engine on it."""

    host: ClassVar[Host]
    CATEGORY = "8K/models"
    DESCRIPTION = (
        "Builds a TensorRT engine for a model on this machine's GPU, once: it is kept, and built again when the weights, the "
        "settings, TensorRT, the GPU or the driver changed. The model goes on to Tiled Upscale, which then runs the engine."
    )
    SEARCH_ALIASES: ClassVar = ["tensorrt", "trt", "engine", "rtx", "onnx", "accelerate", "fast"]
    RETURN_TYPES = ("UPSCALE_MODEL",)
    RETURN_NAMES = ("upscale_model",)
    OUTPUT_TOOLTIPS = ("The same model, with its engine. Nodes that know no engines run it as before.",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "upscale_model": wire_input("UPSCALE_MODEL", "From Upscale Model, or ComfyUI's own Load Upscale Model.")
            },
            "optional": {
                "precision": choice_input(["auto", "fp16", "fp32"], "auto", PRECISION_TOOLTIP),
                "tile": int_input(512, 32, 4096, TILE_TOOLTIP, step=32),
                "fallback": ("BOOLEAN", {"default": False, "tooltip": FALLBACK_TOOLTIP}),
                "static": ("BOOLEAN", {"default": False, "tooltip": STATIC_TOOLTIP, "advanced": True}),
                "workspace": int_input(0, 0, 1_000_000, WORKSPACE_TOOLTIP, advanced=True),
                "target": text_input("", TARGET_TOOLTIP, advanced=True),
                "engine": text_input("", ENGINE_TOOLTIP, advanced=True),
            },
        }

    def run(
        self,
        upscale_model: Any,
        precision: str = "auto",
        tile: int = 512,
        fallback: bool = False,
        static: bool = False,
        workspace: int = 0,
        target: str = "",
        engine: str = "",
    ) -> tuple[Any]:
        from ..runtime.trt.get_or_build import EngineSettings, attach_built_engine

        build_request = EngineSettings(precision, tile, static, workspace, target, _find_engine_path(self.host, engine))
        return (attach_built_engine(upscale_model, build_request, self.host.progress, fallback=fallback),)


def _find_engine_path(host: Host, name: str) -> Path | None:
    """The file that ``name`` means in the models folders: the one that is there, else a new one in the first of them."""
    if not name.strip():
        return None
    name = name if name.endswith(".trt") else f"{name}.trt"
    paths = [resolve_inside(folder, name) for folder in host.model_folders()]
    if not paths or any(path is None for path in paths):
        raise WorkflowError(f"The engine {name!r} lies outside the models folders.", "Use a plain name.")
    return next((path for path in paths if path and path.is_file()), paths[0])


NODES: dict[str, tuple[type, str]] = {"TRTBuild": (TRTBuild, "TRT Build")}
