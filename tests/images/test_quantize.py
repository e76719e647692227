import numpy as np
import pytest
from upscale8k.runtime.images.sample_conversion import iter_strips, to_floats, to_integers


@pytest.mark.parametrize("bits", [8, 16])
def test_every_integer_survives_the_way_to_float_and_back(bits: int) -> None:
    values = np.arange(1 << bits).astype(np.uint8 if bits == 8 else np.uint16).reshape(-1, 1, 1)
    np.testing.assert_array_equal(to_integers(to_floats(values), bits), values)


def test_halves_are_rounded_up_and_the_rest_is_clipped() -> None:
    values = np.array([-1, 0, 0.5, 0.3, 0.001, 0.0019, 1, 1.001, 7], np.float32).reshape(1, -1, 1)
    assert to_integers(values, 8).ravel().tolist() == [0, 0, 128, 77, 0, 0, 255, 255, 255]
    assert to_integers(values, 16).ravel().tolist() == [0, 0, 32768, 19661, 66, 125, 65535, 65535, 65535]


def test_depths_change_by_their_full_scales() -> None:
    eight = np.array([0, 1, 255], np.uint8).reshape(1, 3, 1)
    assert to_integers(eight, 16).ravel().tolist() == [0, 257, 65535]
    assert to_integers(eight, 8) is eight


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not numbers"):
        to_integers(np.full((1, 1, 1), value, np.float32), 8)


def test_strips_cover_every_row_once() -> None:
    rows = [row for strip in iter_strips((1001, 7680, 3)) for row in range(1001)[strip]]
    assert rows == list(range(1001))
    assert all(strip.stop - strip.start <= 4 * 1024 * 1024 // (7680 * 3) for strip in iter_strips((1001, 7680, 3)))
