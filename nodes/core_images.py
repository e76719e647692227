"""More of ComfyUI's built-in image nodes, for the headless runner only: same ids, inputs and pixels as ComfyUI 0.30."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..runtime.host import PICTURE_SUFFIXES
from .core import MAX_RESOLUTION, METHODS, embedded_text, file_is_there, numbered, output_is_possible, shown

if TYPE_CHECKING:
    from ..runtime.host import Host

LONGEST_BATCH = 4096
ANY_PICTURE: tuple[str, dict[str, Any]] = ("IMAGE", {})


def integer(default: int, least: int, most: int, **options: Any) -> tuple[str, dict[str, Any]]:
    """A whole number as ComfyUI's own nodes declare it."""
    return ("INT", {"default": default, "min": least, "max": most, **options})


def _combo(options: list[str], **more: Any) -> tuple[str, dict[str, Any]]:
    return ("COMBO", {**more, "multiselect": False, "options": options})


def _side(default: int = 512) -> tuple[str, dict[str, Any]]:
    return integer(default, 0, MAX_RESOLUTION, step=1)


class ImageScaleToTotalPixels:
    """To a number of megapixels."""

    host: ClassVar[Host]
    CATEGORY = "image/upscaling"
    DESCRIPTION = "Resizes to a number of megapixels (of 1024 x 1024) and keeps the aspect."
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": ANY_PICTURE,
                "upscale_method": _combo(METHODS),
                "megapixels": ("FLOAT", {"default": 1.0, "min": 0.01, "max": 16.0, "step": 0.01}),
                "resolution_steps": integer(1, 1, 256, advanced=True),
            }
        }

    def upscale(self, image: Any, upscale_method: Any, megapixels: float, resolution_steps: int) -> tuple[Any]:
        from ..runtime.upscale.resize_like_comfyui import to_total_pixels

        return (to_total_pixels(image, megapixels, resolution_steps, upscale_method),)


class ImageScaleToMaxDimension:
    """To a longer side."""

    host: ClassVar[Host]
    CATEGORY = "image/upscaling"
    DESCRIPTION = "Resizes so that the longer side has this many pixels, and keeps the aspect."
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        # ComfyUI names bilinear twice, and the place of a word in the list may be what somebody counts on.
        methods = ["area", "lanczos", "bilinear", "nearest-exact", "bilinear", "bicubic"]
        return {"required": {"image": ANY_PICTURE, "upscale_method": _combo(methods), "largest_size": _side()}}

    def upscale(self, image: Any, upscale_method: Any, largest_size: int) -> tuple[Any]:
        from ..runtime.upscale.resize_like_comfyui import to_longer_side

        return (to_longer_side(image, largest_size, upscale_method),)


class ImageInvert:
    """The negative."""

    host: ClassVar[Host]
    CATEGORY = "image/color"
    DESCRIPTION = "Makes a negative: 1 - value."
    SEARCH_ALIASES: ClassVar = ["reverse colors"]
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "invert"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": ("IMAGE",)}}

    def invert(self, image: Any) -> tuple[Any]:
        from ..runtime.images.batches import invert

        return (invert(image),)


class EmptyImage:
    """One colour."""

    host: ClassVar[Host]
    CATEGORY = "image"
    DESCRIPTION = "Makes pictures of one colour."
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "generate"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        side = integer(512, 1, MAX_RESOLUTION, step=1)
        return {
            "required": {
                "width": side,
                "height": side,
                "batch_size": integer(1, 1, LONGEST_BATCH),
                "color": integer(0, 0, 0xFFFFFF, step=1, display="color"),
            }
        }

    def generate(self, width: int, height: int, batch_size: int = 1, color: int = 0) -> tuple[Any]:
        from ..runtime.images.batches import empty

        return (empty(width, height, batch_size, color),)


class LoadImageMask:
    """One plane of a picture."""

    host: ClassVar[Host]
    CATEGORY = "image"
    DESCRIPTION = "Loads one plane of a picture as a mask; alpha is turned around, so that transparent is 1."
    SEARCH_ALIASES: ClassVar = ["import mask", "alpha mask", "channel mask"]
    RETURN_TYPES = ("MASK",)
    FUNCTION = "load_image_mask"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        files = cls.host.input_files(PICTURE_SUFFIXES)
        return {"required": {"image": (files, {"image_upload": True}), "channel": (["alpha", "red", "green", "blue"],)}}

    @classmethod
    def VALIDATE_INPUTS(cls, image: str) -> bool | str:
        return file_is_there(cls.host, image)

    def load_image_mask(self, image: str, channel: str) -> tuple[Any]:
        from ..runtime.images.batches import channel_mask
        from ..runtime.images.tensor import load_like_comfyui

        images, masks = load_like_comfyui(self.host.find_input(image), max_pixels=self.host.input_pixels())
        return (channel_mask(images, masks, channel),)


