import struct
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from upscale8k.runtime.errors import MediaError
from upscale8k.runtime.images.read import read_image_file
from upscale8k.runtime.media.geometry import Size


def as_integers(pixels: np.ndarray, bits: int = 8) -> np.ndarray:
    top = (1 << bits) - 1
    return np.rint(pixels.astype(np.float64) * top).astype(np.uint8 if bits == 8 else np.uint16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, rgb, rgba, write_oiio) -> Path:
    """One or more good files of every format."""
    place = tmp_path_factory.mktemp("files")
    rgb8, rgba8, rgb16 = as_integers(rgb), as_integers(rgba), as_integers(rgb, 16)
    image, with_alpha = Image.fromarray(rgb8), Image.fromarray(rgba8)
    image.save(place / "rgb.png")
    with_alpha.save(place / "rgba.png")
    image.save(place / "anim.png", save_all=True, append_images=[image.rotate(180)])
    cv2.imwrite(str(place / "rgb16.png"), rgb16[..., ::-1])
    image.save(place / "rgb.jpg", quality=90)
    image.save(place / "progressive.jpg", quality=90, progressive=True)
    image.convert("L").save(place / "grey.jpg", quality=90)
    image.convert("CMYK").save(place / "cmyk.jpg", quality=90)
    with_alpha.save(place / "lossless.webp", lossless=True, exact=True)
    image.save(place / "lossy.webp", quality=80)
    image.save(place / "anim.webp", save_all=True, append_images=[image.rotate(180)], lossless=True)
    image.save(place / "strips.tif", compression="tiff_lzw")
    image.save(place / "deflate.tif", compression="tiff_adobe_deflate")
    image.save(place / "jpeg.tif", compression="jpeg", quality=90)
    image.convert("1").save(place / "fax.tif", compression="group4")
    write_oiio(place / "rgb16.tif", rgb16, "uint16")
    write_oiio(place / "planar16.tif", rgb16, "uint16", planarconfig="separate")
    write_oiio(place / "tiled16.tif", rgb16, "uint16", tile=32)
    write_oiio(place / "float.tif", rgb * 3 - 1, "float")
    write_oiio(place / "straight.tif", rgba8, "uint8", channelnames=("R", "G", "B", "A"), oiio__UnassociatedAlpha=1)
    image.save(place / "rgb.avif", quality=90)
    with_alpha.save(place / "rgba.avif", quality=90)
    write_oiio(place / "half.exr", rgb * 3 - 1, "half")
    write_oiio(place / "float.exr", rgb * 3 - 1, "float")
    write_oiio(place / "tiled.exr", rgb * 3 - 1, "float", tile=32)
    write_oiio(place / "rgb.jxl", rgb8, "uint8")
    write_oiio(place / "rgb16.jxl", rgb16, "uint16")
    image.save(place / "rgb.bmp")
    image.quantize(32).save(place / "still.gif")
    image.quantize(32).save(place / "anim.gif", save_all=True, append_images=[image.rotate(180).quantize(32)])
    return place


SUFFIXES = {".png", ".jpg", ".webp", ".tif", ".avif", ".exr", ".jxl", ".bmp", ".gif"}
LOSSLESS_8 = ["rgb.png", "anim.png", "strips.tif", "deflate.tif", "rgb.jxl", "rgb.bmp"]
LOSSLESS_16 = ["rgb16.png", "rgb16.tif", "planar16.tif", "tiled16.tif", "rgb16.jxl"]


