"""ComfyUI's masks, curves and sound that shared workflows need, for the headless runner only: results of ComfyUI 0.30."""

from typing import Any, ClassVar

from ...runtime import comfyui
from ..declare import Node
from .image import MAX_RESOLUTION, PreviewImage
from .image_extras import ANY_IMAGE, combo_spec, int_spec

_MASK: tuple[str, dict[str, Any]] = ("MASK", {})
_AUDIO: tuple[str, dict[str, Any]] = ("AUDIO", {})
_PLACE, _SIDE = int_spec(0, 0, MAX_RESOLUTION, step=1), int_spec(512, 1, MAX_RESOLUTION, step=1)
_OFF = ("BOOLEAN", {"default": False})


class _MaskNode(Node):
    CATEGORY = "image/mask"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("MASK",)


class MaskToImage(_MaskNode, title="Convert Mask to Image"):
    DESCRIPTION = "Shows a mask as a grey image."
    SEARCH_ALIASES: ClassVar = ["convert mask"]
    RETURN_TYPES = ("IMAGE",)
    INPUTS: ClassVar = {"required": {"mask": _MASK}}

    def run(self, mask: Any) -> tuple[Any]:
        return (comfyui.mask_to_images(mask),)


class ImageToMask(_MaskNode, title="Convert Image to Mask"):
    DESCRIPTION = "Returns one channel of an image as a mask."
    SEARCH_ALIASES: ClassVar = ["extract channel", "channel to mask"]
    CHANNELS: ClassVar = ["red", "green", "blue", "alpha"]
    INPUTS: ClassVar = {"required": {"image": ANY_IMAGE, "channel": combo_spec(CHANNELS)}}

    def run(self, image: Any, channel: str) -> tuple[Any]:
        return (image[..., self.CHANNELS.index(channel)],)


class ImageColorToMask(_MaskNode, title="Convert Image Color to Mask"):
    DESCRIPTION = "Makes a mask of the pixels of one color, red times 65536 plus green times 256 plus blue."
    SEARCH_ALIASES: ClassVar = ["color keying", "chroma key"]
    INPUTS: ClassVar = {"required": {"image": ANY_IMAGE, "color": int_spec(0, 0, 0xFFFFFF, step=1, display="number")}}

    def run(self, image: Any, color: int = 0) -> tuple[Any]:
        return (comfyui.match_color(image, color),)


class SolidMask(_MaskNode, title="Create Solid Mask"):
    DESCRIPTION = "Makes a mask of one value."
    _VALUE = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01})
    INPUTS: ClassVar = {"required": {"value": _VALUE, "width": _SIDE, "height": _SIDE}}

    def run(self, value: float = 1.0, width: int = 512, height: int = 512) -> tuple[Any]:
        return (comfyui.make_empty_images(width, height, 1, 0)[..., 0] + value,)


class InvertMask(_MaskNode, title="Invert Mask"):
    DESCRIPTION = "Inverts a mask: 1 - value."
    SEARCH_ALIASES: ClassVar = ["reverse mask", "flip mask"]
    INPUTS: ClassVar = {"required": {"mask": _MASK}}

    def run(self, mask: Any) -> tuple[Any]:
        return (1.0 - mask,)


class CropMask(_MaskNode, title="Crop Mask"):
    DESCRIPTION = "Cuts a rectangle out of a mask; what lies beyond it is left away."
    SEARCH_ALIASES: ClassVar = ["cut mask", "extract mask region", "mask slice"]
    INPUTS: ClassVar = {"required": {"mask": _MASK, "x": _PLACE, "y": _PLACE, "width": _SIDE, "height": _SIDE}}

    def run(self, mask: Any, x: int = 0, y: int = 0, width: int = 512, height: int = 512) -> tuple[Any]:
        return (comfyui.as_planes(mask)[:, y : y + height, x : x + width],)


