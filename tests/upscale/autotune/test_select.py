"""What ``auto`` means: the same on every machine of one kind, whatever a clock says."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from spandrel import MAIN_REGISTRY
from spandrel.architectures.ESRGAN import ESRGAN
from upscale8k.runtime.hardware import detect_machine
from upscale8k.runtime.hardware.calibration import Measurement, forget_calibration, make_subject, store_calibration
from upscale8k.runtime.hardware.cpu import Cpu
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.upscale.autotune import bf16_check, select
from upscale8k.runtime.upscale.autotune.select import select_backend
from upscale8k.runtime.upscale.backends.base import BackendSpec, OnProgress, no_progress
from upscale8k.runtime.upscale.backends.torch import TorchBackend
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings, resolve_settings

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[3]

AMX = Cpu("Xeon", 2, 2, None, ("AVX2", "AVX-512", "AVX-512 BF16", "AMX"))
AVX512_BF16 = Cpu("EPYC", 2, 2, None, ("AVX2", "AVX-512", "AVX-512 BF16"))
AVX512 = Cpu("Xeon", 2, 2, None, ("AVX2", "AVX-512"))
ARM = Cpu("Graviton", 2, 2, None, ("NEON", "Arm BF16"))
OLD = Cpu("i7", 2, 2, None, ("AVX2",))
VERY_OLD = Cpu("i7", 2, 2, None, ())


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(bf16_check, "_known", {})
    return tmp_path / "cache" / "backends.json"


@pytest.fixture
def model(weights: Callable[[str], Any]) -> UpscaleModel:
    return UpscaleModel.from_descriptor(weights("realesr-animevideov3"))


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def pretend(cpu: Cpu, *missing: str) -> None:
        monkeypatch.setattr(select, "query_cpu", lambda: cpu)
        monkeypatch.setattr(BackendSpec, "is_installed", lambda spec: spec.name not in missing)

    return pretend


def taken(model: UpscaleModel, *asked: Any) -> tuple[str, str]:
    answer = select_backend(model, CPU, *asked)
    return answer.backend, answer.precision


@pytest.mark.parametrize(
    ("cpu", "missing", "expected"),
    [
        (AMX, (), ("torch", "bf16")),
        (ARM, (), ("torch", "bf16")),
        (AVX512_BF16, (), ("winograd", "fp32")),
        (AVX512_BF16, ("winograd",), ("torch", "bf16")),
        (AVX512, (), ("winograd", "fp32")),
        (AVX512, ("winograd",), ("openvino", "fp32")),
        (AVX512, ("winograd", "openvino"), ("torch", "fp32")),
        (OLD, (), ("winograd", "fp32")),
        (OLD, ("winograd",), ("torch", "fp32")),
        (VERY_OLD, (), ("torch", "fp32")),
    ],
)
def test_the_processor_and_what_is_installed_decide(
    cpu: Cpu, missing: tuple[str, ...], expected: tuple[str, str], model: UpscaleModel, processor: Callable[..., None]
) -> None:
    processor(cpu, *missing)
    assert taken(model, "auto") == expected


def test_no_clock_decides(model: UpscaleModel, processor: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine on which every measured time is nonsense, in a fresh cache, the answer is that of any other."""
    processor(AMX)
    for clock in ("perf_counter", "process_time", "monotonic"):
        monkeypatch.setattr(time, clock, lambda: pytest.fail("auto read a clock"))
    assert taken(model, "auto") == ("torch", "bf16")


def test_rrdb_never_gets_openvino(weights: Callable[[str], Any], processor: Callable[..., None]) -> None:
    """Its tiles must be so much smaller that 1.36 times the pixels are computed."""
    model = UpscaleModel.from_descriptor(weights("realesrgan-x4plus"))
    processor(AVX512)
    assert taken(model, "fp32") == ("winograd", "fp32")
    processor(AVX512, "winograd")
    assert taken(model, "fp32") == ("torch", "fp32")


def test_a_network_that_winograd_cannot_run_stays_with_torch(processor: Callable[..., None]) -> None:
    """An ESRGAN with 24 channels, where a vector holds 16."""
    processor(AVX512)
    net = MAIN_REGISTRY.load(ESRGAN(num_filters=24, num_blocks=1).state_dict()).eval()
    assert taken(UpscaleModel.from_descriptor(net), "fp32") == ("torch", "fp32")


def test_what_was_asked_for_is_taken(model: UpscaleModel, processor: Callable[..., None]) -> None:
    processor(AMX)
    assert taken(model, "fp32") == ("winograd", "fp32")
    assert taken(model, "auto", "torch") == ("torch", "bf16")
    assert taken(model, "fp32", "torch") == ("torch", "fp32")
    assert taken(model, "bf16") == ("torch", "bf16")
    assert taken(model, "auto", "onnxruntime") == ("onnxruntime", "auto")


@pytest.mark.parametrize("change", [{"architecture": "SwinIR"}, {"bfloat16_safe": False}])
def test_a_network_that_bf16_is_not_for_stays_in_fp32(
    change: dict[str, Any], model: UpscaleModel, processor: Callable[..., None]
) -> None:
    processor(AMX, "winograd", "openvino")
    assert taken(replace(model, **change), "auto") == ("torch", "fp32")


