"""Encoders: their options for a video's size, and which hardware encoders open here."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from av.error import ExternalError
from upscale8k.runtime.errors import HardwareMissing
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.video.write import encoder_options, hardware_encoders
from upscale8k.runtime.video.write.encoding import resolve_encoding
from upscale8k.runtime.video.write.hardware_encoders import get_encoder, list_hardware_encoders


class Fake:
    """A codec context of an encoder that is built in; it opens where there is a card for it."""

    def __init__(self, name: str, opens: bool, widest: int, without_b_frames: tuple[str, ...]) -> None:
        self._opens, self._widest, self._has_b_frames = opens, widest, name not in without_b_frames
        self.width, self.options = 0, dict[str, str]()

    def open(self) -> None:
        if not self._opens or self.width > self._widest:
            raise ExternalError(542398533, "Generic error in an external library")
        if int(self.options.get("bf", 0)) > 0 and not self._has_b_frames:
            raise ValueError("Max B-frames 3 exceed 0")  # what FFmpeg writes; it returns AVERROR(ENOSYS)


opened: list[Fake] = []


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make this a machine whose FFmpeg has ``built`` encoders, of which ``working`` open."""

    def has(
        built: tuple[str, ...], working: tuple[str, ...], widest: int = 8192, without_b_frames: tuple[str, ...] = ()
    ) -> None:
        class Context:
            @staticmethod
            def create(name: str, mode: str) -> Fake:
                if name not in built:
                    raise ValueError(name)
                opened.append(fake := Fake(name, name in working, widest, without_b_frames))
                return fake

        monkeypatch.setattr(av, "CodecContext", Context)
        hardware_encoders._find_unusable_reason.cache_clear()

    yield has
    hardware_encoders._find_unusable_reason.cache_clear()


UHD, UHD_2 = Size(3840, 2160), Size(7680, 4320)
NVIDIA = ("hevc_nvenc", "h264_nvenc", "av1_nvenc")


def test_only_encoders_that_open_are_listed(machine: Any) -> None:
    machine((*NVIDIA, "hevc_qsv"), ("hevc_nvenc", "h264_nvenc"))  # a card before Ada has no AV1
    assert list_hardware_encoders() == ["hevc_nvenc", "h264_nvenc"]
    assert get_encoder("hevc", "nvenc").name == "hevc_nvenc"


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
def test_missing_encoders_are_reported(machine: Any, built: tuple[str, ...], hardware: Any, missing: str) -> None:
    machine(built, ())
    with pytest.raises(HardwareMissing) as refused:
        get_encoder("hevc", hardware)
    assert f"hevc_{hardware} does not work here: {missing}" in refused.value.what
    assert "work here: none" in refused.value.hint


def test_those_that_work_are_named_to_whoever_asked_for_another(machine: Any) -> None:
    machine((*NVIDIA, "hevc_qsv"), NVIDIA)
    with pytest.raises(HardwareMissing, match="hevc_nvenc, av1_nvenc, h264_nvenc"):
        get_encoder("hevc", "qsv")
    with pytest.raises(HardwareMissing, match="there is no nvenc encoder for ProRes"):
        get_encoder("prores", "nvenc")


@pytest.mark.parametrize(
    ("codec", "size", "asked", "told"),
    [
        ("hevc", UHD, "", "superfast"),
        ("hevc", UHD_2, "", "ultrafast"),
        ("hevc", UHD_2, "medium", "medium"),
        ("av1", UHD_2, "", "10"),
    ],
)
def test_above_4k_hevc_is_encoded_faster_unless_a_preset_is_asked_for(codec: Any, size: Size, asked: str, told: str) -> None:
    """As the tables in ``encoders`` have it, which are measured."""
    assert resolve_encoding(codec, "mp4", 10, "4:2:0", size=size, keyframe_interval=24, preset=asked).options["preset"] == told


def auto(codec: Any, bits: Any, chroma: Any, size: Size, **more: Any) -> tuple[str, tuple[str, ...]]:
    """The encoder that ``auto`` selects, and what it says."""
    container = "mkv" if codec == "ffv1" else "mp4"
    found = resolve_encoding(codec, container, bits, chroma, size=size, keyframe_interval=24, hardware="auto", **more)
    return found.encoder.name, found.notes


def test_auto_selects_the_gpu_if_it_accepts_the_video_and_reports_it(machine: Any) -> None:
    machine((*NVIDIA, "h264_qsv"), ("hevc_nvenc", "h264_nvenc", "h264_qsv"))
    assert auto("hevc", 10, "4:2:0", UHD_2) == ("hevc_nvenc", ("hevc_nvenc encodes, on the graphics card.",))
    assert auto("h264", 8, "4:2:0", UHD, crf=20, preset="p5")[0] == "h264_nvenc"


