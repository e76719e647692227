import numpy as np
import pytest
from skimage import data
from upscale8k.runtime.errors import WorkflowError
from upscale8k.runtime.media.geometry import Region
from upscale8k.runtime.report.crop_spec import parse_crop_specs
from upscale8k.runtime.report.crops import find_busiest_window, resolve_crops


def make_image(width: int, height: int, channels: int = 3) -> np.ndarray:
    return np.full((height, width, channels), 0.5, np.float32)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("", Region(144, 44, 512, 512)),
        ("centre", Region(144, 44, 512, 512)),
        ("Center", Region(144, 44, 512, 512)),
        ("512x512", Region(144, 44, 512, 512)),
        ("centre:100x50", Region(350, 275, 100, 50)),
        ("640x480+10+20", Region(10, 20, 640, 480)),
        ("all", Region(0, 0, 800, 600)),
    ],
)
def test_a_crop_is_where_its_text_says(text: str, region: Region) -> None:
    (crop,) = resolve_crops(make_image(800, 600), text)
    assert (crop.region, crop.note) == (region, "")


def test_several_crops_come_in_order_and_each_region_once() -> None:
    crops = resolve_crops(make_image(800, 600), "64x64+0+0, centre:64x64, 64x64+0+0, all")
    assert [crop.region.size.width for crop in crops] == [64, 64, 800]


def test_an_image_smaller_than_the_crop_is_taken_whole_and_says_so() -> None:
    (crop,) = resolve_crops(make_image(300, 900), "512x512")
    assert crop.region == Region(0, 194, 300, 512)
    assert "300x900" in crop.note
    assert "512x512" in crop.note


def test_a_place_that_reaches_over_the_border_is_cut_and_says_so() -> None:
    (crop,) = resolve_crops(make_image(100, 80), "64x64+60+40")
    assert crop.region == Region(60, 40, 40, 40)
    assert "border" in crop.note


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "Unknown crop"),
        ("0x10", "is empty"),
        ("10x10+900+0", "outside of the image"),
        ("10x10+-1+0", "Unknown crop"),
        ("texture:axb", "Unknown crop"),
        ("9999999x1", "Unknown crop"),
    ],
)
def test_what_is_no_crop_is_said(text: str, words: str) -> None:
    with pytest.raises(WorkflowError, match=words):
        resolve_crops(make_image(100, 80), text)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["texture", "edges"])
@pytest.mark.parametrize("size", [(600, 400), (2600, 1500)])
def test_content_is_found_where_it_was_put(kind: str, channels: int, size: tuple[int, int]) -> None:
    """Noise in one corner is texture; a checkerless stripe in the other is edges."""
    pixels = make_image(*size, channels)
    rng = np.random.default_rng(3)
    coarse = rng.random((25, 25, 1), dtype=np.float32).repeat(4, 0).repeat(4, 1)
    pixels[20:120, 30:130] = 0.5 + (coarse - 0.5) * 0.4
    pixels[-140:-20, -140:-20:12] = 1.0
    pixels[-140:-20, -139:-20:12] = 1.0
    left, top = find_busiest_window(pixels, resolve_crops(pixels, "centre:100x100")[0].region.size, kind)
    if kind == "texture":
        assert left < 150
        assert top < 150
    else:
        assert left > size[0] - 260
        assert top > size[1] - 260


def test_a_flat_image_has_a_busiest_place_too() -> None:
    (crop,) = resolve_crops(make_image(64, 64), "texture:32x32")
    assert crop.region.size.width == 32


def test_a_single_pixel_can_be_cropped() -> None:
    assert resolve_crops(make_image(1, 1), "texture, edges, centre")[0].region == Region(0, 0, 1, 1)


def test_a_face_is_found_and_a_wall_has_none() -> None:
    face = data.astronaut().astype(np.float32) / 255  # eyes at about (190..255, 110), from looking at it
    (crop,) = resolve_crops(face, "faces:160x160")
    assert crop.note == ""
    assert crop.region.x < 200
    assert crop.region.right > 250
    assert crop.region.y < 100
    assert crop.region.bottom > 140
    (crop,) = resolve_crops(make_image(300, 300), "faces:100x100")
    assert "No face was found" in crop.note
    assert crop.region == Region(100, 100, 100, 100)


def test_the_text_is_understood_without_the_image() -> None:
    assert [spec.kind for spec in parse_crop_specs("texture, edges:10x20, 5x6+7+8")] == ["texture", "edges", "place"]
