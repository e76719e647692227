"""Pictures: upscaled in tiles, read and written without losing depth, transparency or profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..runtime.errors import WorkflowError
from ..runtime.frames.geometry import Size
from ..runtime.host import PICTURE_SUFFIXES, WRITABLE_SUFFIXES, expand_tokens
from ..runtime.upscale.backends import BACKENDS, PRECISIONS
from ..runtime.upscale.target import NAMES, final_size
from .core import embedded_text, file_is_there, numbered, shown

if TYPE_CHECKING:
    from ..runtime.host import Host

AS_SOURCE = "as source"
LANCZOS, LANCZOS_LINEAR = "lanczos", "lanczos, linear light"
NUMBER, REPLACE = "number", "replace"


class TiledUpscale:
    """Any picture to any size, in tiles whose seams cannot be seen."""

    host: ClassVar[Host]
    CATEGORY = "8K/image"
    DESCRIPTION = (
        "Upscales a picture of any size with any upscale model, in tiles that meet without seams, to the model's scale or to an "
        "exact size such as 8K. Runs the model again when one pass is not enough, then reduces once, exactly. Keeps alpha."
    )
    SEARCH_ALIASES: ClassVar = ["upscale", "8k", "4k", "tiled", "tile", "enlarge", "super resolution", "hires", "esrgan", "ultimate upscale"]
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)
    OUTPUT_TOOLTIPS = ("The picture at its new size; as many channels as came in.",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "Grey, RGB or RGBA; every picture of a batch is upscaled by itself."}),
                "upscale_model": ("UPSCALE_MODEL", {"tooltip": "From Upscale Model, or from ComfyUI's own Load Upscale Model."}),
                "target": (
                    list(NAMES),
                    {
                        "default": "8K",
                        "tooltip": "4K, 8K and 16K are boxes that the picture is fitted into, its proportions kept (turned for a "
                        "portrait). A factor multiplies both sides. A workflow file may also say WIDTHxHEIGHT or 2.5x.",
                    },
                ),
            },
            "optional": {
                "tile": (
                    "INT",
                    {
                        "default": 0,
                        "min": 0,
                        "max": 4096,
                        "step": 32,
                        "tooltip": "Side of a tile in source pixels, without its halo; 0 chooses by model and memory. Less memory with "
                        "smaller tiles; the picture stays the same.",
                    },
                ),
                "halo": (
                    "INT",
                    {
                        "default": -1,
                        "min": -1,
                        "max": 512,
                        "tooltip": "Real picture around each tile that the model sees and that is cut off again; -1 is what the model "
                        "needs. Smaller is faster and begins to show seams.",
                        "advanced": True,
                    },
                ),
                "batch": (
                    "INT",
                    {
                        "default": 1,
                        "min": 1,
                        "max": 64,
                        "tooltip": "Tiles that go through the model together. More can be faster on a GPU, never on a CPU.",
                        "advanced": True,
                    },
                ),
                "precision": (
                    list(PRECISIONS),
                    {
                        "default": "auto",
                        "tooltip": "auto is fp16 on a GPU where the model is safe in it, fp32 otherwise. A tile that overflows in fp16 is "
                        "computed again in fp32.",
                        "advanced": True,
                    },
                ),
                "reduce": (
                    [LANCZOS, LANCZOS_LINEAR],
                    {
                        "default": LANCZOS,
                        "tooltip": "How the last, exact reduction is made when the model overshoots the target. Linear light keeps the "
                        "brightness of fine bright detail.",
                        "advanced": True,
                    },
                ),
                "backend": (
                    list(BACKENDS),
                    {"default": "auto", "tooltip": "What runs the model; null repeats pixels, for dry runs.", "advanced": True},
                ),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, target: str) -> bool | str:
        try:
            final_size(Size(1, 1), 1, target)
        except WorkflowError as error:
            return str(error)
        return True

    def run(
        self,
        image: Any,
        upscale_model: Any,
        target: str,
        tile: int = 0,
        halo: int = -1,
        batch: int = 1,
        precision: Any = "auto",
        reduce: str = LANCZOS,
        backend: str = "auto",
    ) -> tuple[Any]:
        from ..runtime.upscale.batch import Settings, upscale_batch

        forced = self.host.backend()
        settings = Settings(
            target=target,
            tile=tile,
            halo=halo,
            batch=batch,
            precision=precision,
            linear=reduce == LANCZOS_LINEAR,
            backend=backend if forced == "auto" else forced,
            device=self.host.device(),
        )
        return (upscale_batch(image, upscale_model, settings, self.host.progress),)


class ImageIn:
    """A picture file with everything that a plain IMAGE forgets."""

    host: ClassVar[Host]
    CATEGORY = "8K/image"
    DESCRIPTION = (
        "Reads a picture of any depth: PNG, JPEG, WebP, TIFF, AVIF, EXR, JPEG XL. Alpha stays in the picture as a fourth channel. "
        "The source output remembers depth, grey, colour profile and name, for Image Out."
    )
    SEARCH_ALIASES: ClassVar = ["load image", "open image", "16 bit", "tiff", "exr", "import"]
    RETURN_TYPES = ("IMAGE", "IMAGE_SOURCE")
    RETURN_NAMES = ("image", "source")
    OUTPUT_TOOLTIPS = ("RGB, or RGBA where the file has alpha.", "What the file was; connect it to Image Out.")
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": (
                    cls.host.input_files(PICTURE_SUFFIXES),
                    {"image_upload": True, "tooltip": "A file of the input folder; sub/name is understood too."},
                )
            },
            "optional": {
                "max_megapixels": (
                    "INT",
                    {
                        "default": 1000,
                        "min": 1,
                        "max": 100_000,
                        "tooltip": "A file that claims to be larger is refused before it is decoded.",
                        "advanced": True,
                    },
                )
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, image: str) -> bool | str:
        return file_is_there(cls.host, image)

    @classmethod
    def IS_CHANGED(cls, image: str, max_megapixels: int = 1000) -> str:
        path = cls.host.find_input(image)
        return f"{path}:{path.stat().st_mtime_ns}:{max_megapixels}"

    def run(self, image: str, max_megapixels: int = 1000) -> tuple[Any, Any]:
        from ..runtime.images.tensor import read_image

        return read_image(self.host.find_input(image), max_pixels=max(max_megapixels * 1_000_000, self.host.input_pixels()))


class ImageOut:
    """A picture file in any format, at the depth of its source, with its profile and the workflow."""

    host: ClassVar[Host]
    CATEGORY = "8K/image"
    DESCRIPTION = (
        "Writes pictures as PNG, JPEG, WebP, TIFF, AVIF, EXR or JPEG XL, rounded and never cut short: the file appears under its name "
        "when it is whole. With a source connected it keeps that file's depth, grey, alpha and colour profile."
    )
    SEARCH_ALIASES: ClassVar = ["save image", "export", "16 bit", "tiff", "exr", "png", "jpeg", "webp", "avif"]
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        formats = [suffix.removeprefix(".") for suffix in WRITABLE_SUFFIXES]
        return {
            "required": {
                "images": ("IMAGE", {"tooltip": "One file each."}),
                "filename": (
                    "STRING",
                    {
                        "default": "Upscale8K/%name%",
                        "tooltip": "Below the output folder. %name% is the source's name; %width%, %height%, %year%, %month%, %day%, "
                        "%hour%, %minute% and %second% are filled in. A suffix such as .tiff chooses the format.",
                    },
                ),
            },
            "optional": {
                "source": ("IMAGE_SOURCE", {"tooltip": "From Image In: depth, grey, profile and name of the original."}),
                "format": (
                    [AS_SOURCE, *formats],
                    {"default": AS_SOURCE, "tooltip": "A suffix in the file name goes before this; PNG where nothing says otherwise."},
                ),
                "bit_depth": (
                    [AS_SOURCE, "8", "16", "32"],
                    {"default": AS_SOURCE, "tooltip": "32 is floating point, for EXR and TIFF. 8 where nothing says otherwise."},
                ),
                "quality": (
                    "INT",
                    {"default": 95, "min": 1, "max": 100, "tooltip": "For JPEG, WebP, AVIF and JPEG XL; 100 is lossless where it can be."},
                ),
                "if_exists": (
                    [NUMBER, REPLACE],
                    {"default": NUMBER, "tooltip": "number adds _00001_ and counts up; replace writes exactly this name.", "advanced": True},
                ),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

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
        from ..runtime.images.tensor import Wanted, write_images

        wanted = Wanted(
            filename=filename,
            suffix=None if format == AS_SOURCE else f".{format}",
            bits=None if bit_depth == AS_SOURCE else int(bit_depth),
            quality=quality,
            text=embedded_text(prompt, extra_pnginfo),
        )
        find = numbered(self.host, "output") if if_exists == NUMBER else _exactly(self.host)
        return {"ui": {"images": shown(self.host, "output", write_images(images, source, wanted, find))}}


def _exactly(host: Host) -> Any:
    """Where the pictures of one batch go: the very name for the first, a number after it for the others."""

    def find(stem: str, suffix: str, index: int, *, width: int, height: int) -> Path:
        stem = expand_tokens(stem, width=width, height=height)
        return host.output_file("output", f"{stem}{suffix}" if index == 0 else f"{stem}_{index:05}{suffix}")

    return find


NODES: dict[str, tuple[type, str]] = {
    "TiledUpscale": (TiledUpscale, "Tiled Upscale"),
    "ImageIn": (ImageIn, "Image In"),
    "ImageOut": (ImageOut, "Image Out"),
}
