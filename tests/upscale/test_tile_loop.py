"""The loop, with backends that need no weights: what goes in comes out where it belongs, whatever happens on the way."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from upscale8k.runtime.errors import OutOfMemory, UnsupportedModel
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.upscale.backends.base import OnProgress, no_progress
from upscale8k.runtime.upscale.backends.null import NullBackend
from upscale8k.runtime.upscale.bands.band_job import BandEdges, BandJob
from upscale8k.runtime.upscale.resolved_settings import ResolvedSettings, TiledUpscaleSettings
from upscale8k.runtime.upscale.target_size import plan_scale
from upscale8k.runtime.upscale.tile_loop import total_pixels, upscale_image
from upscale8k.runtime.upscale.tiles import Tiling

from ..told import Told

RNG = np.random.default_rng(8)
MODEL = UpscaleModel(
    descriptor=None,  # no backend here looks at it
    scale=4,
    input_channels=3,
    output_channels=3,
    minimum=0,
    multiple=1,
    window=1,
    halo=8,
    exact_halo=8,
    half_safe=True,
    bfloat16_safe=True,
    architecture="test",
    provenance=None,
)


class Smoothing(NullBackend):
    """Repeats pixels of the 5 x 5 mean: a model whose result depends on its surroundings, with a reach of 2 pixels."""

    def run(self, batch: np.ndarray, on_progress: OnProgress = no_progress) -> np.ndarray:
        padded = np.pad(batch, ((0, 0), (2, 2), (2, 2), (0, 0)))
        height, width = batch.shape[1:3]
        # Summed in integers of 1/255: exact, so that equality can be asked for.
        whole = np.rint(padded * 255)
        total = sum(whole[:, y : y + height, x : x + width] for y in range(5) for x in range(5))
        return super().run((total / (25 * 255)).astype(np.float32))


class Cramped(Smoothing):
    """Fits only so many pixels."""

    def __init__(self, scale: int, most: int) -> None:
        super().__init__(replace(MODEL, scale=scale))
        self.most = most
        self.shapes: list[tuple[int, ...]] = []

    def run(self, batch: np.ndarray, on_progress: OnProgress = no_progress) -> np.ndarray:
        if batch.shape[0] * batch.shape[1] * batch.shape[2] > self.most:
            raise OutOfMemory("too large", device="test", tile=batch.shape[1])
        self.shapes.append(batch.shape)
        return super().run(batch, on_progress)


def upscaled(
    pixels: np.ndarray,
    tiling: Tiling,
    target: str = "model scale",
    backend: NullBackend | None = None,
    watch: Told | None = None,
) -> np.ndarray:
    height, width, channels = pixels.shape
    steps = plan_scale(Size(width, height), 4, target)
    out = np.zeros((steps.final_size.height, steps.final_size.width, channels), np.float32)
    upscale_image(pixels, MODEL, backend or Smoothing(MODEL), tiling, steps, out=out, progress=watch or Told())
    return out


def image(height: int, width: int, channels: int = 3) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, channels)).astype(np.float32) / 255


IMAGE = image(50, 70)


@pytest.mark.parametrize(
    ("tile", "target"),
    [*((tile, "model scale") for tile in (1, 7, 33, 64, 200)), (16, "2x"), (33, "2x"), (33, "8x"), (64, "8x")],
)
def test_tiles_of_any_size_make_the_same_image_to_the_last_bit(tile: int, target: str) -> None:
    np.testing.assert_array_equal(upscaled(IMAGE, Tiling(tile, 4), target), upscaled(IMAGE, Tiling(1000, 4), target))


def test_a_halo_that_is_too_narrow_would_show() -> None:
    assert not np.array_equal(upscaled(IMAGE, Tiling(16, 1)), upscaled(IMAGE, Tiling(1000, 1)))


def test_a_cross_fade_of_agreeing_tiles_is_the_untiled_image() -> None:
    faded = upscaled(IMAGE, Tiling(32, 8, merge="half-sine"))
    np.testing.assert_allclose(faded, upscaled(IMAGE, Tiling(1000, 8)), atol=2e-7)


def test_a_cross_fade_hides_what_a_narrow_halo_leaves() -> None:
    flat = np.full((64, 100, 3), 0.5, np.float32)

    class Tilted(NullBackend):
        """Gives every tile a brightness of its own."""

        calls = 0

        def run(self, batch: np.ndarray, part: OnProgress = no_progress) -> np.ndarray:
            self.calls += 1
            return super().run(batch, part) + np.float32(0.01 * (self.calls % 2))

    def step(tiling: Tiling) -> float:
        return float(np.abs(np.diff(upscaled(flat, tiling, backend=Tilted(MODEL)), axis=1)).max())

    assert step(Tiling(32, 16)) == pytest.approx(0.01, rel=1e-3)
    assert step(Tiling(32, 16, merge="half-sine")) < 0.001


def test_batches_change_nothing() -> None:
    np.testing.assert_array_equal(upscaled(IMAGE, Tiling(16, 4, batch=5)), upscaled(IMAGE, Tiling(16, 4)))


@pytest.mark.parametrize("most", [50 * 60, 45 * 45, 40 * 40])
def test_out_of_memory_goes_on_with_smaller_tiles_and_keeps_what_is_done(most: int) -> None:
    backend, watch = Cramped(4, most), Told()
    result = upscaled(IMAGE, Tiling(80, 4, batch=2), backend=backend, watch=watch)
    np.testing.assert_array_equal(result, upscaled(IMAGE, Tiling(1000, 4)))
    assert watch.done == 50 * 70  # nothing was counted twice
    assert watch.sentences
    assert all("Out of memory" in sentence for sentence in watch.sentences)


def test_out_of_memory_in_the_middle_of_a_row_keeps_the_cross_fade_exact() -> None:
    class Later(Cramped):
        """Has memory for four tiles of the first size, then for none."""

        def run(self, batch: np.ndarray, part: OnProgress = no_progress) -> np.ndarray:
            self.most = 10**6 if len(self.shapes) < 4 else 50 * 50
            return super().run(batch, part)

    wide = image(150, 300)
    result = upscaled(wide, Tiling(64, 8, merge="half-sine"), backend=Later(4, 0))
    np.testing.assert_allclose(result, upscaled(wide, Tiling(1000, 8)), atol=3e-7)


def test_out_of_memory_with_the_smallest_tile_is_an_error() -> None:
    with pytest.raises(OutOfMemory):
        upscaled(IMAGE, Tiling(64, 4), backend=Cramped(4, 100))


def test_grey_stays_grey() -> None:
    grey = image(40, 50, 1)
    color = upscaled(np.repeat(grey, 3, 2), Tiling(16, 4))
    np.testing.assert_allclose(upscaled(grey, Tiling(16, 4))[:, :, 0], color[:, :, 1], atol=1e-7)


@pytest.mark.parametrize("channels", [2, 4])
def test_opaque_pixels_look_as_if_there_were_no_alpha(channels: int) -> None:
    pixels = image(40, 50, channels)
    pixels[:, :, -1] = 1
    result = upscaled(pixels, Tiling(16, 4))
    np.testing.assert_array_equal(result[:, :, -1], 1)
    np.testing.assert_array_equal(result[:, :, :-1], upscaled(pixels[:, :, :-1], Tiling(16, 4)))


def test_black_under_transparent_pixels_never_bleeds_into_what_shows() -> None:
    pixels = np.zeros((40, 60, 4), np.float32)
    pixels[:, :30] = (0.8, 0.4, 0.2, 1)  # the right half is transparent black
    result = upscaled(pixels, Tiling(16, 4))
    inside = slice(8, -8)  # this model darkens the rim of any image, as zero padding does
    np.testing.assert_allclose(result[inside, 8:120, :3], np.broadcast_to([0.8, 0.4, 0.2], (144, 112, 3)), atol=3e-3)


def test_alpha_neither_rings_nor_drifts_away_from_an_edge() -> None:
    pixels = np.ones((40, 60, 4), np.float32)
    pixels[:, 30:, 3] = 0
    alpha = upscaled(pixels, Tiling(16, 4))[:, :, 3]
    assert (alpha[:, : 29 * 4] == 1).all()
    assert (alpha[:, 31 * 4 :] == 0).all()


def test_progress_adds_up_to_the_work_that_was_announced() -> None:
    for channels, target in ((3, "model scale"), (4, "model scale"), (3, "16x"), (1, "2x")):
        watch, pixels = Told(), image(20, 30, channels)
        upscaled(pixels, Tiling(16, 4), target, watch=watch)
        assert watch.done == total_pixels(Size(30, 20), channels, plan_scale(Size(30, 20), 4, target), 4)


def test_a_source_that_is_larger_is_reduced_and_says_so() -> None:
    watch = Told()
    result = upscaled(image(60, 80), Tiling(16, 4), "40x40", watch=watch)
    assert result.shape == (30, 40, 3)
    assert "is reduced to 40x30" in watch.sentences[0]


def test_a_model_for_grey_images_is_refused() -> None:
    grey_model = replace(MODEL, input_channels=1, output_channels=1)
    steps = plan_scale(Size(8, 8), 4, "model scale")
    out = np.zeros((32, 32, 3), np.float32)
    with pytest.raises(UnsupportedModel, match="takes 1 and gives 1 channels"):
        upscale_image(image(8, 8), grey_model, NullBackend(grey_model), Tiling(8, 0), steps, out=out, progress=Told())


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize(("target", "count"), [("model scale", 4), ("2x", 3), ("3.3x", 99), ("1.1x", 99), ("280x199", 2)])
def test_bands_made_alone_in_any_order_are_the_image_to_the_last_bit(target: str, count: int, linear: bool) -> None:
    pixels = image(150, 40)
    tiling = Tiling(32, 4)
    plan = plan_scale(Size(40, 150), 4, target)
    expected = np.zeros((plan.final_size.height, plan.final_size.width, 3), np.float32)
    upscale_image(pixels, MODEL, Smoothing(MODEL), tiling, plan, out=expected, progress=Told(), linear=linear)
    resolved = ResolvedSettings(torch.device("cpu"), "null", "fp32", tiling)
    job = BandJob(pixels, MODEL, TiledUpscaleSettings(target, "cpu", linear=linear), resolved, plan)
    bands = job.cut(count)
    assert len(bands) >= min(count, 5)
    out = np.full_like(expected, np.nan)
    edges: dict[int, BandEdges] = {}

    def write(first: int, rows: np.ndarray) -> None:
        assert np.isnan(out[first : first + len(rows)]).all()  # no row is made twice
        out[first : first + len(rows)] = rows

    for number in reversed(range(len(bands))):
        edges[number] = job.upscale(Smoothing(MODEL), bands[number], write, Told())
    job.join(bands, [edges[number] for number in range(len(bands))], write)
    np.testing.assert_array_equal(out, expected)


def test_a_band_that_runs_out_of_memory_stays_within_its_rows() -> None:
    pixels = image(96, 40)
    plan = plan_scale(Size(40, 96), 4, "2x")
    resolved = ResolvedSettings(torch.device("cpu"), "null", "fp32", Tiling(48, 4))
    job = BandJob(pixels, MODEL, TiledUpscaleSettings("2x", "cpu"), resolved, plan)
    rows: list[int] = []
    for band in job.cut(2):
        job.upscale(Cramped(4, 44 * 44), band, lambda first, made: rows.extend(range(first, first + len(made))), Told())
    assert sorted(set(rows)) == sorted(rows)
    assert set(range(192)) - set(rows) == set(range(93, 99))
