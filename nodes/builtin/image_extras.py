"""More of ComfyUI's built-in image nodes, for the headless runner only: same ids, inputs and pixels as ComfyUI 0.30."""

from pathlib import Path
from typing import Any, ClassVar

from ...runtime import comfyui
from ...runtime.file_types import IMAGE_SUFFIXES
from ...runtime.media import Size
from ..declare import Node
from ..outputs import dump_workflow_text, format_ui_files, make_numbered_path_finder
from ..validate import file_is_there, output_is_possible
from .image import MAX_RESOLUTION, RESIZE_METHODS, LoadImage

MAX_BATCH = 4096
_MAX_MERGED_SIDE = 32768
_MAX_GROUP = 50
ANY_IMAGE: tuple[str, dict[str, Any]] = ("IMAGE", {})


def int_spec(default: int, minimum: int, maximum: int, **options: Any) -> tuple[str, dict[str, Any]]:
    """Declare an integer as ComfyUI's own nodes do."""
    return ("INT", {"default": default, "min": minimum, "max": maximum, **options})


def combo_spec(options: list[str], **extra: Any) -> tuple[str, dict[str, Any]]:
    """Declare a choice as ComfyUI's own nodes do."""
    return ("COMBO", {**extra, "multiselect": False, "options": options})


def dynamic_option(key: str, **inputs: Any) -> dict[str, Any]:
    """Declare what one choice of a dynamic combo shows."""
    return {"key": key, "inputs": {"required": inputs}}


def _side_spec(default: int = 512) -> tuple[str, dict[str, Any]]:
    return int_spec(default, 0, MAX_RESOLUTION, step=1)


class ImageScaleToTotalPixels(Node, title="Scale Image to Total Pixels"):
    CATEGORY = "image/upscaling"
    DESCRIPTION = "Resizes to a number of megapixels (of 1024 x 1024) and keeps the aspect."
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"
    INPUTS: ClassVar = {
        "required": {
            "image": ANY_IMAGE,
            "upscale_method": combo_spec(RESIZE_METHODS),
            "megapixels": ("FLOAT", {"default": 1.0, "min": 0.01, "max": 16.0, "step": 0.01}),
            "resolution_steps": int_spec(1, 1, 256, advanced=True),
        }
    }

    def upscale(self, image: Any, upscale_method: Any, megapixels: float, resolution_steps: int) -> tuple[Any]:
        return (comfyui.scale_to_total_pixels(image, megapixels, resolution_steps, upscale_method),)


class ImageScaleToMaxDimension(Node, title="Scale Image to Max Dimension"):
    CATEGORY = "image/upscaling"
    DESCRIPTION = "Resizes so that the longer side has this many pixels, and keeps the aspect."
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        # ComfyUI lists bilinear twice; clients may rely on positions in the list.
        methods = ["area", "lanczos", "bilinear", "nearest-exact", "bilinear", "bicubic"]
        return {"required": {"image": ANY_IMAGE, "upscale_method": combo_spec(methods), "largest_size": _side_spec()}}

    def upscale(self, image: Any, upscale_method: Any, largest_size: int) -> tuple[Any]:
        return (comfyui.scale_to_longer_side(image, largest_size, upscale_method),)


class ImageInvert(Node, title="Invert Image Colors"):
    CATEGORY = "image/color"
    DESCRIPTION = "Makes a negative: 1 - value."
    SEARCH_ALIASES: ClassVar = ["reverse colors"]
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "invert"
    INPUTS: ClassVar = {"required": {"image": ("IMAGE",)}}

    def invert(self, image: Any) -> tuple[Any]:
        return (comfyui.invert_images(image),)


class EmptyImage(Node, title="Empty Image"):
    CATEGORY = "image"
    DESCRIPTION = "Makes images of one color."
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "generate"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        side = int_spec(512, 1, MAX_RESOLUTION, step=1)
        return {
            "required": {
                "width": side,
                "height": side,
                "batch_size": int_spec(1, 1, MAX_BATCH),
                "color": int_spec(0, 0, 0xFFFFFF, step=1, display="color"),
            }
        }

    def generate(self, width: int, height: int, batch_size: int = 1, color: int = 0) -> tuple[Any]:
        return (comfyui.make_empty_images(width, height, batch_size, color),)


