"""What ``auto`` means: measured once, the same for every tile, in every process, in ComfyUI and on the command line."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from upscale8k.runtime.hardware.cpu import Cpu
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.upscale.autotune import cache as autotune_cache
from upscale8k.runtime.upscale.autotune import select, trial
from upscale8k.runtime.upscale.autotune.select import select_backend
from upscale8k.runtime.upscale.autotune.trial import Candidate, TrialResult
from upscale8k.runtime.upscale.backends.base import BackendSpec, OnProgress, no_progress
from upscale8k.runtime.upscale.backends.torch import TorchBackend
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings, resolve_settings

CPU = torch.device("cpu")

FP32, BF16, OPENVINO = Candidate("torch", "fp32"), Candidate("torch", "bf16"), Candidate("openvino", "fp32")
AMX = Cpu("Xeon", 2, 2, None, ("AVX2", "AVX-512", "AVX-512 BF16", "AMX"))
OLD = Cpu("i7", 2, 2, None, ("AVX2",))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(autotune_cache, "_process_choices", {})
    return tmp_path / "cache" / "backends.json"


@pytest.fixture
def another_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr(autotune_cache, "_process_choices", {})


@pytest.fixture
def model(weights: Callable[[str], Any]) -> UpscaleModel:
    return UpscaleModel.from_descriptor(weights("realesr-animevideov3"))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[Candidate]]]:
    """A processor, with OpenVINO or without, and what its trial measures; gives who was tried."""

    def make(processor: Cpu = OLD, *, openvino: bool = True, **parts: float) -> list[list[Candidate]]:
        asked: list[list[Candidate]] = []
        found = {one: TrialResult(parts.get(one.title.replace(" in ", "_"), 1.0), 60.0) for one in (FP32, BF16, OPENVINO)}

        def tried(model: UpscaleModel, candidates: list[Candidate]) -> dict[Candidate, TrialResult]:
            asked.append(candidates)
            return {one: found[one] for one in candidates}

        monkeypatch.setattr(select, "query_cpu", lambda: processor)
        monkeypatch.setattr(BackendSpec, "is_installed", lambda spec: openvino or spec.name != "openvino")
        monkeypatch.setattr(BackendSpec, "get_version", lambda spec: "1")
        monkeypatch.setattr(select, "run_trials", tried)
        return asked

    return make


def taken(model: UpscaleModel, *asked: Any) -> tuple[str, str]:
    answer = select_backend(model, CPU, *asked)
    return answer.backend, answer.precision


def test_the_faster_one_is_taken_and_that_is_said_once(model: UpscaleModel, machine: Callable) -> None:
    asked = machine(openvino_fp32=0.5)
    first = select_backend(model, CPU, "auto")
    assert (first.backend, first.precision) == ("openvino", "fp32")
    assert "openvino in fp32 is 2.00 times as fast. Using openvino in fp32." in first.message
    again = select_backend(model, CPU, "fp32")
    assert (again.backend, again.message) == ("openvino", None)
    assert len(asked) == 1


def test_the_reference_stays_where_nothing_is_gained(model: UpscaleModel, machine: Callable) -> None:
    machine(AMX, openvino_fp32=0.99, torch_bf16=0.75)
    assert taken(model, "auto") == ("torch", "fp32")


@pytest.mark.parametrize(("openvino", "expected"), [(0.9, "torch"), (0.6, "openvino")])
def test_a_backend_whose_tiles_must_be_smaller_must_be_faster_by_so_much(
    openvino: float, expected: str, machine: Callable, weights: Callable
) -> None:
    """RRDB-23 in 2.1 GB: torch's tiles are 640 px, OpenVINO's 320, so it sees 1.96 / 1.44 = 1.36 times the pixels."""
    machine(openvino_fp32=openvino)
    assert taken(UpscaleModel.from_descriptor(weights("realesrgan-x4plus")), "fp32") == (expected, "fp32")


@pytest.mark.parametrize(("openvino", "expected"), [(0.5, ("torch", "bf16")), (0.3, ("openvino", "fp32"))])
def test_bf16_is_taken_where_it_is_much_faster_than_the_fastest_in_fp32(
    openvino: float, expected: tuple[str, str], model: UpscaleModel, machine: Callable
) -> None:
    machine(AMX, torch_bf16=0.25, openvino_fp32=openvino)
    answer = select_backend(model, CPU, "auto")
    assert (answer.backend, answer.precision) == expected
    assert ("60 dB below the image; the precision fp32 avoids it" in answer.message) == (expected[1] == "bf16")


def test_what_was_asked_for_is_not_tried_against_something_else(model: UpscaleModel, machine: Callable) -> None:
    asked = machine(AMX, torch_bf16=0.2, openvino_fp32=0.1)
    assert taken(model, "fp32") == ("openvino", "fp32")
    assert taken(model, "auto", "torch") == ("torch", "bf16")
    assert asked == [[FP32, OPENVINO], [FP32, BF16]]
    assert taken(model, "fp32", "torch") == ("torch", "fp32")
    assert taken(model, "bf16") == ("torch", "bf16")
    assert taken(model, "auto", "onnxruntime") == ("onnxruntime", "auto")
    assert len(asked) == 2


def test_a_processor_without_bf16_is_not_tried_in_it(model: UpscaleModel, machine: Callable) -> None:
    asked = machine(OLD, openvino=False)
    assert taken(model, "auto") == ("torch", "fp32")
    assert asked == []


@pytest.mark.parametrize("why", ["architecture", "not safe"])
def test_a_network_that_bf16_is_not_for_is_not_tried_in_it(why: str, model: UpscaleModel, machine: Callable) -> None:
    asked = machine(AMX, openvino=False, torch_bf16=0.2)
    other = replace(model, architecture="SwinIR") if why == "architecture" else replace(model, bfloat16_safe=False)
    assert taken(other, "auto") == ("torch", "fp32")
    assert asked == []


def test_settings_are_settled_once_for_a_whole_job(model: UpscaleModel, machine: Callable) -> None:
    machine(AMX, openvino=False, torch_bf16=0.2)
    settings = TiledUpscaleSettings("8K", "cpu", tile=96)
    resolved = resolve_settings(model, settings)
    assert (resolved.device, resolved.backend, resolved.precision, resolved.tiling.tile) == (CPU, "torch", "bf16", 96)
    assert "torch in bf16 is 5.00 times as fast" in (resolved.message or "")
    settled = replace(settings, backend=resolved.backend, precision=resolved.precision)
    assert resolve_settings(model, settled) == replace(resolved, message=None)


def test_the_first_answer_stands(model: UpscaleModel, machine: Callable, another_process: Callable) -> None:
    """Two processes that measured at the same time agree afterwards."""
    machine(openvino_fp32=0.5)
    select_backend(model, CPU, "auto")
    another_process()
    both = [FP32, OPENVINO]
    assert autotune_cache.store(select._make_cache_key(model, both), FP32, {}, both) == OPENVINO


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"x": 1}', "\udcff", '{"KEY": 1}', '{"KEY": {"backend": "magic"}}'])
def test_a_memory_that_is_nonsense_is_measured_anew(
    text: str, model: UpscaleModel, machine: Callable, cache: Path, another_process: Callable
) -> None:
    asked = machine(openvino_fp32=0.5)
    key = select._make_cache_key(model, [FP32, OPENVINO])
    cache.parent.mkdir()
    cache.write_text(text.replace("KEY", key), encoding="utf-8", errors="surrogateescape")
    assert taken(model, "auto") == ("openvino", "fp32")
    another_process()
    assert taken(model, "auto") == ("openvino", "fp32")
    assert len(asked) == 1
    assert json.loads(cache.read_text())[key]["backend"] == "openvino"


def test_a_memory_that_cannot_be_written_lasts_as_long_as_the_process(
    model: UpscaleModel, machine: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "file"))
    asked = machine(openvino_fp32=0.5)
    assert taken(model, "auto") == taken(model, "auto") == ("openvino", "fp32")
    assert len(asked) == 1


def test_who_could_not_be_tried_is_tried_by_the_next_process(
    model: UpscaleModel, machine: Callable, monkeypatch: pytest.MonkeyPatch, another_process: Callable
) -> None:
    machine(openvino_fp32=0.5)
    with monkeypatch.context() as today:
        today.setattr(select, "run_trials", lambda model, candidates: {FP32: TrialResult(1.0, np.inf)})
        assert select_backend(model, CPU, "auto") == select.BackendChoice("torch", "fp32")
    assert taken(model, "auto") == ("torch", "fp32"), "one run, one answer"
    another_process()
    assert taken(model, "auto") == ("openvino", "fp32")


def test_another_number_of_threads_or_other_weights_is_another_question(
    model: UpscaleModel, weights: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = select._make_cache_key(model, [FP32, BF16])
    assert select._make_cache_key(UpscaleModel.from_descriptor(weights("realesrgan-x4plus-anime")), [FP32, BF16]) != key
    assert select._make_cache_key(model, [FP32]) != key
    monkeypatch.setattr(select.torch, "get_num_threads", lambda: 99)
    assert select._make_cache_key(model, [FP32, BF16]) != key


class Off(TorchBackend):
    """Torch with every number too large by ``by``."""

    by = 0.0

    def run(self, batch: Any, on_progress: OnProgress = no_progress) -> Any:
        return super().run(batch, on_progress) + np.float32(self.by)


# 2e-4 is too much for fp32. In bf16 50 dB are allowed, which is an error of 10 ** (-50 / 20) = 0.00316 everywhere.
@pytest.mark.parametrize(("who", "by", "offered"), [(OPENVINO, 2e-4, False), (BF16, 0.002, True), (BF16, 0.004, False)])
def test_who_disagrees_is_not_offered(
    who: Candidate, by: float, offered: bool, model: UpscaleModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(candidate: Candidate, model: UpscaleModel) -> TorchBackend:
        backend = Off(model, CPU, "fp32")
        backend.by = 0.0 if candidate == FP32 else by
        return backend

    monkeypatch.setattr(trial, "_open_candidate", opened)
    found = trial.run_trials(model, [FP32, who])
    assert np.isfinite(found[who].relative_time) == offered
    assert found[FP32].relative_time == 1
    assert found[who].decibels == pytest.approx(-20 * np.log10(by), abs=0.1)
    assert select._pick_best(found) == FP32 or offered


def test_a_backend_that_fails_is_not_offered(model: UpscaleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(candidate: Candidate, model: UpscaleModel) -> Any:
        if candidate != FP32:
            raise RuntimeError("no such instruction")
        return TorchBackend(model, CPU, "fp32")

    monkeypatch.setattr(trial, "_open_candidate", opened)
    assert trial.run_trials(model, [FP32, OPENVINO]) == {FP32: TrialResult(1.0, np.inf)}


def test_only_the_reference_is_tried_without_the_photograph(
    model: UpscaleModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "SAMPLE_IMAGE", tmp_path / "gone.png")
    assert trial.run_trials(model, [FP32, BF16]) == {FP32: TrialResult(1.0, np.inf)}


def test_the_real_measurement_settles_it(model: UpscaleModel, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On any processor: where bf16 is slow or wrong it is not taken."""
    monkeypatch.setattr(select, "query_cpu", lambda: AMX)
    monkeypatch.setattr(BackendSpec, "is_installed", lambda spec: spec.name != "openvino")
    sentence = resolve_settings(model, TiledUpscaleSettings("8K", "cpu")).message or ""
    assert sentence.startswith("Measured once on this machine against torch in fp32: torch in bf16 is ")
    (entry,) = json.loads(cache.read_text()).values()
    assert set(entry["parts"]) == {"torch in fp32", "torch in bf16"}
    assert (entry["precision"] == "bf16") == (entry["parts"]["torch in bf16"] < 0.7)
    again = resolve_settings(model, TiledUpscaleSettings("8K", "cpu"))
    assert (again.precision, again.message) == (entry["precision"], None)


def test_openvino_is_tried_for_real(model: UpscaleModel, cache: Path) -> None:
    pytest.importorskip("openvino", reason="needs: pip install openvino onnx")
    resolve_settings(model, TiledUpscaleSettings("8K", "cpu", precision="fp32"))
    (entry,) = json.loads(cache.read_text()).values()
    assert set(entry["parts"]) == {"torch in fp32", "openvino in fp32"}
