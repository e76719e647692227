"""The comparison's arithmetic on made-up figures, and one tiny real run."""

import json
from pathlib import Path

import pytest
from upscale8k.runtime.bench.image import ImageBenchmark, benchmark_image
from upscale8k.runtime.errors import Upscale8KError, WorkflowError
from upscale8k.runtime.models.locate import find_model

from ..comfyui.peer.tree import require_tree


def figures(upscale: float, job: float, peak: float) -> dict[str, float]:
    return {"upscale": upscale, "job": job, "peak": peak}


MADE_UP = ImageBenchmark(
    model="realesr-animevideov3",
    size="64x48",
    threads=2,
    runs={
        "comfyui": [figures(9, 10, 2e9), figures(30, 40, 3e9), figures(12, 14, 2.2e9)],
        "ours": [figures(6, 7, 1e9), figures(4, 5, 1.1e9), figures(5, 6, 4e9)],
    },
    peer_version="0.30.0",
    psnr_db=61.25,
)


def test_medians_do_not_care_for_an_outlier() -> None:
    assert MADE_UP.compute_median("comfyui", "upscale") == 12
    assert MADE_UP.compute_median("ours", "peak") == 1.1e9


def test_a_ratio_above_one_says_that_we_need_less() -> None:
    assert MADE_UP.compute_ratio("upscale") == pytest.approx(2.4)
    assert MADE_UP.compute_ratio("job") == pytest.approx(14 / 6)
    assert MADE_UP.compute_ratio("peak") == pytest.approx(2.0)


def test_an_even_number_of_runs_has_a_median_too() -> None:
    runs = {"comfyui": [figures(8, 8, 8), figures(10, 10, 10)], "ours": [figures(2, 2, 2), figures(4, 4, 4)]}
    assert ImageBenchmark("m", "1x1", 1, runs, "0", 50.0).compute_ratio("upscale") == 3


def test_a_loss_is_a_ratio_below_one() -> None:
    runs = {"comfyui": [figures(1, 1, 1e9)], "ours": [figures(4, 2, 2e9)]}
    text = ImageBenchmark("m", "1x1", 1, runs, "0", 50.0).as_text()
    assert "0.25x" in text
    assert "0.50x" in text


def test_the_text_is_a_table_that_says_what_was_run() -> None:
    text = MADE_UP.as_text()
    first, heading, peer, ours, ratios, agreement = text.splitlines()
    assert first.startswith("64x48, realesr-animevideov3, 2 threads")
    assert "3 runs each after a warm-up" in first
    assert heading.split() == ["upscale", "s", "whole", "job", "s", "peak", "MB"]
    assert peer.startswith("ComfyUI ImageUpscaleWithModel (0.30.0)")
    assert "12.0 (9.0 to 30.0)" in peer
    assert "2200 (2000 to 3000)" in peer
    assert "5.0 (4.0 to 6.0)" in ours
    assert ratios.split()[-3:] == ["2.40x", "2.33x", "2.00x"]
    assert len({len(line) for line in (heading, peer, ours, ratios)}) == 1  # the columns stand under each other
    assert agreement == "The two results agree to 61.2 dB PSNR."


def test_the_json_holds_every_run() -> None:
    found = json.loads(MADE_UP.as_json())
    assert found["median"]["ours"] == {"upscale": 5, "job": 6, "peak": 1.1e9}
    assert found["ratio"]["upscale"] == pytest.approx(2.4)
    assert found["runs"] == MADE_UP.runs
    assert (found["model"], found["size"], found["threads"], found["comfyui"]) == ("realesr-animevideov3", "64x48", 2, "0.30.0")


@pytest.mark.parametrize("size", ["big", "64", "64x", "-4x4", "0x48", "64x0"])
def test_a_size_that_is_none_is_refused(size: str, tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match="is not a size"):
        benchmark_image(tmp_path, find_model("realesr-animevideov3", ()), size, runs=1, threads=1, on_message=lambda text: None)


def test_a_folder_without_comfyui_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match="is not a ComfyUI checkout") as caught:
        benchmark_image(
            tmp_path, find_model("realesr-animevideov3", ()), "64x48", runs=1, threads=1, on_message=lambda text: None
        )
    assert "--comfyui" in caught.value.hint


def test_a_peer_that_does_not_start_is_an_error_with_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "comfyui_version.py").write_text('__version__ = "0.30.0"')
    with pytest.raises(Upscale8KError, match="did not run: ModuleNotFoundError: No module named 'comfy'"):
        benchmark_image(
            tmp_path, find_model("realesr-animevideov3", ()), "64x48", runs=1, threads=1, on_message=lambda text: None
        )


@pytest.mark.comfyui
@pytest.mark.slow
def test_a_tiny_real_run() -> None:
    said: list[str] = []
    found = benchmark_image(
        require_tree(), find_model("realesr-animevideov3", ()), "64x48", runs=1, threads=1, on_message=said.append
    )
    assert found.peer_version == "0.30.0"
    assert found.psnr_db > 55  # 8-bit files; ComfyUI cuts and we cut: the same node saved both
    assert [line for line in said if not line.startswith(" ")] == [
        "ComfyUI ImageUpscaleWithModel, warm-up",
        "Upscale8K TiledUpscale, warm-up",
        "ComfyUI ImageUpscaleWithModel, run 1 of 1",
        "Upscale8K TiledUpscale, run 1 of 1",
    ]
    for peer in ("comfyui", "ours"):
        (run,) = found.runs[peer]
        assert 0 < run["upscale"] < run["job"]
        assert 100e6 < run["peak"] < 3e9
