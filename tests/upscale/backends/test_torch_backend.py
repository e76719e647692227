"""The torch backend: precisions, what goes wrong in them, what it leaves alone, and networks that work in windows."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from spandrel import MAIN_REGISTRY, ImageModelDescriptor
from spandrel.architectures.Compact import Compact, CompactArch
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.SwinIR import SwinIR
from upscale8k.runtime.errors import HardwareMissing, OutOfMemory, WorkflowError
from upscale8k.runtime.hardware.tile_memory import Footprint
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.models import copy_without_host_state
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.upscale import memory
from upscale8k.runtime.upscale.backends import open_backend
from upscale8k.runtime.upscale.backends.torch import TorchBackend
from upscale8k.runtime.upscale.device import resolve_precision
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings, resolve_settings
from upscale8k.runtime.upscale.target_size import plan_scale
from upscale8k.runtime.upscale.tile_loop import upscale_image
from upscale8k.runtime.upscale.tile_size import TileBudget, choose_tiling
from upscale8k.runtime.upscale.tiles import Tiling
from upscale8k.runtime.upscale.torch_optim import optimize, rrdb

CPU = torch.device("cpu")

pytestmark = [pytest.mark.usefixtures("two_threads"), pytest.mark.filterwarnings("ignore:torch.meshgrid")]
NO_GPU = not torch.cuda.is_available()


def described(net: torch.nn.Module, scale: int = 1, half: bool = True) -> ImageModelDescriptor:
    return ImageModelDescriptor(
        net,
        net.state_dict(),
        CompactArch(),
        "SR",
        [],
        half,
        half,
        scale=scale,
        input_channels=3,
        output_channels=3,
    ).eval()


def recognised(net: torch.nn.Module) -> ImageModelDescriptor:
    """The network as spandrel takes it from a file."""
    descriptor = MAIN_REGISTRY.load({key: value.clone() for key, value in net.state_dict().items()}).eval()
    assert isinstance(descriptor, ImageModelDescriptor)
    return descriptor


def compact(half: bool = True) -> ImageModelDescriptor:
    torch.manual_seed(8)
    return described(Compact(num_feat=8, num_conv=2, upscale=2), scale=2, half=half)


class Gain(torch.nn.Module):
    """Multiplies by ``gain`` and divides again: past 65504, the largest number of fp16, on bright pixels."""

    def __init__(self, gain: float, output: str = "same") -> None:
        super().__init__()
        self.gain, self.output = gain, output
        self.still = torch.nn.Parameter(torch.zeros(1))
        self.hyperparameters = {"num_conv": 0}
        self.calls: list[torch.dtype] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls.append(images.dtype)
        large = images * self.gain
        if self.output == "infinite":
            return torch.where(large.isinf(), large, images)
        if self.output == "black":
            return torch.where(large.isinf().any(), torch.zeros_like(images), images)
        return large - large + images  # NaN where it overflowed


def run(backend: TorchBackend, *pixels: float) -> np.ndarray:
    return backend.run(np.stack([np.full((4, 5, 3), value, np.float32) for value in pixels]))


@pytest.mark.parametrize("output", ["same", "infinite", "black"])
def test_a_tile_that_overflows_in_half_precision_is_computed_again_in_full(output: str) -> None:
    backend = TorchBackend(UpscaleModel.from_descriptor(described(Gain(100_000, output))), CPU, "fp16")
    dark = run(backend, 0.5)  # 50,000 still fits
    np.testing.assert_array_equal(dark, np.float32(0.5))
    assert backend.warnings == []
    bright = run(backend, 0.25, 0.8)
    np.testing.assert_array_equal(bright[0], np.float32(0.25))
    np.testing.assert_array_equal(bright[1], np.float32(0.8))  # fp32: 0.8 to the last bit
    assert len(backend.warnings) == 1
    assert "computed again in fp32" in backend.warnings[0]
    np.testing.assert_array_equal(run(backend, 0.3), np.float32(np.float16(0.3)))  # the next tile is in half again
    assert len(backend.warnings) == 1


def test_after_two_overflows_a_run_stays_in_full_precision_and_says_so() -> None:
    """A card whose fp16 is broken would otherwise compute every tile twice."""
    descriptor = described(Gain(100_000))
    backend = TorchBackend(UpscaleModel.from_descriptor(descriptor), CPU, "fp16")
    for value in (0.8, 0.9):
        np.testing.assert_array_equal(run(backend, value), np.float32(value))
    assert len(backend.warnings) == 2
    assert "the rest of this run uses fp32" in backend.warnings[1]
    backend._net.model.calls.clear()
    np.testing.assert_array_equal(run(backend, 0.3), np.float32(0.3))
    assert backend._net.model.calls == [torch.float32], "once, and not in half precision first"
    assert len(backend.warnings) == 2
    backend.close()


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("name", ["realesr-animevideov3", "realesrgan-x4plus-anime"])
def test_a_card_gets_the_optimized_network(name: str, precision: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the copy to its memory is left out."""
    model = UpscaleModel.from_descriptor(load_model(find_model(name, ())))

    def copy(self: TorchBackend, dtype: torch.dtype) -> Any:
        return copy_without_host_state(model.descriptor, model.descriptor.model)

    monkeypatch.setattr(TorchBackend, "_copy_to_device", copy)
    network = cast("Any", TorchBackend(model, torch.device("cuda:1"), precision)._net.model)
    if model.architecture == "Compact":
        assert network.forward.__func__ is optimize._forward  # adds before the shuffle
    else:
        *blocks, _ = network.model[1].sub
        assert {type(block) for block in blocks} == {rrdb._ResidualBlock}
        assert not any(dense._workers for block in blocks for dense in block.dense)


