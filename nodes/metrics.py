"""Measure results against their source: color drift, difference maps, artifacts."""

import json
from typing import Any, ClassVar

from ..runtime import comfyui, metrics
from ..runtime.metrics import ARTIFACT_METRICS, AUTO_COLORMAP, COLORMAPS, DIFF_KINDS, DRIFT_MODES, MAP_SIZES
from .declare import SCORES_TOOLTIP, Node, bool_input, choice_input, float_input, int_input, text_input, wire_input
from .validate import scores_are_known

REFERENCE_TOOLTIP = "The original, before upscaling. Grey or RGB, with or without alpha."
UPSCALED_TOOLTIP = "The same image, upscaled; a single image is compared with every image of the other batch."
MODE_TOOLTIP = (
    "full compares every pixel at the size of the reference, so sharpened or smoothed detail counts too; low-frequency "
    "compares only the color of areas."
)
SCALE_TOOLTIP = "Upper end of the heat map in units of CIEDE2000; 0 selects a round number."
COLORMAP_TOOLTIP = "Colors of the map. auto is inferno, or blue-white-red for signed values."
GAIN_TOOLTIP = "Contrast: 1 maps the whole range, 4 a quarter of it; 0 selects a round number. The legend shows which."
KIND_TOOLTIP = (
    "absolute: mean of the channels. signed: red is lighter, blue darker. delta e: CIEDE2000. edges: red is steeper, blue "
    "softer."
)
AT_TOOLTIP = (
    "Size of the map. The larger image is reduced by area in linear light, the smaller one is enlarged by a cubic, to that "
    "size."
)
TILE_TOOLTIP = (
    "Tile of the upscaler in pixels of the reference, to measure steps on its grid that are too small to be found. "
    "Visible seams of any grid are found without it."
)
HALO_TOOLTIP = "Halo around each tile in pixels of the reference; Tiled Upscale uses 64 with most models. 0: none."
JSON_TOOLTIP = "All numbers as JSON text."
COLORMAP_CHOICES = [AUTO_COLORMAP, *COLORMAPS]


class ColorDriftMetric(Node, title="Color Drift"):
    CATEGORY = "8K/measure"
    DESCRIPTION = (
        "Measures the color drift of an upscaled image or video: CIEDE2000 and CIE76 with percentiles, bias, a verdict in "
        "words, and a heat map. The upscaled image is reduced to the reference's size by area, in linear light."
    )
    SEARCH_ALIASES: ClassVar = ["delta e", "ciede2000", "color difference", "color drift", "compare", "quality", "metric"]
    RETURN_TYPES = ("IMAGE", "FLOAT", "STRING", "STRING")
    RETURN_NAMES = ("heat_map", "mean_delta_e", "verdict", "json")
    OUTPUT_TOOLTIPS = (
        "CIEDE2000 of every pixel as colors, with its scale; of a video, the mean over its frames.",
        "Mean CIEDE2000 over all pixels.",
        "The result in one sentence.",
        JSON_TOOLTIP,
    )
    OUTPUT_NODE = True
    INPUTS: ClassVar = {
        "required": {
            "reference": wire_input("IMAGE,VIDEO", REFERENCE_TOOLTIP),
            "upscaled": wire_input("IMAGE,VIDEO", UPSCALED_TOOLTIP),
        },
        "optional": {
            "mode": choice_input(DRIFT_MODES, "full", MODE_TOOLTIP),
            "scale": float_input(0.0, 0.0, 300.0, 0.5, SCALE_TOOLTIP),
            "colours": choice_input(COLORMAP_CHOICES, AUTO_COLORMAP, COLORMAP_TOOLTIP, advanced=True),
            "every_nth": int_input(1, 1, 1000, "Of a video, measure every nth frame.", advanced=True),
        },
    }

    def run(
        self,
        reference: Any,
        upscaled: Any,
        mode: Any = "full",
        scale: float = 0.0,
        colours: str = AUTO_COLORMAP,
        every_nth: int = 1,
    ) -> dict[str, Any]:
        drift, heat_map, report = comfyui.measure_drift_values(
            reference, upscaled, mode, scale, colours, every_nth, self.host.progress
        )
        return _make_text_output(drift.sentence, report, (heat_map, drift.de2000.mean, drift.sentence, report))


