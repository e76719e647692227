"""ComfyUI's light nodes that shared workflows need, for the headless runner only: ids, inputs and results of ComfyUI 0.30."""

import math
import re
import string
from collections.abc import Mapping
from typing import Any, ClassVar

from ...runtime import comfyui
from ...runtime.errors import NodeError
from ..declare import Node
from .image import MAX_RESOLUTION
from .image_extras import ANY_IMAGE, int_spec

_DEFAULT_SHADER = """#version 300 es
precision highp float;

uniform sampler2D u_image0;
uniform vec2 u_resolution;

in vec2 v_texCoord;
layout(location = 0) out vec4 fragColor0;

void main() {
    fragColor0 = texture(u_image0, v_texCoord);
}
"""
_UNIFORMS: Mapping[str, tuple[str, str, Any, int]] = {
    "floats": ("u_float", "FLOAT", 0.0, 20),
    "ints": ("u_int", "INT", 0, 20),
    "bools": ("u_bool", "BOOLEAN", False, 10),
    "curves": ("u_curve", "CURVE", {"points": [[0.0, 0.0], [1.0, 1.0]], "interpolation": "monotone_cubic"}, 4),
}
"""group -> prefix, type, default and number of uniforms"""


class ComfyMathExpression(Node, title="Math Expression"):
    CATEGORY = "utilities"
    DESCRIPTION = "Calculates an expression of its inputs a, b, c and so on; values is their list."
    SEARCH_ALIASES: ClassVar = ["expression", "formula", "calculate", "calculator", "eval", "math"]
    RETURN_TYPES = ("FLOAT", "INT", "BOOLEAN")
    RETURN_NAMES = ("FLOAT", "INT", "BOOL")
    FUNCTION = "evaluate"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        value: dict[str, Any] = {"value": ("FLOAT,INT,BOOLEAN", {})}
        template: dict[str, Any] = {"input": {"required": value}, "names": list(string.ascii_lowercase), "min": 1}
        expression = ("STRING", {"default": "a + b", "multiline": True})
        return {"required": {"expression": expression, "values": ("COMFY_AUTOGROW_V3", {"template": template})}}

    def evaluate(self, expression: str = "a + b", **values: Any) -> tuple[float, int, bool]:
        return comfyui.calculate(expression, {name.removeprefix("values."): value for name, value in values.items()})


class ComfyNumberConvert(Node, title="Convert Number"):
    CATEGORY = "utilities"
    DESCRIPTION = "Converts a number, a text or a boolean to a number and an integer."
    SEARCH_ALIASES: ClassVar = [
        *("int to float", "float to int", "number convert", "int2float", "float2int", "cast", "parse number"),
        *("string to number", "bool to int"),
    ]
    RETURN_TYPES = ("FLOAT", "INT")
    FUNCTION = "to_number"
    INPUTS: ClassVar = {"required": {"value": ("INT,FLOAT,STRING,BOOLEAN", {"display_name": "value"})}}

    def to_number(self, value: Any) -> tuple[float, int]:
        try:
            number = float(value)
            if not math.isfinite(number):
                raise ValueError(value)
            is_integer = not isinstance(value, str) or re.fullmatch(r"\s*[+-]?\d+\s*", value)
            return number, int(value) if is_integer else int(number)
        except (TypeError, ValueError, OverflowError) as error:
            raise NodeError(f"{value!r} is not a finite number.", "Enter a number such as 2.5.") from error


class ColorToRGBInt(Node, title="Color Picker"):
    CATEGORY = "utilities"
    DESCRIPTION = "Returns a color as an integer, red times 65536 plus green times 256 plus blue, and its alpha."
    RETURN_TYPES = ("INT", "COLOR", "FLOAT")
    RETURN_NAMES = ("rgb_int", "hex", "alpha")
    FUNCTION = "to_integer"
    INPUTS: ClassVar = {"required": {"color": ("COLOR", {"default": "#ffffff", "socketless": True})}}

    def to_integer(self, color: str = "#ffffff") -> tuple[int, str, float]:
        if not re.fullmatch(r"#([0-9a-fA-F]{6}|[0-9a-fA-F]{8})", color):
            raise NodeError(f"{color!r} is not a color.", "Write #RRGGBB or #RRGGBBAA.")
        return int(color[1:7], 16), color[:7], int(color[7:] or "ff", 16) / 255.0