class LoadImageOutput:
    """A picture of the output folder."""

    host: ClassVar[Host]
    CATEGORY = "image"
    DESCRIPTION = "Loads a picture that an earlier run left in the output folder."
    SEARCH_ALIASES: ClassVar = ["output image", "previous generation"]
    EXPERIMENTAL = True
    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "load_image"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        remote = {"route": "/internal/files/output", "refresh_button": True, "control_after_refresh": "first"}
        return {"required": {"image": ("COMBO", {"image_upload": True, "image_folder": "output", "remote": remote})}}

    @classmethod
    def VALIDATE_INPUTS(cls, image: str) -> bool | str:
        return file_is_there(cls.host, image)

    def load_image(self, image: str) -> tuple[Any, Any]:
        from ..runtime.images.tensor import load_like_comfyui

        return load_like_comfyui(self.host.find_input(image), max_pixels=self.host.input_pixels())


class GetImageSize:
    """Width, height and number."""

    host: ClassVar[Host]
    CATEGORY = "image"
    DESCRIPTION = "Width and height of the pictures, and how many there are."
    SEARCH_ALIASES: ClassVar = ["dimensions", "resolution", "image info"]
    RETURN_TYPES = ("INT", "INT", "INT")
    RETURN_NAMES = ("width", "height", "batch_size")
    FUNCTION = "measure"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": ANY_PICTURE}, "hidden": {"unique_id": "UNIQUE_ID"}}

    def measure(self, image: Any, unique_id: str | None = None) -> tuple[int, int, int]:
        """``unique_id`` is where ComfyUI's canvas shows the size; here nobody looks."""
        return image.shape[2], image.shape[1], image.shape[0]


class SplitImageWithAlpha:
    """Colour and transparency, apart."""

    host: ClassVar[Host]
    CATEGORY = "image/compositing"
    DESCRIPTION = "Takes the alpha channel off a picture, as a mask in which transparent is 1."
    SEARCH_ALIASES: ClassVar = ["extract alpha", "separate transparency", "remove alpha"]
    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "split"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": ANY_PICTURE}}

    def split(self, image: Any) -> tuple[Any, Any]:
        from ..runtime.images.batches import split_alpha

        return split_alpha(image)


class JoinImageWithAlpha:
    """Colour and transparency, together."""

    host: ClassVar[Host]
    CATEGORY = "image/compositing"
    DESCRIPTION = "Puts a mask on a picture as its alpha channel; where the mask is 1, the picture becomes transparent."
    SEARCH_ALIASES: ClassVar = ["add transparency", "apply alpha", "composite alpha", "RGBA"]
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "join"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": ANY_PICTURE, "alpha": ("MASK", {})}}

    def join(self, image: Any, alpha: Any) -> tuple[Any]:
        from ..runtime.images.batches import join_alpha

        return (join_alpha(image, alpha),)


class ImageCompare:
    """Two pictures for a look."""

    host: ClassVar[Host]
    CATEGORY = "image"
    DESCRIPTION = "Saves two batches to the temporary folder, for a look side by side."
    EXPERIMENTAL = True
    RETURN_TYPES = ()
    FUNCTION = "compare"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"compare_view": ("IMAGECOMPARE", {"socketless": True})},
            "optional": {"image_a": ANY_PICTURE, "image_b": ANY_PICTURE},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    def compare(
        self, compare_view: Any, image_a: Any = None, image_b: Any = None, prompt: Any = None, extra_pnginfo: Any = None
    ) -> dict[str, Any]:
        """As in ComfyUI, these files carry no workflow."""
        return {"ui": {"a_images": self._saved(image_a, "a"), "b_images": self._saved(image_b, "b")}}

    def _saved(self, images: Any, letter: str) -> list[dict[str, str]]:
        from ..runtime.images.tensor import save_like_comfyui

        if images is None:
            return []
        find = numbered(self.host, "temp")
        return shown(self.host, "temp", save_like_comfyui(images, f"comfy.compare.{letter}_temp", {}, find))


def _resize_choice(key: str, **inputs: Any) -> dict[str, Any]:
    return {"key": key, "inputs": {"required": inputs}}


