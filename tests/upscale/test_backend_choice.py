"""What ``auto`` means: measured once, the same for every tile, in every process, in both homes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from upscale8k.runtime.models.facts import UpscaleModel
from upscale8k.runtime.upscale.backends import choice, open_backend
from upscale8k.runtime.upscale.backends.choice import choose
from upscale8k.runtime.upscale.backends.torch import TorchBackend


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "backends.json"


@pytest.fixture
def model(weights: Callable[[str], Any]) -> UpscaleModel:
    return UpscaleModel.of(weights("realesr-animevideov3"))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Lets the measurement say what a test wants, and counts how often it was made."""
    monkeypatch.setattr(choice.openvino, "is_installed", lambda: True)
    monkeypatch.setattr(choice.openvino, "version", lambda: "1")

    def say(**seconds: float) -> list[str]:
        calls: list[str] = []
        monkeypatch.setattr(choice, "_measured", lambda model: calls.append("measured") or seconds)
        return calls

    return say


def test_the_faster_one_is_taken_and_that_is_said_once(model: UpscaleModel, measured: Callable[..., list[str]]) -> None:
    calls = measured(torch=1.0, openvino=0.5)
    first = choose(model, "cpu", "auto")
    assert first.backend == "openvino"
    assert "2.00 times as fast as torch" in first.sentence
    again = choose(model, "cpu", "fp32")
    assert (again.backend, again.sentence) == ("openvino", None)
    assert len(calls) == 1


def test_the_reference_stays_where_nothing_is_gained(model: UpscaleModel, measured: Callable[..., list[str]]) -> None:
    measured(torch=1.0, openvino=0.99)
    assert choose(model, "cpu", "auto").backend == "torch"


def test_the_first_answer_stands(model: UpscaleModel, measured: Callable[..., list[str]]) -> None:
    """Two processes that measured at the same time agree afterwards."""
    measured(torch=1.0, openvino=0.5)
    choose(model, "cpu", "auto")
    assert choice._remembered(choice._key(model), "torch", {}) == "openvino"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"x": 1}', "\udcff", '{"KEY": 1}', '{"KEY": {"backend": "magic"}}'])
def test_a_memory_that_is_nonsense_is_measured_anew(
    text: str, model: UpscaleModel, measured: Callable[..., list[str]], cache: Path
) -> None:
    cache.parent.mkdir()
    cache.write_text(text.replace("KEY", choice._key(model)), encoding="utf-8", errors="surrogateescape")
    calls = measured(torch=1.0, openvino=0.5)
    assert choose(model, "cpu", "auto").backend == "openvino"
    assert choose(model, "cpu", "auto").backend == "openvino"
    assert len(calls) == 1
    assert json.loads(cache.read_text())[choice._key(model)]["backend"] == "openvino"


def test_a_memory_that_cannot_be_written_is_no_error(
    model: UpscaleModel, measured: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "file"))
    measured(torch=1.0, openvino=0.5)
    assert choose(model, "cpu", "auto").backend == "openvino"


def test_another_number_of_threads_or_other_weights_is_another_question(
    model: UpscaleModel, measured: Callable[..., list[str]], weights: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured()
    key = choice._key(model)
    assert choice._key(UpscaleModel.of(weights("realesrgan-x4plus-anime"))) != key
    monkeypatch.setattr(choice.torch, "get_num_threads", lambda: 99)
    assert choice._key(model) != key


@pytest.mark.parametrize("why", ["precision", "architecture", "not installed"])
def test_torch_needs_no_measurement(
    why: str, model: UpscaleModel, measured: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = measured(torch=1.0, openvino=0.5)
    if why == "not installed":
        monkeypatch.setattr(choice.openvino, "is_installed", lambda: False)
    asked = replace(model, architecture="SwinIR") if why == "architecture" else model
    assert choose(asked, "cpu", "bf16" if why == "precision" else "auto").backend == "torch"
    assert calls == []


def test_a_backend_that_disagrees_is_not_offered(model: UpscaleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(TorchBackend):
        def run(self, batch: Any) -> Any:
            return super().run(batch) + np.float32(2e-4)

    monkeypatch.setattr(
        choice, "_opened", lambda name, model: (TorchBackend if name == "torch" else Wrong)(model, "cpu", "fp32")
    )
    assert choice._measured(model) == {"torch": 0.0}


def test_a_backend_that_fails_is_not_offered(model: UpscaleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(name: str, model: UpscaleModel) -> Any:
        if name != "torch":
            raise RuntimeError("no such instruction")
        return TorchBackend(model, "cpu", "fp32")

    monkeypatch.setattr(choice, "_opened", opened)
    assert choice._measured(model) == {"torch": 0.0}


def test_the_real_measurement_settles_it(model: UpscaleModel, photograph: np.ndarray, cache: Path) -> None:
    pytest.importorskip("openvino", reason="needs: pip install openvino onnx")
    backend = open_backend("auto", model, "cpu", "auto")
    (sentence,) = backend.warnings
    assert sentence.startswith("Tried once on this machine")
    (entry,) = json.loads(cache.read_text()).values()
    assert set(entry["seconds"]) == {"torch", "openvino"}
    assert all(0 < seconds < 30 for seconds in entry["seconds"].values())
    assert open_backend("auto", model, "cpu", "auto").warnings == []
    assert type(open_backend("auto", model, "cpu", "auto")) is type(backend)
