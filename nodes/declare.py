"""How inputs are declared: ComfyUI's V1 tuples, and the inputs that several nodes share."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..runtime.file_types import WRITABLE_IMAGE_SUFFIXES
from ..runtime.metrics import SCORE_KEYS_TEXT
from ..runtime.upscale import MIN_TILE, PRECISIONS, TARGET_NAMES, list_backend_choices

if TYPE_CHECKING:
    from ..runtime.host import Host

Input = tuple[Any, dict[str, Any]]

AS_SOURCE = "as source"
NUMBER, REPLACE, REFUSE = "number", "replace", "refuse"
LANCZOS, LANCZOS_LINEAR = "lanczos", "lanczos, linear light"
COLOR_FIXES = ["off", "mean", "low-frequency"]
DEPTHS: dict[str, Literal[8, 16, 32]] = {"8": 8, "16": 16, "32": 32}
IMAGE_FORMATS = [AS_SOURCE, *(suffix.removeprefix(".") for suffix in WRITABLE_IMAGE_SUFFIXES)]
LARGEST_TILE = 4096

TARGET_TOOLTIP = (
    "Size of the result. 4K, 8K and 16K are boxes of 3840x2160, 7680x4320 and 15360x8640 pixels that the image is fitted into "
    "with its aspect ratio kept, turned for a portrait. A factor such as 4x multiplies both sides. A workflow file may also "
    "hold WIDTHxHEIGHT or 2.5x."
)
STRENGTH_TOOLTIP = (
    "Share of the model in the result, 0 to 1 (default); the rest is a plain cubic enlargement of the source. Lower it when "
    "the result looks too clean."
)
GRAIN_TOOLTIP = (
    "Share of the source's own grain that is given back, 0 (default) to 1: the noise of the source is measured, and new noise "
    "of the same spectrum and color is added. Each frame has its own, the same in every run."
)
FILENAME_TOOLTIP = (
    "File name below the output folder. %name% is the name of the source; %width%, %height%, %year%, %month%, %day%, %hour%, "
    "%minute% and %second% are filled in. A suffix such as .tiff selects the format."
)
FOLDER_TOOLTIP = "Folder below the output folder. Files of the same names from an earlier run are replaced."
CROP_TOOLTIP = (
    "Region to compare: centre, texture, edges, faces (needs scikit-image), all, a size such as 512x512, 512x512+X+Y, or "
    "texture:256x256; several with commas. Without a GPU a crop of 512x512 takes a minute or two for each large model."
)
SCORES_TOOLTIP = (
    f"Scores of other libraries to add: {SCORE_KEYS_TEXT}, or all; several with commas. They need "
    "`pip install upscale8k[scores]`; a score that is not available is left out and named in the report. Nothing is downloaded."
)


class Node:
    """What every node has; its ``DESCRIPTION`` says what it does. A class with a ``title``, its display name, is a node.

    Its id is the name of the class, or ``node_id``. A package of the engine is imported as a whole, because its face loads what
    is used, when it is.
    """

    host: ClassVar[Host]
    title: ClassVar[str]
    node_id: ClassVar[str]
    FUNCTION = "run"
    INPUTS: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, title: str = "", node_id: str = "") -> None:
        if title:
            cls.title, cls.node_id = title, node_id or cls.__name__

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return ``INPUTS``; a node whose inputs depend on the host or on a table overrides this."""
        return deepcopy(cls.INPUTS)


def list_nodes(*modules: ModuleType) -> dict[str, type[Node]]:
    """Return the nodes that modules declare by id, in the order of their declarations."""
    declared = [(module, cls) for module in modules for cls in vars(module).values() if isinstance(cls, type)]
    return {
        cls.node_id: cls
        for module, cls in declared
        if issubclass(cls, Node) and "title" in vars(cls) and cls.__module__ == module.__name__
    }


def wire_input(wire_type: str, tooltip: str) -> Input:
    """Declare a value that only another node can provide."""
    return wire_type, {"tooltip": tooltip}


def choice_input(options: Sequence[str], default: str, tooltip: str, **extra: Any) -> Input:
    """Declare a choice of one word."""
    return list(options), {"default": default, "tooltip": tooltip, **extra}


def int_input(default: int, minimum: int, maximum: int, tooltip: str, **extra: Any) -> Input:
    """Declare an integer from ``minimum`` to ``maximum``."""
    return "INT", {"default": default, "min": minimum, "max": maximum, "tooltip": tooltip, **extra}


