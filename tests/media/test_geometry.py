"""Sizes and regions: their values, their arithmetic, and the values they refuse."""

import pytest
from upscale8k.runtime.media.geometry import Region, Size


def test_a_size_knows_its_pixels_and_multiples() -> None:
    assert Size(1920, 1080).pixel_count == 2_073_600
    assert Size(1920, 1080) * 4 == Size(7680, 4320)
    assert str(Size(7680, 4320)) == "7680x4320"


def test_sizes_are_values() -> None:
    assert {Size(2, 3), Size(2, 3)} == {Size(2, 3)}
    assert sorted([Size(3, 1), Size(2, 9)]) == [Size(2, 9), Size(3, 1)]
    with pytest.raises(AttributeError):
        Size(1, 1).width = 2  # type: ignore[misc]


@pytest.mark.parametrize(("width", "height"), [(0, 1), (1, 0), (-4, 4)])
def test_a_size_without_pixels_is_refused(width: int, height: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1x1 pixels, not {width}x{height}"):
        Size(width, height)


def test_a_region_knows_its_edges_and_slices() -> None:
    region = Region(3, 5, 10, 20)
    assert (region.right, region.bottom, region.size) == (13, 25, Size(10, 20))
    assert (region.columns, region.rows) == (slice(3, 13), slice(5, 25))


def test_a_region_grows_with_its_image() -> None:
    assert Region(3, 5, 10, 20) * 4 == Region(12, 20, 40, 80)


def test_a_region_in_the_coordinates_of_another() -> None:
    assert Region(40, 50, 10, 20).relative_to(Region(32, 48, 64, 64)) == Region(8, 2, 10, 20)
    with pytest.raises(ValueError, match="not a region"):
        Region(0, 0, 10, 10).relative_to(Region(5, 0, 10, 10))


@pytest.mark.parametrize("wrong", [(-1, 0, 1, 1), (0, -1, 1, 1), (0, 0, 0, 1), (0, 0, 1, -1)])
def test_a_region_outside_an_image_is_refused(wrong: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="not a region of an image"):
        Region(*wrong)
