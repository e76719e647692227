"""Is the result true? Color drift, difference maps and artifacts, in numbers and in images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from ..runtime.errors import WorkflowError
from ..runtime.metrics.choices import COLORMAPS, DIFF_KINDS, DRIFT_MODES, MAP_SIZES
from ..runtime.metrics.external_scores.score_table import parse_scores
from .compare import SCORES_TOOLTIP, scores_are_known
from .declare import choice_input, int_input, text_input, wire_input

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..runtime.host import Host
    from ..runtime.metrics.artifacts import Artifacts

AUTO = "auto"

REFERENCE_TOOLTIP = "The original, before it was upscaled. Grey or RGB, with or without alpha."
UPSCALED_TOOLTIP = "The same image, upscaled; a single one is compared with every one of the other batch."
MODE_TOOLTIP = (
    "full compares every pixel at the reference's size, so detail that was sharpened or smoothed counts too; low-frequency "
    "compares only the color of areas."
)
SCALE_TOOLTIP = "Where the colors of the heat map end, in units of CIEDE2000; 0 chooses a round number."
COLORMAP_TOOLTIP = "auto is inferno, and blue-white-red where there is a sign."
GAIN_TOOLTIP = "1 maps the whole range, 4 a quarter of it, with more contrast; 0 chooses a round number. The legend says which."
KIND_TOOLTIP = (
    "absolute: mean of the channels. signed: red is lighter, blue darker. delta e: CIEDE2000. edges: red is steeper, blue "
    "softer."
)
AT_TOOLTIP = (
    "The size of the map. The larger image is reduced by area in linear light, the smaller one enlarged by a cubic, to meet."
)
TILE_TOOLTIP = "The tile that the upscaler used, in pixels of the reference; its grid is searched for seams. 0 does not look."
HALO_TOOLTIP = "The halo around each of its tiles; Tiled Upscale takes 64 with most models. 0 is none."
JSON_TOOLTIP = "All numbers as JSON text."


class ColorDriftMetric:
    """By how much colors differ from those of the original, as a person sees it."""

    host: ClassVar[Host]
    CATEGORY = "8K/measure"
    DESCRIPTION = (
        "Measures the color drift of an upscaled image or video: CIEDE2000 and CIE76 with percentiles, bias, a verdict in "
        "words, and a heat map. The upscaled image is brought to the reference's size by area, in linear light."
    )
    SEARCH_ALIASES: ClassVar = ["delta e", "ciede2000", "color difference", "color drift", "compare", "quality", "metric"]
    RETURN_TYPES = ("IMAGE", "FLOAT", "STRING", "STRING")
    RETURN_NAMES = ("heat_map", "mean_delta_e", "verdict", "json")
    OUTPUT_TOOLTIPS = (
        "CIEDE2000 of every pixel in colors, with its scale; of a video, the mean over its frames.",
        "Mean CIEDE2000 over all pixels.",
        "The result in one sentence.",
        JSON_TOOLTIP,
    )
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        scale = {"default": 0.0, "min": 0.0, "max": 300.0, "step": 0.5, "tooltip": SCALE_TOOLTIP}
        return {
            "required": {
                "reference": wire_input("IMAGE,VIDEO", REFERENCE_TOOLTIP),
                "upscaled": wire_input("IMAGE,VIDEO", UPSCALED_TOOLTIP),
            },
            "optional": {
                "mode": choice_input(DRIFT_MODES, "full", MODE_TOOLTIP),
                "scale": ("FLOAT", scale),
                "colours": choice_input([AUTO, *COLORMAPS], AUTO, COLORMAP_TOOLTIP, advanced=True),
                "every_nth": int_input(1, 1, 1000, "Of a video, measure one frame in so many.", advanced=True),
            },
        }

    def run(
        self, reference: Any, upscaled: Any, mode: Any = "full", scale: float = 0.0, colours: str = AUTO, every_nth: int = 1
    ) -> dict[str, Any]:
        are_videos = [not hasattr(value, "shape") for value in (reference, upscaled)]
        if any(are_videos) and not all(are_videos):
            raise WorkflowError("A video cannot be compared with an image.", "Connect two videos, or two images.")
        measure = self._measure_videos if all(are_videos) else self._measure_images
        drift, heat_map = measure(reference, upscaled, mode, scale, _resolve_colormap(colours), every_nth)
        report = json.dumps(drift.as_dict(), indent=2)
        return _make_text_output(drift.sentence, (heat_map, drift.de2000.mean, drift.sentence, report))

    def _measure_images(self, reference: Any, upscaled: Any, mode: Any, scale: float, colormap: str, _: int) -> tuple[Any, Any]:
        from ..runtime.metrics.batch_metrics import measure_batch_drift

        with self.host.progress(max(len(reference), len(upscaled)), "picture") as progress:
            drift, heat_map = measure_batch_drift(reference, upscaled, mode, scale, colormap, progress.advance)
            progress.message(drift.sentence)
        return drift, heat_map

    def _measure_videos(
        self, reference: Any, upscaled: Any, mode: Any, scale: float, colormap: str, every_nth: int
    ) -> tuple[Any, Any]:
        from ..runtime.comfyui.types.video import map_video_value
        from ..runtime.metrics.batch_metrics import draw_video_heat_map
        from ..runtime.metrics.video import measure_video_drift

        reference_video, upscaled_video = (
            map_video_value(value, self.host.progress, lambda stream, _: stream) for value in (reference, upscaled)
        )
        with self.host.progress(min(reference_video.get_frame_count(), upscaled_video.get_frame_count()), "frame") as progress:
            drift, values = measure_video_drift(reference_video.stream, upscaled_video.stream, mode, progress, every_nth)
            progress.message(drift.sentence)
        return drift, draw_video_heat_map(values, drift, scale, colormap)


class DiffMap:
    """Where two images differ."""

    host: ClassVar[Host]
    CATEGORY = "8K/measure"
    DESCRIPTION = (
        "Shows where two images of the same thing differ, in perceptual colors with a legend: a reference and its "
        "enlargement, or the results of two models, whose sizes may differ."
    )
    SEARCH_ALIASES: ClassVar = ["difference", "diff", "compare", "heat map", "delta e map", "subtract"]
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("map",)
    OUTPUT_TOOLTIPS = ("The map of every pair, with its legend below it.",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        gain = {"default": 0.0, "min": 0.0, "max": 255.0, "step": 0.5, "tooltip": GAIN_TOOLTIP}
        return {
            "required": {
                "reference": wire_input("IMAGE", "The original, or the result of one model."),
                "image": wire_input("IMAGE", "The enlargement, or the result of another model."),
                "kind": choice_input(DIFF_KINDS, "delta e", KIND_TOOLTIP),
            },
            "optional": {
                "gain": ("FLOAT", gain),
                "colours": choice_input([AUTO, *COLORMAPS], AUTO, COLORMAP_TOOLTIP),
                "at": choice_input(MAP_SIZES, "reference", AT_TOOLTIP),
                "legend": (
                    "BOOLEAN",
                    {"default": True, "tooltip": "Adds a bar below the map: what the colors mean."},
                ),
            },
        }

    def run(
        self,
        reference: Any,
        image: Any,
        kind: Any,
        gain: float = 0.0,
        colours: str = AUTO,
        at: Any = "reference",
        legend: bool = True,
    ) -> tuple[Any]:
        from ..runtime.metrics.batch_metrics import draw_batch_diff_maps

        with self.host.progress(max(len(reference), len(image)), "picture") as progress:
            return (
                draw_batch_diff_maps(
                    reference, image, kind, gain, _resolve_colormap(colours), at, progress.advance, legend=legend
                ),
            )


class ArtifactMetric:
    """What an upscaler added that nobody asked for."""

    host: ClassVar[Host]
    CATEGORY = "8K/measure"
    DESCRIPTION = (
        "Measures halos, invented detail, noise, oversharpening, banding and seams of an upscaled image against its "
        "original, and says in sentences what can be seen."
    )
    SEARCH_ALIASES: ClassVar = ["artifacts", "ringing", "halo", "hallucination", "seams", "banding", "noise", "quality"]
    RETURN_TYPES = ("STRING", "STRING", "FLOAT", "FLOAT", "FLOAT", "FLOAT", "FLOAT", "FLOAT")
    RETURN_NAMES = ("findings", "json", "halo", "consistency_db", "invented", "noise", "banding", "seams")
    OUTPUT_TOOLTIPS = (
        "What can be seen, in sentences.",
        "All numbers as JSON text, a list with one entry per image; null where the image gives no answer.",
        "Overshoot beside edges, as a share of their contrast.",
        "How well the image, reduced again, equals the original; in dB, higher is better.",
        "Detail that no image of the original's size can hold, in 8-bit steps.",
        "Noise where the original is flat, in 8-bit steps.",
        "Mean height of steps in smooth areas, in 8-bit steps.",
        "Steps from tile to tile, in 8-bit steps.",
    )
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "reference": wire_input("IMAGE", REFERENCE_TOOLTIP),
                "upscaled": wire_input("IMAGE", UPSCALED_TOOLTIP),
            },
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
        from ..runtime.metrics.batch_metrics import measure_batch_artifacts, measure_batch_scores

        requested_scores = parse_scores(scores)
        with self.host.progress(max(len(reference), len(upscaled)) * (2 if requested_scores else 1), "picture") as progress:
            found = measure_batch_artifacts(reference, upscaled, tile, halo, progress.advance)
            scored = measure_batch_scores(reference, upscaled, requested_scores, progress.advance) if requested_scores else []
            sentences = [*(sentence for one in found for sentence in one.sentences), *(one.sentence for one in scored)]
            findings = "\n".join(dict.fromkeys(sentence for sentence in sentences if sentence))
            progress.message(findings)
        numbers = [one.as_dict() for one in found]
        for entry, one in zip(numbers, scored, strict=False):
            entry["scores"] = one.values
        report = json.dumps(numbers, indent=2)
        return _make_text_output(findings, (findings, report, *(_mean(found, number) for number in _ARTIFACT_NUMBERS)))


_ARTIFACT_NUMBERS: tuple[Callable[[Artifacts], float | None], ...] = (
    lambda one: one.halo and one.halo.relative,
    lambda one: one.consistency.psnr_db,
    lambda one: one.spectrum.invented,
    lambda one: one.noise and one.noise.image,
    lambda one: one.banding and one.banding.step,
    lambda one: one.seams and one.seams.height,
)


def _mean(found: list[Artifacts], number: Callable[[Artifacts], float | None]) -> float:
    """Over the images that give an answer; 0 where none does."""
    numbers = [value for one in found if (value := number(one)) is not None]
    return sum(numbers) / len(numbers) if numbers else 0.0


def _resolve_colormap(colormap: str) -> str:
    return "" if colormap == AUTO else colormap


def _make_text_output(text: str, result: tuple[Any, ...]) -> dict[str, Any]:
    return {"ui": {"text": [text]}, "result": result}


NODES: dict[str, tuple[type, str]] = {
    "ColorDriftMetric": (ColorDriftMetric, "Color Drift"),
    "DiffMap": (DiffMap, "Difference Map"),
    "ArtifactMetric": (ArtifactMetric, "Artifacts"),
}
