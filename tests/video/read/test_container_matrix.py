"""Reading from any frame on, over containers, codecs, structures and times: what a decoding from the beginning gives."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest
from upscale8k.runtime.video.read.video_reader import open_video

from ..helpers import variable_times
from .test_frame_position import collect, count_decoded, known

COUNT, SIZE = 60, (64, 64)
X264 = {"preset": "ultrafast", "g": "9"}
VPX = {"g": "9", "deadline": "realtime", "cpu-used": "8"}
X265 = "keyint=9:log-level=none:"
STRUCTURES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "libx264": {
        "no b-frames": {**X264, "bf": "0"},
        "b-frames": {**X264, "bf": "3", "x264-params": "open-gop=0:scenecut=0:b-adapt=0"},
        "open gop": {**X264, "bf": "3", "x264-params": "open-gop=1:scenecut=0:b-adapt=0"},
        "pyramid": {**X264, "bf": "4", "x264-params": "open-gop=1:b-pyramid=normal:b-adapt=0:ref=4"},
        "refresh": {**X264, "bf": "0", "x264-params": "intra-refresh=1"},
    },
    "libx265": {
        "b-frames": {"preset": "ultrafast", "x265-params": f"{X265}open-gop=0:bframes=3:b-adapt=0"},
        "open gop": {"preset": "ultrafast", "x265-params": f"{X265}open-gop=1:bframes=3:b-adapt=0"},
    },
    "libsvtav1": {"hidden frames": {"preset": "12", "g": "16"}},
    "libvpx-vp9": {"hidden frames": {**VPX, "auto-alt-ref": "1", "lag-in-frames": "8"}},
    "libvpx": {"one reference": VPX},
    "mpeg4": {"no b-frames": {"g": "9", "b": "2M"}, "b-frames": {"g": "9", "bf": "2", "b": "2M"}},
    "mpeg2video": {"no b-frames": {"g": "9", "b": "2M"}, "b-frames": {"g": "9", "bf": "2", "b": "2M"}},
    "ffv1": {"slices": {"g": "9"}},
    "prores_ks": {"intra": {}},
    "mjpeg": {"intra": {}},
}
CONTAINERS: Mapping[str, tuple[str, ...]] = {
    "mp4": ("libx264", "libx265", "libsvtav1", "libvpx-vp9", "mpeg4", "mpeg2video"),
    "mov": ("libx264", "libx265", "mpeg4", "mpeg2video", "prores_ks", "mjpeg"),
    "mkv": ("libx264", "libx265", "libsvtav1", "libvpx-vp9", "libvpx", "mpeg4", "mpeg2video", "ffv1", "prores_ks", "mjpeg"),
    "webm": ("libsvtav1", "libvpx-vp9", "libvpx"),
    "ts": ("libx264", "libx265", "mpeg2video"),
    "m2ts": ("libx264", "mpeg2video"),
    "mpg": ("mpeg2video",),
    "flv": ("libx264",),
    "avi": ("libx264", "mpeg4", "mpeg2video", "ffv1", "mjpeg"),
    "mxf": ("libx264", "mpeg2video", "prores_ks"),
}
CONSTANT_RATE_ONLY = ("avi", "mxf", "mpg", "mpeg4", "mpeg2video")
EDITED = ("mp4", "mov")
QUICK = ("mov-mpeg2video-b-frames-25", "avi-mpeg4-b-frames-25", "mxf-mpeg2video-b-frames-25", "mpg-mpeg2video-b-frames-25")
QUICK += ("flv-libx264-open gop-variable", "webm-libvpx-one reference-variable", "m2ts-libx264-pyramid-late")
QUICK += (
    "mp4-mpeg4-b-frames-edited",
    "mkv-libx264-refresh-29.97",
    "mov-libx264-open gop-edited",
    "mp4-libx264-pyramid-variable",
)


@dataclass(frozen=True)
class Variant:
    container: str
    codec: str
    structure: str
    times: str
    """A rate, ``variable``, ``late`` (it begins at ten seconds) or ``edited`` (an edit list begins between key frames)."""

    def __str__(self) -> str:
        return "-".join((self.container, self.codec, self.structure, self.times))

    @property
    def has_no_display_times(self) -> bool:
        """AVI holds no times; in MXF, FFmpeg reads those of decoding for H.264."""
        reorders = self.container == "mxf" and self.codec == "libx264" and self.structure not in ("no b-frames", "refresh")
        return self.container == "avi" or reorders

    def write(self, path: Path) -> Path:
        """Write ``COUNT`` frames of a moving texture."""
        rate = Fraction(30000, 1001) if self.times == "29.97" else Fraction(25)
        base = Fraction(1, 90000) if self.times == "variable" else 1 / rate
        pts = variable_times(COUNT) if self.times == "variable" else range(COUNT)
        shift = {"late": 250, "edited": -5}.get(self.times, 0)
        random = np.random.default_rng(3).integers(0, 255, (*SIZE, 3), np.uint8)
        pixel_format = {"prores_ks": "yuv422p10le", "mjpeg": "yuvj420p"}.get(self.codec, "yuv420p")
        formats = {"m2ts": "mpegts", "ts": "mpegts", "mpg": "vob"}
        with av.open(str(path), "w", format=formats.get(self.container)) as out:
            stream = out.add_stream(self.codec, rate=rate, options=dict(STRUCTURES[self.codec][self.structure]))
            stream.height, stream.width, stream.pix_fmt = *SIZE, pixel_format
            stream.codec_context.time_base = base
            packets = []
            for number, tick in enumerate(pts):
                pixels = np.roll(random, (3 * number, 2 * number), (0, 1))
                pixels[number : number + 9] //= 2
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=pixel_format)
                frame.pts, frame.time_base = tick, base
                packets += stream.encode(frame)
            for packet in [*packets, *stream.encode(None)]:
                ticks = round(shift / rate / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                out.mux(packet)
        return path


def list_variants() -> Iterator[Variant]:
    for container, codecs in CONTAINERS.items():
        times = ["25", "29.97", "late", *(["edited"] if container in EDITED else [])]
        for codec in codecs:
            can_vary = container not in CONSTANT_RATE_ONLY and codec not in CONSTANT_RATE_ONLY
            for structure, each in product(STRUCTURES[codec], [*times, *(["variable"] if can_vary else [])]):
                yield Variant(container, codec, structure, each)


VARIANTS = list(list_variants())


@pytest.mark.parametrize(
    "variant", [pytest.param(each, id=str(each), marks=() if str(each) in QUICK else pytest.mark.full) for each in VARIANTS]
)
def test_any_frame_is_the_first(tmp_path: Path, variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = count_decoded(monkeypatch)
    said: list[str] = []
    path = variant.write(tmp_path / f"a.{variant.container}")
    stream = open_video(path, on_message=said.append)
    whole = collect(stream)
    assert len(whole) == COUNT - 5 * (variant.times == "edited")
    total = sum(decoded)
    for first in (1, 17, 32, len(whole) - 1):
        for number in (first, known(whole, first, stream.info.time_base)):
            decoded.clear()
            assert collect(stream, number) == whole[first:], first
    goes_back = any("decoded again" in text for text in said)
    if variant.container != "mpg":  # a seek that lands inside of a packet is noticed, which depends on the rate
        assert goes_back == variant.has_no_display_times
    assert goes_back or variant.structure == "refresh" or sum(decoded) < total  # a second before it, and its group


def test_there_are_300_variants_of_which_some_run_always() -> None:
    assert len(VARIANTS) >= 300
    assert {str(variant) for variant in VARIANTS} >= set(QUICK)
