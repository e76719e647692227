"""Our nodes as ComfyUI runs them: beside its result, a node shows its source and its result under a slider, or its map.

The command line has no canvas, so there the same nodes make no such pictures. What is shown is small and bounded, whatever
the size of the picture or the length of the film; ``web/js/compare_on_node.js`` shows it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from .core import shown
from .image import TiledUpscale
from .measure import ColorDriftMetric, DiffMap
from .video import SequenceOut, TiledUpscaleVideo, VideoOut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ..runtime.frames.geometry import Size
    from ..runtime.frames.stream import Frame, FrameStream
    from ..runtime.host import Host
    from ..runtime.report.before_after import Before, Pair

COMPARED = "upscale8k_compared"
"""The key of a node's ``ui`` that holds the pairs of pictures."""
PICTURES = 4
"""Of a batch at most."""
FRAMES = 3
"""Of a film at most."""
QUALITY = 92
MAP_SIDE = 1024
"""Of a map on its node at most, in pixels."""


class ComparedUpscale(TiledUpscale):
    """Shows the pictures of a batch before and after."""

    def run(self, image: Any, *values: Any, **settings: Any) -> Any:
        (result,) = super().run(image, *values, **settings)
        with self.host.progress(1, "picture") as watch:
            watch.advance()
            watch.preview(result[-1].numpy())  # else the last live preview, of a picture half done, would stay
        return {"ui": {COMPARED: _pictures(self.host, image, result)}, "result": (result,)}


class ComparedUpscaleVideo(TiledUpscaleVideo):
    """Lets the node that writes the film see frames of the source, too."""

    def run(self, video: Any, *values: Any, **settings: Any) -> Any:
        film = Film()
        (result,) = super().run(_seen(self.host, video, film.before), *values, **settings)
        _FILMS[result] = film
        return (result,)


class ComparedVideoOut(VideoOut):
    """Shows some frames of an upscaled film before and after."""

    def run(self, video: Any, *values: Any, **settings: Any) -> Any:
        return _written(self.host, video, lambda film: super(ComparedVideoOut, self).run(film, *values, **settings))


class ComparedSequenceOut(SequenceOut):
    """Shows some frames of an upscaled film before and after."""

    def run(self, video: Any, *values: Any, **settings: Any) -> Any:
        return _written(self.host, video, lambda film: super(ComparedSequenceOut, self).run(film, *values, **settings))


class ShownColorDrift(ColorDriftMetric):
    """Shows the heat map on the node, below the verdict."""

    def run(self, *values: Any, **settings: Any) -> dict[str, Any]:
        said = super().run(*values, **settings)
        return {**said, "ui": {**said["ui"], "images": _maps(self.host, said["result"][0])}}


class ShownDiffMap(DiffMap):
    """Shows the map on the node."""

    def run(self, *values: Any, **settings: Any) -> Any:
        result = super().run(*values, **settings)
        return {"ui": {"images": _maps(self.host, result[0])}, "result": result}


NODES: dict[str, type] = {
    "ColorDriftMetric": ShownColorDrift,
    "DiffMap": ShownDiffMap,
    "TiledUpscale": ComparedUpscale,
    "TiledUpscaleVideo": ComparedUpscaleVideo,
    "VideoOut": ComparedVideoOut,
    "SequenceOut": ComparedSequenceOut,
}