class RegexExtract(Node, title="Extract Text"):
    CATEGORY = "text"
    DESCRIPTION = "Returns what a regular expression finds in a text, several results in lines; nothing for a wrong expression."
    SEARCH_ALIASES: ClassVar = ["regex extract", "regex", "pattern extract", "text parser", "parse text"]
    RETURN_TYPES = ("STRING",)
    FUNCTION = "extract"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        modes = ["First Match", "All Matches", "First Group", "All Groups"]
        text = ("STRING", {"multiline": True})
        off = ("BOOLEAN", {"advanced": True, "default": False})
        return {
            "required": {
                "string": text,
                "regex_pattern": text,
                "mode": ("COMBO", {"multiselect": False, "options": modes}),
                "case_insensitive": ("BOOLEAN", {"advanced": True, "default": True}),
                "multiline": off,
                "dotall": off,
                "group_index": int_spec(1, 0, 100, advanced=True),
            }
        }

    def extract(
        self,
        string: str,
        regex_pattern: str,
        mode: str,
        case_insensitive: bool = True,
        multiline: bool = False,
        dotall: bool = False,
        group_index: int = 1,
    ) -> tuple[str]:
        flags = re.IGNORECASE * case_insensitive | re.MULTILINE * multiline | re.DOTALL * dotall
        try:
            matches = list(re.finditer(regex_pattern, string, flags))
        except re.error:
            return ("",)
        if mode == "All Matches":  # with groups, the first of them
            return ("\n".join(match.group(1 if match.re.groups else 0) or "" for match in matches),)
        if mode == "First Match":
            return (matches[0].group(0) if matches else "",)
        found = [match.group(group_index) or "" for match in matches if len(match.groups()) >= group_index]
        if mode == "First Group":
            return (found[0] if found and len(matches[0].groups()) >= group_index else "",)
        return ("\n".join(text for text, match in zip(found, matches, strict=False) if match.groups()),)


class PrimitiveBoundingBox(Node, title="Bounding Box"):
    CATEGORY = "utilities/primitive"
    DESCRIPTION = "A rectangle in pixels for the inputs that it is linked to."
    RETURN_TYPES = ("BOUNDING_BOX",)
    FUNCTION = "give"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        start, side = int_spec(0, 0, MAX_RESOLUTION), int_spec(512, 1, MAX_RESOLUTION)
        return {"required": {"x": start, "y": start, "width": side, "height": side}}

    def give(self, x: int = 0, y: int = 0, width: int = 512, height: int = 512) -> tuple[dict[str, int]]:
        return ({"x": x, "y": y, "width": width, "height": height},)


class ImageCropV2(Node, title="Crop Image"):
    CATEGORY = "image/transform"
    DESCRIPTION = "Cuts a rectangle out of images; what lies beyond them is left away."
    SEARCH_ALIASES: ClassVar = ["crop", "cut", "trim"]
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "crop"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        region = {"x": 0, "y": 0, "width": 512, "height": 512}
        options = {"default": region, "socketless": True, "component": "ImageCrop"}
        return {"required": {"image": ANY_IMAGE, "crop_region": ("BOUNDING_BOX", options)}}

    def crop(self, image: Any, crop_region: Mapping[str, int]) -> tuple[Any]:
        left = min(crop_region.get("x", 0), image.shape[2] - 1)
        top = min(crop_region.get("y", 0), image.shape[1] - 1)
        return (image[:, top : top + crop_region.get("height", 512), left : left + crop_region.get("width", 512), :],)