def test_settings_are_resolved_once_for_a_whole_job(model: UpscaleModel, processor: Callable[..., None]) -> None:
    processor(AMX)
    settings = TiledUpscaleSettings("8K", "cpu", tile=96)
    resolved = resolve_settings(model, settings)
    assert (resolved.device, resolved.backend, resolved.precision, resolved.tiling.tile) == (CPU, "torch", "bf16", 96)
    settled = replace(settings, backend=resolved.backend, precision=resolved.precision)
    assert resolve_settings(model, settled) == resolved


# ---------------------------------------------------------------- the check of bf16


class Off(TorchBackend):
    """Torch with every number too large by ``by``."""

    by = 0.0

    def run(self, batch: Any, on_progress: OnProgress = no_progress) -> Any:
        return super().run(batch, on_progress) + np.float32(self.by)


# 50 dB are allowed, which is an error of 10 ** (-50 / 20) = 0.00316 everywhere.
@pytest.mark.parametrize(("by", "expected"), [(0.002, "bf16"), (0.004, "fp32"), (float("nan"), "fp32"), (None, "fp32")])
def test_bf16_must_be_accurate(
    by: float | None, expected: str, model: UpscaleModel, processor: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(name: str, model: UpscaleModel, device: torch.device, precision: str) -> TorchBackend:
        if precision == "bf16" and by is None:
            raise RuntimeError("no such instruction")
        backend = Off(model, CPU, "fp32")
        backend.by = by or 0.0 if precision == "bf16" else 0.0
        return backend

    processor(AMX, "winograd", "openvino")
    monkeypatch.setattr(bf16_check, "open_backend", opened)
    assert taken(model, "auto") == ("torch", expected)


def test_the_check_is_made_once_and_stored(
    model: UpscaleModel, processor: Callable[..., None], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The included model is far above the limit: 60 dB, as on photographs (BENCHMARKS.md: 59.8 on a whole one)."""
    processor(AMX)
    assert taken(model, "auto") == ("torch", "bf16")
    (entry,) = json.loads(cache.read_text()).values()
    assert 56 < entry["decibels"] < 75
    monkeypatch.setattr(bf16_check, "_known", {})
    monkeypatch.setattr(bf16_check, "_measure", lambda _: pytest.fail("it is stored"))
    assert taken(model, "auto") == ("torch", "bf16")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "\udcff", '{"KEY": 1}', '{"KEY": {"decibels": "many"}}', '{"old": {"backend": "openvino"}}']
)
def test_a_file_of_nonsense_or_of_an_older_version_decides_nothing(
    text: str, model: UpscaleModel, processor: Callable[..., None], cache: Path
) -> None:
    processor(AMX)
    assert taken(model, "auto") == ("torch", "bf16")
    (key,) = json.loads(cache.read_text())
    bf16_check._known.clear()
    cache.write_text(text.replace("KEY", key), encoding="utf-8", errors="surrogateescape")
    assert taken(model, "auto") == ("torch", "bf16")
    assert json.loads(cache.read_text())[key]["decibels"] > 50


def test_a_cache_that_cannot_be_written_is_no_error(
    model: UpscaleModel, processor: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "file"))
    processor(AMX)
    assert taken(model, "auto") == ("torch", "bf16")


def test_the_check_image_is_the_same_for_ever() -> None:
    image = bf16_check.make_check_image()
    assert (image.shape, image.dtype) == ((1, 48, 48, 3), np.float32)
    np.testing.assert_array_equal(image, bf16_check.make_check_image())
    np.testing.assert_allclose([image.min(), image.max(), image.mean()], [0.003063, 1.0, 0.497841], atol=1e-5)


# ---------------------------------------------------------------- what was calibrated


@pytest.mark.parametrize(
    ("openvino", "max_error", "expected"),
    [(0.9, 1e-6, "openvino"), (0.98, 1e-6, "torch"), (0.9, 2e-4, "torch"), (0.9, None, "torch")],
)
def test_a_calibrated_backend_is_taken_if_its_pixels_are_the_same(
    openvino: float, max_error: float | None, expected: str, model: UpscaleModel, processor: Callable[..., None]
) -> None:
    processor(OLD, "winograd")
    machine = detect_machine()

    def subject(backend: str) -> Any:
        return make_subject(machine, "cpu", "Compact", 4, backend, "fp32")

    measured = {"torch": Measurement(500, 0, 1.0, 0.0, "2026-11-28"), "openvino": Measurement(500, 0, openvino, max_error)}
    store_calibration({subject(name): one for name, one in measured.items()})
    assert taken(model, "auto") == (expected, "fp32")
    assert [file.name for file in forget_calibration()] == ["calibration.json"]
    assert taken(model, "auto") == ("torch", "fp32")


def test_a_limit_of_instructions_is_respected(tmp_path: Path) -> None:
    code = """
from runtime.bootstrap import load_pack
load_pack()
from upscale8k.runtime.models import UpscaleModel, find_model, load_model
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings, resolve_settings
model = UpscaleModel.from_descriptor(load_model(find_model("realesr-animevideov3", ())))
print(resolve_settings(model, TiledUpscaleSettings("model scale", "cpu")).precision)
"""
    command = [sys.executable, "-c", code]
    found = ""
    for limits in {}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}:  # the first finds out, where the processor has bf16, that it is accurate
        variables = os.environ | {"UPSCALE8K_CACHE_DIR": str(tmp_path)} | limits
        found = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=300, check=True).stdout
    assert found.strip() == "fp32", "torch refuses bf16 without AVX-512"