def float_input(default: float, minimum: float, maximum: float, step: float, tooltip: str, **extra: Any) -> Input:
    """Declare a number from ``minimum`` to ``maximum``; the canvas changes it by ``step``."""
    return "FLOAT", {"default": default, "min": minimum, "max": maximum, "step": step, "tooltip": tooltip, **extra}


def seconds_input(default: float, tooltip: str) -> Input:
    """Declare a time in seconds, exact to the millisecond."""
    return float_input(default, 0.0, 1e6, 0.001, tooltip, round=0.001)


def bool_input(default: bool, tooltip: str, **extra: Any) -> Input:
    """Declare a switch."""
    return "BOOLEAN", {"default": default, "tooltip": tooltip, **extra}


def text_input(default: str, tooltip: str, **extra: Any) -> Input:
    """Declare a line of text."""
    return "STRING", {"default": default, "tooltip": tooltip, **extra}


def tile_input(**extra: Any) -> Input:
    """Declare the side of a tile."""
    tooltip = (
        f"Side of a tile in source pixels, without its halo: 0 (default) selects it by model and free memory, otherwise "
        f"{MIN_TILE} to {LARGEST_TILE}. Smaller tiles need less memory; the image stays the same."
    )
    return int_input(0, 0, LARGEST_TILE, tooltip, step=MIN_TILE, **extra)


def backend_input() -> Input:
    """Declare the engine that runs a model."""
    return choice_input(
        list_backend_choices(), "auto", "Library that runs the model; null only repeats pixels, for dry runs.", advanced=True
    )


def if_exists_input(tooltip: str) -> Input:
    """Declare what happens to a file of the same name."""
    return choice_input([NUMBER, REPLACE, REFUSE], NUMBER, f"{tooltip} refuse keeps an existing file and stops.", advanced=True)


def declare_upscale_model() -> Input:
    """Declare the model of a node that upscales."""
    return wire_input("UPSCALE_MODEL", "From Upscale Model, or from ComfyUI's own Load Upscale Model.")


def declare_upscale_inputs(source: str, source_input: Input) -> dict[str, Any]:
    """Declare the inputs of Tiled Upscale and Tiled Upscale Video; ``source`` is the name of what they upscale."""
    return {
        "required": {
            source: source_input,
            "upscale_model": declare_upscale_model(),
            "target": choice_input(TARGET_NAMES, "8K", TARGET_TOOLTIP),
        },
        "optional": {
            "tile": tile_input(),
            "halo": int_input(
                -1,
                -1,
                512,
                "Source pixels around each tile that the model also sees and that are cut off afterwards; -1 (default) is what "
                "the model needs. A smaller halo is faster but may show seams.",
                advanced=True,
            ),
            "batch": int_input(
                0,
                0,
                64,
                "Tiles per run of the model; 0 (default) means 1, or what the settings suggest. More can be faster on a GPU, "
                "never on a CPU.",
                advanced=True,
            ),
            "precision": choice_input(
                PRECISIONS,
                "auto",
                "Number format of the model. auto is fp16 on a GPU where the model is safe in it; on a CPU fp32, or bf16 where "
                "that is faster on this CPU and the model stays within 50 dB of it. A tile that overflows in fp16 is computed "
                "again in fp32.",
                advanced=True,
            ),
            "reduce": choice_input(
                [LANCZOS, LANCZOS_LINEAR],
                LANCZOS,
                "Filter of the final reduction when the model overshoots the target. Linear light keeps the brightness of fine "
                "bright detail.",
                advanced=True,
            ),
            "backend": backend_input(),
            "settings": wire_input(
                "UPSCALE_SETTINGS",
                "From HW Probe: its suggestions are used for tile 0, batch 0, precision auto and backend auto. Other values "
                "take precedence.",
            ),
            "color_fix": choice_input(
                COLOR_FIXES,
                "off",
                "Removes the color drift that a model adds. mean shifts the whole image; low-frequency corrects each area and "
                "keeps the detail.",
            ),
            "strength": float_input(1.0, 0.0, 1.0, 0.05, STRENGTH_TOOLTIP, advanced=True),
            "grain": float_input(0.0, 0.0, 1.0, 0.05, GRAIN_TOOLTIP, advanced=True),
        },
    }
