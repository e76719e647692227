"""What an image file holds and an image does not: said, refused, or kept; never lost in silence."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest
import tifffile
import torch
from PIL import Image
from upscale8k.runtime.comfyui.types.image import ImageSaveOptions, read_image, write_images
from upscale8k.runtime.errors import MediaError, OutputError
from upscale8k.runtime.hardware.capacity import SystemMemory
from upscale8k.runtime.images.formats import header
from upscale8k.runtime.images.formats.jxl import read_header
from upscale8k.runtime.images.formats.png import build_chunk
from upscale8k.runtime.images.read import read_image_file
from upscale8k.runtime.images.write import write_image_file

from ..video.helpers import Seen

PQ, HLG, P3 = bytes((9, 16, 0, 1)), bytes((9, 18, 0, 1)), bytes((12, 13, 0, 1))


class Display(Seen):
    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *_: object) -> None: ...


def insert_chunk(path: Path, kind: bytes, payload: bytes) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[:33] + build_chunk(kind, payload) + data[33:])
    return path


def write_png(path: Path, rgb: np.ndarray, bits: int = 16) -> Path:
    return write_image_file(path, rgb, bits=bits)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_is_inverted_at_every_depth(tmp_path: Path, dtype: type) -> None:
    """OpenImageIO inverts 8 bits and leaves 16 as a negative."""
    shades = np.arange(64 * 96).reshape(64, 96).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", np.iinfo(dtype).max - shades, photometric="miniswhite")
    assert np.array_equal(np.rint(read_image_file(tmp_path / "a.tif").pixels[:, :, 0] * np.iinfo(dtype).max), shades)


def test_floats_that_count_from_white_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.float32), photometric="miniswhite")
    with pytest.raises(MediaError, match="count from white"):
        read_image_file(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["DNG", "NEF"])
def test_camera_raw_is_refused_and_not_its_thumbnail_upscaled(tmp_path: Path, kind: str) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        dng = [(50706, 1, 4, (1, 4, 0, 0), True)] if kind == "DNG" else []
        tif.write(np.zeros((24, 36, 3), np.uint8), photometric="rgb", subfiletype=1, subifds=1, extratags=dng)
        tif.write(np.zeros((600, 800), np.uint16), photometric="cfa", subfiletype=0, extratags=[(33421, 3, 2, (2, 2), True)])
    with pytest.raises(MediaError, match="camera raw"):
        read_image_file(tmp_path / "a.tif")


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_a_thumbnail_before_the_image_is_passed_over(tmp_path: Path, bigtiff: bool, byteorder: str) -> None:
    pages = np.random.default_rng(1).integers(0, 255, (3, 40, 50, 3)).astype(np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=bigtiff, byteorder=byteorder) as tif:
        tif.write(np.zeros((4, 5, 3), np.uint8), photometric="rgb", subfiletype=1)
        for page in pages:
            tif.write(page, photometric="rgb")
    image = read_image_file(tmp_path / "a.tif")
    assert np.array_equal(np.rint(image.pixels * 255), pages[0])
    assert image.losses == ("has 3 pages; the first is read",)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "avif"])
def test_further_frames_are_said(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (32, 24), (shade, 0, 0)) for shade in (10, 120, 250)]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], duration=100)
    assert read_image_file(tmp_path / f"a.{suffix}").losses == ("has 3 frames; the first is read",)
    frames[0].save(tmp_path / f"b.{suffix}")
    assert not read_image_file(tmp_path / f"b.{suffix}").losses


def test_further_parts_of_an_exr_are_said(tmp_path: Path, rgb: np.ndarray) -> None:
    specs = [oiio.ImageSpec(rgb.shape[1], rgb.shape[0], 3, "float") for _ in range(2)]
    for number, spec in enumerate(specs):
        spec.attribute("oiio:subimagename", f"part{number}")
    out = oiio.ImageOutput.create(str(tmp_path / "a.exr"))
    assert out.open(str(tmp_path / "a.exr"), tuple(specs))
    for spec in specs:
        if spec is specs[1]:
            assert out.open(str(tmp_path / "a.exr"), spec, "AppendSubimage")
        out.write_image(rgb)
    out.close()
    assert "has 2 parts; the first is read" in read_image_file(tmp_path / "a.exr").losses


def test_further_channels_are_said(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8, 6), np.uint8), photometric="rgb", extrasamples=[0, 0, 0])
    assert "has 6 channels; 3 are read" in read_image_file(tmp_path / "a.tif").losses


def test_cmyk_is_said(tmp_path: Path) -> None:
    Image.new("CMYK", (32, 24), (10, 20, 30, 40)).save(tmp_path / "a.jpg")
    assert any("is CMYK" in loss for loss in read_image_file(tmp_path / "a.jpg").losses)


@pytest.mark.parametrize(("cicp", "name"), [(PQ, "PQ, BT.2020"), (HLG, "HLG, BT.2020"), (P3, "P3")])
def test_the_color_of_an_hdr_png_is_kept_or_refused(tmp_path: Path, rgb: np.ndarray, cicp: bytes, name: str) -> None:
    source = insert_chunk(write_png(tmp_path / "a.png", rgb), b"cICP", cicp)
    image = read_image_file(source)
    assert image.color_chunks == {b"cICP": cicp}
    assert any(name in loss for loss in image.losses)
    write_image_file(tmp_path / "b.png", image.pixels, bits=16, color_chunks=image.color_chunks)
    assert build_chunk(b"cICP", cicp) in (tmp_path / "b.png").read_bytes()
    for suffix in ("jpg", "webp", "tif", "avif", "exr", "jxl"):
        with pytest.raises(OutputError, match="would lose its colors"):
            write_image_file(tmp_path / f"b.{suffix}", image.pixels, color_chunks=image.color_chunks)


def test_a_gamma_of_its_own_is_kept_and_srgb_is_not_repeated(tmp_path: Path, rgb: np.ndarray) -> None:
    gamma = insert_chunk(write_png(tmp_path / "a.png", rgb), b"gAMA", struct.pack(">I", 100000))
    assert read_image_file(gamma).color_chunks == {b"gAMA": struct.pack(">I", 100000)}
    srgb = insert_chunk(write_png(tmp_path / "b.png", rgb), b"gAMA", struct.pack(">I", 45455))
    assert not read_image_file(srgb).color_chunks
    tagged = insert_chunk(write_png(tmp_path / "c.png", rgb), b"cICP", bytes((1, 13, 0, 1)))
    assert not read_image_file(tagged).color_chunks


def test_an_avif_in_pq_becomes_a_png_in_pq(tmp_path: Path, rgb: np.ndarray) -> None:
    Image.fromarray((rgb * 255).astype(np.uint8)).save(tmp_path / "sdr.avif")
    data = (tmp_path / "sdr.avif").read_bytes()
    assert not read_image_file(tmp_path / "sdr.avif").color_chunks
    at = data.index(b"colrnclx") + 8
    (tmp_path / "a.avif").write_bytes(data[:at] + struct.pack(">HH", 9, 16) + data[at + 4 :])
    assert read_image_file(tmp_path / "a.avif").color_chunks == {b"cICP": PQ}


def _pack_bits(*fields: tuple[int, int]) -> bytes:
    value = shift = 0
    for number, width in fields:
        value |= number << shift
        shift += width
    return b"\xff\x0a" + value.to_bytes(16, "little")


_SIZE = ((1, 1), (4, 5), (0, 3), (7, 5))  # small: 40 high, no ratio, 64 wide
_EIGHT_BITS = ((0, 1), (0, 2), (1, 1))


@pytest.mark.parametrize(
    ("metadata", "animated", "extra"),
    [
        (((1, 1),), False, 0),
        (((0, 1), (0, 1), *_EIGHT_BITS, (1, 2)), False, 1),
        (((0, 1), (0, 1), *_EIGHT_BITS, (2, 2), (3, 4)), False, 5),
        (((0, 1), (1, 1), (0, 3), (0, 1), (0, 1), (1, 1), (0, 2), (0, 2), (0, 2), (0, 1), *_EIGHT_BITS, (0, 2)), True, 0),
    ],
)
def test_the_header_of_a_jpeg_xl(tmp_path: Path, metadata: tuple[tuple[int, int], ...], animated: bool, extra: int) -> None:
    """Bits as ISO/IEC 18181-1, D.3 lays them out."""
    (tmp_path / "a.jxl").write_bytes(_pack_bits(*_SIZE, *metadata))
    found = read_header(tmp_path / "a.jxl")
    assert (str(found.size), found.is_animated, found.extra_channels) == ("64x40", animated, extra)
    if animated:
        with pytest.raises(MediaError, match="it is animated"):
            read_image_file(tmp_path / "a.jxl")


def test_alpha_of_a_jpeg_xl_is_counted_as_libjxl_writes_it(tmp_path: Path, rgba: np.ndarray) -> None:
    write_image_file(tmp_path / "a.jxl", rgba)
    assert read_header(tmp_path / "a.jxl").extra_channels == 1
    assert not read_image_file(tmp_path / "a.jxl").losses


@pytest.mark.parametrize(("transfer", "message"), [("linear", "has values below 0"), ("srgb", "those above 1 become 1")])
def test_floats_outside_of_0_to_1_are_said(
    tmp_path: Path, rgb: np.ndarray, icc: bytes, write_oiio: Callable[..., None], transfer: str, message: str
) -> None:
    write_image_file(tmp_path / "a.tif", rgb * 3 - 1, bits=32, icc=icc if transfer == "srgb" else None)
    seen = Display()
    read_image(tmp_path / "a.tif", max_pixels=10**6, open_progress=lambda *_: seen)
    assert any(message in text for text in seen.messages)


@pytest.mark.parametrize(("suffix", "said"), [("jpg", True), ("png", False)])
def test_depth_that_a_format_cannot_hold_is_said(tmp_path: Path, rgb: np.ndarray, suffix: str, said: bool) -> None:
    write_png(tmp_path / "a.png", rgb)
    image, source = read_image(tmp_path / "a.png", max_pixels=10**6)
    seen, options = Display(), ImageSaveOptions("b", f".{suffix}", None, 95, {})
    write_images(torch.as_tensor(image), source, options, lambda *_, **__: tmp_path / f"b.{suffix}", lambda *_: seen)
    assert seen.messages == ([f"b.{suffix}: JPEG stores 8 bits; the source has 16."] if said else [])


def test_an_image_that_does_not_fit_in_memory_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, png_bytes: Callable[..., bytes]
) -> None:
    """109 kB of PNG asked for 10 GB."""
    (tmp_path / "a.png").write_bytes(png_bytes(30000, 1, 0, bytes(3750), height=30000))
    monkeypatch.setattr(header, "query_memory", lambda: SystemMemory(16 << 30, 8 << 30))
    with pytest.raises(MediaError, match=r"takes 10\.8 GB of memory to be read, and 8\.6 GB are free"):
        read_image_file(tmp_path / "a.png")


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"'
    b"%s><tiff:Artist>A. Person</tiff:Artist>%s</rdf:Description></rdf:RDF></x:xmpmeta>"
)
STALE = XMP % (b' tiff:Orientation="6"', b"<tiff:ImageWidth>8</tiff:ImageWidth>")
CAPTION = b"\x1c\x02\x78\x00\x07A plane"  # IIM dataset 2:120, of 7 bytes


def write_jpeg_with_both(path: Path, rgb: np.ndarray) -> Path:
    """As a camera's software does: XMP by Pillow, IPTC in the resource 0x0404 of an APP13 segment."""
    resource = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(CAPTION)) + CAPTION
    segment = b"\xff\xed" + struct.pack(">H", len(resource) + 2) + resource
    Image.fromarray((rgb * 255).astype(np.uint8)).save(path, xmp=STALE, extra=segment)
    return path


