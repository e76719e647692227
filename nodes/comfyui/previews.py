"""Our nodes inside ComfyUI: they also show source and result under a slider, or their map, on the node.

The command line has no canvas, so there the nodes make no previews. Number and size of the previews are bounded, whatever the
size of the image or the length of the video; ``web/js/compare_on_node.js`` shows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from ...runtime import comfyui, images, metrics, report
from ...runtime import video as video_files
from ..image import TiledUpscale
from ..metrics import ArtifactMetric, ColorDriftMetric, DiffMap
from ..outputs import format_ui_files
from ..video import SequenceOut, TiledUpscaleVideo, VideoOut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ...runtime.host import Host
    from ...runtime.media import Frame, VideoStream
    from ...runtime.report import BeforeAfterPair, VideoFramePairs

COMPARED_KEY = "upscale8k_compared"
"""Key of ``ui`` with the pairs of images."""
MAX_IMAGES = 4
"""Of a batch, at most."""
JPEG_QUALITY = 92
MAP_SIDE = 1024
"""Longest side of a map on its node, in pixels."""


class TiledUpscaleWithPreview(TiledUpscale):
    """Shows images of the batch before and after."""

    def run(self, image: Any, *values: Any, **settings: Any) -> Any:
        (result,) = super().run(image, *values, **settings)
        with self.host.progress(1, "picture") as progress:
            progress.advance()
            progress.preview(result[-1].numpy())  # replaces the last live preview, of a half finished image
        return {"ui": {COMPARED_KEY: _save_image_pairs(self.host, image, result)}, "result": (result,)}


class TiledUpscaleVideoWithPreview(TiledUpscaleVideo):
    """Records frames of the source for the node that writes the video."""

    def run(self, video: Any, *values: Any, **settings: Any) -> Any:
        frame_pairs = report.VideoFramePairs()
        (result,) = super().run(_tap_frames(self.host, video, frame_pairs.add_source_frame), *values, **settings)
        _FRAME_PAIRS[result] = frame_pairs
        return (result,)


class VideoOutWithPreview(VideoOut):
    """Shows frames of an upscaled video before and after, and plays what browsers do not from a small copy."""

    def run(self, video: Any, *values: Any, **settings: Any) -> Any:
        output = _write_with_preview(
            self.host, video, lambda source: super(VideoOutWithPreview, self).run(source, *values, **settings)
        )
        return _add_playable_copy(self.host, output)


class SequenceOutWithPreview(SequenceOut):
    """Shows frames of an upscaled video before and after."""

    def run(self, video: Any, *values: Any, **settings: Any) -> Any:
        return _write_with_preview(
            self.host, video, lambda source: super(SequenceOutWithPreview, self).run(source, *values, **settings)
        )


class ColorDriftWithPreview(ColorDriftMetric):
    """Shows the heat map on the node, below the verdict."""

    def run(self, *values: Any, **settings: Any) -> dict[str, Any]:
        output = super().run(*values, **settings)
        return {**output, "ui": {**output["ui"], "images": _save_maps(self.host, output["result"][0])}}


class DiffMapWithPreview(DiffMap):
    """Shows the map on the node."""

    def run(self, *values: Any, **settings: Any) -> Any:
        result = super().run(*values, **settings)
        return {"ui": {"images": _save_maps(self.host, result[0])}, "result": result}


class ArtifactsWithPreview(ArtifactMetric):
    """Shows the map of Delta E on the node, with a box around each fault, below the findings."""

    def run(self, reference: Any, upscaled: Any, *values: Any, **settings: Any) -> dict[str, Any]:
        output = super().run(reference, upscaled, *values, **settings)
        maps = metrics.draw_fault_maps(reference[:MAX_IMAGES], upscaled[:MAX_IMAGES], output["result"][1])
        return {**output, "ui": {**output["ui"], "images": _save_maps(self.host, maps)}}


NODES: dict[str, type] = {
    "ArtifactMetric": ArtifactsWithPreview,
    "ColorDriftMetric": ColorDriftWithPreview,
    "DiffMap": DiffMapWithPreview,
    "TiledUpscale": TiledUpscaleWithPreview,
    "TiledUpscaleVideo": TiledUpscaleVideoWithPreview,
    "VideoOut": VideoOutWithPreview,
    "SequenceOut": SequenceOutWithPreview,
}


_FRAME_PAIRS: WeakKeyDictionary[Any, VideoFramePairs] = WeakKeyDictionary()
"""By the video value that an upscaler returned."""


def _write_with_preview(host: Host, video: Any, write: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """Write a video; add previews to its ``ui`` where it comes directly from an upscaler."""
    frame_pairs = _FRAME_PAIRS.get(video)
    if frame_pairs is None:
        return write(video)
    frame_pairs.reset(float(video.get_duration()), video.stream.info.size)
    output = write(_tap_frames(host, video, frame_pairs.add_result_frame))
    return {**output, "ui": {**output["ui"], COMPARED_KEY: _save_pairs(host, frame_pairs.get_pairs())}}


def _add_playable_copy(host: Host, output: dict[str, Any]) -> dict[str, Any]:
    """Put a copy before the written video where browsers do not play it; the node shows the first."""
    (file,) = output["ui"]["images"]
    copy = host.output_path("temp", "upscale8k/played", ".webm")
    if not video_files.write_browser_proxy(host.folder("output") / file["subfolder"] / file["filename"], copy):
        return output
    return {
        **output,
        "ui": {**output["ui"], "images": [*format_ui_files(host, "temp", [copy]), file], "animated": (True, True)},
    }


def _tap_frames(host: Host, video: Any, on_frame: Callable[[Frame], None]) -> Any:
    """Return the same video that calls ``on_frame`` with each frame that is read."""
    from ...runtime.media import VideoStream

    def tap_stream(stream: VideoStream, _: object) -> VideoStream:
        def iterate_frames(first: int = 0) -> Iterator[Frame]:
            with stream.frames(first) as source_frames:
                for frame in source_frames:
                    on_frame(frame)
                    yield frame

        return VideoStream(stream.info, iterate_frames, iterate_frames)

    return comfyui.map_video_value(video, host.progress, tap_stream)


def _save_image_pairs(host: Host, images: Any, results: Any) -> list[dict[str, Any]]:
    from ...runtime.media import Size

    found: list[tuple[str, BeforeAfterPair]] = []
    for number, (image, result) in enumerate(zip(images[:MAX_IMAGES], results[:MAX_IMAGES], strict=True), 1):
        pixels = result.numpy()
        before = report.SourceSnapshot(image.detach().float().cpu().numpy(), Size(pixels.shape[1], pixels.shape[0]))
        note = f"{number}" if len(images) > 1 else ""
        found += [(note, pair) for pair in before.make_pairs(pixels)]
    return _save_pairs(host, found)


def _save_maps(host: Host, maps: Any) -> list[dict[str, str]]:
    import numpy as np
    from PIL import Image

    paths: list[Path] = []
    for pixels in maps[:MAX_IMAGES]:
        image = Image.fromarray(images.to_integers(np.asarray(pixels), 8))
        image.thumbnail((MAP_SIDE, MAP_SIDE), Image.Resampling.LANCZOS)
        paths.append(_save_image(host, "upscale8k/maps", image, "PNG", compress_level=1))
    return format_ui_files(host, "temp", paths)


def _save_image(host: Host, prefix: str, image: Any, format_name: Literal["PNG", "JPEG"], **options: Any) -> Path:
    path = host.output_path("temp", prefix, {"PNG": ".png", "JPEG": ".jpg"}[format_name])
    return images.save_image(path, lambda temp: images.save_with_pillow(image, temp, format_name, **options), numbered=True)


def _save_pairs(host: Host, pairs: list[tuple[str, BeforeAfterPair]]) -> list[dict[str, Any]]:
    """Save pairs to the temporary folder and return their entries for ``ui``."""
    entries: list[dict[str, Any]] = []
    for note, pair in pairs:
        paths: list[Path] = []
        for image in (pair.before, pair.after):
            paths.append(_save_image(host, "upscale8k/compared", image, "JPEG", quality=JPEG_QUALITY, subsampling=0))
        before, after = format_ui_files(host, "temp", paths)
        entries.append({"whole": pair.is_whole, "note": note, "before": before, "after": after})
    return entries
