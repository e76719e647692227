"""The table's arithmetic on made-up figures, and one tiny real run of everybody who is here."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from upscale8k.runtime.bench.rivals import Row, Table, compare_everybody, seam_zone
from upscale8k.runtime.errors import HardwareMissing, WorkflowError
from upscale8k.runtime.models.locate import locate

TABLE = Table(
    "m",
    "640x480",
    2,
    "a machine",
    (
        Row("Upscale8K", (4.0, 2.0, 3.0), (1e8, 2e8, 3e8), 60.0, 55.5),
        Row("faster", (1.5, 1.5, 1.5), (1e8, 1e8, 1e8), 99.0, None),
        Row("absent", problem="it is not installed."),
    ),
)


def test_the_table_shows_losses_and_absences() -> None:
    ours, faster, absent = TABLE.as_markdown().splitlines()[-3:]
    assert ours == "| Upscale8K | 3.00 (2.00 to 4.00) | 1.00x | 200 | 60.0 | 55.5 |"
    assert faster == "| faster | 1.50 (1.50 to 1.50) | 0.50x | 100 | 99.0 | no cuts |"
    assert "did not run: it is not installed." in absent
    assert json.loads(TABLE.as_json())["rows"][0]["seconds"] == [4.0, 2.0, 3.0]


def test_the_plot_has_a_bar_for_everyone_that_ran() -> None:
    root = ET.fromstring(TABLE.as_svg())
    widths = [float(bar.attrib["width"]) for bar in root if bar.tag.endswith("rect")][1:]
    assert widths == [380.0, 190.0]


def test_a_seam_zone_is_a_band_on_each_side_of_each_cut() -> None:
    zone = seam_zone((400, 800), ([100], []))
    assert zone[:, 68 * 4 : 132 * 4].all()
    assert zone.sum() == 400 * 64 * 4
    assert seam_zone((400, 800), ([], [90]))[58 * 4 :].all()
    assert not seam_zone((400, 800), ([], [])).any()


@pytest.mark.slow
def test_everybody_really_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("onnx", "onnxruntime", "openvino", "ncnn"):
        pytest.importorskip(module)
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path))
    who = ("ours", "comfyui", "ncnn", "onnxruntime", "openvino")
    located = locate("realesr-animevideov3", ())
    table = compare_everybody(
        located, "208x40", comfyui=None, runs=1, threads=2, machine="here", say=lambda text: None, who=who
    )
    rows = dict(zip(who, table.rows, strict=True))
    assert rows["comfyui"].problem == "no ComfyUI was given with --comfyui"
    for name in ("ours", "onnxruntime", "openvino"):
        assert rows[name].problem is None
        assert rows[name].whole_db >= 80  # one 8-bit step here and there at most
    assert np.isfinite(rows["ncnn"].seam_db)
    assert rows["ncnn"].whole_db > 50


def test_a_model_that_the_peers_are_not_set_up_for_is_refused(tmp_path: Path) -> None:
    import dataclasses

    located = locate("realesr-animevideov3", ())
    other = dataclasses.replace(located, entry=dataclasses.replace(located.entry, scale=2))
    with pytest.raises(WorkflowError, match="2x model"):
        compare_everybody(other, "8x8", comfyui=None, runs=1, threads=1, machine="", say=lambda text: None)


def test_without_a_gpu_nothing_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from upscale8k.runtime.bench.gpu import measure_gpu
    from upscale8k.runtime.models.load import load

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(HardwareMissing, match="no NVIDIA GPU"):
        measure_gpu("x", load(locate("realesr-animevideov3", ())), "8x8", runs=1, say=lambda text: None)
