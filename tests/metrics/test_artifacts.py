"""Artifacts of a known amount, put into images on purpose and read back."""

from __future__ import annotations

import json
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from upscale8k.runtime.errors import WorkflowError
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.metrics.artifact_measures.banding import measure_banding
from upscale8k.runtime.metrics.artifact_measures.consistency import IDENTICAL_DB, measure_consistency
from upscale8k.runtime.metrics.artifact_measures.enlargement import Enlargement
from upscale8k.runtime.metrics.artifact_measures.noise import measure_noise
from upscale8k.runtime.metrics.artifact_measures.ringing import measure_ringing
from upscale8k.runtime.metrics.artifact_measures.seams import measure_seams
from upscale8k.runtime.metrics.artifact_measures.spectrum import measure_spectrum
from upscale8k.runtime.metrics.artifacts import measure_artifacts
from upscale8k.runtime.metrics.batch_metrics import draw_fault_maps, measure_artifact_report
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.report.model_runs import enlarge_with_baseline
from upscale8k.runtime.upscale.tiles import Tiling, plan_tiles

RNG = np.random.default_rng(7)
STEP = np.float32(1 / 255)


def grey(plane: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(plane[:, :, None], np.float32)


def repeated(image: np.ndarray, factor: int = 4) -> np.ndarray:
    return image.repeat(factor, 0).repeat(factor, 1)


def enlarged(image: np.ndarray, method: Any, factor: int = 4) -> np.ndarray:
    """By Pillow, which rounds nothing here: planes of float32."""
    size = (image.shape[1] * factor, image.shape[0] * factor)
    planes = [np.asarray(Image.fromarray(plane).resize(size, method)) for plane in np.moveaxis(image, 2, 0)]
    return np.clip(np.stack(planes, axis=2), 0, 1)


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    """(192, 192, 3) float32."""
    return data.astronaut()[30:222, 120:312].astype(np.float32) / 255


@pytest.fixture(scope="module")
def bars() -> np.ndarray:
    """Upright edges of 100 steps, far apart."""
    return grey(np.where(np.arange(120) // 30 % 2, 175, 75)[None].repeat(60, 0) * STEP)


def ramp(height: int, width: int, low: float, high: float) -> np.ndarray:
    return grey(np.linspace(low, high, width)[None].repeat(height, 0) * STEP)


@pytest.mark.parametrize("height", [5.0, 10.0, 20.0])
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_an_injected_halo_is_read_back(bars: np.ndarray, height: float, factor: int) -> None:
    image = repeated(bars, factor)
    bright = image > 0.5
    for side in (bright, ~bright):  # a stripe along the edge, brighter on the bright side and darker on the dark one
        near = cv2.dilate((~side).astype(np.uint8), np.ones((1, 4 * factor + 1), np.uint8))[:, :, None] > 0
        image[side & near] += (height if side is bright else -height) * STEP
    halo = measure_ringing(Enlargement.from_images(bars, image))
    assert halo
    assert halo.height == pytest.approx(height, rel=0.02)
    assert halo.relative == pytest.approx(height / 100, rel=0.02)


def test_repeated_and_linear_pixels_have_no_halo_and_sharper_kernels_have_more(photograph: np.ndarray) -> None:
    methods = (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
    found = [measure_ringing(Enlargement.from_images(photograph, enlarged(photograph, method))) for method in methods]
    nearest, linear, cubic, lanczos = (halo.height if halo else -1 for halo in found)
    assert nearest == pytest.approx(0, abs=1e-3)
    assert linear == pytest.approx(0, abs=1e-3)
    assert 1 < cubic < lanczos


def test_halos_grow_with_sharpening(photograph: np.ndarray) -> None:
    cubic = enlarged(photograph, Image.Resampling.BICUBIC)
    unsharp = cubic - cv2.GaussianBlur(cubic, (0, 0), 4)
    found = [
        measure_ringing(Enlargement.from_images(photograph, np.clip(cubic + amount * unsharp, 0, 1)))
        for amount in (0, 0.5, 1, 2)
    ]
    heights = [halo.height if halo else -1 for halo in found]
    assert heights == sorted(heights)
    assert heights[-1] > 3 * heights[0]


def test_where_there_is_no_edge_there_is_no_halo() -> None:
    assert measure_ringing(Enlargement.from_images(ramp(40, 60, 50, 100), ramp(160, 240, 50, 100))) is None


@pytest.mark.parametrize("sigma", [1.0, 4.0, 12.0])
def test_an_error_below_the_references_resolution_is_read_back(sigma: float) -> None:
    reference = np.full((100, 120, 3), 0.5, np.float32)
    error = RNG.normal(0, sigma / 255, reference.shape).astype(np.float32)
    consistency = measure_consistency(Enlargement.from_images(reference, repeated(reference + error)).pair)
    assert consistency.rmse == pytest.approx(float(np.sqrt(np.mean(error**2))) * 255, rel=1e-3)
    assert consistency.psnr_db == pytest.approx(20 * np.log10(255 / consistency.rmse))


def test_detail_above_the_references_resolution_is_consistent() -> None:
    reference = np.full((32, 32, 3), 0.5, np.float32)
    assert measure_consistency(Enlargement.from_images(reference, repeated(reference)).pair).psnr_db == IDENTICAL_DB


@pytest.mark.parametrize("amplitude", [2.0, 10.0])
@pytest.mark.parametrize(("periods", "low"), [(24, 1 / 8), (48, 1 / 4), (96, 1 / 2), (192, 1), (384, 2)])
def test_a_wave_appears_in_its_band_with_its_strength(periods: int, low: float, amplitude: float) -> None:
    # 256 pixels of reference hold 128 periods at its Nyquist frequency.
    reference = np.full((256, 256, 1), 0.5, np.float32)
    wave = amplitude * STEP * np.sin(2 * np.pi * periods * (np.arange(1024) + 0.5) / 1024)
    spectrum = measure_spectrum(Enlargement.from_images(reference, repeated(reference) + grey(wave[None].repeat(1024, 0))))
    found = {band.low: band.image for band in spectrum.bands}
    assert found[low] == pytest.approx(amplitude / np.sqrt(2), rel=0.02)
    assert sum(value for band, value in found.items() if band != low) < 0.02 * amplitude
    assert spectrum.invented == pytest.approx(amplitude / np.sqrt(2) if low >= 1 else 0, abs=0.03 * amplitude)


@pytest.mark.parametrize("gain", [0.5, 1.0, 1.5])
def test_the_gain_of_fine_detail_is_read_back(gain: float) -> None:
    pattern = RNG.normal(0, 0.1, (256, 256))
    spectrum = np.fft.rfft2(pattern)
    across, down = np.meshgrid(np.fft.rfftfreq(256), np.abs(np.fft.fftfreq(256)))
    ring = np.maximum(across, down)
    fine = (ring > 0.25) & (ring < 0.5)
    planes = [np.fft.irfft2(np.where(fine, spectrum * factor, spectrum)) for factor in (1, gain)]
    reference, image = (grey(np.clip(0.5 + plane * 0.5, 0, 1)) for plane in planes)
    sharpening = measure_spectrum(Enlargement.from_images(reference, image)).sharpening_db
    assert sharpening == pytest.approx(20 * np.log10(gain), abs=0.3)


@pytest.mark.parametrize("sigma", [0.0, 1.0, 3.0, 8.0])
def test_noise_in_flat_areas_is_read_back(sigma: float) -> None:
    reference = ramp(100, 150, 60, 160)
    image = ramp(400, 600, 60, 160) + RNG.normal(0, sigma / 255, (400, 600, 1)).astype(np.float32)
    noise = measure_noise(Enlargement.from_images(reference, image))
    assert noise
    assert noise.image == pytest.approx(sigma, rel=0.02, abs=0.02)
    assert noise.reference < 0.02
    assert noise.flat_share > 0.9


def test_texture_is_not_flat() -> None:
    texture = RNG.random((64, 64, 1), dtype=np.float32)
    assert measure_noise(Enlargement.from_images(texture, repeated(texture))) is None


@pytest.mark.parametrize("step", [1.0, 2.0, 4.0, 8.0])
@pytest.mark.parametrize("upright", [True, False])
def test_the_height_of_bands_is_read_back(step: float, upright: bool) -> None:
    reference, smooth = ramp(128, 256, 60, 100), ramp(512, 1024, 60, 100)
    image = np.round(smooth * (255 / step)) * np.float32(step) * STEP
    if not upright:
        reference, image = (np.ascontiguousarray(plane.swapaxes(0, 1)) for plane in (reference, image))
    banding = measure_banding(Enlargement.from_images(reference, image))
    assert banding
    assert banding.step == pytest.approx(step, rel=0.02)
    assert banding.share > min(0.9, 1.8 / step)  # 64 pixels of this ramp rise by 2.5: not every window holds a step


def test_a_ramp_noise_and_a_line_of_the_source_are_no_bands() -> None:
    reference, smooth = ramp(128, 256, 60, 100), ramp(512, 1024, 60, 100)
    line = reference.copy()
    line[:, 100:] += 10 * STEP
    noisy = np.clip(smooth + RNG.normal(0, 2 / 255, smooth.shape), 0, 1).astype(np.float32)
    for first, second in ((reference, smooth), (reference, noisy), (line, repeated(line)), (line, line)):
        banding = measure_banding(Enlargement.from_images(first, second))
        assert banding
        assert banding.share == 0


@pytest.mark.parametrize("height", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("texture", [0.0, 2.0])
def test_an_injected_seam_is_read_back(height: float, texture: float) -> None:
    reference = ramp(256, 256, 60, 160)
    image = ramp(1024, 1024, 60, 160) + (cv2.GaussianBlur(RNG.normal(0, 1, (1024, 1024)), (0, 0), 2) * 7 * texture * STEP)[
        :, :, None
    ].astype(np.float32)
    tiles = np.indices((4, 4)).sum(axis=0) % 2 * height * STEP  # a chessboard of tiles, 64 pixels of the reference wide
    image += grey(tiles.repeat(256, 0).repeat(256, 1))
    seams = measure_seams(Enlargement.from_images(reference, image), 64)
    assert seams
    assert seams.height == pytest.approx(height, rel=0.1)
    assert seams.ratio > 2
    assert seams.cuts == 6


def test_a_seam_is_looked_for_where_tiles_with_a_halo_meet() -> None:
    """Uneven cores: the tiles at the border are wider by the halo."""
    reference, image = ramp(240, 400, 60, 160), ramp(960, 1600, 60, 160)
    tiles = plan_tiles(Size(400, 240), Tiling(96, 16))
    down, across = (sorted(set(firsts)) for firsts in ((tile.core.y for tile in tiles), (tile.core.x for tile in tiles)))
    for tile in tiles:
        core = tile.core * 4
        image[core.rows, core.columns] += (down.index(tile.core.y) + across.index(tile.core.x)) % 2 * STEP
    seams = measure_seams(Enlargement.from_images(reference, image), 96, 16)
    assert seams
    assert seams.height == pytest.approx(1, rel=0.1)
    without = measure_seams(Enlargement.from_images(reference, image), 96)
    assert without
    assert without.height < 0.5


def test_an_image_without_seams_has_none(photograph: np.ndarray) -> None:
    for method in (Image.Resampling.NEAREST, Image.Resampling.BICUBIC):
        seams = measure_seams(Enlargement.from_images(photograph, enlarged(photograph, method)), 48)
        assert seams
        assert seams.ratio < 1.5
    assert measure_seams(Enlargement.from_images(photograph, photograph), 192) is None


def test_seams_grow_with_their_height(photograph: np.ndarray) -> None:
    cubic = enlarged(photograph, Image.Resampling.BICUBIC) * np.float32(0.9)
    tiles = (np.indices((3, 3)).sum(axis=0) % 2).repeat(256, 0).repeat(256, 1)[:, :, None] * STEP
    found = [
        measure_seams(Enlargement.from_images(photograph, (cubic + height * tiles).astype(np.float32)), 64)
        for height in (0, 1, 2, 4)
    ]
    heights = [seams.height if seams else -1 for seams in found]
    assert heights == sorted(heights)
    assert heights[-1] == pytest.approx(4, rel=0.1)


DAMAGES = {
    "Ringing": lambda cubic: cubic + 2 * (cubic - cv2.GaussianBlur(cubic, (0, 0), 4)),
    "Oversharpened": lambda cubic: cubic + 2 * (cubic - cv2.GaussianBlur(cubic, (0, 0), 4)),
    "Soft": lambda cubic: cv2.GaussianBlur(cubic, (0, 0), 4),
    "Differs from the source": lambda cubic: np.roll(cubic, 6, axis=1),
    "Noise": lambda cubic: cubic + RNG.normal(0, 6 / 255, cubic.shape),
    "Seams": lambda cubic: cubic + (np.indices((3, 3)).sum(axis=0) % 2).repeat(256, 0).repeat(256, 1)[:, :, None] * 3 / 255,
}


@pytest.mark.parametrize("word", DAMAGES)
def test_what_was_done_to_an_image_is_said_of_it(word: str, photograph: np.ndarray) -> None:
    cubic = enlarged(photograph, Image.Resampling.BICUBIC)
    damaged = np.clip(DAMAGES[word](cubic), 0, 1).astype(np.float32)
    sentences = measure_artifacts(photograph, damaged, 64).sentences
    assert any(sentence.startswith(word) for sentence in sentences)
    assert not any(sentence.startswith(word) for sentence in measure_artifacts(photograph, cubic, 64).sentences)


@pytest.mark.parametrize(("pitch", "phase"), [(200, (0, 0)), (256, (70, 130)), (308, (11, 255))])
def test_seams_of_any_tiler_are_found_where_they_are(pitch: int, phase: tuple[int, int], photograph: np.ndarray) -> None:
    """Foreign grids with unknown phases: no tile is given."""
    cubic = enlarged(photograph, Image.Resampling.BICUBIC)
    rows, columns = ((np.arange(length) + start) // pitch for length, start in zip(cubic.shape[:2], phase, strict=True))
    board = ((rows[:, None] + columns) % 2)[:, :, None] * 3 * STEP
    seams = measure_artifacts(photograph, np.clip(cubic + board, 0, 1).astype(np.float32)).seams
    assert seams
    assert seams.height == pytest.approx(3, rel=0.2)
    for found, tiles in ((seams.columns, columns), (seams.rows, rows)):
        true = (np.flatnonzero(np.diff(tiles)) + 1) / 4
        assert found
        assert all(np.abs(true - line).min() <= 1.5 for line in found)
    assert measure_artifacts(photograph, cubic).seams is None


@pytest.mark.parametrize(
    ("kind", "word", "strength"), [("grain", "Grain or invented texture (hallucination)", 10.0), ("cast", "Color cast", 11.0)]
)
def test_a_fault_of_a_part_is_named_with_its_place(kind: str, word: str, strength: float) -> None:
    photograph = data.coffee()[100:292, 100:292].astype(np.float32) / 255
    cubic = enlarged(photograph, Image.Resampling.BICUBIC)
    damaged = cubic.copy()
    part = damaged[:256, :256]
    part += RNG.normal(0, 10 * STEP, part.shape[:2])[:, :, None] if kind == "grain" else np.array([0, 12, -12]) * STEP
    found = measure_artifacts(photograph, np.clip(damaged, 0, 1))
    (fault,) = [one for one in found.local if one.kind == kind]
    x, y, right, bottom = (edge * 4 for edge in (fault.region.x, fault.region.y, fault.region.right, fault.region.bottom))
    shared = max(min(right, 256) - x, 0) * max(min(bottom, 256) - y, 0)
    assert shared / ((right - x) * (bottom - y) + 256 * 256 - shared) > 0.6
    assert fault.strength == pytest.approx(strength, rel=0.6)
    assert any(sentence.startswith(word) and "of the source" in sentence for sentence in found.sentences)
    assert not measure_artifacts(photograph, cubic).local


def test_a_map_has_a_named_frame_around_each_fault_and_is_large_enough_to_read() -> None:
    photograph = data.coffee()[100:196, 100:228].astype(np.float32) / 255
    damaged = enlarged(photograph, Image.Resampling.BICUBIC)
    damaged[192:, 256:] += np.array([0, 12, -12]) * STEP
    pair = [torch.as_tensor(np.clip(one, 0, 1))[None] for one in (photograph, damaged)]
    _, report, _ = measure_artifact_report(*pair, 0, 0, "", lambda *_: SilentProgress())
    (cast,) = [one for one in json.loads(report)[0]["findings"] if one["sentence"].startswith("Color cast")]
    (shown,) = draw_fault_maps(*pair, report)
    assert shown.shape[1] == 512
    left, top = 4 * cast["region"]["x"], 4 * cast["region"]["y"]
    right, bottom = left + 4 * cast["region"]["width"] - 1, top + 4 * cast["region"]["height"] - 1
    assert (shown[top, left : right + 1] == 255).all()
    assert (shown[top : bottom + 1, right] == 255).all()
    assert (shown[top + 4 : top + 20, left + 4 : left + 80] >= 200).all(2).sum() > 50, "its name"


def test_a_perfect_result_passes() -> None:
    """True originals against their own reduction, which the report used to call halos and sharpening."""
    from upscale8k.runtime.metrics.degradation import Degradation

    for name in ("astronaut", "coffee", "chelsea", "grass"):
        image = np.asarray(getattr(data, name)(), np.float32) / 255
        original = np.repeat(image[:256, :256, None], 3, 2) if image.ndim == 2 else np.ascontiguousarray(image[:256, :256])
        (sentence,) = measure_artifacts(Degradation().reduce(original, 4), original).sentences
        assert sentence.startswith("No visible ringing"), (name, sentence)


@pytest.mark.parametrize("method", ["BOX", "BICUBIC", "LANCZOS"])
def test_a_perfect_result_passes_however_its_source_was_reduced(method: str) -> None:
    """As editors reduce, on encoded values and to 8 bits: every edge differs from the reduction by area, as with a halo."""
    for name in ("astronaut", "coffee"):
        original = getattr(data, name)()[:384, :384]
        source = np.asarray(Image.fromarray(original).resize((96, 96), Image.Resampling[method]), np.float32) / 255
        found = measure_artifacts(source, original.astype(np.float32) / 255)
        assert found.sentences[0].startswith("No visible ringing"), (name, found.sentences)
        assert found.consistency.psnr_db > 50  # of rounding to 8 bits


def test_a_halo_of_soft_edges_is_ringing() -> None:
    """A shaded drawing has no edge as steep as 12 steps per pixel of the source."""
    from upscale8k.runtime.metrics.degradation import Degradation

    original = np.repeat(cv2.GaussianBlur(drawn_original("plain")[:, :, :1], (0, 0), 14)[:, :, None], 3, 2)
    haloed = np.clip(original + 3 * (original - cv2.GaussianBlur(original, (0, 0), 8)), 0, 1).astype(np.float32)
    source = Degradation().reduce(original, 4)
    found = measure_artifacts(source, haloed)
    assert any(sentence.startswith("Ringing") for sentence in found.sentences), (found.sentences, found.halo)
    assert measure_artifacts(source, original).sentences[0].startswith("No visible ringing")


def drawn_original(kind: str) -> np.ndarray:
    """(512, 512, 3): a drawing with outlines, grain, texture or bands of its own, all finer than a source can hold."""
    image = np.full((512, 512), 120, np.float64)
    for top in range(40, 480, 100):
        image[top : top + 48, 60:450] = 200
        if kind == "outlines":  # one pixel wide, so the source hardly has it
            image[top + 58, 60:450] = image[top - 10, 60:450] = 100
    if kind == "grain":
        image += RNG.normal(0, 6, image.shape)
    if kind == "texture":
        image[300:450, 100:300] += RNG.choice([-14, 14], (150, 200))
    if kind == "bands":
        image[:] = np.round(np.linspace(100, 130, 512) / 4) * 4
    return np.repeat(np.clip(image, 0, 255)[:, :, None] / 255, 3, 2).astype(np.float32)


@pytest.mark.parametrize("kind", ["outlines", "grain", "texture", "bands"])
def test_what_a_true_original_has_is_no_fault(kind: str) -> None:
    from upscale8k.runtime.metrics.degradation import Degradation

    original = drawn_original(kind)
    (sentence,) = measure_artifacts(Degradation().reduce(original, 4), original).sentences
    assert sentence.startswith("No visible ringing"), sentence


def test_an_echo_at_a_distance_is_ringing() -> None:
    """Three pixels of the source away, on flat ground only, as ringing is described."""
    from upscale8k.runtime.metrics.degradation import Degradation

    original = drawn_original("plain")
    echo = np.roll(original - cv2.GaussianBlur(original, (0, 0), 3), (12, 12), (0, 1))
    found = measure_artifacts(Degradation().reduce(original, 4), np.clip(original + 0.5 * echo, 0, 1))
    assert any(sentence.startswith("Ringing") for sentence in found.sentences)
    assert found.halo
    assert found.halo.relative == pytest.approx(0.25, abs=0.1)


def test_the_report_is_json(photograph: np.ndarray) -> None:
    small = photograph[:40, :40]
    report = json.loads(json.dumps(measure_artifacts(small, repeated(small)).as_dict()))
    assert report["seams"] is None
    assert report["ratio"] == 4
    assert [band["high"] for band in report["spectrum"]["bands"]] == [0.25, 0.5, 1, 2, 4]


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 5)])
@pytest.mark.parametrize("factor", [1, 3])
def test_tiny_images_are_measured_too(size: tuple[int, int], factor: int) -> None:
    tiny = RNG.random((*size, 3), dtype=np.float32)
    found = measure_artifacts(tiny, repeated(tiny, factor), 2)
    assert found.consistency.rmse == pytest.approx(0, abs=1e-3)


def test_sizes_that_are_no_multiple_are_measured(photograph: np.ndarray) -> None:
    size = (427, 427)  # 2.224 times
    planes = [
        np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC)) for plane in np.moveaxis(photograph, 2, 0)
    ]
    found = measure_artifacts(photograph, np.clip(np.stack(planes, axis=2), 0, 1), 50)
    assert found.halo
    assert 0.01 < found.halo.relative < 0.06
    assert found.consistency.psnr_db > 35


def test_a_tile_below_zero_gets_a_sentence(photograph: np.ndarray) -> None:
    with pytest.raises(WorkflowError, match="cannot be negative"):
        measure_artifacts(photograph, photograph, -1)


def test_a_halo_along_a_straight_edge_is_no_seam() -> None:
    """The edge of a rocket and of a flag: the halo shifts whole columns, as tiles would, but by the steps of the source."""
    source = np.ascontiguousarray(data.astronaut()[::2, ::2], np.float32) / 255
    plain = enlarge_with_baseline(source, Size(1024, 1024), "lanczos")
    haloed = np.clip(plain + 2 * (plain - cv2.GaussianBlur(plain, (0, 0), 5)), 0, 1).astype(np.float32)
    assert not [one for one in measure_artifacts(source, haloed).sentences if one.startswith("Seams")]
    tiles = np.clip(plain + ((np.arange(1024) // 256 % 2) * 6 / 255)[None, :, None], 0, 1).astype(np.float32)
    (seams,) = [one for one in measure_artifacts(source, tiles).sentences if one.startswith("Seams")]
    assert "at x 64, 128, 192 in" in seams