class LoadImageMask(Node, title="Load Image (as Mask)"):
    CATEGORY = "image"
    DESCRIPTION = "Loads one channel of an image as a mask; alpha is inverted, so that transparent is 1."
    SEARCH_ALIASES: ClassVar = ["import mask", "alpha mask", "channel mask"]
    RETURN_TYPES = ("MASK",)
    FUNCTION = "load_image_mask"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        files = cls.host.input_files(IMAGE_SUFFIXES)
        return {"required": {"image": (files, {"image_upload": True}), "channel": (["alpha", "red", "green", "blue"],)}}

    @classmethod
    def VALIDATE_INPUTS(cls, image: str) -> bool | str:
        return file_is_there(cls.host, image)

    def load_image_mask(self, image: str, channel: str) -> tuple[Any]:
        images, masks = comfyui.load_image_tensors(self.host.find_input(image), max_pixels=self.host.get_max_input_pixels())
        return (comfyui.extract_channel_mask(images, masks, channel),)


class LoadImageOutput(LoadImage, title="Load Image (from Outputs)"):
    DESCRIPTION = "Loads an image that an earlier run left in the output folder."
    SEARCH_ALIASES: ClassVar = ["output image", "previous generation"]
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        remote = {"route": "/internal/files/output", "refresh_button": True, "control_after_refresh": "first"}
        return {"required": {"image": ("COMBO", {"image_upload": True, "image_folder": "output", "remote": remote})}}


class GetImageSize(Node, title="Get Image Size"):
    CATEGORY = "image"
    DESCRIPTION = "Returns width and height in pixels, and the number of images."
    SEARCH_ALIASES: ClassVar = ["dimensions", "resolution", "image info"]
    RETURN_TYPES = ("INT", "INT", "INT")
    RETURN_NAMES = ("width", "height", "batch_size")
    FUNCTION = "measure"
    INPUTS: ClassVar = {"required": {"image": ANY_IMAGE}, "hidden": {"unique_id": "UNIQUE_ID"}}

    def measure(self, image: Any, unique_id: str | None = None) -> tuple[int, int, int]:
        """``unique_id`` is the node on ComfyUI's canvas that shows the size; it is unused here."""
        return image.shape[2], image.shape[1], image.shape[0]


class SplitImageWithAlpha(Node, title="Split Image with Alpha"):
    CATEGORY = "image/compositing"
    DESCRIPTION = "Splits an image into RGB and a mask of its alpha channel, in which transparent is 1."
    SEARCH_ALIASES: ClassVar = ["extract alpha", "separate transparency", "remove alpha"]
    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "split"
    INPUTS: ClassVar = {"required": {"image": ANY_IMAGE}}

    def split(self, image: Any) -> tuple[Any, Any]:
        return comfyui.split_alpha(image)


class JoinImageWithAlpha(Node, title="Join Image with Alpha"):
    CATEGORY = "image/compositing"
    DESCRIPTION = "Adds a mask to an image as its alpha channel; where the mask is 1, the image becomes transparent."
    SEARCH_ALIASES: ClassVar = ["add transparency", "apply alpha", "composite alpha", "RGBA"]
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "join"
    INPUTS: ClassVar = {"required": {"image": ANY_IMAGE, "alpha": ("MASK", {})}}

    def join(self, image: Any, alpha: Any) -> tuple[Any]:
        return (comfyui.join_alpha(image, alpha),)


class ImageCompare(Node, title="Compare Images"):
    CATEGORY = "image"
    DESCRIPTION = "Saves two batches to the temporary folder, to compare them side by side."
    EXPERIMENTAL = True
    RETURN_TYPES = ()
    FUNCTION = "compare"
    OUTPUT_NODE = True
    INPUTS: ClassVar = {
        "required": {"compare_view": ("IMAGECOMPARE", {"socketless": True})},
        "optional": {"image_a": ANY_IMAGE, "image_b": ANY_IMAGE},
        "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
    }

    def compare(
        self, compare_view: Any, image_a: Any = None, image_b: Any = None, prompt: Any = None, extra_pnginfo: Any = None
    ) -> dict[str, Any]:
        """Save both batches; as in ComfyUI, these files carry no workflow."""
        return {"ui": {"a_images": self._save_preview(image_a, "a"), "b_images": self._save_preview(image_b, "b")}}

    def _save_preview(self, images: Any, letter: str) -> list[dict[str, str]]:
        if images is None:
            return []
        find_path = make_numbered_path_finder(self.host, "temp")
        return format_ui_files(
            self.host, "temp", comfyui.save_image_tensors(images, f"comfy.compare.{letter}_temp", {}, find_path)
        )