class ImageStitch(Node, title="Stitch Images"):
    CATEGORY = "image/transform"
    DESCRIPTION = "Joins two images in a row or a column, with a gap if wanted. Without image2, image1 is returned."
    SEARCH_ALIASES: ClassVar = ["combine images", "join images", "concatenate images", "side by side"]
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "stitch"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        colors = ["white", "black", "red", "green", "blue"]
        directions = {"default": "right", "multiselect": False, "options": ["right", "down", "left", "up"]}
        return {
            "required": {
                "image1": ANY_IMAGE,
                "direction": ("COMBO", directions),
                "match_image_size": ("BOOLEAN", {"default": True}),
                "spacing_width": int_spec(0, 0, 1024, step=2, advanced=True),
                "spacing_color": ("COMBO", {"advanced": True, "default": "white", "multiselect": False, "options": colors}),
            },
            "optional": {"image2": ANY_IMAGE},
        }

    def stitch(
        self,
        image1: Any,
        direction: str = "right",
        match_image_size: bool = True,
        spacing_width: int = 0,
        spacing_color: str = "white",
        image2: Any = None,
    ) -> tuple[Any]:
        return (comfyui.stitch_images(image1, image2, direction, match_image_size, spacing_width, spacing_color),)


class GLSLShader(Node, title="GLSL Shader"):
    CATEGORY = "image/shader"
    DESCRIPTION = "Runs a GLSL ES 3.00 fragment shader on images. Needs OpenGL ES 3; Mesa's CPU driver suffices."
    EXPERIMENTAL = True
    RETURN_TYPES = ("IMAGE",) * 4
    RETURN_NAMES = ("IMAGE0", "IMAGE1", "IMAGE2", "IMAGE3")
    FUNCTION = "render"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        side = int_spec(512, 1, MAX_RESOLUTION)
        custom = {"key": "custom", "inputs": {"required": {"width": side, "height": side}}}
        sizes: dict[str, Any] = {"options": [{"key": "from_input", "inputs": {"required": {}}}, custom]}
        groups: dict[str, Any] = {"images": _grow({"image": ANY_IMAGE}, "image", 1, 5)}
        for group, (prefix, kind, default, limit) in _UNIFORMS.items():
            more = {"socketless": True} if kind == "CURVE" else {}
            spec = (kind, {"default": default, **more, "forceInput": True})
            groups[group] = _grow({group.removesuffix("s"): spec}, prefix, 0, limit)
        shader = ("STRING", {"default": _DEFAULT_SHADER, "multiline": True})
        return {"required": {"fragment_shader": shader, "size_mode": ("COMFY_DYNAMICCOMBO_V3", sizes), **groups}}

    def render(self, size_mode: str, fragment_shader: str = _DEFAULT_SHADER, **inputs: Any) -> tuple[Any, ...]:
        """``inputs`` may hold ``size_mode.width``, ``images.image0``, ``floats.u_float0`` and so on."""
        images = [inputs[name] for name in (f"images.image{number}" for number in range(5)) if inputs.get(name) is not None]
        size = (inputs["size_mode.width"], inputs["size_mode.height"]) if size_mode == "custom" else None
        uniforms: dict[str, Any] = {}
        for group, (prefix, _, default, limit) in _UNIFORMS.items():
            given = [inputs[name] for name in (f"{group}.{prefix}{n}" for n in range(limit)) if name in inputs]
            is_curve = group == "curves"  # their values are textures
            values = [comfyui.sample_curve(one or default) if is_curve else type(default)(one or default) for one in given]
            uniforms |= {f"{prefix}{n}": value for n, value in enumerate(values)}
        return comfyui.apply_shader(fragment_shader, size, images, uniforms)


def _grow(inputs: Mapping[str, Any], prefix: str, least: int, most: int) -> tuple[str, dict[str, Any]]:
    template = {"input": {"required": inputs}, "prefix": prefix, "min": least, "max": most}
    return ("COMFY_AUTOGROW_V3", {"template": template})
