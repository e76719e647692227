"""ComfyUI's built-in image nodes, for the headless runner only: same ids, inputs and pixels as ComfyUI 0.30.

Inside ComfyUI its own classes answer to these ids; ours never register over them there.
"""

from pathlib import Path
from typing import Any, ClassVar

from ...runtime import comfyui, models
from ...runtime.file_types import IMAGE_SUFFIXES
from ...runtime.models import find_model, list_selector_names
from ...runtime.paths import Folder
from ..declare import Node
from ..outputs import collect_workflow_text, format_ui_files, make_numbered_path_finder
from ..validate import file_is_there, model_is_there, output_is_possible

MAX_RESOLUTION = 16384  # ComfyUI's own limit on the sizes that its nodes accept
RESIZE_METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]


class LoadImage(Node, title="Load Image"):
    CATEGORY = "image"
    DESCRIPTION = "Loads an image from the input folder as RGB, and its transparency as a mask (1 is transparent)."
    SEARCH_ALIASES: ClassVar = [
        *("load image", "open image", "import image", "image input", "upload image", "read image", "image loader")
    ]
    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "load_image"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        files = cls.host.input_files(IMAGE_SUFFIXES)
        return {"required": {"image": (files, {"image_upload": True, "tooltip": "A file of the input folder."})}}

    @classmethod
    def VALIDATE_INPUTS(cls, image: str) -> bool | str:
        return file_is_there(cls.host, image)

    def load_image(self, image: str) -> tuple[Any, Any]:
        return comfyui.load_image_tensors(self.host.find_input(image), max_pixels=self.host.get_max_input_pixels())


class SaveImage(Node, title="Save Image"):
    CATEGORY = "image"
    DESCRIPTION = "Saves 8-bit PNG files to the output folder, with the workflow inside."
    SEARCH_ALIASES: ClassVar = ["save", "save image", "export image", "output image", "write image", "download"]
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)
    FUNCTION = "save_images"
    OUTPUT_NODE = True
    INPUTS: ClassVar = {
        "required": {
            "images": ("IMAGE", {"tooltip": "The images to save."}),
            "filename_prefix": (
                "STRING",
                {
                    "default": "ComfyUI",
                    "tooltip": "sub/name makes a folder; %width%, %height%, %year% and so on are filled in.",
                },
            ),
        },
        "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
    }

    # Packs derive their own nodes from this class and override these.
    type: Folder = "output"
    prefix_append = ""
    compress_level = 4

    def __init__(self) -> None:
        self.output_dir = str(self.host.folder(self.type).resolve())

    @classmethod
    def VALIDATE_INPUTS(cls, filename_prefix: str | None = None) -> bool | str:
        return output_is_possible(cls.host, filename_prefix)

    def save_images(
        self, images: Any, filename_prefix: str = "ComfyUI", prompt: Any = None, extra_pnginfo: Any = None
    ) -> dict[str, Any]:
        """Save ``images`` (B, H, W, 3 or 4), or (B, H, W) grey."""
        pixels = images.unsqueeze(-1) if getattr(images, "ndim", 4) == 3 else images
        prefix = self._get_subfolder_prefix() + filename_prefix + self.prefix_append
        saved = comfyui.save_image_tensors(
            pixels, prefix, collect_workflow_text(prompt, extra_pnginfo), make_numbered_path_finder(self.host, self.type)
        )
        return {"ui": {"images": format_ui_files(self.host, self.type, saved)}, "result": (images,)}

    def _get_subfolder_prefix(self) -> str:
        """Return the prefix of a derived class that writes into a subfolder."""
        root, folder = self.host.folder(self.type).resolve(), Path(self.output_dir).resolve()
        inside = folder.relative_to(root) if folder.is_relative_to(root) else Path()
        return "" if inside == Path() else f"{inside.as_posix()}/"


class PreviewImage(SaveImage, title="Preview Image"):
    """Save to the temporary folder."""

    DESCRIPTION = "Saves images to the temporary folder, which is deleted when the run ends."
    SEARCH_ALIASES: ClassVar = ["preview", "preview image", "show image", "view image", "display image", "image viewer"]
    type: Folder = "temp"
    prefix_append = "_temp"
    compress_level = 1
    INPUTS: ClassVar = {"required": {"images": ("IMAGE",)}, "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}}


class UpscaleModelLoader(Node, title="Load Upscale Model"):
    CATEGORY = "model/loaders"
    DESCRIPTION = "Loads an upscale model by file name or catalog id."
    RETURN_TYPES = ("UPSCALE_MODEL",)
    FUNCTION = "load_model"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"model_name": (list_selector_names(cls.host.model_folders()), {"tooltip": "The model's file."})}}

    @classmethod
    def VALIDATE_INPUTS(cls, model_name: str) -> bool | str:
        return model_is_there(cls.host, model_name)

    def load_model(self, model_name: str) -> tuple[Any]:
        return (models.load_model(find_model(model_name, self.host.model_folders())),)