class MaskComposite(_MaskNode, title="Combine Masks"):
    DESCRIPTION = "Combines two masks, the second with its corner at x and y."
    SEARCH_ALIASES: ClassVar = ["combine masks", "blend masks", "layer masks", "masks composition"]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        operation = combo_spec(["multiply", "add", "subtract", "and", "or", "xor"])
        return {"required": {"destination": _MASK, "source": _MASK, "x": _PLACE, "y": _PLACE, "operation": operation}}

    def run(self, destination: Any, source: Any, operation: str, x: int = 0, y: int = 0) -> tuple[Any]:
        return (comfyui.combine_masks(destination, source, x, y, operation),)


class FeatherMask(_MaskNode, title="Feather Mask"):
    DESCRIPTION = "Fades a mask towards its borders, by a number of pixels each."
    SEARCH_ALIASES: ClassVar = ["soft edge mask", "blur mask edges", "gradient mask edge"]
    INPUTS: ClassVar = {"required": {"mask": _MASK, "left": _PLACE, "top": _PLACE, "right": _PLACE, "bottom": _PLACE}}

    def run(self, mask: Any, left: int = 0, top: int = 0, right: int = 0, bottom: int = 0) -> tuple[Any]:
        return (comfyui.feather_mask(mask, left, top, right, bottom),)


class GrowMask(_MaskNode, title="Grow Mask"):
    DESCRIPTION = "Grows a mask by a number of pixels; shrinks it when negative."
    SEARCH_ALIASES: ClassVar = ["expand mask", "shrink mask"]
    _TAPERED = ("BOOLEAN", {"default": True, "advanced": True})
    _PIXELS = int_spec(0, -MAX_RESOLUTION, MAX_RESOLUTION, step=1)
    INPUTS: ClassVar = {"required": {"mask": _MASK, "expand": _PIXELS, "tapered_corners": _TAPERED}}

    def run(self, mask: Any, expand: int = 0, tapered_corners: bool = True) -> tuple[Any]:
        return (comfyui.grow_mask(mask, expand, tapered_corners),)