@pytest.mark.parametrize(
    ("codec", "bits", "chroma", "size", "preset", "why"),
    [
        ("h264", 8, "4:2:0", UHD_2, "", "h264_nvenc does not take 7680x4320 with 8 bit 4:2:0"),  # NVENC: 4096 columns
        ("hevc", 10, "4:4:4", UHD, "", "hevc_nvenc does not take 3840x2160 with 10 bit 4:4:4"),
        ("hevc", 10, "4:2:0", UHD, "superfast", "hevc_nvenc does not have the requested preset or crf"),
        ("av1", 10, "4:2:0", UHD, "", "No hardware encoder for AV1 works here"),
        ("ffv1", 8, "4:4:4", UHD, "", "No hardware encoder for FFV1 works here"),
    ],
)
def test_auto_selects_the_cpu_if_the_gpu_cannot_and_reports_why(
    machine: Any, codec: Any, bits: Any, chroma: Any, size: Size, preset: str, why: str
) -> None:
    machine(NVIDIA, ("hevc_nvenc", "h264_nvenc"), widest=4096)
    found, notes = auto(codec, bits, chroma, size, preset=preset)
    assert not found.endswith("nvenc")
    assert notes == (f"{why}, so the CPU encodes.",)


def test_auto_on_a_machine_without_a_card_is_the_processor() -> None:
    if list_hardware_encoders():
        pytest.skip("this machine has a hardware encoder")
    chosen = resolve_encoding("hevc", "mp4", 10, "4:2:0", size=UHD_2, keyframe_interval=24, hardware="auto")
    assert chosen.encoder.name == "libx265"
    assert chosen.notes == ("No hardware encoder for HEVC works here, so the CPU encodes.",)


def test_a_requested_gpu_that_does_not_accept_the_frames_is_an_error(machine: Any) -> None:
    machine(NVIDIA, NVIDIA, widest=4096)
    with pytest.raises(HardwareMissing, match=r"hevc_nvenc does not take frames of 7680x4320 with 10 bits"):
        resolve_encoding("hevc", "mp4", 10, "4:2:0", size=UHD_2, keyframe_interval=24, hardware="nvenc")


def test_a_hardware_encoder_is_tried_with_all_that_it_is_then_used_with(machine: Any) -> None:
    machine(NVIDIA, NVIDIA)
    size = Size(4095, 2159)
    encoding = resolve_encoding(
        "hevc", "mp4", 10, "4:2:0", size=size, keyframe_interval=30, hardware="nvenc", bitrate=9_000_000
    )
    tried: Any = opened[-1]
    assert encoding.options["bf"] == "3"
    assert tried.options == encoding.options
    assert (tried.width, tried.height) == (4096, 2160)  # as coded
    assert (tried.pix_fmt, tried.bit_rate) == (encoding.pixel_format, encoding.bitrate) == ("p010le", 9_000_000)


@pytest.mark.parametrize("hardware", ["auto", "nvenc"])
def test_a_card_without_b_frames_for_hevc_encodes_without_and_it_is_said(machine: Any, hardware: str) -> None:
    """GTX 1070 Ti: "H.265/HEVC Max Bframes 0" (rigaya/NVEnc#71)."""
    machine(NVIDIA, NVIDIA, without_b_frames=("hevc_nvenc",))
    encoding = resolve_encoding("hevc", "mp4", 10, "4:2:0", size=UHD_2, keyframe_interval=24, hardware=hardware)
    assert (encoding.encoder.name, encoding.options["bf"], encoding.options["rc-lookahead"]) == ("hevc_nvenc", "0", "10")
    assert encoding.notes[-1] == "hevc_nvenc has no B-frames on this card, so the file becomes somewhat larger."
    h264 = resolve_encoding("h264", "mp4", 8, "4:2:0", size=UHD, keyframe_interval=24, hardware=hardware)
    assert h264.options["bf"] == "3"


def test_the_memory_of_nvenc_is_left_free_by_tiles_that_are_chosen_for_its_video(machine: Any) -> None:
    machine(NVIDIA, NVIDIA)
    encoding = resolve_encoding("hevc", "mp4", 10, "4:2:0", size=UHD_2, keyframe_interval=24, hardware="nvenc")
    assert 2e9 < encoding.gpu_bytes < 3e9  # 19 surfaces of look-ahead and 6 references, 100 MB each
    on_cpu = resolve_encoding("hevc", "mp4", 10, "4:2:0", size=UHD_2, keyframe_interval=24)
    assert on_cpu.gpu_bytes == 0


@pytest.mark.parametrize("is_large", [True, False])
def test_av1_has_the_same_bytes_on_machines_with_few_and_many_cores(is_large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted video goes on elsewhere; large frames, which take no more memory, are encoded by more threads."""
    rng = np.random.default_rng(0)
    frames = [rng.integers(200, 800, (256, 320)).astype(np.uint16) for _ in range(5)]
    encoded: list[bytes] = []
    for cores in (1, 64):
        monkeypatch.setattr(encoder_options, "count_usable_cores", lambda cores=cores: cores)
        options = encoder_options.build_svt_av1_options(encoder_options.EncoderRequest(36, None, "10", 24, is_large))
        assert f"lp={min(cores, 6 if is_large else 3)}" in options["svtav1-params"]
        context = av.CodecContext.create("libsvtav1", "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height, context.pix_fmt, context.time_base = 320, 256, "yuv420p10le", Fraction(1, 24)
        context.options = options
        chroma = np.full((128, 160), 512, np.uint16)
        packets: list[av.Packet] = []
        for number, luma in enumerate(frames):
            frame = av.VideoFrame.from_dlpack([luma, chroma, chroma], "yuv420p10le")
            frame.pts, frame.time_base = number, Fraction(1, 24)
            packets += context.encode(frame)
        encoded.append(b"".join(bytes(packet) for packet in [*packets, *context.encode(None)]))
    assert len(encoded[0]) > 1000
    assert encoded[0] == encoded[1]