class ImageUpscaleWithModel(Node, title="Upscale Image (using Model)"):
    CATEGORY = "image/upscaling"
    DESCRIPTION = "Upscales by the model's scale in tiles of 512 with 32 pixels of feathered overlap, exactly as ComfyUI does."
    SEARCH_ALIASES: ClassVar = [
        *("upscale", "upscaler", "upsc", "enlarge image", "super resolution", "hires", "superres", "increase resolution")
    ]
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"
    INPUTS: ClassVar = {"required": {"upscale_model": ("UPSCALE_MODEL",), "image": ("IMAGE",)}}

    def upscale(self, upscale_model: Any, image: Any) -> tuple[Any]:
        return (comfyui.upscale_with_model(image, upscale_model, self.host.device(), self.host.progress),)


def _side_spec(minimum: int = 0, default: int = 512) -> tuple[str, dict[str, Any]]:
    return ("INT", {"default": default, "min": minimum, "max": MAX_RESOLUTION, "step": 1, "tooltip": "In pixels."})


class ImageScale(Node, title="Upscale Image"):
    upscale_methods: ClassVar = RESIZE_METHODS  # packs offer them too
    crop_methods: ClassVar = ["disabled", "center"]
    CATEGORY = "image/upscaling"
    DESCRIPTION = "Resizes to a width and height in pixels; 0 keeps the aspect ratio."
    SEARCH_ALIASES: ClassVar = ["resize", "resize image", "scale image", "image resize", "zoom", "zoom in", "change size"]
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": ("IMAGE",),
                "upscale_method": (RESIZE_METHODS, {"tooltip": "None of them antialiases when it reduces an image."}),
                "width": _side_spec(),
                "height": _side_spec(),
                "crop": (cls.crop_methods, {"tooltip": "center crops the image to the new aspect ratio first."}),
            }
        }

    def upscale(self, image: Any, upscale_method: Any, width: int, height: int, crop: str) -> tuple[Any]:
        return (comfyui.scale_images(image, width, height, upscale_method, crop=crop == "center"),)


class ImageScaleBy(Node, title="Upscale Image By"):
    upscale_methods: ClassVar = RESIZE_METHODS
    CATEGORY = "image/upscaling"
    DESCRIPTION = "Resizes both sides by a factor."
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        factor = {"default": 1.0, "min": 0.01, "max": 8.0, "step": 0.01, "tooltip": "2.0 doubles both sides."}
        return {"required": {"image": ("IMAGE",), "upscale_method": (RESIZE_METHODS,), "scale_by": ("FLOAT", factor)}}

    def upscale(self, image: Any, upscale_method: Any, scale_by: float) -> tuple[Any]:
        return (comfyui.scale_images_by(image, scale_by, upscale_method),)


class ImageCrop(Node, title="Crop Image (DEPRECATED)"):
    CATEGORY = "image/transform"
    DESCRIPTION = "Crops a rectangle; the part beyond the border is dropped."
    SEARCH_ALIASES: ClassVar = ["trim"]
    DEPRECATED = True
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "crop"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        corner = _side_spec(0, 0)
        return {"required": {"image": ("IMAGE",), "width": _side_spec(1), "height": _side_spec(1), "x": corner, "y": corner}}

    def crop(self, image: Any, width: int, height: int, x: int, y: int) -> tuple[Any]:
        return (comfyui.crop_images(image, x, y, width, height),)


class ImageBatch(Node, title="Batch Images (DEPRECATED)"):
    CATEGORY = "image/batch"
    DESCRIPTION = "Joins two batches; the second is resized to the size of the first."
    SEARCH_ALIASES: ClassVar = ["combine images", "merge images", "stack images"]
    DEPRECATED = True
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "batch"
    INPUTS: ClassVar = {"required": {"image1": ("IMAGE",), "image2": ("IMAGE",)}}

    def batch(self, image1: Any, image2: Any) -> tuple[Any]:
        return (comfyui.batch_images(image1, image2),)