class DiffMap(Node, title="Difference Map"):
    CATEGORY = "8K/measure"
    DESCRIPTION = (
        "Shows where two versions of an image differ, in perceptual colors with a legend: a reference and its enlargement, "
        "or the results of two models, whose sizes may differ."
    )
    SEARCH_ALIASES: ClassVar = ["difference", "diff", "compare", "heat map", "delta e map", "subtract"]
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("map",)
    OUTPUT_TOOLTIPS = ("The map of every pair, with its legend below it.",)
    INPUTS: ClassVar = {
        "required": {
            "reference": wire_input("IMAGE", "The original, or the result of one model."),
            "image": wire_input("IMAGE", "The enlargement, or the result of another model."),
            "kind": choice_input(DIFF_KINDS, "delta e", KIND_TOOLTIP),
        },
        "optional": {
            "gain": float_input(0.0, 0.0, 255.0, 0.5, GAIN_TOOLTIP),
            "colours": choice_input(COLORMAP_CHOICES, AUTO_COLORMAP, COLORMAP_TOOLTIP),
            "at": choice_input(MAP_SIZES, "reference", AT_TOOLTIP),
            "legend": bool_input(True, "Adds a bar below the map that explains the colors."),
        },
    }

    def run(
        self,
        reference: Any,
        image: Any,
        kind: Any,
        gain: float = 0.0,
        colours: str = AUTO_COLORMAP,
        at: Any = "reference",
        legend: bool = True,
    ) -> tuple[Any]:
        with self.host.progress(max(len(reference), len(image)), "image") as progress:
            return (metrics.draw_batch_diff_maps(reference, image, kind, gain, colours, at, progress.advance, legend=legend),)


class ArtifactMetric(Node, title="Artifacts"):
    CATEGORY = "8K/measure"
    DESCRIPTION = (
        "Measures halos, invented detail, noise, oversharpening, banding and seams of an upscaled image against its "
        "original, and reports visible artifacts in sentences."
    )
    SEARCH_ALIASES: ClassVar = ["seam", "artifacts", "ringing", "halo", "hallucination", "banding", "noise", "quality"]
    RETURN_TYPES = ("STRING", "STRING", *("FLOAT" for _ in ARTIFACT_METRICS))
    RETURN_NAMES = ("findings", "json", *(metric.output for metric in ARTIFACT_METRICS))
    OUTPUT_TOOLTIPS = (
        "Visible artifacts, in sentences.",
        "All numbers as JSON text, a list with one entry per image; null where an image gives no answer.",
        *(metric.output_tooltip for metric in ARTIFACT_METRICS),
    )
    OUTPUT_NODE = True
    INPUTS: ClassVar = {
        "required": {"reference": wire_input("IMAGE", REFERENCE_TOOLTIP), "upscaled": wire_input("IMAGE", UPSCALED_TOOLTIP)},
        "optional": {
            "tile": int_input(0, 0, 8192, TILE_TOOLTIP),
            "scores": text_input("", SCORES_TOOLTIP),
            "halo": int_input(0, 0, 512, HALO_TOOLTIP, advanced=True),
        },
    }

    @classmethod
    def VALIDATE_INPUTS(cls, scores: str | None = "") -> bool | str:
        return scores_are_known(scores)

    def run(self, reference: Any, upscaled: Any, tile: int = 0, scores: str = "", halo: int = 0) -> dict[str, Any]:
        findings, report, numbers = metrics.measure_artifact_report(reference, upscaled, tile, halo, scores, self.host.progress)
        return _make_text_output(findings, report, (findings, report, *numbers))


def _make_text_output(text: str, report: str, result: tuple[Any, ...]) -> dict[str, Any]:
    """Show ``text`` on the node, and give the numbers of ``report`` to ``run --json``."""
    return {"ui": {"text": [text], "values": [json.loads(report)]}, "result": result}
