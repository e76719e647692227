"""ComfyUI's built-in values, switch and texts, for the headless runner only: same ids, inputs and results as ComfyUI 0.30."""

from typing import Any, ClassVar

from ...runtime import comfyui
from ..declare import Node

_MAX_INT = 2**63 - 1  # ComfyUI takes Python's sys.maxsize, which is this on every machine of 64 bits


_MISSING: Any = object()  # an input that is not linked; one that is, and not computed yet, is None


class _Primitive(Node):
    """A value that is typed once and linked to many inputs."""

    CATEGORY = "utilities/primitive"
    FUNCTION = "give"

    def give(self, value: Any) -> tuple[Any]:
        return (value,)


class PrimitiveInt(_Primitive, title="Int"):
    DESCRIPTION = "An integer for the inputs that it is linked to."
    RETURN_TYPES = ("INT",)
    INPUTS: ClassVar = {"required": {"value": ("INT", {"min": -_MAX_INT, "max": _MAX_INT, "control_after_generate": "fixed"})}}


class PrimitiveFloat(_Primitive, title="Float"):
    DESCRIPTION = "A number for the inputs that it is linked to."
    RETURN_TYPES = ("FLOAT",)
    INPUTS: ClassVar = {"required": {"value": ("FLOAT", {"min": -_MAX_INT, "max": _MAX_INT, "step": 0.1})}}


class PrimitiveString(_Primitive, title="Text"):
    DESCRIPTION = "A line of text for the inputs that it is linked to."
    SEARCH_ALIASES: ClassVar = ["text", "string", "text box", "prompt"]
    RETURN_TYPES = ("STRING",)
    INPUTS: ClassVar = {"required": {"value": ("STRING", {"multiline": False})}}


class PrimitiveStringMultiline(_Primitive, title="Text (Multiline)"):
    DESCRIPTION = "Lines of text for the inputs that it is linked to."
    SEARCH_ALIASES: ClassVar = ["text", "string", "text multiline", "string multiline", "text box", "prompt"]
    RETURN_TYPES = ("STRING",)
    INPUTS: ClassVar = {"required": {"value": ("STRING", {"multiline": True})}}


class PrimitiveBoolean(_Primitive, title="Boolean"):
    DESCRIPTION = "A boolean for the inputs that it is linked to."
    RETURN_TYPES = ("BOOLEAN",)
    INPUTS: ClassVar = {"required": {"value": ("BOOLEAN", {})}}


class PreviewAny(Node, title="Preview as Text"):
    CATEGORY = "utilities"
    DESCRIPTION = "Shows any value as text, and returns the text."
    SEARCH_ALIASES: ClassVar = ["show output", "inspect", "debug", "print value", "show text"]
    RETURN_TYPES = ("STRING",)
    FUNCTION = "show"
    OUTPUT_NODE = True
    INPUTS: ClassVar = {"required": {"source": ("*", {})}}

    def show(self, source: Any) -> dict[str, Any]:
        text = comfyui.format_value(source)
        return {"ui": {"text": (text,)}, "result": (text,)}


class ComfySwitchNode(Node, title="If/Else Switch"):
    CATEGORY = "utilities/logic"
    DESCRIPTION = "Passes on one of two inputs. Nodes that only the other one needs do not run."
    SEARCH_ALIASES: ClassVar = ["if", "then", "switch", "conditional", "branch"]
    EXPERIMENTAL = True
    RETURN_TYPES = ("COMFY_MATCHTYPE_V3",)
    OUTPUT_MATCHTYPES = ("switch",)
    RETURN_NAMES = ("output",)
    FUNCTION = "choose"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        either = ("COMFY_MATCHTYPE_V3", {"lazy": True, "template": {"template_id": "switch", "allowed_types": "*"}})
        # optional since ComfyUI 0.34
        return {"required": {"switch": ("BOOLEAN", {})}, "optional": {"on_false": either, "on_true": either}}

    def check_lazy_status(self, switch: bool, on_false: Any = _MISSING, on_true: Any = _MISSING) -> list[str]:
        selected_input, value = ("on_true", on_true) if switch else ("on_false", on_false)
        return [selected_input] if value is None else []

    def choose(self, switch: bool, on_false: Any = None, on_true: Any = None) -> tuple[Any]:
        return (on_true if switch else on_false,)


class CustomCombo(Node, title="Custom Combo"):
    CATEGORY = "utilities"
    DESCRIPTION = "Returns the chosen one of the words typed into the node on the canvas, and its index."
    EXPERIMENTAL = True
    RETURN_TYPES = ("STRING", "INT")
    RETURN_NAMES = ("STRING", "INDEX")
    FUNCTION = "choose"
    INPUTS: ClassVar = {"required": {"choice": ("COMBO", {"multiselect": False, "options": []})}, "hidden": {"index": "INDEX"}}

    @classmethod
    def VALIDATE_INPUTS(cls, choice: str) -> bool:
        """Accept any choice: only the canvas knows the list."""
        return True

    def choose(self, choice: str, index: int | None = None) -> tuple[str, int]:
        return choice, index or 0


class StringConcatenate(Node, title="Concatenate Text"):
    CATEGORY = "text"
    DESCRIPTION = "Joins two texts with a third between them."
    SEARCH_ALIASES: ClassVar = [
        *("concatenate", "text concat", "join text", "merge text", "combine strings"),
        *("string concat", "append text", "combine text"),
    ]
    RETURN_TYPES = ("STRING",)
    FUNCTION = "join"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        text = ("STRING", {"multiline": True})
        between = ("STRING", {"default": "", "multiline": False})
        return {"required": {"string_a": text, "string_b": text, "delimiter": between}}

    def join(self, string_a: str, string_b: str, delimiter: str = "") -> tuple[str]:
        return (f"{string_a}{delimiter}{string_b}",)


class StringReplace(Node, title="Replace Text"):
    CATEGORY = "text"
    DESCRIPTION = "Replaces every occurrence of a text by another."
    SEARCH_ALIASES: ClassVar = ["replace", "find and replace", "substitute", "swap text"]
    RETURN_TYPES = ("STRING",)
    FUNCTION = "exchange"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        text = ("STRING", {"multiline": True})
        return {"required": {"string": text, "find": text, "replace": text}}

    def exchange(self, string: str, find: str, replace: str) -> tuple[str]:
        return (string.replace(find, replace),)
