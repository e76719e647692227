"""The nodes that load a model and build its TensorRT engine."""

from functools import partial
from typing import Any, ClassVar

from ..runtime import comfyui, models, trt
from ..runtime.models import AUTO_MODELS, choose_model, find_model, list_selector_names, split_chain
from .declare import (
    LARGEST_TILE,
    Node,
    bool_input,
    choice_input,
    declare_upscale_model,
    float_input,
    int_input,
    text_input,
    wire_input,
)
from .validate import check, first_problem, model_is_there

NO_MODEL = "none"
MODEL_TOOLTIP = (
    "realesrgan-x4plus for photographs, realesrgan-x4plus-anime for drawings, realesr-animevideov3 for speed. auto looks at "
    "the connected image or video and chooses, x4plus when unsure; auto fast chooses a fast model. "
    "`python -m runtime models` lists more models to pull."
)
SECOND_TOOLTIP = (
    "A model of the same architecture whose weights are mixed in, for a look between both: realesr-general-wdn-x4v3 beside "
    "realesr-general-x4v3 denoises less. none (default) mixes nothing."
)
SECOND_WEIGHT_TOOLTIP = "Share of the second model, 0 to 1: 0 is the first alone, 1 the second alone."
RESTORE_TOOLTIP = (
    "A model that runs before this one, such as a 1x denoiser from another Upscale Model. Each tile runs through both, so "
    "there is no image between them, and tiles stay exact. Where a target needs several passes, it runs in the first."
)
ENSEMBLE_TOOLTIP = (
    "On: average the results of the image mirrored and turned in eight ways, which takes eight times as long and is slightly "
    "closer to the truth (test-time augmentation). Off (default)."
)
PRECISION_TOOLTIP = "auto is fp16 where the model is safe in it, else fp32."
TILE_TOOLTIP = "Largest tile of the engine in source pixels, without halo; Tiled Upscale then uses this tile."
STATIC_TOOLTIP = "Build for exactly this tile size; can be slightly faster. Models with windows (SwinIR) always are."
WORKSPACE_TOOLTIP = "GPU memory in MB that the builder may use; 0 means no limit."
TARGET_TOOLTIP = "Compute capabilities such as sm_89,sm_120, for other machines (TensorRT for RTX only). Empty: this machine."
FALLBACK_TOOLTIP = "On: use torch, with a message, where TensorRT or the GPU is missing. Off (default): that is an error."
ENGINE_TOOLTIP = "Name of a .trt file in a models folder to use or to build; empty uses the cache folder."


class UpscaleModelNode(Node, title="Upscale Model", node_id="UpscaleModel"):
    CATEGORY = "8K/models"
    DESCRIPTION = (
        "Loads a super-resolution model: Real-ESRGAN weights that come with this pack, or any file in models/upscale_models "
        "that spandrel reads (Real-ESRGAN, BSRGAN, SwinIR, DAT, HAT and about forty more). It downloads nothing."
    )
    SEARCH_ALIASES: ClassVar = [
        *("upscale model", "esrgan", "realesrgan", "swinir", "bsrgan", "super resolution", "load upscaler")
    ]
    RETURN_TYPES = ("UPSCALE_MODEL",)
    RETURN_NAMES = ("upscale_model",)
    OUTPUT_TOOLTIPS = ("For Tiled Upscale, and for any other node that takes an upscale model.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        names = [*list_selector_names(cls.host.model_folders()), *AUTO_MODELS]
        return {
            "required": {"model": choice_input(names, "realesr-animevideov3", MODEL_TOOLTIP)},
            "optional": {
                "image": wire_input("IMAGE", "What auto looks at: the image to upscale."),
                "video": wire_input("VIDEO", "What auto looks at: five frames of the video to upscale."),
                "second_model": choice_input([NO_MODEL, *names[: -len(AUTO_MODELS)]], NO_MODEL, SECOND_TOOLTIP, advanced=True),
                "second_weight": float_input(0.5, 0.0, 1.0, 0.05, SECOND_WEIGHT_TOOLTIP, advanced=True),
                "restore_model": wire_input("UPSCALE_MODEL", RESTORE_TOOLTIP),
                "ensemble": bool_input(False, ENSEMBLE_TOOLTIP, advanced=True),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, model: str, second_model: str = NO_MODEL) -> bool | str:
        names = [*split_chain(model, cls.host.model_folders()), *([] if second_model == NO_MODEL else [second_model])]
        return first_problem(
            check(partial(choose_model, "photograph", name, cls.host.model_folders()))
            if name in AUTO_MODELS
            else model_is_there(cls.host, name)
            for name in names
        )

    @classmethod
    def IS_CHANGED(cls, model: str, second_model: str = NO_MODEL, **_: Any) -> str:
        names = [*split_chain(model, cls.host.model_folders()), *([] if second_model == NO_MODEL else [second_model])]
        if any(name in AUTO_MODELS for name in names):  # the chosen model depends on which are there
            return " ".join(list_selector_names(cls.host.model_folders()))
        paths = [find_model(name, cls.host.model_folders()).path for name in names]
        return " ".join(f"{path}:{path.stat().st_mtime_ns}" for path in paths)

    def run(
        self,
        model: str,
        image: Any = None,
        video: Any = None,
        second_model: str = NO_MODEL,
        second_weight: float = 0.5,
        restore_model: Any = None,
        ensemble: bool = False,
    ) -> tuple[Any]:
        names = split_chain(model, self.host.model_folders())
        *first, last = [self._load(self._choose(name, image, video) if name in AUTO_MODELS else name) for name in names]
        if second_model != NO_MODEL:
            last = models.interpolate_models(last, self._load(second_model), second_weight)
        before = [] if restore_model is None else [restore_model]
        return (self.host.register_model(models.chain_models([*before, *first, last], ensemble=ensemble)),)

    def _load(self, name: str) -> Any:
        return models.load_model(find_model(name, self.host.model_folders()))

    def _choose(self, mode: str, image: Any, video: Any) -> str:
        kind = comfyui.classify_source(image, video)
        choice = choose_model(kind, mode, self.host.model_folders(), is_animation=video is not None)
        with self.host.progress(1, "model") as progress:
            progress.message(choice.reason)
        return choice.name


class TRTBuild(Node, title="TRT Build"):
    CATEGORY = "8K/models"
    DESCRIPTION = (
        "Builds a TensorRT engine for a model on this machine's GPU. The engine is stored, and built again when the weights, "
        "the settings, TensorRT, the GPU or the driver change. Connect the model to Tiled Upscale, which then runs the engine."
    )
    SEARCH_ALIASES: ClassVar = ["tensorrt", "trt", "engine", "rtx", "onnx", "accelerate", "fast"]
    RETURN_TYPES = ("UPSCALE_MODEL",)
    RETURN_NAMES = ("upscale_model",)
    OUTPUT_TOOLTIPS = ("The same model with its engine. Nodes that do not support engines run it without.",)
    INPUTS: ClassVar = {
        "required": {"upscale_model": declare_upscale_model()},
        "optional": {
            "precision": choice_input(["auto", "fp16", "fp32"], "auto", PRECISION_TOOLTIP),
            "tile": int_input(512, 32, LARGEST_TILE, TILE_TOOLTIP, step=32),
            "fallback": bool_input(False, FALLBACK_TOOLTIP),
            "static": bool_input(False, STATIC_TOOLTIP, advanced=True),
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
        path = trt.find_engine_path(engine, self.host.model_folders())
        settings = trt.EngineSettings(precision, tile, static, workspace, target, path, self.host.device())
        return (trt.attach_built_engine(upscale_model, settings, self.host.progress, fallback=fallback),)
