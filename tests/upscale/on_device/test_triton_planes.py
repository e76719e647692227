"""The kernel that makes planes in one pass gives the codes of torch, which are the host's, in the interpreter of Triton."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from upscale8k.runtime.bench import calibrate
from upscale8k.runtime.bench.calibrate import measure_planes
from upscale8k.runtime.hardware import Machine, detect_machine
from upscale8k.runtime.hardware.calibration import Measurement, load_calibration, make_subject, store_calibration
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.media.video_stream import ColorInfo
from upscale8k.runtime.upscale.on_device import rgb_to_planes
from upscale8k.runtime.upscale.on_device.rgb_to_planes import KERNEL_NAMES, convert_to_planes
from upscale8k.runtime.video.color.color_codes import LUMA_WEIGHTS
from upscale8k.runtime.video.color.rgb_to_yuv import RgbToYuv

from .test_rgb_to_planes import FORMATS, hostile_pixels

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("interpreter")


@pytest.fixture(scope="module", autouse=True)
def interpreter() -> Iterator[None]:
    pytest.importorskip("triton", reason="Triton is not installed: pip install triton")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        import_module("upscale8k.runtime.upscale.on_device.triton_planes")
        yield


def find_both(pixels: np.ndarray, name: str, color: ColorInfo, size: Size) -> tuple[list[Any], list[Any]]:
    layout = RgbToYuv(name, color, size).plane_layout
    assert layout
    planar = torch.as_tensor(pixels).permute(2, 0, 1).contiguous().permute(1, 2, 0)  # as a result on a device
    ways = [[plane.numpy() for plane in convert_to_planes(planar, layout, by_kernel=kernel)] for kernel in (False, True)]
    return ways[0], ways[1]


ALL_FORMATS = [*FORMATS, "nv12", "p010le"]
PRODUCT = [(matrix, range_, name) for matrix in LUMA_WEIGHTS for range_ in ("tv", "pc") for name in ALL_FORMATS]


def mark_most_as_full(matrix: str, range_: str, name: str) -> Any:
    """Every format, matrix and range occurs in the short run."""
    is_short = (matrix, range_) == ("bt709", "tv") or name == "p010le"
    return pytest.param(matrix, range_, name, marks=[] if is_short else pytest.mark.full)


@pytest.mark.parametrize(("matrix", "range_", "name"), [mark_most_as_full(*each) for each in PRODUCT])
def test_every_code_of_the_kernel_is_torch_s(matrix: str, range_: Any, name: str) -> None:
    pixels = hostile_pixels(8, 250)
    for expected, found in zip(*find_both(pixels, name, ColorInfo(matrix, range_), Size(250, 8)), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["p010le", "yuv422p", "yuv444p10le"])
@pytest.mark.parametrize("size", [Size(551, 3), Size(1, 1)])  # more than one program in a row, and one pixel
def test_the_kernel_repeats_edges(size: Size, name: str) -> None:
    stored = Size(size.width + size.width % 2, size.height + size.height % 2)
    for expected, found in zip(*find_both(hostile_pixels(size.height, size.width), name, ColorInfo(), stored), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_kernel_compiles_without_a_card() -> None:
    """For the oldest and a new architecture; what rounds half to even is not optimized away."""
    code = """
from runtime.bootstrap import load_pack
load_pack()
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from upscale8k.runtime.upscale.on_device.triton_planes import _pack
values = dict(ACROSS=2, DOWN=2, STEP=2, LIMIT=1023, GAIN=64, BLOCK=256)
types = {name: "fp32" if name[1:].isdigit() else "i32" for name in _pack.arg_names}
types |= dict.fromkeys(("pixels", "luma", "blue_plane", "red_plane"), "*u16") | dict.fromkeys(values, "constexpr")
places = {(_pack.arg_names.index(name),): value for name, value in values.items()}
for architecture in (75, 90):
    made = triton.compile(ASTSource(_pack, types, places), target=GPUTarget("cuda", architecture, 32)).asm
    print(len(made["cubin"]) > 1000, made["ptx"].count("0f4B400000"))
"""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=True)
    assert run.stdout.split() == ["True", "12"] * 2  # six samples, one sum and one difference each


def test_it_is_taken_where_it_was_measured_faster_with_the_same_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path))
    card = torch.device("cuda:0")
    assert not rgb_to_planes._is_kernel_faster(card)  # nothing is measured
    store_calibration({make_subject(detect_machine(), "cpu", "Compact", 4, "torch", "fp32"): Measurement(3, 0, 1.0)})
    rgb_to_planes._is_kernel_faster.cache_clear()
    assert not rgb_to_planes._is_kernel_faster(card)  # and the driver lists no such card
    monkeypatch.setattr(Machine, "find_gpu", lambda self, device: SimpleNamespace(name="NVIDIA RTX"))
    subjects = [make_subject(detect_machine(), str(card), "planes", 1, name, "fp32") for name in KERNEL_NAMES]

    def is_taken(*measured: tuple[float, float]) -> bool:
        for subject, (seconds, error) in zip(subjects, measured, strict=False):
            store_calibration({subject: Measurement(3, 0, seconds, error)})
        rgb_to_planes._is_kernel_faster.cache_clear()
        return rgb_to_planes._is_kernel_faster(card)

    assert not is_taken()
    assert is_taken((2.0, 0.0), (1.0, 0.0))
    assert not is_taken((2.0, 0.0), (1.0, 1.0))
    assert not is_taken((1.0, 0.0), (1.0, 0.0))
    assert not rgb_to_planes._is_kernel_faster(torch.device("cpu"))
    rgb_to_planes._is_kernel_faster.cache_clear()


@pytest.mark.parametrize("error", [0.0, 1.0])
def test_calibrating_records_time_and_truth_of_both(error: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if error:
        pack = rgb_to_planes._list_coefficients
        monkeypatch.setattr(
            rgb_to_planes, "_list_coefficients", lambda layout: [[*row[:3], next(counts)] for row in pack(layout)]
        )
        counts = iter(range(1, 100_000))
    # A busy machine gives no times.
    monkeypatch.setattr(
        calibrate, "measure_in_turn", lambda runs, clock: {name: float(len(run())) for name, run in runs.items()}
    )
    found = measure_planes(detect_machine(), torch.device("cpu"), {}, Size(16, 4))
    assert [(subject.architecture, subject.backend) for subject in found] == [("planes", "torch"), ("planes", "triton")]
    assert {each.max_error for each in found.values()} == {error}
    assert [each.seconds_per_megapixel for each in found.values()] == [2e6 / 64] * 2  # two planes, as if each took a second
    assert measure_planes(detect_machine(), torch.device("cpu"), found, Size(16, 4)) == {}
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path))
    assert store_calibration(found)
    assert load_calibration() == found
