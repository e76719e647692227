"""Upscale images in tiles; read and write them without losing depth, transparency or color profile."""

from typing import Any, ClassVar

from ..runtime import comfyui, distributed, hardware, upscale
from ..runtime.distributed import parse_workers
from ..runtime.file_types import IMAGE_SUFFIXES
from .declare import (
    AS_SOURCE,
    DEPTHS,
    FILENAME_TOOLTIP,
    IMAGE_FORMATS,
    LANCZOS,
    LANCZOS_LINEAR,
    NUMBER,
    REFUSE,
    Node,
    bool_input,
    choice_input,
    declare_upscale_inputs,
    if_exists_input,
    int_input,
    text_input,
    wire_input,
)
from .outputs import collect_workflow_text, format_ui_files, make_exact_path_finder, make_numbered_path_finder
from .validate import check, depth_is_possible, file_is_there, first_problem, output_is_possible, upscale_is_valid

WORKERS_TOOLTIP = (
    "Who upscales a large image that this node writes. Empty: this process. A number: so many processes on this machine. gpus: "
    "one process for each NVIDIA GPU. ray:auto or ray:HOST:PORT: the nodes of a Ray cluster. The result is the same file."
)


class TiledUpscale(Node, title="Tiled Upscale"):
    CATEGORY = "8K/image"
    DESCRIPTION = (
        "Upscales an image of any size with any upscale model, in tiles without seams, to the model's scale or to an exact "
        "size such as 8K. Runs the model again when one pass is not enough, then reduces once to the exact size. Keeps alpha."
    )
    SEARCH_ALIASES: ClassVar = ["upscale", "8k", "4k", "tile", "enlarge", "super resolution", "hires", "esrgan"]
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)
    OUTPUT_TOOLTIPS = ("The upscaled image, with as many channels as the input.",)
    PROMPT_CHANGES_NOTHING: ClassVar = True
    """It says who computes the result, which is the same, so that the result may come from a cache."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        image = wire_input("IMAGE", "Grey, RGB or RGBA; every image of a batch is upscaled separately.")
        return declare_upscale_inputs("image", image) | {"hidden": {"prompt": "PROMPT"}}

    @classmethod
    def VALIDATE_INPUTS(cls, target: str | None = None, tile: int | None = None) -> bool | str:
        return upscale_is_valid(target, tile)

    def run(
        self,
        image: Any,
        upscale_model: Any,
        target: str,
        tile: int = 0,
        halo: int = -1,
        batch: int = 0,
        precision: Any = "auto",
        reduce: str = LANCZOS,
        backend: str = "auto",
        settings: Any = None,
        color_fix: Any = "off",
        strength: float = 1.0,
        grain: float = 0.0,
        prompt: Any = None,
    ) -> tuple[Any]:
        requested = upscale.TiledUpscaleSettings(
            target,
            self.host.device(),
            tile,
            halo,
            batch,
            precision,
            reduce == LANCZOS_LINEAR,
            backend,
            color_fix,
            strength,
            grain,
        )
        upscale_settings = upscale.build_upscale_settings(requested, self.host.backend(), settings, upscale_model)
        return (distributed.upscale_images(self.host, prompt, image, upscale_model, upscale_settings),)


class ImageIn(Node, title="Image In"):
    CATEGORY = "8K/image"
    DESCRIPTION = (
        "Reads an image of any bit depth: PNG, JPEG, WebP, TIFF, AVIF, EXR, JPEG XL. Alpha stays in the image as a fourth "
        "channel. The output source holds bit depth, greyscale, color profile and name, for Image Out."
    )
    SEARCH_ALIASES: ClassVar = ["load image", "open image", "16 bit", "tiff", "exr", "import"]
    RETURN_TYPES = ("IMAGE", "IMAGE_SOURCE")
    RETURN_NAMES = ("image", "source")
    OUTPUT_TOOLTIPS = ("RGB, or RGBA where the file has alpha.", "Properties of the file; connect it to Image Out.")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        files = cls.host.input_files(IMAGE_SUFFIXES)
        file = (files, {"image_upload": True, "tooltip": "A file of the input folder; sub/name also works."})
        limit = "A larger image is rejected before it is decoded. In megapixels; default 1000."
        return {"required": {"image": file}, "optional": {"max_megapixels": int_input(1000, 1, 100_000, limit, advanced=True)}}

    @classmethod
    def VALIDATE_INPUTS(cls, image: str) -> bool | str:
        return file_is_there(cls.host, image)

    @classmethod
    def IS_CHANGED(cls, image: str, max_megapixels: int = 1000) -> str:
        path = cls.host.find_input(image)
        return f"{path}:{path.stat().st_mtime_ns}:{max_megapixels}"

    def run(self, image: str, max_megapixels: int = 1000) -> tuple[Any, Any]:
        limit = self.host.get_max_input_pixels(max_megapixels * 1_000_000)
        return comfyui.read_image(self.host.find_input(image), max_pixels=limit, open_progress=self.host.progress)


class ImageFolderIn(Node, title="Image Folder In"):
    CATEGORY = "8K/image"
    DESCRIPTION = (
        "Reads the images of a folder, of any size and depth, as lists: the nodes behind it run once for each image. Connect "
        "source or name to Image Out, and each result has the name of its file."
    )
    SEARCH_ALIASES: ClassVar = ["load images from folder", "image list", "batch", "directory", "folder", "many images"]
    RETURN_TYPES = ("IMAGE", "IMAGE_SOURCE", "STRING")
    RETURN_NAMES = ("image", "source", "name")
    OUTPUT_IS_LIST = (True, True, True)
    OUTPUT_TOOLTIPS = (
        "One RGB or RGBA image for each file.",
        "Properties of each file; connect it to Image Out.",
        "Name of each file below the folder, without its suffix: sub/photo.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"folder": text_input("", "Folder inside the input folder; empty is the input folder itself.")},
            "optional": {
                "recursive": bool_input(False, "Include the folders inside it."),
                "start": int_input(0, 0, 1_000_000, "How many images to pass over, in the order of their names: 2 before 10."),
                "limit": int_input(0, 0, 1_000_000, "Largest number of images; 0 reads all. They are in memory together."),
                "damaged": choice_input(["refuse", "skip"], "refuse", "A file that cannot be read is an error, or a message."),
                "max_megapixels": int_input(
                    1000, 1, 100_000, "A larger image is rejected before it is decoded. In megapixels.", advanced=True
                ),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, folder: str) -> bool | str:
        return check(lambda: cls.host.find_sequence(folder))

    @classmethod
    def IS_CHANGED(cls, folder: str, recursive: bool = False, start: int = 0, limit: int = 0, **_: Any) -> str:
        files = comfyui.find_folder_images(cls.host.find_sequence(folder), recursive=recursive, start=start, limit=limit)
        return comfyui.compute_folder_fingerprint(files)

    def run(
        self,
        folder: str,
        recursive: bool = False,
        start: int = 0,
        limit: int = 0,
        damaged: Any = "refuse",
        max_megapixels: int = 1000,
    ) -> tuple[list[Any], list[Any], list[str]]:
        path = self.host.find_sequence(folder)
        return comfyui.read_image_folder(
            path,
            comfyui.find_folder_images(path, recursive=recursive, start=start, limit=limit),
            max_pixels=self.host.get_max_input_pixels(max_megapixels * 1_000_000),
            free_bytes=hardware.query_memory().available,
            when_damaged=damaged,
            open_progress=self.host.progress,
        )


class ImageOut(Node, title="Image Out"):
    CATEGORY = "8K/image"
    DESCRIPTION = (
        "Writes images as PNG, JPEG, WebP, TIFF, AVIF, EXR or JPEG XL; values are rounded, and a file gets its name only when "
        "it is complete. With a source connected it keeps that file's bit depth, greyscale, alpha and color profile."
    )
    SEARCH_ALIASES: ClassVar = ["save image", "export", "16 bit", "tiff", "exr", "png", "jpeg", "webp", "avif"]
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "images": wire_input("IMAGE", "Images to save, one file each."),
                "filename": text_input("Upscale8K/%name%", FILENAME_TOOLTIP),
            },
            "optional": {
                "source": wire_input("IMAGE_SOURCE", "From Image In: bit depth, greyscale, profile and name of the original."),
                "format": choice_input(
                    IMAGE_FORMATS, AS_SOURCE, "A suffix in the file name takes precedence. as source without a source is PNG."
                ),
                "bit_depth": choice_input(
                    [AS_SOURCE, *DEPTHS], AS_SOURCE, "Bits per channel; 32 is floating point. as source without a source is 8."
                ),
                "quality": int_input(
                    95, 1, 100, "For JPEG, AVIF, WebP and JPEG XL, 1 to 100 (best); at 100 the last two are lossless."
                ),
                "if_exists": if_exists_input("number adds _00001_ and counts up; replace writes exactly this name."),
                "workers": text_input("", WORKERS_TOOLTIP, advanced=True),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    @classmethod
    def VALIDATE_INPUTS(
        cls,
        filename: str | None,
        workers: str | None = None,
        format: str | None = AS_SOURCE,
        bit_depth: str | None = AS_SOURCE,
    ) -> bool | str:
        return first_problem(
            (
                output_is_possible(cls.host, filename),
                check(lambda: parse_workers(workers or "")),
                depth_is_possible(filename, bit_depth, format),
            )
        )

    def run(
        self,
        images: Any,
        filename: str,
        source: Any = None,
        format: str = AS_SOURCE,
        bit_depth: str = AS_SOURCE,
        quality: int = 95,
        if_exists: str = NUMBER,
        workers: str = "",
        prompt: Any = None,
        extra_pnginfo: Any = None,
    ) -> dict[str, Any]:
        write_request = comfyui.ImageSaveOptions(
            filename=filename,
            suffix=None if format == AS_SOURCE else f".{format}",
            bits=DEPTHS.get(bit_depth),
            quality=quality,
            text=collect_workflow_text(prompt, extra_pnginfo),
            overwrite=if_exists != NUMBER,
            exclusive=if_exists == REFUSE,
        )
        find_path = make_numbered_path_finder(self.host, "output") if if_exists == NUMBER else make_exact_path_finder(self.host)
        paths = comfyui.write_images(images, source, write_request, find_path, self.host.progress)
        distributed.discard_finished_images()
        return {"ui": {"images": format_ui_files(self.host, "output", paths)}}
