"""Hardware encoders: which are here is found out by opening them, and what is missing is said."""

from collections.abc import Iterator
from typing import Any

import av
import pytest
from av.error import ExternalError
from upscale8k.runtime.errors import HardwareMissing
from upscale8k.runtime.video import encoders
from upscale8k.runtime.video.encoders import encoder_for, hardware_encoders


class Fake:
    """A codec context of an encoder that is built in; it opens where there is a card for it."""

    def __init__(self, opens: bool) -> None:
        self._opens = opens

    def open(self) -> None:
        if not self._opens:
            raise ExternalError(542398533, "Generic error in an external library")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make this a machine whose FFmpeg has ``built`` encoders, of which ``working`` open."""

    def has(built: tuple[str, ...], working: tuple[str, ...]) -> None:
        class Context:
            @staticmethod
            def create(name: str, mode: str) -> Fake:
                if name not in built:
                    raise ValueError(name)
                return Fake(name in working)

        monkeypatch.setattr(av, "CodecContext", Context)
        encoders._why_not.cache_clear()

    yield has
    encoders._why_not.cache_clear()


NVIDIA = ("hevc_nvenc", "h264_nvenc", "av1_nvenc")


def test_only_encoders_that_open_are_listed(machine: Any) -> None:
    machine((*NVIDIA, "hevc_qsv"), ("hevc_nvenc", "h264_nvenc"))  # a card before Ada has no AV1
    assert hardware_encoders() == ["hevc_nvenc", "h264_nvenc"]
    assert encoder_for("hevc", "nvenc").name == "hevc_nvenc"


@pytest.mark.parametrize(
    ("built", "hardware", "missing"),
    [
        ((), "nvenc", "this build of FFmpeg has none"),
        (NVIDIA, "nvenc", "it needs an NVIDIA card that has an encoder, and its driver (generic error in an external library)"),
        (("hevc_qsv",), "qsv", "it needs an Intel graphics chip"),
        (("hevc_amf",), "amf", "it needs an AMD graphics card"),
        (("hevc_videotoolbox",), "videotoolbox", "it needs macOS"),
    ],
)
def test_what_is_missing_is_said(machine: Any, built: tuple[str, ...], hardware: Any, missing: str) -> None:
    machine(built, ())
    with pytest.raises(HardwareMissing) as refused:
        encoder_for("hevc", hardware)
    assert f"hevc_{hardware} does not work here: {missing}" in refused.value.what
    assert "work here: none" in refused.value.hint


def test_those_that_work_are_named_to_whoever_asked_for_another(machine: Any) -> None:
    machine((*NVIDIA, "hevc_qsv"), NVIDIA)
    with pytest.raises(HardwareMissing, match="hevc_nvenc, h264_nvenc, av1_nvenc"):
        encoder_for("hevc", "qsv")
    with pytest.raises(HardwareMissing, match="there is no nvenc encoder for ProRes"):
        encoder_for("prores", "nvenc")
