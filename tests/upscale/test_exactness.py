"""The promise: a tiled image is the untiled image. With real weights, against one pass of the same backend."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.upscale.backends.torch import TorchBackend
from upscale8k.runtime.upscale.target_size import plan_scale
from upscale8k.runtime.upscale.tile_loop import upscale_image
from upscale8k.runtime.upscale.tiles import Tiling

CPU = torch.device("cpu")


def upscaled(descriptor: Any, pixels: np.ndarray, tiling: Tiling, target: str = "model scale") -> np.ndarray:
    model = UpscaleModel.from_descriptor(descriptor)
    height, width, channels = pixels.shape
    steps = plan_scale(Size(width, height), model.scale, target)
    out = np.zeros((steps.final_size.height, steps.final_size.width, channels), np.float32)
    backend = TorchBackend(model, CPU, "fp32")
    upscale_image(pixels, model, backend, tiling, steps, out=out, progress=SilentProgress())
    return out


def untiled(descriptor: Any, pixels: np.ndarray) -> np.ndarray:
    """One call of spandrel's own, in the backend's memory layout."""
    backend = TorchBackend(UpscaleModel.from_descriptor(descriptor), CPU, "fp32")
    return backend.run(pixels[None])[0]


def bytes_of(pixels: np.ndarray) -> np.ndarray:
    return np.floor(pixels.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((first.astype(np.float64) - second) ** 2) + 1e-20))


@pytest.mark.parametrize("tile", [32, 64, 75, 100, 160])
def test_animevideov3_gives_the_same_bytes_at_any_tile_size(tile: int, weights: Callable, photograph: np.ndarray) -> None:
    crop = photograph[100:300, 120:360]
    model = UpscaleModel.from_descriptor(weights("realesr-animevideov3"))
    tiled = upscaled(model.descriptor, crop, Tiling(tile, model.halo))
    np.testing.assert_array_equal(bytes_of(tiled), bytes_of(untiled(model.descriptor, crop)))


def test_a_halo_one_pixel_narrower_is_not_exact(weights: Callable, photograph: np.ndarray) -> None:
    crop = photograph[100:194, 120:246]  # two tiles of 80 columns share 34, twice 17, and not one more
    descriptor = weights("realesr-animevideov3")
    reach = UpscaleModel.from_descriptor(descriptor).exact_halo
    assert reach == 18
    assert not np.array_equal(upscaled(descriptor, crop, Tiling(64, reach - 1)), untiled(descriptor, crop))


@pytest.mark.parametrize(
    ("name", "crop", "tile", "least_db", "most_steps"),
    [
        ("realesrgan-x4plus-anime", (slice(180, 276), slice(100, 340)), 120, 75.0, 1),
        ("realesrgan-x4plus", (slice(180, 260), slice(80, 368)), 144, 65.0, 1),
    ],
)
def test_the_default_halo_leaves_no_seam(
    name: str, crop: tuple[slice, slice], tile: int, least_db: float, most_steps: int, weights: Callable, photograph: np.ndarray
) -> None:
    model = UpscaleModel.from_descriptor(weights(name))
    pixels = photograph[crop]
    tiled, whole = upscaled(model.descriptor, pixels, Tiling(tile, model.halo)), untiled(model.descriptor, pixels)
    cut = tile * model.scale  # two even tiles side by side
    zone = slice(cut - model.halo * model.scale, cut + model.halo * model.scale)
    assert psnr(tiled[:, zone], whole[:, zone]) >= least_db
    assert np.abs(bytes_of(tiled).astype(int) - bytes_of(whole)).max() <= most_steps


def test_batches_of_tiles_give_the_same_bytes(weights: Callable, photograph: np.ndarray) -> None:
    descriptor, crop = weights("realesr-animevideov3"), photograph[:64, :320]
    np.testing.assert_array_equal(
        bytes_of(upscaled(descriptor, crop, Tiling(64, 18, batch=3))), bytes_of(upscaled(descriptor, crop, Tiling(64, 18)))
    )


def test_an_exact_target_is_the_reduction_of_the_untiled_image(weights: Callable, photograph: np.ndarray) -> None:
    from upscale8k.runtime.upscale.output_buffer import reduce_image

    descriptor, crop = weights("realesr-animevideov3"), photograph[100:180, 100:220]
    expected = np.zeros((200, 300, 3), np.float32)
    reduce_image(untiled(descriptor, crop), expected)
    np.testing.assert_array_equal(upscaled(descriptor, crop, Tiling(50, 18), "2.5x"), expected)


def test_the_value_on_the_wire_is_left_as_it_was(weights: Callable, photograph: np.ndarray) -> None:
    descriptor = weights("realesr-animevideov3")
    image = torch.from_numpy(photograph[:48, :48]).permute(2, 0, 1)[None].contiguous()
    before = descriptor(image)
    upscaled(descriptor, photograph[:48, :48], Tiling(32, 18))
    assert torch.equal(descriptor(image), before)
    weight = next(parameter for parameter in descriptor.model.parameters() if parameter.dim() == 4)
    assert weight.is_contiguous()


def test_our_result_is_realesrgans_own(weights: Callable, photograph: np.ndarray, realesrganer: Any) -> None:
    """RealESRGANer of the package ``realesrgan`` on the same weights, untiled, 8 bit in and out: at most one step apart."""
    descriptor, crop = weights("realesrgan-x4plus-anime"), photograph[150:214, 180:260]
    reference, _ = realesrganer(descriptor).enhance(bytes_of(crop)[:, :, ::-1], outscale=4)
    ours = bytes_of(upscaled(descriptor, crop, Tiling(512, 48)))
    assert np.abs(reference[:, :, ::-1].astype(int) - ours).max() <= 1
