"""``comfy_api.latest.io``: the V3 declarations of nodes.

Every type has an ``Input`` and an ``Output``. The options of an input have the names that ``/object_info`` uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, cast

_JSON_NAMES = {
    "display_mode": "display",
    "dynamic_prompts": "dynamicPrompts",
    "force_input": "forceInput",
    "raw_link": "rawLink",
    "widget_type": "widgetType",
}


class FolderType(StrEnum):
    input = "input"
    output = "output"
    temp = "temp"


class UploadType(StrEnum):
    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"


class NumberDisplay(StrEnum):
    number = "number"
    slider = "slider"
    gradient_slider = "gradientslider"


class ControlAfterGenerate(StrEnum):
    fixed = "fixed"
    increment = "increment"
    decrement = "decrement"
    randomize = "randomize"


class Hidden(StrEnum):
    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"
    auth_token_comfy_org = "AUTH_TOKEN_COMFY_ORG"
    api_key_comfy_org = "API_KEY_COMFY_ORG"
    comfy_usage_source = "COMFY_USAGE_SOURCE"


class HiddenHolder:
    """The hidden inputs as attributes, such as ``cls.hidden.unique_id``; others are None."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getattr__(self, name: str) -> Any:
        return self._values.get(name)


class AnyInput:
    """One input: its id and options."""

    io_type = "*"

    def __init__(self, id: str, *_: Any, **options: Any) -> None:
        extra = cast("Mapping[str, Any]", options.pop("extra_dict", None) or {})
        self.id = id
        self.optional = bool(options.pop("optional", False))
        self.options: dict[str, Any] = {_JSON_NAMES.get(name, name): unwrap_enum(value) for name, value in options.items()}
        self.options |= {name: unwrap_enum(value) for name, value in extra.items()}

    def get_io_type(self) -> str:
        return str(self.options.get("widgetType") or self.io_type)

    def to_v1_declaration(self) -> tuple[str, dict[str, Any]]:
        """Return the V1 declaration ``(type, options)``."""
        return self.get_io_type(), {name: value for name, value in self.options.items() if value is not None}


