import errno
import os
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import OpenImageIO as oiio
import pytest
from PIL import Image
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.images import sample_conversion
from upscale8k.runtime.images.formats import image_encoders
from upscale8k.runtime.images.read import read_image_file
from upscale8k.runtime.images.sample_conversion import linear_image_to_srgb
from upscale8k.runtime.images.write import OUTPUT_FORMATS, write_image_file

CHANNELS = {1: slice(0, 1), 3: slice(0, 3), 4: slice(0, 4)}
SUFFIXES = list(OUTPUT_FORMATS)
LOSSLESS = [".png", ".webp", ".tif", ".jxl"]


def rounded(pixels: np.ndarray, bits: int = 8) -> np.ndarray:
    top = (1 << bits) - 1
    return np.floor(pixels.astype(np.float64) * top + 0.5).astype(np.uint8 if bits == 8 else np.uint16)


def by_cv2(path: Path) -> np.ndarray:
    samples = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return samples[..., None] if samples.ndim == 2 else samples[..., [2, 1, 0, 3][: samples.shape[2]]]


def by_oiio(path: Path) -> np.ndarray:
    options = oiio.ImageSpec()
    options.attribute("oiio:UnassociatedAlpha", 1)
    source = oiio.ImageInput.open(str(path), options)
    samples = source.read_image(source.spec().format)
    source.close()
    return samples


# --- the same numbers in every reader ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", CHANNELS)
def test_an_8_bit_png_is_the_same_for_pillow_and_opencv(tmp_path: Path, rgba: np.ndarray, icc: bytes, channels: int) -> None:
    pixels = rgba[..., CHANNELS[channels]]
    path = write_image_file(tmp_path / "a.png", pixels, icc=icc, text={"prompt": "{}"})
    with Image.open(path) as image:
        assert image.mode == {1: "L", 3: "RGB", 4: "RGBA"}[channels]
        assert image.info["icc_profile"] == icc
        np.testing.assert_array_equal(np.asarray(image), rounded(pixels).squeeze())
    np.testing.assert_array_equal(by_cv2(path), rounded(pixels))


@pytest.mark.parametrize("channels", CHANNELS)
def test_a_16_bit_png_is_the_same_for_opencv_and_openimageio(tmp_path: Path, rgba: np.ndarray, channels: int) -> None:
    pixels = rgba[..., CHANNELS[channels]]
    path = write_image_file(tmp_path / "a.png", pixels, bits=16)
    np.testing.assert_array_equal(by_cv2(path), rounded(pixels, 16))
    np.testing.assert_array_equal(by_oiio(path), rounded(pixels, 16))


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_with_alpha_stays_grey_with_alpha(tmp_path: Path, rgba: np.ndarray, icc: bytes, bits: int) -> None:
    pixels = rgba[..., 2:4]
    path = write_image_file(tmp_path / "a.png", pixels, bits=bits, text={"prompt": "{}"}, resolution=(300, 300))
    np.testing.assert_array_equal(by_oiio(path), rounded(pixels, bits))
    with Image.open(path) as image:
        assert image.mode == ("LA" if bits == 8 else "RGBA")  # Pillow has no 16-bit LA
        assert image.info["prompt"] == "{}"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".jxl"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", CHANNELS)
def test_integers_in_tiff_and_jpeg_xl(tmp_path: Path, rgba: np.ndarray, suffix: str, bits: int, channels: int) -> None:
    pixels = rgba[..., CHANNELS[channels]]
    path = write_image_file(tmp_path / f"a{suffix}", pixels, bits=bits)
    np.testing.assert_array_equal(by_oiio(path), rounded(pixels, bits))
    if suffix != ".jxl" and channels != 4:  # OpenCV multiplies straight alpha in
        np.testing.assert_array_equal(by_cv2(path), rounded(pixels, bits))
    if suffix != ".jxl" and bits == 8:
        with Image.open(path) as image:
            np.testing.assert_array_equal(np.asarray(image), rounded(pixels).squeeze())


