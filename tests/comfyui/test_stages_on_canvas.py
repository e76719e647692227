"""Each stage of a video, set on the canvas and run by the server, gives the frames and times of the command line's options."""

import json
import shutil
from pathlib import Path

import numpy
import pytest

from ..cli.test_stages import make_command
from ..stages import BASE, MODEL, READ, STAGES, UPSCALE, merge, write_clips, write_models
from .commandline import runtime
from .peer.canvas import Canvas
from .peer.server import ComfyUI
from .test_every_workflow import files_below
from .videos import video

pytest.importorskip("onnxruntime")
pytestmark = [pytest.mark.comfyui, pytest.mark.full]
WRITE = {"filename_prefix": "o", "container": "mkv", "codec": "ffv1"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_gives_the_frames_of_the_command_line(
    root: Path, comfyui: ComfyUI, canvas: Canvas, tmp_path: Path, stage: str
) -> None:
    models = comfyui.models / "upscale_models"
    models.mkdir(exist_ok=True)
    write_models(models)
    write_clips(tmp_path)
    for clip in tmp_path.glob("*.mkv"):  # written twice, an H.264 clip may differ
        shutil.copy(clip, comfyui.input)
    canvas.refresh()
    canvas.load(json.loads((root / "workflows" / "video_any.json").read_text(encoding="utf-8")))
    inputs = merge(BASE, {READ: {"video": "clip.mkv"}, UPSCALE: {"precision": "fp32", "backend": "torch"}}, STAGES[stage])
    nodes = {content["class_type"]: int(node) for node, content in canvas.to_prompt().items()}
    *restorers, inputs[MODEL]["model"] = inputs[MODEL]["model"].split(",")
    for name, values in {**inputs, "VideoOut": WRITE}.items():
        canvas.set(nodes[name], values)
    for name in restorers:  # a list on the command line is a wire on the canvas
        canvas.connect(canvas.add(MODEL, {"model": name}), "upscale_model", nodes[MODEL], "restore_model")
    canvas.queue()
    assert canvas.errors() == []
    (made,) = files_below(comfyui.output).values()

    for file in models.iterdir():
        file.rename(tmp_path / file.name)
    runtime(root, *make_command(tmp_path, tmp_path / "o.mkv", merge(BASE, STAGES[stage])))
    (frames, times, _), (other_frames, other_times, _) = video(tmp_path / "o.mkv"), video(made)
    assert len(frames) > 10
    assert times == other_times
    for one, other in zip(frames, other_frames, strict=True):
        numpy.testing.assert_array_equal(one, other)
