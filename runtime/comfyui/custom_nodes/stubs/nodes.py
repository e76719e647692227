"""``nodes``: the node classes that packs look up, call or derive from."""

from typing import Any

from ..context import get_context
from ..missing import MissingApi

MAX_RESOLUTION = 16384
EXTENSION_WEB_DIRS: dict[str, str] = {}
LOADED_MODULE_DIRS: dict[str, str] = {}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}

# Other names in the module of ComfyUI 0.30. Packs use hasattr before they add their own.
_MISSING_NAMES = frozenset(
    """
    CLIPLoader CLIPSetLastLayer CLIPTextEncode CLIPVisionEncode CLIPVisionLoader CheckpointLoader CheckpointLoaderSimple
    ConditioningAverage ConditioningCombine ConditioningConcat ConditioningMultiply ConditioningSetArea
    ConditioningSetAreaPercentage ConditioningSetAreaStrength ConditioningSetMask ConditioningSetTimestepRange
    ConditioningZeroOut ControlNetApply ControlNetApplyAdvanced ControlNetLoader DiffControlNetLoader DiffusersLoader
    DualCLIPLoader EmptyImage EmptyLatentImage GLIGENLoader GLIGENTextBoxApply ImageBatch ImageInvert ImagePadForOutpaint
    ImageScale ImageScaleBy InpaintModelConditioning KSampler KSamplerAdvanced LatentBlend LatentComposite LatentCrop
    LatentFlip LatentFromBatch LatentRotate LatentUpscale LatentUpscaleBy LoadImage LoadImageMask LoadImageOutput LoadLatent
    LoraLoader LoraLoaderModelOnly PreviewImage RepeatLatentBatch SaveImage SaveLatent SetLatentNoiseMask StyleModelApply
    StyleModelLoader UNETLoader VAEDecode VAEDecodeTiled VAEEncode VAEEncodeForInpaint VAEEncodeTiled VAELoader
    common_ksampler get_module_name init_builtin_api_nodes init_builtin_extra_nodes init_external_custom_nodes
    init_extra_nodes init_public_apis load_custom_node unCLIPCheckpointLoader unCLIPConditioning
    """.split()  # noqa: SIM905 # read as a list of words
)


def __getattr__(name: str) -> Any:
    if name == "NODE_CLASS_MAPPINGS":
        return get_context().catalog
    found = get_context().builtin_nodes.get(name)
    if found is not None:
        return found
    if name in _MISSING_NAMES:
        return MissingApi(f"nodes.{name}")
    raise AttributeError(f"module 'nodes' has no attribute {name!r}")


def interrupt_processing(value: bool = True) -> None:
    """Stop the run at once: nodes run in the thread of the caller."""
    if value:
        from .comfy.model_management import InterruptProcessingException

        raise InterruptProcessingException


def before_node_execution() -> None:
    """Do nothing: Ctrl-C raises by itself."""