@pytest.mark.parametrize("channels", [3, 4])
def test_webp_is_lossless_and_exact_under_transparency(tmp_path: Path, rgba: np.ndarray, icc: bytes, channels: int) -> None:
    pixels = rgba[..., CHANNELS[channels]]
    path = write_image_file(tmp_path / "a.webp", pixels, icc=icc)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), rounded(pixels))
        assert image.info["icc_profile"] == icc
    np.testing.assert_array_equal(by_cv2(path), rounded(pixels))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jxl"])
def test_integers_are_taken_as_they_are(tmp_path: Path, dtype: type, suffix: str) -> None:
    samples = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, (19, 23, 3), dtype, endpoint=True)
    np.testing.assert_array_equal(by_oiio(write_image_file(tmp_path / f"a{suffix}", samples)), samples)


def test_jpeg_keeps_full_color_resolution_profile_and_metadata(tmp_path: Path, rgb: np.ndarray, icc: bytes) -> None:
    exif = Image.Exif()
    exif[0x013B] = "Someone"
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    path = write_image_file(tmp_path / "a.jpg", rgb, icc=icc, exif=block, resolution=(300, 300))
    with Image.open(path) as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3
        assert image.info["icc_profile"] == icc
        assert image.info["dpi"] == (300, 300)
        assert image.getexif()[0x013B] == "Someone"


def test_quality_is_obeyed(tmp_path: Path, rgb: np.ndarray) -> None:
    for suffix in (".jpg", ".webp", ".avif", ".jxl"):
        low, high = (write_image_file(tmp_path / f"{quality}{suffix}", rgb, quality=quality) for quality in (20, 95))
        assert low.stat().st_size < high.stat().st_size
        errors = [np.abs(read_image_file(path).pixels - rgb).mean() for path in (low, high)]
        assert errors[0] > errors[1] > 1 / 1024


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif"])
def test_what_was_read_is_written_back(tmp_path: Path, rgb: np.ndarray, icc: bytes, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x013B], exif[0x8298] = "Someone", "(c) 2020"
    Image.fromarray(rounded(rgb)).save(tmp_path / "in.jpg", exif=exif, icc_profile=icc, dpi=(240, 240))
    source = read_image_file(tmp_path / "in.jpg")
    facts = {"icc": source.icc, "exif": source.exif, "resolution": source.resolution}
    again = read_image_file(write_image_file(tmp_path / f"out{suffix}", source.pixels, **facts))
    assert again.icc == icc
    kept = Image.Exif()
    kept.load(again.exif)
    assert (kept[0x013B], kept[0x8298]) == ("Someone", "(c) 2020")
    if suffix in (".png", ".jpg", ".tif"):
        assert again.resolution == pytest.approx((240, 240), rel=1e-4)


# --- linear light -------------------------------------------------------------------------------------------------------------


