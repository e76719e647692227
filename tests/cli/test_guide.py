"""The rows of the guide from an old script to its command, run as they stand; where it can be chosen, without arithmetic."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from .conftest import Answer, Place, noise

ROOT = Path(__file__).resolve().parents[2]
_TABLE = (ROOT / ".github/GUIDE.md").read_text(encoding="utf-8").split("## Words")[0]
ROWS = {
    old.split()[0]: re.findall(r"`python -m runtime ([^`]+)`", today)
    for old, today in re.findall(r"^\| `([^`]+)` \|[^|]+\|(.+)\|$", _TABLE, re.MULTILINE)
}
QUIET = ("--progress", "none")
NULL = ("--backend", "null", *QUIET)


def read_frames(path: str) -> list[np.ndarray]:
    with av.open(path) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def check_image(answer: Answer) -> None:
    with Image.open("input.jpg") as source, Image.open("output_8k.png") as result:
        assert (result.width, result.height) == (5760, 4320), "8K high, in the shape of the source"
        reduced = np.asarray(result.resize(source.size, Image.Resampling.BOX), np.float64)
        assert np.abs(reduced - np.asarray(source.convert("RGB"), np.float64)).mean() < 8


def check_models(answer: Answer) -> None:
    page = Path("benchmark/benchmark.md").read_text(encoding="utf-8")
    assert {"realesrgan-x4plus-anime", "realesr-animevideov3"} <= set(re.findall(r"[\w-]+", page))


def check_comparison(answer: Answer) -> None:
    assert {"artifact_analysis.md", "report.html"} <= {path.name for path in Path("report").iterdir()}
    assert "Delta E" in Path("report/artifact_analysis.md").read_text(encoding="utf-8")


def check_video(answer: Answer) -> None:
    frames = read_frames("output.mp4")
    assert [frame.shape for frame in frames] == [(4320, 5760, 3)] * 2
    with av.open("output.mp4") as file:
        assert file.streams.video[0].codec_context.name == "hevc", "H.265, as the script wrote"


def check_settings(answer: Answer) -> None:
    assert {"batch_size", "tile_size", "fp16", "trtexec_workspace"} <= set(json.loads(answer.out)["settings"])


def check_onnx(answer: Answer) -> None:
    onnx = pytest.importorskip("onnx", reason="needs: pip install onnx")
    onnx.checker.check_model(onnx.load("X.onnx"))


@pytest.mark.full
@pytest.mark.parametrize(
    ("script", "options", "check"),
    [
        ("upscale_image.py", NULL, check_image),
        ("benchmark_phase3.py", ("--sizes", "32x32", "--runs", "1", *QUIET), check_models),
        ("compare_models.py", QUIET, check_comparison),
        ("upscale_video_pipeline.py", NULL, check_video),
        ("convert_trt_engine.py", (), check_onnx),
    ],
)
def test_a_command_does_what_the_script_did(
    place: Place, script: str, options: tuple[str, ...], check: Callable[[Answer], None]
) -> None:
    frames = [noise(48, 64) // 4 + 96 + 8 * number for number in range(2)]
    Image.fromarray(frames[0]).save("input.jpg", quality=95)
    with av.open("input.mp4", "w") as file:
        stream = file.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        file.mux(stream.encode(None))
    answer = place(*shlex.split(ROWS[script][0]), *options)
    assert answer.code == 0, answer.err
    check(answer)


def test_all_seven_scripts_have_a_row_and_probe_gives_the_four_settings(place: Place) -> None:
    assert {script: len(lines) for script, lines in ROWS.items()} == {
        "upscale_image.py": 1,
        "benchmark_phase3.py": 1,
        "compare_models.py": 1,
        "upscale_video_pipeline.py": 1,
        "optimize_hardware_config.py": 1,
        "convert_trt_engine.py": 2,
        "upscale_pipeline_trt.py": 1,
    }
    answer = place(*shlex.split(ROWS["optimize_hardware_config.py"][0]))
    assert answer.code == 0, answer.err
    check_settings(answer)


def test_an_engine_that_cannot_run_here_is_a_sentence(place: Place) -> None:
    """With a GPU this row is run by tests/upscale/backends/test_tensorrt.py."""
    if torch.cuda.is_available():
        pytest.skip("There is a GPU.")
    Path("X.trt").write_bytes(b"an engine")
    place.image("in.png")
    line = ROWS["upscale_pipeline_trt.py"][0].replace("in.mp4", "input/in.png").replace("out.mp4", "out.png")
    place.refuses(place(*shlex.split(line), *QUIET), "TRTBuild", "no NVIDIA GPU", "fallback")