@pytest.mark.parametrize("name", LOSSLESS_8)
def test_eight_bits_come_back_as_they_were_stored(folder: Path, rgb: np.ndarray, name: str) -> None:
    image = read_image_file(folder / name)
    assert image.bits == 8
    assert image.transfer == "srgb"
    np.testing.assert_array_equal(image.pixels, as_integers(rgb).astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("name", LOSSLESS_16)
def test_sixteen_bits_come_back_as_they_were_stored(folder: Path, rgb: np.ndarray, name: str) -> None:
    image = read_image_file(folder / name)
    assert image.bits == 16
    np.testing.assert_array_equal(image.pixels, as_integers(rgb, 16).astype(np.float32) / np.float32(65535))


@pytest.mark.parametrize("name", ["float.exr", "tiled.exr", "float.tif"])
def test_floats_come_back_bit_for_bit_and_are_linear(folder: Path, rgb: np.ndarray, name: str) -> None:
    image = read_image_file(folder / name)
    assert (image.bits, image.transfer) == (32, "linear")
    np.testing.assert_array_equal(image.pixels, rgb * 3 - 1)


def test_half_is_read_without_loss(folder: Path, rgb: np.ndarray) -> None:
    np.testing.assert_array_equal(
        read_image_file(folder / "half.exr").pixels, (rgb * 3 - 1).astype(np.float16).astype(np.float32)
    )


def test_exr_agrees_with_ffmpeg(folder: Path) -> None:
    with av.open(str(folder / "float.exr")) as container:
        frame = next(container.decode(video=0))
    np.testing.assert_array_equal(read_image_file(folder / "float.exr").pixels, frame.to_ndarray(format="gbrpf32le"))


@pytest.mark.parametrize("name", ["rgba.png", "lossless.webp", "straight.tif"])
def test_color_under_transparent_pixels_is_kept(folder: Path, rgba: np.ndarray, name: str) -> None:
    np.testing.assert_array_equal(as_integers(read_image_file(folder / name).pixels), as_integers(rgba))


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("rgb.jpg", "RGB"),
        ("progressive.jpg", "RGB"),
        ("grey.jpg", "L"),
        ("cmyk.jpg", "RGB"),
        ("lossy.webp", "RGB"),
        ("anim.webp", "RGBA"),
        ("jpeg.tif", "RGB"),
        ("fax.tif", "L"),
        ("rgb.avif", "RGB"),
        ("rgba.avif", "RGBA"),
        ("still.gif", "RGB"),
        ("anim.gif", "RGB"),
    ],
)
def test_other_files_agree_with_pillow(folder: Path, name: str, mode: str) -> None:
    with Image.open(folder / name) as image:
        expected = np.asarray(image.convert(mode))
    pixels = read_image_file(folder / name).pixels
    assert pixels.shape[2] == len(mode)
    np.testing.assert_array_equal(as_integers(pixels).squeeze(), expected)


@pytest.mark.parametrize("depth", [10, 12])
def test_deep_avif_keeps_its_depth(tmp_path: Path, rgb: np.ndarray, depth: int) -> None:
    stored = np.rint(rgb.astype(np.float64) * ((1 << depth) - 1)).astype(np.uint16)
    options = [cv2.IMWRITE_AVIF_DEPTH, depth, cv2.IMWRITE_AVIF_QUALITY, 100]
    assert cv2.imwrite(str(tmp_path / "deep.avif"), stored[..., ::-1], options)
    image = read_image_file(tmp_path / "deep.avif")
    assert image.bits == 16
    np.testing.assert_array_equal(image.pixels, stored.astype(np.float32) / np.float32((1 << depth) - 1))


# Values by the PNG specification: samples of fewer than 8 bits are scaled to 0..1, tRNS makes one color transparent.
@pytest.mark.parametrize(
    "case",
    [
        ((8, 1, 0), b"\xaa", [], [1, 0, 1, 0, 1, 0, 1, 0]),
        ((4, 2, 0), b"\x1b", [], [0, 1 / 3, 2 / 3, 1]),
        ((2, 4, 0), b"\x1f", [], [1 / 15, 1]),
        ((2, 8, 0), b"\x07\x09", [(b"tRNS", b"\0\7")], [7 / 255, 0, 9 / 255, 1]),
        ((2, 16, 0), b"\0\7\0\x09", [(b"tRNS", b"\0\7")], [7 / 65535, 0, 9 / 65535, 1]),
        (
            (2, 8, 2),
            bytes(range(1, 7)),
            [(b"tRNS", b"\0\1\0\2\0\3")],
            [*(v / 255 for v in (1, 2, 3)), 0, *(v / 255 for v in (4, 5, 6)), 1],
        ),
        ((2, 4, 3), b"\x01", [(b"PLTE", bytes(range(1, 7)))], [v / 255 for v in range(1, 7)]),
        (
            (2, 4, 3),
            b"\x01",
            [(b"PLTE", bytes(range(1, 7))), (b"tRNS", b"\x80")],
            [v / 255 for v in (1, 2, 3, 128, 4, 5, 6, 255)],
        ),
        ((1, 8, 4), b"\x0a\x14", [], [10 / 255, 20 / 255]),
        ((1, 16, 4), b"\x01\x00\x02\x00", [], [256 / 65535, 512 / 65535]),
        ((1, 16, 6), struct.pack(">4H", 1, 2, 3, 4), [], [v / 65535 for v in (1, 2, 3, 4)]),
        ((1, 8, 2), b"\1\2\3", [(b"gAMA", struct.pack(">I", 100000))], [v / 255 for v in (1, 2, 3)]),
    ],
)
def test_every_kind_of_png(tmp_path: Path, png_bytes, case) -> None:
    head, row, extra, expected = case
    path = tmp_path / "hand.png"
    path.write_bytes(png_bytes(*head, row, *extra))
    image = read_image_file(path)
    assert image.bits == (16 if head[1] == 16 else 8)
    np.testing.assert_allclose(image.pixels.ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_orientation_is_applied(tmp_path: Path, rgb: np.ndarray, suffix: str, orientation: int) -> None:
    path = tmp_path / f"turned.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(as_integers(rgb)).save(path, exif=exif, **lossless)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    image = read_image_file(path)
    assert image.pixels.flags.c_contiguous
    np.testing.assert_array_equal(as_integers(image.pixels), expected)


def test_metadata_is_carried_and_made_true_for_new_pixels(tmp_path: Path, rgb: np.ndarray, icc: bytes) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "Someone"
    exif.get_ifd(0x8769).update({0xA002: 83, 0xA003: 61, 0x9003: "2020:01:02 03:04:05"})
    Image.fromarray(as_integers(rgb)).save(tmp_path / "a.jpg", exif=exif, icc_profile=icc, dpi=(300, 200))
    image = read_image_file(tmp_path / "a.jpg")
    assert image.icc == icc
    assert image.resolution == (200, 300)  # turned with the image
    kept = Image.Exif()
    kept.load(image.exif)
    assert (kept[0x013B], 0x0112 in kept) == ("Someone", False)
    assert dict(kept.get_ifd(0x8769)) == {0x9003: "2020:01:02 03:04:05"}


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "avif"])
def test_profiles_are_carried_byte_for_byte(tmp_path: Path, rgb: np.ndarray, icc: bytes, suffix: str) -> None:
    Image.fromarray(as_integers(rgb)).save(tmp_path / f"a.{suffix}", icc_profile=icc)
    assert read_image_file(tmp_path / f"a.{suffix}").icc == icc