def read_xmp(path: Path) -> bytes:
    """By Pillow alone."""
    with Image.open(path) as image:
        image.load()
        found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return found.encode() if isinstance(found, str) else found


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif", ".tif"])
def test_xmp_and_iptc_are_kept_or_their_loss_is_said(tmp_path: Path, rgb: np.ndarray, suffix: str) -> None:
    display = Display()
    image, source = read_image(write_jpeg_with_both(tmp_path / "in.jpg", rgb), max_pixels=10**6)
    options = ImageSaveOptions("out" + suffix, None, None, 95, {})
    (path,) = write_images(image, source, options, lambda *_, **__: tmp_path / ("out" + suffix), lambda *_: display)
    kept = XMP % (b"", b"")
    if suffix == ".tif":
        assert b"Rating" not in read_xmp(path)
        assert not read_image_file(path).losses, "what OpenImageIO writes by itself is no loss"
    else:
        assert read_xmp(path) == kept, "without the orientation and the size of before"
    assert any("no XMP" in text for text in display.messages) == (suffix == ".tif")
    assert any("no IPTC" in text for text in display.messages) == (suffix != ".jpg")
    with Image.open(path) as result:
        assert result.info.get("photoshop", {}).get(0x0404) == (CAPTION if suffix == ".jpg" else None)
    again = read_image_file(path)
    assert (again.xmp, again.iptc) == (None if suffix == ".tif" else kept, CAPTION if suffix == ".jpg" else None)