class ResizeImageMaskNode(Node, title="Resize Image/Mask/Video"):
    CATEGORY = "image/transform"
    DESCRIPTION = "Resizes an image, a mask or a video; resize_type is one of nine ways to give the size."
    SEARCH_ALIASES: ClassVar = [
        "resize",
        "resize image",
        "resize mask",
        "resize video",
        "scale",
        "scale image",
        "scale mask",
        "scale video",
        "image resize",
        "change size",
        "dimensions",
        "shrink",
        "enlarge",
    ]
    RETURN_TYPES = ("COMFY_MATCHTYPE_V3",)
    OUTPUT_MATCHTYPES = ("input_type",)
    RETURN_NAMES = ("resized",)
    FUNCTION = "resize"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        crop = combo_spec(["disabled", "center"], default="center")
        choices = [
            dynamic_option("scale dimensions", width=_side_spec(), height=_side_spec(), crop=crop),
            dynamic_option(
                "scale by multiplier", multiplier=("FLOAT", {"default": 1.0, "min": 0.01, "max": 8.0, "step": 0.01})
            ),
            dynamic_option("scale longer dimension", longer_size=_side_spec()),
            dynamic_option("scale shorter dimension", shorter_size=_side_spec()),
            dynamic_option("scale width", width=_side_spec()),
            dynamic_option("scale height", height=_side_spec()),
            dynamic_option(
                "scale total pixels", megapixels=("FLOAT", {"default": 1.0, "min": 0.01, "max": 16.0, "step": 0.01})
            ),
            dynamic_option("match size", match=("IMAGE,MASK,VIDEO", {}), crop=crop),
            dynamic_option("scale to multiple", multiple=int_spec(8, 1, MAX_RESOLUTION, step=1)),
        ]
        either = {"template": {"template_id": "input_type", "allowed_types": "IMAGE,MASK,VIDEO"}}
        return {
            "required": {
                "input": ("COMFY_MATCHTYPE_V3", either),
                "resize_type": ("COMFY_DYNAMICCOMBO_V3", {"options": choices}),
                "scale_method": combo_spec(RESIZE_METHODS, default="area"),
            }
        }

    def resize(self, input: Any, resize_type: str, scale_method: Any = "area", **shown_inputs: Any) -> tuple[Any]:
        """``shown_inputs`` are those of the choice, named ``resize_type.width`` and so on."""
        values = {name.removeprefix("resize_type."): value for name, value in shown_inputs.items()}
        return (comfyui.resize_by_mode(input, resize_type, values, scale_method),)


