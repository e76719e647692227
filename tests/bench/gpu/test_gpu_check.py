"""The check of a GPU: on the CPU that it finds what is wrong, and on a GPU that nothing is."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from upscale8k.runtime.bench.gpu.gpu_check import CheckRow, check_gpu
from upscale8k.runtime.cli import main
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.upscale.backends.torch import TorchBackend
from upscale8k.runtime.video.write import video_writer
from upscale8k.runtime.video.write.encoding import resolve_encoding

ANIME = "realesr-animevideov3"


@pytest.fixture
def models() -> dict[str, Any]:
    return {ANIME: load_model(find_model(ANIME, ()))}


@pytest.fixture
def nvenc(monkeypatch: pytest.MonkeyPatch) -> None:
    """libx264 takes the part of a hardware encoder: it reads NV12 in the memory of the device."""

    def resolve(codec: str, container: Any, bits: int, chroma: Any, **more: Any) -> Any:
        encoding = resolve_encoding("h264", container, 8, chroma, **more)
        return replace(encoding, encoder=replace(encoding.encoder, takes_device_frames=True), pixel_format="nv12")

    monkeypatch.setattr(video_writer, "resolve_encoding", resolve)


@pytest.mark.usefixtures("nvenc")
def test_the_dry_run_is_correct_and_says_what_it_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "gpu", "--full", "--dry", "-m", ANIME]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("WRONG")] == []
    correct = [line.removeprefix("ok").strip() for line in lines if line.startswith("ok")]
    assert correct[0] == f"{ANIME} fp32: two runs give the same bits"
    assert len(correct) == 10
    assert re.fullmatch(r"color codes: 0 of \d{7,} differ from the host's", correct[4])
    assert re.fullmatch(r"color codes of decoded planes: 0 of \d{7,} differ from the host's", correct[5])
    assert correct[6] == f"{ANIME}: 0 of {192 * 128 * 3} codes of a frame differ from those of an image"
    way = "What libx264 encodes stays in the memory of the graphics card"
    times = r"\d+\.\d\d s, by copies in host memory \d+\.\d\d s"
    assert re.fullmatch(rf"{ANIME}, encoder libx264: {way}: {times}, the same bytes", correct[8])
    assert correct[9] == f"{ANIME}, encoder libx264: interrupted and resumed after 4 frames, the same bytes"
    assert any("matrix product" in line for line in lines)


def test_a_wrong_result_and_a_failure_are_found(models: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """As an empty recording gives, and as a driver fails in the middle."""
    run, rows, calls = TorchBackend.run, list[CheckRow](), list[int]()

    def drift(backend: TorchBackend, batch: np.ndarray, *more: Any) -> np.ndarray:
        calls.append(1)
        if len(calls) > 40:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return run(backend, batch, *more) + np.float32(0.01 * len(calls))

    monkeypatch.setattr(TorchBackend, "run", drift)
    assert not check_gpu(models, "", runs=1, dry=True, on_row=rows.append)
    wrong = [str(row) for row in rows if row.is_correct is False]
    assert any("two runs give the same bits" in line for line in wrong)
    assert any("0 of 1 identical" in line for line in wrong)
    assert any("codes of a frame differ" in line or "check videos: RuntimeError" in line for line in wrong), wrong


def test_without_a_gpu_it_is_a_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["bench", "gpu", "--full", "-m", ANIME]) == 2
    assert "There is no NVIDIA GPU that torch can use." in capsys.readouterr().err


@pytest.mark.cuda
def test_a_real_gpu_is_correct(models: dict[str, Any]) -> None:
    """Tiles, CUDA graphs beside another thread, little memory, a second GPU, and fp16 against fp32."""
    rows: list[CheckRow] = []
    assert check_gpu(models, "640x480", runs=1, dry=False, on_row=rows.append), "\n".join(map(str, rows))