def test_the_profile_of_a_cmyk_file_goes_with_its_inks(tmp_path: Path, rgb: np.ndarray, icc: bytes) -> None:
    cmyk = icc[:16] + b"CMYK" + icc[20:]
    Image.fromarray(as_integers(rgb)).convert("CMYK").save(tmp_path / "a.jpg", icc_profile=cmyk)
    assert read_image_file(tmp_path / "a.jpg").icc is None


def test_broken_exif_does_not_cost_the_image(tmp_path: Path, rgb: np.ndarray) -> None:
    Image.fromarray(as_integers(rgb)).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert read_image_file(tmp_path / "a.jpg").size.width == rgb.shape[1]


def test_a_linear_profile_makes_an_image_linear(tmp_path: Path, rgb: np.ndarray, write_oiio) -> None:
    write_oiio(tmp_path / "a.jxl", as_integers(rgb, 16), "uint16", oiio__ColorSpace="lin_rec709_scene")
    assert read_image_file(tmp_path / "a.jxl").transfer == "linear"


def test_the_first_page_is_read(tmp_path: Path, rgb: np.ndarray) -> None:
    first, second = Image.fromarray(as_integers(rgb)), Image.new("RGB", (7, 5))
    first.save(tmp_path / "pages.tif", save_all=True, append_images=[second])
    np.testing.assert_array_equal(as_integers(read_image_file(tmp_path / "pages.tif").pixels), as_integers(rgb))


@pytest.mark.parametrize("suffix", ["exr", "tif"])
def test_associated_alpha_becomes_straight(tmp_path: Path, rgba: np.ndarray, write_oiio, suffix: str) -> None:
    stored = rgba.copy()
    stored[..., :3] *= stored[..., 3:]
    write_oiio(tmp_path / f"a.{suffix}", stored, "float", channelnames=("R", "G", "B", "A"))
    pixels = read_image_file(tmp_path / f"a.{suffix}").pixels
    visible = rgba[..., 3] > 0
    np.testing.assert_allclose(pixels[visible], rgba[visible], rtol=3e-7)
    assert not pixels[~visible].any()


def test_an_exr_is_what_its_display_window_shows(tmp_path: Path, rgb: np.ndarray, write_oiio) -> None:
    write_oiio(tmp_path / "inside.exr", rgb[:20, :30], "float", x=5, y=6, display=(60, 50))
    shown = read_image_file(tmp_path / "inside.exr").pixels
    assert shown.shape == (50, 60, 3)
    np.testing.assert_array_equal(shown[6:26, 5:35], rgb[:20, :30])
    assert shown.sum() == pytest.approx(rgb[:20, :30].sum(), rel=1e-5)
    write_oiio(tmp_path / "overscan.exr", rgb, "float", x=-3, y=-2, display=(70, 50))
    np.testing.assert_array_equal(read_image_file(tmp_path / "overscan.exr").pixels, rgb[2:52, 3:73])


