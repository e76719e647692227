"""What a user reads whose GPU is missing, broken, of another maker, or full: one sentence and the next step, no traceback.

An engine for another GPU: ``tests/upscale/backends/test_tensorrt_backend.py`` and ``tests/trt/test_engine_info.py``.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from upscale8k.runtime.cli import main
from upscale8k.runtime.upscale.backends.torch import TorchBackend


def make_raiser(error: Exception) -> Any:
    def fail(*args: Any, **options: Any) -> Any:
        raise error

    return fail


BROKEN = make_raiser(RuntimeError("CUDA driver initialization failed, you might not have a CUDA gpu."))
FULL = make_raiser(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
SEEN = {"is_available": lambda: True, "device_count": lambda: 1}


@pytest.mark.parametrize(
    ("options", "cuda", "sentence", "step"),
    [
        (["--device", "cuda"], {}, "The device cuda was requested, but torch", "Use --device cpu, or install the driver"),
        (["--device", "cuda:3"], SEEN, "The device cuda:3 was requested", "Use --device cpu"),
        (
            ["--device", "cuda"],
            {**SEEN, "mem_get_info": BROKEN},
            "cannot compute on cuda: CUDA driver init",
            "Update the driver",
        ),
        (["--engine", "auto"], {}, "This machine has no NVIDIA GPU to build an engine for", "turn on fallback"),
        (
            ["--engine", "auto"],
            {**SEEN, "get_device_name": lambda index: "AMD Radeon"},
            "has no NVIDIA GPU to build",
            "fallback",
        ),
        (["--engine", "auto"], {**SEEN, "get_device_name": BROKEN}, "has no NVIDIA GPU to build an engine for", "fallback"),
    ],
    ids=[
        "no GPU",
        "no such GPU",
        "broken driver",
        "no GPU for an engine",
        "another maker's GPU",
        "broken driver and an engine",
    ],
)
def test_a_gpu_that_cannot_be_used_is_a_sentence(
    options: list[str],
    cuda: dict[str, Any],
    sentence: str,
    step: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"is_available": lambda: False, "device_count": lambda: 0, **cuda}.items():
        monkeypatch.setattr(torch.cuda, name, value)
    if "--engine" in options:
        pytest.importorskip("tensorrt_rtx")
    assert_sentence(upscale(tmp_path, *options), sentence, step, tmp_path, capsys)


def test_too_little_memory_for_the_smallest_tile_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TorchBackend, "_forward", FULL)
    code = upscale(tmp_path, "--device", "cpu", "--backend", "torch")
    assert_sentence(code, "pixels does not fit in the memory of cpu", "Close other programs", tmp_path, capsys)


def upscale(folder: Path, *options: str) -> int:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)).save(folder / "source.png")
    files = [str(folder / "source.png"), "-o", str(folder / "result.png")]
    return main(["upscale", *files, "--to", "2x", "-m", "realesr-animevideov3", "--progress", "none", *options])


def assert_sentence(code: int, sentence: str, step: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    *messages, error = capsys.readouterr().err.splitlines()
    assert code == 1
    assert error.startswith("Error: ")
    assert "node" not in error, "the user typed options, not a workflow"
    assert sentence in error
    assert step in error
    assert all(line.startswith("Out of memory with") for line in messages)
    assert not (folder / "result.png").exists()