class Film:
    """The same few frames on both sides of an upscaler, caught as they pass, so that none is computed twice.

    They lie at a sixth, a half and five sixths of the film: its first frame is often black.
    """

    def __init__(self) -> None:
        self._size: Size | None = None
        self._times: list[float] = []
        self._before: dict[int, Before] = {}
        self._pairs: dict[int, list[tuple[str, Pair]]] = {}

    def begin(self, duration: float, size: Size) -> None:
        """Forget what was seen; the result will last ``duration`` seconds and have this size."""
        self._size = size
        self._times = [duration * (2 * number + 1) / (2 * FRAMES) for number in range(FRAMES)]
        self._before.clear()
        self._pairs.clear()

    def before(self, frame: Frame) -> None:
        """A frame of the source, perhaps one to be kept."""
        if self._size and self._wanted(frame):
            from ..runtime.report.before_after import Before

            self._before[frame.pts] = Before(frame.pixels, self._size)

    def after(self, frame: Frame) -> None:
        """A frame of the result. Its source has passed before it."""
        before = self._before.pop(frame.pts, None)
        if before:
            when = f"{float(frame.seconds):.2f} s"
            self._pairs[frame.pts] = [(when, pair) for pair in before.pairs(frame.pixels)]

    def pairs(self) -> list[tuple[str, Pair]]:
        """What was caught, and when in the film it is."""
        return [pair for pts in sorted(self._pairs) for pair in self._pairs[pts]]

    def _wanted(self, frame: Frame) -> bool:
        end = float((frame.pts + max(frame.duration, 1)) * frame.time_base)
        return any(float(frame.seconds) <= time < end for time in self._times)


_FILMS: WeakKeyDictionary[Any, Film] = WeakKeyDictionary()
"""By the film that an upscaler gave: what sees its source."""


def _written(host: Host, video: Any, write: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """What ``write`` says of the film it wrote, and frames of it where it comes straight from an upscaler."""
    film = _FILMS.get(video)
    if film is None:
        return write(video)
    film.begin(float(video.get_duration()), video.stream.info.size)
    said = write(_seen(host, video, film.after))
    return {**said, "ui": {**said["ui"], COMPARED: _saved(host, film.pairs())}}


def _seen(host: Host, video: Any, see: Callable[[Frame], None]) -> Any:
    """The same film; ``see`` is shown each frame that somebody reads."""
    from ..runtime.frames.stream import FrameStream
    from ..runtime.video.value import map_value

    def watched(stream: FrameStream, _: object) -> FrameStream:
        def frames(first: int = 0) -> Iterator[Frame]:
            with closing(cast("Generator[Frame]", stream.frames(first))) as coming:
                for frame in coming:
                    see(frame)
                    yield frame

        return FrameStream(stream.info, frames, frames)

    return map_value(video, host.progress, watched)


def _pictures(host: Host, images: Any, results: Any) -> list[dict[str, Any]]:
    from ..runtime.frames.geometry import Size
    from ..runtime.report.before_after import Before

    found: list[tuple[str, Pair]] = []
    for number, (image, result) in enumerate(zip(images[:PICTURES], results[:PICTURES], strict=True), 1):
        pixels = result.numpy()
        before = Before(image.detach().float().cpu().numpy(), Size(pixels.shape[1], pixels.shape[0]))
        note = f"{number}" if len(images) > 1 else ""
        found += [(note, pair) for pair in before.pairs(pixels)]
    return _saved(host, found)


def _maps(host: Host, maps: Any) -> list[dict[str, str]]:
    from PIL import Image

    from ..runtime.images.quantize import to_integers

    paths: list[Path] = []
    for pixels in maps[:PICTURES]:
        picture = Image.fromarray(to_integers(pixels.numpy(), 8))
        picture.thumbnail((MAP_SIDE, MAP_SIDE), Image.Resampling.LANCZOS)
        paths.append(host.output_path("temp", "upscale8k/maps", ".png"))
        picture.save(paths[-1], compress_level=1)
    return shown(host, "temp", paths)


def _saved(host: Host, pairs: list[tuple[str, Pair]]) -> list[dict[str, Any]]:
    """The pictures in the folder of temporary files, as the canvas asks for them."""
    saved: list[dict[str, Any]] = []
    for note, pair in pairs:
        paths: list[Path] = []
        for picture in (pair.before, pair.after):
            paths.append(host.output_path("temp", "upscale8k/compared", ".jpg"))
            picture.save(paths[-1], quality=QUALITY, subsampling=0)
        before, after = shown(host, "temp", paths)
        saved.append({"whole": pair.whole, "note": note, "before": before, "after": after})
    return saved
