"""HW Probe on the canvas and without it, and what other nodes make of its settings."""

import json
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from upscale8k.nodes import get_node_classes
from upscale8k.runtime import hardware
from upscale8k.runtime.bench import calibrate
from upscale8k.runtime.bench.calibrate import calibrate_models
from upscale8k.runtime.cli.commands.hardware_commands import find_catalog_network
from upscale8k.runtime.errors import ModelNotFound, Upscale8KError, WorkflowError
from upscale8k.runtime.hardware.calibration import load_calibration
from upscale8k.runtime.hardware.detect import detect_machine
from upscale8k.runtime.hardware.settings import UpscaleSettings
from upscale8k.runtime.host import LocalHost
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings, build_upscale_settings

OWN: dict[str, Any] = {"tile": 0, "batch": 0, "precision": "auto", "backend": "auto"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UPSCALE8K_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def settings(**more: Any) -> UpscaleSettings:
    values: dict[str, Any] = {"batch_size": 3, "tile_size": 320, "fp16": False, "trtexec_workspace": 0, "backend": "torch"}
    return UpscaleSettings(**{**values, "halo": 18, "queue_bytes": 1, "encoder": "none", "device": "cpu", **more})


def test_it_shows_a_table_and_gives_settings(host: LocalHost) -> None:
    told = get_node_classes(host)["HWProbe"]().run()
    (table,) = told["ui"]["text"]
    assert "Processor" in table
    suggested, text = told["result"]
    assert suggested.device == "cpu", "the device that the host works on"
    assert json.loads(text) == suggested.as_json()
    assert {"batch_size", "tile_size", "fp16", "trtexec_workspace"} <= set(json.loads(text))


def test_settings_are_for_the_model_that_is_connected(host: LocalHost) -> None:
    nodes = get_node_classes(host)
    (model,) = nodes["UpscaleModel"]().run("realesr-animevideov3")
    suggested, _ = nodes["HWProbe"]().run(model)["result"]
    assert suggested.halo == 18  # SRVGG-16: one pixel for each of its 18 convolutions
    assert "animevideov3" in suggested.reasons["tile_size"]
    assert "heaviest" not in suggested.reasons["tile_size"]


def test_the_host_frees_memory_before_the_machine_is_described(host: LocalHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiled Upscale has it freed too, so its tile must not be chosen from what a diffusion model leaves."""
    calls: list[object] = []
    monkeypatch.setattr(LocalHost, "free_memory", lambda self, device, needed: calls.append((device, needed > 5e9)))
    machine = detect_machine()
    monkeypatch.setattr("upscale8k.runtime.hardware.detect.detect_machine", lambda **_: calls.append("described") or machine)
    monkeypatch.delitem(vars(hardware), "detect_machine", raising=False)
    get_node_classes(host)["HWProbe"]().run()
    assert calls == [("cpu", True), "described"]


def test_what_it_says_of_the_queue_is_what_video_out_does(host: LocalHost) -> None:
    from upscale8k.runtime.video.write.segments import get_queue_byte_limit

    (suggested, _) = get_node_classes(host)["HWProbe"]().run()["result"]
    assert suggested.queue_bytes == pytest.approx(get_queue_byte_limit(), rel=0.1)


def test_it_is_asked_again_only_when_the_machine_changes(host: LocalHost, monkeypatch: pytest.MonkeyPatch) -> None:
    node = get_node_classes(host)["HWProbe"]
    before = node.IS_CHANGED(calibrate=False, upscale_model=None)
    blocks = bytearray(50_000_000)
    assert node.IS_CHANGED() == before
    del blocks
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("upscale8k.runtime.hardware.detect.read_torch_build", lambda: "another")
    assert node.IS_CHANGED() != before


def merge_settings(wired: object, model: object, **own: Any) -> tuple[Any, ...]:
    merged = build_upscale_settings(TiledUpscaleSettings("8K", "cpu", **own), "auto", wired, model)
    return merged.tile, merged.batch, merged.precision, merged.backend


@pytest.mark.parametrize(
    ("own", "wired", "expected"),
    [
        (OWN, None, (0, 1, "auto", "auto")),
        ({**OWN, "batch": 4}, None, (0, 4, "auto", "auto")),
        (OWN, settings(device="cuda"), (320, 3, "fp32", "torch")),
        (OWN, settings(device="cpu"), (320, 3, "auto", "torch")),
        (OWN, settings(fp16=True, backend="auto"), (320, 3, "auto", "auto")),
        ({"tile": 64, "batch": 1, "precision": "bf16", "backend": "null"}, settings(), (64, 1, "bf16", "null")),
    ],
)
def test_own_values_go_before_settings(own: dict[str, Any], wired: object, expected: tuple[Any, ...]) -> None:
    assert merge_settings(wired, object(), **own) == expected


def test_an_engine_keeps_the_tile_that_it_was_built_for(host: LocalHost, tmp_path: Path) -> None:
    from upscale8k.runtime.trt.get_or_build import AttachedEngine, attach_engine

    (model,) = get_node_classes(host)["UpscaleModel"]().run("realesr-animevideov3")
    carrier = attach_engine(model, AttachedEngine(tmp_path / "any.trt"))
    assert merge_settings(settings(), carrier, **OWN) == (0, 3, "auto", "auto")


@pytest.mark.parametrize("wrong", ["{}", {"tile_size": 3}, 5])
def test_a_value_that_is_no_settings_is_refused(wrong: object) -> None:
    with pytest.raises(WorkflowError, match="Connect the first output of HW Probe"):
        merge_settings(wrong, object(), **OWN)


def test_upscaling_takes_the_settings_and_changes_no_pixel(host: LocalHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 px tiles by settings: the image is the same as in one piece, within rounding."""
    import upscale8k.runtime.upscale.resolved_settings as engine

    seen = []
    choose = engine.choose_tiling
    monkeypatch.setattr(engine, "choose_tiling", lambda *given, **more: seen.append(more) or choose(*given, **more))
    nodes = get_node_classes(host)
    image = torch.rand((1, 96, 96, 3), generator=torch.Generator().manual_seed(1))
    (model,) = nodes["UpscaleModel"]().run("realesr-animevideov3")
    upscale = nodes["TiledUpscale"]()
    (plain,) = upscale.run(image, model, "model scale")
    (told,) = upscale.run(image, model, "model scale", settings=settings(tile_size=64, batch_size=2))
    assert [(each["tile"], each["batch"], each["halo"]) for each in seen] == [(0, 1, -1), (64, 2, -1)]
    assert float((plain - told).abs().max()) < 1e-5


def test_measuring_here_is_kept_and_used(host: LocalHost, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: 3.0)
    monkeypatch.setattr(calibrate, "CALIBRATION_MODELS", {"realesr-animevideov3": (32, 48), "no-such-model": (32, 48)})
    said: list[str] = []
    calibrate_models(detect_machine(), "cpu", host.model_folders(), said.append)
    assert any("bytes per pixel" in line for line in said)
    assert any("no-such-model" in line for line in said)
    kept = load_calibration()
    assert {(what.architecture, what.scale, what.precision) for what in kept} == {("Compact", 4, "fp32")}
    assert "torch" in {what.backend for what in kept}
    assert {one.date for one in kept.values()} == {time.strftime("%Y-%m-%d")}
    assert all(one.max_error is not None and one.max_error < 1e-4 for one in kept.values()), "every backend is exact in fp32"
    assert list(cache.iterdir()) == [cache / "calibration.json"]
    said.clear()
    monkeypatch.setattr(calibrate, "CALIBRATION_MODELS", {"realesr-animevideov3": (32, 48)})
    calibrate_models(detect_machine(), "cpu", host.model_folders(), said.append, remeasure=False)
    assert said == [], "what is known is not measured again"
    nodes = get_node_classes(host)
    (model,) = nodes["UpscaleModel"]().run("realesr-animevideov3")
    suggested, _ = nodes["HWProbe"]().run(model, calibrate=True)["result"]
    assert "measured on this machine" in suggested.reasons["tile_size"]


def test_a_busy_machine_measures_nothing(host: LocalHost, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: 63.0)
    with pytest.raises(Upscale8KError, match=r"other programs use 63% of the processor. Try again when they have ended."):
        calibrate_models(detect_machine(), "cpu", host.model_folders(), lambda _: None)
    assert get_node_classes(host)["HWProbe"]().run(calibrate=True)["result"][0].device == "cpu", "the node goes on without"
    assert not cache.exists()


def test_a_model_is_known_by_its_catalog_id() -> None:
    assert (find_catalog_network("swinir-l-x4").architecture, find_catalog_network("realesrgan-x2plus").halo) == ("SwinIR", 128)
    with pytest.raises(ModelNotFound, match="is not in the catalog"):
        find_catalog_network("nonsense")
