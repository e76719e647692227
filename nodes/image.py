"""Images: upscaled in tiles, read and written without losing depth, transparency or profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..runtime.errors import WorkflowError
from ..runtime.file_types import IMAGE_SUFFIXES, WRITABLE_IMAGE_SUFFIXES
from ..runtime.media.geometry import Size
from ..runtime.paths import expand_tokens
from ..runtime.upscale.backends.base import PRECISIONS, list_backend_choices
from ..runtime.upscale.target_size import TARGET_NAMES, compute_final_size
from ..runtime.upscale.tiles import MIN_TILE
from .builtin.image import collect_workflow_text, file_is_there, format_ui_files, make_numbered_path_finder, output_is_possible
from .declare import choice_input, int_input, text_input, wire_input
from .hardware import SETTINGS_TOOLTIP, merge_settings

if TYPE_CHECKING:
    from ..runtime.host import Host
    from ..runtime.upscale.resolved_settings import TiledUpscaleSettings

AS_SOURCE = "as source"
LANCZOS, LANCZOS_LINEAR = "lanczos", "lanczos, linear light"
NUMBER, REPLACE = "number", "replace"
LARGEST_TILE = 4096
DEPTHS: dict[str, Literal[8, 16, 32]] = {"8": 8, "16": 16, "32": 32}

TARGET_TOOLTIP = (
    "4K, 8K and 16K are boxes that the image is fitted into, its proportions kept (turned for a portrait). A factor "
    "multiplies both sides. A workflow file may also say WIDTHxHEIGHT or 2.5x."
)
TILE_TOOLTIP = (
    "Side of a tile in source pixels, without its halo; 0 chooses by model and memory. Smaller tiles need less memory; the "
    "image stays the same."
)
HALO_TOOLTIP = (
    "Real image around each tile that the model sees and that is cut off again; -1 is what the model needs. Less is faster "
    "and begins to show seams."
)
BATCH_TOOLTIP = (
    "Tiles that go through the model together; 0 is one, or what the settings suggest. More can be faster on a GPU, never on a "
    "CPU."
)
PRECISION_TOOLTIP = (
    "auto is fp16 on a GPU where the model is safe in it; on a processor fp32, or bf16 where a short trial shows it to be much "
    "faster and the same to the eye. A tile that overflows in fp16 is computed again in fp32."
)
REDUCE_TOOLTIP = (
    "How the last, exact reduction is made when the model overshoots the target. Linear light keeps the brightness of fine "
    "bright detail."
)
FILENAME_TOOLTIP = (
    "Below the output folder. %name% is the source's name; %width%, %height%, %year%, %month%, %day%, %hour%, %minute% and "
    "%second% are filled in. A suffix such as .tiff chooses the format."
)
IF_EXISTS_TOOLTIP = "number adds _00001_ and counts up; replace writes exactly this name."
COLOR_FIXES = ["off", "mean", "low-frequency"]
COLOR_FIX_TOOLTIP = (
    "Takes away the color drift that a model adds. mean shifts the whole image; low-frequency corrects every area by itself "
    "and leaves the detail alone."
)


def upscale_is_valid(target: str | None, tile: int | None) -> bool | str:
    """What VALIDATE_INPUTS answers: True, or the sentence that says what is wrong. None is what a wire will bring."""
    if tile and not MIN_TILE <= tile <= LARGEST_TILE:
        return f"A tile of {tile} pixels is out of range. Use 0 (automatic), or {MIN_TILE} to {LARGEST_TILE}."
    try:
        if target is not None:
            compute_final_size(Size(1, 1), 1, target)
    except WorkflowError as error:
        return str(error)
    return True


def declare_tiling_inputs() -> dict[str, Any]:
    """How an image or a video goes through a model: the same choices for both."""
    return {
        "tile": int_input(0, 0, LARGEST_TILE, TILE_TOOLTIP, step=MIN_TILE),
        "halo": int_input(-1, -1, 512, HALO_TOOLTIP, advanced=True),
        "batch": int_input(0, 0, 64, BATCH_TOOLTIP, advanced=True),
        "precision": choice_input(PRECISIONS, "auto", PRECISION_TOOLTIP, advanced=True),
        "reduce": choice_input([LANCZOS, LANCZOS_LINEAR], LANCZOS, REDUCE_TOOLTIP, advanced=True),
        "backend": choice_input(
            list_backend_choices(), "auto", "What runs the model; null repeats pixels, for dry runs.", advanced=True
        ),
        "settings": wire_input("UPSCALE_SETTINGS", SETTINGS_TOOLTIP),
        "color_fix": choice_input(COLOR_FIXES, "off", COLOR_FIX_TOOLTIP),
    }


def build_upscale_settings(
    host: Host,
    upscale_model: Any,
    target: str,
    tile: int,
    halo: int,
    batch: int,
    precision: Any,
    reduce: str,
    backend: str,
    settings: Any,
    color_fix: Any,
) -> TiledUpscaleSettings:
    """What the engine is asked for: the choices of ``tiling_inputs``, and the settings that fill in what was left to them."""
    from ..runtime.upscale.resolved_settings import TiledUpscaleSettings

    host_backend = host.backend()
    requested_backend = backend if host_backend == "auto" else host_backend
    merged = merge_settings(settings, upscale_model, tile=tile, batch=batch, precision=precision, backend=requested_backend)
    return TiledUpscaleSettings(
        target=target,
        tile=merged.tile,
        halo=halo,
        batch=merged.batch,
        precision=merged.precision,
        linear=reduce == LANCZOS_LINEAR,
        backend=merged.backend,
        device=host.device(),
        color_fix=color_fix,
    )


class TiledUpscale:
    """Any image to any size, in tiles whose seams cannot be seen."""

    host: ClassVar[Host]
    CATEGORY = "8K/image"
    DESCRIPTION = (
        "Upscales an image of any size with any upscale model, in tiles that meet without seams, to the model's scale or to "
        "an exact size such as 8K. Runs the model again when one pass is not enough, then reduces once, exactly. Keeps alpha."
    )
    SEARCH_ALIASES: ClassVar = ["upscale", "8k", "4k", "tile", "enlarge", "super resolution", "hires", "esrgan"]
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)
    OUTPUT_TOOLTIPS = ("The image at its new size; as many channels as came in.",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": wire_input("IMAGE", "Grey, RGB or RGBA; every image of a batch is upscaled by itself."),
                "upscale_model": wire_input("UPSCALE_MODEL", "From Upscale Model, or from ComfyUI's own Load Upscale Model."),
                "target": choice_input(TARGET_NAMES, "8K", TARGET_TOOLTIP),
            },
            "optional": declare_tiling_inputs(),
        }

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
    ) -> tuple[Any]:
        from ..runtime.upscale.image_batch import upscale_batch
        from ..runtime.upscale.memory import check_result_fits

        check_result_fits(image.shape, upscale_model, target)
        upscale_settings = build_upscale_settings(
            self.host, upscale_model, target, tile, halo, batch, precision, reduce, backend, settings, color_fix
        )
        return (upscale_batch(image, upscale_model, upscale_settings, self.host.progress),)


class ImageIn:
    """An image file with everything that a plain IMAGE forgets."""

    host: ClassVar[Host]
    CATEGORY = "8K/image"
    DESCRIPTION = (
        "Reads an image of any depth: PNG, JPEG, WebP, TIFF, AVIF, EXR, JPEG XL. Alpha stays in the image as a fourth "
        "channel. The source output remembers depth, grey, color profile and name, for Image Out."
    )
    SEARCH_ALIASES: ClassVar = ["load image", "open image", "16 bit", "tiff", "exr", "import"]
    RETURN_TYPES = ("IMAGE", "IMAGE_SOURCE")
    RETURN_NAMES = ("image", "source")
    OUTPUT_TOOLTIPS = ("RGB, or RGBA where the file has alpha.", "What the file was; connect it to Image Out.")
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        files = cls.host.input_files(IMAGE_SUFFIXES)
        file = (files, {"image_upload": True, "tooltip": "A file of the input folder; sub/name is understood too."})
        limit = "A file that claims to be larger is refused before it is decoded."
        return {
            "required": {"image": file},
            "optional": {"max_megapixels": int_input(1000, 1, 100_000, limit, advanced=True)},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, image: str) -> bool | str:
        return file_is_there(cls.host, image)

    @classmethod
    def IS_CHANGED(cls, image: str, max_megapixels: int = 1000) -> str:
        path = cls.host.find_input(image)
        return f"{path}:{path.stat().st_mtime_ns}:{max_megapixels}"

    def run(self, image: str, max_megapixels: int = 1000) -> tuple[Any, Any]:
        from ..runtime.comfyui.types.image import read_image

        return read_image(self.host.find_input(image), max_pixels=self.host.get_max_input_pixels(max_megapixels * 1_000_000))


class ImageOut:
    """An image file in any format, at the depth of its source, with its profile and the workflow."""

    host: ClassVar[Host]
    CATEGORY = "8K/image"
    DESCRIPTION = (
        "Writes images as PNG, JPEG, WebP, TIFF, AVIF, EXR or JPEG XL, rounded and never cut short: a file has its name when "
        "it is whole. With a source connected it keeps that file's depth, grey, alpha and color profile."
    )
    SEARCH_ALIASES: ClassVar = ["save image", "export", "16 bit", "tiff", "exr", "png", "jpeg", "webp", "avif"]
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        formats = [AS_SOURCE, *(suffix.removeprefix(".") for suffix in WRITABLE_IMAGE_SUFFIXES)]
        return {
            "required": {
                "images": wire_input("IMAGE", "One file each."),
                "filename": text_input("Upscale8K/%name%", FILENAME_TOOLTIP),
            },
            "optional": {
                "source": wire_input("IMAGE_SOURCE", "From Image In: depth, grey, profile and name of the original."),
                "format": choice_input(
                    formats, AS_SOURCE, "A suffix in the file name goes before this; PNG where nothing says otherwise."
                ),
                "bit_depth": choice_input(
                    [AS_SOURCE, *DEPTHS], AS_SOURCE, "32 is floating point. 8 where nothing says otherwise."
                ),
                "quality": int_input(95, 1, 100, "For JPEG, AVIF, WebP and JPEG XL; at 100 the last two are lossless."),
                "if_exists": choice_input([NUMBER, REPLACE], NUMBER, IF_EXISTS_TOOLTIP, advanced=True),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, filename: str | None) -> bool | str:
        return output_is_possible(cls.host, filename)

    def run(
        self,
        images: Any,
        filename: str,
        source: Any = None,
        format: str = AS_SOURCE,
        bit_depth: str = AS_SOURCE,
        quality: int = 95,
        if_exists: str = NUMBER,
        prompt: Any = None,
        extra_pnginfo: Any = None,
    ) -> dict[str, Any]:
        from ..runtime.comfyui.types.image import ImageSaveOptions, write_images

        write_request = ImageSaveOptions(
            filename=filename,
            suffix=None if format == AS_SOURCE else f".{format}",
            bits=DEPTHS.get(bit_depth),
            quality=quality,
            text=collect_workflow_text(prompt, extra_pnginfo),
            overwrite=if_exists == REPLACE,
        )
        find_path = (
            make_numbered_path_finder(self.host, "output") if if_exists == NUMBER else _make_exact_path_finder(self.host)
        )
        return {"ui": {"images": format_ui_files(self.host, "output", write_images(images, source, write_request, find_path))}}


def _make_exact_path_finder(host: Host) -> Any:
    """Where the images of one batch go: the very name for the first, a number after it for the others."""

    def find_path(stem: str, suffix: str, index: int, *, width: int, height: int) -> Path:
        stem = expand_tokens(stem, width=width, height=height)
        stem += "Upscale8K" if not stem or stem.endswith(("/", "\\")) else ""
        return host.output_file("output", f"{stem}{suffix}" if index == 0 else f"{stem}_{index:05}{suffix}")

    return find_path


NODES: dict[str, tuple[type, str]] = {
    "TiledUpscale": (TiledUpscale, "Tiled Upscale"),
    "ImageIn": (ImageIn, "Image In"),
    "ImageOut": (ImageOut, "Image Out"),
}