def test_an_exr_holds_the_linear_light_of_display_pixels(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.exr", np.full((4, 5, 3), 0.5, np.float32), bits=32)
    with av.open(str(path)) as container:
        samples = next(container.decode(video=0)).to_ndarray(format="gbrpf32le")
    np.testing.assert_allclose(samples, 0.21404114, rtol=1e-6)  # IEC 61966-2-1


@pytest.mark.parametrize(("bits", "dtype"), [(16, np.float16), (32, np.float32)])
@pytest.mark.parametrize("channels", CHANNELS)
def test_linear_light_passes_an_exr_untouched(tmp_path: Path, rgba: np.ndarray, bits: int, dtype: type, channels: int) -> None:
    pixels = rgba[..., CHANNELS[channels]] * 3 - 1
    if channels == 4:
        pixels[..., 3] = 1
    path = write_image_file(tmp_path / "a.exr", pixels, bits=bits, transfer="linear")
    source = oiio.ImageInput.open(str(path))
    assert str(source.spec().format) == ("half" if bits == 16 else "float")
    source.close()
    np.testing.assert_array_equal(read_image_file(path).pixels, pixels.astype(dtype).astype(np.float32))


def test_an_exr_has_associated_alpha(tmp_path: Path, rgba: np.ndarray) -> None:
    path = write_image_file(tmp_path / "a.exr", rgba, bits=32, transfer="linear")
    with av.open(str(path)) as container:
        samples = next(container.decode(video=0)).to_ndarray(format="gbrapf32le")
    np.testing.assert_array_equal(samples[..., 3], rgba[..., 3])
    np.testing.assert_array_equal(samples[..., :3], rgba[..., :3] * rgba[..., 3:])


def test_an_exr_goes_round_through_display_pixels(tmp_path: Path, rgb: np.ndarray, write_oiio) -> None:
    write_oiio(tmp_path / "in.exr", rgb * 8, "half")
    source = read_image_file(tmp_path / "in.exr")
    write_image_file(tmp_path / "out.exr", linear_image_to_srgb(source.pixels), bits=16)
    np.testing.assert_array_equal(read_image_file(tmp_path / "out.exr").pixels, source.pixels)


def test_a_float_tiff_is_linear_unless_its_profile_has_a_curve(tmp_path: Path, rgb: np.ndarray, icc: bytes) -> None:
    bare = read_image_file(write_image_file(tmp_path / "bare.tif", np.full((2, 2, 3), 0.5, np.float32), bits=32))
    assert bare.transfer == "linear"
    np.testing.assert_allclose(bare.pixels, 0.21404114, rtol=1e-6)
    profiled = read_image_file(write_image_file(tmp_path / "profiled.tif", rgb, bits=32, icc=icc))
    assert (profiled.transfer, profiled.icc) == ("srgb", icc)
    np.testing.assert_array_equal(profiled.pixels, rgb)


def test_linear_pixels_are_encoded_for_a_png(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.png", np.full((2, 2, 3), 0.21404114, np.float32), transfer="linear")
    assert (by_cv2(path) == 128).all()


def test_an_exr_refuses_a_profile_that_it_would_lose(tmp_path: Path, rgb: np.ndarray, icc: bytes) -> None:
    wide = icc.replace("sRGB".encode("utf-16-be"), "Wide".encode("utf-16-be")).replace(b"sRGB", b"Wide")
    with pytest.raises(OutputError, match="lose its colors"):
        write_image_file(tmp_path / "a.exr", rgb, icc=wide)
    assert write_image_file(tmp_path / "a.exr", rgb, icc=icc).exists()


def test_half_refuses_what_would_become_infinite(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="65504"):
        write_image_file(tmp_path / "a.exr", np.full((2, 2, 3), 70000, np.float32), bits=16, transfer="linear")
    path = write_image_file(tmp_path / "a.exr", np.full((2, 2, 3), 70000, np.float32), bits=32, transfer="linear")
    assert read_image_file(path).pixels.max() == 70000


def test_chromaticities_are_written(tmp_path: Path, rgb: np.ndarray) -> None:
    acescg = (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767)
    head = write_image_file(tmp_path / "a.exr", rgb, chromaticities=acescg).read_bytes()[:2000]
    assert b"chromaticities\0chromaticities\0" + struct.pack("<i8f", 32, *acescg) in head


# --- what ComfyUI reads back --------------------------------------------------------------------------------------------------

TEXT = {"prompt": '{"1": {"class_type": "LoadImage"}}', "workflow": '{"nodes": [], "title": "caf\\u00e9"}'}


def test_png_text_is_plain_text_for_pillow(tmp_path: Path, rgb: np.ndarray) -> None:
    path = write_image_file(tmp_path / "a.png", rgb, text={**TEXT, "note": "größer \u6f22"})
    data = path.read_bytes()
    assert data.index(b"tEXtprompt\0" + TEXT["prompt"].encode()) < data.index(b"IDAT")
    assert b"iTXtnote\0" in data
    with Image.open(path) as image:
        image.load()
        assert {key: image.text[key] for key in (*TEXT, "note")} == {**TEXT, "note": "größer \u6f22"}


def test_webp_text_stands_where_comfyui_looks(tmp_path: Path, rgb: np.ndarray) -> None:
    with Image.open(write_image_file(tmp_path / "a.webp", rgb, text=TEXT)) as image:
        exif = image.getexif()
    assert exif[0x0110] == f"prompt:{TEXT['prompt']}"
    assert exif[0x010F] == f"workflow:{TEXT['workflow']}"


def test_exr_text_stands_where_comfyui_looks(tmp_path: Path, rgb: np.ndarray) -> None:
    head = write_image_file(tmp_path / "a.exr", rgb, text=TEXT).read_bytes()[:4000]
    for key, value in TEXT.items():
        assert f"{key}\0string\0".encode() + struct.pack("<i", len(value)) + value.encode() in head


# --- what a format cannot hold ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape", "options", "message"),
    [
        ("a.jpg", (4, 4, 4), {}, "JPEG has no transparency"),
        ("a.jpg", (4, 4, 3), {"bits": 16}, "JPEG stores 8 bits, not 16"),
        ("a.jpg", (1, 65501, 3), {}, "JPEG is limited to 65,500 pixels a side, the image is 65501x1"),
        ("a.jpg", (4, 4, 3), {"quality": 101}, "1 to 100, not 101"),
        ("a.webp", (4, 4, 3), {"bits": 16}, "WebP stores 8 bits"),
        ("a.webp", (16384, 1, 3), {}, "WebP is limited to 16,383"),
        ("a.avif", (4, 4, 3), {"bits": 16}, "AVIF stores 8 bits"),
        ("a.png", (4, 4, 3), {"bits": 32}, "PNG stores 8 or 16 bits, not 32"),
        ("a.exr", (4, 4, 3), {"bits": 8}, "EXR stores 16 or 32 bits"),
        ("a.gif", (4, 4, 3), {}, "no suffix of an image format"),
        ("a", (4, 4, 3), {}, "no suffix"),
    ],
)
def test_it_is_refused_with_the_reason(tmp_path: Path, name, shape, options, message) -> None:
    with pytest.raises(OutputError, match=message) as caught:
        write_image_file(tmp_path / name, np.zeros(shape, np.float32), **options)
    assert caught.value.path == tmp_path / name
    assert name in caught.value.what
    assert not list(tmp_path.iterdir())


def test_the_limits_are_the_formats_own(tmp_path: Path) -> None:
    assert read_image_file(write_image_file(tmp_path / "a.jpg", np.zeros((1, 65500, 1), np.float32))).size.width == 65500
    assert read_image_file(write_image_file(tmp_path / "a.webp", np.zeros((1, 16383, 3), np.float32))).size.width == 16383


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_values_that_are_no_numbers_are_never_written(tmp_path: Path, rgb: np.ndarray, suffix: str) -> None:
    broken = rgb.copy()
    broken[50, 3, 1] = np.nan
    with pytest.raises(OutputError, match="not numbers"):
        write_image_file(tmp_path / f"a{suffix}", broken)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("pixels", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 5), np.float32), np.zeros((4, 4, 3))])
