"""OpenVINO and onnxruntime: what torch gives, the same bytes at any tile size, and sentences where something is missing."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from spandrel import MAIN_REGISTRY
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.SwinIR import SwinIR
from upscale8k.runtime.errors import HardwareMissing, OutOfMemory, UnsupportedModel, WorkflowError
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.upscale.backends import onnxruntime as ort_backend
from upscale8k.runtime.upscale.backends import open_backend
from upscale8k.runtime.upscale.backends.torch import TorchBackend
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings, resolve_settings
from upscale8k.runtime.upscale.target_size import plan_scale
from upscale8k.runtime.upscale.tile_loop import upscale_image
from upscale8k.runtime.upscale.tiles import Tiling

pytest.importorskip("onnx", reason="needs: pip install onnx")
BACKENDS = ("openvino", "onnxruntime")
CPU = torch.device("cpu")


def backend_of(name: str, model: UpscaleModel, precision: Any = "fp32") -> Any:
    pytest.importorskip(name, reason=f"needs: pip install {name}")
    return open_backend(name, model, CPU, precision)


def recognised(net: torch.nn.Module) -> UpscaleModel:
    return UpscaleModel.from_descriptor(
        MAIN_REGISTRY.load({key: value.clone() for key, value in net.state_dict().items()}).eval()
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["realesr-animevideov3", "realesrgan-x4plus-anime", "realesrgan-x4plus"])
def test_it_gives_what_torch_gives(backend: str, name: str, weights: Callable, photograph: np.ndarray) -> None:
    """In fp32 to 1e-4, also on a CPU that could compute in bf16."""
    model = UpscaleModel.from_descriptor(weights(name))
    crop = np.ascontiguousarray(photograph[None, 200:231, 100:140])
    expected = TorchBackend(model, CPU, "fp32").run(crop)
    np.testing.assert_allclose(backend_of(backend, model).run(crop), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("tile", [32, 64, 75, 100, 160])
def test_openvino_gives_the_same_bytes_at_any_tile_size(tile: int, weights: Callable, photograph: np.ndarray) -> None:
    crop = photograph[100:300, 120:360]
    model = UpscaleModel.from_descriptor(weights("realesr-animevideov3"))
    backend = backend_of("openvino", model)
    steps = plan_scale(Size(240, 200), 4, "model scale")
    out = np.zeros((800, 960, 3), np.float32)
    upscale_image(crop, model, backend, Tiling(tile, model.halo), steps, out=out, progress=SilentProgress())
    whole = backend.run(crop[None])[0]
    np.testing.assert_array_equal(np.floor(out * 255 + 0.5), np.floor(whole * 255 + 0.5))


@pytest.mark.parametrize("backend", BACKENDS)
def test_odd_sizes_of_a_network_with_pixel_unshuffle(backend: str, photograph: np.ndarray) -> None:
    torch.manual_seed(8)
    model = recognised(ESRGAN(in_nc=12, num_blocks=1, num_filters=8, scale=4, shuffle_factor=2))
    assert model.multiple == 4
    for height, width in ((33, 41), (30, 64), (5, 7)):
        crop = photograph[None, :height, :width]
        expected = TorchBackend(model, CPU, "fp32").run(crop)
        np.testing.assert_allclose(backend_of(backend, model).run(crop), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_batches_and_results_stay_apart(backend: str, weights: Callable, photograph: np.ndarray) -> None:
    """A result must not be the library's own memory, which its next call overwrites."""
    model = UpscaleModel.from_descriptor(weights("realesr-animevideov3"))
    opened = backend_of(backend, model)
    tiles = np.stack([photograph[:40, :48], photograph[100:140, 100:148]])
    together = opened.run(tiles)
    kept = together.copy()
    first, second = opened.run(tiles[:1]), opened.run(tiles[1:])
    np.testing.assert_array_equal(together, kept)
    np.testing.assert_allclose(together, np.concatenate([first, second]), rtol=0, atol=1e-6)
    assert together.flags.c_contiguous
    opened.close()


def test_openvino_computes_in_bf16_when_asked_only(weights: Callable, photograph: np.ndarray) -> None:
    model = UpscaleModel.from_descriptor(weights("realesr-animevideov3"))
    crop = photograph[None, 200:264, 100:164]
    full = backend_of("openvino", model, "fp32").run(crop)
    resolved = resolve_settings(model, TiledUpscaleSettings("8K", "cpu", backend="openvino"))
    assert resolved.precision == "fp32"
    np.testing.assert_array_equal(backend_of("openvino", model, resolved.precision).run(crop), full)
    assert np.abs(backend_of("openvino", model, "bf16").run(crop) - full).max() < 0.1


@pytest.mark.parametrize("backend", BACKENDS)
def test_fp16_on_a_cpu_is_refused(backend: str, weights: Callable) -> None:
    with pytest.raises(WorkflowError, match="fp32") as caught:
        backend_of(backend, UpscaleModel.from_descriptor(weights("realesr-animevideov3")), "fp16")
    assert "auto" in caught.value.hint