def test_an_exr_keeps_its_chromaticities(tmp_path: Path, rgb: np.ndarray, write_oiio) -> None:
    acescg = (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767)
    write_oiio(tmp_path / "a.exr", rgb, "half", chromaticities=acescg)
    assert read_image_file(tmp_path / "a.exr").chromaticities == pytest.approx(acescg)


def test_the_image_of_an_exr_is_found_among_its_layers(tmp_path: Path, rgb: np.ndarray, write_oiio) -> None:
    both = np.concatenate([rgb * 2, rgb], axis=2)
    write_oiio(tmp_path / "a.exr", both, "float", channelnames=("diffuse.R", "diffuse.G", "diffuse.B", "R", "G", "B"))
    np.testing.assert_array_equal(read_image_file(tmp_path / "a.exr").pixels, rgb)
    write_oiio(tmp_path / "b.exr", rgb, "float", channelnames=("beauty.R", "beauty.G", "beauty.B"))
    np.testing.assert_array_equal(read_image_file(tmp_path / "b.exr").pixels, rgb)


def test_the_padding_of_a_32_bit_bmp_is_not_alpha(tmp_path: Path) -> None:
    rows = bytes([3, 2, 1, 0, 6, 5, 4, 0])  # BGR and a byte that BI_RGB leaves undefined, mostly 0
    header = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 32, 0, len(rows), 0, 0, 0, 0)
    (tmp_path / "a.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) + header + rows)
    np.testing.assert_array_equal(as_integers(read_image_file(tmp_path / "a.bmp").pixels), [[[1, 2, 3], [4, 5, 6]]])


def test_min_is_white_is_turned_round(tmp_path: Path, rgb: np.ndarray) -> None:
    stored = as_integers(rgb)[..., 0]
    image = Image.fromarray(stored)
    image.save(tmp_path / "a.tif", tiffinfo={262: 0})
    with Image.open(tmp_path / "a.tif") as opened:
        np.testing.assert_array_equal(as_integers(read_image_file(tmp_path / "a.tif").pixels)[..., 0], np.asarray(opened))


# --- files that are not what they should be ---------------------------------------------------------------------------------


@pytest.mark.parametrize("percent", [50, 95])
def test_a_file_that_is_cut_off_is_an_error_in_every_format(folder: Path, tmp_path: Path, capfd, percent: int) -> None:
    for source in sorted(folder.iterdir()):
        data = source.read_bytes()
        cut = tmp_path / source.name
        cut.write_bytes(data[: len(data) * percent // 100])
        with pytest.raises(MediaError, match=source.name) as caught:
            read_image_file(cut)
        assert caught.value.hint
        assert caught.value.path == cut
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["rgb.jpg", "progressive.jpg", "rgb.png", "rgb16.tif", "half.exr", "rgb16.jxl"])
def test_a_hole_in_the_middle_is_an_error(folder: Path, tmp_path: Path, capfd, name: str) -> None:
    data = (folder / name).read_bytes()
    middle = len(data) // 2
    (tmp_path / name).write_bytes(data[:middle] + data[middle + 200 :])
    with pytest.raises(MediaError, match=name):
        read_image_file(tmp_path / name)
    assert capfd.readouterr().err == ""


def test_a_changed_byte_in_a_png_is_found(folder: Path, tmp_path: Path) -> None:
    data = bytearray((folder / "rgb.png").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(MediaError, match="checksum of a IDAT"):
        read_image_file(tmp_path / "a.png")


def test_a_png_whose_chunks_are_no_chunks_is_found(folder: Path, tmp_path: Path, capfd) -> None:
    data = (folder / "rgb.png").read_bytes().replace(b"IDAT", b"I\0AT")
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(MediaError, match="no PNG chunk at byte 33"):
        read_image_file(tmp_path / "a.png")
    assert capfd.readouterr().err == ""


def test_the_content_counts_and_not_the_name(folder: Path, tmp_path: Path) -> None:
    assert {source.suffix for source in folder.iterdir()} == SUFFIXES
    for source in sorted(folder.iterdir()):
        for suffix in (".txt", ".png", ".exr"):
            other = tmp_path / f"{source.stem}{source.suffix[1:]}{suffix}"
            other.write_bytes(source.read_bytes())
            np.testing.assert_array_equal(read_image_file(other).pixels, read_image_file(source).pixels)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"just words\n", "it is text"),
        (b"", "is empty"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", "video"),
        (bytes(range(200, 232)), "first bytes are c8 c9"),
    ],
)
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=message) as caught:
        read_image_file(path)
    assert "a.png" in caught.value.what


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="does not exist"):
        read_image_file(tmp_path / "nothing.png")
    with pytest.raises(MediaError, match="is a folder"):
        read_image_file(tmp_path)


