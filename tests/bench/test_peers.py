"""The page's arithmetic on invented figures, and one small real run of every installed peer."""

import json
from math import inf
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from upscale8k.runtime.bench.peers import PeerRow, PeerTable, benchmark_peers, load_test_image, make_seam_mask
from upscale8k.runtime.bench.peers_page import format_section, write_page
from upscale8k.runtime.cli.commands.bench_commands import expand_sizes
from upscale8k.runtime.errors import HardwareMissing, WorkflowError
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.models.locate import find_model

TABLE = PeerTable(
    "m",
    "640x480",
    2,
    3,
    (
        PeerRow("Upscale8K", (4.0, 2.0, 3.0), (1e8, 2e8, 3e8), 60.0, 55.5),
        PeerRow("faster", (1.5, 1.5), (1e8, 1e8), inf, None),
        PeerRow("slower", (6.0,), (5e8,), 40.0, 30.0),
        PeerRow("absent", problem="it is not installed."),
    ),
)


def test_the_table_shows_losses_and_absences() -> None:
    lines = format_section(TABLE).splitlines()
    ours, faster, slower = (line for line in lines if line.startswith("| ") and "seconds" not in line)
    assert ours == "| **Upscale8K** | 3.00 (2.00 to 4.00) | 3 | 1.00 | 200 | 60.0 | 55.5 |"
    assert faster == "| faster | 1.50 (1.50 to 1.50) | 2 | 0.50 | 100 | equal | no cuts |"
    assert slower == "| slower | 6.00 (6.00 to 6.00) | 1 | 2.00 | 500 | 40.0 | 30.0 |"
    assert "Faster than Upscale8K with its default settings: faster (2.00 times as fast)." in lines
    assert "absent did not run: it is not installed." in lines


def test_json_has_no_infinity() -> None:
    rows = json.loads(json.dumps(TABLE.as_dict(), allow_nan=False))["rows"]
    assert (rows[0]["seconds"], rows[1]["whole_db"], rows[2]["seam_db"]) == ([4.0, 2.0, 3.0], None, 30.0)


def test_the_page_names_the_machine_and_shows_a_bar_for_everyone_that_ran(tmp_path: Path) -> None:
    write_page(tmp_path / "b" / "page.md", [TABLE], "a machine", {"ComfyUI": "0.30.0"})
    text = (tmp_path / "b" / "page.md").read_text()
    assert "a machine; 20" in text
    assert "ComfyUI 0.30.0." in text
    assert "](page-m.png)" in text
    plot = np.asarray(Image.open(tmp_path / "b" / "page-m.png").convert("RGB")).astype(int)
    middles = [(plot[:, 566:1000] == color).all(2).sum(1).max() for color in ((0xFF, 0xB0, 0x42), (0x3A, 0x6E, 0xA5))]
    longest = middles[1]  # of "slower", which fills the width
    assert middles[0] == pytest.approx(longest / 2, abs=12)  # "Upscale8K": 3 s beside 6 s; its line is drawn over it


@pytest.mark.parametrize(("sizes", "count", "expected"), [("8x8", 2, ["8x8", "8x8"]), ("8x8, 9x9", 2, ["8x8", "9x9"])])
def test_a_size_for_all_or_one_for_each(sizes: str, count: int, expected: list[str]) -> None:
    assert expand_sizes(sizes, count) == expected
    with pytest.raises(WorkflowError, match=r"2 sizes for 3 models"):
        expand_sizes("1x1,2x2", 3)


def test_the_photograph_is_mirrored_to_any_size() -> None:
    small, large = load_test_image(Size(100, 90)), load_test_image(Size(1000, 300))
    assert (small.shape, large.shape) == ((90, 100, 3), (300, 1000, 3))
    np.testing.assert_array_equal(small, large[:90, :100])
    np.testing.assert_array_equal(large[:, 480:500], large[:, 460:480][:, ::-1])


def test_a_seam_zone_is_a_band_on_each_side_of_each_cut() -> None:
    zone = make_seam_mask((400, 800), ([100], []))
    assert zone[:, 68 * 4 : 132 * 4].all()
    assert zone.sum() == 400 * 64 * 4
    assert make_seam_mask((400, 800), ([], [90]))[58 * 4 :].all()
    assert not make_seam_mask((400, 800), ([], [])).any()


@pytest.mark.slow
def test_all_peers_really_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("onnx", "onnxruntime", "openvino", "ncnn"):
        pytest.importorskip(module)
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path))
    names = ("ours", "ours_fp32", "comfyui", "ncnn", "onnxruntime", "openvino")
    located = find_model("realesr-animevideov3", ())
    table = benchmark_peers(located, "208x40", comfyui=None, runs=1, threads=2, on_message=lambda text: None, peer_names=names)
    rows = dict(zip(names, table.rows, strict=True))
    assert rows["comfyui"].problem == "no ComfyUI folder was set with --comfyui"
    for name, minimum in (("ours", 50), ("ours_fp32", 80), ("onnxruntime", 80), ("openvino", 80)):
        assert rows[name].problem is None
        assert rows[name].whole_db >= minimum  # 80: one 8-bit step here and there at most; ours may be in bf16
    assert np.isfinite(rows["ncnn"].seam_db)
    assert rows["ncnn"].whole_db > 50


@pytest.mark.slow
def test_a_row_of_ours_says_what_computed_it_and_a_missing_peer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("upscale8k.runtime.bench.peers.find_spec", lambda name: None)
    located = find_model("realesr-animevideov3", ())
    table = benchmark_peers(
        located, "40x24", comfyui=None, runs=1, threads=1, on_message=lambda text: None, peer_names=("ours_torch", "openvino")
    )
    assert table.rows[0].name.endswith("torch in fp32")
    assert table.rows[1].problem == "openvino is not installed"


def test_a_model_that_the_peers_are_not_set_up_for_is_refused(tmp_path: Path) -> None:
    import dataclasses

    located = find_model("realesr-animevideov3", ())
    other = dataclasses.replace(located, entry=dataclasses.replace(located.entry, scale=2))
    with pytest.raises(WorkflowError, match="2x model"):
        benchmark_peers(other, "8x8", comfyui=None, runs=1, threads=1, on_message=lambda text: None)


def test_without_a_gpu_nothing_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from upscale8k.runtime.bench.gpu.gpu_speed import measure_gpu
    from upscale8k.runtime.models.load import load_model

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(HardwareMissing, match="no NVIDIA GPU"):
        measure_gpu("x", load_model(find_model("realesr-animevideov3", ())), "8x8", runs=1, on_message=lambda text: None)
