"""From file to IMAGE and back: what the nodes promise about depth, grey, alpha, profile, highlights and names."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenImageIO as oiio
import pytest
import torch
from PIL import Image
from upscale8k.runtime.comfyui.types.image import ImageSaveOptions, ImageSource, read_image, write_images
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.images.read import read_image_file
from upscale8k.runtime.progress import OpenProgress, open_silent_progress

from ..told import Told

LIMIT = 10**8


def write_in(
    folder: Path,
    images: torch.Tensor,
    source: ImageSource | None,
    filename: str = "%name%",
    open_progress: OpenProgress = open_silent_progress,
    **more: Any,
) -> list[Path]:
    """Write into ``folder`` by plain names, a number after the first."""
    wanted = ImageSaveOptions(**{"filename": filename, "suffix": None, "bits": None, "quality": 95, "text": {}, **more})

    def find(stem: str, suffix: str, index: int, *, width: int, height: int) -> Path:
        stem = stem.replace("%width%", str(width)).replace("%height%", str(height))
        return folder / f"{stem}{f'_{index}' if index else ''}{suffix}"

    return write_images(images, source, wanted, find, open_progress)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def numbers(path: Path) -> np.ndarray:
    """The integers of a PNG or TIFF as OpenCV reads them."""
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_png_comes_back_number_for_number(dtype: Any, channels: int, tmp_path: Path, out: Path) -> None:
    top = np.iinfo(dtype).max
    pixels = np.random.default_rng(2).integers(0, top + 1, (37, 41, channels)).astype(dtype)
    pixels.reshape(-1)[:3] = (0, top, top // 2)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    image, source = read_image(tmp_path / "a.png", max_pixels=LIMIT)
    assert image.shape == (1, 37, 41, 4 if channels == 4 else 3)
    assert image.dtype == torch.float32
    assert (source.name, source.suffix, source.grey, source.bits) == ("a", ".png", channels == 1, 8 * dtype().itemsize)
    (path,) = write_in(out, image, source)
    assert path == out / "a.png"
    np.testing.assert_array_equal(numbers(path), pixels.squeeze())
    assert numbers(path).dtype == dtype


def test_all_65536_steps_of_grey_survive(tmp_path: Path, out: Path) -> None:
    steps = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    cv2.imwrite(str(tmp_path / "steps.png"), steps)
    (path,) = write_in(out, *read_image(tmp_path / "steps.png", max_pixels=LIMIT))
    np.testing.assert_array_equal(numbers(path), steps)


def test_grey_with_alpha_stays_grey_with_alpha(tmp_path: Path, out: Path, rgba: np.ndarray) -> None:
    grey = Image.fromarray(np.rint(rgba * 255).astype(np.uint8)).convert("LA")
    grey.save(tmp_path / "a.png")
    image, source = read_image(tmp_path / "a.png", max_pixels=LIMIT)
    assert image.shape[3] == 4
    assert torch.equal(image[..., 0], image[..., 2])
    (path,) = write_in(out, image, source)
    with Image.open(path) as written:
        assert written.mode == "LA"
        np.testing.assert_array_equal(np.asarray(written), np.asarray(grey))


@pytest.mark.parametrize("channels", [1, 2])
def test_an_image_that_is_grey_itself_is_written_as_it_is(channels: int, tmp_path: Path, out: Path, rgba: np.ndarray) -> None:
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    _, source = read_image(tmp_path / "a.png", max_pixels=LIMIT)
    pixels = np.ascontiguousarray(rgba[:, :, 4 - channels :])
    for given in (source, None):
        (path,) = write_in(out, torch.from_numpy(pixels)[None], given, "grey")
        np.testing.assert_allclose(read_image_file(path).pixels, pixels, atol=0.5 / 255 + 1e-6)


def test_an_orientation_is_applied_and_written_no_more(tmp_path: Path, out: Path) -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:5, :10] = (255, 0, 0)  # a red mark at the top left as stored
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a title"  # to be turned by 90 degrees to the right
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    image, source = read_image(tmp_path / "a.png", max_pixels=LIMIT)
    assert image.shape[1:3] == (30, 20)
    assert image[0, 0, 19].tolist() == [1, 0, 0]
    (path,) = write_in(out, image, source)
    with Image.open(path) as written:
        assert written.size == (20, 30)
        assert written.getexif().get(0x0112, 1) == 1
        assert written.getexif()[0x010E] == "a title"
        assert written.getpixel((19, 0)) == (255, 0, 0)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "avif"])
def test_a_profile_goes_with_the_pixels(suffix: str, tmp_path: Path, out: Path, rgb: np.ndarray, icc: bytes) -> None:
    Image.fromarray(np.rint(rgb * 255).astype(np.uint8)).save(tmp_path / "a.png", icc_profile=icc)
    (path,) = write_in(out, *read_image(tmp_path / "a.png", max_pixels=LIMIT), suffix=f".{suffix}")
    with Image.open(path) as written:
        assert written.info["icc_profile"] == icc


def test_a_profile_for_color_does_not_go_with_grey(tmp_path: Path, out: Path, rgb: np.ndarray, icc: bytes) -> None:
    Image.fromarray(np.rint(rgb * 255).astype(np.uint8)).save(tmp_path / "a.png", icc_profile=icc)
    _, source = read_image(tmp_path / "a.png", max_pixels=LIMIT)
    (path,) = write_in(out, torch.from_numpy(np.ascontiguousarray(rgb[:, :, :1]))[None], source)
    with Image.open(path) as written:
        assert written.mode == "L"
        assert "icc_profile" not in written.info


@pytest.fixture
def bright(rgb: np.ndarray) -> np.ndarray:
    """Linear light with highlights up to 12."""
    pixels = rgb**2.2
    pixels[5:15, 5:15] *= 12 / pixels[5:15, 5:15].max()
    return pixels


@pytest.mark.parametrize(("sample_type", "bits", "most"), [("float", 32, 3e-6), ("half", 32, 3e-6), ("float", 16, 1e-3)])
def test_highlights_of_an_exr_come_back(
    sample_type: str, bits: Any, most: float, tmp_path: Path, out: Path, bright: np.ndarray, write_oiio
) -> None:
    stored = bright.astype(np.float16).astype(np.float32) if sample_type == "half" else bright
    write_oiio(tmp_path / "a.exr", stored, sample_type)
    image, source = read_image(tmp_path / "a.exr", max_pixels=LIMIT)
    assert float(image.max()) == pytest.approx(1, abs=1e-6)
    assert source.peak == pytest.approx(float(stored.max()))
    (path,) = write_in(out, image, source, bits=None if bits == 32 else bits)
    back = oiio.ImageBuf(str(path)).get_pixels(oiio.FLOAT)
    np.testing.assert_allclose(back, stored, rtol=most, atol=1e-6)


def test_an_exr_becomes_a_png_as_bright_as_any_viewer_shows_it(
    tmp_path: Path, out: Path, bright: np.ndarray, write_oiio
) -> None:
    write_oiio(tmp_path / "a.exr", bright, "float")
    (path,) = write_in(out, *read_image(tmp_path / "a.exr", max_pixels=LIMIT), suffix=".png", bits=8)
    assert oiio.ImageBufAlgo.colorconvert  # OpenImageIO does the same by its own name for the curve
    shown = oiio.ImageBufAlgo.colorconvert(oiio.ImageBuf(str(tmp_path / "a.exr")), "lin_rec709", "sRGB").get_pixels(oiio.FLOAT)
    expected = np.rint(shown.clip(0, 1) * 255)
    assert np.abs(numbers(path)[:, :, ::-1].astype(float) - expected).max() <= 1


def test_a_float_tiff_comes_back(tmp_path: Path, out: Path, rgba: np.ndarray, write_oiio) -> None:
    write_oiio(tmp_path / "a.tif", rgba[:, :, :3] * 3, "float")
    image, source = read_image(tmp_path / "a.tif", max_pixels=LIMIT)
    (path,) = write_in(out, image, source)
    assert path.suffix == ".tif"
    np.testing.assert_allclose(read_image_file(path).pixels, rgba[:, :, :3] * 3, rtol=3e-6, atol=1e-6)
    assert read_image_file(path).bits == 32


@pytest.mark.parametrize(
    ("suffix", "source_bits", "bits"),
    [("png", 16, 16), ("jpg", 16, 8), ("webp", 16, 8), ("tiff", 16, 16), ("exr", 16, 32), ("exr", 8, 32), ("jxl", 16, 16)],
)
def test_a_depth_that_the_format_has_not_becomes_the_nearest(
    suffix: str, source_bits: int, bits: int, tmp_path: Path, out: Path, rgb: np.ndarray
) -> None:
    stored = np.rint(rgb * (2**source_bits - 1)).astype(np.uint8 if source_bits == 8 else np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), stored[:, :, ::-1])
    (path,) = write_in(out, *read_image(tmp_path / "a.png", max_pixels=LIMIT), suffix=f".{suffix}")
    assert read_image_file(path).bits == bits  # half floats count as 32
    assert str(oiio.ImageInput.open(str(path)).spec().format) == {8: "uint8", 16: "uint16", 32: "half"}[bits]


def test_a_depth_that_was_asked_for_is_kept_or_refused(out: Path, rgb: np.ndarray) -> None:
    image = torch.from_numpy(rgb)[None]
    (path,) = write_in(out, image, None, "deep", bits=16)
    assert numbers(path).dtype == np.uint16
    with pytest.raises(OutputError, match="JPEG stores 8 bits, not 16"):
        write_in(out, image, None, "deep.jpg", bits=16)


@pytest.mark.parametrize(
    ("filename", "suffix", "expected"),
    [
        ("%name%", None, "photo.jpg.tif"),  # what a source called photo.jpg.tif is called stays in the stem
        ("%name%", ".webp", "photo.jpg.webp"),
        ("%name%_8K.png", None, "photo.jpg_8K.png"),
        ("x.png", ".webp", "x.png"),  # the name goes first
        ("X.PNG", None, "X.PNG"),
        ("version 1.5", None, "version 1.5.tif"),
        ("%width%x%height%", ".png", "83x61.png"),
    ],
)
def test_where_the_name_and_the_format_come_from(
    filename: str, suffix: str | None, expected: str, tmp_path: Path, out: Path, rgb: np.ndarray, write_oiio
) -> None:
    write_oiio(tmp_path / "photo.jpg.tif", np.rint(rgb * 255).astype(np.uint8), "uint8")
    image, source = read_image(tmp_path / "photo.jpg.tif", max_pixels=LIMIT)
    (path,) = write_in(out, image, source, filename, suffix=suffix)
    assert path.name == expected
    assert read_image_file(path).format == {".tif": "tiff", ".png": "png", ".webp": "webp"}[path.suffix.lower()]


def test_without_a_source_it_is_an_8_bit_png(out: Path, rgb: np.ndarray) -> None:
    (path,) = write_in(out, torch.from_numpy(rgb)[None], None)
    assert path.name == "Upscale8K.png"
    np.testing.assert_array_equal(numbers(path)[:, :, ::-1], np.floor(rgb.astype(np.float64) * 255 + 0.5).astype(np.uint8))


def test_a_format_that_cannot_be_written_becomes_png(tmp_path: Path, out: Path, rgb: np.ndarray) -> None:
    Image.fromarray(np.rint(rgb * 255).astype(np.uint8)).save(tmp_path / "a.bmp")
    (path,) = write_in(out, *read_image(tmp_path / "a.bmp", max_pixels=LIMIT))
    assert path.name == "a.png"


@pytest.mark.parametrize(
    ("suffix", "shape", "bits", "expected", "reason"),
    [
        ("jpg", (4, 6, 3), 16, "a.png", "JPEG stores 8 bits, not 16"),
        ("webp", (4, 6, 3), 32, "a.tiff", "WebP stores 8 bits, not 32"),
        ("jpg", (4, 6, 4), None, "a.png", "JPEG has no transparency and the image has"),
        ("webp", (1, 16_384, 3), None, "a.png", "WebP is limited to 16,383 pixels a side, the image is 16384x1"),
        ("jpg", (65_501, 1, 3), None, "a.png", "JPEG is limited to 65,500 pixels a side, the image is 1x65501"),
    ],
)
def test_a_format_that_nobody_asked_for_and_that_does_not_fit_becomes_a_lossless_one(
    suffix: str, shape: tuple[int, ...], bits: int | None, expected: str, reason: str, tmp_path: Path, out: Path
) -> None:
    """Such a result may have taken hours; the formats asked for by name are refused before."""
    Image.new("RGB", (6, 4), "teal").save(tmp_path / f"a.{suffix}")
    _, source = read_image(tmp_path / f"a.{suffix}", max_pixels=LIMIT)
    image = torch.rand(1, *shape, generator=torch.Generator().manual_seed(1))
    told = Told()
    (path,) = write_in(out, image, source, bits=bits, open_progress=lambda *_: nullcontext(told))
    assert path.name == expected
    step = 1e-5 if bits == 32 else 0.5 / (2 ** (bits or 8) - 1) + 1e-6  # 32 bits are linear light
    np.testing.assert_allclose(read_image(path, max_pixels=LIMIT)[0], image, rtol=0, atol=step)
    format_name = {"a.png": "PNG", "a.tiff": "TIFF"}[expected]
    assert told.sentences == [f"a: {reason}. It is written as {format_name}."]
    with pytest.raises(OutputError, match=reason):
        write_in(out, image, source, suffix=f".{suffix}", bits=bits)


def test_every_image_of_a_batch_gets_its_file(out: Path, rgb: np.ndarray) -> None:
    images = torch.from_numpy(np.stack([rgb, 1 - rgb]))
    paths = write_in(out, images, None, "both.png")
    assert [path.name for path in paths] == ["both.png", "both_1.png"]
    for path, image in zip(paths, images.numpy(), strict=True):
        np.testing.assert_allclose(read_image_file(path).pixels, image, atol=0.5 / 255 + 1e-6)


def test_jpeg_with_alpha_is_refused_and_nothing_is_left(out: Path, rgba: np.ndarray) -> None:
    with pytest.raises(OutputError, match="JPEG has no transparency") as caught:
        write_in(out, torch.from_numpy(rgba)[None], None, "a.jpg")
    assert "PNG" in caught.value.hint
    assert not list(out.iterdir())


@pytest.mark.parametrize("suffix", ["webp", "jxl"])
def test_quality_100_is_lossless_and_95_is_not(suffix: str, out: Path, rgb: np.ndarray) -> None:
    stored = np.rint(rgb * 255).astype(np.uint8)
    image = torch.from_numpy(stored.astype(np.float32) / 255)[None]
    back = []
    for quality in (100, 95):
        (path,) = write_in(out, image, None, f"q{quality}.{suffix}", quality=quality)
        back.append(np.rint(read_image_file(path).pixels * 255).astype(np.uint8))
    np.testing.assert_array_equal(back[0], stored)
    assert (back[1] != stored).any()


def test_the_workflow_is_inside(out: Path, rgb: np.ndarray) -> None:
    text = {"prompt": {"1": {"class_type": "ImageOut"}}, "workflow": {"title": "café"}}
    (path,) = write_in(out, torch.from_numpy(rgb)[None], None, "a", text=text)
    with Image.open(path) as written:
        assert written.text == {"prompt": '{"1": {"class_type": "ImageOut"}}', "workflow": '{"title": "caf\\u00e9"}'}  # type: ignore[attr-defined]


def test_tensors_of_other_kinds_are_written_too(out: Path, rgb: np.ndarray) -> None:
    image = torch.from_numpy(rgb)[None]
    (plain,) = write_in(out, image, None, "plain.png")
    for name, tensor in (
        ("double", image.double()),
        ("grad", image.clone().requires_grad_()),
        ("turned", image.mT.contiguous().mT),
    ):
        (path,) = write_in(out, tensor, None, f"{name}.png")
        np.testing.assert_array_equal(numbers(path), numbers(plain))