def test_arrays_of_another_kind_are_a_mistake_of_the_caller(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="pixels are"):
        write_image_file(tmp_path / "a.png", pixels)


# --- failures leave nothing behind --------------------------------------------------------------------------------------------

FULL_DISK = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from runtime.bootstrap import load_pack
load_pack()
import numpy as np
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.images.write import write_image_file
pixels = np.random.default_rng(0).random((400, 400, 3)).astype(np.float32)
for limit in map(int, sys.argv[3:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    try:
        write_image_file(sys.argv[2], pixels)
    except OutputError as error:
        print(error)
    else:
        print("written")
    print([(entry.name, entry.read_bytes()) for entry in Path(sys.argv[2]).parent.iterdir()])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits are POSIX")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_disk_that_is_full_is_an_error_and_the_old_file_stays(tmp_path: Path, root: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    whole = write_image_file(tmp_path / f"whole{suffix}", np.random.default_rng(0).random((400, 400, 3)).astype(np.float32))
    size = whole.stat().st_size
    whole.unlink()
    path.write_bytes(b"the old one")
    command = [sys.executable, "-c", FULL_DISK, str(root), str(path), *map(str, (1000, size // 2, size - 20))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line.startswith(f"{path} cannot be written: ") for line in lines[::2]] == [True] * 3, lines
    assert lines[1::2] == [str([(path.name, b"the old one")])] * 3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_disk_error_after_encoding_is_an_error_too(tmp_path: Path, rgb: np.ndarray, monkeypatch, suffix: str) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OutputError, match="the disk is full") as caught:
        write_image_file(tmp_path / f"a{suffix}", rgb)
    assert "Free some space" in caught.value.hint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_places_that_cannot_be_written_are_named(tmp_path: Path, rgb: np.ndarray, suffix: str) -> None:
    with pytest.raises(OutputError, match=r"the folder .* does not exist"):
        write_image_file(tmp_path / "nowhere" / f"a{suffix}", rgb)
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(OutputError, match="it is a folder"):
        write_image_file(tmp_path / f"folder{suffix}", rgb)
    with pytest.raises(OutputError, match="cannot be written"):
        write_image_file(tmp_path / f"{'n' * 250}{suffix}", rgb)
    assert [entry.name for entry in tmp_path.iterdir()] == [f"folder{suffix}"]


def test_a_folder_without_permission_is_named(tmp_path: Path, rgb: np.ndarray, lock_folder: Callable[[Path], None]) -> None:
    lock_folder(tmp_path)
    with pytest.raises(OutputError, match="writing there is not allowed"):
        write_image_file(tmp_path / "a.png", rgb)


def test_an_encoder_that_says_no_is_an_error(tmp_path: Path, rgb: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imencode", lambda *_: (False, None))
    with pytest.raises(OutputError, match="the PNG encoder rejected"):
        write_image_file(tmp_path / "a.png", rgb)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_stood_there_before_is_replaced(tmp_path: Path, rgb: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    foreign = tmp_path / f"a{suffix}.part"
    foreign.write_bytes(b"the download of another program")
    assert write_image_file(path, rgb) == path
    assert read_image_file(path).size.width == rgb.shape[1]
    assert foreign.read_bytes() == b"the download of another program"
    assert sorted(tmp_path.iterdir()) == [path, foreign]


# --- memory -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".exr"])
def test_no_second_copy_in_floats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """What Python allocates stays below the integers (four bytes a pixel for Pillow) and a few strips."""
    monkeypatch.setattr(sample_conversion, "_STRIP_SAMPLES", 50_000)
    pixels = np.broadcast_to(np.linspace(0, 1, 1500, dtype=np.float32)[None, :, None], (1000, 1500, 3)).copy()
    tracemalloc.start()
    write_image_file(tmp_path / f"a{suffix}", pixels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1000 * 1500 * 4 + 3_000_000 < pixels.nbytes


def test_giants_are_written_row_by_row(tmp_path: Path, rgba: np.ndarray, icc: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_encoders, "_OPENCV_BYTES", 1000)
    path = write_image_file(tmp_path / "a.png", rgba, icc=icc, text=TEXT)
    np.testing.assert_array_equal(by_cv2(path), rounded(rgba))
    with Image.open(path) as image:
        assert image.info["icc_profile"] == icc
        assert image.info["prompt"] == TEXT["prompt"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]
