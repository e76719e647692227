import struct

import pytest
from PIL import ImageCms
from upscale8k.runtime.images.metadata import is_linear, is_profile_for, is_srgb, resolve_stored_transfer


def _profile(curve: bytes, tag: bytes = b"rTRC", space: bytes = b"RGB ") -> bytes:
    """Header, a table of one tag, the tag (ICC.1:2022, 7.2, 7.3)."""
    header = bytearray(128)
    header[16:20] = space
    return bytes(header) + struct.pack(">I", 1) + tag + struct.pack(">II", 144, len(curve)) + curve


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


LINEAR = [
    b"curv" + bytes(4) + struct.pack(">I", 0),
    b"curv" + bytes(4) + struct.pack(">IH", 1, 0x0100),
    b"para" + bytes(4) + struct.pack(">HH", 0, 0) + _fixed(1),
    b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _fixed(1) + _fixed(1) + _fixed(0) + _fixed(1) + _fixed(0),
]
CURVED = [
    b"curv" + bytes(4) + struct.pack(">IH", 1, 0x0233),  # Adobe RGB (1998): gamma 2.19921875
    b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _fixed(2.4) + _fixed(1 / 1.055) + _fixed(0.055 / 1.055) + _fixed(1 / 12.92),
    b"curv" + bytes(4) + struct.pack(">IHHH", 3, 0, 9000, 65535),
]


@pytest.mark.parametrize("curve", LINEAR)
def test_straight_curves_are_linear(curve: bytes) -> None:
    assert is_linear(_profile(curve))
    assert is_linear(_profile(curve, b"kTRC", b"GRAY"))
    assert resolve_stored_transfer(_profile(curve), exr=False, floating=False) == "linear"


@pytest.mark.parametrize("curve", CURVED)
def test_other_curves_are_not(curve: bytes) -> None:
    assert not is_linear(_profile(curve))
    assert resolve_stored_transfer(_profile(curve), exr=False, floating=True) == "srgb"


def test_without_a_profile_floats_and_exr_are_linear() -> None:
    assert resolve_stored_transfer(None, exr=False, floating=True) == "linear"
    assert resolve_stored_transfer(None, exr=True, floating=False) == "linear"
    assert resolve_stored_transfer(None, exr=False, floating=False) == "srgb"


def test_srgb_is_known_by_its_name(icc: bytes) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert is_srgb(icc)
    assert not is_linear(icc)
    assert not is_srgb(lab)


def test_a_profile_fits_pixels_of_its_own_kind(icc: bytes) -> None:
    assert [is_profile_for(icc, channels) for channels in (1, 2, 3, 4)] == [False, False, True, True]
    assert is_profile_for(_profile(LINEAR[0], b"kTRC", b"GRAY"), 1)


@pytest.mark.parametrize("broken", [b"", bytes(200), b"\xff" * 200])
def test_garbage_is_no_profile(broken: bytes) -> None:
    assert not is_profile_for(broken, 3)
    assert not is_linear(broken)
