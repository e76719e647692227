"""ComfyUI's built-in nodes for batches and lists of tiles, for the headless runner only: same ids, inputs and pixels."""

from typing import Any, ClassVar

from ...runtime import comfyui
from ..declare import Node
from .image import MAX_RESOLUTION
from .image_extras import ANY_IMAGE, MAX_BATCH, int_spec

_MAX_MERGED_SIDE = 32768
_MAX_GROUP = 50


class RebatchImages(Node):
    """Batches of another size."""

    CATEGORY = "image/batch"
    DESCRIPTION = "Puts all images of a list of batches into batches of one size."
    RETURN_TYPES = ("IMAGE",)
    INPUT_IS_LIST = True
    OUTPUT_IS_LIST = (True,)
    FUNCTION = "rebatch"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"images": ANY_IMAGE, "batch_size": int_spec(1, 1, MAX_BATCH)}}

    def rebatch(self, images: list[Any], batch_size: list[int]) -> tuple[list[Any]]:
        return (comfyui.rebatch_images(images, batch_size[0]),)


class ImageFromBatch(Node):
    """Select a part of a batch."""

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


class RepeatImageBatch(Node):
    """Repeat a batch."""

    CATEGORY = "image/batch"
    DESCRIPTION = "Repeats a batch of images."
    SEARCH_ALIASES: ClassVar = ["duplicate image", "clone image"]
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "repeat"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": ANY_IMAGE, "amount": int_spec(1, 1, MAX_BATCH)}}

    def repeat(self, image: Any, amount: int) -> tuple[Any]:
        return (comfyui.repeat_batch(image, amount),)


class BatchImagesNode(Node):
    """Join up to 50 batches."""

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


class SplitImageToTileList(Node):
    """Cut an image into tiles."""

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
        from ...runtime.media import Size

        return (comfyui.split_tiles(image, Size(tile_width, tile_height), overlap),)


class ImageMergeTileList(Node):
    """Merge tiles."""

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
        from ...runtime.media import Size

        return (comfyui.merge_tiles(image_list, Size(final_width[0], final_height[0]), overlap[0]),)


NODES: dict[str, tuple[type, str]] = {
    "RebatchImages": (RebatchImages, "Rebatch Images"),
    "ImageFromBatch": (ImageFromBatch, "Get Image from Batch"),
    "RepeatImageBatch": (RepeatImageBatch, "Repeat Image Batch"),
    "BatchImagesNode": (BatchImagesNode, "Batch Images"),
    "SplitImageToTileList": (SplitImageToTileList, "Split Image into List of Tiles"),
    "ImageMergeTileList": (ImageMergeTileList, "Merge List of Tiles to Image"),
}