@pytest.mark.filterwarnings("ignore:torch.meshgrid")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_network_whose_graph_holds_for_one_size_is_refused(backend: str) -> None:
    torch.manual_seed(8)
    net = SwinIR(img_size=16, window_size=8, depths=[2], embed_dim=12, num_heads=[2], upscale=2, upsampler="pixelshuffledirect")
    with pytest.raises(UnsupportedModel, match="SwinIR") as caught:
        backend_of(backend, recognised(net))
    assert "torch" in caught.value.hint


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_missing_library_names_the_package(backend: str, weights: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, backend, None)
    with pytest.raises(HardwareMissing, match=f"needs the package {backend}") as caught:
        open_backend(backend, UpscaleModel.from_descriptor(weights("realesr-animevideov3")), CPU, "fp32")
    assert f"pip install onnx {backend}" in caught.value.hint or f"pip install {backend} onnx" in caught.value.hint


@pytest.mark.parametrize("backend", BACKENDS)
def test_running_out_of_memory_is_the_error_that_makes_tiles_smaller(backend: str, weights: Callable) -> None:
    opened = backend_of(backend, UpscaleModel.from_descriptor(weights("realesr-animevideov3")))

    def full(*_: Any, **__: Any) -> Any:
        raise RuntimeError("std::bad_alloc: Failed to allocate memory")

    opened._request = opened._session = SimpleNamespace(infer=full, run=full)
    with pytest.raises(OutOfMemory, match="20x10") as caught:
        opened.run(np.zeros((1, 10, 20, 3), np.float32))
    assert caught.value.tile == 20


@pytest.mark.parametrize("backend", BACKENDS)
def test_any_other_failure_stays_what_it_is(backend: str, weights: Callable) -> None:
    opened = backend_of(backend, UpscaleModel.from_descriptor(weights("realesr-animevideov3")))

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("shape mismatch")

    opened._request = opened._session = SimpleNamespace(infer=broken, run=broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        opened.run(np.zeros((1, 10, 20, 3), np.float32))


CUDA_PROVIDER, DML_PROVIDER, CPU_PROVIDER = "CUDAExecutionProvider", "DmlExecutionProvider", "CPUExecutionProvider"


@pytest.mark.parametrize(
    ("device", "here", "expected"),
    [
        ("auto", [CUDA_PROVIDER, CPU_PROVIDER], CUDA_PROVIDER),
        ("auto", [DML_PROVIDER, CPU_PROVIDER], DML_PROVIDER),
        ("auto", [CPU_PROVIDER], CPU_PROVIDER),
        ("cuda:1", [CUDA_PROVIDER, CPU_PROVIDER], CUDA_PROVIDER),
        ("cpu", [CUDA_PROVIDER, CPU_PROVIDER], CPU_PROVIDER),
    ],
)
def test_the_provider_is_the_one_for_the_device(
    device: str, here: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = SimpleNamespace(get_available_providers=lambda: here)
    monkeypatch.setattr(ort_backend, "import_library", lambda *_: library)
    found = ort_backend.find_device() if device == "auto" else torch.device(device)
    assert ort_backend._select_provider(found, here) == expected


def test_auto_is_the_device_that_onnxruntime_sees_also_where_torch_sees_none(
    weights: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = SimpleNamespace(get_available_providers=lambda: [DML_PROVIDER, CPU_PROVIDER])
    monkeypatch.setattr(ort_backend, "import_library", lambda *_: library)
    model = UpscaleModel.from_descriptor(weights("realesr-animevideov3"))
    resolved = resolve_settings(model, TiledUpscaleSettings("8K", "auto", backend="onnxruntime"))
    assert resolved.device.type == "privateuseone"
    assert resolve_settings(model, TiledUpscaleSettings("8K", "cpu", backend="onnxruntime")).device == CPU


def test_a_provider_that_is_not_here_is_told_with_those_that_are() -> None:
    with pytest.raises(HardwareMissing, match=f"device cuda; it has {CPU_PROVIDER}") as caught:
        ort_backend._select_provider(torch.device("cuda"), [CPU_PROVIDER])
    assert "onnxruntime-gpu" in caught.value.hint


def test_cuda_is_told_to_compute_in_real_fp32_on_the_right_card() -> None:
    cuda = torch.device("cuda:1")
    assert ort_backend._add_options(CUDA_PROVIDER, cuda) == (CUDA_PROVIDER, {"device_id": "1", "use_tf32": "0"})
    assert ort_backend._add_options(CPU_PROVIDER, CPU) == (CPU_PROVIDER, {})


TELEMETRY = """
import socket, sys, threading
sys.path.insert(0, sys.argv[1])
from runtime.bootstrap import load_pack
load_pack()
asked = []
socket.getaddrinfo = lambda *address, **options: asked.append(address[0]) or []
from upscale8k.runtime.upscale.backends.openvino import _import_without_telemetry
assert _import_without_telemetry().Core()
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join(2)
assert not asked, asked
assert "openvino_telemetry" not in sys.modules
"""


def test_openvino_is_imported_without_its_telemetry(tmp_path: Path, root: Path) -> None:
    """On import its telemetry asks www.google-analytics.com and writes ~/intel."""
    pytest.importorskip("openvino")
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(tmp_path)}
    command = [sys.executable, "-c", TELEMETRY, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not list(tmp_path.iterdir())