def unwrap_enum(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


class AnyOutput:
    io_type = "*"

    def __init__(
        self,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
        **_: Any,
    ) -> None:
        self.id = id
        self.display_name = display_name or id
        self.tooltip = tooltip
        self.is_output_list = is_output_list


class ComfyTypeIO:
    """A wire type."""

    io_type = "*"
    Type: Any = Any
    Input: type[AnyInput] = AnyInput
    Output: type[AnyOutput] = AnyOutput


def comfytype(io_type: str, **_: Any) -> Any:
    """Return a decorator that sets the wire type of a class, its ``Input`` and its ``Output``."""

    def decorate(cls: type[ComfyTypeIO]) -> type[ComfyTypeIO]:
        cls.io_type = io_type
        for name in ("Input", "Output"):
            base: Any = getattr(cls, name, AnyInput if name == "Input" else AnyOutput)
            setattr(cls, name, type(name, (base,), {"io_type": io_type}))
        return cls

    return decorate


def Custom(io_type: str) -> type[ComfyTypeIO]:
    """Return a wire type with any name."""
    return comfytype(io_type)(type(io_type, (ComfyTypeIO,), {}))


class _ComboInput(AnyInput):
    """``options`` may be an Enum class; ``upload`` is the kind of file that can be uploaded."""

    def __init__(self, id: str, options: Any = None, *_: Any, upload: UploadType | None = None, **more: Any) -> None:
        super().__init__(id, **more)
        enum = isinstance(options, type) and issubclass(options, Enum)
        self.options["options"] = [one.value for one in cast("type[Enum]", options)] if enum else options
        self.options |= {upload.value: True} if upload is not None else {}


class _MultiComboInput(_ComboInput):
    def __init__(self, id: str, options: Any = None, *_: Any, placeholder: Any = None, chip: Any = None, **more: Any) -> None:
        super().__init__(id, options, **more)
        self.options |= {"multiselect": True, "multi_select": {"placeholder": placeholder, "chip": chip}}


@comfytype("COMBO")
class Combo(ComfyTypeIO):
    Input = _ComboInput


@comfytype("COMBO")
class MultiCombo(ComfyTypeIO):
    Input = _MultiComboInput


class MultiType:
    """Accepts any of several types."""

    class Input(AnyInput):
        io_type = "COMFY_MULTITYPED_V3"

        def __init__(self, id: str | AnyInput, types: Sequence[Any], *_: Any, **more: Any) -> None:
            widget = id if isinstance(id, AnyInput) else None
            super().__init__(widget.id if widget else cast("str", id), **more)
            names = [widget.get_io_type()] if widget else []
            self._types = ",".join(dict.fromkeys([*names, *(one.io_type for one in types)]))
            if widget is not None:
                self.optional = self.optional or widget.optional
                self.options = {"widgetType": widget.get_io_type(), **widget.options, **self.options}

        def get_io_type(self) -> str:
            return self._types


class MatchType:
    """Inputs and outputs of any type, which must all be equal."""

    class Template:
        def __init__(self, template_id: str, allowed_types: Any = None) -> None:
            self.template_id = template_id
            several = cast("Any", allowed_types if isinstance(allowed_types, Sequence) else (allowed_types or AnyType,))
            self.allowed_types = ",".join(str(one.io_type) for one in several)

        def as_dict(self) -> dict[str, str]:
            return {"template_id": self.template_id, "allowed_types": self.allowed_types}

    class Input(AnyInput):
        io_type = "COMFY_MATCHTYPE_V3"

        def __init__(self, id: str, template: MatchType.Template, *_: Any, **more: Any) -> None:
            super().__init__(id, **more)
            self.options["template"] = template.as_dict()

    class Output(AnyOutput):
        io_type = "COMFY_MATCHTYPE_V3"

        def __init__(self, template: MatchType.Template, **more: Any) -> None:
            super().__init__(**more)
            self.template = template


class Autogrow:
    """A group of inputs that grows while it is being connected."""

    class TemplatePrefix:
        def __init__(self, input: AnyInput, prefix: str, min: int = 1, max: int = 10) -> None:
            self.input, self.rest = copy(input), {"prefix": prefix, "min": min, "max": max}

    class TemplateNames:
        def __init__(self, input: AnyInput, names: Sequence[str], min: int = 1) -> None:
            self.input, self.rest = copy(input), {"names": list(names)[:100], "min": min}

    class Input(AnyInput):
        io_type = "COMFY_AUTOGROW_V3"

        def __init__(self, id: str, template: Any, *_: Any, **more: Any) -> None:
            super().__init__(id, **more)
            group = "optional" if template.input.optional else "required"
            self.options["template"] = {
                "input": {group: {template.input.id: template.input.to_v1_declaration()}},
                **template.rest,
            }


class DynamicCombo:
    """A combo box whose choice decides on further inputs."""

    class Option:
        def __init__(self, key: str, inputs: Sequence[AnyInput]) -> None:
            self.key = key
            self.inputs = list(inputs)

        def as_dict(self) -> dict[str, Any]:
            groups: dict[str, Any] = {"required": {}, "optional": {}}
            for one in self.inputs:
                groups["optional" if one.optional else "required"][one.id] = one.to_v1_declaration()
            return {"key": self.key, "inputs": {name: group for name, group in groups.items() if group or name == "required"}}

    class Input(AnyInput):
        io_type = "COMFY_DYNAMICCOMBO_V3"

        def __init__(self, id: str, options: Sequence[DynamicCombo.Option], *_: Any, **more: Any) -> None:
            super().__init__(id, **more)
            self.options["options"] = [option.as_dict() for option in options]


class DynamicSlot:
    """An input that shows further inputs when it is connected."""

    class Input(AnyInput):
        io_type = "COMFY_DYNAMICSLOT_V3"

        def __init__(self, slot: AnyInput, inputs: Sequence[AnyInput], *_: Any, **more: Any) -> None:
            super().__init__(slot.id, **{**slot.options, **more}, optional=True)
            self.slot = slot
            self.inputs = list(inputs)

        def list_v1_declarations(self) -> dict[str, tuple[str, dict[str, Any]]]:
            """Return the slot as an optional input without a widget, and the others as ``slot.name``."""
            slot = (self.slot.get_io_type(), {**self.options, "forceInput": True})
            return {self.id: slot, **{f"{self.id}.{one.id}": one.to_v1_declaration() for one in self.inputs}}


AnyType = Custom("*")
_PLAIN_TYPES = """
    Boolean=BOOLEAN Int=INT Float=FLOAT String=STRING Image=IMAGE Mask=MASK Latent=LATENT Video=VIDEO Audio=AUDIO
    UpscaleModel=UPSCALE_MODEL Model=MODEL Clip=CLIP Vae=VAE Conditioning=CONDITIONING ControlNet=CONTROL_NET
    ClipVision=CLIP_VISION ClipVisionOutput=CLIP_VISION_OUTPUT StyleModel=STYLE_MODEL Sampler=SAMPLER Sigmas=SIGMAS
    Noise=NOISE Guider=GUIDER Hooks=HOOKS FlowControl=FLOW_CONTROL Accumulation=ACCUMULATION Webcam=WEBCAM Color=COLOR
    Point=POINT FaceAnalysis=FACE_ANALYSIS BBOX=BBOX SEGS=SEGS SVG=SVG Dict=DICT Array=ARRAY ImageCompare=IMAGECOMPARE
    BoundingBox=BOUNDING_BOX Curve=CURVE Mesh=MESH Voxel=VOXEL WanCameraEmbedding=WAN_CAMERA_EMBEDDING
    BackgroundRemoval=BACKGROUND_REMOVAL Gligen=GLIGEN LatentUpscaleModel=LATENT_UPSCALE_MODEL LoraModel=LORA_MODEL
    LossMap=LOSS_MAP Splat=SPLAT File3DAny=FILE_3D File3DGLB=FILE_3D_GLB File3DGLTF=FILE_3D_GLTF File3DFBX=FILE_3D_FBX
    File3DOBJ=FILE_3D_OBJ File3DSTL=FILE_3D_STL File3DUSDZ=FILE_3D_USDZ File3DPLY=FILE_3D_PLY File3DSPLAT=FILE_3D_SPLAT
    File3DSPZ=FILE_3D_SPZ File3DKSPLAT=FILE_3D_KSPLAT File3DSplatAny=FILE_3D_SPLAT_ANY
    File3DPointCloudAny=FILE_3D_POINT_CLOUD_ANY HookKeyframes=HOOK_KEYFRAMES TimestepsRange=TIMESTEPS_RANGE
    LatentOperation=LATENT_OPERATION Load3DCamera=LOAD3D_CAMERA Load3DModelInfo=LOAD3D_MODEL_INFO Load3D=LOAD_3D
    Load3DAnimation=LOAD_3D_ANIMATION Photomaker=PHOTOMAKER ModelPatch=MODEL_PATCH AudioEncoder=AUDIO_ENCODER
    AudioEncoderOutput=AUDIO_ENCODER_OUTPUT Tracks=TRACKS Colors=COLORS BoundingBoxes=BOUNDING_BOXES Histogram=HISTOGRAM
    Range=RANGE
"""
"""Types without behavior, and their names on a wire."""
globals().update({name: Custom(io_type) for name, _, io_type in (pair.partition("=") for pair in _PLAIN_TYPES.split())})


@dataclass
class Schema:
    """The declaration of a V3 node."""

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[AnyInput] = field(default_factory=list[AnyInput])
    outputs: list[AnyOutput] = field(default_factory=list[AnyOutput])
    hidden: list[Hidden] = field(default_factory=list[Hidden])
    description: str = ""
    search_aliases: list[str] = field(default_factory=list[str])
    is_input_list: bool = False
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    is_dev_only: bool = False
    is_api_node: bool = False
    price_badge: Any = None
    not_idempotent: bool = False
    enable_expand: bool = False
    accept_all_inputs: bool = False
    essentials_category: str | None = None
    has_intermediate_output: bool = False

    def list_hidden(self) -> list[Hidden]:
        """Return the hidden inputs; output nodes always get the prompt and the workflow."""
        given = [Hidden.prompt, Hidden.extra_pnginfo] if self.is_output_node else []
        return list(dict.fromkeys([*self.hidden, *given]))


class NodeOutput:
    """The result of a V3 node."""

    def __init__(
        self, *args: Any, ui: Any = None, expand: dict[str, Any] | None = None, block_execution: str | None = None
    ) -> None:
        self.args = args
        self.ui = ui
        self.expand = expand
        self.block_execution = block_execution

    @property
    def result(self) -> tuple[Any, ...] | None:
        return self.args or None

    def __getitem__(self, index: int) -> Any:
        return self.args[index]


class ComfyNode:
    """The base class of V3 nodes: class methods only, with ``cls.hidden``."""

    hidden = HiddenHolder({})

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(cls.__name__)

    @classmethod
    def execute(cls, *args: Any, **kwargs: Any) -> Any:
        return None

    @classmethod
    def validate_inputs(cls, *args: Any, **kwargs: Any) -> Any:
        return True

    @classmethod
    def fingerprint_inputs(cls, *args: Any, **kwargs: Any) -> Any:
        return None

    @classmethod
    def check_lazy_status(cls, *args: Any, **kwargs: Any) -> list[str]:
        return []
