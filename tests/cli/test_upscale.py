"""``upscale``: a file, a folder or a glob in; nothing that an image has is lost."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from .conftest import NULL, Place, noise, pixels_of

TWICE = ("--to", "2x", *NULL)


def twice(pixels: np.ndarray) -> np.ndarray:
    """The 4x model repeats every pixel four times, and the exact reduction by a half gives each of them twice."""
    return pixels.repeat(2, axis=0).repeat(2, axis=1)


def flat(value: int, dtype: type = np.uint8) -> np.ndarray:
    return np.full((12, 16, 3), value, dtype)


def test_a_file_becomes_a_file(place: Place) -> None:
    answer = place("upscale", "input/a.png", "-o", "output/b.png", "--to", "4x", *NULL)
    assert (answer.code, answer.out, answer.err, answer.new) == (0, "output/b.png\n", "", ["output/b.png"])
    before, after = pixels_of("input/a.png"), pixels_of("output/b.png")
    assert np.array_equal(after, before.repeat(4, axis=0).repeat(4, axis=1))


def test_a_file_into_a_folder_keeps_its_name(place: Place) -> None:
    assert place("upscale", "input/a.png", "-o", "output", *TWICE).out == "output/a.png\n"
    assert place("upscale", "input/a.png", "-o", "new/folder", *TWICE).new == ["new/folder/a.png"]


def test_a_result_is_replaced_by_the_next(place: Place) -> None:
    for target, width in (("2x", 32), ("3x", 48)):
        assert place("upscale", "input/a.png", "-o", "output/b.png", "--to", target, *NULL).code == 0
        assert pixels_of("output/b.png").shape[1] == width


def test_a_folder_becomes_a_folder(place: Place) -> None:
    place.image("b.jpg")
    place.image("C.TIFF")
    place.image("d.bmp")
    Path("input/notes.txt").write_text("no image")
    Path("input/folder.png").mkdir()
    answer = place("upscale", "input", "-o", "results.new", *TWICE)
    assert (answer.code, answer.err) == (0, "Left out, no image or video: notes.txt.\n")
    assert answer.out.splitlines() == [f"results.new/{name}" for name in ("C.TIFF", "a.png", "b.jpg", "d.png")]
    assert answer.new == sorted(answer.out.splitlines())
    assert {pixels_of(name).shape for name in answer.new} == {(24, 32, 3)}


def test_a_glob_names_the_images_that_fit(place: Place) -> None:
    Path("input/sub").mkdir()
    for name in ("ab.png", "b.png", "sub/ac.png"):
        place.image(name)
    assert place("upscale", "input/a*.png", "-o", "one", *TWICE).new == ["one/a.png", "one/ab.png"]
    assert place("upscale", f"{place.folder}/input/**/a?.png", "-o", "two", *TWICE).new == ["two/ab.png", "two/ac.png"]


def test_one_bad_image_does_not_stop_the_rest(place: Place) -> None:
    Path("input/b.png").write_text("no image")
    place.image("c.png")
    answer = place("upscale", "input", "-o", "output", *TWICE)
    assert answer.code == 1
    assert answer.new == ["output/a.png", "output/c.png"]
    assert answer.out.splitlines() == answer.new
    (line,) = answer.err.splitlines()
    assert line.startswith("Error: ")
    assert "b.png is not an image that can be read: it is text" in line


def test_one_image_that_grows_too_large_does_not_stop_the_rest(place: Place) -> None:
    place.image("0.png", noise(2, 20_000))
    Path("input/b.png").write_text("no image")
    place.image("c.png")
    answer = place("upscale", "input", "-o", "output", "--to", "20x", *NULL)
    assert (answer.code, answer.new) == (1, ["output/a.png", "output/c.png"]), answer.err
    too_large, bad = answer.err.splitlines()
    assert "400000x40" in too_large
    assert "b.png" in bad


def test_one_image_without_memory_does_not_stop_the_rest(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from upscale8k.runtime.upscale import memory

    place.image("0.png", noise(120, 160))
    place.image("c.png")
    small = memory.estimate_result_bytes((1, 12, 16, 3), 4, "2x")
    monkeypatch.setattr(memory, "query_memory", lambda: SimpleNamespace(total=1 << 40, available=small, limited=True))
    answer = place("upscale", "input", "-o", "output", *TWICE)
    assert (answer.code, answer.new) == (1, ["output/a.png", "output/c.png"]), answer.err
    assert "of memory" in answer.err


@pytest.mark.parametrize("options", [("--set", "TiledUpscale.tile=-5"), ("--set", "Nothing.tile=5"), ("--to", "huge")])
def test_a_wrong_option_is_said_once(place: Place, options: tuple[str, str]) -> None:
    place.image("b.png")
    said = place.refuses(place("upscale", "input", "-o", "output", *TWICE, *options), options[1].split("=")[0].split(".")[0])
    assert said.count("Error:") == 1


def test_a_missing_model_stops_before_the_first_image(place: Place) -> None:
    place.image("b.png")
    said = place.refuses(place("upscale", "input", "-o", "output", "-m", "bsrgan-x4", *TWICE), "models pull bsrgan-x4")
    assert said.count("bsrgan-x4'") == 1


@pytest.mark.parametrize("out", ["input/a.png", "input", "input/../input/a.png", "link.png", "hard.png"])
def test_its_own_source_is_never_replaced(place: Place, out: str) -> None:
    Path("link.png").symlink_to("input/a.png")
    Path("hard.png").hardlink_to("input/a.png")
    before = Path("input/a.png").read_bytes()
    place.refuses(place("upscale", "input/a.png", "-o", out, *TWICE), "input/a.png would be replaced by its own result")
    place.refuses(place("upscale", "input", "-o", "input", *TWICE), "input/a.png would be replaced by its own result")
    assert Path("input/a.png").read_bytes() == before


def test_two_images_of_one_result_are_refused(place: Place) -> None:
    place.image("a.bmp")
    place.refuses(place("upscale", "input", "-o", "output", *TWICE), "input/a.bmp", "input/a.png", "both become output/a.png")


def test_many_images_do_not_fit_into_one_file(place: Place) -> None:
    place.image("b.png")
    place.refuses(place("upscale", "input", "-o", "output/b.png", *TWICE), "2 images or videos", "Set a folder with -o")


@pytest.mark.parametrize(
    ("source", "out", "facts"),
    [
        ("gone.png", "output", ["There is no file or folder gone.png"]),
        ("output", "new", ["output: no image or video was found", ".jxl"]),
        ("input/*.gif", "new", ["input/*.gif: no image or video was found"]),
        ("input/a.png", "output/a.xyz", ["images cannot be written as .xyz", ".tiff"]),
        ("input/video.h264", "output/a.mp4", ["video.h264 is not a supported video", ".mkv"]),
        ("input/a.png", "output/a.mp4", ["images cannot be written as .mp4"]),
        ("input/a.png", "output/a.gif", ["images cannot be written as .gif", ".png"]),
        ("input/a.png", "input/a.png/b.png", ["input/a.png is a file"]),
    ],
)
def test_what_cannot_be_upscaled_is_said(place: Place, source: str, out: str, facts: list[str]) -> None:
    Path("input/video.h264").write_bytes(b"\x00\x00\x01")
    place.refuses(place("upscale", source, "-o", out, *TWICE), *facts)


@pytest.mark.parametrize(
    ("option", "value", "facts"),
    [
        ("--to", "big", ["'big' is not a size", "8K"]),
        ("--to", "9999999x1", ["is not a size"]),
        ("--tile", 5000, ["A tile of 5000 pixels is out of range", "32 to 4096"]),
        ("-b", 65, ["The range is 0 to 64"]),
        ("-m", "../a.pth", ["not the name of a file inside a models folder"]),
    ],
)
def test_values_that_do_not_fit_are_said(place: Place, option: str, value: object, facts: list[str]) -> None:
    place.refuses(place("upscale", "input/a.png", "-o", "output", *NULL, option, value), *facts)


# What an image has.


@pytest.mark.parametrize(("suffix", "channels"), [("png", 1), ("png", 3), ("png", 4), ("tiff", 1), ("tiff", 3)])
def test_sixteen_bits_stay_sixteen_bits(place: Place, channels: int, suffix: str) -> None:
    pixels = np.random.default_rng(16).integers(1, 65535, (12, 16, channels), dtype=np.uint16)
    cv2.imwrite(f"input/deep.{suffix}", pixels)
    assert place("upscale", f"input/deep.{suffix}", "-o", "output", "--to", "4x", *NULL).code == 0
    after = cv2.imread(f"output/deep.{suffix}", cv2.IMREAD_UNCHANGED)
    assert after.dtype == np.uint16
    assert np.array_equal(after.reshape(48, 64, channels), pixels.repeat(4, axis=0).repeat(4, axis=1))


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4)])
@pytest.mark.parametrize("suffix", ["png", "webp", "tiff", "avif", "jxl"])
def test_grey_stays_grey_and_alpha_stays_alpha(place: Place, mode: str, channels: int, suffix: str) -> None:
    pixels = noise(channels=channels)
    Image.fromarray(pixels.squeeze(), mode).save("input/b.png")
    answer = place("upscale", "input/b.png", "-o", f"output/b.{suffix}", "--to", "4x", *NULL)
    assert (answer.code, answer.err) == (0, "")
    if suffix in ("jxl", "avif"):  # Pillow reads no JPEG XL, and AVIF has quality 95 by default
        return
    with Image.open(f"output/b.{suffix}") as image:
        assert image.mode == (mode if suffix != "webp" else {1: "RGB", 2: "RGBA"}.get(channels, mode))
        after = np.asarray(image.convert(mode)).reshape(48, 64, channels)
    if suffix != "webp":  # lossy here: 95 is the node's quality
        assert np.array_equal(after, pixels.repeat(4, axis=0).repeat(4, axis=1))


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "webp"])
def test_a_color_profile_is_kept(place: Place, suffix: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(noise()).save(f"input/b.{suffix}", icc_profile=profile)
    assert place("upscale", f"input/b.{suffix}", "-o", "output", *TWICE).code == 0
    with Image.open(f"output/b.{suffix}") as image:
        assert image.info["icc_profile"] == profile


def test_a_photo_that_lies_on_its_side_is_put_upright(place: Place) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row is at the right: turn clockwise
    Image.fromarray(flat(90)).save("input/b.jpg", exif=exif)
    assert place("upscale", "input/b.jpg", "-o", "output", *TWICE).code == 0
    with Image.open("output/b.jpg") as image:
        assert image.size == (24, 32)
        assert image.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize(
    ("target", "size"), [("4k", (2880, 2160)), ("model scale", (64, 48)), ("3x", (48, 36)), ("100x30", (40, 30))]
)
def test_the_target_is_the_size_of_the_result(place: Place, target: str, size: tuple[int, int]) -> None:
    assert place("upscale", "input/a.png", "-o", "output/b.png", "--to", target, *NULL).code == 0
    assert pixels_of("output/b.png").shape == (size[1], size[0], 3)


def test_names_that_look_like_something_else_are_names(place: Place) -> None:
    for name in ("a=b.png", "photo [1].png", "50%.png", "ä ö.png", "[output].png"):
        place.image(name)
        answer = place("upscale", f"input/{name}", "-o", "output", *TWICE)
        assert (answer.code, answer.new) == (0, [f"output/{name}"]), answer


def test_the_reduction_of_a_flat_image_is_flat(place: Place) -> None:
    place.image("flat.png", flat(77))
    assert place("upscale", "input/flat.png", "-o", "output", *TWICE).code == 0
    assert np.array_equal(pixels_of("output/flat.png"), twice(flat(77)))