class ResizeImageMaskNode:
    """Any way to resize."""

    host: ClassVar[Host]
    CATEGORY = "image/transform"
    DESCRIPTION = "Resizes a picture or a mask, in one of nine ways to say to which size."
    SEARCH_ALIASES: ClassVar = [
        "resize",
        "resize image",
        "resize mask",
        "scale",
        "scale image",
        "scale mask",
        "image resize",
        "change size",
        "dimensions",
        "shrink",
        "enlarge",
    ]
    RETURN_TYPES = ("COMFY_MATCHTYPE_V3",)
    RETURN_NAMES = ("resized",)
    FUNCTION = "resize"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        crop = _combo(["disabled", "center"], default="center")
        choices = [
            _resize_choice("scale dimensions", width=_side(), height=_side(), crop=crop),
            _resize_choice(
                "scale by multiplier", multiplier=("FLOAT", {"default": 1.0, "min": 0.01, "max": 8.0, "step": 0.01})
            ),
            _resize_choice("scale longer dimension", longer_size=_side()),
            _resize_choice("scale shorter dimension", shorter_size=_side()),
            _resize_choice("scale width", width=_side()),
            _resize_choice("scale height", height=_side()),
            _resize_choice(
                "scale total pixels", megapixels=("FLOAT", {"default": 1.0, "min": 0.01, "max": 16.0, "step": 0.01})
            ),
            _resize_choice("match size", match=("IMAGE,MASK", {}), crop=crop),
            _resize_choice("scale to multiple", multiple=integer(8, 1, MAX_RESOLUTION, step=1)),
        ]
        either = {"template": {"template_id": "input_type", "allowed_types": "IMAGE,MASK"}}
        return {
            "required": {
                "input": ("COMFY_MATCHTYPE_V3", either),
                "resize_type": ("COMFY_DYNAMICCOMBO_V3", {"options": choices}),
                "scale_method": _combo(METHODS, default="area"),
            }
        }

    def resize(self, input: Any, resize_type: str, scale_method: Any = "area", **shown_inputs: Any) -> tuple[Any]:
        """``shown_inputs`` are those of the choice, named ``resize_type.width`` and so on."""
        from ..runtime.upscale.resize_like_comfyui import resize_as_chosen

        values = {name.removeprefix("resize_type."): value for name, value in shown_inputs.items()}
        return (resize_as_chosen(input, resize_type, values, scale_method),)


class SaveImageAdvanced:
    """PNG of 8 or 16 bits, or EXR."""

    host: ClassVar[Host]
    CATEGORY = "image"
    DESCRIPTION = "Saves PNG of 8 or 16 bits, or EXR of linear light, with the workflow inside."
    SEARCH_ALIASES: ClassVar = ["save", "save image", "export image", "output image", "write image"]
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        def depth(*words: str) -> Any:
            return _combo(list(words), default=words[0], advanced=True)

        formats = [
            {"key": "png", "inputs": {"required": {"bit_depth": depth("8-bit", "16-bit"), "input_color_space": depth("sRGB")}}},
            {
                "key": "exr",
                "inputs": {
                    "required": {"bit_depth": depth("32-bit float"), "input_color_space": depth("sRGB", "HDR", "linear")}
                },
            },
        ]
        return {
            "required": {
                "images": ("IMAGE", {"tooltip": "The images to save."}),
                "filename_prefix": ("STRING", {"default": "ComfyUI", "multiline": False}),
                "format": ("COMFY_DYNAMICCOMBO_V3", {"options": formats}),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, filename_prefix: str | None) -> bool | str:
        return output_is_possible(cls.host, filename_prefix)

    def save(
        self,
        images: Any,
        format: str,
        filename_prefix: str = "ComfyUI",
        prompt: Any = None,
        extra_pnginfo: Any = None,
        **shown_inputs: Any,
    ) -> dict[str, Any]:
        """``shown_inputs`` are those of the format, named ``format.bit_depth`` and ``format.input_color_space``."""
        from ..runtime.images.save_advanced import save_advanced

        text = {key: json.dumps(value) for key, value in embedded_text(prompt, extra_pnginfo).items()}
        bits = int(shown_inputs["format.bit_depth"].partition("-")[0])
        space = shown_inputs.get("format.input_color_space", "sRGB")
        saved: list[Path] = []
        for index, image in enumerate(images):
            path = self._path(filename_prefix, f".{format}", index, image)
            saved.append(save_advanced(path, image, bits, space, text))
        return {"ui": {"images": shown(self.host, "output", saved)}, "result": (images,)}

    def _path(self, prefix: str, suffix: str, index: int, image: Any) -> Path:
        """This node puts no ``_`` behind the number."""
        numbered_path = numbered(self.host, "output")(prefix, suffix, index, width=image.shape[1], height=image.shape[0])
        return numbered_path.with_name(numbered_path.name.removesuffix(f"_{suffix}") + suffix)


NODES: dict[str, tuple[type, str]] = {
    "ImageScaleToTotalPixels": (ImageScaleToTotalPixels, "Scale Image to Total Pixels"),
    "ImageScaleToMaxDimension": (ImageScaleToMaxDimension, "Scale Image to Max Dimension"),
    "ImageInvert": (ImageInvert, "Invert Image Colors"),
    "EmptyImage": (EmptyImage, "Empty Image"),
    "LoadImageMask": (LoadImageMask, "Load Image (as Mask)"),
    "LoadImageOutput": (LoadImageOutput, "Load Image (from Outputs)"),
    "GetImageSize": (GetImageSize, "Get Image Size"),
    "SplitImageWithAlpha": (SplitImageWithAlpha, "Split Image with Alpha"),
    "JoinImageWithAlpha": (JoinImageWithAlpha, "Join Image with Alpha"),
    "ImageCompare": (ImageCompare, "Compare Images"),
    "ResizeImageMaskNode": (ResizeImageMaskNode, "Resize Image/Mask"),
    "SaveImageAdvanced": (SaveImageAdvanced, "Save Image (Advanced)"),
}
