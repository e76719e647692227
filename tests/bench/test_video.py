"""The comparison of videos: its arithmetic on invented figures, and one tiny real run."""

import json
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from upscale8k.runtime.bench.video import VideoBenchmark, benchmark_video, write_test_video
from upscale8k.runtime.errors import Upscale8KError, WorkflowError
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.models.locate import find_model

from ..comfyui.peer.tree import require_tree


def run(job: float, model: float, peak: float) -> dict[str, float]:
    return {"job": job, "model": model, "peak": peak, "imports": 7e8}


MADE_UP = VideoBenchmark(
    model="realesr-animevideov3",
    size="1920x1080",
    threads=2,
    short=4,
    long=8,
    runs={
        "comfyui": {"short": [run(200, 150, 4.2e9)], "long": [run(480, 300, 7.4e9), run(400, 200, 7.4e9), run(900, 1, 9e9)]},
        "ours": {
            "short": [run(90, 80, 2.4e9)],
            "long": [run(160, 152, 2.4e9), run(150, 135, 2.4e9), run(999, 99, 2.5e9)],
            "longest": [run(480, 456, 2.432e9)],
        },
        "without": {"long": [run(140, 130, 1.1e9)]},
    },
    peer_version="0.30.0",
    files={"comfyui": "h264 yuv420p 7680x4320", "ours": "hevc yuv420p10le 7680x4320"},
    psnr_db=41.27,
)


def test_speed_is_that_of_the_median_run() -> None:
    found = json.loads(MADE_UP.as_json())
    assert found["median"]["comfyui"]["frames_per_minute"] == pytest.approx(1.0)
    assert found["median"]["ours"]["frames_per_minute"] == pytest.approx(3.0)
    assert found["ratio"]["frames per minute"] == pytest.approx(3.0)


def test_growth_is_what_a_frame_more_adds_to_the_peak() -> None:
    assert MADE_UP.compute_growth("comfyui") == pytest.approx(8e8)
    assert MADE_UP.compute_growth("ours") == 0
    assert MADE_UP.compute_growth("ours", "long", "longest") == pytest.approx(0.032e9 / 24)
    assert MADE_UP.compute_growth("without") is None


def test_memory_ratios_with_and_without_the_encoder() -> None:
    assert MADE_UP.ratios["peak"] == pytest.approx(7.4 / 2.4)
    assert MADE_UP.ratios["peak without encoder"] == pytest.approx(7.4 / 1.1)


def test_the_model_is_busy_for_its_share_of_the_time() -> None:
    found = json.loads(MADE_UP.as_json())
    assert found["median"]["ours"]["model_busy"] == pytest.approx(0.9)
    assert found["ours_longest"]["model_busy"] == pytest.approx(0.95)
    assert found["ours_longest"]["frames_per_minute"] == pytest.approx(4.0)


def test_the_text_says_what_each_side_wrote_and_stands_in_columns() -> None:
    lines = MADE_UP.as_text().splitlines()
    assert lines[0].startswith("8 frames of 1920x1080, four times as large, realesr-animevideov3, 2 threads")
    assert "3 runs each" in lines[0]
    assert len({len(line) for line in lines[1:6]}) == 1
    assert "800.0" in lines[2]
    assert "2400 (2400 to 2500)" in lines[3]
    assert lines[5].split()[:6] == ["Upscale8K", "VideoIn", "to", "VideoOut,", "32", "frames"]
    assert lines[5].split()[6:10] == ["4.00", "2432", "1.3", "95"]
    text = " ".join(lines[6:])
    assert "3.00 times the frames per minute" in text
    assert "SaveVideo wrote h264 yuv420p 7680x4320." in text
    assert "41.3 dB" in text


def test_the_video_moves_and_says_its_colors_and_is_the_same_every_time(tmp_path: Path) -> None:
    found: list[list[np.ndarray]] = []
    for name in ("a.mp4", "b.mp4"):
        write_test_video(tmp_path / name, Size(64, 48), 5)
        with av.open(str(tmp_path / name)) as video:
            stream = video.streams.video[0]
            context = stream.codec_context
            assert (context.colorspace, context.color_range, context.width, context.height) == (1, 1, 64, 48)
            assert stream.average_rate == 24
            found.append([frame.to_ndarray() for frame in video.decode(video=0)])
    first, second = found
    assert len(first) == 5
    assert not any(np.array_equal(one, other) for one, other in pairwise(first))
    moves = min(apart(one, other) for one, other in pairwise(first))
    for one, other in zip(first, second, strict=True):  # x264 itself does not always repeat its last bits
        assert apart(one, other) < moves / 2, (apart(one, other), moves)


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def test_a_folder_without_comfyui_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match="is not a ComfyUI checkout"):
        tiny(tmp_path, [])


def test_a_peer_that_does_not_start_is_an_error_with_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "comfyui_version.py").write_text('__version__ = "0.30.0"')
    with pytest.raises(Upscale8KError, match="SaveVideo did not run: ModuleNotFoundError: No module named 'comfy'"):
        tiny(tmp_path, [])


def tiny(comfyui: Path, said: list[str]) -> VideoBenchmark:
    model = find_model("realesr-animevideov3", ())
    return benchmark_video(
        comfyui, model, "64x48", frames=2, runs=1, threads=1, encoder={"codec": "hevc"}, on_message=said.append
    )


@pytest.mark.comfyui
@pytest.mark.slow
def test_a_tiny_real_run() -> None:
    said: list[str] = []
    found = tiny(require_tree(), said)
    assert [line for line in said if not line.startswith(" ")] == [
        "ComfyUI LoadVideo to SaveVideo, 1 frames",
        "Upscale8K VideoIn to VideoOut, 1 frames",
        "Upscale8K VideoIn to VideoOut, 8 frames",
        "ComfyUI LoadVideo to SaveVideo, 2 frames",
        "Upscale8K VideoIn to VideoOut, 2 frames",
        "Upscale8K before its encoder, 2 frames",
    ]
    assert found.files["comfyui"].startswith("h264 yuv420p 256x192, 2 frames")
    assert found.files["ours"].startswith("hevc yuv420p10le 256x192, 2 frames")
    assert found.psnr_db > 30  # two lossy codecs
    for peer, length in (("comfyui", "long"), ("ours", "long"), ("without", "long"), ("ours", "longest")):
        (figures,) = found.runs[peer][length]
        assert 0 < figures["model"] < figures["job"]
        assert 100e6 < figures["imports"] < figures["peak"] < 4e9
