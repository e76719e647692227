"""Compare models on the same image, and images with each other."""

from typing import Any, ClassVar

from ..runtime import bench, comfyui, metrics, report, upscale
from ..runtime.upscale import PRECISIONS
from .declare import (
    CROP_TOOLTIP,
    FOLDER_TOOLTIP,
    SCORES_TOOLTIP,
    TARGET_TOOLTIP,
    Node,
    backend_input,
    bool_input,
    choice_input,
    text_input,
    tile_input,
    wire_input,
)
from .outputs import format_ui_files, join_folder
from .validate import (
    comparison_target_is_valid,
    crop_is_valid,
    degradation_is_valid,
    first_problem,
    models_are_known,
    output_is_possible,
    scores_are_known,
)

DEFAULT_MODELS = "realesr-animevideov3, realesrgan-x4plus-anime, realesrgan-x4plus, swinir-m-x4, bsrgan-x4"
MODELS_TOOLTIP = (
    "Catalog ids or file names with commas, or `all` for every model that is installed. A model of the catalog whose weights "
    "are missing becomes a row that says how to get them."
)
LABELS_TOOLTIP = "Labels of the images in their order, with commas; an image without a label gets the name of its input."
TRUTH_TOOLTIP = (
    "The image is the original: it is reduced by the factor of `target`, restored by every model and compared with itself. "
    "Only this tells restored detail from invention, and only this recommends a model."
)
DEGRADE_TOOLTIP = (
    "With truth: damage beside the reduction, such as blur=1, noise=4, jpeg=80 (blur in pixels of the reduced image, noise in "
    "8-bit steps, JPEG quality). Empty: none."
)
SHEET_INPUTS = 8


class ComparisonReport(Node, title="Comparison Report"):
    CATEGORY = "8K/measure"
    DESCRIPTION = (
        "Runs every named model, bicubic and Lanczos on the same crops of an image, measures the results, and writes "
        "model_comparison_result.jpg, difference_maps.jpg, artifact_analysis.md, report.html (one self-contained file with a "
        "slider) and report.json."
    )
    SEARCH_ALIASES: ClassVar = ["compare models", "which upscaler", "report", "a/b", "quality", "comparison", "slider"]
    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("sheet", "analysis")
    OUTPUT_TOOLTIPS = ("The labelled sheet with all results.", "The analysis as Markdown.")
    OUTPUT_NODE = True
    INPUTS: ClassVar = {
        "required": {
            "image": wire_input("IMAGE", "The image to upscale; every image of a batch is compared."),
            "models": text_input(DEFAULT_MODELS, MODELS_TOOLTIP, multiline=True),
            "crop": text_input("centre", CROP_TOOLTIP),
            "target": text_input("4x", TARGET_TOOLTIP),
            "folder": text_input("Upscale8K/comparison", FOLDER_TOOLTIP),
        },
        "optional": {
            "source": wire_input("IMAGE_SOURCE", "From Image In: the name of the image, for the headings."),
            "tile": tile_input(advanced=True),
            "precision": choice_input(PRECISIONS, "auto", "fp32 compares models at their best.", advanced=True),
            "backend": backend_input(),
            "scores": text_input("", SCORES_TOOLTIP),
            "truth": bool_input(False, TRUTH_TOOLTIP),
            "degrade": text_input("", DEGRADE_TOOLTIP, advanced=True),
        },
    }

    @classmethod
    def VALIDATE_INPUTS(
        cls,
        models: str | None,
        crop: str | None,
        target: str | None,
        folder: str | None,
        scores: str | None = "",
        degrade: str | None = "",
    ) -> bool | str:
        return first_problem(
            (
                scores_are_known(scores),
                degradation_is_valid(degrade),
                crop_is_valid(crop),
                comparison_target_is_valid(target),
                output_is_possible(cls.host, folder and join_folder(folder, "report.html")),
                models_are_known(cls.host, models),
            )
        )

    @classmethod
    def IS_CHANGED(cls, models: str | None, **_: Any) -> str:
        """Weights that were pulled since the last run change the report."""
        found = bench.list_compared_models(models, cls.host.model_folders()) if models else []
        return repr([(one.id, one.problem) for one in found])

    def run(
        self,
        image: Any,
        models: str,
        crop: str,
        target: str,
        folder: str,
        source: Any = None,
        tile: int = 0,
        precision: Any = "auto",
        backend: str = "auto",
        scores: str = "",
        truth: bool = False,
        degrade: str = "",
    ) -> dict[str, Any]:
        host = self.host
        effective_backend = backend if host.backend() == "auto" else host.backend()
        settings = upscale.TiledUpscaleSettings(
            target, host.device(), tile=tile, precision=precision, backend=effective_backend
        )
        name = f"{source.name}{source.suffix}" if source else ""
        damage = metrics.Degradation.parse(degrade) if truth or degrade.strip() else None
        comparison = bench.run_comparison(
            image, name, models, crop, scores, settings, host.model_folders(), host.progress, damage, host.free_memory
        )
        paths = report.write_report(comparison, lambda file: host.output_file("output", join_folder(folder, file)))
        files, analysis_text = format_ui_files(host, "output", paths), report.render_markdown(comparison)
        return {
            "ui": {"images": files[:1], "series": files, "text": [analysis_text]},
            "result": (comfyui.to_image_tensor(report.draw_sheet(comparison)), analysis_text),
        }


class ComparisonSheet(Node, title="Comparison Sheet"):
    CATEGORY = "8K/measure"
    DESCRIPTION = (
        "Puts up to eight upscaled versions of an image on one sheet, with labels, a magnified detail, scale bars and their "
        "numbers against the source. They may come from any node and differ in size."
    )
    SEARCH_ALIASES: ClassVar = ["compare images", "contact sheet", "grid", "side by side", "label"]
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("sheet",)
    OUTPUT_TOOLTIPS = ("The sheet, 8-bit RGB.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        more = {f"image_{number}": wire_input("IMAGE", "Another version of it.") for number in range(2, SHEET_INPUTS + 1)}
        return {
            "required": {
                "source": wire_input("IMAGE", "The image that the versions were made from; of a batch the first image."),
                "image_1": wire_input("IMAGE", "An upscaled version of the source with the same aspect ratio."),
                "labels": text_input("", LABELS_TOOLTIP, multiline=True),
                "crop": text_input("all", CROP_TOOLTIP),
            },
            "optional": more,
        }

    @classmethod
    def VALIDATE_INPUTS(cls, crop: str | None) -> bool | str:
        return crop_is_valid(crop)

    def run(self, source: Any, image_1: Any, labels: str, crop: str, **images: Any) -> tuple[Any]:
        connected = {"image_1": image_1, **{name: image for name, image in sorted(images.items()) if image is not None}}
        comparison = bench.compare_given_images(source, list(connected.values()), list(connected), labels, crop)
        return (comfyui.to_image_tensor(report.draw_sheet(comparison)),)