def test_the_limit_holds_for_every_format_and_names_the_way_round_it(folder: Path) -> None:
    assert {source.suffix for source in folder.iterdir()} == SUFFIXES
    for source in sorted(folder.iterdir()):
        with pytest.raises(MediaError, match=r"61 = 5,063 pixels; the limit is 5,062") as caught:
            read_image_file(source, max_pixels=5062)
        assert "--max-pixels 5063" in caught.value.hint
        assert read_image_file(source, max_pixels=5063).pixels.size


def _jxl_header(width: int, height: int) -> bytes:
    """A bare codestream, sizes of up to 30 bits (ISO/IEC 18181-1, SizeHeader): small 0, selector 3, height, ratio 0, width."""
    bits = 0 | 3 << 1 | (height - 1) << 3 | 0 << 33 | 3 << 36 | (width - 1) << 38
    return b"\xff\x0a" + bits.to_bytes(32, "little")


@pytest.mark.parametrize("name", ["a.png", "a.jxl", "a.bmp", "a.gif"])
def test_a_bomb_is_refused_by_its_header_alone(tmp_path: Path, png_bytes, name: str) -> None:
    side = 60000
    files: dict[str, Callable[[], bytes]] = {
        "a.png": lambda: png_bytes(side, 8, 2, b"", height=side)[:60],
        "a.jxl": lambda: _jxl_header(side, side),
        "a.bmp": lambda: (
            b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
        ),
        "a.gif": lambda: b"GIF89a" + struct.pack("<HHBBB", side, side, 0, 0, 0) + b"," + bytes(8) + b"\0\2\0;",
    }
    (tmp_path / name).write_bytes(files[name]())
    with pytest.raises(MediaError, match="60000x60000 = 3,600,000,000 pixels; the limit is 1,000,000,000"):
        read_image_file(tmp_path / name)


def _tiff(
    width: int,
    height: int,
    *,
    bits: int = 8,
    photometric: int = 1,
    compression: int = 1,
    sample_format: int = 1,
    samples: int = 1,
) -> bytes:
    """A little-endian TIFF with one strip of zeros."""
    tags = [
        (256, width),
        (257, height),
        (258, bits),
        (259, compression),
        (262, photometric),
        (273, 200),
        (277, samples),
        (278, height),
    ]
    tags += [(279, 64), (339, sample_format)]
    entries = b"".join(struct.pack("<HHII", tag, 4 if tag in (256, 257, 273, 278, 279) else 3, 1, value) for tag, value in tags)
    return (b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)).ljust(200, b"\0") + bytes(64)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_tiff(8, 2, photometric=8, samples=3), "CIELAB"),
        (_tiff(8, 8, photometric=32803), "camera raw"),
        (_tiff(8, 8, compression=50001), "number 50001"),
        (_tiff(4, 4, bits=32), "samples are uint"),
        (_tiff(4, 8, bits=16, sample_format=2), "samples are int16"),
    ],
)
def test_a_tiff_that_would_be_read_wrong_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(MediaError, match=message) as caught:
        read_image_file(tmp_path / "a.tif")
    assert "a.tif cannot be read" in caught.value.what
    assert caught.value.hint.startswith("Save it")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", ["exr", "tif"])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, rgb: np.ndarray, write_oiio, suffix: str, value: float) -> None:
    broken = rgb.copy()
    broken[30, 40, 1] = value
    write_oiio(tmp_path / f"a.{suffix}", broken, "float")
    with pytest.raises(MediaError, match="not numbers"):
        read_image_file(tmp_path / f"a.{suffix}")


def test_an_exr_without_an_image_says_what_it_has(tmp_path: Path, rgb: np.ndarray, write_oiio) -> None:
    write_oiio(tmp_path / "depth.exr", rgb[..., :1], "float", channelnames=("Z",))
    with pytest.raises(MediaError, match=r"\(Z\)"):
        read_image_file(tmp_path / "depth.exr")


def test_pillows_limit_for_a_whole_process_is_not_ours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Image.open rejects more than 179 megapixels, an 8K image doubled; that limit must not be raised for all libraries."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name in ("rgb.jpg", "lossy.webp", "rgb.avif", "rgb.bmp", "still.gif"):
        assert read_image_file(folder / name).size == Size(83, 61)