def test_a_dark_image_that_stays_black_is_no_failure() -> None:
    class Dark(Gain):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.calls.append(images.dtype)
            return torch.zeros_like(images)

    backend = TorchBackend(UpscaleModel.from_descriptor(described(Dark(1))), CPU, "fp16")
    assert not run(backend, 0.0, 0.05).any()
    assert backend.warnings == []
    run(backend, 0.5)  # black where the image was bright: computed again
    assert len(backend.warnings) == 1


def test_full_precision_is_never_computed_twice() -> None:
    class Broken(Gain):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.full_like(images, torch.nan)

    backend = TorchBackend(UpscaleModel.from_descriptor(described(Broken(1))), CPU, "fp32")
    assert np.isnan(run(backend, 0.5)).all()  # the writer of the file refuses it; nothing is made up here
    assert backend.warnings == []


@pytest.mark.parametrize(("precision", "most"), [("fp16", 2e-3), ("bf16", 2e-2)])
def test_half_precision_is_near_full_precision(precision: Any, most: float) -> None:
    model = UpscaleModel.from_descriptor(compact())
    batch = np.random.default_rng(3).random((2, 20, 24, 3), dtype=np.float32)
    full = TorchBackend(model, CPU, "fp32").run(batch)
    half = TorchBackend(model, CPU, precision).run(batch)
    assert half.dtype == np.float32
    assert 0 < np.abs(half - full).max() < most


def test_the_cpu_computes_in_full_precision_unless_told() -> None:
    model, batch = UpscaleModel.from_descriptor(compact()), np.random.default_rng(3).random((1, 20, 24, 3), dtype=np.float32)
    auto = resolve_precision("auto", model, CPU)
    np.testing.assert_array_equal(TorchBackend(model, CPU, auto).run(batch), TorchBackend(model, CPU, "fp32").run(batch))


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_precision_that_the_model_is_not_safe_in_is_refused(precision: Any) -> None:
    with pytest.raises(WorkflowError, match=precision) as caught:
        TorchBackend(UpscaleModel.from_descriptor(compact(half=False)), CPU, precision)
    assert "fp32" in caught.value.hint


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
    ],
)
def test_every_lack_of_memory_is_one_error(error: Exception) -> None:
    descriptor = compact()

    class Full(Gain):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise error

    descriptor = described(Full(1))
    with pytest.raises(OutOfMemory, match="tile of 5x4 pixels does not fit in the memory of cpu") as caught:
        run(TorchBackend(UpscaleModel.from_descriptor(descriptor), CPU, "fp32"), 0.5)
    assert caught.value.__cause__ is error
    assert (caught.value.device, caught.value.tile) == ("cpu", 5)