class ThresholdMask(_MaskNode, title="Threshold Mask"):
    DESCRIPTION = "Makes a mask of 1 where another is above a value, else 0."
    SEARCH_ALIASES: ClassVar = ["binary mask"]
    _VALUE = ("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.01})
    INPUTS: ClassVar = {"required": {"mask": _MASK, "value": _VALUE}}

    def run(self, mask: Any, value: float = 0.5) -> tuple[Any]:
        return ((mask > value).float(),)


class MaskPreview(PreviewImage, title="Preview Mask"):
    CATEGORY = "image/mask"
    DESCRIPTION = "Saves masks to the temporary folder, which is deleted when the run ends."
    SEARCH_ALIASES: ClassVar = ["show mask", "view mask", "inspect mask", "debug mask"]
    RETURN_TYPES = ("MASK",)
    RETURN_NAMES = ("mask",)
    FUNCTION = "run"
    INPUTS: ClassVar = {"required": {"mask": _MASK}, "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}}

    def run(self, mask: Any, prompt: Any = None, extra_pnginfo: Any = None) -> dict[str, Any]:
        saved = self.save_images(comfyui.mask_to_images(mask), prompt=prompt, extra_pnginfo=extra_pnginfo)
        return saved | {"result": (mask,)}


class ImageCompositeMasked(Node, title="Image Composite Masked"):
    CATEGORY = "image/compositing"
    DESCRIPTION = "Puts an image on another, with its corner at x and y, where the mask is 1."
    SEARCH_ALIASES: ClassVar = ["overlay", "layer", "paste image", "images composition"]
    RETURN_TYPES = ("IMAGE",)
    _REQUIRED: ClassVar = {"destination": ANY_IMAGE, "source": ANY_IMAGE, "x": _PLACE, "y": _PLACE, "resize_source": _OFF}
    INPUTS: ClassVar = {"required": _REQUIRED, "optional": {"mask": _MASK}}

    def run(
        self, destination: Any, source: Any, x: int = 0, y: int = 0, resize_source: bool = False, mask: Any = None
    ) -> tuple[Any]:
        return (comfyui.composite_images(destination, source, x, y, resize_source, mask),)


class ResizeAndPadImage(Node, title="Resize And Pad Image"):
    CATEGORY = "image/transform"
    DESCRIPTION = "Resizes to fit into a width and height, and fills the rest with white or black."
    SEARCH_ALIASES: ClassVar = ["fit to size"]
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        methods = combo_spec(["area", "bicubic", "nearest-exact", "bilinear", "lanczos"], advanced=True)
        color = combo_spec(["white", "black"], advanced=True)
        sides = {"target_width": _SIDE, "target_height": _SIDE}
        return {"required": {"image": ANY_IMAGE, **sides, "padding_color": color, "interpolation": methods}}

    def run(
        self, image: Any, padding_color: str, interpolation: str, target_width: int = 512, target_height: int = 512
    ) -> tuple[Any]:
        return (comfyui.fit_into(image, target_width, target_height, padding_color, interpolation),)


class CurveEditor(Node, title="Curve Editor"):
    CATEGORY = "utilities"
    DESCRIPTION = "A tone curve for the inputs that it is linked to."
    RETURN_TYPES = ("CURVE",)
    RETURN_NAMES = ("curve",)
    _STRAIGHT: ClassVar = {"points": [[0.0, 0.0], [1.0, 1.0]], "interpolation": "monotone_cubic"}
    _CURVE = ("CURVE", {"default": _STRAIGHT, "socketless": True})
    INPUTS: ClassVar = {"required": {"curve": _CURVE}, "optional": {"histogram": ("HISTOGRAM", {})}}

    def run(self, curve: Any, histogram: Any = None) -> tuple[Any]:
        comfyui.sample_curve(curve)
        return (curve,)


class ImageHistogram(Node, title="Image Histogram"):
    CATEGORY = "utilities"
    DESCRIPTION = "Counts the 256 levels of the first image: mean of the channels, luminance, red, green and blue."
    RETURN_TYPES = ("HISTOGRAM",) * 5
    RETURN_NAMES = ("rgb", "luminance", "red", "green", "blue")
    INPUTS: ClassVar = {"required": {"image": ANY_IMAGE}}

    def run(self, image: Any) -> tuple[list[int], ...]:
        return comfyui.make_histograms(image)


class EmptyAudio(Node, title="Empty Audio"):
    CATEGORY = "audio"
    DESCRIPTION = "Makes silence of a number of seconds."
    SEARCH_ALIASES: ClassVar = ["blank audio"]
    RETURN_TYPES = ("AUDIO",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        duration = ("FLOAT", {"default": 60.0, "min": 0.0, "max": 0xFFFFFFFFFFFFFFFF, "step": 0.01})
        rate, channels = int_spec(44100, 1, 192000, advanced=True), int_spec(2, 1, 2, advanced=True)
        return {"required": {"duration": duration, "sample_rate": rate, "channels": channels}}

    def run(self, duration: float = 60.0, sample_rate: int = 44100, channels: int = 2) -> tuple[Any]:
        return (comfyui.make_silence(duration, sample_rate, channels),)


class AudioMerge(Node, title="Merge Audio"):
    CATEGORY = "audio"
    DESCRIPTION = "Mixes two sounds; the result is as long as the first."
    SEARCH_ALIASES: ClassVar = ["mix audio", "overlay audio", "layer audio"]
    RETURN_TYPES = ("AUDIO",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "audio1": _AUDIO,
                "audio2": _AUDIO,
                "merge_method": combo_spec(["add", "mean", "subtract", "multiply"]),
            }
        }

    def run(self, audio1: Any, audio2: Any, merge_method: str) -> tuple[Any]:
        present = [audio for audio in (audio1, audio2) if audio is not None]
        return (comfyui.merge_audio(audio1, audio2, merge_method) if len(present) == 2 else present[0] if present else None,)