class SaveImageAdvanced(Node, title="Save Image (Advanced)"):
    CATEGORY = "image"
    DESCRIPTION = "Saves PNG of 8 or 16 bits, or EXR of linear light, with the workflow inside."
    SEARCH_ALIASES: ClassVar = ["save", "save image", "export image", "output image", "write image"]
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        def depth_spec(*words: str) -> Any:
            return combo_spec(list(words), default=words[0], advanced=True)

        formats = [
            {
                "key": "png",
                "inputs": {"required": {"bit_depth": depth_spec("8-bit", "16-bit"), "input_color_space": depth_spec("sRGB")}},
            },
            {
                "key": "exr",
                "inputs": {
                    "required": {
                        "bit_depth": depth_spec("32-bit float"),
                        "input_color_space": depth_spec("sRGB", "HDR", "linear"),
                    }
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
        text = dump_workflow_text(prompt, extra_pnginfo)
        bits = int(shown_inputs["format.bit_depth"].partition("-")[0])
        space = shown_inputs.get("format.input_color_space", "sRGB")
        saved: list[Path] = []
        for index, image in enumerate(images):
            path = self._make_path(filename_prefix, f".{format}", index, image)
            saved.append(comfyui.save_image_advanced(path, image, bits, space, text))
        return {"ui": {"images": format_ui_files(self.host, "output", saved)}, "result": (images,)}

    def _make_path(self, prefix: str, suffix: str, index: int, image: Any) -> Path:
        """This node puts no ``_`` behind the number."""
        numbered_path = make_numbered_path_finder(self.host, "output")(
            prefix, suffix, index, width=image.shape[1], height=image.shape[0]
        )
        return numbered_path.with_name(numbered_path.name.removesuffix(f"_{suffix}") + suffix)


class RebatchImages(Node, title="Rebatch Images"):
    CATEGORY = "image/batch"
    DESCRIPTION = "Puts all images of a list of batches into batches of one size."
    RETURN_TYPES = ("IMAGE",)
    INPUT_IS_LIST = True
    OUTPUT_IS_LIST = (True,)
    FUNCTION = "rebatch"
    INPUTS: ClassVar = {"required": {"images": ANY_IMAGE, "batch_size": int_spec(1, 1, MAX_BATCH)}}

    def rebatch(self, images: list[Any], batch_size: list[int]) -> tuple[list[Any]]:
        return (comfyui.rebatch_images(images, batch_size[0]),)


class ImageFromBatch(Node, title="Get Image from Batch"):
    CATEGORY = "image/batch"
    DESCRIPTION = "Returns images of a batch; a negative index counts from its end."
    SEARCH_ALIASES: ClassVar = ["select image", "pick from batch", "extract image"]
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "take"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        index = int_spec(0, -MAX_RESOLUTION, MAX_RESOLUTION)
        return {"required": {"image": ANY_IMAGE, "batch_index": index, "length": int_spec(1, 1, MAX_BATCH)}}

    def take(self, image: Any, batch_index: int, length: int) -> tuple[Any]:
        return (comfyui.take_from_batch(image, batch_index, length),)


class RepeatImageBatch(Node, title="Repeat Image Batch"):
    CATEGORY = "image/batch"
    DESCRIPTION = "Repeats a batch of images."
    SEARCH_ALIASES: ClassVar = ["duplicate image", "clone image"]
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "repeat"
    INPUTS: ClassVar = {"required": {"image": ANY_IMAGE, "amount": int_spec(1, 1, MAX_BATCH)}}

    def repeat(self, image: Any, amount: int) -> tuple[Any]:
        return (comfyui.repeat_batch(image, amount),)


class BatchImagesNode(Node, title="Batch Images"):
    CATEGORY = "image/batch"
    DESCRIPTION = "Joins batches; all are resized to the size of the first."
    SEARCH_ALIASES: ClassVar = ["batch", "image batch", "batch images", "combine images", "merge images", "stack images"]
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "batch"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        template = {"input": {"required": {"image": ANY_IMAGE}}, "prefix": "image", "min": 1, "max": _MAX_GROUP}
        return {"required": {"images": ("COMFY_AUTOGROW_V3", {"template": template})}}

    def batch(self, **images: Any) -> tuple[Any]:
        """``images`` are named ``images.image0``, ``images.image1``, ..., and joined in the order of these numbers."""
        names = [f"images.image{number}" for number in range(_MAX_GROUP)]
        return (comfyui.batch_all_images([images[name] for name in names if name in images]),)


class SplitImageToTileList(Node, title="Split Image into List of Tiles"):
    CATEGORY = "image/batch"
    DESCRIPTION = "Cuts an image into a list of tiles that overlap. TiledUpscale does this itself, with less memory."
    SEARCH_ALIASES: ClassVar = ["split image", "tile image", "slice image"]
    RETURN_TYPES = ("IMAGE",)
    OUTPUT_IS_LIST = (True,)
    FUNCTION = "split"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        side = int_spec(1024, 64, MAX_RESOLUTION)
        overlap = int_spec(128, 0, 4096)
        return {"required": {"image": ANY_IMAGE, "tile_width": side, "tile_height": side, "overlap": overlap}}

    def split(self, image: Any, tile_width: int, tile_height: int, overlap: int) -> tuple[list[Any]]:
        return (comfyui.split_tiles(image, Size(tile_width, tile_height), overlap),)


class ImageMergeTileList(Node, title="Merge List of Tiles to Image"):
    CATEGORY = "image/batch"
    DESCRIPTION = "Merges the tiles of SplitImageToTileList, blended over the whole overlap."
    SEARCH_ALIASES: ClassVar = ["split image", "tile image", "slice image"]
    RETURN_TYPES = ("IMAGE",)
    INPUT_IS_LIST = True
    FUNCTION = "merge"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        side = int_spec(1024, 64, _MAX_MERGED_SIDE)
        overlap = int_spec(128, 0, 4096)
        return {"required": {"image_list": ANY_IMAGE, "final_width": side, "final_height": side, "overlap": overlap}}

    def merge(self, image_list: list[Any], final_width: list[int], final_height: list[int], overlap: list[int]) -> tuple[Any]:
        return (comfyui.merge_tiles(image_list, Size(final_width[0], final_height[0]), overlap[0]),)
