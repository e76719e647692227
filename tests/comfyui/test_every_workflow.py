"""Every shipped workflow: opened in the real canvas, saved again, run by the server and by our command line, bit by bit.

Inputs are small, and targets are the model's own scale, set on the canvas as a person would; everything else is as shipped.
A screenshot of each canvas is kept as NAME.png in the folder that UPSCALE8K_ARTIFACTS names (.cache/artifacts/canvas).
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest

from .commandline import runtime
from .images import make_image, pixels
from .peer.canvas import Canvas
from .peer.server import ComfyUI, Json
from .videos import make_video, video

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted(path.name for path in (ROOT / "workflows").glob("*.json"))
WIDTH, HEIGHT, FRAMES = 64, 48, 3
IMAGES, VIDEOS = (".png", ".jpg", ".webp", ".tif", ".tiff"), (".mp4", ".mkv", ".mov", ".webm")

# By class: what is set on the canvas before the workflow runs, so that it takes seconds.
SMALLER: dict[str, Json] = {"TiledUpscale": {"target": "model scale"}, "TiledUpscaleVideo": {"target": "model scale"}}
# By file: what else is set, as {class: {input: value}}.
FURTHER: dict[str, dict[str, Json]] = {
    "compare_models.json": {"ComparisonReport": {"models": "realesr-animevideov3"}},
    "video_8k_trt.json": {"TRTBuild": {"fallback": True}},  # TensorRT may be installed here, a GPU is not used
}
# By file: why it is opened and saved here, and not run.
ONLY_OPENED = {"benchmark.json": "its results are times, which no two runs share"}
# By file: why only the names of its results are compared.
TIMED = {"compare_models.json": "its results hold times, which no two runs share"}


@pytest.fixture
def opened(comfyui: ComfyUI, page: Canvas) -> Callable[[str], None]:
    """Opens a shipped workflow, with small files under the names of the shipped samples."""

    def load(name: str) -> None:
        for sample in (ROOT / "workflows" / "media").iterdir():
            if sample.suffix in IMAGES:
                make_image(comfyui.input / sample.name, WIDTH, HEIGHT)
                for index in range(1, FRAMES + 1):
                    make_image(comfyui.input / f"{sample.stem}_{index:05d}{sample.suffix}", WIDTH, HEIGHT)
            elif sample.suffix in VIDEOS:
                make_video(comfyui.input / sample.name, WIDTH, HEIGHT, FRAMES)
        page.refresh()
        page.load(json.loads((ROOT / "workflows" / name).read_text(encoding="utf-8")))

    return load


def artifact(name: str) -> Path:
    folder = Path(os.environ.get("UPSCALE8K_ARTIFACTS") or ROOT / ".cache" / "artifacts" / "canvas")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{Path(name).stem}.png"


def make_smaller(canvas: Canvas, name: str) -> None:
    for node, content in canvas.to_prompt().items():
        kind = content["class_type"]
        values = SMALLER.get(kind, {}) | FURTHER.get(name, {}).get(kind, {})
        if values:
            canvas.set(int(node), values)


def files_below(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def same(ours: Path, theirs: Path) -> bool:
    """Equal pixels, equal frames and times, or equal bytes."""
    if ours.suffix in IMAGES:
        return numpy.array_equal(pixels(ours), pixels(theirs))
    if ours.suffix in VIDEOS:
        (frames, times, kinds), (their_frames, their_times, their_kinds) = video(ours), video(theirs)
        alike = len(frames) == len(their_frames) and all(map(numpy.array_equal, frames, their_frames))
        return alike and (times, kinds) == (their_times, their_kinds)
    return ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_workflow_runs_from_the_canvas_and_headless_alike(
    comfyui: ComfyUI, page: Canvas, opened: Callable[[str], None], tmp_path: Path, name: str
) -> None:
    opened(name)
    page.fit()
    page.screenshot(artifact(name))
    assert page.errors() == []
    make_smaller(page, name)
    saved = tmp_path / name
    page.save(saved)
    if name in ONLY_OPENED:
        return
    page.queue()
    assert page.errors() == []

    output = tmp_path / "output"
    folders = ("--input-dir", comfyui.input, "--output-dir", output, "--models-dir", comfyui.models)
    runtime(ROOT, "run", saved, *folders, "--device", "cpu", "--progress", "none")
    ours, theirs = files_below(output), files_below(comfyui.output)
    assert list(ours) == list(theirs)
    assert ours
    if name in TIMED:
        return
    assert [file for file in ours if not same(ours[file], theirs[file])] == []