def test_torchs_own_lack_of_memory_is_recognised() -> None:
    """The sentence that the CPU's allocator really says."""

    class Greedy(Gain):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.empty(1 << 50)

    with pytest.raises(OutOfMemory):
        run(TorchBackend(UpscaleModel.from_descriptor(described(Greedy(1))), CPU, "fp32"), 0.5)


def test_a_recording_is_dropped_before_memory_is_freed_for_smaller_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps the memory of all its layers, and smaller tiles would run beside it."""

    def fail(tiles: torch.Tensor) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    backend, done = TorchBackend(UpscaleModel.from_descriptor(described(Gain(1))), CPU, "fp32"), list[str]()
    backend._graph_runner = cast("Any", SimpleNamespace(close=lambda: done.append("graph closed")))
    backend._run_network = fail
    monkeypatch.setattr(memory, "release_memory", lambda device: done.append("memory freed"))
    with pytest.raises(OutOfMemory):
        run(backend, 0.5)
    assert done[0] == "graph closed"
    assert "memory freed" in done


def test_any_other_failure_of_a_network_stays_what_it_is() -> None:
    class Wrong(Gain):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("the shapes do not match")

    with pytest.raises(RuntimeError, match="the shapes do not match"):
        run(TorchBackend(UpscaleModel.from_descriptor(described(Wrong(1))), CPU, "fp32"), 0.5)


@pytest.mark.skipif(not NO_GPU, reason="there is an NVIDIA GPU here")
@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_a_device_that_is_not_here_is_an_error_with_the_way_out(backend: str) -> None:
    with pytest.raises(HardwareMissing, match="cuda was requested") as caught:
        resolve_settings(UpscaleModel.from_descriptor(compact()), TiledUpscaleSettings("8K", "cuda", backend=backend))
    assert "--device cpu" in caught.value.hint


def test_a_backend_that_does_not_exist_is_refused() -> None:
    with pytest.raises(WorkflowError, match="no backend called 'onyx'") as caught:
        open_backend("onyx", UpscaleModel.from_descriptor(compact()), CPU, "fp32")
    assert "torch" in caught.value.hint


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_model_on_the_wire_is_left_as_it_was(precision: Any) -> None:
    descriptor = compact()
    descriptor.model.train()
    weight = next(parameter for parameter in descriptor.model.parameters() if parameter.dim() == 4)
    before = weight.detach().clone()
    backend = TorchBackend(UpscaleModel.from_descriptor(descriptor), CPU, precision)
    run(backend, 0.5)
    backend.close()
    assert descriptor.model.training
    assert weight.requires_grad
    assert weight.grad is None
    assert weight.dtype == torch.float32
    assert weight.is_contiguous()
    assert torch.equal(weight, before)
    assert not any(module._forward_hooks for module in descriptor.model.modules())


def test_comfyuis_memory_manager_is_not_copied() -> None:
    class Patcher:
        def __deepcopy__(self, memo: object) -> "Patcher":
            raise AssertionError("copied")

    descriptor = compact()
    descriptor.patcher = patcher = Patcher()  # type: ignore[attr-defined]
    run(TorchBackend(UpscaleModel.from_descriptor(descriptor), CPU, "fp32"), 0.5)
    assert descriptor.patcher is patcher  # type: ignore[attr-defined]


def test_a_closed_backend_holds_no_weights() -> None:
    import gc
    import weakref

    backend = TorchBackend(UpscaleModel.from_descriptor(compact()), CPU, "fp16")
    kept = weakref.ref(backend._net.model)
    backend.close()
    gc.collect()
    assert kept() is None


def tiled(model: UpscaleModel, pixels: np.ndarray, tiling: Tiling) -> np.ndarray:
    height, width, channels = pixels.shape
    steps = plan_scale(Size(width, height), model.scale, "model scale")
    out = np.zeros((steps.final_size.height, steps.final_size.width, channels), np.float32)
    upscale_image(pixels, model, TorchBackend(model, CPU, "fp32"), tiling, steps, out=out, progress=SilentProgress())
    return out


def untiled(model: UpscaleModel, pixels: np.ndarray) -> np.ndarray:
    return TorchBackend(model, CPU, "fp32").run(pixels[None])[0]


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((first.astype(np.float64) - second) ** 2) + 1e-20))


@pytest.fixture(scope="module")
def dat(dat_folder: Path) -> UpscaleModel:
    return UpscaleModel.from_descriptor(load_model(find_model("DAT_light_x2.pth", [dat_folder])))


def test_a_transformer_is_cut_on_its_grid_and_shows_no_seam(dat: UpscaleModel, photograph: np.ndarray) -> None:
    pixels = photograph[76:108, 140:332]
    tiling = choose_tiling(dat, TileBudget(10**9, Footprint(10_000)), tile=96)
    assert (tiling.tile, tiling.align, tiling.merge) == (96, 32, "half-sine")
    assert tiling.aligned_halo == tiling.halo == 64
    whole, cut = untiled(dat, pixels), tiled(dat, pixels, tiling)
    zone = slice((96 - 32) * 2, (96 + 32) * 2)
    assert psnr(cut[:, zone], whole[:, zone]) >= 50


@pytest.fixture(scope="module")
def swinir() -> UpscaleModel:
    torch.manual_seed(8)
    net = SwinIR(
        img_size=64,
        window_size=8,
        depths=[2, 2],
        embed_dim=12,
        num_heads=[2, 2],
        mlp_ratio=2,
        upscale=2,
        upsampler="pixelshuffledirect",
    )
    return UpscaleModel.from_descriptor(recognised(net))


@pytest.mark.parametrize(("height", "width"), [(64, 128), (61, 131), (9, 121)])
def test_swinir_at_its_exact_halo_is_the_untiled_image(
    height: int, width: int, swinir: UpscaleModel, photograph: np.ndarray
) -> None:
    pixels = photograph[200 : 200 + height, 100 : 100 + width]
    assert swinir.exact_halo is not None
    np.testing.assert_allclose(
        tiled(swinir, pixels, Tiling(40, swinir.exact_halo, align=swinir.window)), untiled(swinir, pixels), atol=2e-6
    )


@pytest.mark.parametrize(("height", "width"), [(64, 96), (51, 101), (7, 95)])
def test_a_network_with_pixel_unshuffle_is_exact_on_odd_sizes_too(height: int, width: int, photograph: np.ndarray) -> None:
    """As RealESRGAN x2plus is built, with fewer blocks: it looks at blocks of 2 x 2 pixels."""
    torch.manual_seed(8)
    net = ESRGAN(in_nc=12, num_blocks=1, num_filters=8, scale=4, shuffle_factor=2)
    model = UpscaleModel.from_descriptor(recognised(net))
    assert model.exact_halo is not None
    pixels = photograph[200 : 200 + height, 100 : 100 + width]
    whole = untiled(model, pixels)
    assert whole.shape == (2 * height, 2 * width, 3)
    tiling = choose_tiling(model, TileBudget(10**9, Footprint(1000)), tile=33, halo=model.exact_halo)
    np.testing.assert_allclose(tiled(model, pixels, tiling), whole, atol=1e-6)