def test_xmp_of_a_gain_map_and_of_a_tiff_is_not_kept(tmp_path: Path, rgb: np.ndarray) -> None:
    """A viewer would look for the map; OpenImageIO cannot write a packet of a TIFF as it was."""
    Image.fromarray((rgb * 255).astype(np.uint8)).save(tmp_path / "a.jpg", xmp=XMP % (b' hdrgm:Version="1.0"', b""))
    assert read_image_file(tmp_path / "a.jpg").xmp is None
    tifffile.imwrite(tmp_path / "a.tif", (rgb * 255).astype(np.uint8), extratags=[(700, 1, len(STALE), STALE, True)])
    assert any("XMP or IPTC" in loss for loss in read_image_file(tmp_path / "a.tif").losses)


@pytest.mark.parametrize("compressed", [False, True])
def test_xmp_of_a_png_may_be_compressed_and_damaged(tmp_path: Path, rgb: np.ndarray, compressed: bool) -> None:
    packet = XMP % (b"", b"")
    text = zlib.compress(packet) if compressed else packet
    head = b"XML:com.adobe.xmp\0" + bytes((compressed, 0)) + b"en\0\0"
    path = insert_chunk(write_png(tmp_path / "a.png", rgb, 8), b"iTXt", head + text)
    assert read_image_file(insert_chunk(path, b"iTXt", b"prompt\0\0\0\0\0{}")).xmp == packet
    broken = insert_chunk(write_png(tmp_path / "b.png", rgb, 8), b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0no zlib")
    assert read_image_file(broken).xmp is None
